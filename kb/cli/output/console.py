"""Output of the commands: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import IO, Any, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from kb.errors import KBError
from kb.types.guarded_output import unguarded
from kb.types.safe_text import hide_credentials, printable_json, shown


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

STATE_STYLES = {
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
    "dismissed": "dim",
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
