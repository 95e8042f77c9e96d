"""Folders in which a write stays, whatever is mounted or moved over their path meanwhile.

A share can go away between the check of a folder and the write into it; the path then leads to the
empty mount point. So a folder that was claimed is opened, checked through its descriptor, and
written to through the descriptor (`/proc/PID/fd/N`): the path of a write and the folder that was
checked are one. The descriptor is held for one write, because it keeps the share from being
unmounted. Where the system has no such paths (Windows, macOS), the folder is checked before the
write.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kb.storage.os_errors import library_error

Check = Callable[[Path], None]
"""Raises LibraryError if the folder at a path is not the claimed one."""

_checks: dict[Path, Check] = {}  # by the absolute path of the claimed folder


def claim(folder: Path, check: Check | None) -> None:
    """Let every write below a folder be preceded by `check`; None ends that."""
    if check is None:
        _checks.pop(folder, None)
    else:
        _checks[folder] = check


@contextmanager
def held(path: Path) -> Iterator[Path]:
    """Yield a path that leads to the same file as `path` during the block.

    It is `path` itself outside claimed folders. It is valid in child processes too, and must not be
    shown or stored. Raises LibraryError if the claimed folder is missing or is another one.
    """
    folder = next((each for each in (path, *path.parents) if each in _checks), None)
    check = None if folder is None else _checks.get(folder)
    if folder is None or check is None:
        yield path
        return
    if sys.platform != "linux":
        check(folder)
        yield path
        return
    try:
        handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        check(folder)
        raise library_error(error, folder, "use") from error
    try:
        real = Path(f"/proc/{os.getpid()}/fd/{handle}")
        if not os.path.samestat(os.fstat(handle), _status(real)):  # no /proc, or not for us
            real = folder
        check(real)
        yield real / path.relative_to(folder)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises OSError, and LibraryError as `held` does."""
    with held(folder) as real:
        real.mkdir(parents=True, exist_ok=True)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there. Raises OSError, and LibraryError as `held` does."""
    with held(path) as real:
        real.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as possible.

    Raises LibraryError as `held` does: nothing of another folder at its path is removed.
    """
    with held(folder) as real:
        shutil.rmtree(real, ignore_errors=True)


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:
        return os.stat_result([0] * 10)
