"""Frames of raw streams (MP3, AAC, AC-3, DTS, AMR, FLAC), which have no header of the whole file.

The only sign of an end that such a file has is its last frame: complete, or cut short.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import NamedTuple

Buffer = bytes | mmap.mmap
FrameLength = Callable[[Buffer, int], int]
"""Length in bytes of the frame at a place, 0 if no frame starts there, -1 if the header is cut."""

TAIL_BYTES = 1 << 17
_SIGNS = (b"\xff", b"\x56", b"\x0b\x77", b"\x7f\xfe", b"ID3")  # first bytes of frames and tags
_CHAIN = 4  # frames in a row; fewer may be a coincidence
_MP3_KBPS = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 0),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    4: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256, 0),
    5: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}  # MPEG-1 layers I, II, III; MPEG-2 and 2.5 layer I; their layers II and III
_MP3_HZ = (44_100, 48_000, 32_000)
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AMR_NB = (13, 14, 16, 18, 20, 21, 27, 32, 6, 7, 6, 6, 1, 1, 1, 1)
_AMR_WB = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 6, 1, 1, 1, 1, 1)


def mpeg_audio(data: Buffer, at: int) -> int:
    """Frame length of MPEG-1 and MPEG-2 audio, layers I to III (ISO 11172-3, 13818-3)."""
    if at + 3 > len(data):
        return -1
    if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    rate, hz_index, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer == 4 or hz_index == 3:
        return 0
    full = version == 3
    kbps = _MP3_KBPS[layer if full else (4 if layer == 1 else 5)][rate]
    hz = _MP3_HZ[hz_index] >> {3: 0, 2: 1, 0: 2}[version]
    if not kbps:
        return 0
    if layer == 1:
        return (12_000 * kbps // hz + padding) * 4
    return (144_000 if full or layer == 2 else 72_000) * kbps // hz + padding


def adts(data: Buffer, at: int) -> int:
    """Frame length of AAC in ADTS (ISO 13818-7)."""
    if at + 6 > len(data):
        return -1
    if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return 0
    length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return length if length > 7 else 0


def loas(data: Buffer, at: int) -> int:
    """Frame length of AAC in LOAS (ISO 14496-3)."""
    if at + 3 > len(data):
        return -1
    if data[at] != 0x56 or data[at + 1] & 0xE0 != 0xE0:
        return 0
    return ((data[at + 1] & 0x1F) << 8 | data[at + 2]) + 3


def ac3(data: Buffer, at: int) -> int:
    """Frame length of AC-3 and E-AC-3 (ETSI TS 102 366)."""
    if at + 6 > len(data):
        return -1
    if data[at] != 0x0B or data[at + 1] != 0x77:
        return 0
    if data[at + 5] >> 3 > 10:
        return (((data[at + 2] & 7) << 8 | data[at + 3]) + 1) * 2
    hz_index, size_code = data[at + 4] >> 6, data[at + 4] & 0x3F
    if hz_index == 3 or size_code >= 2 * len(_AC3_KBPS):
        return 0
    kbps = _AC3_KBPS[size_code >> 1]
    words = (kbps * 2, kbps * 96_000 // 44_100 + (size_code & 1), kbps * 3)[hz_index]
    return words * 2


def dts(data: Buffer, at: int) -> int:
    """Frame length of a DTS core (ETSI TS 102 114)."""
    if at + 8 > len(data):
        return -1
    if data[at : at + 4] != b"\x7f\xfe\x80\x01":
        return 0
    return ((data[at + 5] & 3) << 12 | data[at + 6] << 4 | data[at + 7] >> 4) + 1


BY_FORMAT: dict[str, FrameLength] = {
    "mp3": mpeg_audio, "aac": adts, "loas": loas, "ac3": ac3, "eac3": ac3, "dts": dts,
}  # fmt: skip


def tail_is_cut(tail: bytes, length_of: FrameLength) -> bool | None:
    """Return True if the last frame of a tail is cut short, False if it is complete.

    None: no chain of frames reaches the end of the tail, so that nothing is known.
    """
    tail = _without_tags(tail)
    for start in range(len(tail)):
        at, frames = start, 0
        while at < len(tail) and (length := length_of(tail, at)) > 0:
            at, frames = at + length, frames + 1
        if frames >= _CHAIN and (at >= len(tail) or length_of(tail, at) < 0):
            return at != len(tail)
        if frames >= _CHAIN and len(tail) - at < TAIL_BYTES // 2:
            return None  # something else follows the frames
    return None


class Break(NamedTuple):
    """A stretch of bytes between two frames that holds none; `before`: bytes of frames before."""

    before: int
    size: int


def breaks_in_chain(data: Buffer, length_of: FrameLength) -> tuple[list[Break], int]:
    """Return the stretches between frames that hold no frame, and the number of bytes in frames.

    Tags (ID3v2) between frames are none, nor is what stands before the first and behind the last.
    """
    found: list[Break] = []
    at = inside = 0
    broken: int | None = None  # place at which the chain broke
    while at < len(data):
        length = length_of(data, at)
        if length > 0 and (broken is None or _begins_chain(data, at, length_of)):
            if broken is not None and inside:
                found.append(Break(inside, at - broken))
            broken = None
            inside, at = inside + length, at + length
        elif data[at : at + 3] == b"ID3" and at + 10 <= len(data):
            size = [byte & 0x7F for byte in data[at + 6 : at + 10]]
            at += 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
        else:
            broken = at if broken is None else broken
            at += 1
            places = [data.find(sign, at) for sign in _SIGNS]
            at = min((place for place in places if place >= 0), default=len(data))
    return found, inside


def _begins_chain(data: Buffer, at: int, length_of: FrameLength) -> bool:
    for _ in range(_CHAIN):
        length = length_of(data, at)
        if length <= 0:
            return length < 0 or at >= len(data)
        at += length
    return True


def _without_tags(tail: bytes) -> bytes:
    """Return a tail without the tags of titles (ID3v1, APE) at its end."""
    if tail[-128:-125] == b"TAG":
        tail = tail[:-128]
    if tail[-32:-24] == b"APETAGEX":
        size = int.from_bytes(tail[-20:-16], "little")
        has_header = bool(tail[-9] & 0x80)
        tail = tail[: max(0, len(tail) - size - 32 * has_header)]
    return tail


def amr_is_cut(data: bytes) -> bool | None:
    """Return True if the last frame of an AMR file is cut short (RFC 4867, section 5)."""
    for magic, sizes in ((b"#!AMR-WB\n", _AMR_WB), (b"#!AMR\n", _AMR_NB)):
        if data.startswith(magic):
            at = len(magic)
            while at < len(data):
                at += sizes[data[at] >> 3 & 15]
            return at > len(data)
    return None


def flac_is_cut(tail: bytes) -> bool | None:
    """Return True if no complete FLAC frame ends at the end of a tail (RFC 9639, section 9).

    A frame has no length, but its last two bytes are the CRC-16 of all others.
    """
    tail = _without_tags(tail)
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        # Sync codes occur inside frames, too.
        if tail[at + 1 : at + 2] in (b"\xf8", b"\xf9") and not _crc16(tail[at:]):
            return False
    return True


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
    return value


def _crc16_table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        value = number << 8
        for _ in range(8):
            value = (value << 1 ^ 0x8005 if value & 0x8000 else value << 1) & 0xFFFF
        table.append(value)
    return tuple(table)


_CRC16 = _crc16_table()
