"""The log of who did what in a library: JSON lines that are only ever appended to.

    {"at": "2026-03-01T09:30:00Z", "who": "ann@example.org", "what": "publish", "items": [...]}

The file has the rights of the library's other files (see `kb.storage.permissions`): private, or for
all accounts that write to the library, so that the actions of each are recorded. An action is never
refused because its line cannot be written; the failure is logged.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kb.errors import LibraryError
from kb.storage.permissions import umask_for
from kb.storage.places import held

log = logging.getLogger(__name__)

FOLDER, FILE = "logs", "audit.jsonl"
_MOST_NAMES = 50  # ids listed in one line; their number is given too


def current_user() -> str:
    """Return the name of this process's account."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name
        return "unknown"


class AuditLog:
    """The log of one library; `who` is the person whose actions this object records."""

    def __init__(self, home: Path, who: str) -> None:
        self.home = home
        self.path = home / FOLDER / FILE
        self.who = who

    def record(self, what: str, items: Sequence[str] = (), *, who: str = "", **facts: Any) -> None:
        """Append one line: `what` was done to `items`, with further facts.

        Facts that are empty are left out. `who` replaces the person of this object.
        """
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "who": who or self.who,
            "what": what,
        }
        if items:
            line["count"] = len(items)
            line["items"] = list(items[:_MOST_NAMES])
        line |= {name: value for name, value in facts.items() if value not in ("", None)}
        if not self.home.is_dir():  # a missing disk must not get an empty library in its place
            log.warning("Not in the log of actions, the library folder is missing: %s", what)
            return
        try:
            text = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace")
            with held(self.path) as real:
                real.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                rights = 0o666 & ~umask_for(self.home, group=False)
                handle = os.open(real, flags, rights)
                try:
                    os.write(handle, text)  # one write appends the line whole, also beside others
                finally:
                    os.close(handle)
        except OSError as error:
            log.warning("Not in the log of actions (%s): %s", error.strerror or error, what)
        except LibraryError as error:
            log.warning("Not in the log of actions (%s): %s", error.message, what)

    def read(self, limit: int | None = None) -> list[Mapping[str, Any]]:
        """Return the last `limit` lines (all for None), the oldest first."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                lines = deque(file, limit)
        except OSError:
            return []
        return [_parsed(line) for line in lines if line.strip()]


def _parsed(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"at": "", "who": "", "what": line.strip()}
