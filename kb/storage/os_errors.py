"""Errors of the operating system as errors with a next step, inside the library and outside."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from kb.errors import KBError, LibraryError
from kb.storage.permissions import foreign_obstacle


def _numbers(*names: str) -> frozenset[int]:
    """Return the numbers of those errors that this system defines."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


_FULL = _numbers("ENOSPC", "EDQUOT")
_NOT_ALLOWED = _numbers("EROFS", "EACCES", "EPERM")
_READ_ONLY = _numbers("EROFS")
_WRONG_KIND = _numbers("ENOTDIR", "EEXIST", "EISDIR")
_TOO_LONG = _numbers("ENAMETOOLONG")
_ABSENT = _numbers("ENOENT")
_WINDOWS_PATH_TOO_LONG = 206

_ACTIONS = {
    "write": KBError("action.write", "write"),
    "read": KBError("action.read", "read"),
    "remove": KBError("action.remove", "remove"),
    "lock": KBError("action.lock", "lock"),
    "use": KBError("action.use", "use"),
}


def library_error(error: OSError, path: Path, action: str) -> LibraryError:
    """Return the system's error as an error that names action, path, cause and next step.

    `action` is one of write, read, remove, lock and use.
    """
    code = error.errno or 0
    verb = _ACTIONS[action]
    if code in _FULL:
        return LibraryError(
            "storage.disk_full",
            "Cannot {action} {path}: the disk is full.",
            hint="Free some space, or set KB_HOME to a folder on another disk, then run it again.",
            action=verb,
            path=path,
        )
    wanted = os.R_OK if action == "read" else os.W_OK
    if code in _NOT_ALLOWED - _READ_ONLY and (foreign := foreign_obstacle(path, wanted)):
        return LibraryError(
            "storage.of_another_account",
            "Cannot {action} {path}: {obstacle} belongs to the account {owner}, which does not let "
            "this account do so.",
            hint="Let {owner} or the administrator open the whole library folder (KB_HOME) to a "
            "group of both accounts: chgrp -R GROUP KB_HOME, then chmod -R g+rwXs KB_HOME.",
            action=verb,
            path=path,
            obstacle=foreign.path,
            owner=foreign.owner,
        )
    if code in _NOT_ALLOWED and action == "read":
        return LibraryError(
            "storage.not_readable",
            "Cannot read {path}: this account has no permission.",
            hint="Change the permissions of the file or its folder.",
            path=path,
        )
    if code in _NOT_ALLOWED:
        return LibraryError(
            "storage.not_allowed",
            "Cannot {action} {path}: writing is not allowed there.",
            hint="Make the folder writable, or set KB_HOME to one that is.",
            action=verb,
            path=path,
        )
    if code in _WRONG_KIND:
        return LibraryError(
            "storage.wrong_kind",
            "Cannot {action} {path}: a file lies where a folder should be, or a folder where a "
            "file should be.",
            hint="Move it away, or set KB_HOME to another folder.",
            action=verb,
            path=path,
        )
    if code in _TOO_LONG or getattr(error, "winerror", None) == _WINDOWS_PATH_TOO_LONG:
        return LibraryError(
            "storage.path_too_long",
            "Cannot {action} {path}: the path is too long.",
            hint="Set KB_HOME to a folder with a shorter path.",
            action=verb,
            path=path,
        )
    if code in _ABSENT:
        return LibraryError(
            "storage.absent",
            "Cannot {action} {path}: it is not there (any more).",
            hint="Check that the library folder (KB_HOME) exists and its disk is connected.",
            action=verb,
            path=path,
        )
    return LibraryError(
        "storage.refused",
        "Cannot {action} {path}: {reason}.",
        hint="Check the disk of the library folder (KB_HOME).",
        action=verb,
        path=path,
        reason=error.strerror or error,
    )


def file_error(error: OSError, path: Path) -> LibraryError:
    """Return the system's error for writing a file outside the library.

    Its next step names the place that the user gave: the library's folder has no part in it.
    """
    code = error.errno or 0
    if code in _FULL:
        return LibraryError(
            "output.disk_full",
            "Cannot write {path}: the disk is full.",
            hint="Free some space, or name a place on another disk.",
            path=path,
        )
    if code in _NOT_ALLOWED:
        return LibraryError(
            "output.not_allowed",
            "Cannot write {path}: writing is not allowed there.",
            hint="Name another place, or make its folder writable.",
            path=path,
        )
    if code in _WRONG_KIND:
        return LibraryError(
            "output.wrong_kind",
            "Cannot write {path}: a file is where a folder should be, or a folder where a file "
            "should be.",
            hint="Name another place, or move it away.",
            path=path,
        )
    if code in _TOO_LONG or getattr(error, "winerror", None) == _WINDOWS_PATH_TOO_LONG:
        return LibraryError(
            "output.path_too_long",
            "Cannot write {path}: the path is too long.",
            hint="Name a folder with a shorter path.",
            path=path,
        )
    return LibraryError(
        "output.refused",
        "Cannot write {path}: {reason}.",
        hint="Check the disk, or name another place.",
        path=path,
        reason=error.strerror or error,
    )


def input_error(error: OSError, path: Path) -> LibraryError:
    """Return the system's error for reading a file that a user named.

    Its next step is about that file: the library's folder has no part in it.
    """
    code = error.errno or 0
    if code in _ABSENT:
        return LibraryError(
            "input.absent",
            "There is no file {path}.",
            hint="Check the spelling and the folder.",
            path=path,
        )
    if code in _NOT_ALLOWED:
        return LibraryError(
            "input.not_allowed",
            "Cannot read {path}: this account has no permission.",
            hint="Change the permissions of the file or its folder.",
            path=path,
        )
    if code in _WRONG_KIND:
        return LibraryError(
            "input.wrong_kind",
            "Cannot read {path}: a folder is where a file should be, or a file where a folder "
            "should be.",
            hint="Name the file itself.",
            path=path,
        )
    return LibraryError(
        "input.refused",
        "Cannot read {path}: {reason}.",
        hint="Check the path and the disk, or copy the file to another place.",
        path=path,
        reason=error.strerror or type(error).__name__,
    )
