"""Rights of the files that are written: for their owner alone, or for a group too.

Libraries of ours and of others make files (the database, the index, logs), so the rights are set
for the whole process by its umask; processes that it starts inherit them. On Windows a folder's own
rights decide.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

try:
    import pwd
except ImportError:  # Windows
    pwd = None  # type: ignore[assignment]

OWNER, GROUP, EVERYONE = 0o077, 0o007, 0o000  # umasks
_user_umask: int | None = None  # the umask that this process was started with


def umask_for(home: Path, *, group: bool) -> int:
    """Return the umask for a library folder.

    A folder that others may write to already is shared by several accounts: what they have is not
    taken from them.
    """
    try:
        mode = home.stat().st_mode
    except OSError:
        mode = 0
    if mode & stat.S_IWOTH:
        return EVERYONE
    return GROUP if group or mode & stat.S_IWGRP else OWNER


def open_to_others(home: Path, *, group: bool) -> Path | None:
    """Return a file or folder directly in a library folder that other accounts can read.

    None if there is none, if a folder above keeps them out, or where the rights are meant: see
    `umask_for`. Always None on Windows.
    """
    if sys.platform == "win32":
        return None
    unwanted = umask_for(home, group=group)
    try:
        above = [folder.stat().st_mode for folder in (home, *home.resolve().parents)]
        for bits in (unwanted & 0o007, unwanted & 0o070):
            # The group of a folder above may be another one, and then its other rights count.
            passing = 0o001 if bits == unwanted & 0o007 else 0o011
            if not all(mode & passing for mode in above):
                continue
            for path in sorted(home.iterdir()):
                if path.lstat().st_mode & bits & 0o055 and not path.is_symlink():
                    return path
    except OSError:
        return None  # other checks report a folder that cannot be read
    return None


@contextmanager
def private_files(home: Path, *, group: bool) -> Iterator[None]:
    """Make every file of this process private within the block; `group` includes the group."""
    global _user_umask
    before, outer = os.umask(umask_for(home, group=group)), _user_umask
    if outer is None:
        _user_umask = before
    try:
        yield
    finally:
        os.umask(before)
        _user_umask = outer


def give_usual_rights(path: Path) -> None:
    """Give a file that the user asked for (an export) the rights of the user's other files."""
    if _user_umask is not None and sys.platform != "win32":
        with suppress(OSError):
            path.chmod(0o666 & ~_user_umask)


class Foreign(NamedTuple):
    """A file or folder of another account, and the name of that account."""

    path: Path
    owner: str


def foreign_obstacle(path: Path, wanted: int = os.W_OK) -> Foreign | None:
    """Return the file or folder of another account that keeps this one from using `path`.

    `wanted` is os.W_OK or os.R_OK. A file is replaced in its folder, so the folder is looked at
    before the file. None if nothing does, if it belongs to this account, or on Windows.
    """
    if sys.platform == "win32" or pwd is None:
        return None
    folder = path.parent
    while folder != folder.parent and not os.path.lexists(folder):
        folder = folder.parent
    try:
        for place in (*reversed(folder.parents), folder):
            if not os.access(place, os.X_OK):
                return _foreign(place)
        if wanted == os.W_OK and not os.access(folder, os.W_OK):
            return _foreign(folder)
        if os.path.lexists(path) and (not os.access(path, wanted) or _is_kept(path, folder)):
            return _foreign(path)
    except OSError:
        pass
    return None


def shared_reading(folder: Path) -> int:
    """Return the bits of mode that let the accounts read a file which may write to a folder."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return 0
    return (0o040 if mode & stat.S_IWGRP else 0) | (0o004 if mode & stat.S_IWOTH else 0)


def _is_kept(path: Path, folder: Path) -> bool:
    """Return True if only its owner may replace a file: the folder has the sticky bit."""
    of_folder = folder.stat()
    owners = (of_folder.st_uid, path.lstat().st_uid, 0)
    return bool(of_folder.st_mode & stat.S_ISVTX) and os.geteuid() not in owners


def _foreign(path: Path) -> Foreign | None:
    owner = path.lstat().st_uid
    if owner == os.geteuid():
        return None
    try:
        return Foreign(path, pwd.getpwuid(owner).pw_name)
    except KeyError:  # an account of another machine
        return Foreign(path, str(owner))
