"""Signs of a file's end in its own bytes: cut short, complete, or more than its header says.

A decoder reads what it can and a header may claim anything; the structure of the container shows
independently of both where the file ends. Each format has its own sign. Only headers and the last
bytes are read, except for a search of a second header in a few formats.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kb.media import frame_chain

_TAIL_BYTES = 1 << 20
_AMR_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The end of a file by its structure.

    `cut`: True if the file ends within a part that it has announced, False if its end is marked,
    None if nothing can be known. `unread_share` is the share of the file's bytes behind the end of
    the container, which no reader reaches. `length_is_open`: the declared length is a placeholder.
    `data_bytes` is the length of the samples in a WAV whose header says less than the file holds,
    `bytes_per_s` their rate.
    """

    cut: bool | None = None
    unread_share: float = 0.0
    length_is_open: bool = False
    data_bytes: int | None = None
    bytes_per_s: int = 0


def file_end(path: Path, container: str, size_bytes: int) -> FileEnd:
    """Return the signs of a file's end; `container` is one of libavformat's names of its format.

    A file that cannot be read, or that is not what its format says, gives no sign.
    """
    find = _BY_FORMAT.get(_FAMILIES.get(container, container))
    if find is None:
        return FileEnd()
    try:
        with path.open("rb") as file:
            return find(file, size_bytes)
    except (OSError, ValueError, struct.error):
        return FileEnd()


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


# RIFF and its relatives

_CHUNK_NAME = re.compile(rb"[A-Za-z0-9 _\-]{4}")
# The last bytes of the names of a Sony Wave64's chunks.
_W64_NAMES = {bytes.fromhex("00c04f8edb8a"), bytes.fromhex("28db04c10000")}
_PADDING_BYTES = 4096
_LIMIT_NEAR = 1 << 20  # placeholders are the largest number of 31 or 32 bits, less a header
_ABSURD_RATIO = 200  # a medium of seconds whose header claims an hour


def _is_placeholder(declared: int, there: int) -> bool:
    """Return True if a declared length is no statement about a file with `there` bytes."""
    if declared == 0:
        return there > 0
    if declared <= there:
        return False
    at_limit = any(-_LIMIT_NEAR <= declared - limit <= 8 for limit in (1 << 31, 1 << 32))
    return at_limit or declared >= 1 << 62 or declared > _ABSURD_RATIO * max(there, 1)


def _wav(file: BinaryIO, size: int) -> FileEnd:
    long_size, frame = None, b""
    at = 12
    while at + 8 <= size:
        name, length = struct.unpack("<4sI", _read(file, at, 8))
        if name == b"ds64":
            long_size = struct.unpack("<Q", _read(file, at + 16, 8))[0]
        elif name == b"fmt ":
            frame = file.read(min(length, 16))
        elif name == b"data":
            if long_size is not None and length == 0xFFFFFFFF:
                length = long_size
            return _wav_end(file, size, at + 8, length, frame)
        at += 8 + length + (length & 1)
    return FileEnd()


def _wav_end(file: BinaryIO, size: int, data_at: int, declared: int, frame: bytes) -> FileEnd:
    there = size - data_at
    if _is_placeholder(declared, there):
        return FileEnd(length_is_open=True)
    if declared > there:
        return FileEnd(cut=True)
    after = _end_of_chunks(file, size, data_at + declared)
    if after >= size:
        return FileEnd(cut=False)
    head = _read(file, after, 4096)
    if head[:4] in (b"RIFF", b"RF64"):
        # Another file of the same form is read through: its header is a click of a millisecond.
        fmt, data = head.find(b"fmt "), head.find(b"data")
        align = struct.unpack("<H", frame[12:14])[0] if len(frame) >= 16 else 0
        same = 0 <= fmt < data and head[fmt + 8 : fmt + 24] == frame
        if not (same and align and (after + data + 8 - data_at) % align == 0):
            return FileEnd(unread_share=(size - after) / size)
    elif not _read(file, after, 1 << 16).strip(b"\0") and size - after <= 1 << 16:
        return FileEnd(cut=False)  # padding
    return FileEnd(
        data_bytes=there,
        bytes_per_s=struct.unpack("<I", frame[8:12])[0] if len(frame) >= 12 else 0,
    )


def _end_of_chunks(file: BinaryIO, size: int, at: int) -> int:
    """Return the place behind the last chunk of a RIFF file, from the end of one chunk on."""
    while at + 8 <= size:
        for begin in (at + (at & 1), at):  # some writers do not pad a chunk of odd length
            name, length = struct.unpack("<4sI", _read(file, begin, 8).ljust(8, b"\0"))
            if (
                _CHUNK_NAME.fullmatch(name)
                and name not in (b"RIFF", b"RF64", b"data")
                and begin + 8 + length <= size
            ):
                at = begin + 8 + length
                break
        else:
            return at
    return size


def _avi(file: BinaryIO, size: int) -> FileEnd:
    at = 0
    while at + 12 <= size:
        name, length = struct.unpack("<4sI", _read(file, at, 8))
        if name != b"RIFF":
            break
        if _is_placeholder(length, size - at - 8):
            return FileEnd()
        at += 8 + length
    return FileEnd(cut=at > size)


def _aiff(file: BinaryIO, size: int) -> FileEnd:
    length = struct.unpack(">I", _read(file, 4, 4))[0] + 8
    if _is_placeholder(length, size):
        return FileEnd(length_is_open=True)
    if length > size + 1:
        return FileEnd(cut=True)
    after = _end_of_aiff_chunks(file, size)
    if _is_left_over(file, after, size):
        return FileEnd(cut=False, unread_share=(size - after) / size)
    return _second_header(file, size, re.compile(rb"FORM....AIF[FC]", re.DOTALL))


def _end_of_aiff_chunks(file: BinaryIO, size: int) -> int:
    at = 12
    while at + 8 <= size:
        name, length = struct.unpack(">4sI", _read(file, at, 8))
        if not _CHUNK_NAME.fullmatch(name) or name == b"FORM" or at + 8 + length > size:
            break
        at += 8 + length + (length & 1)
    return at


def _is_left_over(file: BinaryIO, at: int, size: int) -> bool:
    """Return True if more than padding is behind the last chunk of a file."""
    return size - at > _PADDING_BYTES and bool(_read(file, at, 1 << 16).strip(b"\0"))


def _w64(file: BinaryIO, size: int) -> FileEnd:
    length = struct.unpack("<Q", _read(file, 16, 8))[0]
    if _is_placeholder(length, size):
        return FileEnd(length_is_open=True)
    if length > size:
        return FileEnd(cut=True)
    after = _end_of_w64_chunks(file, size)
    is_left = _is_left_over(file, after, size)
    return FileEnd(cut=False, unread_share=(size - after) / size if is_left else 0.0)


def _end_of_w64_chunks(file: BinaryIO, size: int) -> int:
    at = 40
    while at + 24 <= size:
        length = struct.unpack("<Q", _read(file, at + 16, 8))[0]
        name = _read(file, at, 16)
        if name[10:] not in _W64_NAMES or name[:4] == b"riff" or not 24 <= length <= size - at:
            break
        at += length + -length % 8
    return at


# ISO base media (MP4, MOV, M4A)


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place and end of the boxes at the top; an end may lie behind the file's end."""
    at = 0
    while at + 8 <= size:
        length, name = struct.unpack(">I4s", _read(file, at, 8))
        if length == 1:
            length = struct.unpack(">Q", _read(file, at + 8, 8))[0]
        end = size if length == 0 else at + length
        if length and length < 8:
            return
        yield name, at, end
        at = end


def _mp4(file: BinaryIO, size: int) -> FileEnd:
    has_index = False
    cut: bool | None = False
    for name, at, end in _boxes(file, size):
        if name == b"moof":
            cut = None  # between two fragments nothing shows that more were to come
        if name in (b"ftyp", b"moov") and has_index:
            return FileEnd(cut=cut, unread_share=(size - at) / size)
        has_index = has_index or name == b"moov"
        if end > size:
            return FileEnd(cut=True)
    return FileEnd(cut=cut)


# Ogg


def _ogg(file: BinaryIO, size: int) -> FileEnd:
    """The last page of a stream is marked (RFC 3533): without that mark the file ends early."""
    begin = max(0, size - _TAIL_BYTES)
    tail = _read(file, begin, size - begin)
    flags: dict[bytes, int] = {}
    is_partial = False
    at = tail.find(b"OggS")
    while at >= 0:
        header = tail[at : at + 27]
        table = tail[at + 27 : at + 27 + (header[26] if len(header) == 27 else 0)]
        end = at + 27 + len(table) + sum(table)
        is_partial = len(header) < 27 or len(table) < header[26] or end > len(tail)
        if is_partial:
            break
        flags[header[14:18]] = header[5]
        at = end if tail[end : end + 4] == b"OggS" else tail.find(b"OggS", end)
    if not flags and not is_partial:
        return FileEnd()
    last = [bool(value & 4) for value in flags.values()]
    return FileEnd(cut=is_partial or not any(last))


# Transport streams


def _mpegts(file: BinaryIO, size: int) -> FileEnd:
    head = _read(file, 0, 2048)
    for step, first in ((188, 0), (192, 4), (204, 0)):
        if all(head[first + step * n : first + step * n + 1] == b"\x47" for n in range(5)):
            # Blu-ray and cameras write units of 32 packets.
            unit = step * 32 if step == 192 else step
            return FileEnd(cut=True if size % unit else None)
    return FileEnd()


# Other containers


def _asf(file: BinaryIO, size: int) -> FileEnd:
    head = _read(file, 0, 65_536)
    at = head.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    if at < 0:
        return FileEnd()
    length, flags = (
        struct.unpack("<Q", head[at + 40 : at + 48])[0],
        struct.unpack("<I", head[at + 88 : at + 92])[0],
    )
    if flags & 1 or _is_placeholder(length, size):
        return FileEnd()
    if length > size:
        return FileEnd(cut=True)
    return _second_header(file, size, re.compile(re.escape(head[:16])))


def _second_header(file: BinaryIO, size: int, magic: re.Pattern[bytes]) -> FileEnd:
    """Find another file of the same format behind the first one, where its reader stops."""
    if not size:
        return FileEnd()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = magic.search(data, 16)
        return FileEnd(cut=False, unread_share=(size - found.start()) / size if found else 0.0)


def _caf(file: BinaryIO, size: int) -> FileEnd:
    at = 8
    while at + 12 <= size:
        name, length = struct.unpack(">4sq", _read(file, at, 12))
        if not _CHUNK_NAME.fullmatch(name) and _is_left_over(file, at, size):
            return FileEnd(cut=False, unread_share=(size - at) / size)
        if name == b"data" and length < 0:
            return FileEnd(length_is_open=True)
        if length < 0:
            return FileEnd()
        at += 12 + length
        if at > size:
            return FileEnd(cut=True)
        if _read(file, at, 4) == b"caff":
            return FileEnd(cut=False, unread_share=(size - at) / size)
    return FileEnd(cut=False)


def _voc(file: BinaryIO, size: int) -> FileEnd:
    """Creative Voice: blocks of a type (0 ends the file), a length of 24 bits, and samples."""
    at: int = struct.unpack("<H", _read(file, 20, 2))[0]
    while at < size and 0 < _read(file, at, 1)[0] < 10:
        at += 4 + int.from_bytes(_read(file, at + 1, 3), "little")
    if at > size:
        return FileEnd(cut=True)
    if _is_left_over(file, at, size):
        return FileEnd(cut=False, unread_share=(size - at) / size)
    return FileEnd(cut=False)


def _by_own_header(count: int) -> Callable[[BinaryIO, int], FileEnd]:
    """Return a search for the file's first bytes behind its start."""

    def find(file: BinaryIO, size: int) -> FileEnd:
        found = _second_header(file, size, re.compile(re.escape(_read(file, 0, count))))
        return FileEnd(unread_share=found.unread_share)

    return find


# Streams of frames


def _frames(length_of: frame_chain.FrameLength) -> Callable[[BinaryIO, int], FileEnd]:
    def find(file: BinaryIO, size: int) -> FileEnd:
        begin = max(0, size - frame_chain.TAIL_BYTES)
        tail = _read(file, begin, size - begin)
        # A complete last frame is no proof: the file may have been cut between two frames.
        return FileEnd(cut=frame_chain.tail_is_cut(tail, length_of) or None)

    return find


def _amr(file: BinaryIO, size: int) -> FileEnd:
    if size > _AMR_BYTES_MAX:
        return FileEnd()
    return FileEnd(cut=frame_chain.amr_is_cut(_read(file, 0, size)) or None)


def _flac(file: BinaryIO, size: int) -> FileEnd:
    if int.from_bytes(_read(file, 21, 5), "big") & 0xFFFFFFFFF:
        return FileEnd()  # STREAMINFO has the number of samples
    begin = max(0, size - frame_chain.TAIL_BYTES)
    return FileEnd(cut=frame_chain.flac_is_cut(_read(file, begin, size - begin)) or None)


def _matroska(file: BinaryIO, size: int) -> FileEnd:
    """Compare the declared size of the segment, if there is one, with the file (RFC 8794)."""
    head = _read(file, 0, 4096)
    at = head.find(b"\x18\x53\x80\x67")  # Segment
    if at < 0 or at + 5 > len(head):
        return FileEnd()
    width = 9 - head[at + 4].bit_length()
    value = int.from_bytes(head[at + 4 : at + 4 + width], "big") & ((1 << 7 * width) - 1)
    if width > 8 or value == (1 << 7 * width) - 1:
        return FileEnd()
    return FileEnd(cut=at + 4 + width + value > size)


_FAMILIES = {**dict.fromkeys(("mp4", "m4a", "3gp", "3g2", "mj2"), "mov"), "webm": "matroska"}
_BY_FORMAT: dict[str, Callable[[BinaryIO, int], FileEnd]] = {
    "wav": _wav, "avi": _avi, "aiff": _aiff, "w64": _w64, "mov": _mp4, "ogg": _ogg,
    "mpegts": _mpegts, "asf": _asf, "caf": _caf, "voc": _voc, "amr": _amr, "flac": _flac,
    "matroska": _matroska, "tta": _by_own_header(10), "flv": _by_own_header(9),
    **{name: _frames(length_of) for name, length_of in frame_chain.BY_FORMAT.items()},
}  # fmt: skip
