"""The last lines of the log files, without secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kb.service.keys import Keys
from kb.settings import Settings
from kb.sources.redact import redact

TAIL_BYTES, TAIL_LINES = 64_000, 300


@dataclass
class Logs:
    """The logs of one library."""

    settings: Settings
    keys: Keys

    def path(self, name: str) -> Path:
        """Return the file of the log `worker` or `tasks`."""
        return self.settings.home / "logs" / f"{name}.log"

    def tail(self, name: str) -> list[str]:
        """Return the last lines of a log; an empty list without the file."""
        return tail(self.path(name), self.keys.secrets())


def tail(path: Path, secrets: Iterable[str]) -> list[str]:
    """Return the last lines of a file with `secrets` replaced; an empty list without the file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    hidden = tuple(secrets)
    if size > TAIL_BYTES:
        lines = lines[1:]  # the first line may be incomplete and start in the middle of a secret
    return [_indentation(line) + redact(line, hidden) for line in lines[-TAIL_LINES:]]


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]
