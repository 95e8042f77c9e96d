"""Keys of the HTTP API in the database: hashed, with scopes and quotas in seconds of sound."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from kb.database import Database, access_keys, access_use, api_jobs
from kb.database.repeating import repeated
from kb.jobs.queue.api_jobs import ApiJob

SCOPES = ("speech", "jobs", "search", "paid", "admin")
PREFIX = "kbk_"
_MONTH_TEXT = 7  # characters of 2026-11


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key without its secret. Times in seconds since the epoch, quotas in seconds of sound.

    `at_once` is the number of transcriptions that may be under way.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    day_s: float | None
    month_s: float | None
    at_once: int | None
    created_at: float
    revoked_at: float | None

    @property
    def has_quota(self) -> bool:
        """True if the sound of this key is limited."""
        return self.day_s is not None or self.month_s is not None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Seconds of sound that a key has used today and this month (UTC), and its last use."""

    day_s: float = 0.0
    month_s: float = 0.0
    used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """Seconds of sound that were counted for a key on a day."""

    key_id: str
    day: str
    seconds: float


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a key: it is long and random, so that no slow hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class _NoRoomError(Exception):
    """A quota has no room."""


class AccessKeys:
    """The keys of one library. Every method raises LibraryError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @repeated
    def add(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        day_s: float | None,
        month_s: float | None,
        at_once: int | None = None,
    ) -> tuple[AccessKey, str]:
        """Make a key; return it and its secret, which is kept nowhere."""
        key_id = secrets.token_hex(6)
        secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        values: dict[str, Any] = {
            "id": key_id,
            "name": name,
            "digest": digest_of(secret),
            "scopes": list(scopes),
            "day_s": day_s,
            "month_s": month_s,
            "at_once": at_once,
            "created_at": self._database.time(),
            "revoked_at": None,
        }
        with self._database.begin() as connection:
            connection.execute(sa.insert(access_keys).values(**values))
        return _key(values), secret

    @repeated
    def all(self) -> list[AccessKey]:
        """Return all keys, the oldest first."""
        query = sa.select(access_keys).order_by(access_keys.c.created_at, access_keys.c.id)
        with self._database.begin() as connection:
            return [_key(row) for row in connection.execute(query).mappings()]

    @repeated
    def by_digest(self) -> dict[str, AccessKey]:
        """Return all keys, revoked ones too, by the SHA-256 of their secrets."""
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(access_keys)).mappings().all()
        return {row["digest"]: _key(row) for row in rows}

    @repeated
    def revoke(self, key_id: str) -> bool:
        """Revoke a key for good; return False if there is none that is valid."""
        c = access_keys.c
        with self._database.begin() as connection:
            now = self._database.time(connection)
            valid = sa.update(access_keys).where(c.id == key_id, c.revoked_at.is_(None))
            return bool(connection.execute(valid.values(revoked_at=now)).rowcount)

    @repeated
    def use(self) -> dict[str, KeyUse]:
        """Return the use of each key that has used sound."""
        c = access_use.c
        with self._database.begin() as connection:
            day = _day(self._database.time(connection))
            month = sa.func.substr(c.day, 1, _MONTH_TEXT) == day[:_MONTH_TEXT]
            today = sa.case((c.day == day, c.seconds), else_=0.0)
            this_month = sa.case((month, c.seconds), else_=0.0)
            query = sa.select(
                c.key_id, sa.func.sum(today), sa.func.sum(this_month), sa.func.max(c.used_at)
            ).group_by(c.key_id)
            rows = connection.execute(query).all()
        return {row[0]: KeyUse(float(row[1]), float(row[2]), row[3]) for row in rows}

    @repeated
    def take(self, key: AccessKey, seconds: float) -> Charge | None:
        """Count seconds of sound before the work; None if the quota has no room for them.

        The row is written first: two requests at once cannot both take the last seconds.
        """
        c = access_use.c
        try:
            with self._database.begin() as connection:
                now = self._database.time(connection)
                charge = Charge(key.id, _day(now), max(0.0, seconds))
                self._add(connection, charge, now)
                mine = sa.select(sa.func.sum(c.seconds)).where(c.key_id == key.id)
                month = sa.func.substr(c.day, 1, _MONTH_TEXT) == charge.day[:_MONTH_TEXT]
                day_s = float(connection.scalar(mine.where(c.day == charge.day)) or 0.0)
                month_s = float(connection.scalar(mine.where(month)) or 0.0)
                fits = _fits(day_s, seconds, key.day_s) and _fits(month_s, seconds, key.month_s)
                if not fits:
                    raise _NoRoomError  # takes the row back
        except _NoRoomError:
            return None
        return charge

    @repeated
    def settle(self, charge: Charge, seconds: float) -> None:
        """Count the seconds that were read instead of those that were taken before."""
        with self._database.begin() as connection:
            self._settle(connection, charge, seconds)

    @repeated
    def bind(self, charge: Charge, job_id: str, seconds: float) -> None:
        """Count the expected seconds of a job instead of those taken before, until it has ended.

        A job that is bound already (of an equal request at the same time) stays as it is.
        """
        c = api_jobs.c
        with self._database.begin() as connection:
            now = self._database.time(connection)
            values = {"charge_day": charge.day, "charged_s": seconds}
            free = sa.update(api_jobs).where(c.id == job_id, c.charge_day.is_(None))
            bound = connection.execute(free.values(**values)).rowcount
            change = (seconds if bound else 0.0) - charge.seconds
            self._add(connection, Charge(charge.key_id, charge.day, change), now)

    @repeated
    def settle_job(self, job: ApiJob, seconds: float, *, for_good: bool) -> None:
        """Count the seconds that a job has read instead of those counted for it until now.

        Without `for_good` it may read more later. Of several processes one does it.
        """
        counted_s = job.charged_s or 0.0
        if job.charge_day is None or (counted_s == seconds and not for_good):
            return
        c = api_jobs.c
        with self._database.begin() as connection:
            now = self._database.time(connection)
            same = sa.and_(c.id == job.id, c.settled_at.is_(None), c.charged_s == counted_s)
            values = {"charged_s": seconds, "settled_at": now if for_good else None}
            if connection.execute(sa.update(api_jobs).where(same).values(**values)).rowcount:
                change = Charge(job.caller, job.charge_day, seconds - counted_s)
                self._add(connection, change, now, seconds if for_good else 0.0)

    @repeated
    def read_s(self) -> dict[str, float]:
        """Return the seconds of ended work of each key since it was made."""
        c = access_use.c
        with self._database.begin() as connection:
            rows = connection.execute(sa.select(c.key_id, sa.func.sum(c.read_s)).group_by(c.key_id))
            return {row[0]: float(row[1]) for row in rows}

    def _settle(self, connection: sa.Connection, charge: Charge, seconds: float) -> None:
        read_s = max(0.0, seconds)
        change = Charge(charge.key_id, charge.day, read_s - charge.seconds)
        self._add(connection, change, self._database.time(connection), read_s)

    def _add(
        self, connection: sa.Connection, charge: Charge, now: float, read_s: float = 0.0
    ) -> None:
        c = access_use.c
        mine = sa.and_(c.key_id == charge.key_id, c.day == charge.day)
        change = sa.update(access_use).where(mine)
        values = {
            "seconds": c.seconds + charge.seconds, "read_s": c.read_s + read_s, "used_at": now,
        }  # fmt: skip
        if connection.execute(change.values(**values)).rowcount:
            return
        row = {"key_id": charge.key_id, "day": charge.day, "seconds": charge.seconds,
               "read_s": read_s}  # fmt: skip
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(access_use).values(**row, used_at=now))
        except IntegrityError:  # another request was the first of the day
            connection.execute(change.values(**values))


def _fits(used_s: float, seconds: float, quota_s: float | None) -> bool:
    """Return True if a quota allows this use, `seconds` included.

    Sound of unknown length needs some room, too.
    """
    return quota_s is None or (used_s <= quota_s and (seconds > 0 or used_s < quota_s))


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d")


def _key(row: Any) -> AccessKey:
    return AccessKey(
        row["id"], row["name"], tuple(row["scopes"]), row["day_s"], row["month_s"],
        row["at_once"], row["created_at"], row["revoked_at"],
    )  # fmt: skip
