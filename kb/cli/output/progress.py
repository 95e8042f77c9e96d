"""Progress on stderr: bars at a terminal, else a line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.text import Text

from kb.cli.output.console import STATE_STYLES, err
from kb.cli.output.times import format_span, with_next_try
from kb.errors import restored
from kb.service import ItemListener, ItemStatus
from kb.types.sentences import counted, decimal_size

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

    from kb.service.views import FetchState


LINE_EVERY_S = 30.0  # between two lines where standard error is no terminal


@contextmanager
def media_progress(
    title: str, *, shown: bool
) -> Iterator[tuple[Callable[[float], None], FetchDisplay]]:
    """Show a bar for one medium, and one for the fetch of its model.

    Call the first of the yielded functions with 0..1, the second with the state of the fetch.
    """
    with _bars(shown) as bars:
        task = bars.add_task(title, total=1.0)
        yield lambda done: bars.update(task, completed=done), FetchDisplay(bars)


@contextmanager
def fetch_progress(*, shown: bool) -> Iterator[FetchDisplay]:
    """Show a bar for the fetch of a model; call the yielded object with its state."""
    with _bars(shown) as bars:
        yield FetchDisplay(bars)


class FetchDisplay:
    """Lines and a bar for the fetch of a model; call it with each state."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._printed: set[str] = set()

    def __call__(self, state: FetchState) -> None:
        """Show a state: a line at its start and for each new trouble, else the bar."""
        if state.size and state.state == "fetching":
            self._print(
                f"Fetching {state.name}: {decimal_size(state.size - state.done)} of "
                f"{decimal_size(state.size)}, from {state.source} to {state.folder}",
                once=state.name,
            )
        if state.problem:
            problem = restored(state.problem.get("error", ""), state.problem.get("hint", ""))
            wait = ""
            if state.next_try:
                at = time.strftime("%H:%M:%S", time.localtime(state.next_try))
                wait = f" Next try at {at}."
            self._print(f"{problem.message}{wait}", once=f"{problem.message}{state.next_try}")
        task = self._tasks.get(state.name)
        if task is None:
            task = self._tasks[state.name] = self._bars.add_task(state.name, total=1.0)
        self._bars.update(task, completed=state.share, description=fetch_line(state, left=False))

    def show_all(self, states: Sequence[FetchState]) -> None:
        """Show the fetches of other processes, and no longer those that have ended."""
        running = [state for state in states if state.is_running]
        for state in running:
            self(state)
        for name in self._tasks.keys() - {state.name for state in running}:
            self._bars.remove_task(self._tasks.pop(name))

    def _print(self, line: str, once: str) -> None:
        if once not in self._printed:
            self._printed.add(once)
            self._bars.console.print(Text(line, style="dim"), soft_wrap=True)


def fetch_line(state: FetchState, *, left: bool = True) -> str:
    """Return the state of a fetch as one line, with the time that is `left`."""
    what: str = "the last try failed" if state.state == "failed" else state.state
    if state.state == "fetching" and state.done and not state.bytes_per_s:
        what = "fetching, and no bytes arrive"
    words = [f"Model {state.name}: {what}"]
    if state.size:
        words.append(f"{decimal_size(state.done)} of {decimal_size(state.size)}")
    if state.state == "fetching" and state.bytes_per_s > 0:
        words.append(f"{decimal_size(int(state.bytes_per_s))}/s")
        if state.left_s is not None and left:
            words.append(f"{state.left_s:.0f} s left")
    if state.state == "waiting" and state.next_try:
        words.append(f"next try in {max(0.0, state.next_try - time.time()):.0f} s")
    return "  ".join(words)


@contextmanager
def byte_progress(what: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for work on files; call the yielded function with bytes done and of all."""
    with _bars(shown) as bars:
        task = bars.add_task(what, total=1.0)
        yield lambda done, total: bars.update(task, completed=float(done), total=float(total or 1))


@contextmanager
def ingest_progress(total: int, *, shown: bool) -> Iterator[tuple[ItemListener, FetchDisplay]]:
    """Show a bar for each running item and one for all items; print a line for each ended item.

    An item that waits has a line for each reason, with the time of the next try.

    Yield the listener of items, and the display for the fetches of their models.
    """
    with _bars(shown) as bars:
        overall = bars.add_task(f"{'all':10} {counted(total, 'item')}", total=float(total))
        tasks: dict[str, TaskID] = {}
        finished: set[str] = set()
        waiting: set[tuple[str, str]] = set()
        hints: set[str] = set()  # each is printed once: one cause can hold thousands of items

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
            if status.state == "waiting":
                if (status.id, status.error) in waiting:
                    return
                waiting.add((status.id, status.error))
            else:
                finished.add(status.id)
            bars.update(overall, completed=float(len(finished)))
            style = STATE_STYLES.get(status.state, "")
            reason = _reason(status) if status.state == "waiting" else ""
            line = Text.assemble((f"{status.state:9}", style), status.title, reason)
            bars.console.print(line, soft_wrap=True)
            if status.state == "waiting" and status.hint and status.hint not in hints:
                hints.add(status.hint)
                bars.console.print(Text(f"{'':9}→ {status.hint}"), soft_wrap=True)

        yield listen, FetchDisplay(bars)


def _reason(status: ItemStatus) -> str:
    """Return why an item waits, and until when, after its title; empty if neither is known."""
    if not status.error and status.wait_until is None:
        return ""
    return f": {with_next_try(status.error, status.wait_until).strip()}"


def print_steps(counts: Mapping[str, int]) -> None:
    """Print which steps after the words are waited for, and of how many items."""
    each = [f"{step} of {counted(counts[step], 'item')}" for step in sorted(counts)]
    what = "step" if len(each) == 1 else "steps"
    err.print(Text(f"Waiting for the {what} {', '.join(each)}", style="dim"), soft_wrap=True)


@contextmanager
def steps_progress(*, shown: bool) -> Iterator[Callable[[Mapping[str, int]], None]]:
    """Show a bar with the time left for steps; the yielded function gets what is still to do."""
    with _bars(shown) as bars:
        task = bars.add_task("steps", total=None, visible=False)
        most = 0

        def listen(counts: Mapping[str, int]) -> None:
            nonlocal most
            left = sum(counts.values())
            most = max(most, left)
            print_steps(counts)
            bars.update(task, total=float(most), completed=float(most - left), visible=True)

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
                bars.console.print(Text.assemble((f"{state:9}", STATE_STYLES["failed"]), item_id))

        yield update


@contextmanager
def share_progress(what: str, *, shown: bool) -> Iterator[Callable[[float], None]]:
    """Show one bar with the time left; the yielded function gets the finished share, 0..1."""
    with _bars(shown) as bars:
        task = bars.add_task(what, total=1.0)
        yield lambda share: bars.update(task, completed=share)


@contextmanager
def _bars(shown: bool) -> Iterator[Progress]:
    """Yield bars; where none can be shown, a line says now and then how far the work is."""
    from rich.progress import (  # slow to import, and most commands show none
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not shown,
    )
    if shown:
        with bars:
            yield bars
        return
    ended = threading.Event()
    reporter = threading.Thread(target=_report, args=(bars, ended), daemon=True)
    reporter.start()
    try:
        yield bars
    finally:
        ended.set()
        reporter.join()


def _report(bars: Progress, ended: threading.Event) -> None:
    """Print a line for each task that is under way, until the work has ended."""
    while not ended.wait(LINE_EVERY_S):
        for task in bars.tasks:
            if not task.finished and task.total:
                err.print(Text(task_line(task), style="dim"), soft_wrap=True)


def task_line(task: Task) -> str:
    """Return how far a task is, with the time that it has taken and that is left."""
    words = [" ".join(task.description.split()), f"{task.percentage:.0f} %"]
    if task.elapsed is not None:
        words.append(f"after {format_span(round(task.elapsed))}")
    if task.time_remaining is not None:
        words.append(f"about {format_span(round(task.time_remaining))} left")
    return "  ".join(words)
