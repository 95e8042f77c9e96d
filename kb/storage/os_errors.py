"""Errors of the operating system as errors of the library."""

from __future__ import annotations

import errno
from pathlib import Path

from kb.errors import LibraryError

_CAUSES: dict[int, tuple[str, str]] = {
    code: (cause, hint)
    for codes, cause, hint in (
        (
            ("ENOSPC", "EDQUOT"),
            "the disk is full",
            "Free some space, or set KB_HOME to a folder on another disk, then run it again.",
        ),
        (
            ("EROFS", "EACCES", "EPERM"),
            "writing is not allowed there",
            "Make the folder writable, or set KB_HOME to one that is.",
        ),
        (
            ("ENOTDIR", "EEXIST", "EISDIR"),
            "a file lies where a folder should be, or a folder where a file should be",
            "Move it away, or set KB_HOME to another folder.",
        ),
        (
            ("ENAMETOOLONG",),
            "the path is too long",
            "Set KB_HOME to a folder with a shorter path.",
        ),
        (
            ("ENOENT",),
            "it is not there (any more)",
            "Check that the library folder (KB_HOME) exists and its disk is connected.",
        ),
    )
    for code in (getattr(errno, name, None) for name in codes)
    if code is not None
}


_WINDOWS_PATH_TOO_LONG = 206


def library_error(error: OSError, path: Path, action: str) -> LibraryError:
    """Return the system's error as a LibraryError: action, path, cause and next step."""
    code = error.errno or 0
    if getattr(error, "winerror", None) == _WINDOWS_PATH_TOO_LONG:
        code = errno.ENAMETOOLONG
    cause, hint = _CAUSES.get(
        code, (error.strerror or str(error), "Check the disk of the library folder (KB_HOME).")
    )
    return LibraryError(f"Cannot {action} {path}: {cause}.", hint=hint)
