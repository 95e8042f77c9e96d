"""The index of all fingerprints of a library: where else an item is heard.

It is a cache of the documents in `extras/`: a library that was copied, restored or changed by
another machine needs nothing else. An index that was lost is made again in parts, each of which is
kept, so that it goes on after a kill; a caller may stop between two parts. In a large library all
documents are looked at once a minute and no more; what this program writes is entered at once, and
a match whose document has changed since is looked at again. What very many recordings share (an
intro, a held tone) is entered for the first of them only.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from kb import storage
from kb.enrich.sound.fingerprint import Fingerprint, from_document
from kb.enrich.sound.keys import entered_keys, probes
from kb.enrich.sound.matching import Stretch, compare, joined
from kb.errors import Cancelled, KBError, LibraryError
from kb.storage.places import remove_file

FILE = "sound.sqlite"
STEP = "sound"  # name of the documents
SMALL = 200  # items of a library whose documents are looked at before each query
LOOK_S = 60.0  # between two looks at those of a larger one
_VERSION = 2
_WAIT_S = 30.0
MOST_PER_KEY = 64  # places in all recordings
_MOST_PER_ITEM = 4  # in one
_MOST_OFFSETS = 12  # of one other item that are compared
_MOST_COMPARED = 240  # in all
AT_ONCE = 50  # documents that are entered in one transaction
_KEYS_AT_ONCE = 500  # of one query

_SCHEMA = """
CREATE TABLE items (
    number INTEGER PRIMARY KEY, stem TEXT UNIQUE, item_id TEXT, changed_ns INTEGER, size INTEGER,
    sha256 TEXT, duration_s REAL, items BLOB, heard BLOB);
CREATE TABLE places (
    key INTEGER, item INTEGER, place INTEGER, PRIMARY KEY (key, item, place)) WITHOUT ROWID;
CREATE TABLE looks (at REAL);
"""

Result = TypeVar("Result")

Stamp = tuple[int, int]
"""The time of the last change of a document, in nanoseconds, and its size."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Match:
    """Another item that has sound of this one; `sha256` is that of its medium."""

    item_id: str
    sha256: str
    duration_s: float
    stretches: tuple[Stretch, ...]

    @property
    def same_s(self) -> float:
        return sum(each.duration_s for each in self.stretches if each.is_same)

    @property
    def doubtful_s(self) -> float:
        return sum(each.duration_s for each in self.stretches if not each.is_same)


@dataclass(frozen=True, slots=True)
class Found:
    """The other items with sound of one, the longest stretches first.

    `left` documents are not in the index yet, so that their items are missing here.
    """

    matches: tuple[Match, ...]
    left: int = 0


class SoundIndex:
    """The fingerprints of one library. Methods raise LibraryError where the file cannot be used."""

    def __init__(self, home: Path, folder: Path) -> None:
        """`folder` is that of the documents: `<home>/extras`."""
        self.path = home / FILE
        self._folder = folder

    def clear(self) -> None:
        """Remove the index; it is made again from the documents."""
        for suffix in ("", "-journal"):
            remove_file(self.path.with_name(self.path.name + suffix))

    def find(
        self,
        item_id: str,
        own: Fingerprint,
        *,
        most_s: float | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Found:
        """Return the other items that have sound of this one.

        The index is brought up to date before, for about `most_s` seconds if that is given. Raises
        Cancelled once `is_wanted` returns False; what was entered until then stays.
        """

        def work(connection: sqlite3.Connection) -> Found:
            left = self._update(connection, most_s, is_wanted)
            found = self._matches(connection, item_id, own)
            if self._refreshed(connection, [stem for stem, _ in found]):
                found = self._matches(connection, item_id, own)
            return Found(tuple(match for _, match in found), left)

        return self._repaired(work)

    def update(
        self,
        *,
        most_s: float | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> int:
        """Look at all documents and enter those that are new or changed; return how many are left.

        Raises as `find` does.
        """
        return self._repaired(lambda c: self._update(c, most_s, is_wanted, looks=True))

    def enter(self, stem: str) -> None:
        """Enter the document of this stem, which was written just now."""
        self._repaired(lambda connection: self._refreshed(connection, [stem]))

    def count(self) -> int:
        """Return the number of fingerprints, after the index was brought up to date."""
        self.update()
        return self._repaired(lambda c: int(c.execute("SELECT count(*) FROM items").fetchone()[0]))

    def _repaired(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return what `work` returns; a damaged index is made again."""
        try:
            with self._open() as connection:
                return work(connection)
        except sqlite3.OperationalError as error:  # locked, full, or not to be written
            raise self._unusable(error) from error
        except sqlite3.DatabaseError as error:
            log.warning("%s is made again: %s", self.path, error)
            self.clear()
        try:
            with self._open() as connection:
                return work(connection)
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> LibraryError:
        return LibraryError(
            "sound.index",
            "The index of fingerprints {path} cannot be used: {cause}.",
            hint="Move the file away; it is made again from the library folder.",
            retryable=True,
            path=self.path,
            cause=error,
        )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with (
            storage.held(self.path) as real,
            closing(sqlite3.connect(real, timeout=_WAIT_S, isolation_level=None)) as connection,
        ):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("PRAGMA synchronous = OFF")  # a damaged one is made again
            if version != _VERSION:
                connection.execute("BEGIN IMMEDIATE")
                for table in ("items", "places", "looks"):
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute("COMMIT")
            yield connection

    def _matches(
        self, connection: sqlite3.Connection, item_id: str, own: Fingerprint
    ) -> list[tuple[str, Match]]:
        """Return the matches with the stem of each."""
        found: dict[int, list[Stretch]] = {}
        known: dict[int, _Entered] = {}
        for number, offset in _candidates(connection, own):
            if number not in known:
                known[number] = _read(connection, number)
            if known[number].item_id != item_id:
                stretches = compare(own, known[number].fingerprint, offset)
                found.setdefault(number, []).extend(stretches)
        matches = [
            (known[number].stem, known[number].match(joined(stretches)))
            for number, stretches in found.items()
            if stretches
        ]
        matches.sort(key=lambda each: (-each[1].same_s, -each[1].doubtful_s, each[1].item_id))
        return matches

    def _update(
        self,
        connection: sqlite3.Connection,
        most_s: float | None,
        is_wanted: Callable[[], bool],
        *,
        looks: bool = False,
    ) -> int:
        """Enter the documents that are new or changed, and remove those that are gone.

        Return how many are left; without `looks`, a large library is not looked at each time.
        """
        if not looks and not self._is_due(connection):
            return 0
        started, began = time.time(), time.monotonic()
        rows = connection.execute("SELECT stem, changed_ns, size FROM items")
        entered: dict[str, Stamp] = {stem: (changed, size) for stem, changed, size in rows}
        present = dict(self._documents())
        gone = [stem for stem in entered if stem not in present]
        changed = [stem for stem, stamp in present.items() if entered.get(stem) != stamp]
        # In parts: a large library does not shut others out, and a killed process goes on there.
        stems = [*gone, *changed]
        for start in range(0, len(stems), AT_ONCE):
            if not is_wanted():
                raise Cancelled("step.cancelled", "Cancelled; nothing half written is left.")
            if start and most_s is not None and time.monotonic() - began >= most_s:
                return len(stems) - start
            self._refreshed(connection, stems[start : start + AT_ONCE])
        with _change(connection):
            connection.execute("DELETE FROM looks")
            connection.execute("INSERT INTO looks VALUES (?)", (started,))
        return 0

    def _is_due(self, connection: sqlite3.Connection) -> bool:
        if connection.execute("SELECT count(*) FROM items").fetchone()[0] <= SMALL:
            return True
        row = connection.execute("SELECT max(at) FROM looks").fetchone()
        # A clock that was put back has no last look.
        return row[0] is None or not 0 <= time.time() - row[0] < LOOK_S

    def _refreshed(self, connection: sqlite3.Connection, stems: Sequence[str]) -> bool:
        """Bring the rows of these stems up to date; return False if they were."""
        stale = [stem for stem in stems if self._is_stale(connection, stem)]
        if not stale:
            return False
        with _change(connection):
            for stem in stale:
                stamp = self._stamp(stem)
                if self._is_stale(connection, stem):  # else another process did it
                    _remove(connection, stem)
                    if stamp is not None:
                        self._enter(connection, stem, stamp)
        return True

    def _is_stale(self, connection: sqlite3.Connection, stem: str) -> bool:
        query = "SELECT changed_ns, size FROM items WHERE stem = ?"
        return bool(connection.execute(query, (stem,)).fetchone() != self._stamp(stem))

    def _stamp(self, stem: str) -> Stamp | None:
        try:
            status = (self._folder / stem / f"{STEP}.json").stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def _documents(self) -> Iterator[tuple[str, Stamp]]:
        try:
            with os.scandir(self._folder) as folders:
                for folder in folders:
                    if (stamp := self._stamp(folder.name)) is not None:
                        yield folder.name, stamp
        except FileNotFoundError:
            return
        except OSError as error:
            raise storage.library_error(error, self._folder, "read") from error

    def _enter(self, connection: sqlite3.Connection, stem: str, stamp: tuple[int, int]) -> None:
        try:
            document = storage.read_json(self._folder / stem / f"{STEP}.json")
            found = from_document(document)
        except KBError as error:  # `kb verify` names it
            log.warning("%s", error.message)
            document, found = {}, Fingerprint(np.zeros(0, np.uint32), np.zeros(0, np.bool_), 0.0)
        basis = document.get("basis")
        sha256 = str(basis.get("sha256", "")) if isinstance(basis, dict) else ""
        cursor = connection.execute(
            "INSERT INTO items (stem, item_id, changed_ns, size, sha256, duration_s, items, heard)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (stem, str(document.get("id", "")), *stamp, sha256, found.duration_s,
             found.items.astype("<u4").tobytes(), np.packbits(found.heard).tobytes()),
        )  # fmt: skip
        number = cursor.lastrowid
        # A key of very many recordings says nothing: it is not entered any more.
        entered = sorted(_entered(found))
        full: set[int] = set()
        for keys in _parts(sorted({key for key, _ in entered})):
            full.update(
                key
                for key, times in connection.execute(
                    f"SELECT key, count(*) FROM places WHERE key IN ({_marks(keys)}) GROUP BY key",
                    keys,
                )
                if times >= MOST_PER_KEY
            )
        connection.executemany(
            "INSERT OR IGNORE INTO places VALUES (?, ?, ?)",
            [(key, number, place) for key, place in entered if key not in full],
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Entered:
    """An entered item."""

    stem: str
    item_id: str
    sha256: str
    fingerprint: Fingerprint

    def match(self, stretches: Sequence[Stretch]) -> Match:
        return Match(self.item_id, self.sha256, self.fingerprint.duration_s, tuple(stretches))


@contextmanager
def _change(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _parts(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[start : start + _KEYS_AT_ONCE]


def _marks(keys: Sequence[int]) -> str:
    return ",".join("?" * len(keys))


def _entered(found: Fingerprint) -> Iterator[tuple[int, int]]:
    """Yield key and place of a fingerprint, each key a few times only."""
    times: dict[int, int] = {}
    for key, place in zip(*(each.tolist() for each in entered_keys(found)), strict=True):
        times[key] = times.get(key, 0) + 1
        if times[key] <= _MOST_PER_ITEM:
            yield key, place


def _remove(connection: sqlite3.Connection, stem: str) -> None:
    row = connection.execute("SELECT number FROM items WHERE stem = ?", (stem,)).fetchone()
    if row is None:
        return
    found = _read(connection, row[0]).fingerprint
    pairs = [(key, row[0]) for key in {key for key, _ in _entered(found)}]
    connection.executemany("DELETE FROM places WHERE key = ? AND item = ?", pairs)
    connection.execute("DELETE FROM items WHERE number = ?", row)


def _read(connection: sqlite3.Connection, number: int) -> _Entered:
    """Return an entered item."""
    row = connection.execute(
        "SELECT stem, item_id, sha256, duration_s, items, heard FROM items WHERE number = ?",
        (number,),
    ).fetchone()
    # After a loss of power one table may lack what the other has: the index is made again.
    if row is None:
        raise sqlite3.DatabaseError(f"no item {number}")
    stem, item_id, sha256, duration_s, data, bits = row
    items = np.frombuffer(data, "<u4").astype(np.uint32)
    heard = np.unpackbits(np.frombuffer(bits, np.uint8), count=items.size).astype(np.bool_)
    return _Entered(stem, item_id, sha256, Fingerprint(items, heard, duration_s))


def _candidates(connection: sqlite3.Connection, own: Fingerprint) -> list[tuple[int, int]]:
    """Return numbers of items with offsets that deserve a comparison, those of most votes first."""
    votes: dict[int, dict[int, int]] = {}
    least = 0
    for each in probes(own):
        least = each.least
        places: dict[int, list[int]] = {}
        for key, place in zip(each.keys.tolist(), each.places.tolist(), strict=True):
            places.setdefault(key, []).append(place)
        for keys in _parts(sorted(places)):
            query = f"SELECT key, item, place FROM places WHERE key IN ({_marks(keys)})"
            for key, item, other in connection.execute(query, keys):
                offsets = votes.setdefault(item, {})
                for place in places[key]:
                    offsets[other - place] = offsets.get(other - place, 0) + each.votes
    ranked: list[tuple[int, int, int]] = []
    for item, offsets in votes.items():
        # The true offset lies between two whole numbers of items.
        near = {at: count + max(offsets.get(at - 1, 0), offsets.get(at + 1, 0))
                for at, count in offsets.items()}  # fmt: skip
        best = sorted(near, key=lambda at: (-near[at], -offsets[at]))[:_MOST_OFFSETS]
        ranked += [(near[at], item, at) for at in best if near[at] >= least]
    ranked.sort(reverse=True)
    return [(item, at) for _, item, at in ranked[:_MOST_COMPARED]]
