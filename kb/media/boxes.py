"""Reader of the boxes of an MP4 or QuickTime file (ISO/IEC 14496-12): edit lists, sample places."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

BOXED = frozenset({"mov", "mp4", "m4a", "m4v", "3gp", "3g2", "mj2"})
"""libavformat's names of the formats that consist of boxes."""

_MOST_TABLE_BYTES = 256 * 2**20  # more than the tables of a recording of a hundred hours

Ranges = NDArray[np.int64]
"""Byte ranges [ranges, 2]: first byte, and the one behind the last."""


class Box(NamedTuple):
    """A box of a file: its kind, and the byte range of its content."""

    kind: bytes
    start: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two places of a file; a size beyond `end` is cut there."""
    while end - start >= 8:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            extended = file.read(8)
            if len(extended) < 8:
                return
            (size,), head = struct.unpack(">Q", extended), 16
        elif size == 0:
            size = end - start
        if size < head:
            return
        yield Box(kind, start + head, min(start + size, end))
        start += size


def find(file: BinaryIO, outer: Box, *path: bytes) -> Iterator[Box]:
    """Yield the boxes of a path of kinds inside a box."""
    if not path:
        yield outer
        return
    for box in boxes(file, outer.start, outer.end):
        if box.kind == path[0]:
            yield from find(file, box, *path[1:])


def empty_edits(path: Path, track: int, start_s: float) -> list[tuple[float, float]]:
    """Return the pauses that the edit list of a sound track asks for, (from, to) in seconds.

    `track`: number among the sound tracks, from 1. The times count from `start_s` of the film, as
    a decoder counts from the container's start: a pause before it has negative times. The list is
    empty for a file without edit lists, and for a file that is no MP4.
    """
    try:
        with path.open("rb") as file:
            whole = Box(b"", 0, os.fstat(file.fileno()).st_size)
            for movie in find(file, whole, b"moov"):
                scale = _movie_scale(file, movie)
                tracks = [t for t in find(file, movie, b"trak") if _is_sound(file, t)]
                if scale and track <= len(tracks):
                    pauses = _pauses(file, tracks[track - 1], scale)
                    return [(first_s - start_s, end_s - start_s) for first_s, end_s in pauses]
    except (OSError, struct.error, ValueError):
        pass  # damaged boxes: the file asks for no pause
    return []


def _movie_scale(file: BinaryIO, movie: Box) -> int:
    for header in find(file, movie, b"mvhd"):
        data = _content(file, header)
        at = 20 if data[0] == 1 else 12
        return int(struct.unpack_from(">I", data, at)[0])
    return 0


def _is_sound(file: BinaryIO, track: Box) -> bool:
    return any(_content(file, h)[8:12] == b"soun" for h in find(file, track, b"mdia", b"hdlr"))


def _pauses(file: BinaryIO, track: Box, scale: int) -> Iterator[tuple[float, float]]:
    for edits in find(file, track, b"edts", b"elst"):
        data = _content(file, edits)
        entry = struct.Struct(">Qqi" if data[0] == 1 else ">Iii")
        at_s = 0.0
        for number in range(struct.unpack_from(">I", data, 4)[0]):
            length, media_time, _rate = entry.unpack_from(data, 8 + number * entry.size)
            if media_time == -1:
                yield at_s, at_s + length / scale
            at_s += length / scale


def unindexed_bytes(path: Path, smallest: int) -> int:
    """Return the number of bytes of media data in which no sample of any track is.

    Only ranges of at least `smallest` bytes count, and no space filled with zeros. 0 for a file
    that is no MP4 or is damaged.
    """
    try:
        with path.open("rb") as file:
            return sum(
                int(end - start)
                for start, end in _unindexed_ranges(file)
                if end - start >= smallest and not _is_empty(file, int(start), int(end))
            )
    except (OSError, struct.error, ValueError):
        return 0


def _unindexed_ranges(file: BinaryIO) -> Ranges:
    whole = Box(b"", 0, os.fstat(file.fileno()).st_size)
    top = list(boxes(file, whole.start, whole.end))
    data = [(box.start, box.end) for box in top if box.kind == b"mdat"]
    movie = next((box for box in top if box.kind == b"moov"), None)
    if movie is None or not data:
        return np.zeros((0, 2), np.int64)
    used = [
        _samples(file, table) for table in find(file, movie, b"trak", b"mdia", b"minf", b"stbl")
    ]
    for number, box in enumerate(top):
        # A fragment's samples are in the media data that follows it.
        if box.kind == b"moof" and number + 1 < len(top) and top[number + 1].kind == b"mdat":
            used.append(np.array([top[number + 1][1:]], np.int64))
    return _without(data, np.concatenate([np.zeros((0, 2), np.int64), *used]))


def _is_empty(file: BinaryIO, start: int, end: int) -> bool:
    """Return whether a range holds zeros in all places that are looked at."""
    for place in range(start, end, max(1, (end - start) // 64)):
        file.seek(place)
        if any(file.read(min(64, end - place))):
            return False
    return True


def _samples(file: BinaryIO, table: Box) -> Ranges:
    """Return the byte ranges of a track's chunks."""
    content = {box.kind: box for box in boxes(file, table.start, table.end)}
    if b"stsz" not in content or b"stsc" not in content:
        return np.zeros((0, 2), np.int64)
    wide = b"co64" in content
    places = _table(file, content[b"co64" if wide else b"stco"], ">u8" if wide else ">u4", 8)
    data = _content(file, content[b"stsz"])
    size, count = struct.unpack_from(">II", data, 4)
    sizes = np.full(count, size) if size else np.frombuffer(data, ">u4", count, 12)
    runs = _table(file, content[b"stsc"], ">u4", 8).reshape(-1, 3)
    if not len(places) or not len(runs):
        return np.zeros((0, 2), np.int64)
    lengths = np.diff(np.append(runs[:, 0], len(places) + 1))
    ends = np.cumsum(np.repeat(runs[:, 1], np.maximum(lengths, 0)))[: len(places)]
    total = np.concatenate([[0], np.cumsum(sizes.astype(np.int64))])
    ends = np.minimum(ends, count)
    starts = np.concatenate([[0], ends[:-1]])
    places = places[: len(ends)]
    return np.stack([places, places + total[ends] - total[starts]], axis=1)


def _table(file: BinaryIO, box: Box, kind: str, at: int) -> NDArray[np.int64]:
    data = _content(file, box)
    columns = 3 if box.kind == b"stsc" else 1
    count = struct.unpack_from(">I", data, 4)[0] * columns
    return np.frombuffer(data, kind, count, at).astype(np.int64)


def _content(file: BinaryIO, box: Box) -> bytes:
    if box.end - box.start > _MOST_TABLE_BYTES:
        raise ValueError("a table of this size is no table")
    file.seek(box.start)
    return file.read(box.end - box.start)


def _without(data: list[tuple[int, int]], used: Ranges) -> Ranges:
    """Return the parts of `data` that are outside of `used`."""
    left: list[tuple[int, int]] = []
    used = used[np.argsort(used[:, 0])]
    reached = np.maximum.accumulate(used[:, 1]) if len(used) else used[:, 1]
    for start, end in data:
        inside = (used[:, 1] > start) & (used[:, 0] < end)
        begins = np.append(used[inside, 0], end)
        ends = np.concatenate([[start], np.maximum(reached[inside], start)])
        left += [(int(a), int(b)) for a, b in zip(ends, begins, strict=True) if b > a]
    return np.array(left, np.int64).reshape(-1, 2)
