"""Checks of evidence packs that were damaged, or made to mislead or to fill the machine."""

from __future__ import annotations

import hashlib
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.errors import UsageError
from kb.service.evidence import SUMS, check_pack
from tests.support.raising import raises

WORDS = b"".join(hashlib.sha256(bytes([n])).hexdigest().encode() for n in range(60))


def _sum(data: bytes, name: str = "quote.txt") -> str:
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n"


def _pack(
    path: Path, *parts: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, sums: str = ""
) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # of two files with one name
        for name, data in parts:
            archive.writestr(name, data)
        archive.writestr(SUMS, sums or "".join(_sum(data, name) for name, data in parts))
    return path


def test_each_changed_byte_of_a_packed_file_is_a_change(tmp_path: Path) -> None:
    path = _pack(tmp_path / "pack.zip", ("quote.txt", WORDS))
    whole = path.read_bytes()
    first = 30 + len("quote.txt")  # behind the head of the file
    packed = struct.unpack("<I", whole[18:22])[0]
    for place in range(first, first + packed, 17):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        assert check_pack(path).changed == ("quote.txt",), place


def _twice(path: Path) -> None:
    _pack(path, ("quote.txt", b"forged"), ("quote.txt", WORDS), sums=_sum(WORDS))


def _listed_twice(path: Path) -> None:
    _pack(path, ("quote.txt", WORDS), sums=_sum(b"forged") + _sum(WORDS))


def _packed_otherwise(path: Path) -> None:
    _pack(path, ("quote.txt", WORDS), method=zipfile.ZIP_LZMA)


def _bomb(path: Path) -> None:
    _pack(path, ("quote.txt", bytes(30_000_000)))


def _many(path: Path) -> None:
    _pack(path, *((str(number), b"") for number in range(1001)))


def _of_a_later_version(path: Path) -> None:
    data = bytearray(_pack(path, ("quote.txt", WORDS)).read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 6 : place + 8] = struct.pack("<H", 99)
    path.write_bytes(data)


def _damaged_list(path: Path) -> None:
    _pack(path, ("quote.txt", WORDS), sums=_sum(WORDS) + WORDS.decode())
    data = bytearray(path.read_bytes())
    place = data.index(SUMS.encode()) + len(SUMS)
    data[place] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    "make",
    [_twice, _listed_twice, _packed_otherwise, _bomb, _many, _of_a_later_version, _damaged_list],
)
def test_what_cannot_be_checked_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "pack.zip"
    make(path)
    with raises(UsageError, "evidence.no_pack", path=path):
        check_pack(path)
