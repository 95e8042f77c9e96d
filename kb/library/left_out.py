"""The items that a person left out: the record in the library's files, which outlives a database.

    <home>/left_out.json   {"version": 1, "items": {id: {"why", "at", "title", …}}}
    <home>/taken_in.jsonl  a line for each item that once had a transcript here

`left_out.json` has the items that were cancelled, dismissed or paused, and those whose files a
person removed by hand. Removed items are in `library.json` (see `kb.library.trash`), and
`LeftOut.marks` returns them too. An entry ends when the item is asked for again by its own name.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import LibraryError
from kb.library.library import LOCK_FOLDER, Library
from kb.library.metadata import item_document, item_from_document
from kb.library.trash import Trash
from kb.types import MediaItem

NAME, LEDGER = "left_out.json", "taken_in.jsonl"
VERSION = 1
_SHORT = 400  # characters of a value of an item's `extra` that are kept

log = logging.getLogger(__name__)


class Why(StrEnum):
    """The acts that leave an item out; the values are stored."""

    REMOVED = "removed"
    CANCELLED = "cancelled"
    DISMISSED = "dismissed"
    PAUSED = "paused"  # it waits in the queue until a person resumes it
    FILES_GONE = "files gone"  # they were deleted from the folder by hand


@dataclass(frozen=True, slots=True)
class Mark:
    """The record of an item that is left out; `at` is the time of the act in epoch seconds.

    `serial` is the number of the item's last workflow. `item` is its document, `options` are those
    of its run, `error` is the error with which it had failed, each as plain JSON values: a row of
    the queue can be made again from them. They are empty for a removed item.
    """

    why: Why
    at: float
    title: str = ""
    serial: int = 0
    item: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        why: Why,
        at: float,
        item: MediaItem,
        *,
        serial: int = 0,
        options: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> Mark:
        """Return the record of an item; long texts of its description are not kept."""
        document = item_document(replace(item, description="", tags=(), chapters=()))
        extra = {key: value for key, value in document["extra"].items() if _is_short(value)}
        document["extra"] = extra
        return cls(why, at, item.title, serial, document, dict(options or {}), dict(error or {}))

    def media_item(self, item_id: str) -> MediaItem | None:
        """Return the item, None if the record has no usable document of it."""
        try:
            found = item_from_document(dict(self.item))
        except (LibraryError, LookupError, TypeError, ValueError):
            return None
        return found if found.id == item_id else None


class LeftOut:
    """The items of one library that a person left out. Methods raise LibraryError."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._path = library.home / NAME
        self._ledger = library.home / LEDGER
        self._read: tuple[tuple[int, int, int] | None, dict[str, Mark]] = (None, {})

    # The record

    def marks(self) -> dict[str, Mark]:
        """Return the record of each item that is left out, by id; removed ones too."""
        removed = {
            item_id: Mark(
                Why.REMOVED, _moment(mark.get("at")), str(mark.get("title") or ""),
                _number(mark.get("serial")),
            )
            for item_id, mark in Trash(self._library).marks().items()
        }  # fmt: skip
        return {**self.own_marks(), **removed}

    def own_marks(self) -> dict[str, Mark]:
        """Return the items that were cancelled, dismissed or paused, or whose files are gone."""
        stamp = _stamp(self._path)
        if stamp is None:
            return {}
        if stamp != self._read[0]:
            self._read = (stamp, _read(self._path))
        return dict(self._read[1])

    def find(self, item_id: str) -> Mark | None:
        """Return the record of one item, None if it is not left out."""
        return self.marks().get(item_id)

    def mark(self, marks: Mapping[str, Mark]) -> None:
        """Record that items are left out; an earlier record of one is replaced."""
        if marks:
            self._change(dict(marks))

    def unmark(self, ids: Iterable[str], why: Collection[Why] = tuple(Why)) -> list[str]:
        """End the records of these items with these reasons; return the ids that had one.

        Removed items are not among them: see `kb.library.trash.Trash.unmark`.
        """
        known = self.own_marks()
        gone = [item_id for item_id in ids if item_id in known and known[item_id].why in why]
        if gone:
            self._change(dict.fromkeys(gone))
        return gone

    def _change(self, changes: Mapping[str, Mark | None]) -> None:
        with storage.locked(self._library.home / LOCK_FOLDER / "left_out.lock"):
            before = self.own_marks()
            merged = {**before, **changes}
            kept = {item_id: mark for item_id, mark in merged.items() if mark is not None}
            if kept == before:
                return
            document = {item_id: _document(mark) for item_id, mark in sorted(kept.items())}
            storage.write_json(self._path, {"version": VERSION, "items": document})

    # The items that were taken in

    def taken_in(self) -> set[str]:
        """Return the ids of the items that once had a transcript in this folder."""
        try:
            lines = storage.read_user_text(self._ledger).splitlines()
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise storage.library_error(error, self._ledger, "read") from error
        except storage.UnreadableText:
            return set()  # it is made again from the folder
        return {found for line in lines if (found := _id_of(line))}

    def record_taken_in(self, ids: Collection[str]) -> None:
        """Add ids to those of the items that once had a transcript in this folder."""
        with storage.locked(self._library.home / LOCK_FOLDER / "left_out.lock"):
            self.append_taken_in(sorted(set(ids) - self.taken_in()))

    def append_taken_in(self, ids: Collection[str]) -> None:
        """Add ids without a look at those that are there: an id that is there twice is harmless."""
        if not ids:
            return
        # The line end before the first id ends a line that was written in part.
        lines = "\n" + "".join(f"{json.dumps(item_id)}\n" for item_id in ids)
        try:
            with (
                storage.held(self._ledger) as real,
                real.open("a", encoding="ascii", newline="\n") as stream,
            ):
                stream.write(lines)
        except OSError as error:
            raise storage.library_error(error, self._ledger, "write") from error


def _id_of(line: str) -> str:
    try:
        found = json.loads(line)
    except ValueError:
        return ""  # a line that was written in part
    return found if isinstance(found, str) else ""


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage.library_error(error, path, "read") from error
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> dict[str, Mark]:
    found = storage.read_json(path).get("items")
    marks: dict[str, Mark] = {}
    for item_id, mark in found.items() if isinstance(found, dict) else ():
        if not isinstance(mark, dict) or mark.get("why") not in set(Why):
            continue  # of a later version
        parts = [part if isinstance(part := mark.get(name), dict) else {} for name in _PARTS]
        marks[item_id] = Mark(
            Why(mark["why"]), _moment(mark.get("at")), str(mark.get("title") or ""),
            _number(mark.get("serial")), *parts,
        )  # fmt: skip
    return marks


_PARTS = ("item", "options", "error")


def _document(mark: Mark) -> dict[str, Any]:
    document: dict[str, Any] = {
        "why": mark.why.value, "at": mark.at, "title": mark.title, "serial": mark.serial,
    }  # fmt: skip
    return document | {name: dict(part) for name in _PARTS if (part := getattr(mark, name))}


def _moment(value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else 0.0  # type: ignore[arg-type]


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _is_short(value: object) -> bool:
    return len(json.dumps(value, default=str)) <= _SHORT
