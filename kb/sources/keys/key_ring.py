"""The ring of YouTube Data API keys: the key to use now, and the units each has spent today.

A key is stored in the user's file or environment only. The database identifies it by the first
digits of its SHA-256, the reports by its first and last four characters. All processes of the
library share states and counts, which survive restarts.

Google counts units per Cloud project and renews them at midnight Pacific time. The ring
rotates only when a key's daily quota is used up; several projects of one owner that only
multiply the quota are against the service's terms.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from kb import storage
from kb.database import Database, api_keys
from kb.errors import QuotaExhausted, SettingsError
from kb.settings import Settings, env_folder
from kb.sources.pasted_text import pasted
from kb.types.clock import has_come

PACIFIC = ZoneInfo("America/Los_Angeles")
# The characters that a key may have: an HTTP header cannot carry others.
_KEY = re.compile(r"[0-9A-Za-z_.~+/=-]{16,200}")

# A line of an environment file or of notes: `YT_API_KEY=…`, `export KEY_1 = …`, `key: …`.
_NAMED = re.compile(r"(?:(?:export|set)\s+)?[A-Za-z_][\w .-]{0,40}\s*[=:]\s*(.+)")

NEWS_EVERY_S = 86_400.0
USUAL_UNITS = 10_000  # a day of a project, unless Google granted more
_said_at: dict[tuple[str, str, str], float] = {}  # library, key and reason: monotonic time

KeyState = Literal["ready", "exhausted", "invalid"]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. Only the field `secret` has its text, and `str` and `repr` do not show it."""

    secret: str = field(repr=False)
    fingerprint: str
    shown: str

    @classmethod
    def of(cls, secret: str) -> ApiKey:
        """Return the key with its fingerprint and its short form."""
        digest = hashlib.sha256(secret.encode()).hexdigest()
        return cls(secret, digest[:16], f"{secret[:4]}…{secret[-4:]}")

    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """The state of a key; it is used again from `until` (epoch seconds), never if None."""

    shown: str
    state: KeyState
    units_today: int
    until: float | None = None
    reason: str = ""

    @property
    def allowance(self) -> int | None:
        """The units of a day: of a key that is used up what it had, else the usual number.

        None for a key that has spent more than that and is not used up: Google granted it more.
        """
        if self.state == "exhausted":
            return self.units_today
        return USUAL_UNITS if self.units_today <= USUAL_UNITS else None


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """The quota of one day in all keys that can be used: `spent` of the `keys` are used up.

    `allowance` is the units that they have a day, None if that of one of them is not known.
    """

    units_today: int
    keys: int
    spent: int
    allowance: int | None


def quota_use(statuses: Iterable[KeyStatus]) -> QuotaUse | None:
    """Return the quota of today, None without a key that can be used."""
    usable = [each for each in statuses if each.state != "invalid"]
    if not usable:
        return None
    known = [each.allowance for each in usable if each.allowance is not None]
    return QuotaUse(
        units_today=sum(each.units_today for each in usable),
        keys=len(usable),
        spent=sum(each.state == "exhausted" for each in usable),
        allowance=sum(known) if len(known) == len(usable) else None,
    )


def next_reset(now: float) -> float:
    """Return the next midnight in Los Angeles in epoch seconds, for `now` in epoch seconds."""
    today = datetime.fromtimestamp(now, PACIFIC).date()
    midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), PACIFIC)
    return midnight.timestamp()


def pacific_day(now: float) -> str:
    """Return the ISO date in Los Angeles, by which quota is counted."""
    return datetime.fromtimestamp(now, PACIFIC).date().isoformat()


def read_keys(settings: Settings) -> tuple[ApiKey, ...]:
    """Return the keys of the file and the environment, in order, each once.

    A missing file is no error. Raises SettingsError for a line that cannot be a key, with the
    number of the line and never its text, and for a file that cannot be read.
    """
    found: dict[str, ApiKey] = {}

    def add(text: str, where: str) -> None:
        secret = key_text(text)
        if not secret:
            return
        if not is_key(secret):
            raise SettingsError(
                "key.line_malformed",
                "{where} is not a YouTube Data API key.",
                hint="One key a line, nothing else in it; # begins a comment.",
                where=where,
            )
        found.setdefault(secret, ApiKey.of(secret))

    path = keys_file(settings.yt_api_keys_file)
    if path is not None:
        try:
            lines = storage.read_user_text(path).splitlines()
        except (OSError, storage.UnreadableText) as error:
            raise key_file_error(path, error) from None
        for number, line in enumerate(lines, start=1):
            add(line.split("#", 1)[0], f"{path.name}, line {number},")
    for number, part in enumerate(settings.yt_api_keys.get_secret_value().split(","), start=1):
        add(part, f"YT_API_KEYS, key {number},")
    return tuple(found.values())


def key_file_error(path: Path, error: OSError | storage.UnreadableText) -> SettingsError:
    """Return the error for a file of keys that cannot be read; it contains no text of the file."""
    return SettingsError(
        "key.file_unreadable",
        "Cannot read {path}: {reason}.",
        hint="Correct the file or change YT_API_KEYS_FILE.",
        path=path,
        reason=storage.unreadable_reason(error),
    )


def key_text(text: str) -> str:
    """Return the key in a line or value: without quotes, and without a name such as `NAME=`."""
    plain = pasted(text)
    match = _NAMED.fullmatch(plain)
    if match and is_key(named := pasted(match[1])):
        return named
    return plain


def is_key(text: str) -> bool:
    """Return True if a text has the form of a key."""
    return bool(_KEY.fullmatch(text))


def keys_path(name: str) -> Path:
    """Return the path of the file of keys for this setting.

    A relative name begins at the project's folder: a file of the current folder may come from
    anybody, and its keys would be used and written to.
    """
    path = Path(name).expanduser()
    return path if path.is_absolute() else env_folder() / path


def keys_file(name: str) -> Path | None:
    """Return the path of the keys for this setting, None if nothing is there.

    A folder or a pipe of that name is returned too: its reading gives the error.
    """
    path = keys_path(name)
    return path if path.exists() else None


def unused_keys_file(name: str) -> Path | None:
    """Return the file of this name in the current folder, None if it is the one in use."""
    here, path = Path.cwd() / Path(name).name, keys_path(name)
    return here if here.is_file() and not (path.exists() and here.samefile(path)) else None


class KeyRing:
    """The keys in the order of the file; the first that is ready is used.

    `clock` returns epoch seconds; without one the database's clock counts. Methods raise
    LibraryError when the database cannot be used. Safe to share between threads and processes.
    """

    def __init__(
        self, keys: Iterable[ApiKey], database: Database, *, clock: Clock | None = None
    ) -> None:
        self.keys = tuple(keys)
        self._database = database
        self._clock = clock or database.time

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts of the keys, for `redact`."""
        return tuple(key.secret for key in self.keys)

    def statuses(self) -> tuple[KeyStatus, ...]:
        """Return the current state of every key, in the order of use."""
        now = self._clock()
        with self._database.begin() as connection:
            rows = {
                row.fingerprint: row
                for row in connection.execute(
                    sa.select(api_keys).where(
                        api_keys.c.fingerprint.in_([key.fingerprint for key in self.keys])
                    )
                )
            }
        return tuple(_status(key, rows.get(key.fingerprint), now) for key in self.keys)

    def current(self) -> ApiKey | None:
        """Return the key to use now, None when no key can ever be used.

        Raises QuotaExhausted, with the time of the reset, when all usable keys are spent.
        """
        statuses = self.statuses()
        for key, status in zip(self.keys, statuses, strict=True):
            if status.state == "ready":
                return key
        spent = [s.until for s in statuses if s.state == "exhausted" and s.until is not None]
        if not spent:
            return None
        until = min(spent)
        when = datetime.fromtimestamp(until).astimezone()
        raise QuotaExhausted(
            "youtube.quota_exhausted",
            "Every YouTube Data API key has used up its day ({spent} of {count}); the allowance "
            "comes back at {time}, midnight Pacific time.",
            hint="It goes on by itself then, where it stopped. A larger allowance can be "
            "requested from Google for the project.",
            until=until,
            spent=len(spent),
            count=len(statuses),
            time=f"{when:%Y-%m-%d %H:%M %Z}",
        )

    def record_usage(self, key: ApiKey, units: int) -> None:
        """Count units spent by a key on the current Pacific day."""
        today = pacific_day(self._clock())
        spent = sa.case((api_keys.c.day == today, api_keys.c.units + units), else_=units)
        self._update(key, units=spent, day=today)

    def mark_exhausted(self, key: ApiKey, reason: str) -> None:
        """Exclude the key until the next reset, because its daily quota is used up."""
        self._update(key, state="exhausted", reason=reason, until=next_reset(self._clock()))

    def mark_invalid(self, key: ApiKey, reason: str, *, for_s: float | None = None) -> None:
        """Exclude the key for `for_s` seconds, or until it is changed if `for_s` is None."""
        until = None if for_s is None else self._clock() + for_s
        self._update(key, state="invalid", reason=reason, until=until)

    def is_news(self, key: ApiKey, reason: str) -> bool:
        """Return True for the first refusal of a key for a reason in a day, in this process.

        A key whose project lacks a permission is tried again every hour: a warning for each would
        fill the log.
        """
        said = (self._database.location, key.fingerprint, reason)
        now = time.monotonic()
        if now - _said_at.get(said, -NEWS_EVERY_S) < NEWS_EVERY_S:
            return False
        _said_at[said] = now
        return True

    def reset(self) -> None:
        """Set every key to ready, for use after a correction by its owner; unit counts stay."""
        for key in self.keys:
            self._update(key, state="ready", reason="", until=None)

    def _update(self, key: ApiKey, **values: object) -> None:
        change = (
            sa.update(api_keys)
            .where(api_keys.c.fingerprint == key.fingerprint)
            .values(updated_at=self._clock(), **values)
        )
        with self._database.begin() as connection:
            if connection.execute(change).rowcount:
                return
            self._database.insert_if_missing(
                connection,
                api_keys,
                fingerprint=key.fingerprint,
                state="ready",
                reason="",
                day="",
                units=0,
                updated_at=0.0,
            )
            connection.execute(change)


def _status(key: ApiKey, row: sa.Row[tuple[object, ...]] | None, now: float) -> KeyStatus:
    if row is None:
        return KeyStatus(key.shown, "ready", 0)
    units = row.units if row.day == pacific_day(now) else 0
    # A key that was spent is ready at the next midnight at the latest.
    longest_s = next_reset(now) - now if row.state == "exhausted" else None
    is_over = row.until is not None and has_come(
        row.until, now, written_at=row.updated_at, longest_s=longest_s
    )
    if row.state == "ready" or is_over:
        return KeyStatus(key.shown, "ready", units)
    return KeyStatus(key.shown, row.state, units, row.until, row.reason)
