"""The whole data flow of one item, in order: fetch → transcribe → write → publish.

    ensure_media → transcribe → write → judge → publish (the local index)
                                           └──→ remote knowledge bases, unless it is held

A worker makes durable steps of these functions (`kb.jobs.work`); what goes to remote knowledge
bases is queued by itself (`kb.jobs.deliveries`) and sent by `kb.jobs.publishing`.

Each stage leaves a checkpoint in the library folder (the medium, the transcript, the publish
record) and does nothing where the checkpoint of the same content is there already, so that a
stage may run again at any time without doing anything twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from kb import storage
from kb.errors import KBError, LibraryError, MediaUnavailable
from kb.jobs import captions
from kb.jobs.recognition import Recipe
from kb.library import Library, LibraryEntry
from kb.media import sha256_of, shown
from kb.settings import Settings
from kb.sinks import open_sink
from kb.sources import get_source
from kb.sources.base import Source
from kb.transcript import json_doc, render
from kb.transcript.passages import passages
from kb.types import DocumentFacts, LocalMedia, MediaItem, Published, Revision, Transcript

DOWNLOADS = "downloads"  # where media lie until they are whole

Progress = Callable[[str, float], None]
"""Called with a stage's name and how much of it is done, 0..1."""


class Transcriber(Protocol):
    """Whoever turns a file into words: the worker's model host.

    `exclusive`: nothing else is decoded beside it, so that a crash is known to be its own.
    """

    def transcribe(
        self,
        path: Path,
        recipe: Recipe,
        *,
        sha256: str = "",
        shown_as: str = "",
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        exclusive: bool = False,
    ) -> Transcript: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an item ended: `state` is `done` or `held`; `reason` says why it is held."""

    state: str
    reason: str = ""
    hint: str = ""


def ensure_media(
    library: Library, item: MediaItem, progress: Progress, source: Source | None = None
) -> LocalMedia:
    """The item's medium in the library folder, fetched from `source` if it is not there.

    Raises MediaUnavailable when it cannot be had, or is no medium with sound, and
    LibraryError when it cannot be kept.
    """
    entry = library.find(item.id)
    if entry is None or entry.media_path is None:
        entry = _fetch(library, item, progress, source)
    if not entry.sha256 and entry.media_path is not None:
        measured = {"media": {"sha256": sha256_of(entry.media_path)}}
        entry = library.write_metadata(entry.item, measured)
    assert entry.media_path is not None
    return LocalMedia(entry.item, entry.media_path, entry.sha256, entry.duration_s or 0.0)


def _fetch(
    library: Library, item: MediaItem, progress: Progress, source: Source | None
) -> LibraryEntry:
    def told(done: int, total: int) -> None:
        progress("fetch", done / total if total else 0.0)

    progress("fetch", 0.0)
    source = source or get_source(item.source)
    fetched = source.fetch(item, library.home / DOWNLOADS, told)
    # Only here: the codecs take longer to load than a listing takes to show.
    from kb.media.probe import probe

    # Before it is taken in: a text named .mp4 must not lie in the library as a medium.
    if not probe(fetched.path).has_audio:
        if fetched.temporary:
            fetched.path.unlink(missing_ok=True)
        raise MediaUnavailable(
            f"{shown(fetched.path)} is a video without sound: there is nothing to transcribe.",
            hint="Choose a version of the medium that has sound.",
        )
    beside = [Path(str(name)) for name in fetched.item.extra.get("files", ())]
    extra = {name: value for name, value in fetched.item.extra.items() if name != "files"}
    described = replace(fetched.item, extra=extra)
    entry = library.add_media(described, fetched.path, sha256=fetched.sha256)
    captions.keep(library, described, fetched.captions)
    for path in beside:  # the picture: `<name>.jpg`
        storage.place_file(path, library.path(entry, f".{path.name.split('.', 1)[1]}"), link=True)
        path.unlink(missing_ok=True)
    if fetched.temporary and fetched.path != entry.media_path:
        fetched.path.unlink(missing_ok=True)
    if entry.media_path is None:
        raise LibraryError(
            f"The medium of {item.title!r} is gone from {library.media_folder}.",
            hint="Another program may have removed it; try again: kb retry",
        )
    progress("fetch", 1.0)
    return entry


def transcribe(
    media: LocalMedia,
    recipe: Recipe,
    transcriber: Transcriber,
    progress: Progress,
    cancelled: Callable[[], bool] | None = None,
    *,
    exclusive: bool = False,
) -> Transcript:
    """The words of a medium that lies in the library. Raises what the transcriber raises."""
    progress("transcribe", 0.0)
    return transcriber.transcribe(
        media.path,
        recipe,
        sha256=media.sha256,
        shown_as=media.path.name,
        progress=lambda done: progress("transcribe", done),
        cancelled=cancelled,
        exclusive=exclusive,
    )


def write(
    library: Library, item: MediaItem, transcript: Transcript, hold_below: float, *, run: int = 1
) -> tuple[LibraryEntry, Outcome]:
    """The transcript's files and what the metadata says of them; decides about a hold."""
    stem = library.stem(item)
    transcript = replace(transcript, revisions=_earlier_revisions(library, item))
    library.write_text(stem, ".txt", render(transcript, "txt", item=item))
    # The exact transcript comes last: where it is, the text beside it is complete.
    library.write_text(stem, ".transcript.json", render(transcript, "json", item=item))
    outcome = judge(transcript, hold_below)
    document = json_doc.to_document(transcript)
    entry = library.write_metadata(
        item,
        {
            "media": {"sha256": transcript.media.sha256, "duration_s": transcript.media.duration_s},
            "transcribed": {
                # Which asking it answers: the checkpoint of this stage.
                "run": run,
                "engine": transcript.engine,
                "model": transcript.model,
                "preset": transcript.preset,
                "language": transcript.language,
                "words": len(transcript.words),
                "coverage": document["coverage"],
                "timing": document["timing"],
                "warnings": list(transcript.warnings),
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            },
            **captions.retired(library.find(item.id)),
            "state": outcome.state,
            "error": outcome.reason or None,
            "hint": outcome.hint or None,
        },
    )
    return entry, outcome


def _earlier_revisions(library: Library, item: MediaItem) -> tuple[Revision, ...]:
    """What people changed in the transcript that is about to be replaced: work worth keeping."""
    entry = library.find(item.id)
    if entry is None or entry.transcript_path is None:
        return ()
    try:
        return json_doc.read(entry.transcript_path).revisions
    except LibraryError:
        return ()  # damaged: the new one takes its place


def judge(transcript: Transcript, hold_below: float, entry: LibraryEntry | None = None) -> Outcome:
    """Whether a transcript may be published, or is held until somebody has listened.

    `entry`: the item in the library, where somebody may have accepted just this transcript.
    """
    if entry is not None and entry.accepted:
        return Outcome("done")
    truncated = [w for w in transcript.warnings if "truncated" in w]
    if truncated:
        return Outcome(
            "held",
            truncated[0],
            "Bring the whole file and ingest it again; the words that are there are searchable.",
        )
    found = transcript.coverage
    if found.trusted < hold_below:
        missing_s = found.speech_s - found.covered_s
        reasons = []
        if missing_s > 0:
            reasons.append(
                f"{missing_s:.1f} s of detected speech carry no words ({found.ratio:.0%} covered)"
            )
        if found.suspect_s > 0:
            names = sorted({s.name for window in transcript.windows for s in window.signs})
            why = f" ({', '.join(names)})" if names else ""
            reasons.append(f"{found.suspect_s:.1f} s of the text are doubtful{why}")
        return Outcome(
            "held",
            f"Grade {found.grade}: {'; '.join(reasons)}.",
            "Listen to the doubtful seconds: kb review ID; or: kb ingest --again --model ...",
        )
    return Outcome("done")


def publish(
    library: Library, settings: Settings, item: MediaItem, transcript: Transcript, sink: str
) -> Published:
    """Puts the item's passages into a knowledge base; the same content again changes nothing."""
    entry = library.find(item.id)
    medium = entry.media_path if entry else None
    path = f"media/{medium.name}" if medium else transcript.media.path
    found = passages(transcript, item, path=path)
    published = open_sink(sink, settings).publish(item, found, facts=facts_of(transcript))
    record_published(library, item, published)
    return published


def facts_of(transcript: Transcript) -> DocumentFacts:
    """What a document says of its transcript; part of the content, so one place makes it."""
    return DocumentFacts(
        language=transcript.language,
        model=transcript.model,
        engine=transcript.engine,
        preset=transcript.preset,
        coverage=round(transcript.coverage.ratio, 4),
        grade=transcript.coverage.grade,
        duration_s=transcript.media.duration_s,
    )


def record_published(library: Library, item: MediaItem, published: Published) -> None:
    """Notes beside the medium what a knowledge base holds of it."""
    record = {
        "remote_id": published.remote_id,
        "content_sha256": published.content_sha256,
        "status": published.status,
        "error": None,
        "hint": None,
        "attempts": None,
    }
    _record(library, item.id, published.sink, record)


def record_trouble(
    library: Library,
    item: MediaItem,
    sink: str,
    error: KBError,
    status: str = "failed",
    attempts: int = 1,
) -> None:
    """Notes beside the medium why a knowledge base does not hold it."""
    record = {
        "status": status,
        "error": error.message,
        "hint": error.hint,
        "attempts": attempts,
    }
    _record(library, item.id, sink, record)


def record_cancelled(library: Library, item_id: str, sink: str) -> None:
    """Notes beside the medium that a knowledge base is to get nothing, where it waited for it."""
    entry = library.find(item_id)
    known = entry.published.get(sink) if entry else None
    if isinstance(known, Mapping) and known.get("status") == "waiting":
        record = {"status": "cancelled", "error": None, "hint": None, "attempts": None}
        _record(library, item_id, sink, record)


def _record(library: Library, item_id: str, sink: str, record: Mapping[str, object]) -> None:
    with library.changing(item_id):
        entry = library.find(item_id)
        known = entry.published.get(sink) if entry else None
        known = known if isinstance(known, Mapping) else {}
        # A lane that rests tells every item the same again and again.
        if any(known.get(name) != value for name, value in record.items()):
            library.amend(item_id, {"published": {sink: record}})


def read_transcript(library: Library, entry: LibraryEntry) -> Transcript:
    """The exact transcript of an entry. Raises LibraryError when it has none."""
    if entry.transcript_path is None:
        raise LibraryError(
            f"{entry.item.id} ({entry.item.title}) has no transcript yet.",
            hint=entry.error or "Ingest it: kb ingest, or try again: kb retry",
        )
    return json_doc.read(entry.transcript_path)
