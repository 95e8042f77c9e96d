"""Signs of encryption (DRM) in the header of a container."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

# The kind of a track's samples stands behind its list ("stsd"): version, count and size are
# between. Common encryption, FairPlay, and Audible's AAX.
_MP4_SOUND = re.compile(rb"stsd.{12}(?:enca|drms|aavd)", re.DOTALL)
_MP4_INDEX_BYTES = 64 << 20
# Content Encryption and Extended Content Encryption objects (ASF specification, 3.14 and 3.15).
_ASF = tuple(
    bytes.fromhex(each)
    for each in ("fbb3112223bdd211b4b700a0c955fc6e", "14e68a292226174cb935dae07ee9289c")
)
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_EBML = bytes.fromhex("1a45dfa3")
_HEADER_BYTES = 1 << 16
# Matroska: the element ContentEncryption, within an encoding of a track (RFC 9559).
_MATROSKA = re.compile(rb"\x6d\x80.{1,16}?\x62\x40.{1,64}?\x50\x35", re.DOTALL)


def is_protected(path: Path, head: bytes) -> bool:
    """Return True if the header says that the sound is encrypted; `head`: the first bytes."""
    is_asf, is_mp4 = head.startswith(_ASF_HEADER), head[4:8] == b"ftyp"
    if not (is_asf or is_mp4 or head.startswith(_EBML)):
        return False
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        if is_asf:
            return any(each in data[:_HEADER_BYTES] for each in _ASF)
        if is_mp4:
            return _has_encrypted_sound(data)
        return _MATROSKA.search(data[:_HEADER_BYTES]) is not None


def _has_encrypted_sound(data: mmap.mmap) -> bool:
    at = 0
    while at + 16 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if name == b"moov":
            index = data[at : at + min(length, _MP4_INDEX_BYTES)]
            return _MP4_SOUND.search(index) is not None
        if length < 8:
            return False
        at += length
    return False
