"""The source of local media: a file, or every media file of a folder and its subfolders."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from kb.errors import KBError, MediaUnavailable, UsageError
from kb.library import MEDIA_EXTENSIONS
from kb.library.filenames import split_stem, tidy_title
from kb.library.transcript_names import TRANSCRIPT_SUFFIXES
from kb.settings import Settings
from kb.sources.base import FetchResult, Filters, Progress, no_progress
from kb.sources.recording_name import NamedDay, day_in_name
from kb.types import Availability, AvailabilityState, MediaItem, RecordingFacts
from kb.types.clock import is_younger
from kb.types.days import clock_day, local_day_of
from kb.types.safe_text import shown

__all__ = ["MEDIA_EXTENSIONS", "FileSource"]

_BLOCK = 1 << 20
_BETWEEN_LOOKS_S = 1.0
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Downloaders use such names for incomplete files: `talk.temp.mp4`, `talk.part.mp4`.
_UNFINISHED = (".part", ".temp", ".tmp")
# A dated name such as 2024-03-05_Quarterly_development ends with a word, not with an id.
_WORD = re.compile(r"[A-Z]?[a-z]+")

UPLOADS = "uploads"  # folder of the library for files that a browser has sent

log = logging.getLogger(__name__)

_NO_FACTS = RecordingFacts()


class FileSource:
    """Paths on this machine. The id of a file depends on its content, not on its path."""

    name = "file"

    def __init__(self, settings: Settings | None = None, **_kwargs: Any) -> None:
        """Accept the arguments of every source; `settings` restrict the folders if shared."""
        self._settings = settings
        # Returns the declared length of a file in seconds, for callers that need it before `fetch`.
        self.read_duration: Callable[[Path], float | None] | None = None
        # Returns the facts in a file's tags.
        self.read_facts: Callable[[Path], RecordingFacts] | None = None
        # Returns the item that the library has under an id: it keeps its title and its day.
        self.known_item: Callable[[str], MediaItem | None] | None = None
        # Files of a folder that were changed within so many seconds are left out.
        self.settle_s = 0.0
        # Those changed within so many seconds are looked at twice, and left out if they change
        # between the looks: a folder that has just been copied is taken, one that is being copied
        # is not.
        self.young_s = 0.0
        self.left_out: list[Path] = []  # files that are still written, of the last listing

    def accepts(self, reference: str) -> bool:
        """Return True for an existing path, a `file://` address, or text that looks like a path."""
        if _URL.match(reference):
            return reference.lower().startswith("file://")
        try:
            if Path(reference).expanduser().exists():
                return True
        except (OSError, RuntimeError, ValueError):
            pass  # a long text, an unknown home folder or a NUL may still look like a path
        return "/" in reference or "\\" in reference or reference.lower().endswith(MEDIA_EXTENSIONS)

    def items(self, reference: str, filters: Filters = Filters()) -> Iterator[MediaItem]:  # noqa: B008
        """Return one item for a file, and one per media file of a folder, in order of names.

        Every file is read once for its id, when it is yielded. A file named by the user may
        have any extension; a folder gives media files only, without hidden and unfinished ones.
        The same content under two names gives two items with the same id. Raises UsageError at
        once for a missing path, an empty file, or a folder without media.
        """
        path = path_of(reference)
        self._check_allowed(path)
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise UsageError(
                "file.missing",
                "Cannot find {path}: No such file or directory.",
                hint="Check the path; quote it if it has spaces.",
                path=path,
            ) from error
        except (OSError, ValueError) as error:
            raise UsageError(
                "file.not_found",
                "Cannot find {path}: {reason}.",
                hint="Check the path; quote it if it has spaces.",
                path=path,
                reason=getattr(error, "strerror", None) or error,
            ) from error
        if stat.S_ISDIR(status.st_mode):
            files = [each for each in _walk(path) if self._is_allowed(each)]
            if not files:
                raise UsageError(
                    "file.no_media",
                    "No media files in {path}.",
                    hint="These extensions count: {extensions}",
                    path=path,
                    extensions=" ".join(MEDIA_EXTENSIONS),
                )
        elif stat.S_ISREG(status.st_mode):
            if not status.st_size:
                raise UsageError(
                    "file.empty",
                    "{path} is empty (0 bytes).",
                    hint="Download or copy the file again.",
                    path=path,
                )
            if path.suffix.lower() in TRANSCRIPT_SUFFIXES:
                raise UsageError(
                    "file.transcript_alone",
                    "{path} is a transcript, and its medium is neither named nor in the library.",
                    hint="Name the medium with it, under the same name: talk.mp4 talk.srt",
                    path=path,
                )
            files = [path]
        else:
            raise UsageError(
                "file.special",
                "{path} is neither a file nor a folder.",
                hint="Give the path of a media file or of a folder.",
                path=path,
            )
        if stat.S_ISDIR(status.st_mode):
            self.left_out = []
            return self._settled(files, filters)
        return (item for item in map(self._item, files) if filters.keep(item))

    def _settled(self, files: Sequence[Path], filters: Filters) -> Iterator[MediaItem]:
        """Yield the files of a folder that are not being written, as items.

        A file that grows while it is read is left out too: a part of it would become an item.
        """
        looks = {path: _state(path) for path in files}
        if any(_is_younger(state, self.young_s) for state in looks.values()):
            time.sleep(_BETWEEN_LOOKS_S)
        for path, before in looks.items():
            if _is_younger(before, self.settle_s) or _state(path) != before:
                self.left_out.append(path)
                continue
            item = self._item(path)
            if _state(path) != before:
                self.left_out.append(path)
            elif filters.keep(item):
                yield item

    @property
    def remarks(self) -> tuple[KBError, ...]:
        """Facts for the reader about the last listing."""
        if not self.left_out:
            return ()
        names = ", ".join(path.name for path in self.left_out[:5])
        more = max(0, len(self.left_out) - 5)
        named: KBError | str = names
        if more:
            named = KBError("clause.and_more", "{names} and {more} more", names=names, more=more)
        if self.young_s:
            remark = KBError(
                "note.being_written",
                "Still being written, and left out: {names}.",
                hint="Ingest it again later.",
                names=named,
            )
        else:
            remark = KBError(
                "note.being_written_followed",
                "Still being written, and left out until the next look: {names}.",
                names=named,
            )
        return (remark,)

    def _is_allowed(self, path: Path) -> bool:
        return self._settings is None or is_allowed_path(path, self._settings)

    def _check_allowed(self, path: Path) -> None:
        """Raise UsageError for a path outside the allowed folders, whether it exists or not."""
        if not self._is_allowed(path):
            raise folder_refused(path)

    def _item(self, path: Path) -> MediaItem:
        facts = self.read_facts(path) if self.read_facts is not None else _NO_FACTS
        item = _item(path, facts)
        known = self.known_item(item.id) if self.known_item is not None else None
        if known is not None:
            item = replace(item, title=known.title, published=known.published)
        if self.read_duration is None or item.availability.is_unreadable:
            return item
        try:
            return replace(item, duration_s=self.read_duration(path))
        except MediaUnavailable:
            return item  # `fetch` raises its error

    def fetch(self, item: MediaItem, folder: Path, progress: Progress = no_progress) -> FetchResult:
        """Return the file at its own path; nothing is copied, and `folder` is not used.

        Raises MediaUnavailable when the file is missing, unreadable or has other content now.
        """
        path = Path(str(item.extra.get("path", "")))
        self._check_allowed(path)
        if item.availability.is_unreadable:
            raise MediaUnavailable(
                "file.unreadable",
                "Cannot read {path}: {reason}.",
                hint="Check the file's permissions and its disk.",
                path=path,
                reason=item.availability.reason,
            )
        try:
            status = path.stat()
            sha256 = str(item.extra.get("sha256", ""))
            if (status.st_size, status.st_mtime_ns) == (
                item.extra.get("size"),
                item.extra.get("modified_ns"),
            ):
                progress(status.st_size, status.st_size)
            else:
                sha256 = _sha256(path, progress)
        except OSError as error:
            raise MediaUnavailable(
                "file.not_there",
                "Cannot read {path}: {reason}.",
                hint="Check that the file is still there and its disk connected.",
                path=path,
                reason=error.strerror or error,
            ) from error
        if sha256[:12] != item.short_id:
            raise MediaUnavailable(
                "file.changed",
                "{path} has changed since it was listed.",
                hint="Ingest it again.",
                path=path,
            )
        return FetchResult(item, path, sha256, temporary=False)


def is_allowed_path(path: Path, settings: Settings) -> bool:
    """Return whether media may be taken from a path: always, unless the settings are shared.

    Then it must be in a folder of `KB_INGEST_FOLDERS` or among the uploads, links followed.
    """
    if not settings.shared:
        return True
    try:
        place = path.expanduser().resolve()
        folders = (settings.home / UPLOADS, *settings.ingest_folder_paths)
        return any(place.is_relative_to(folder.resolve()) for folder in folders)
    except (OSError, RuntimeError, ValueError):
        return False


def is_begun_by(path: Path, size: int, sha256: str) -> bool:
    """Return whether a file is longer than `size` bytes and its first ones have this hash."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            if size <= 0 or os.fstat(stream.fileno()).st_size <= size:
                return False
            while size and (block := stream.read(min(_BLOCK, size))):
                digest.update(block)
                size -= len(block)
    except OSError:
        return False
    return not size and digest.hexdigest() == sha256


def folder_refused(path: Path) -> UsageError:
    """Return the error for a path outside the folders of a shared dashboard."""
    return UsageError(
        "file.folder_refused",
        "{path} is not in a folder that this dashboard may take media from.",
        hint="Upload the file, or ask the operator to name its folder in KB_INGEST_FOLDERS.",
        path=shown(str(path)),
    )


def path_of(reference: str) -> Path:
    """Return the path of a reference, which may be a `file:` address. Raises UsageError."""
    if reference.lower().startswith("file://"):
        try:
            parts = urlsplit(reference)
        except ValueError as error:
            raise UsageError(
                "file.address",
                "{reference} is no address of a file: {reason}.",
                hint="Give the path itself.",
                reference=reference,
                reason=error,
            ) from error
        from urllib.request import url2pathname  # slow to import, and few give such an address

        host = "" if parts.netloc.lower() == "localhost" else parts.netloc
        return Path(url2pathname(f"//{host}{parts.path}" if host else parts.path))
    try:
        return Path(reference).expanduser().absolute()
    except RuntimeError as error:  # ~name of an unknown account
        raise UsageError(
            "file.unknown_home",
            "Cannot find {path}: {reason}.",
            hint="Write the path of the home folder in full.",
            path=reference,
            reason=error,
        ) from error


def _item(path: Path, facts: RecordingFacts = _NO_FACTS) -> MediaItem:
    """Return the item of a file; its day is that of its name, else of its tags, else of the file.

    All days are of the local calendar, as those of the filters are.
    """
    extra: dict[str, object] = {"path": str(path)}
    published, availability = "", Availability()
    try:
        status = path.stat()
        published = clock_day(local_day_of(status.st_mtime))
        digest = _sha256(path, no_progress)
        extra |= {"sha256": digest, "size": status.st_size, "modified_ns": status.st_mtime_ns}
    except (OSError, OverflowError, ValueError) as error:
        # An unreadable file is an item too, so that it is counted and named among the failed
        # ones; its id is made from the path instead of the content.
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()
        reason = getattr(error, "strerror", None) or str(error)
        availability = Availability(AvailabilityState.UNREADABLE, reason)
    title = path.stem
    parts = split_stem(title)
    named: NamedDay | None
    if parts and (parts.is_file or (parts.is_youtube and not _WORD.fullmatch(parts.short_id))):
        named = NamedDay(parts.published, parts.title)
        facts = replace(facts, title="")
    else:
        named = day_in_name(tidy_title(title))
    title = named.title if named else title
    return MediaItem(
        id=f"file:{digest[:12]}",
        source="file",
        url=path.as_uri(),
        title=tidy_title(facts.title) or tidy_title(title) or "Untitled",
        published=(named.day if named else "") or facts.recorded or published,
        channel=tidy_title(facts.artist),
        chapters=facts.chapters,
        language=facts.language,
        extra=extra,
        availability=availability,
    )


def _sha256(path: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        total, done = os.fstat(stream.fileno()).st_size, 0
        while block := stream.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress(done, total)
    return digest.hexdigest()


def _state(path: Path) -> tuple[int, int] | None:
    """Return size and time of change (ns) of a file, None if it cannot be read."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _is_younger(state: tuple[int, int] | None, age_s: float) -> bool:
    return age_s > 0 and state is not None and is_younger(state[1] / 1e9, age_s)


def _walk(folder: Path) -> list[Path]:
    """Return the media files below a folder, sorted by name; every folder is read once."""
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()

    def visit(place: Path) -> None:
        status = place.stat()
        # Symbolic links may point to a parent folder, or several to one folder.
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            return
        seen.add(identity)
        with os.scandir(place) as entries:
            ordered = sorted(entries, key=lambda entry: (entry.name.casefold(), entry.name))
        for entry in ordered:
            try:
                if _is_hidden(entry):
                    continue
                path = place / entry.name
                if entry.is_dir():
                    visit(path)
                elif entry.is_file() and _is_media(entry.name):
                    found.append(path)
            except OSError as error:
                log.warning("Skipped %s: %s", entry.path, error.strerror or error)

    try:
        visit(folder)
    except OSError as error:
        raise UsageError(
            "file.folder_unreadable",
            "Cannot read the folder {path}: {reason}.",
            hint="Check the folder's permissions and its disk.",
            path=folder,
            reason=error.strerror or error,
        ) from error
    return found


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith((".", "~$")):
        return True
    attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    return bool(attributes & stat.FILE_ATTRIBUTE_HIDDEN)


def _is_media(name: str) -> bool:
    path = PurePath(name)
    return (
        path.suffix.lower() in MEDIA_EXTENSIONS
        and PurePath(path.stem).suffix.lower() not in _UNFINISHED
    )
