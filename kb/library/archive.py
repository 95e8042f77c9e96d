"""A backup of a library in one file: a ZIP archive with a manifest, checked file by file.

manifest.json       format, time, version, and size and SHA-256 of every other member
kb.sqlite           the database (or two dumps of PostgreSQL)
settings.env        the settings without secrets, to be read by people
library.json, …     the documents of the library folder
media/…             metadata and transcripts; media files if they were asked for
extras/…            results of the steps that follow the words
trash/…, uploads/…  removed items, and uploads that wait (media files as above)
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from kb import storage
from kb.errors import LibraryError, UsageError
from kb.library.metadata import MEDIA_EXTENSIONS
from kb.storage import Fields

MANIFEST = "manifest.json"
FORMAT = 1
FOLDERS = ("media", "extras", "trash", "uploads", "versions")
DOCUMENTS = (".json", ".jsonl", ".yaml")  # files of the library folder itself
BLOCK_BYTES = 1 << 20

Progress = Callable[[int, int], None]
"""Called with the number of bytes that are finished, and of all."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a backup: its path in the library folder, size and SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a backup. `database` is "sqlite" or "postgresql"; `made_at` epoch seconds."""

    made_at: float
    version: str
    schema: int
    database: str
    media: bool
    members: Mapping[str, Member]


@dataclass(slots=True)
class Packed:
    """The files that a backup has, and the media files that it leaves out."""

    members: dict[str, Member] = field(default_factory=dict)
    left_out: int = 0
    left_out_bytes: int = 0

    @property
    def size(self) -> int:
        """The bytes of all files, before compression."""
        return sum(member.size for member in self.members.values())


def files_of(home: Path) -> Iterator[tuple[str, Path]]:
    """Yield path in the library and location of each file that a backup may have."""
    with_folders = [home, *(home / name for name in FOLDERS)]
    for folder in with_folders:
        if not folder.is_dir():
            continue
        found = folder.iterdir() if folder == home else folder.rglob("*")
        for path in sorted(found):
            inner = path.relative_to(home)
            if any(part.startswith(".") for part in inner.parts) or not path.is_file():
                continue
            if folder != home or path.suffix.lower() in DOCUMENTS:
                yield inner.as_posix(), path


def is_medium(path: str) -> bool:
    """Return whether a path of the library is a media file, by its name."""
    return PurePosixPath(path).suffix.lower() in (*MEDIA_EXTENSIONS, ".media") or (
        path.startswith("uploads/")
    )


def write_archive(
    draft: Path,
    home: Path,
    extra: Mapping[str, Path],
    facts: Mapping[str, Any],
    *,
    media: bool,
    progress: Progress,
) -> Packed:
    """Write a backup of `home` and of the files `extra` (name: location), then read it again.

    `extra` is packed first: the files of the library that the database names are then newer than
    the database. A file that another process removes meanwhile is left out. `draft` is a new file,
    readable by its owner alone, that the caller removes after an error. Raises LibraryError and
    OSError.
    """
    packed, chosen = Packed(), []
    for name, path in files_of(home):
        if is_medium(name) and not media:
            packed.left_out += 1
            packed.left_out_bytes += path.stat().st_size
        else:
            chosen.append((name, path))
    sources = [*extra.items(), *chosen]
    # Everything is read twice: to write it, and to check what was written.
    total, done = 2 * sum(_size(path) for _, path in sources), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(min(done, total), total)

    with zipfile.ZipFile(draft, "x", allowZip64=True) as archive:
        draft.chmod(0o600)
        for number, (name, path) in enumerate(sources):
            member = _add(archive, _member_name(name, number), name, path, advance)
            if member is not None:
                packed.members[_member_name(name, number)] = member
        archive.writestr(MANIFEST, _manifest_text(facts, packed, media), zipfile.ZIP_DEFLATED)
    check_archive(draft, advance)
    return packed


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _member_name(name: str, number: int) -> str:
    """Return the name in the archive; a name that is no Unicode text gets a number."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"unnamed/{number}"
    return name


def _add(
    archive: zipfile.ZipFile,
    member_name: str,
    name: str,
    path: Path,
    advance: Callable[[int], None],
) -> Member | None:
    try:
        source = path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage.library_error(error, path, "read") from error
    with source:
        info = zipfile.ZipInfo.from_file(path, member_name, strict_timestamps=False)
        # Sound and pictures are compressed already.
        info.compress_type = zipfile.ZIP_STORED if is_medium(name) else zipfile.ZIP_DEFLATED
        digest, size = hashlib.sha256(), 0
        with archive.open(info, "w", force_zip64=True) as out:
            while block := source.read(BLOCK_BYTES):
                digest.update(block)
                size += len(block)
                out.write(block)
                advance(len(block))
    return Member(name, size, digest.hexdigest())


def _manifest_text(facts: Mapping[str, Any], packed: Packed, media: bool) -> str:
    files = {
        name: {"path": member.path, "size": member.size, "sha256": member.sha256}
        for name, member in packed.members.items()
    }
    # ASCII: a path that is no Unicode text has lone surrogates.
    return json.dumps({"format": FORMAT, **facts, "media": media, "files": files}, indent=1)


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a backup. Raises UsageError if the file is no backup, or newer."""
    try:
        with zipfile.ZipFile(path) as archive:
            document = json.loads(archive.read(MANIFEST))
    except FileNotFoundError:
        raise UsageError(
            "restore.missing",
            "There is no file {path}.",
            hint="Name a backup, or a copy of the database (see: kb restore --list).",
            path=path,
        ) from None
    except OSError as error:
        raise storage.input_error(error, path) from error
    except (KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise _no_backup(path) from error
    if not isinstance(document, dict):
        raise _no_backup(path)
    fields = Fields(document, f"{path}, {MANIFEST}", hint="Take another backup.")
    if fields.whole("format") > FORMAT:
        raise UsageError(
            "restore.newer",
            "The backup {path} was made by a newer version of KB Ingest ({version}).",
            hint="Update KB Ingest, then try again.",
            path=path,
            version=fields.text("version", "?"),
        )
    members = {}
    for name in fields.mapping("files"):
        each = Fields(fields.mapping("files"), str(path), hint="Take another backup.").inner(name)
        inner = each.text("path")
        if not _is_inside(inner):
            raise _no_backup(path)
        members[name] = Member(inner, each.whole("size"), each.text("sha256"))
    return Manifest(
        fields.number("made_at", 0.0),
        fields.text("version", ""),
        fields.whole("schema", 0),
        fields.text("database", "sqlite"),
        fields.flag("media", False),
        members,
    )


def _is_inside(path: str) -> bool:
    """Return whether a path of a manifest stays in the places that a backup may write to."""
    parts = PurePosixPath(path).parts
    plain = "\\" not in path and ":" not in path and ".." not in parts and not path.startswith("/")
    return plain and bool(parts) and (len(parts) == 1 or parts[0] in FOLDERS)


def _no_backup(path: Path) -> UsageError:
    return UsageError(
        "restore.no_backup",
        "{path} is no backup of KB Ingest, or is damaged.",
        hint="Name a file that kb backup wrote, or a copy of the database (see: kb restore "
        "--list).",
        path=path,
    )


def check_archive(path: Path, advance: Callable[[int], None] = lambda _: None) -> Manifest:
    """Read every member of a backup and compare it with the manifest.

    Raises LibraryError naming the first member that differs.
    """
    manifest = read_manifest(path)
    with zipfile.ZipFile(path) as archive:
        for name, member in manifest.members.items():
            _read_member(archive, path, name, member, advance, None)
    return manifest


def extract(
    path: Path, name: str, member: Member, target: Path, advance: Callable[[int], None]
) -> None:
    """Write one member to `target`. Raises LibraryError if it differs from the manifest."""
    with (
        storage.atomic_path(target) as temporary,
        zipfile.ZipFile(path) as archive,
        temporary.open("xb") as out,
    ):
        _read_member(archive, path, name, member, advance, out)


def _read_member(
    archive: zipfile.ZipFile,
    path: Path,
    name: str,
    member: Member,
    advance: Callable[[int], None],
    out: IO[bytes] | None,
) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open(name) as source:
            while block := source.read(BLOCK_BYTES):
                size += len(block)
                digest.update(block)
                if out is not None:
                    out.write(block)
                advance(len(block))
    except (KeyError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise _member_damaged(path, member, str(error)) from error
    if (size, digest.hexdigest()) != (member.size, member.sha256):
        raise _member_damaged(path, member, "its content is not that of the manifest")


def _member_damaged(path: Path, member: Member, reason: str) -> LibraryError:
    return LibraryError(
        "backup.damaged",
        "The backup {path} is damaged: {member}: {reason}.",
        hint="Use another backup; nothing was changed.",
        path=path,
        member=member.path,
        reason=reason,
    )


def has_content(path: Path, member: Member) -> bool:
    """Return whether a file has the size and the SHA-256 of a member."""
    try:
        if path.stat().st_size != member.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == member.sha256
    except OSError:
        return False


def put_in_place(staged: Path, target: Path, aside: Path) -> bool:
    """Move a file into place, and the file that is there aside; return True if there was one.

    Raises LibraryError.
    """
    try:
        replaced = target.exists() or target.is_symlink()
        if replaced:
            _move(target, aside)
        _move(staged, target)
    except OSError as error:
        raise storage.library_error(error, target, "write") from error
    return replaced


def _move(source: Path, target: Path) -> None:
    with storage.held(source) as real_source, storage.held(target) as real_target:
        real_target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(real_source, real_target)
