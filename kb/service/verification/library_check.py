"""The check of a library: the database, the index, every item, and what belongs to no item.

One item is read at a time, so that memory does not grow with the library, and an item that cannot
be read does not end the check of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kb import storage
from kb.database import DATABASE_NAME
from kb.database.snapshots import check_file
from kb.errors import KBError, KnowledgeBaseError, LibraryError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ACTIVE, DONE, HELD, STATES
from kb.library import MEDIA_EXTENSIONS, Library, LibraryEntry
from kb.library.directory import DirectorySnapshot, is_metadata, list_directory
from kb.library.extras import FOLDER, Extras
from kb.library.left_out import NAME as LEFT_OUT_FILE
from kb.library.left_out import LeftOut
from kb.library.metadata import entry_from_record
from kb.service.removal import complete_removals
from kb.service.search import Search
from kb.service.verification.check_run import (
    CheckRun,
    Finding,
    Progress,
    VerifyReport,
    file_size,
)
from kb.service.verification.item_check import ItemCheck
from kb.settings import Settings


@dataclass
class Verification:
    """The check of one library."""

    settings: Settings
    library: Library
    queue: JobQueue
    search: Callable[[], Search]  # opens the database, which may be damaged

    def run(
        self,
        *,
        mend: bool = True,
        repair: bool = False,
        progress: Progress = lambda *_: None,
        found: Callable[[Finding], None] = lambda _: None,
    ) -> VerifyReport:
        """Check everything; return all findings. `found` is called with each of them.

        `mend` completes interrupted removals, and makes again what follows from an exact
        transcript: a missing text, index entries and rows of the queue. `repair` also replaces
        files: a damaged text is made again, a damaged or missing medium is taken from its source if
        that has the recorded hash; what is replaced is kept as `.damaged`. Raises LibraryError only
        if there is no library folder.
        """
        if mend and self.library.home.is_dir():
            complete_removals(self.settings, self.library, self.queue)
        run = CheckRun(
            self.settings, self.library, self.queue, mend or repair, repair, progress, found
        )
        _LibraryCheck(run, self.search).check()
        return run.report


@dataclass
class _LibraryCheck:
    """One run over the whole library."""

    run: CheckRun
    search: Callable[[], Search]
    names: Sequence[str] = ()  # of all files

    def check(self) -> None:
        """Check everything. Raises LibraryError if there is no library folder."""
        home, library, item_check = self.run.settings.home, self.run.library, ItemCheck(self.run)
        if not home.is_dir():
            raise LibraryError(
                "library.no_folder",
                "There is no library folder {home}.",
                hint="Set KB_HOME to your library, or begin one with: kb ingest FILE",
                home=home,
            )
        self._read_database()
        self._read_index()
        try:
            library.read_facts()
        except KBError as error:
            self.run.add("library_damaged", "library.json", error)
        try:
            LeftOut(library).own_marks()
        except KBError as error:
            self.run.add("library_damaged", LEFT_OUT_FILE, error)
        self.names = names = list_directory(library.media_folder)
        self.run.total = sum(file_size(library.media_folder / name) for name in names)
        stems = {name.removesuffix(".json") for name in names if is_metadata(name)}
        for stem in Extras(library).stems():
            if stem not in stems and library.media_folder.is_dir():
                unknown = KBError(
                    "finding.result_unknown",
                    "Its results belong to no item.",
                    hint="Bring the item back (kb restore FILE), or remove the folder.",
                )
                self.run.add("result_unknown", f"{FOLDER}/{stem}", unknown, note=True)
        folder = DirectorySnapshot(library.media_folder, frozenset(names))
        present: set[str] = set()
        for name in sorted(filter(is_metadata, names)):
            entry = self._entry(name, folder)
            if entry is None:
                continue
            present.add(entry.item.id)
            self.run.report.items += 1
            if self.run.states.get(entry.item.id) == "running":
                continue  # its files are about to be replaced
            try:
                item_check.check(entry)
            except KBError as error:
                self.run.add("item_unreadable", entry.item.id, error)
            except OSError as error:
                path = Path(error.filename or library.media_folder)
                found = storage.library_error(error, path, "read")
                self.run.add("item_unreadable", entry.item.id, found)
        if library.media_folder.is_dir() or not (self.run.states or self.run.heads):
            self._check_rows(present)
            self._check_strangers(names, present)
            self._check_leftover_passages(present)
        else:  # a disk that is not connected has lost nothing
            missing = KBError(
                "finding.folder_missing",
                "The folder of all files is missing.",
                hint="Connect its disk, or bring it back: kb restore FILE",
            )
            self.run.add("folder_missing", str(library.media_folder), missing)
        if self.run.rebuild and self.run.can_rebuild:
            self.search().reindex(judge=False)
        self.run.progress(self.run.total, self.run.total)

    # The database and the index as a whole

    def _read_database(self) -> None:
        try:
            path = self.run.queue.database.path
            for problem in check_file(path).problems[:3] if path else ():
                damaged = KBError(
                    "finding.database_damaged",
                    "{problem}",
                    hint="Put the last copy in its place: kb worker --stop; kb restore",
                    problem=problem,
                )
                self.run.add("database_damaged", DATABASE_NAME, damaged)
            self.run.states = self.run.queue.items.states()
        except KBError as error:
            # The files can be checked without it.
            self.run.rows_readable = False
            kind = "database_damaged" if error.code == "database.damaged" else "database_unreadable"
            self.run.add(kind, DATABASE_NAME, error)

    def _read_index(self) -> None:
        try:
            self.run.heads = {each.remote_id: each.content_sha256 for each in self.run.sink.list()}
        except KnowledgeBaseError as error:
            self.run.rebuild = not error.retryable  # a bucket that is away is not damaged
            self.run.add(
                "index_damaged",
                self.run.settings.index_url or "index.lance",
                error,
                mended=self.run.can_rebuild and self.run.rebuild,
            )

    def _entry(self, name: str, folder: DirectorySnapshot) -> LibraryEntry | None:
        path = folder.path / name
        try:
            return entry_from_record(storage.read_json(path), name.removesuffix(".json"), folder)
        except KBError as error:
            self.run.add("metadata_damaged", name, error)
            return None

    # The reverse: rows without files, files without items, passages without items

    def _has_files(self, item_id: str) -> bool:
        """Return whether files are there by whose name they are the item's."""
        return any(f"_{item_id.rsplit(':', 1)[-1]}." in name for name in self.names)

    def _check_rows(self, present: set[str]) -> None:
        damaged = {f.subject for f in self.run.report.findings if f.kind == "metadata_damaged"}
        for item_id, state in self.run.states.items():
            if state in (DONE, HELD) and item_id not in present and self._has_files(item_id):
                if not any(f"_{item_id.rsplit(':', 1)[-1]}." in name for name in damaged):
                    bare = KBError(
                        "finding.metadata_missing",
                        "Its files are there without their metadata.",
                        hint="Bring it back (kb restore FILE), or take it in by its name: "
                        "kb reindex",
                    )
                    self.run.add("metadata_missing", item_id, bare)
            elif state in (DONE, HELD) and item_id not in present:
                lost = KBError(
                    "finding.row_without_files",
                    "It is {state} and has no files.",
                    hint="Bring them back (kb restore FILE), or take it in once more: "
                    "kb ingest --again",
                    state=state,
                )
                self.run.add("row_without_files", item_id, lost)
            elif state not in STATES:
                damaged_row = KBError(
                    "finding.row_damaged",
                    "Its state is {state!r}.",
                    hint="kb restore",
                    state=state,
                )
                self.run.add("row_damaged", item_id, damaged_row)

    def _check_strangers(self, names: Sequence[str], present: set[str]) -> None:
        stems = {name.removesuffix(".json") for name in names if is_metadata(name)}
        for name in sorted(names):
            path = Path(name)
            if path.suffix.lower() in MEDIA_EXTENSIONS and path.stem not in stems:
                unknown = KBError(
                    "finding.file_unknown",
                    "It belongs to no item.",
                    hint="Take it in: kb reindex (by its name), or kb ingest FILE",
                )
                self.run.add("file_unknown", name, unknown, note=True)

    def _check_leftover_passages(self, present: set[str]) -> None:
        if self.run.rebuild:
            return
        damaged = {f.subject for f in self.run.report.findings if f.kind == "metadata_damaged"}
        if damaged:
            return  # the passages may be those of the items whose metadata cannot be read
        for item_id in sorted(self.run.heads.keys() - present):
            if self.run.states.get(item_id) in ACTIVE or self._has_files(item_id):
                continue
            if self.run.mend:
                self.run.sink.delete(item_id)
            leftover = KBError(
                "finding.index_leftover",
                "The index has passages of an item without files.",
                hint="Remove them: kb verify",
            )
            self.run.add("index_leftover", item_id, leftover, mended=self.run.mend)
