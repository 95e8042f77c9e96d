"""Output of a search in the library."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from kb.cli.output.console import out, print_note, print_warning
from kb.service import SearchResult
from kb.service.notation import format_timestamp
from kb.service.search_document import search_document
from kb.types import Hit
from kb.types.passages import ON_SCREEN, translated_language
from kb.types.quality import likely_wrong
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.answers import LocalAnswer


def print_search(result: SearchResult) -> None:
    """Print hits: title and time, the snippet with the hit in bold, the link.

    Passages with all words come first, those with some of them or of like meaning below a heading.
    """
    _print_meaning(result)
    for unknown in result.unknown:
        similar = f" Did you mean {', '.join(unknown.similar)}?" if unknown.similar else ""
        print_note(f"No passage has {unknown.word!r}.{similar}")
    if result.left_out:
        left_out = counted(result.left_out, "passage")
        print_note(f"Left out of what recurs in a channel: {left_out}. With it: --with-recurring")
    if not result.hits and result.unknown:
        return  # the notes above say it
    if not result.hits:
        print_note(f"Nothing found for {result.query!r}.")
        return
    for number, hit in enumerate(result.complete, start=1):
        _print_hit(number, hit)
    if result.partial:
        out.print(Text(f"{_partial_words(result)} ({len(result.partial)}):", style="bold"))
    for number, hit in enumerate(result.partial, start=len(result.complete) + 1):
        _print_hit(number, hit)
    found = len(result.complete)
    near = " or of like meaning" if result.mode == "hybrid" else ""
    some = f", {len(result.partial)} with some words{near}" if result.partial else ""
    noun = "passage" if found == 1 else "passages"
    more = " There are more: raise --limit." if result.has_more else ""
    print_note(f"{found} {noun}{some} in {result.elapsed_ms:.0f} ms.{more}")


def _print_meaning(result: SearchResult) -> None:
    """Say where passages were searched by their words alone."""
    if (problem := result.words_alone) is not None:
        print_note(f"Searched by words alone: {problem.message} {problem.hint}")
    if result.without_meaning:
        print_note(
            f"{counted(result.without_meaning, 'item')} searched by words alone: no vectors of the "
            "present text and model. A worker makes them: kb enrich --all --steps meaning"
        )


def _partial_words(result: SearchResult) -> str:
    like = " or of like meaning" if result.mode == "hybrid" else ""
    return f"With some of the words{like}"


def answer_document(answer: LocalAnswer) -> dict[str, Any]:
    """Return the document that `kb ask --to local --json` prints: the hits, and the answer."""
    return {
        **search_document(answer.found),
        "sentences": [asdict(sentence) for sentence in answer.sentences],
        "model": answer.model,
        "place": answer.place,
        "dropped": answer.dropped,
        "problem": answer.problem.record() if answer.problem else None,
        "no_model": answer.no_model.record() if answer.no_model else None,
    }


def print_local_answer(answer: LocalAnswer) -> None:
    """Print the sentences with their sources; without any, the passages that fit."""
    for sentence in answer.sentences:
        cited = sentence.citation
        out.print(Text(sentence.text))
        out.print(Text(f"    “{cited.text}”", style="dim"))
        place = f"{cited.title}, {format_timestamp(cited.start_s)}"
        place += "  on screen" if cited.origin == ON_SCREEN else ""
        out.print(Text(f"    {place}  {cited.deep_link}", style="dim"))
    if answer.dropped:
        print_note(
            f"Dropped, because it is not in the passages: {answer.dropped} of its sentences."
        )
    if answer.sentences:
        print_note(f"Written by {answer.model} at {answer.place} from {len(answer.found.hits)} "
                   "passages.")  # fmt: skip
        return
    if answer.no_model is not None:
        fitting = " The passages that fit best:" if answer.found.hits else ""
        print_note(f"{answer.no_model.message} {answer.no_model.hint}{fitting}")
    elif answer.problem is not None:
        print_warning(f"{answer.problem.message} {answer.problem.hint}")
    elif answer.model:
        print_note(f"{answer.model} at {answer.place} finds no answer in the library. The passages "
                   "that fit best:")  # fmt: skip
    print_search(answer.found)


def _print_hit(number: int, hit: Hit) -> None:
    out.print(
        Text.assemble(
            (f"{number}. ", "dim"),
            (hit.title, "bold"),
            f"  [{format_timestamp(hit.at_s)}]",
            (f"  {hit.speaker}" if hit.speaker else "", "cyan"),
            (f"  {hit.tier}" if hit.tier else "", "yellow"),
            ("  by meaning" if hit.by_meaning else "", "magenta"),
            ("  recurs in the channel" if hit.recurring else "", "yellow"),
            ("  on screen" if hit.origin == ON_SCREEN else "", "cyan"),
            (f"  {hit.origin}" if translated_language(hit.origin) else "", "cyan"),
            (f"  without: {', '.join(hit.missing)}" if hit.missing else "", "yellow"),
            (
                f"  {likely_wrong(hit.expected_errors)}" if hit.expected_errors is not None else "",
                "yellow",
            ),
        )
    )
    out.print(Text("   ").append_text(_highlighted(hit.snippet)))
    out.print(Text(f"   {hit.deep_link}", style="dim"))
    seconds = list(dict.fromkeys(int(one.at_s) for one in hit.occurrences))
    if len(seconds) > 1:
        times = " · ".join(format_timestamp(float(second)) for second in seconds)
        out.print(Text(f"   at {times}", style="dim"))


def _highlighted(snippet: str) -> Text:
    text = Text()
    for number, part in enumerate(re.split(r"\*\*(.+?)\*\*", snippet)):
        text.append(part, style="bold yellow" if number % 2 else "")
    return text
