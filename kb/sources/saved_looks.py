"""The copy of the looks in the library's files, which outlives a database.

<home>/looks.jsonl   a line for each look that has ended: {"subscription", "started_at", …}

It has the columns of the table that are not empty. Its size is limited: the newest looks at each
source are kept.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kb import storage
from kb.database import Database, looks
from kb.errors import LibraryError
from kb.library import Library
from kb.library.library import LOCK_FOLDER

NAME = "looks.jsonl"
MOST_BYTES = 4_000_000  # a larger file is written again with the newest looks
KEPT_BYTES = MOST_BYTES // 2
KEPT_LOOKS = 100  # looks at one source, in a file that is written again

log = logging.getLogger(__name__)


def append(library: Library, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add looks that have ended; one that cannot be written is logged: it is in the database."""
    lines = [json.dumps(_document(row), ensure_ascii=True) for row in rows]
    if not lines:
        return
    path = library.home / NAME
    try:
        with storage.locked(library.home / LOCK_FOLDER / "looks.lock"):
            # The line end before the first look ends a line that was written in part.
            with (
                storage.held(path) as real,
                real.open("a", encoding="ascii", newline="\n") as stream,
            ):
                stream.write("\n" + "".join(f"{line}\n" for line in lines))
                size = stream.tell()
            if size > MOST_BYTES:
                storage.write_text(path, "".join(f"{each}\n" for each in _newest(_lines(path))))
    except OSError as error:
        problem = storage.library_error(error, path, "write")
        log.warning("%s %s", problem.message, problem.hint)
    except LibraryError as problem_of_copy:
        log.warning("%s %s", problem_of_copy.message, problem_of_copy.hint)


def restore(database: Database, library: Library) -> int:
    """Add the saved looks that a new or older database does not have; return their number.

    Those are the looks at a source after the last one that both have, or all of them if the
    database has none. Raises LibraryError.
    """
    saved: dict[str, list[dict[str, Any]]] = {}
    for row in read(library):
        saved.setdefault(row["subscription"], []).append(row)
    if not saved:
        return 0
    known: dict[str, set[float]] = {}
    with database.begin() as connection:
        for key, at in connection.execute(sa.select(looks.c.subscription, looks.c.started_at)):
            known.setdefault(str(key), set()).add(float(at))
        missing = [
            row
            for key, rows in saved.items()
            for row in _after_known(rows, known.get(key, frozenset()))
        ]
        missing.sort(key=lambda row: row.pop("number"))  # their numbers keep the order
        if missing:
            connection.execute(sa.insert(looks), [_EMPTY | row for row in missing])
    return len(missing)


def read(library: Library) -> list[dict[str, Any]]:
    """Return the saved looks as rows without an id, the oldest first, each with its line's number.

    A line that cannot be read is left out. Raises LibraryError.
    """
    rows = []
    for number, line in enumerate(_lines(library.home / NAME)):
        row = _row(line)
        if row is not None:
            rows.append({**row, "number": number})
    return rows


def _after_known(
    rows: Sequence[dict[str, Any]], known: frozenset[float] | set[float]
) -> Sequence[dict[str, Any]]:
    if not known:
        return rows
    places = [place for place, row in enumerate(rows) if row["started_at"] in known]
    return rows[places[-1] + 1 :] if places else ()


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in storage.read_user_text(path).splitlines() if line]
    except FileNotFoundError:
        return []
    except storage.UnreadableText:
        return []
    except OSError as error:
        raise storage.library_error(error, path, "read") from error


def _newest(lines: Sequence[str]) -> list[str]:
    """Return the newest lines of each source, within the size that is kept."""
    kept: list[str] = []
    numbers: Counter[str] = Counter()
    size = 0
    for line in reversed(lines):
        row = _row(line)
        if row is None or numbers[row["subscription"]] >= KEPT_LOOKS:
            continue
        size += len(line) + 1
        if size > KEPT_BYTES:
            break
        numbers[row["subscription"]] += 1
        kept.append(line)
    return kept[::-1]


_TEXTS = ("subscription", "kind", "executor", "outcome", "via", "error", "hint")
_NUMBERS = ("listed", "units", "found", "known", "filtered", "unavailable", "queued", "retried")
_TIMES = ("started_at", "ended_at", "next_at")
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, ""), **dict.fromkeys(_NUMBERS, 0), **dict.fromkeys(_TIMES),
    "reported": None, "problem": None,
}  # fmt: skip


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _EMPTY if row[name] not in (None, "", 0)}


def _row(line: str) -> dict[str, Any] | None:
    """Return a line as a row; None for one that was written in part or changed by hand."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or not _is_row(found):
        return None
    return {name: value for name, value in found.items() if name in _EMPTY}


def _is_row(found: Mapping[str, Any]) -> bool:
    texts = all(isinstance(found.get(name, ""), str) for name in _TEXTS)
    whole = (*_NUMBERS, *(("reported",) if found.get("reported") is not None else ()))
    numbers = all(type(found.get(name, 0)) is int for name in whole)
    times = all(_is_time(found[name]) for name in _TIMES if name in found)
    problem = isinstance(found.get("problem", {}), dict)
    needed = found.get("subscription") and found.get("kind") and "started_at" in found
    return bool(texts and numbers and times and problem and needed and "ended_at" in found)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
