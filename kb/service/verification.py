"""`kb verify`: files against their hashes, transcripts, the index and the queue's rows.

One item is read at a time, so that memory does not grow with the library, and an item that cannot
be read does not end the check of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from kb import storage
from kb.database import DATABASE_NAME
from kb.database.snapshots import check_file
from kb.errors import KBError, KnowledgeBaseError, LibraryError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ACTIVE, DONE, HELD, STATES
from kb.jobs.queue.library_sync import library_row
from kb.library import MEDIA_EXTENSIONS, Library, LibraryEntry
from kb.library.directory import DirectorySnapshot, is_metadata, list_directory
from kb.library.metadata import TEXT_SUFFIX, TRANSCRIPT_SUFFIX, entry_from_record
from kb.pipeline import captions, stages
from kb.service.removal import complete_removals
from kb.service.search import Search
from kb.settings import Settings
from kb.sinks.base import content_sha256
from kb.sinks.local.sink import LocalSink
from kb.transcript import render
from kb.transcript.passages import passages
from kb.types import Passage, Transcript

BLOCK_BYTES = 1 << 20

Progress = Callable[[int, int], None]
"""Called with the number of bytes that were checked, and of all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; `kind` is a stable name, `hint` the next step.

    `mended` is True if it is right now. A `note` is no fault.
    """

    kind: str
    subject: str  # an item's id, or a file
    detail: str
    hint: str = ""
    mended: bool = False
    note: bool = False


@dataclass(slots=True)
class VerifyReport:
    """The result of a check: numbers of items, files and bytes that were read, and the findings."""

    items: int = 0
    files: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def faults(self) -> list[Finding]:
        """The findings that are still faults."""
        return [each for each in self.findings if not each.mended and not each.note]


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
        check = _Check(self, VerifyReport(), mend or repair, repair, progress, found)
        check.run()
        return check.report


@dataclass
class _Check:
    """One run of the check."""

    parts: Verification
    report: VerifyReport
    mend: bool
    repair: bool
    progress: Progress
    found: Callable[[Finding], None]
    total: int = 0
    rows_readable: bool = True
    rebuild: bool = False  # the index is damaged as a whole
    heads: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    sink: LocalSink = field(init=False)

    def run(self) -> None:
        library, settings = self.parts.library, self.parts.settings
        if not settings.home.is_dir():
            raise LibraryError(
                "library.no_folder",
                "There is no library folder {home}.",
                hint="Set KB_HOME to your library, or begin one with: kb ingest FILE",
                home=settings.home,
            )
        self.sink = LocalSink(settings)
        self._read_database()
        self._read_index()
        names = list_directory(library.media_folder)
        self.total = sum(_size(library.media_folder / name) for name in names)
        folder = DirectorySnapshot(library.media_folder, frozenset(names))
        present: set[str] = set()
        for name in sorted(filter(is_metadata, names)):
            entry = self._entry(name, folder)
            if entry is None:
                continue
            present.add(entry.item.id)
            self.report.items += 1
            if self.states.get(entry.item.id) == "running":
                continue  # its files are about to be replaced
            try:
                self._check_item(entry)
            except KBError as error:
                self._add("item_unreadable", entry.item.id, error.message, error.hint)
            except OSError as error:
                self._add("item_unreadable", entry.item.id, str(error), "Check the disk.")
        self._check_rows(present)
        self._check_strangers(names, present)
        self._check_leftover_passages(present)
        if self.rebuild:
            self._rebuild_index()
        self.progress(self.total, self.total)

    def _add(
        self, kind: str, subject: str, detail: str, hint: str = "", *,
        mended: bool = False, note: bool = False,
    ) -> None:  # fmt: skip
        finding = Finding(kind, subject, detail, hint, mended, note)
        self.report.findings.append(finding)
        self.found(finding)

    # The database and the index as a whole

    def _read_database(self) -> None:
        fix = "Put the last copy in its place: kb worker --stop; kb restore"
        try:
            path = self.parts.queue.database.path
            for problem in check_file(path).problems[:3] if path else ():
                self._add("database_damaged", DATABASE_NAME, problem, fix)
            self.states = self.parts.queue.items.states()
        except KBError as error:
            # The files can be checked without it.
            self.rows_readable = False
            self._add("database_damaged", DATABASE_NAME, error.message, error.hint)

    def _read_index(self) -> None:
        try:
            self.heads = {each.remote_id: each.content_sha256 for each in self.sink.list()}
        except KnowledgeBaseError as error:
            self.rebuild = True
            self._add(
                "index_damaged", "index.lance", error.message, error.hint, mended=self._can_rebuild
            )

    @property
    def _can_rebuild(self) -> bool:
        return self.mend and self.rows_readable

    def _rebuild_index(self) -> None:
        if self._can_rebuild:
            self.parts.search().reindex()

    # One item

    def _entry(self, name: str, folder: DirectorySnapshot) -> LibraryEntry | None:
        path = folder.path / name
        try:
            return entry_from_record(storage.read_json(path), name.removesuffix(".json"), folder)
        except KBError as error:
            self._add("metadata_damaged", name, error.message, error.hint)
            return None

    def _check_item(self, entry: LibraryEntry) -> None:
        self._check_medium(entry)
        state = self.states.get(entry.item.id)
        if self.rows_readable and state is None and entry.transcript_path is not None:
            added = self.mend and bool(self.parts.queue.items.adopt([library_row(entry)]))
            self._add(
                "row_missing", entry.item.id, "It is in the folder and not in the queue's table.",
                "Take it in: kb reindex", mended=added,
            )  # fmt: skip
        transcript = self._check_transcript(entry, state)
        if transcript is not None:
            self._check_text(entry, transcript)
            self._check_index(entry, transcript)

    def _check_medium(self, entry: LibraryEntry) -> None:
        if entry.media_path is None:
            if recorded := entry.medium_name:
                mended = self._fetch_again(entry, None)
                self._add(
                    "medium_missing", entry.item.id, f"Its medium {recorded} is missing.",
                    f"Put the file back, or fetch it again: kb ingest {entry.item.url} --again",
                    mended=mended,
                )  # fmt: skip
            return
        actual = self._hash(entry.media_path)
        if entry.sha256 and actual != entry.sha256:
            mended = self._fetch_again(entry, entry.media_path)
            self._add(
                "medium_changed", entry.item.id,
                f"{entry.media_path.name} differs from its recorded SHA-256: it is damaged, or was "
                "changed in place.",
                "Put the right file back (kb verify --repair takes it from its source), or move it "
                f"away and fetch it again: kb ingest {entry.item.url} --again",
                mended=mended,
            )  # fmt: skip

    def _fetch_again(self, entry: LibraryEntry, damaged: Path | None) -> bool:
        """Return True if the medium was replaced by its source file, which has the right hash."""
        source = _local_file(entry.item.url)
        if not self.repair or source is None or not entry.sha256:
            return False
        try:
            if source == damaged or self._hash(source, count=False) != entry.sha256:
                return False
        except OSError:
            return False
        if damaged is not None:
            storage.link_or_copy(damaged, _aside(damaged), link=True)
        # Not linked: the source may be changed in place again.
        self.parts.library.add_media(entry.item, source, link=False, sha256=entry.sha256)
        return True

    def _check_transcript(self, entry: LibraryEntry, state: str | None) -> Transcript | None:
        again = f"Transcribe it again: kb ingest {entry.item.url} --again; or: kb restore FILE"
        if entry.transcript_path is None:
            state = state or entry.state
            if (entry.transcribed or state in (DONE, HELD)) and state not in ACTIVE:
                self._add(
                    "transcript_missing", entry.item.id,
                    "It is finished and has no exact transcript.", again,
                )  # fmt: skip
            else:
                self._check_captions(entry)
            return None
        self._count(entry.transcript_path)
        try:
            transcript = stages.read_transcript(self.parts.library, entry)
        except KBError as error:
            self._add("transcript_damaged", entry.item.id, error.message, again)
            return None
        wanted = _recorded(entry, TRANSCRIPT_SUFFIX)
        if wanted and self._hash(entry.transcript_path, count=False) != wanted:
            text = _read(entry.text_path)
            # Both files agree: changed by a process that was killed before it wrote the record.
            if text is None or text != render(transcript, "txt", item=entry.item).encode():
                self._add(
                    "transcript_changed", entry.item.id,
                    f"{entry.transcript_path.name} differs from its recorded SHA-256: it is "
                    "damaged, or was changed by another program.",
                    again,
                )  # fmt: skip
                return None  # nothing is made from a transcript that may be wrong
        return transcript

    def _check_text(self, entry: LibraryEntry, transcript: Transcript) -> None:
        data = _read(entry.text_path)
        text = render(transcript, "txt", item=entry.item)
        if data is None:
            if self.mend:
                self.parts.library.write_text(entry, TEXT_SUFFIX, text)
            self._add(
                "text_missing", entry.item.id, "Its text is missing.",
                "Make it from the exact transcript: kb verify", mended=self.mend,
            )  # fmt: skip
            return
        assert entry.text_path is not None
        self._count(entry.text_path)
        wanted = _recorded(entry, TEXT_SUFFIX)
        same = data == text.encode("utf-8", "backslashreplace")
        if same or (hashlib.sha256(data).hexdigest() == wanted if wanted else _is_text(data)):
            return
        if self.repair:
            storage.link_or_copy(entry.text_path, _aside(entry.text_path), link=True)
            self.parts.library.write_text(entry, TEXT_SUFFIX, text)
        self._add(
            "text_changed", entry.item.id,
            f"{entry.text_path.name} is damaged, or was changed by another program.",
            "Make it again from the exact transcript: kb verify --repair", mended=self.repair,
        )  # fmt: skip

    def _check_captions(self, entry: LibraryEntry) -> None:
        shown = captions.interim_passages(self.parts.library, entry)
        if shown:
            self._compare(entry, shown, lambda: self.sink.publish(entry.item, shown))

    def _check_index(self, entry: LibraryEntry, transcript: Transcript) -> None:
        settings = self.parts.settings
        wanted = "local" in entry.published or "local" in settings.sink_names
        if entry.item.id not in self.heads and not wanted:
            return  # published elsewhere by choice
        expected = passages(transcript, entry.item, path=entry.medium_place)
        self._compare(
            entry,
            expected,
            lambda: stages.publish(
                self.parts.library, settings, entry.item, transcript, "local"
            ),
        )  # fmt: skip

    def _compare(
        self, entry: LibraryEntry, expected: Sequence[Passage], publish: Callable[[], object]
    ) -> None:
        if self.rebuild:
            return
        item_id, sha256 = entry.item.id, content_sha256(expected)
        try:
            kept = self.sink.passages(item_id)
            if self.heads.get(item_id) == sha256 == content_sha256(kept):
                return
            kind = "index_differs" if item_id in self.heads else "index_missing"
            if self.mend:
                # A head with the right hash over wrong passages would be taken for up to date.
                self.sink.delete(item_id)
                publish()
            detail = (
                "Its passages in the index are not those of its transcript."
                if kind == "index_differs"
                else "Its passages are not in the index."
            )
            self._add(kind, item_id, detail, "Index it again: kb verify", mended=self.mend)
        except KnowledgeBaseError as error:
            self.rebuild = True
            self._add("index_damaged", item_id, error.message, error.hint, mended=self._can_rebuild)

    # The reverse: rows without files, files without items, passages without items

    def _check_rows(self, present: set[str]) -> None:
        for item_id, state in self.states.items():
            if state in (DONE, HELD) and item_id not in present:
                self._add(
                    "row_without_files", item_id, f"It is {state} and has no files.",
                    "Bring them back (kb restore FILE), or take it in once more: kb ingest --again",
                )  # fmt: skip
            elif state not in STATES:
                self._add("row_damaged", item_id, f"Its state is {state!r}.", "kb restore")

    def _check_strangers(self, names: Sequence[str], present: set[str]) -> None:
        stems = {name.removesuffix(".json") for name in names if is_metadata(name)}
        for name in sorted(names):
            path = Path(name)
            if path.suffix.lower() in MEDIA_EXTENSIONS and path.stem not in stems:
                self._add(
                    "file_unknown", name, "It belongs to no item.",
                    "Take it in: kb reindex (by its name), or kb ingest FILE", note=True,
                )  # fmt: skip

    def _check_leftover_passages(self, present: set[str]) -> None:
        if self.rebuild:
            return
        damaged = {f.subject for f in self.report.findings if f.kind == "metadata_damaged"}
        if damaged:
            return  # the passages may be those of the items whose metadata cannot be read
        for item_id in sorted(self.heads.keys() - present):
            if self.states.get(item_id) in ACTIVE:
                continue
            if self.mend:
                self.sink.delete(item_id)
            self._add(
                "index_leftover", item_id, "The index has passages of an item without files.",
                "Remove them: kb verify", mended=self.mend,
            )  # fmt: skip

    # Files

    def _hash(self, path: Path, *, count: bool = True) -> str:
        digest = hashlib.sha256()
        for block in _blocks(path):
            digest.update(block)
            if count:
                self.report.bytes += len(block)
                self.progress(min(self.report.bytes, self.total), self.total)
        self.report.files += count
        return digest.hexdigest()

    def _count(self, path: Path) -> None:
        self.report.files += 1
        self.report.bytes += _size(path)
        self.progress(min(self.report.bytes, self.total), self.total)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _is_text(data: bytes) -> bool:
    """Return whether a text without a recorded hash looks whole: UTF-8 and not only zeros."""
    try:
        return "\0" not in data.decode("utf-8") and bool(data)
    except UnicodeDecodeError:
        return False


def _recorded(entry: LibraryEntry, suffix: str) -> str:
    hashes = entry.transcribed.get("sha256")
    value = hashes.get(suffix) if isinstance(hashes, dict) else None
    return value if isinstance(value, str) else ""


def _local_file(url: str) -> Path | None:
    """Return the path of a `file:` address of this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket without its pair
        return None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    return Path(url2pathname(parts.path) or unquote(parts.path))


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")
