"""The metadata of one item: its JSON document and the entry that is read from it.

    {"version": 1,
     "item": {"id", "source", "url", "title", "published", "duration_s", "channel",
              "description", "tags", "chapters": [{"start_s", "title"}], "language", "extra"},
     "media": {"sha256", "duration_s", "start_s"}, measured, not claimed
     "files": {"media": name},
     "state", "error", "hint", "problem": {"code", "values"}, "attempts",
     "transcribed": {"model", "engine", "preset", "language", "coverage", ...},
     "published": {sink: {...}},
     "user": {"tags": [...], "note", "title"}}

Only `version` and `item` are required. Unknown keys are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

from kb.errors import KBError, StoredProblem, stored_problem
from kb.storage import Fields
from kb.types import Availability, AvailabilityState, Chapter, MediaItem

METADATA_VERSION = 1
TRANSCRIPT_SUFFIX = ".transcript.json"
TEXT_SUFFIX = ".txt"
# A transcript of another program that had the name of the metadata.
ORIGINAL_SUFFIX = ".original.json"

# `.ts` is omitted: most files of that name are TypeScript.
_VIDEO = (".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".wmv", ".flv", ".mpg", ".mpeg")
_OTHER_VIDEO = (".m2ts", ".mts", ".3gp", ".ogv")
_AUDIO = (".mp3", ".m4a", ".m4b", ".aac", ".wav", ".flac", ".ogg", ".oga", ".opus", ".wma")
_OTHER_AUDIO = (".aif", ".aiff", ".amr", ".ac3", ".caf", ".mka", ".weba")
MEDIA_EXTENSIONS: tuple[str, ...] = _VIDEO + _OTHER_VIDEO + _AUDIO + _OTHER_AUDIO

RENEWAL = "renewal"  # key of the record of a medium that its source replaced: run, duration_s, at
RETENTION = "retention"  # key of the record of a medium that was deleted: at, rule, medium, bytes
CHECKED = "checked"  # key of the record of the passages that a person has checked: run, spans, ...
USER = "user"  # key of the record of what a person wrote about the item: tags, note, title
STORED = "stored_media"  # key of the record of a medium in object storage: url, name, sha256, ...
_MERGED_KEYS = ("files", "media", "published")
_HINT = "Repair or remove this file, then run: kb reindex"


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder of the library that could not be read, with the next step."""

    path: Path
    message: str
    hint: str = ""
    problem: StoredProblem | None = None

    @classmethod
    def of(cls, path: Path, error: KBError) -> Self:
        """Return the problem for an error that occurred at a path."""
        return cls(path, error.message, error.hint, error.problem)


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """One item of the library folder; a path is None if its file does not exist.

    `state` is one of queued, running, paused, waiting, done, failed, cancelled and held, or `new`
    before the first request. An item without a transcript is never done or held, whatever its
    metadata say. `start_s` is the container's start, None if it was not read yet. `record` is the
    whole metadata document.
    """

    item: MediaItem
    stem: str
    media_path: Path | None
    transcript_path: Path | None
    text_path: Path | None
    state: str
    error: str = ""
    hint: str = ""
    attempts: int = 0
    sha256: str = ""
    duration_s: float | None = None
    start_s: float | None = None
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def problem(self) -> StoredProblem | None:
        """Code and values of `error`; None if it was written without them."""
        return stored_problem(self.record.get("problem"))

    @property
    def medium_name(self) -> str:
        """The medium's file name, also while the file is missing; empty if none was recorded."""
        return self.media_path.name if self.media_path else _recorded_medium(self.record)

    @property
    def medium_place(self) -> str:
        """The medium's path from the library folder as passages have it; empty if unknown.

        A missing medium does not change the passages: their hash would say that every knowledge
        base has another text.
        """
        return f"media/{self.medium_name}" if self.medium_name else ""

    @property
    def transcribed(self) -> Mapping[str, Any]:
        """The transcript's origin (model, engine, preset, ...); empty without one."""
        value = self.record.get("transcribed")
        return value if isinstance(value, dict) else {}

    @property
    def word_count(self) -> int | None:
        """The number of words of the transcript; None without one."""
        words = self.transcribed.get("words")
        return words if isinstance(words, int) else None

    @property
    def grade(self) -> str:
        """The transcript's grade (A, B, C); empty without one."""
        coverage = self.transcribed.get("coverage")
        return str(coverage.get("grade", "")) if isinstance(coverage, dict) else ""

    @property
    def expected_errors(self) -> float | None:
        """The estimated share of wrong words in the transcript, 0..1; None: not measured."""
        share = self.transcribed.get("expected_errors")
        return share if isinstance(share, float) else None

    @property
    def review(self) -> Mapping[str, Any]:
        """The review of the transcript (accepted, by, at, note, run); empty without one."""
        value = self.record.get("review")
        return value if isinstance(value, dict) else {}

    @property
    def accepted(self) -> bool:
        """True if a person has accepted the present transcript."""
        return bool(
            self.review.get("accepted")
            and self.review.get("run", 1) == self.transcribed.get("run", 1)
        )

    @property
    def checked_spans(self) -> tuple[tuple[float, float], ...]:
        """The spans of the present transcript that a person has heard: start and end in seconds."""
        value = self.record.get(CHECKED)
        if not isinstance(value, dict) or value.get("run", 1) != self.transcribed.get("run", 1):
            return ()
        spans = value.get("spans")
        return tuple(
            (float(each[0]), float(each[1]))
            for each in (spans if isinstance(spans, list) else ())
            if isinstance(each, list | tuple)
            and len(each) == 2
            and all(isinstance(time, int | float) for time in each)
        )

    @property
    def renewal(self) -> Mapping[str, Any]:
        """The request to fetch the medium once more, because its source has another one."""
        value = self.record.get(RENEWAL)
        return value if isinstance(value, dict) else {}

    @property
    def retention(self) -> Mapping[str, Any]:
        """The record of a medium that the retention of its source deleted; empty without one."""
        value = self.record.get(RETENTION)
        return value if isinstance(value, dict) and self.media_path is None else {}

    @property
    def stored(self) -> Mapping[str, Any]:
        """The record of the medium in object storage; empty without one, or of an earlier one."""
        value = self.record.get(STORED)
        if not isinstance(value, dict) or not self.sha256 or value.get("sha256") != self.sha256:
            return {}
        known = all(isinstance(value.get(key), str) for key in ("url", "name"))
        return value if known and isinstance(value.get("bytes"), int) else {}

    @property
    def user_tags(self) -> tuple[str, ...]:
        """The tags that a person gave the item; those of its source are `item.tags`."""
        found = user_part(self.record).get("tags")
        return tuple(map(str, found)) if isinstance(found, list) else ()

    @property
    def user_note(self) -> str:
        """The note that a person wrote about the item."""
        return str(user_part(self.record).get("note") or "")

    @property
    def source_title(self) -> str:
        """The title that the source gave, also where a person gave another one."""
        known = self.record.get("item")
        return str(known.get("title", "")) if isinstance(known, dict) else self.item.title

    @property
    def published(self) -> Mapping[str, Any]:
        """The item's publications, by sink name."""
        value = self.record.get("published")
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class LibraryListing:
    """Entries of the library, and the problems of entries that could not be read."""

    entries: tuple[LibraryEntry, ...]
    problems: tuple[Problem, ...] = ()


class Files(Protocol):
    """The existing files of an item (`kb.library.directory.DirectorySnapshot`)."""

    @property
    def path(self) -> Path: ...

    def find(self, name: str) -> Path | None: ...

    def media_of(self, stem: str) -> Path | None: ...


def user_part(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a person wrote about an item, from its record."""
    found = record.get(USER)
    return found if isinstance(found, dict) else {}


def is_record(document: Mapping[str, Any]) -> bool:
    """Return whether a JSON document is metadata of this project, damaged or not."""
    return "item" in document and "version" in document


def entry_from_record(record: Mapping[str, Any], stem: str, folder: Files) -> LibraryEntry:
    """Return the entry for a metadata document and the files beside it.

    Raises LibraryError naming file and field.
    """
    fields = Fields(record, str(folder.path / f"{stem}.json"), hint=_HINT)
    if not is_record(record):
        raise fields.error("item", "not metadata of this library; `kb reindex` adopts it")
    if fields.whole("version") > METADATA_VERSION:
        raise fields.error("version", "written by a newer KB Ingest; update this one")
    fields.inner("files").text("media", "")  # raises if it is no text
    media, name = fields.inner("media"), _recorded_medium(record)
    transcript_path, state = folder.find(f"{stem}{TRANSCRIPT_SUFFIX}"), fields.text("state", "new")
    if transcript_path is None and state in ("done", "held"):
        state = "new"
    item = _item(fields.inner("item"))
    if title := user_part(record).get("title"):
        item = replace(item, title=str(title))
    return LibraryEntry(
        item=item,
        stem=stem,
        media_path=(folder.find(name) if name else None) or folder.media_of(stem),
        transcript_path=transcript_path,
        text_path=folder.find(f"{stem}{TEXT_SUFFIX}"),
        state=state,
        error=fields.text("error", ""),
        hint=fields.text("hint", ""),
        attempts=fields.whole("attempts", 0),
        sha256=media.text("sha256", ""),
        duration_s=media.number("duration_s", None),
        start_s=media.number("start_s", None),
        record=record,
    )


def _recorded_medium(record: Mapping[str, Any]) -> str:
    """Return the recorded name of the medium's file; empty for a path.

    Metadata must not refer to files outside the folder.
    """
    files = record.get("files")
    name = files.get("media") if isinstance(files, dict) else None
    return name if isinstance(name, str) and "/" not in name and "\\" not in name else ""


def item_document(item: MediaItem) -> dict[str, Any]:
    """Return the item as JSON; the key `availability` only if the medium is not available."""
    document = {
        "id": item.id,
        "source": item.source,
        "url": item.url,
        "title": item.title,
        "published": item.published,
        "duration_s": item.duration_s,
        "channel": item.channel,
        "description": item.description,
        "tags": list(item.tags),
        "chapters": [{"start_s": c.start_s, "title": c.title} for c in item.chapters],
        "language": item.language,
        "extra": dict(item.extra),
    }
    if item.availability != Availability():
        document["availability"] = {
            "state": str(item.availability.state),
            "reason": item.availability.reason,
            "starts_at": item.availability.starts_at,
        }
    return document


def item_from_document(document: Mapping[str, Any], source: str = "item") -> MediaItem:
    """Return the item that `item_document` wrote.

    Raises LibraryError naming `source` and field.
    """
    return _item(Fields(document, source, hint=_HINT))


def _item(fields: Fields) -> MediaItem:
    item_id = fields.text("id")
    extra = dict(fields.mapping("extra", {}))
    return MediaItem(
        id=item_id,
        source=fields.text("source", item_id.split(":", 1)[0]),
        url=fields.text("url", ""),
        title=fields.text("title", ""),
        published=fields.text("published", ""),
        duration_s=fields.number("duration_s", None),
        channel=fields.text("channel", ""),
        description=fields.text("description", ""),
        tags=fields.texts("tags"),
        chapters=tuple(
            Chapter(row.number("start_s"), row.text("title", ""))
            for row in fields.objects("chapters")
        ),
        language=fields.text("language", None),
        availability=_availability(fields, extra),
        extra=extra,
    )


def _availability(fields: Fields, extra: dict[str, Any]) -> Availability:
    """Return an item's availability.

    Items stored by the previous version have it as keys of `extra`; they are removed from it.
    """
    starts_at, live = extra.pop("available_at", None), extra.pop("live", None)
    unreadable, unavailable = extra.pop("unreadable", None), extra.pop("unavailable", None)
    if fields.mapping("availability", None):
        row = fields.inner("availability")
        state = row.text("state")
        if state not in list(AvailabilityState):
            raise row.error("state", f"one of {', '.join(AvailabilityState)} expected")
        return Availability(
            AvailabilityState(state), row.text("reason", ""), row.number("starts_at", None)
        )
    if unavailable is not None:
        return Availability(AvailabilityState.UNAVAILABLE, str(unavailable))
    if unreadable is not None:
        return Availability(AvailabilityState.UNREADABLE, str(unreadable))
    if live in (AvailabilityState.UPCOMING, AvailabilityState.LIVE):
        return Availability(AvailabilityState(live), starts_at=starts_at)
    return Availability()


def merge_record(record: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with changes; None removes a key.

    `files`, `media` and `published` are merged key by key.
    """
    merged = dict(record)
    for key, value in changes.items():
        known = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif key in _MERGED_KEYS and isinstance(known, dict) and isinstance(value, Mapping):
            merged[key] = merge_record(known, value)
        else:
            merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged
