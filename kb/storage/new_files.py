"""Names for new files in a user's folder: a file that is there is never replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from kb.storage.os_errors import library_error

NAME_BYTES = 255  # the longest name on Linux; Windows counts characters, which are fewer


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield `target`, or the first free one of `name (2)`, `name (3)` …; the block writes there.

    The name is reserved by an empty file, so that two processes never get the same one; it is
    removed if the block fails. Missing folders are made. Raises LibraryError if the folder cannot
    be used.
    """
    path = _reserve(target)
    try:
        yield path
    except BaseException:
        with suppress(OSError):
            if not path.stat().st_size:
                path.unlink()
        raise


def _reserve(target: Path) -> Path:
    for number in count(1):
        path = target if number == 1 else target.with_name(_numbered(target.name, number))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileExistsError as error:
            if not path.parent.is_dir():  # a file is where the folder should be
                raise library_error(error, path, "write") from error
            continue
        except OSError as error:
            raise library_error(error, path, "write") from error
        return path
    raise AssertionError("numbers do not end")


def _numbered(name: str, number: int) -> str:
    """Return a name with a number before its suffix, cut to the length that systems allow."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    tail = f" ({number}){dot}{suffix}"
    while stem and len(os.fsencode(stem)) + len(os.fsencode(tail)) > NAME_BYTES:
        stem = stem[:-1]
    return f"{stem}{tail}"
