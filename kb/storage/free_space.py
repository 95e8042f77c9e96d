"""The floor of free space: bytes that every writer leaves free on the disk.

A disk that is filled to its last byte stops the database and the other programs of the machine too.
Work that does not fit waits, and goes on by itself when there is room.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kb.errors import LibraryError, RetryLater

BELOW_FLOOR = "storage.below_floor"  # code of the error that concerns all work
NO_ROOM = "storage.no_room"  # code of the error that concerns one large file
LOOK_AGAIN_S = 300.0


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes on the disk of a folder, which may not exist yet; None if unknown."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The floor of one library: `floor_bytes` stay free; 0 checks nothing."""

    floor_bytes: int

    def room(self, folder: Path) -> int | None:
        """Return the bytes that may be written on the disk of a folder; None for no limit."""
        free = free_bytes(folder) if self.floor_bytes else None
        return None if free is None else free - self.floor_bytes

    def require(
        self, folder: Path, need: int = 0, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Raise if the disk of a folder has no room for `need` more bytes.

        Raises LibraryError, which may pass, while less than the floor is free: no work can go on.
        Raises RetryLater if only these bytes do not fit: other work can. Its time is by `clock`.
        """
        room = self.room(folder)
        if room is None or room >= need:
            return
        if room < 0:
            raise LibraryError(
                BELOW_FLOOR,
                "{folder} has {free} free, and {floor} are to stay free there: {need} are missing.",
                hint="Free some space; work goes on by itself. The limit is KB_MIN_FREE_GB.",
                retryable=True,
                folder=folder,
                free=size_text(room + self.floor_bytes),
                floor=size_text(self.floor_bytes),
                need=size_text(max(need, 0) - room),
            )
        raise RetryLater(
            NO_ROOM,
            "{need} are needed in {folder}, and {room} may be written there.",
            hint="Free some space; it goes on by itself. {floor} stay free (KB_MIN_FREE_GB).",
            until=clock() + LOOK_AGAIN_S,
            folder=folder,
            need=size_text(need),
            room=size_text(room),
            floor=size_text(self.floor_bytes),
        )


def size_text(count: int) -> str:
    """Return a number of bytes for people."""
    if count >= 1_000_000_000:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"
