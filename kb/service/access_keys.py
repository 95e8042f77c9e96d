"""Keys of the HTTP API: made, listed and revoked; found by the server; charged by their use."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kb.database import DATABASE_NAME, Database
from kb.errors import LibraryError, UsageError
from kb.jobs.queue.access_keys import PREFIX as PREFIX
from kb.jobs.queue.access_keys import SCOPES as SCOPES
from kb.jobs.queue.access_keys import AccessKey as AccessKey
from kb.jobs.queue.access_keys import AccessKeys, digest_of
from kb.jobs.queue.access_keys import Charge as Charge
from kb.jobs.queue.access_keys import KeyUse as KeyUse
from kb.settings import Settings

log = logging.getLogger(__name__)

FRESH_S = 2.0  # a revoked key is refused after this time in every process
LONGEST_NAME = 80


@dataclass
class Access:
    """The keys of one library. Safe from several threads."""

    settings: Settings
    _database: Database | None = None
    _keys: dict[str, AccessKey] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def _store(self) -> AccessKeys:
        # Of its own: nothing is made or filled where keys are only asked for.
        if self._database is None:
            self._database = Database.open(self.settings, create=False)
        return AccessKeys(self._database)

    @property
    def _has_store(self) -> bool:
        url = self.settings.database_url.get_secret_value()
        return bool(url) or (self.settings.home / DATABASE_NAME).is_file()

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def add(
        self,
        name: str,
        scopes: Sequence[str] = (),
        *,
        day_s: float | None = None,
        month_s: float | None = None,
        at_once: int | None = None,
    ) -> tuple[AccessKey, str]:
        """Make a key with these scopes (without one: speech); return it and its secret.

        Raises UsageError for a name, a scope or a quota that cannot be used, and LibraryError.
        """
        shown = " ".join(name.split())
        if not shown or len(shown) > LONGEST_NAME or not shown.isprintable():
            raise UsageError(
                "access.name",
                "A key needs a name of at most {most} characters.",
                hint="Name the program or the person that gets it.",
                most=LONGEST_NAME,
            )
        for scope in scopes:
            if scope not in SCOPES:
                raise UsageError(
                    "access.scope",
                    "{scope!r} is no scope of a key.",
                    hint="Scopes: {known}.",
                    scope=scope[:40],
                    known=", ".join(SCOPES),
                )
        for quota_s in (day_s, month_s):
            if quota_s is not None and not 0 < quota_s < float("inf"):
                raise UsageError(
                    "access.quota",
                    "A quota is a number of hours above 0.",
                    hint="Leave it out for a key without a quota.",
                )
        if at_once is not None and at_once < 1:
            raise UsageError(
                "access.at_once",
                "A key may have at least one transcription at once.",
                hint="Leave it out for a key without a limit.",
            )
        chosen = tuple(each for each in SCOPES if each in scopes) or SCOPES[:1]
        return self._store.add(shown, chosen, day_s=day_s, month_s=month_s, at_once=at_once)

    def all(self) -> list[tuple[AccessKey, KeyUse]]:
        """Return the keys with their use, the oldest first. Raises LibraryError."""
        if not self._has_store:
            return []
        use = self._store.use()
        return [(key, use.get(key.id, KeyUse())) for key in self._store.all()]

    def revoke(self, name: str) -> AccessKey:
        """Revoke a key by its id or its name. Raises UsageError and LibraryError."""
        valid = [key for key, _ in self.all() if key.revoked_at is None]
        found = [key for key in valid if name == key.id] or [k for k in valid if name == k.name]
        if len(found) != 1 or not self._store.revoke(found[0].id):
            raise UsageError(
                "access.which",
                "{count} valid keys are called {name!r}.",
                hint="Give the id of one: kb keys list",
                count=len(found),
                name=name[:80],
            )
        return found[0]

    def any_made(self) -> bool:
        """Return True if a key was ever made, valid or not: then a server asks for keys.

        To revoke the last one must not open the server. Raises LibraryError.
        """
        return bool(self._present())

    def any_valid(self) -> bool:
        """Return True if there is a valid key. Raises LibraryError."""
        return any(key.revoked_at is None for key in self._present().values())

    def find(self, secret: str) -> AccessKey | None:
        """Return the valid key with this secret. Raises LibraryError."""
        found = self._present().get(digest_of(secret))
        return found if found is not None and found.revoked_at is None else None

    def get(self, key_id: str) -> AccessKey | None:
        """Return the key with this id. Raises LibraryError."""
        return next((key for key in self._present().values() if key.id == key_id), None)

    @property
    def is_fresh(self) -> bool:
        """True if `find` asks no database now."""
        return time.monotonic() - self._read_at < FRESH_S

    def take(self, key_id: str, seconds: float) -> Charge | None:
        """Count sound for a key before the work; None for a key without stored use.

        Raises QuotaUsedUp and LibraryError.
        """
        key = self.get(key_id)
        if key is None:
            return None
        charge = self._store.take(key, seconds)
        if charge is None:
            raise QuotaUsedUp(
                "access.quota_used_up",
                "The key's quota of sound has no room for this recording.",
                hint="A day begins at 0:00 UTC; kb keys list shows quotas and use.",
            )
        return charge

    def take_file(self, key_id: str, path: Path, *, measured: bool = False) -> Charge | None:
        """Count the sound of a file by the length that it declares; see `take`.

        Without a quota the length is not needed before the work, unless `measured`.
        Raises QuotaUsedUp, LibraryError and MediaUnavailable.
        """
        key = self.get(key_id)
        if key is None:
            return None
        from kb.media.probe import probe

        return self.take(
            key_id, (probe(path).duration_s or 0.0) if key.has_quota or measured else 0.0
        )

    def take_reference(self, key_id: str, reference: str | Path) -> Charge | None:
        """Count the sound of a file, or ask for any room at all for that of a link; see `take`."""
        if isinstance(reference, Path):
            return self.take_file(key_id, reference, measured=True)
        return self.take(key_id, 0.0)

    def take_more(self, charge: Charge, seconds: float) -> Charge:
        """Count further sound for a key before the work; see `take`."""
        more = self.take(charge.key_id, seconds)
        return charge if more is None else replace(more, seconds=charge.seconds + more.seconds)

    def bind(self, charge: Charge, job_id: str, seconds: float) -> None:
        """Count the expected sound of a job until it has ended; see `settle`."""
        try:
            self._store.bind(charge, job_id, seconds)
        except LibraryError as error:
            log.warning("The use of a key cannot be noted: %s", error.message)

    def read_s(self) -> dict[str, float]:
        """Return the seconds of sound of ended work by the ids of keys. Raises LibraryError."""
        return self._store.read_s() if self._has_store else {}

    def most_at_once(self, key_id: str) -> int | None:
        """Return how many transcriptions of a key may be under way, None without a limit."""
        key = self.get(key_id)
        return key.at_once if key is not None else None

    def settle(self, charge: Charge | None, seconds: float) -> None:
        """Count the seconds that were read instead of those taken before.

        Without the database those taken before stay counted.
        """
        if charge is None:
            return
        try:
            self._store.settle(charge, seconds)
        except LibraryError as error:
            log.warning("The use of a key cannot be settled: %s", error.message)

    def _present(self) -> dict[str, AccessKey]:
        with self._lock:
            if not self.is_fresh:
                if self._has_store:  # else those of before: its folder may come back
                    self._keys = self._store.by_digest()
                self._read_at = time.monotonic()
            return self._keys


class QuotaUsedUp(UsageError):
    """The quota of a key is used up."""


def keys_exist(settings: Settings) -> bool:
    """Return True if KB_API_KEYS or the library has a valid key. Raises LibraryError."""
    if settings.api_key_texts:
        return True
    access = Access(settings)
    try:
        return access.any_valid()
    finally:
        access.close()
