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
