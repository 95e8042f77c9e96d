"""Records in the library folder of the documents that each knowledge base has of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from kb.errors import KBError
from kb.library import Library, LibraryEntry
from kb.settings import get_settings
from kb.sinks import is_local_sink
from kb.types import DocumentFacts, MediaItem, Published, Transcript

WORDS_SHA256 = "words_sha256"  # key of the hash of what is sent again without being asked


def facts_of(transcript: Transcript, speakers: Sequence[str] = ()) -> DocumentFacts:
    """Return the facts about a transcript that are part of its document's content.

    `speakers` are the names of those who speak.
    """
    errors = transcript.expected_errors
    return DocumentFacts(
        language=transcript.language,
        model=transcript.model,
        engine=transcript.engine,
        preset=transcript.preset,
        coverage=round(transcript.coverage.ratio, 4) if transcript.coverage_known else None,
        grade=transcript.grade,
        duration_s=transcript.media.duration_s,
        # Only where it lowers the grade: every document would be sent again otherwise.
        expected_errors=errors.share if errors and errors.grade != "A" else None,
        speakers=", ".join(speakers),
        words_from=", ".join(transcript.words_from) if get_settings().sound_links else "",
    )


def is_published(entry: LibraryEntry) -> bool:
    """Return True if a remote knowledge base has the item, or gets it now."""
    return any(
        not is_local_sink(sink)
        and isinstance(record, Mapping)
        and record.get("status") in ("synced", "syncing")
        for sink, record in entry.published.items()
    )


def record_published(
    library: Library, item: MediaItem, published: Published, words_sha256: str = ""
) -> None:
    """Record in the item's metadata which document a knowledge base has of it.

    `words_sha256` is the hash of its words and metadata, without the results of steps.
    """
    record = {
        "remote_id": published.remote_id,
        "content_sha256": published.content_sha256,
        WORDS_SHA256: words_sha256 or None,
        "status": published.status,
        "project": published.project or None,
        "error": None,
        "hint": None,
        "problem": None,
        "attempts": None,
    }
    _record(library, item.id, published.sink, record)


def record_failure(
    library: Library,
    item: MediaItem,
    sink: str,
    error: KBError,
    status: str = "failed",
    attempts: int = 1,
) -> None:
    """Record in the item's metadata why a knowledge base does not have it."""
    record = {"status": status, **error.record(), "attempts": attempts}
    _record(library, item.id, sink, record)


def removed_there(item_id: str, project: str, compared_at: float) -> KBError:
    """Return the error of an item that a remote project once had; the time is in epoch seconds."""
    return KBError(
        "publish.removed_there",
        "The project {project} has no document of it any more: it was removed there (compared at "
        "{time}).",
        hint="Send it again: kb publish {item_id} --to odin, or all that is missing: kb sync",
        project=project,
        time=f"{datetime.fromtimestamp(compared_at):%Y-%m-%d %H:%M}",
        item_id=item_id,
    )


def record_cancelled(library: Library, item_id: str, sink: str) -> None:
    """Record in the item's metadata that a waiting upload to a knowledge base was cancelled."""
    entry = library.find(item_id)
    known = entry.published.get(sink) if entry else None
    if isinstance(known, Mapping) and known.get("status") == "waiting":
        record = {
            "status": "cancelled", "error": None, "hint": None, "problem": None, "attempts": None,
        }  # fmt: skip
        _record(library, item_id, sink, record)


def in_other_project(record: Mapping[str, object], project: str) -> bool:
    """Return whether a record in an item's metadata names another remote project than this one."""
    recorded = record.get("project")
    return isinstance(recorded, str) and bool(recorded) and bool(project) and recorded != project


def _record(library: Library, item_id: str, sink: str, record: Mapping[str, object]) -> None:
    with library.metadata_lock(item_id):
        entry = library.find(item_id)
        known = entry.published.get(sink) if entry else None
        known = known if isinstance(known, Mapping) else {}
        # A paused lane reports the same error for every item repeatedly.
        if any(known.get(name) != value for name, value in record.items()):
            library.amend(item_id, {"published": {sink: record}})
