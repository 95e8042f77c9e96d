"""The layout of the Hugging Face cache: blobs named by their digest, snapshots that link to them.

models--org--name/blobs/<digest>
models--org--name/snapshots/<commit>/<file> -> ../../blobs/<digest>
models--org--name/refs/main
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kb.storage import write_text

if TYPE_CHECKING:
    from kb.hub.client import HubFile

PART_SUFFIX = ".kb.incomplete"
_BLOCK = 1 << 20


def cache_folder() -> Path:
    """Return the Hugging Face cache (HF_HUB_CACHE, or `hub` in HF_HOME)."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repository_folder(repository: str) -> Path:
    """Return the folder of a repository in the cache."""
    return cache_folder() / f"models--{repository.replace('/', '--')}"


def current_snapshot(repository: str) -> Path | None:
    """Return the folder of the commit that `refs/main` names, None if there is none."""
    commit = current_commit(repository)
    folder = repository_folder(repository) / "snapshots" / commit
    return folder if commit and folder.is_dir() else None


def current_commit(repository: str) -> str:
    """Return the commit that `refs/main` names, empty if there is none."""
    with suppress(OSError, ValueError):
        path = repository_folder(repository) / "refs" / "main"
        commit = path.read_text(encoding="ascii").strip()
        return commit if commit.isalnum() else ""
    return ""


def blob_path(repository: str, file: HubFile) -> Path:
    """Return the path of a file's bytes."""
    return repository_folder(repository) / "blobs" / file.digest


def part_path(repository: str, file: HubFile) -> Path:
    """Return the path of a file that has not arrived completely."""
    return repository_folder(repository) / "blobs" / f"{file.digest}{PART_SUFFIX}"


def stored_at(repository: str, commit: str, file: HubFile) -> Path | None:
    """Return the path of a file's bytes on this machine, None if there are none.

    Without links in the file system the bytes are in the snapshot itself.
    """
    blob = blob_path(repository, file)
    if blob.is_file():
        return blob
    own = repository_folder(repository) / "snapshots" / commit / file.name
    return own if own.is_file() else None


def place(
    repository: str, commit: str, file: HubFile, *, keep_blob: bool = False
) -> tuple[Path, ...]:
    """Put the complete part of a file into the cache, and make it a file of the snapshot.

    Return the paths that were not there before. `keep_blob`: another file of the snapshot has the
    same bytes and is still to be placed. Raises OSError.
    """
    part, blob = part_path(repository, file), blob_path(repository, file)
    made = []
    if part.is_file():
        made += [] if blob.exists() else [blob]
        part.replace(blob)
    own = repository_folder(repository) / "snapshots" / commit / file.name
    if own.is_file() and (not blob.exists() or own.samefile(blob)):
        return tuple(made)
    made += [] if own.exists() else [own]
    own.parent.mkdir(parents=True, exist_ok=True)
    own.unlink(missing_ok=True)
    try:
        own.symlink_to(os.path.relpath(blob, own.parent))
    except OSError:  # Windows without the right to make links
        if keep_blob:
            shutil.copyfile(blob, own)
        else:
            shutil.move(blob, own)
    return tuple(made)


def discard_parts(repository: str) -> int:
    """Remove what has arrived of a fetch that is not continued; return the bytes."""
    size = 0
    for part in (repository_folder(repository) / "blobs").glob(f"*{PART_SUFFIX}"):
        with suppress(OSError):
            size += part.stat().st_size
            part.unlink(missing_ok=True)
    return size


def remove_empty(repository: str) -> None:
    """Remove the empty folders of a repository, and its own if nothing is left in it."""
    own = repository_folder(repository)
    found = sorted((path for path in own.rglob("*") if path.is_dir()), reverse=True)
    for folder in (*found, own):
        with suppress(OSError):  # not empty
            folder.rmdir()


def finish(repository: str, commit: str) -> Path:
    """Make a commit the current one and return its folder. Raises LibraryError."""
    write_text(repository_folder(repository) / "refs" / "main", commit)
    return repository_folder(repository) / "snapshots" / commit


def size_of(repository: str) -> int:
    """Return the bytes of all files in a repository's folder."""
    return sum(
        path.lstat().st_size
        for path in repository_folder(repository).rglob("*")
        if path.is_file() and not path.is_symlink()
    )


def remove_files(repository: str, commit: str, names: Iterable[str]) -> int:
    """Remove the files of one commit, and parts; return the bytes. Raises OSError.

    The bytes of a file that another commit has, too, stay.
    """
    before = size_of(repository)
    folder = repository_folder(repository)
    snapshot = folder / "snapshots" / commit
    blobs = {path.resolve() for name in names if (path := snapshot / name).is_symlink()}
    for name in names:
        (snapshot / name).unlink(missing_ok=True)
    discard_parts(repository)
    remove_empty(repository)
    used = {path.resolve() for path in folder.glob("snapshots/*/**/*") if path.is_symlink()}
    for blob in blobs - used:
        blob.unlink(missing_ok=True)
    if not snapshot.exists() and current_commit(repository) == commit:
        _refer_to_another(folder)
    return before - size_of(repository)


def _refer_to_another(folder: Path) -> None:
    """Let `refs/main` name the newest commit that is left, for the programs that use it."""
    left = sorted(folder.glob("snapshots/*"), key=lambda path: path.stat().st_mtime)
    if left:
        write_text(folder / "refs" / "main", left[-1].name)
    else:
        (folder / "refs" / "main").unlink(missing_ok=True)


def remove(repository: str) -> int:
    """Remove a repository with all parts from the cache; return the bytes. Raises OSError."""
    folder = repository_folder(repository)
    size = size_of(repository)
    if folder.is_dir():
        shutil.rmtree(folder)
    shutil.rmtree(cache_folder() / ".locks" / folder.name, ignore_errors=True)
    return size


def room(folder: Path) -> int:
    """Return the free bytes of the disk that holds a folder, which may not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 62


def digests(path: Path, moved: Callable[[int], None] = lambda count: None) -> tuple[str, str]:
    """Return a file's SHA-256 and git's SHA-1 of it as a blob; `moved` gets the bytes of a block.

    Raises OSError.
    """
    content = hashlib.sha256()
    blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            content.update(block)
            blob.update(block)
            moved(len(block))
    return content.hexdigest(), blob.hexdigest()


def has_digest(path: Path, digest: str, moved: Callable[[int], None] = lambda count: None) -> str:
    """Return the SHA-256 of a file that has this digest (see HubFile), else an empty text."""
    sha256, blob = digests(path, moved) if len(digest) == 40 else (_sha256(path, moved), "")
    return sha256 if digest and digest in (sha256, blob) else ""


def _sha256(path: Path, moved: Callable[[int], None]) -> str:
    content = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            content.update(block)
            moved(len(block))
    return content.hexdigest()
