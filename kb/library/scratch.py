"""Folders for what is fetched, read and deleted again: `downloads/scratch/` of a library.

Each is held by a lock. What a killed process left has no holder, and `sweep` removes it.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kb import storage
from kb.storage.locks import locked_now

FOLDER = "downloads/scratch"
_LOCK = ".lock"


@contextmanager
def scratch_folder(home: Path) -> Iterator[Path]:
    """Yield an empty folder that is removed at the end. Raises LibraryError."""
    with storage.held(home / FOLDER) as place:
        while True:
            folder = place / uuid.uuid4().hex
            lock = folder.with_suffix(_LOCK)
            place.mkdir(parents=True, exist_ok=True)
            with locked_now(lock) as is_mine:
                # A sweep may have removed the lock before it was held.
                if not is_mine or not lock.exists():
                    continue
                try:
                    folder.mkdir()
                    yield folder
                finally:
                    _remove(folder, lock)
                return


def sweep(home: Path) -> tuple[Path, ...]:
    """Remove the folders of killed processes; return their paths."""
    place, removed = home / FOLDER, []
    for folder in {each.with_suffix("") for each in place.glob("*") if place.is_dir()}:
        lock = folder.with_suffix(_LOCK)
        with locked_now(lock) as is_mine:
            if is_mine:
                _remove(folder, lock)
                removed.append(folder)
    return tuple(removed)


def _remove(folder: Path, lock: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # on Windows an open file stays until the next sweep
        lock.unlink(missing_ok=True)
