"""Progress bars on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from kb.cli.output.console import STATE_STYLES, err
from kb.service import ItemListener, ItemStatus


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
            style = STATE_STYLES.get(status.state, "")
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
                bars.console.print(Text.assemble((f"{state:9}", STATE_STYLES["failed"]), item_id))

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
