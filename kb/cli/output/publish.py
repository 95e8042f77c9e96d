"""Output of publishing, syncing and asking."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from kb.cli.output.console import out, print_note
from kb.service.notation import format_timestamp
from kb.types import MediaItem
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.views import Answer, CostEstimate, Reference, SyncPlan

SHOWN_LENGTH = 200  # characters of a hit's text
# A passage in a published document starts with this text.
_TIME_LINK = re.compile(r"\[(?:\d+:)+\d\d\]\([^)]*\)")


def plan_document(plan: SyncPlan, held: Sequence[MediaItem]) -> dict[str, Any]:
    """Return the document that `kb sync --dry-run --json` prints."""
    return {
        "steps": [asdict(step) for step in plan.steps],
        "counts": plan.counts,
        "in_step": plan.in_sync,
        "others": plan.foreign,
        "documents": plan.documents,
        "words": plan.words,
        "credits": round(plan.credits, 2),
        "held": [item.id for item in held],
    }


def print_plan(plan: SyncPlan) -> None:
    """Print one line per difference, and the totals."""
    for step in plan.steps:
        out.print(
            Text.assemble(
                (f"{step.kind:12}", "bold"), step.title or step.item_id, f"  {step.detail}"
            )
        )
    out.print(
        f"{counted(len(plan.steps), 'difference')}, {plan.in_sync} in step, "
        f"{counted(plan.foreign, 'document')} of "
        f"others · to send: {counted(plan.documents, 'document')}, "
        f"{counted(plan.words, 'word')}, about "
        f"{plan.credits:.1f} credits"
    )


def print_held(held: Sequence[MediaItem], limit: int = 10) -> None:
    """Print the items that are held for review, which are not sent."""
    if not held:
        return
    print_note(f"{len(held)} held for review, not sent: kb review")
    for item in held[:limit]:
        print_note(f"  {item.id}  {item.title}")
    if len(held) > limit:
        print_note(f"  … and {len(held) - limit} more (kb status --state held)")


def print_estimate(estimate: CostEstimate) -> None:
    """Print the highest cost of sending, before it starts."""
    most = f"at most about {estimate.credits:.1f}" if estimate.credits >= 0.05 else "less than 0.1"
    print_note(
        f"{counted(estimate.items, 'item')}, {counted(estimate.words, 'word')}: {most} "
        "credits; what is there already costs nothing."
    )


def print_answer(answer: Answer) -> None:
    """Print the answer and its sources."""
    out.print(Text(answer.text))
    print_sources(answer.sources)


def print_sources(sources: Sequence[Reference]) -> None:
    """Print the sources of an answer with their links."""
    for number, source in enumerate(sources, start=1):
        at = f"  [{format_timestamp(source.start_s)}]" if source.start_s is not None else ""
        out.print(
            Text.assemble((f"{number}. ", "dim"), (source.title or source.document, "bold"), at)
        )
        if words := " ".join(_TIME_LINK.sub("", source.text).split()):
            short = len(words) <= SHOWN_LENGTH
            out.print(Text(f"   {words if short else words[: SHOWN_LENGTH - 1] + '…'}"))
        if source.deep_link:
            out.print(Text(f"   {source.deep_link}", style="dim"))


def remote_search_document(
    query: str, elapsed_ms: float, found: Sequence[Reference]
) -> dict[str, Any]:
    """Return the document of `kb search --remote --json`.

    It has the keys of a local search, plus `document`. `start`, `end` and `deep_link` are null or
    empty if the passage of a hit is unknown.
    """
    return {
        "query": query,
        "mode": "remote",
        "took_ms": elapsed_ms,
        "hits": [
            {
                "item_id": hit.item_id,
                "title": hit.title or hit.document,
                "start": hit.start_s,
                "end": hit.end_s,
                "text": _TIME_LINK.sub("", hit.text).strip(),
                "score": hit.score,
                "deep_link": hit.deep_link,
                "path": hit.path,
                "document": hit.document,
            }
            for hit in found
        ],
    }


def print_remote_search(query: str, elapsed_ms: float, found: Sequence[Reference]) -> None:
    """Print the hits of a remote knowledge base."""
    if not found:
        print_note(f"Nothing found for {query!r}.")
        return
    print_sources(found)
    print_note(f"{counted(len(found), 'hit')} in {elapsed_ms:.0f} ms")
