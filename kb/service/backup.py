"""Backup and restore of one library: its database, documents and transcripts, on request media."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import SecretStr

from kb import __version__, storage
from kb.database import DATABASE_NAME, MIGRATIONS, dumps
from kb.database.snapshots import SNAPSHOT_FOLDER, Snapshot, check_file, copy_database, snapshots
from kb.errors import LibraryError, UsageError
from kb.jobs.queue.worker_names import executor_id
from kb.library import Library, archive
from kb.library.archive import Manifest, Progress
from kb.library.identity import FILE as IDENTITY_FILE
from kb.library.user_files import UserFiles
from kb.settings import Settings
from kb.storage import Target

ASIDE = "before-restore"
STAGING = ".restore"
SETTINGS_FILE = "settings.env"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """The result of a backup; `left_out` counts the media files that it does not contain."""

    path: Path
    files: int
    size: int
    left_out: int
    left_out_bytes: int


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """The result of a restore; `aside` has the replaced files, None if nothing was replaced."""

    source: Path
    made_at: float
    version: str
    files: int
    unchanged: int
    replaced: int
    aside: Path | None
    media: bool
    complete: bool  # False: only the database was restored


@dataclass
class Backup:
    """Backups of one library."""

    settings: Settings
    library: Library

    # Backup

    def make(
        self,
        target: Path | None = None,
        *,
        media: bool = False,
        overwrite: bool = False,
        progress: Progress = lambda *_: None,
    ) -> BackupReport:
        """Write a backup to a file or into a folder; without one into `backups/` of the library.

        Workers may run meanwhile. Raises UsageError if the file exists (unless `overwrite`), if the
        place is another folder of the library's own, or if a program is missing, LibraryError if
        the database is damaged or the file cannot be written.
        """
        home = self.settings.home
        if not home.is_dir():
            raise LibraryError(
                "library.no_folder",
                "There is no library folder {home}.",
                hint="Set KB_HOME to your library, or begin one with: kb ingest FILE",
                home=home,
            )
        files = UserFiles(home, inside=(SNAPSHOT_FOLDER,))
        named = self._target(target, overwrite=overwrite)
        files.check(named)
        with storage.scratch_folder() as scratch, files.draft(named) as draft:
            extra = self._database_files(scratch)
            settings_file = scratch / SETTINGS_FILE
            storage.write_text(settings_file, self._settings_text())
            facts = {
                "made_at": time.time(),
                "version": __version__,
                "schema": len(MIGRATIONS),
                "database": "sqlite" if self._url is None else "postgresql",
            }
            packed = archive.write_archive(
                draft.path,
                home,
                {**extra, SETTINGS_FILE: settings_file},
                facts,
                media=media,
                progress=progress,
            )
        return BackupReport(
            draft.target, len(packed.members), packed.size, packed.left_out, packed.left_out_bytes
        )

    def copies(self) -> list[Snapshot]:
        """Return the automatic copies of the database, newest first."""
        return snapshots(self.settings.home)

    def _target(self, target: Path | None, *, overwrite: bool) -> Target:
        name = time.strftime("kb-backup-%Y%m%dT%H%M%SZ.zip", time.gmtime())
        if target is None or target.is_dir():
            folder = target or self.settings.home / SNAPSHOT_FOLDER
            return Target(folder / name, "backup", numbered=True, private=True, unrecorded=True)
        if os.path.lexists(target) and not overwrite:
            raise UsageError(
                "backup.exists",
                "{path} exists already; a backup never replaces a file.",
                hint="Name another file, or a folder: then the file's name is the time. To replace "
                "it: --overwrite",
                path=target,
            )
        return Target(
            target, "backup", overwrite=overwrite, chosen=True, private=True, unrecorded=True
        )

    def _database_files(self, folder: Path) -> dict[str, Path]:
        if self._url is not None:
            return dumps.dump(self._url, folder)
        database = self.settings.home / DATABASE_NAME
        if not database.exists():
            return {}
        copy_database(database, folder / DATABASE_NAME)
        return {DATABASE_NAME: folder / DATABASE_NAME}

    def _settings_text(self) -> str:
        """Return the settings that differ from the defaults, without secrets."""
        lines = ["# The settings at the time of the backup; secrets are left out."]
        for name, field in sorted(type(self.settings).model_fields.items()):
            value, default = getattr(self.settings, name), field.default
            address = "://" in str(value) and "@" in str(value)
            if not isinstance(default, SecretStr) and value != default and not address:
                lines.append(f"{field.alias}={value}")
        return "\n".join(lines) + "\n"

    @property
    def _url(self) -> str | None:
        return self.settings.database_url.get_secret_value() or None

    # Restore

    def restore(
        self, source: Path | None = None, *, progress: Progress = lambda *_: None
    ) -> RestoreReport:
        """Put a backup, or a copy of the database, in place of what the library has.

        Without a source the newest automatic copy of the database is taken. Files with other
        content are moved to `before-restore-TIME/`; files that the backup does not have are left
        where they are. Nothing is changed before the whole source has been read and checked.
        Raises UsageError if a worker runs or the source is no backup, LibraryError if it is
        damaged.
        """
        if source is None:
            source = self._newest()
        home = self.settings.home
        with self._no_workers(), self._staging():
            aside = home / time.strftime(f"{ASIDE}-%Y%m%dT%H%M%SZ", time.gmtime())
            if _is_database(source):
                return self._restore_database(source, aside)
            return self._restore_archive(source, aside, progress)

    def _newest(self) -> Path:
        copies = self.copies()
        if not copies:
            raise UsageError(
                "restore.no_copies",
                "There is no copy of the database in {folder}.",
                hint="Name a backup: kb restore FILE. Without one, move a damaged kb.sqlite away "
                "and run: kb reindex",
                folder=self.settings.home / SNAPSHOT_FOLDER,
            )
        return copies[0].path

    @contextlib.contextmanager
    def _no_workers(self) -> Iterator[None]:
        """Hold the names of all workers of this library. Raises UsageError if one runs."""
        folder = self.settings.home / ".workers"
        names = {path.name for path in folder.glob("*.lock")} - {"edits.lock"}
        with ExitStack() as locks:
            for name in sorted(names | {f"{executor_id(self.settings)}.lock"}):
                try:
                    storage.make_folder(folder)
                    locks.enter_context(FileLock(folder / name, timeout=0))
                except Timeout:
                    raise UsageError(
                        "restore.worker_running",
                        "A worker named {name!r} runs on this library.",
                        hint="Stop it and the dashboard first: kb worker --stop",
                        name=name.removesuffix(".lock"),
                    ) from None
                except OSError as error:
                    raise storage.library_error(error, folder / name, "write") from error
            yield

    @contextlib.contextmanager
    def _staging(self) -> Iterator[None]:
        """Make the folder for files that are not in place yet; remove it, and a killed one's."""
        folder = self.settings.home / STAGING
        shutil.rmtree(folder, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _restore_database(self, source: Path, aside: Path) -> RestoreReport:
        if self._url is not None:
            raise _other_database(source, "sqlite", "postgresql")
        staged = self.settings.home / STAGING / DATABASE_NAME
        _check_database(source)
        copy_database(source, staged)
        replaced = self._replace_database(staged, aside)
        return RestoreReport(
            source, source.stat().st_mtime, "", 1, 0, replaced, aside if replaced else None,
            media=False, complete=False,
        )  # fmt: skip

    def _restore_archive(self, source: Path, aside: Path, progress: Progress) -> RestoreReport:
        manifest = archive.read_manifest(source)
        wanted = "sqlite" if self._url is None else "postgresql"
        if manifest.database != wanted:
            raise _other_database(source, manifest.database, wanted)
        home = self.settings.home
        staging = home / STAGING
        staged, unchanged = self._stage(source, manifest, progress)
        if DATABASE_NAME in staged:
            _check_database(staging / DATABASE_NAME)
        replaced = 0
        if self._url is not None:
            replaced += self._replace_dumps(staging, [n for n in dumps.PARTS if n in staged], aside)
        for path in staged:
            if path == DATABASE_NAME:
                replaced += self._replace_database(staging / path, aside)
            elif path not in dumps.PARTS:
                replaced += archive.put_in_place(staging / path, home / path, aside / path)
        if self._url is None:
            # The folder takes the identity of the database that came with its files.
            (home / IDENTITY_FILE).unlink(missing_ok=True)
        return RestoreReport(
            source, manifest.made_at, manifest.version, len(manifest.members), unchanged, replaced,
            aside if replaced else None, media=manifest.media, complete=True,
        )  # fmt: skip

    def _stage(self, source: Path, manifest: Manifest, progress: Progress) -> tuple[list[str], int]:
        """Unpack the members that the folder does not have; return their paths, and the others."""
        home, done = self.settings.home, 0
        total = sum(member.size for member in manifest.members.values())
        staged: list[str] = []
        unchanged = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(min(done, total), total)

        for name, member in manifest.members.items():
            is_file = member.path not in (DATABASE_NAME, *dumps.PARTS)
            if is_file and archive.has_content(home / member.path, member):
                unchanged += 1
                advance(member.size)
                continue
            archive.extract(source, name, member, home / STAGING / member.path, advance)
            staged.append(member.path)
        return staged, unchanged

    def _replace_database(self, staged: Path, aside: Path) -> int:
        home = self.settings.home
        # The log of the old database must not be applied to the new one.
        for name in (f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm"):
            if (home / name).exists():
                storage.link_or_copy(home / name, aside / name, link=True)
                (home / name).unlink()
        return int(archive.put_in_place(staged, home / DATABASE_NAME, aside / DATABASE_NAME))

    def _replace_dumps(self, staging: Path, names: list[str], aside: Path) -> int:
        assert self._url is not None
        dumps.program("pg_restore")
        aside.mkdir(parents=True, exist_ok=True)
        old = dumps.dump(self._url, aside)
        dumps.restore(self._url, [staging / name for name in names])
        for name in names:
            (staging / name).unlink()
        return len(old)


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(16) == b"SQLite format 3\0"
    except OSError:
        return False  # the reading of the archive names the cause


def _check_database(path: Path) -> None:
    """Raise LibraryError for a damaged database, UsageError for a foreign or a newer one."""
    if problems := check_file(path).problems:
        raise LibraryError(
            "restore.damaged",
            "{path} is damaged: {reason}.",
            hint="Take an earlier copy (see: kb restore --list); nothing was changed.",
            path=path,
            reason=problems[0],
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (version,) = database.execute("SELECT max(version) FROM kb_schema").fetchone()
    except sqlite3.DatabaseError:
        version = None
    if not version:
        raise UsageError(
            "restore.foreign",
            "{path} is no database of KB Ingest.",
            hint="Name a copy of kb.sqlite (see: kb restore --list).",
            path=path,
        )
    if version > len(MIGRATIONS):
        raise UsageError(
            "restore.newer_schema",
            "{path} was written by a newer version of KB Ingest (schema {version}, this one knows "
            "{known}).",
            hint="Update KB Ingest, then try again.",
            path=path,
            version=version,
            known=len(MIGRATIONS),
        )


def _other_database(source: Path, has: str, wanted: str) -> UsageError:
    return UsageError(
        "restore.other_database",
        "{source} has a {has} database, and this library uses {wanted}.",
        hint="Set KB_DATABASE_URL as it was at the time of the backup, or restore into an empty "
        "KB_HOME.",
        source=source,
        has=has,
        wanted=wanted,
    )
