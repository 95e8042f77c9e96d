"""Names and characters of a font file, read from its tables.

Source: the OpenType specification (tables `cmap`, formats 4 and 12, and `name`). Nothing of the
letters themselves is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 2**26
_WINDOWS, _UNICODE = 3, 0
_FAMILY = 1
_BOLD, _ITALIC = 1, 2
_OUTLINES = (b"glyf", b"CFF ", b"CFF2")  # pictures of letters (colour emoji) are not drawn


@dataclass(frozen=True, slots=True)
class FontFile:
    """A font: its family as renderers look for it, and the code points it has as `ranges`."""

    path: Path
    family: str
    bold: bool
    ranges: tuple[tuple[int, int], ...]

    def lacks(self, characters: Iterable[str]) -> set[str]:
        """Return those characters for which the font has no letter."""
        return {char for char in characters if not self._has(ord(char))}

    @property
    def count(self) -> int:
        """The number of characters it has."""
        return sum(last - first + 1 for first, last in self.ranges)

    def _has(self, code: int) -> bool:
        return any(first <= code <= last for first, last in self.ranges)


def read_font(path: Path) -> FontFile | None:
    """Return the facts of a TrueType or OpenType file; None if it is none, is italic or has no
    outlines."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        data = path.read_bytes()
        tables = _tables(data)
        if not any(name in tables for name in _OUTLINES):
            return None
        family = _family(data, *tables[b"name"])
        ranges = _ranges(data, tables[b"cmap"][0])
        (looks,) = struct.unpack_from(">H", data, tables[b"head"][0] + 44)
    except (OSError, KeyError, struct.error, UnicodeDecodeError):
        return None
    if not family or not ranges or looks & _ITALIC:
        return None
    return FontFile(path, family, bool(looks & _BOLD), ranges)


def _tables(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Return place and length of each table; of a collection those of its first font."""
    start = struct.unpack_from(">I", data, 12)[0] if data[:4] == b"ttcf" else 0
    (count,) = struct.unpack_from(">H", data, start + 4)
    found: dict[bytes, tuple[int, int]] = {}
    for number in range(count):
        name, _, place, length = struct.unpack_from(">4sIII", data, start + 12 + 16 * number)
        found[name] = (place, length)
    return found


def _family(data: bytes, table: int, length: int) -> str:
    _, count, texts = struct.unpack_from(">HHH", data, table)
    found = ""
    for number in range(count):
        platform, _, language, kind, size, place = struct.unpack_from(
            ">6H", data, table + 6 + 12 * number
        )
        if kind != _FAMILY or platform != _WINDOWS:
            continue
        start = table + texts + place
        if start + size > table + length:
            continue
        text = data[start : start + size].decode("utf-16-be")
        if language == 0x409:  # English of the United States: the name that every font has
            return text
        found = found or text
    return found


def _ranges(data: bytes, table: int) -> tuple[tuple[int, int], ...]:
    """Return the code points of the best table of characters, as first and last."""
    (count,) = struct.unpack_from(">H", data, table + 2)
    found: dict[int, int] = {}
    for number in range(count):
        platform, encoding, place = struct.unpack_from(">HHI", data, table + 4 + 8 * number)
        if platform == _UNICODE or (platform == _WINDOWS and encoding in (1, 10)):
            (form,) = struct.unpack_from(">H", data, table + place)
            found[form] = table + place
    if 12 in found:
        return _groups(data, found[12])
    return _segments(data, found[4]) if 4 in found else ()


def _groups(data: bytes, table: int) -> tuple[tuple[int, int], ...]:
    (count,) = struct.unpack_from(">I", data, table + 12)
    return tuple(struct.unpack_from(">II", data, table + 16 + 12 * n) for n in range(count))


def _segments(data: bytes, table: int) -> tuple[tuple[int, int], ...]:
    count = struct.unpack_from(">H", data, table + 6)[0] // 2
    form = f">{count}H"
    ends = struct.unpack_from(form, data, table + 14)
    starts = struct.unpack_from(form, data, table + 16 + 2 * count)
    return tuple(
        (first, last) for first, last in zip(starts, ends, strict=True) if first <= last < 0xFFFF
    )
