"""Links of a chained Ogg file (RFC 3533) whose sound has other parameters than the one before.

libavformat reads a chain only while codec, rate and channels stay the same, and ends at the first
link with others. Each such link is a complete file in itself and can be read as one.
"""

from __future__ import annotations

import mmap
from pathlib import Path

_HEAD_BYTES = 28  # of a page, in front of its table of segments
_IDENTITY_BYTES = 16  # of a codec's first packet: its name, channels and rate
_IS_FIRST = 2  # flag of the first page of a stream


def changed_links(path: Path) -> list[int]:
    """Return the places of the links that begin with other parameters, in order.

    Empty for a file that is no Ogg, or that holds several streams side by side.
    """
    found: list[int] = []
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at, identity, follows_first = 0, b"", False
            while data[at : at + 4] == b"OggS" and at + _HEAD_BYTES <= len(data):
                segments = data[at + 26]
                table = data[at + 27 : at + 27 + segments]
                content = at + 27 + segments
                is_first = bool(data[at + 5] & _IS_FIRST)
                if is_first and follows_first:
                    return []
                if is_first:
                    now = data[content : content + _IDENTITY_BYTES]
                    if identity and _parameters(now) != _parameters(identity):
                        found.append(at)
                    identity = now
                follows_first = is_first
                at = content + sum(table)
    except (OSError, ValueError, IndexError):
        pass  # the pages before the damage are known
    return found


def _parameters(identity: bytes) -> bytes:
    """Return the part of a first packet that must not change; Opus has a free field behind it."""
    return identity[:10] if identity.startswith(b"OpusHead") else identity
