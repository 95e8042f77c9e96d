"""The digests that are due: one for each day or week, in `logs/digests/` of the library folder.

The name of the file is that of the period, so that several workers, and a new database, make it
once. Its JSON beside it records by which ways it was sent.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kb.database import Database, items
from kb.errors import KBError
from kb.jobs.digest import delivery
from kb.jobs.digest.activity import DAY_S
from kb.jobs.digest.digest import Digest, compose
from kb.jobs.digest.digest_text import digest_text
from kb.jobs.queue.item_states import DONE, HELD
from kb.library import Library
from kb.library.clock_leaps import record_time
from kb.settings import Settings
from kb.storage import remove_file, write_json, write_text
from kb.types.clock import EARLIEST_S, is_future

log = logging.getLogger(__name__)

FOLDER = "logs/digests"
KEPT = 60  # digests
EARLY = "early"  # key of a document: its period had not ended
# A digest that could not be sent for this long is not sent any more: the next one has the news.
GIVE_UP_S = 2 * 86_400.0
MADE_UP_FOR = 8  # earlier periods without a digest that are made up for


def period_before(now: float, kind: str) -> tuple[str, float, float]:
    """Return name, begin and end (epoch seconds) of the last whole day or week, in local time."""
    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        begin = today - timedelta(days=1)
        return f"digest-{begin:%Y-%m-%d}", begin.timestamp(), today.timestamp()
    monday = today - timedelta(days=today.weekday())
    begin = monday - timedelta(days=7)
    year, week, _ = begin.isocalendar()
    return f"digest-{year}-W{week:02}", begin.timestamp(), monday.timestamp()


def write_due(
    settings: Settings,
    database: Database,
    library: Library,
    *,
    clock: Callable[[], float] = time.time,
    warn: Callable[[KBError], None],
) -> Path | None:
    """Write and send the digest of the last day or week; return its file if it was made now.

    A digest that could not be sent is sent at a later call. One that a wrong clock wrote before the
    end of its period is written and sent again. Periods since the last digest that have none,
    because the clock was wrong or the machine off, get theirs too. `warn` gets the errors of
    sending. Raises LibraryError.
    """
    if settings.digest == "off":
        return None
    now = clock()
    if record_time(library, now).is_doubtful(now) or is_behind(database, now):
        return None  # the clock may be wrong, and a digest of a wrong week would be sent
    folder = library.home / FOLDER
    made = None
    _mark_early(folder, period_before(now, settings.digest)[0], now)
    for name, begin, end in _due_periods(folder, now, settings.digest):
        document, text = folder / f"{name}.json", folder / f"{name}.md"
        if _is_missing(document):
            digest = compose(database, library, begin, end, now=now)
            if not digest["follows"]["count"]:
                return None
            write_text(text, digest_text(digest))
            write_json(document, {**digest, "sent": {}})
            _delete_old(folder, name)
            made = text
        if now - end <= GIVE_UP_S:
            _send(settings, document, now, warn)
    return made


def is_behind(database: Database, now: float) -> bool:
    """Return True if the clock is certainly behind: it shows a day before a video of the library.

    The day of a video's publication is that of its site. `now` is in epoch seconds. Raises
    LibraryError.
    """
    if now < EARLIEST_S:
        return True
    c = items.c
    published = sa.select(sa.func.max(c.published)).where(
        c.source == "youtube", c.state.in_((DONE, HELD))
    )
    with database.begin() as connection:
        newest = connection.scalar(published) or ""
    # A day begins earlier elsewhere.
    return str(newest) > f"{datetime.fromtimestamp(now + DAY_S):%Y-%m-%d}"


def _due_periods(folder: Path, now: float, kind: str) -> list[tuple[str, float, float]]:
    """Return the last whole period, after those that have no digest since the last one."""
    last = period_before(now, kind)
    missing: list[tuple[str, float, float]] = []
    each = last
    for _ in range(MADE_UP_FOR):
        each = period_before(each[1] + 1.0, kind)
        if not _is_missing(folder / f"{each[0]}.json"):
            return [*missing[::-1], last]
        missing.append(each)
    return [last]  # there was none before, or the machine was off for long


def _is_missing(document: Path) -> bool:
    return not document.exists() or bool(_read(document).get(EARLY))


def _send(settings: Settings, document: Path, now: float, warn: Callable[[KBError], None]) -> None:
    ways = delivery.channels(settings)
    if not ways:
        return
    try:
        digest: Digest = json.loads(document.read_text(encoding="utf-8"))
        sent = dict(digest.pop("sent", None) or {})
    except (OSError, ValueError, AttributeError):
        return  # a file that was changed by hand is not sent
    for way in ways:
        if way in sent:
            continue
        try:
            delivery.send(settings, digest, way)
        except KBError as error:
            warn(error)
            continue
        # Recorded after each way: a worker that is killed sends one of them twice at most.
        sent[way] = now
        write_json(document, {**digest, "sent": sent})
        log.info("the digest was sent: %s", way)


def _mark_early(folder: Path, name: str, now: float) -> None:
    """Mark the digests of periods that have not ended: they are written again when they have.

    A clock was ahead when they were written, or it is behind now: nothing is deleted for that.
    """
    for path in folder.glob("digest-*.json"):
        if len(path.stem) != len(name) or path.stem <= name:
            continue  # of the other kind, or not later than the last whole period
        document = _read(path)
        end = document.get("to")
        if isinstance(end, int | float) and is_future(end, now) and not document.get(EARLY):
            write_json(path, {**document, EARLY: True})
            log.warning("%s was written before its time; it is written again then", path.name)


def _read(path: Path) -> dict[str, Any]:
    """Return the document of a digest, empty if it was changed by hand so that it has none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _delete_old(folder: Path, name: str) -> None:
    """Delete the oldest digests of one kind: the names of days and of weeks have another order."""
    of_kind = sorted(each for each in folder.glob("digest-*.json") if len(each.stem) == len(name))
    for old in of_kind[:-KEPT]:
        remove_file(old)
        remove_file(old.with_suffix(".md"))
