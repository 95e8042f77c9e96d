"""Output of the commands: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any, cast

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from kb.cli.output.machine import machine_lines
from kb.errors import KBError
from kb.service import IngestReport, ItemListener, ItemStatus, SearchResult, Service
from kb.service.notation import format_timestamp
from kb.service.results import Publication
from kb.types import Hit, Transcript
from kb.types.guarded_output import unguarded
from kb.types.safe_text import hide_credentials, printable_json, shown

if TYPE_CHECKING:
    from pathlib import Path

    from kb.service.views import CrashLoop


class GuardedConsole(Console):
    """A console whose text comes out without control sequences of strangers, and its own colours.

    Every text that is printed passes through `render`, in tables and progress bars too.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown(segment.text))

    @property
    def file(self) -> IO[str]:
        # The stream's own guard would remove the colours too.
        return cast("IO[str]", unguarded(super().file))

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file


out = GuardedConsole(highlight=False, emoji=False, soft_wrap=True)
err = GuardedConsole(stderr=True, highlight=False, emoji=False)

_STYLE = {
    "done": "green",
    "held": "yellow",
    "failed": "red",
    "running": "cyan",
    "synced": "green",
    "syncing": "cyan",
    "sending": "cyan",
    "waiting": "yellow",
    "changed": "yellow",
    "paused": "yellow",
    "cancelled": "dim",
    "ok": "green",
    "warn": "yellow",
    "fail": "red",
}


def print_json(document: Any) -> None:
    """Print one JSON document on stdout; letters are not escaped, control characters are."""
    print(printable_json(json.dumps(_without_passwords(document), ensure_ascii=False, indent=2)))


def _without_passwords(value: Any) -> Any:
    """Return JSON values whose texts have no passwords in addresses."""
    if isinstance(value, str):
        return hide_credentials(value)
    if isinstance(value, Mapping):
        return {key: _without_passwords(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_passwords(each) for each in value]
    return value


def print_error(error: KBError) -> None:
    """Print the message and, on a line of its own, the next step."""
    err.print(Text.assemble(("Error: ", "bold red"), error.message), soft_wrap=True)
    if error.hint:
        err.print(Text.assemble(("  → ", "bold"), error.hint), soft_wrap=True)


def print_warning(message: str) -> None:
    err.print(Text.assemble(("Warning: ", "bold yellow"), message), soft_wrap=True)


def print_note(message: str) -> None:
    """Print a message for the user on stderr."""
    err.print(Text(message), soft_wrap=True)


def status_document(status: ItemStatus) -> dict[str, Any]:
    """Return an item's status as `kb status --json` shows it."""
    document = asdict(status)
    document["progress"] = round(status.progress, 4)
    document["share"] = round(status.share, 4)
    document["publish"] = {
        publication.pop("sink"): publication for publication in document.pop("publications")
    }
    return document


def report_document(report: IngestReport) -> dict[str, Any]:
    """Return the document that `kb ingest --json` prints.

    Counts of 0 and an empty list of notes are left out.
    """
    counts = {"rejected": report.rejected, "unavailable": report.unavailable}
    notes = {"notes": list(report.notes)} if report.notes else {}
    return {
        "enqueued": list(report.enqueued),
        "skipped": [asdict(skipped) for skipped in report.skipped],
        "items": [status_document(item) for item in report.items],
        "refused": [e.record() for e in report.refused],
        **{key: count for key, count in counts.items() if count},
        **notes,
    }


def search_document(result: SearchResult) -> dict[str, Any]:
    """Return the document that `kb search --json` prints."""
    unknown = [{"word": one.word, "similar": list(one.similar)} for one in result.unknown]
    return {
        "query": result.query,
        "mode": result.mode,
        "took_ms": result.elapsed_ms,
        "hits": [
            {
                "item_id": hit.item_id,
                "title": hit.title,
                "start": hit.start_s,
                "end": hit.end_s,
                "at": hit.at_s,
                "text": hit.text,
                "snippet": hit.snippet,
                "score": round(hit.score, 4),
                "deep_link": hit.deep_link,
                "path": hit.path,
                **({"tier": hit.tier} if hit.tier else {}),
                "missing": list(hit.missing),
                "occurrences": [
                    {"at": one.at_s, "text": one.text, "deep_link": one.deep_link}
                    for one in hit.occurrences
                ],
            }
            for hit in result.hits
        ],
        **({"has_more": True} if result.has_more else {}),
        **({"unknown_words": unknown} if unknown else {}),
    }


def print_search(result: SearchResult) -> None:
    """Print hits: title and time, the snippet with the hit in bold, the link.

    Passages with all words come first, those with some of them below a heading.
    """
    for unknown in result.unknown:
        similar = f" Did you mean {', '.join(unknown.similar)}?" if unknown.similar else ""
        print_note(f"No passage has {unknown.word!r}.{similar}")
    if not result.hits:
        print_note(f"Nothing found for {result.query!r}.")
        return
    for number, hit in enumerate(result.complete, start=1):
        _print_hit(number, hit)
    if result.partial:
        out.print(Text(f"With some of the words ({len(result.partial)}):", style="bold"))
    for number, hit in enumerate(result.partial, start=len(result.complete) + 1):
        _print_hit(number, hit)
    found = len(result.complete)
    some = f", {len(result.partial)} with some words" if result.partial else ""
    noun = "passage" if found == 1 else "passages"
    more = " There are more: raise --limit." if result.has_more else ""
    print_note(f"{found} {noun}{some} in {result.elapsed_ms:.0f} ms.{more}")


def _print_hit(number: int, hit: Hit) -> None:
    out.print(
        Text.assemble(
            (f"{number}. ", "dim"),
            (hit.title, "bold"),
            f"  [{format_timestamp(hit.at_s)}]",
            (f"  {hit.tier}" if hit.tier else "", "yellow"),
            (f"  without: {', '.join(hit.missing)}" if hit.missing else "", "yellow"),
        )
    )
    out.print(Text("   ").append_text(_highlighted(hit.snippet)))
    out.print(Text(f"   {hit.deep_link}", style="dim"))
    seconds = list(dict.fromkeys(int(one.at_s) for one in hit.occurrences))
    if len(seconds) > 1:
        times = " · ".join(format_timestamp(float(second)) for second in seconds)
        out.print(Text(f"   at {times}", style="dim"))


def status_view(
    service: Service,
    state: str | None,
    limit: int | None,
    items: Sequence[ItemStatus] | None = None,
) -> Group:
    """Return totals, the reasons of paused lanes, and one table of items."""
    if items is None:
        items = service.items.statuses(state=state, limit=limit)
    counts = {name: count for name, count in service.queue.counts().items() if count}
    alive = service.queue.workers()
    head = Text("  ".join(f"{count} {name}" for name, count in counts.items()) or "no items")
    head.append(f"  ·  {len(alive)} worker{'s' * (len(alive) != 1)}", style="dim")
    lines: list[Text | Table] = [head]
    if alive:
        lines += machine_lines(service.machines.with_workers(), service.presets.readable())
    for sink, found in service.queue.outbox.counts().items():
        if sink != "local":
            words = "  ".join(f"{count} {status}" for status, count in found.items())
            lines.append(Text(f"{sink}: {words}", style="dim"))
    for loop in service.queue.crash_loops():
        lines.append(Text(crash_loop_text(loop, service.workers.log_file), style="red"))
    for lane in service.queue.lanes():
        until = "" if lane.until > 4e9 else time.strftime(" until %d %b %H:%M", _local(lane.until))
        lines.append(Text(f"The {lane.name} lane is paused{until}: {lane.reason}", style="yellow"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "title", "stage", "state"):
        table.add_column(column, overflow="fold" if column == "id" else "ellipsis")
    table.add_column("done", justify="right")
    table.add_column("grade", justify="center")
    table.add_column("published")
    for item in items:
        label = item.state
        if item.state == "waiting" and item.wait_until:
            label += time.strftime(" until %d %b %H:%M", _local(item.wait_until))
        style = _STYLE.get(item.state, "")
        done = f"{item.share:.0%}"
        table.add_row(
            Text(item.id), Text(item.title), item.stage, Text(label, style=style), done, item.grade,
            _published(item.publications),
        )  # fmt: skip
    lines.append(table)
    return Group(*lines)


def _published(publications: Sequence[Publication]) -> Text:
    """Return the knowledge bases of an item, with its state there: `local, odin waiting`.

    The state is omitted if the item is published.
    """
    text = Text()
    for publication in publications:
        text.append(", " if text else "")
        text.append(publication.sink, style=_STYLE.get(publication.status, ""))
        if publication.status != "synced":
            text.append(f" {publication.status}", style=_STYLE.get(publication.status, ""))
        if publication.changed and publication.status != "changed":
            text.append(" (changed)", style="yellow")
    return text


def crash_loop_text(loop: CrashLoop, log_file: Path) -> str:
    """Return the sentence for a worker that ends again and again."""
    minutes = max(1, round((time.time() - loop.since) / 60))
    done = f"{loop.finished} items were finished" if loop.finished else "no item was finished"
    return (
        f"Worker {loop.executor_id} ended {loop.count} times in {minutes} min without signing "
        f"off, and {done}: something kills it, or it crashes. See {log_file}"
    )


def _local(seconds: float) -> time.struct_time:
    return time.localtime(seconds)


def print_report(report: IngestReport, *, waited: bool) -> None:
    """Print the items queued, the items skipped and, after waiting, how each ended."""
    for skipped in report.skipped:
        print_note(f"{skipped.id}: {skipped.reason}")
    for note in report.notes:
        print_note(note)
    if not report.enqueued and not report.refused and not report.items:
        if not waited:
            print_note("0 queued.")
        print_note(_nothing_to_do(report))
        return
    if not waited:
        print_note(f"{len(report.enqueued)} queued.")
        return
    print_problems(report.items)
    state_counts: dict[str, int] = {}
    for item in report.items:
        state_counts[item.state] = state_counts.get(item.state, 0) + 1
    words = ", ".join(f"{count} {state}" for state, count in state_counts.items())
    if words:
        print_note(words)


def _nothing_to_do(report: IngestReport) -> str:
    """Return the reason why an ingest queued nothing."""
    if report.skipped or report.known:
        if report.rejected:
            return "Nothing to do: everything that passes the filters is already in the library."
        return "Nothing to do: everything is already in the library."
    if report.rejected:
        return f"Nothing to do: none of the {report.rejected:,} listed media passes the filters."
    if report.unavailable:
        return "Nothing to do: everything that is listed is private or removed."
    return "Nothing to do: nothing is listed there."


def print_problems(items: Sequence[ItemStatus]) -> None:
    """Print why items failed or are held, the errors of publications, and the next steps."""
    for item in items:
        _print_problem(item.state, item.title, item.error, item.hint)
        for publication in item.publications:
            if publication.status != "held":  # the error of the item gives the reason
                state = f"{publication.sink} {publication.status}"
                _print_problem(
                    state,
                    item.title,
                    publication.error,
                    publication.hint,
                    _STYLE.get(publication.status),
                )


def _print_problem(state: str, title: str, error: str, hint: str, style: str | None = None) -> None:
    if error:
        style = style or _STYLE.get(state, "bold")
        out.print(Text.assemble((f"{state}: ", style), (title, "bold")))
        out.print(Text(f"  {error}"))
        if hint:
            out.print(Text(f"  → {hint}"))


def print_uncertain_spans(transcript: Transcript, limit: int = 10) -> None:
    """Print the uncertain spans with their reasons; nothing if there are none."""
    spans = transcript.doubtful_spans
    if not spans:
        return
    flags = [sign for window in transcript.windows for sign in window.flags]
    total_s = sum(span.duration_s for span in spans)
    print_note(f"Doubtful: {total_s:.1f} s in {len(spans)} places")
    for span in spans[:limit]:
        names = {s.name for s in flags if s.start_s < span.end_s and s.end_s > span.start_s}
        reasons = ", ".join(sorted(names)) or "no words"
        print_note(
            f"  {format_timestamp(span.start_s)} - {format_timestamp(span.end_s)}  {reasons}"
        )
    if len(spans) > limit:
        print_note(f"  … and {len(spans) - limit} more (see --json)")


def print_checks(checks: Sequence[Any]) -> None:
    """Print the checks of `kb doctor`; each failed one with the command that repairs it."""
    for check in checks:
        out.print(
            Text.assemble(
                (f"{check.state:5}", _STYLE.get(check.state, "")),
                (f"{check.name:22}", "bold"),
                check.detail,
            )
        )
        if check.fix:
            out.print(Text(f"{'':27}→ {check.fix}"))


@contextmanager
def media_progress(title: str, *, shown: bool) -> Iterator[Callable[[float], None]]:
    """Show a bar for one medium; call the yielded function with 0..1."""
    with _bars(shown) as bars:
        task = bars.add_task(title, total=1.0)
        yield lambda done: bars.update(task, completed=done)


@contextmanager
def byte_progress(what: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for work on files; call the yielded function with bytes done and of all."""
    with _bars(shown) as bars:
        task = bars.add_task(what, total=1.0)
        yield lambda done, total: bars.update(task, completed=float(done), total=float(total or 1))


@contextmanager
def ingest_progress(total: int, *, shown: bool) -> Iterator[ItemListener]:
    """Show a bar for each running item and one for all items; print a line for each ended item."""
    with _bars(shown) as bars:
        overall = bars.add_task(f"{'all':10} {total} items", total=float(total))
        tasks: dict[str, TaskID] = {}
        finished: set[str] = set()

        def listen(status: ItemStatus) -> None:
            if status.state in ("queued", "running"):
                task = tasks.get(status.id)
                if task is None and status.state == "running":
                    task = tasks[status.id] = bars.add_task(status.title, total=1.0)
                if task is not None:
                    text = f"{status.stage:10} {status.title}"
                    bars.update(task, completed=status.share, description=text)
                return
            if status.id in tasks:
                bars.remove_task(tasks.pop(status.id))
            finished.add(status.id)
            bars.update(overall, completed=float(len(finished)))
            style = _STYLE.get(status.state, "")
            bars.console.print(Text.assemble((f"{status.state:9}", style), status.title))

        yield listen


@contextmanager
def count_progress(
    what: str, total: int, *, shown: bool
) -> Iterator[Callable[[str, str, int, int], None]]:
    """Show one bar for `total` items; the yielded function is a progress callback."""
    with _bars(shown) as bars:
        task = bars.add_task(what, total=float(total))

        def update(item_id: str, state: str, number: int, total: int) -> None:
            bars.update(task, completed=float(number), total=float(total))
            if state == "failed":
                bars.console.print(Text.assemble((f"{state:9}", _STYLE["failed"]), item_id))

        yield update


def _bars(shown: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not shown,
    )


def _highlighted(snippet: str) -> Text:
    text = Text()
    for number, part in enumerate(re.split(r"\*\*(.+?)\*\*", snippet)):
        text.append(part, style="bold yellow" if number % 2 else "")
    return text
