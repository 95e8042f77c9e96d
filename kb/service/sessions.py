"""Sessions of the dashboard's password, kept on the server, and the devices that signed in before.

A cookie holds a random token, the file only a keyed hash of it. The key depends on the password,
so a new password ends every session. Ending a session removes its entry: a copy of its cookie is
worth nothing afterwards.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import KBError

SESSION_S = 30 * 86_400
DEVICE_S = 365 * 86_400
COOKIE = "kb_session"  # the cookie that holds the token
FOLDER, FILE = "dashboard", "sessions.json"
_MOST = 2_000  # entries of each kind; the oldest are dropped

log = logging.getLogger(__name__)


class Sessions:
    """The sessions of one library's dashboard; several servers of one library share them.

    Where the library folder is missing or cannot be written, sessions live as long as the process.
    `clock` returns epoch seconds.
    """

    def __init__(
        self, home: Path, password: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._home = home
        self._path = home / FOLDER / FILE
        self._key = hashlib.scrypt(
            password.encode(), salt=b"kb-ingest dashboard", n=2**14, r=8, p=1
        )
        self._clock = clock
        self._lock = threading.RLock()
        self._known: dict[str, dict[str, float]] = {"sessions": {}, "devices": {}}
        self._read_at: tuple[int, int] | None = None

    def start(self) -> str:
        """Begin a session; return its token."""
        return self._add("sessions", SESSION_S)

    def is_valid(self, token: str) -> bool:
        """Return whether a session with this token was started, and neither ended nor expired."""
        return self._has("sessions", token)

    def end(self, token: str) -> None:
        """End the session with this token."""
        self._change(lambda known: known["sessions"].pop(self._digest(token), None))

    def add_device(self) -> str:
        """Remember a device that has signed in; return its token."""
        return self._add("devices", DEVICE_S)

    def is_device(self, token: str) -> bool:
        """Return whether a device with this token has signed in before."""
        return self._has("devices", token)

    def name_of(self, token: str) -> str:
        """Return a short name of a session or device, which does not disclose its token."""
        return self._digest(token)[:8]

    def _digest(self, token: str) -> str:
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()

    def _add(self, kind: str, lifetime_s: float) -> str:
        token = secrets.token_urlsafe(32)
        until = self._clock() + lifetime_s
        self._change(lambda known: known[kind].update({self._digest(token): until}))
        return token

    def _has(self, kind: str, token: str) -> bool:
        if not token:
            return False
        with self._lock:
            self._read()
            return self._known[kind].get(self._digest(token), 0.0) > self._clock()

    def _change(self, action: Callable[[dict[str, dict[str, float]]], object]) -> None:
        with self._lock:
            if not self._home.is_dir():  # a missing disk must not get an empty library in its place
                action(self._known)
                return
            try:
                with storage.locked(self._path.with_suffix(".lock")):
                    self._read()
                    action(self._known)
                    self._write()
            except KBError as error:
                log.warning("Sessions are kept in memory only: %s", error.message)
                action(self._known)

    def _read(self) -> None:
        try:
            status = self._path.stat()
        except OSError:
            return
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp == self._read_at:
            return
        try:
            document = storage.read_json(self._path)
        except KBError as error:
            log.warning("The sessions of the dashboard cannot be read: %s", error.message)
            document = {}
        self._known = {kind: _entries(document.get(kind)) for kind in self._known}
        self._read_at = stamp

    def _write(self) -> None:
        now = self._clock()
        for kind, entries in self._known.items():
            alive = sorted((until, name) for name, until in entries.items() if until > now)
            self._known[kind] = {name: until for until, name in alive[-_MOST:]}
        storage.write_private(self._path, json.dumps({"version": 1, **self._known}) + "\n")
        status = self._path.stat()
        self._read_at = (status.st_mtime_ns, status.st_ino)


def _entries(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    return {
        str(name): float(until)
        for name, until in value.items()
        if isinstance(until, int | float) and not isinstance(until, bool)
    }
