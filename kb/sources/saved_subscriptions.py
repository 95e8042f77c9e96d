"""The copy of the subscriptions in the library's files, which outlives a database.

<home>/library.json   "subscriptions": [{"key", "reference", …, "last_at", "error", "problem"}]
                      "unfollowed": {key: {"reference", "at"}}
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from kb import storage
from kb.database import Database, subscriptions
from kb.errors import KBError
from kb.library import Library
from kb.library.library import LOCK_FOLDER
from kb.sources.channel_identity import name_key
from kb.sources.listing.filters import VideoFilters

FACT, ENDED = "subscriptions", "unfollowed"
ENDED_MOST = 500  # ended ones that are remembered
DEFAULT_EVERY_S = 6 * 3600.0
LEAST_EVERY_S = 60.0
CHECKED_EVERY_S = 86_400.0  # for which the copy's time of the last check may be behind

log = logging.getLogger(__name__)


def write(library: Library, database: Database, ended: Mapping[str, Mapping[str, Any]]) -> None:
    """Write all subscriptions of the database, and remember those that were ended just now.

    Raises LibraryError.
    """
    with storage.locked(library.home / LOCK_FOLDER / "library.lock"):
        order = (subscriptions.c.created_at, subscriptions.c.key)
        with database.begin() as connection:
            found = connection.execute(sa.select(subscriptions).order_by(*order)).mappings()
            rows = [dict(row) for row in found]
        saved = [
            {k: v for k, v in row.items() if k != "next_at" and v not in (None, "")} for row in rows
        ]
        before = read_ended(library)
        after = {**before, **ended}
        for row in rows:
            after.pop(row["key"], None)
        changes: dict[str, Any] = {FACT: saved}
        if after != before:
            changes[ENDED] = dict(list(after.items())[-ENDED_MOST:]) or None
        library.write_facts(changes)


def lacks_check(library: Library, row: Mapping[str, Any]) -> bool:
    """Return True if the copy has another result of the last check than a row of the database.

    A success is copied once in `CHECKED_EVERY_S`, so that many sources do not write all the time.
    Raises LibraryError.
    """
    saved = library.read_facts().get(FACT)
    found = [each for each in saved if isinstance(each, dict)] if isinstance(saved, list) else []
    copy = next((each for each in found if each.get("key") == row["key"]), {})
    if (copy.get("error") or "") != (row["error"] or ""):
        return True
    before, after = copy.get("last_at"), row["last_at"]
    if after is None or not isinstance(before, int | float):
        return after is not None
    return bool(abs(after - before) > CHECKED_EVERY_S)


def read_rows(library: Library, now: float) -> list[dict[str, Any]]:
    """Return the saved subscriptions as rows whose next check is due now (epoch seconds).

    One that cannot be read is logged and left out. Raises LibraryError.
    """
    saved = library.read_facts().get(FACT)
    rows: list[dict[str, Any]] = []
    for each in saved if isinstance(saved, list) else ():
        try:
            rows.append(_row(each, now))
        except (KBError, AttributeError, LookupError, TypeError, ValueError) as error:
            log.warning("%s: a followed source in it cannot be read: %s", library.facts_path, error)
    return rows


def read_ended(library: Library) -> dict[str, Any]:
    """Return the subscriptions that were ended, by key. Raises LibraryError."""
    stored = library.read_facts().get(ENDED)
    return dict(stored) if isinstance(stored, dict) else {}


def _row(saved: Mapping[str, Any], now: float) -> dict[str, Any]:
    reference, created_at = saved["reference"], saved.get("created_at")
    if not isinstance(reference, str) or not reference.strip():
        raise ValueError("no reference")
    every_s = float(saved.get("every_s") or DEFAULT_EVERY_S)
    columns = subscriptions.c.keys()
    return {
        **{name: value for name, value in saved.items() if name in columns},
        "key": str(saved.get("key") or name_key(reference)),
        "every_s": every_s if math.isfinite(every_s) and every_s >= LEAST_EVERY_S
        else DEFAULT_EVERY_S,
        "filters": VideoFilters.from_dict(saved.get("filters") or {}).as_dict(),
        "options": dict(saved.get("options") or {}),
        "created_at": float(created_at) if isinstance(created_at, int | float) else now,
        "next_at": now,
        **_last_check(saved),
    }  # fmt: skip


def _last_check(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return time and error of the last check, as far as a copy has them."""
    at, error, problem = (saved.get(name) for name in ("last_at", "error", "problem"))
    return {
        "last_at": float(at) if isinstance(at, int | float) and math.isfinite(at) else None,
        "error": error if isinstance(error, str) else "",
        "problem": dict(problem) if error and isinstance(problem, Mapping) else None,
    }
