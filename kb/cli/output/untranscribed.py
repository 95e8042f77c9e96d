"""An item without a transcript: its state in the queue, its error and its tries."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kb.cli.output.console import out, print_note
from kb.cli.output.items import print_problems
from kb.cli.output.tries import tries_text
from kb.service import ItemStatus

if TYPE_CHECKING:
    from kb.service.views import LibraryEntry

# Of an item without an entry in the library.
_NOTHING: dict[str, Any] = {
    "published": "", "url": "", "grade": "", "expected_errors": None, "media_path": None,
    "retention": None, "publish": {}, "transcript": None,
}  # fmt: skip


def tries_document(status: ItemStatus | None) -> dict[str, Any]:
    """Return the tries of an item as `kb show --json` has them; empty for one without a row."""
    if status is None:
        return {}
    return {
        "queue_state": status.state,
        "attempts": status.attempts,
        "failing_since": status.failing_since,
        "next_try_at": status.wait_until,
        "retried_until": status.retried_until,
    }


def untranscribed_document(status: ItemStatus) -> dict[str, Any]:
    """Return an item that has no entry in the library as `kb show --json` shows it."""
    found = asdict(status)
    kept = {name: found[name] for name in ("id", "title", "state", "error", "hint", "problem")}
    return {**_NOTHING, **kept, "machine": status.machine, **tries_document(status)}


def show_untranscribed(status: ItemStatus, entry: LibraryEntry | None = None) -> None:
    """Print an item that has no transcript yet."""
    published = f", {entry.item.published}" if entry is not None and entry.item.published else ""
    print_note(f"{status.title}  ({status.id}{published})")
    stage = f", stage {status.stage}" if status.stage else ""
    out.print(f"{status.state}{stage}; it has no transcript yet.")
    if status.error:
        print_problems([status])
    elif said := tries_text(status):
        out.print(said)
