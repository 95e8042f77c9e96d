"""Files outside the library: one way to write them, which takes no file of anyone else.

A name that is free is used. A file that is there is replaced only if this program wrote it for the
same source and it was not changed since, or if the user says so. A content is known by its SHA-256
in a record of this user (`WrittenRecord`), never by its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from kb.errors import UsageError
from kb.storage.atomic import flush, flush_folder, retry_denied, sweep, temporary_name, write_new
from kb.storage.drafts import sweep_drafts
from kb.storage.os_errors import file_error
from kb.storage.permissions import give_usual_rights
from kb.storage.places import held, make_folder
from kb.storage.written_record import WrittenRecord

SWEEP_EVERY_S = 60.0  # the same folder: a run may write ten thousand files into it
NAME_BYTES = 255  # the longest name on Linux; Windows counts characters, which are fewer


class Standing(Enum):
    """The relation of this program to a file that is there."""

    FREE = "there is no file"
    FOLDER = "a folder has the name"
    OURS = "written by this program for the same source, unchanged since"
    CHANGED = "written by this program for the same source, changed since"
    OTHER = "written by this program for another source"
    FOREIGN = "not known: another program's or the user's own"


Judge = Callable[[Path, str], Standing]
"""Returns the standing of a regular file, given its path and the SHA-256 of its content."""


@dataclass
class Draft:
    """A file that is being written: write to `path`; after the block it is at `target`."""

    path: Path
    target: Path


@dataclass(frozen=True)
class Target:
    """A name for a file outside the library.

    `source` names what the file is made from: an item, a medium, a span of one. `overwrite`: a file
    in the way is replaced. `chosen`: the user gave the whole name and not only a folder, so that
    `overwrite` also replaces what was written for another source. `numbered`: a file in the way is
    left, and the new one gets a number. `private`: readable by its owner alone. `unrecorded`: a
    large file that never counts as ours (a backup). `never` is a file that is replaced in no case:
    the input. `judge` and `name` replace the record and the numbering for a writer that knows its
    files by their content.
    """

    path: Path
    source: str
    overwrite: bool = False
    chosen: bool = False
    numbered: bool = False
    private: bool = False
    unrecorded: bool = False
    never: Path | None = None
    judge: Judge | None = None
    name: Callable[[int], str] | None = None

    def candidate(self, number: int) -> Path:
        """Return the path with a number from 2 on; with 1 the path itself."""
        if self.name is not None:
            return self.path.with_name(self.name(number))
        return self.path if number == 1 else self.path.with_name(numbered(self.path.name, number))


def check_target(target: Target) -> Standing:
    """Return the standing of the file that has the target's name, before any work is done.

    Raises UsageError if that file is in the way, or a folder has its name, or a file is where its
    folder would be, and LibraryError if the folder cannot be read.
    """
    path = _resolved(target.path)
    _check_folder(path)
    found = _standing(path, target)
    _refuse(path, found, target)
    return found


@contextmanager
def user_file(target: Target) -> Iterator[Draft]:
    """Yield a draft; after the block it has the target's name, or a numbered one.

    The draft is beside the target, has its suffix, and is removed if the block fails. What killed
    processes left there, and wherever else this user wrote, is removed. Raises UsageError for a
    file in the way, LibraryError if the folder cannot be used.
    """
    path = _resolved(target.path)
    record = WrittenRecord()
    shown = path.with_name(temporary_name(path.suffix))
    _sweep(path.parent)
    sweep_drafts(record)
    record.add_draft(shown)
    try:
        _check_folder(path)
        make_folder(path.parent)
        with held(shown) as real:
            draft = Draft(real, path)
            try:
                yield draft
                flush(real)
                draft.target = _put(real, target, record)
                flush_folder(real.parent)
            finally:
                with suppress(OSError):
                    real.unlink()
    except OSError as error:
        with held(path):  # raises the cause if a library's folder went away
            raise file_error(error, path) from error
    finally:
        record.remove_drafts(shown)


_swept_at: dict[Path, float] = {}


def _sweep(folder: Path) -> None:
    now = time.monotonic()
    if now - _swept_at.get(folder, -SWEEP_EVERY_S) >= SWEEP_EVERY_S:
        _swept_at[folder] = now
        sweep(folder)


def write_user_file(target: Target, data: bytes) -> Path:
    """Write a whole file to the target; return its path. Raises as `user_file` does."""
    with user_file(target) as draft:
        write_new(draft.path, data)
    return draft.target


def numbered(name: str, number: int) -> str:
    """Return a name with a number before its suffix, cut to the length that systems allow."""
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    tail = f" ({number}){dot}{suffix}"
    while stem and len(os.fsencode(stem)) + len(os.fsencode(tail)) > NAME_BYTES:
        stem = stem[:-1]
    return f"{stem}{tail}"


def _put(draft: Path, target: Target, record: WrittenRecord) -> Path:
    """Put a draft in place; return its path. The draft's folder is that of the target, held."""
    digest = "" if target.unrecorded else _sha256(draft)
    number = 1
    while True:
        path = _resolved(target.candidate(number))
        place = draft.with_name(path.name)
        found = _standing(path, target, place)
        if digest and found is not Standing.OTHER and _has_content(place, digest):
            record.add(path, digest, target.source)
            return path
        if found is Standing.FREE:
            _give_rights(draft, target, None)
            if digest:
                record.add(path, digest, target.source)
            try:
                _move_to_free_name(draft, place)
            except FileExistsError:
                if not place.parent.is_dir():
                    raise
                continue  # another process was faster: look again
            return path
        may_replace = found is Standing.OURS or (number == 1 and _means(found, target))
        if may_replace and not _is_same_file(place, target.never):
            _give_rights(draft, target, place)
            if digest:
                record.add(path, digest, target.source)
            retry_denied(lambda to=place: draft.replace(to))  # type: ignore[misc]
            return path
        if number == 1:
            _refuse(path, found, target)
        number += 1


def _refuse(path: Path, found: Standing, target: Target) -> None:
    """Raise the error for a file or folder that has the target's name and cannot be replaced."""
    if found is Standing.FOLDER:
        raise UsageError(
            "output.is_folder",
            "Cannot write {path}: a folder has this name.",
            hint="Name another folder to write to, or move this one away.",
            path=path,
        )
    if found not in (Standing.CHANGED, Standing.FOREIGN) or target.numbered:
        return
    if _is_same_file(path, target.never):
        raise UsageError(
            "output.is_input",
            "{path} would be written over the file that it is made from.",
            hint="Name another place.",
            path=path,
        )
    if not target.overwrite:
        raise UsageError(
            "output.not_ours",
            "{path} is there already: it was not written by this program, or was changed since.",
            hint="Name another place, or replace it with: --overwrite",
            path=path,
        )


def _means(found: Standing, target: Target) -> bool:
    """Return True if the user's `overwrite` is about a file with this standing."""
    if found is Standing.OTHER:
        return target.overwrite and target.chosen
    return target.overwrite and found in (Standing.CHANGED, Standing.FOREIGN)


def _standing(path: Path, target: Target, place: Path | None = None) -> Standing:
    """Return the standing of the file at a path; `place` leads to it through a held folder."""
    place = place or path
    try:
        kind = place.lstat().st_mode
    except FileNotFoundError:
        return Standing.FREE
    except OSError as error:
        raise file_error(error, path) from error
    if stat.S_ISDIR(kind):
        return Standing.FOLDER
    if not stat.S_ISREG(kind) or target.unrecorded:  # a pipe is not read
        return Standing.FOREIGN
    try:
        digest = _sha256(place)
    except PermissionError:
        return Standing.FOREIGN
    except FileNotFoundError:
        return Standing.FREE
    except OSError as error:
        raise file_error(error, path) from error
    return (target.judge or recorded(target.source))(path, digest)


def recorded(source: str) -> Judge:
    """Return the judge that knows files by the record of what was written."""

    def judge(path: Path, digest: str) -> Standing:
        known = WrittenRecord().sources(path)
        if digest in known:
            return Standing.OURS if known[digest] == source else Standing.OTHER
        if not known:
            return Standing.FOREIGN
        return Standing.CHANGED if source in known.values() else Standing.OTHER

    return judge


def _resolved(path: Path) -> Path:
    """Return the path with the links of its folders followed, but not a link of its own name."""
    try:
        return path.parent.resolve() / path.name
    except (OSError, RuntimeError):  # a circle of links: the write names it
        return path.absolute()


def _check_folder(path: Path) -> None:
    """Raise UsageError if a file is where a folder of the path would be, naming the file."""
    for place in path.parents:
        if place.is_dir():
            return
        if os.path.lexists(place):
            raise UsageError(
                "export.folder_is_file",
                "Cannot write to {folder}: {place} is a file, not a folder.",
                hint="Name another folder, or move the file away.",
                folder=path.parent,
                place=place,
            )


def _move_to_free_name(draft: Path, path: Path) -> None:
    """Give a draft a name that nothing has. Raises FileExistsError."""
    try:
        os.link(draft, path)  # unlike a rename it never replaces
    except FileExistsError:
        raise
    except OSError:  # no hard links there: FAT, some network shares
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            retry_denied(lambda: draft.replace(path))
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise


def _give_rights(draft: Path, target: Target, replaced: Path | None) -> None:
    if target.private:
        with suppress(OSError):
            draft.chmod(0o600)
    elif replaced is not None and not replaced.is_symlink():
        with suppress(OSError):
            shutil.copymode(replaced, draft)
    else:
        give_usual_rights(draft)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has_content(path: Path, digest: str) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode) and _sha256(path) == digest
    except OSError:
        return False


def _is_same_file(path: Path, other: Path | None) -> bool:
    try:
        return other is not None and path.samefile(other)
    except OSError:
        return False
