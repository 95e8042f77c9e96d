"""The index of all fingerprints of a library: where else an item is heard.

It is a cache of the documents in `extras/`, brought up to date before each query: a library that
was copied, restored or changed by another machine needs nothing else. A quarter of the items is
entered, chosen by their own bits, so that a query looks for the same ones. What very many
recordings share (an intro, a held tone) is entered for the first of them only.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kb import storage
from kb.enrich.sound.fingerprint import Fingerprint, from_document
from kb.enrich.sound.matching import Stretch, compare, joined
from kb.errors import KBError, LibraryError
from kb.storage.places import remove_file

FILE = "sound.sqlite"
STEP = "sound"  # name of the documents
_VERSION = 1
_WAIT_S = 30.0
_DROPPED_BITS = 6  # those that change most easily
_SAMPLED = np.uint32(3)  # bits of the mixed key that must be 0: one in four
MOST_PER_KEY = 64  # places in all recordings
_MOST_PER_ITEM = 4  # in one
_MOST_OFFSETS = 12  # of one other item that are compared
_MOST_COMPARED = 240  # in all
_LEAST_VOTES = 2
_AT_ONCE = 50  # documents that are entered in one transaction

_SCHEMA = """
CREATE TABLE items (
    number INTEGER PRIMARY KEY, stem TEXT UNIQUE, item_id TEXT, changed_ns INTEGER, size INTEGER,
    sha256 TEXT, duration_s REAL, items BLOB, heard BLOB);
CREATE TABLE places (
    key INTEGER, item INTEGER, place INTEGER, PRIMARY KEY (key, item, place)) WITHOUT ROWID;
"""

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


class SoundIndex:
    """The fingerprints of one library. Methods raise LibraryError where the file cannot be used."""

    def __init__(self, home: Path, folder: Path) -> None:
        """`folder` is that of the documents: `<home>/extras`."""
        self.path = home / FILE
        self._folder = folder

    def clear(self) -> None:
        """Remove the index; the next query makes it again from the documents."""
        for suffix in ("", "-journal"):
            remove_file(self.path.with_name(self.path.name + suffix))

    def find(self, item_id: str, own: Fingerprint) -> list[Match]:
        """Return the other items that have sound of this one, the longest stretches first."""
        try:
            return self._find(item_id, own)
        except sqlite3.OperationalError as error:  # locked, full, or not to be written
            raise self._unusable(error) from error
        except sqlite3.DatabaseError as error:
            log.warning("%s is made again: %s", self.path, error)
            self.clear()
        try:
            return self._find(item_id, own)
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    def count(self) -> int:
        """Return the number of fingerprints, after the index was brought up to date."""
        try:
            with self._open() as connection:
                self._update(connection)
                return int(connection.execute("SELECT count(*) FROM items").fetchone()[0])
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
                for table in ("items", "places"):
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute("COMMIT")
            yield connection

    def _find(self, item_id: str, own: Fingerprint) -> list[Match]:
        with self._open() as connection:
            self._update(connection)
            candidates = _candidates(connection, own)
            found: dict[int, list[Stretch]] = {}
            known: dict[int, tuple[str, str, Fingerprint]] = {}
            for number, offset in candidates:
                if number not in known:
                    known[number] = _read(connection, number)
                identity, _, other = known[number]
                if identity != item_id:
                    found.setdefault(number, []).extend(compare(own, other, offset))
        matches = [
            Match(known[number][0], known[number][1], known[number][2].duration_s,
                  tuple(joined(stretches)))
            for number, stretches in found.items() if stretches
        ]  # fmt: skip
        return sorted(matches, key=lambda each: (-each.same_s, -each.doubtful_s, each.item_id))

    def _update(self, connection: sqlite3.Connection) -> None:
        """Enter the documents that are new or changed, and remove those that are gone."""
        rows = connection.execute("SELECT stem, changed_ns, size, number FROM items")
        entered = {stem: (changed, size, number) for stem, changed, size, number in rows}
        present = dict(self._documents())
        gone = [stem for stem in entered if stem not in present]
        changed = [stem for stem, stamp in present.items() if entered.get(stem, ())[:2] != stamp]
        # In parts: a large library does not shut others out, and a killed process goes on there.
        stems = [*gone, *changed]
        for start in range(0, len(stems), _AT_ONCE):
            connection.execute("BEGIN IMMEDIATE")
            try:
                for stem in stems[start : start + _AT_ONCE]:
                    _remove(connection, stem)
                    if stem in present:
                        self._enter(connection, stem, present[stem])
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def _documents(self) -> Iterator[tuple[str, tuple[int, int]]]:
        try:
            with os.scandir(self._folder) as folders:
                for folder in folders:
                    try:
                        status = Path(folder.path, f"{STEP}.json").stat()
                    except OSError:
                        continue
                    yield folder.name, (status.st_mtime_ns, status.st_size)
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
        connection.executemany(
            "INSERT OR IGNORE INTO places SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM "
            f"(SELECT 1 FROM places WHERE key = ?1 LIMIT {MOST_PER_KEY})) < {MOST_PER_KEY}",
            [(key, number, place) for key, place in _entered(found)],
        )


def _keys(found: Fingerprint) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return key and place of the items that are looked for and entered."""
    keys = found.items >> np.uint32(_DROPPED_BITS)
    mixed = (keys.astype(np.uint64) * np.uint64(2_654_435_761) >> np.uint64(16)).astype(np.uint32)
    places = np.flatnonzero(((mixed & _SAMPLED) == 0) & found.heard)
    return keys[places].astype(np.int64), places.astype(np.int64)


def _entered(found: Fingerprint) -> Iterator[tuple[int, int]]:
    """Yield key and place of a fingerprint, each key a few times only."""
    times: dict[int, int] = {}
    for key, place in zip(*(each.tolist() for each in _keys(found)), strict=True):
        times[key] = times.get(key, 0) + 1
        if times[key] <= _MOST_PER_ITEM:
            yield key, place


def _remove(connection: sqlite3.Connection, stem: str) -> None:
    row = connection.execute("SELECT number FROM items WHERE stem = ?", (stem,)).fetchone()
    if row is None:
        return
    _, _, found = _read(connection, row[0])
    pairs = [(key, row[0]) for key in {key for key, _ in _entered(found)}]
    connection.executemany("DELETE FROM places WHERE key = ? AND item = ?", pairs)
    connection.execute("DELETE FROM items WHERE number = ?", row)


def _read(connection: sqlite3.Connection, number: int) -> tuple[str, str, Fingerprint]:
    """Return id, hash of the medium and fingerprint of an entered item."""
    row = connection.execute(
        "SELECT item_id, sha256, duration_s, items, heard FROM items WHERE number = ?", (number,)
    ).fetchone()
    # After a loss of power one table may lack what the other has: the index is made again.
    if row is None:
        raise sqlite3.DatabaseError(f"no item {number}")
    item_id, sha256, duration_s, data, bits = row
    items = np.frombuffer(data, "<u4").astype(np.uint32)
    heard = np.unpackbits(np.frombuffer(bits, np.uint8), count=items.size).astype(np.bool_)
    return item_id, sha256, Fingerprint(items, heard, duration_s)


def _candidates(connection: sqlite3.Connection, own: Fingerprint) -> list[tuple[int, int]]:
    """Return numbers of items with offsets that deserve a comparison, those of most votes first."""
    votes: dict[int, dict[int, int]] = {}
    query = "SELECT item, place FROM places WHERE key = ?"
    for key, place in zip(*(each.tolist() for each in _keys(own)), strict=True):
        for item, other in connection.execute(query, (key,)):
            offsets = votes.setdefault(item, {})
            offsets[other - place] = offsets.get(other - place, 0) + 1
    ranked: list[tuple[int, int, int]] = []
    for item, offsets in votes.items():
        # The true offset lies between two whole numbers of items.
        near = {at: count + max(offsets.get(at - 1, 0), offsets.get(at + 1, 0))
                for at, count in offsets.items()}  # fmt: skip
        best = sorted(near, key=lambda at: (-near[at], -offsets[at]))[:_MOST_OFFSETS]
        ranked += [(near[at], item, at) for at in best if near[at] >= _LEAST_VOTES]
    ranked.sort(reverse=True)
    return [(item, at) for _, item, at in ranked[:_MOST_COMPARED]]
