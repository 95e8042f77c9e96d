"""Temporary files outside the library: recorded, so that a later process removes what a kill left.

The library's own folders are swept as they are. Anywhere else, on an export's disk or in the
system's temporary folder, only the record says where to look.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kb.errors import LibraryError
from kb.storage.atomic import (
    atomic_path,
    has_ended,
    is_abandoned,
    remove_temporary,
    sweep,
    temporary_name,
)
from kb.storage.os_errors import file_error
from kb.storage.written_record import WrittenRecord


def sweep_drafts(record: WrittenRecord | None = None) -> tuple[Path, ...]:
    """Remove the recorded temporary files whose process has ended; return their paths.

    Raises nothing. A file on a disk that is not there stays recorded.
    """
    record = record or WrittenRecord()
    removed: list[Path] = []
    gone: list[Path] = []
    for path, at in record.drafts():
        with suppress(OSError):
            if os.path.lexists(path):
                if not is_abandoned(path):
                    continue
                remove_temporary(path)
                removed.append(path)
            elif not path.parent.is_dir() or not has_ended(path.name, at):
                continue
            gone.append(path)
    if gone:
        record.remove_drafts(*gone)
    return tuple(removed)


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new private folder, which is removed at the end.

    It is in `parent`, by default in the system's temporary folder. Raises LibraryError if it cannot
    be made.
    """
    record = WrittenRecord()
    sweep_drafts(record)
    folder = (parent or Path(tempfile.gettempdir())).resolve() / temporary_name()
    record.add_draft(folder)
    try:
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise file_error(error, folder) from error
        yield folder
    finally:
        with suppress(OSError):
            remove_temporary(folder)
        record.remove_drafts(folder)


@contextmanager
def user_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path that takes the place of a file of settings at the end of the block.

    As `atomic_path`, for files outside the library that the caller has read and changes. A link is
    followed: its target is replaced, not the link. Raises LibraryError.
    """
    target = target.resolve()
    record = WrittenRecord()
    sweep_drafts(record)
    sweep(target.parent)
    made: list[Path] = []
    try:
        with atomic_path(target) as temporary:
            made.append(temporary)
            record.add_draft(temporary)
            yield temporary
    except LibraryError as error:
        if isinstance(error.__cause__, OSError):
            raise file_error(error.__cause__, target) from error.__cause__
        raise
    finally:
        record.remove_drafts(*made)


def write_private(target: Path, text: str) -> None:
    """Write `text` to `target` outside the library, readable by its owner alone.

    A link is followed. Raises LibraryError (disk full, access denied, file in the way).
    """
    with user_path(target) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
