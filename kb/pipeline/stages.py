"""The stages of one item, in order: fetch → transcribe → write → publish.

    ensure_media → transcribe → write → judge → publish (the local index)
                                           └──→ remote knowledge bases, unless it is held

A worker makes durable steps of these functions (`kb.jobs.worker.item_steps`); uploads to remote
knowledge bases have their own queue (`kb.jobs.queue.outbox`) and are sent by
`kb.jobs.worker.publish_steps`.

Each stage leaves a checkpoint in the library folder (the medium, the transcript, the publish
record) and does nothing if the checkpoint of the same content exists already, so that a stage
may run again at any time without repeating work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from kb import storage
from kb.asr.quality.expected_errors import with_expected_errors
from kb.errors import LibraryError, MediaUnavailable
from kb.inference.transcription_options import TranscriptionOptions
from kb.library import Library, LibraryEntry
from kb.library.fencing import number_in
from kb.library.versions import Versions
from kb.media import sha256_of, shown
from kb.pipeline import captions, meaning, screen_text, translations
from kb.pipeline.hold import HoldDecision, decide
from kb.pipeline.publish_record import facts_of, record_published
from kb.pipeline.screen_text import indexed_passages
from kb.settings import Settings
from kb.sinks import open_sink
from kb.sources import get_source
from kb.sources.base import FetchResult, Source
from kb.transcript import render
from kb.transcript.carried_edits import carry_over
from kb.transcript.editing import update_coverage
from kb.transcript.formats import json_document
from kb.transcript.passages import passages
from kb.types import LocalMedia, MediaItem, Published, Revision, Transcript
from kb.types.quality import ERRORS_C

if TYPE_CHECKING:
    from kb.sinks.local.sink import LocalSink

DOWNLOADS = "downloads"  # folder for incomplete downloads

Progress = Callable[[str, float], None]
"""Called with the name of a stage and its finished share, 0..1."""


Room = Callable[[int], None]
"""Called with the number of bytes that are about to be written; raises if they do not fit."""


class Transcriber(Protocol):
    """Transcriber of media files: the worker's inference process.

    `exclusive`: no other item is decoded at the same time, so that a crash certainly belongs to it.
    """

    def transcribe(
        self,
        path: Path,
        options: TranscriptionOptions,
        *,
        sha256: str = "",
        shown_as: str = "",
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        exclusive: bool = False,
    ) -> Transcript: ...


def ensure_media(
    library: Library,
    item: MediaItem,
    progress: Progress,
    source: Source | None = None,
    room: Room = lambda need: None,
) -> LocalMedia:
    """Return the item's medium in the library folder; fetch it from `source` if necessary.

    `room` is called before bytes are written. Raises its errors, MediaUnavailable if the medium
    cannot be fetched or has no sound, and LibraryError if it cannot be stored.
    """
    entry = library.find(item.id)
    if entry is None or entry.media_path is None or entry.renewal:
        entry = _fetch(library, item, progress, source, room)
    else:
        check_unchanged(entry.media_path, entry.sha256)
    if not entry.sha256 and entry.media_path is not None:
        measured = {"media": {"sha256": sha256_of(entry.media_path)}}
        entry = library.write_metadata(entry.item, measured)
    assert entry.media_path is not None
    return LocalMedia(entry.item, entry.media_path, entry.sha256, entry.duration_s or 0.0)


def check_unchanged(path: Path, sha256: str, since_s: float | None = None) -> None:
    """Raise MediaUnavailable if a medium has not the content of its hash any more.

    A file that was last changed before `since_s` (seconds since 1970) is not read. Without a
    known hash nothing is checked.
    """
    if not sha256:
        return
    if since_s is not None:
        with suppress(OSError):  # the hash names the cause
            status = path.stat()
            # A file that was put in its place has a new change time, also with the old content's.
            if max(status.st_mtime, status.st_ctime) < since_s:
                return
    if sha256_of(path) != sha256:
        # A hard link shares its content with the source: a change in place changes both.
        raise MediaUnavailable(
            "media.changed",
            "{path} is not the file any more that was taken into the library.",
            hint="Put the original file back, or ingest the changed one from its own place.",
            path=shown(path),
        )


def _fetch(
    library: Library, item: MediaItem, progress: Progress, source: Source | None, room: Room
) -> LibraryEntry:
    def on_progress(done: int, total: int) -> None:
        room(max(0, total - done))
        progress("fetch", done / total if total else 0.0)

    progress("fetch", 0.0)
    source = source or get_source(item.source)
    # The folder stays the library's during the download: see `kb.storage.places`.
    with storage.held(library.home / DOWNLOADS) as folder:
        fetched = source.fetch(item, folder, on_progress)
        entry = _take_in(library, item, fetched, room)
    progress("fetch", 1.0)
    return entry


def _take_in(library: Library, item: MediaItem, fetched: FetchResult, room: Room) -> LibraryEntry:
    """Put a fetched medium with its captions and picture into the library."""
    # Imported here, because loading the codecs takes longer than showing a listing.
    from kb.media.probe import probe

    # The file is checked before its import: a text named .mp4 must not enter the library as a
    # medium.
    place = library.home / DOWNLOADS / fetched.path.name if fetched.temporary else fetched.path
    try:
        found = probe(place)
    except MediaUnavailable:
        library.check_place()  # the medium is not to blame where the folder went away
        raise
    if not found.has_audio:
        if fetched.temporary:
            fetched.path.unlink(missing_ok=True)
        raise MediaUnavailable(
            "media.no_sound",
            "{path} is a video without sound: there is nothing to transcribe.",
            hint="Choose a version of the medium that has sound.",
            path=shown(place),
        )
    beside = [Path(str(name)) for name in fetched.item.extra.get("files", ())]
    extra = {name: value for name, value in fetched.item.extra.items() if name != "files"}
    described = replace(fetched.item, extra=extra)
    if not _same_disk(fetched.path, library.home):  # it is copied and not linked
        room(fetched.path.stat().st_size)
    earlier = library.find(item.id)
    if earlier is not None and earlier.renewal:
        _make_way(library, earlier, fetched.sha256)
    entry = library.add_media(described, fetched.path, sha256=fetched.sha256)
    before = earlier.media_path if earlier is not None else None
    if before is not None and before != entry.media_path:  # a medium of another form
        storage.remove_file(before)
    entry = library.write_metadata(entry.item, {"media": {"start_s": found.start_s}})
    captions.keep(library, described, fetched.captions)
    for path in beside:  # the picture: `<name>.jpg`
        library.put_file(item.id, path, library.path(entry, f".{path.name.split('.', 1)[1]}"))
        path.unlink(missing_ok=True)
    if fetched.temporary and fetched.path != entry.media_path:
        fetched.path.unlink(missing_ok=True)
    if entry.media_path is None:
        raise LibraryError(
            "media.gone",
            "The medium of {title!r} is gone from {folder}.",
            hint="Another program may have removed it; try again: kb retry",
            title=item.title,
            folder=library.media_folder,
        )
    return entry


def _make_way(library: Library, earlier: LibraryEntry, sha256: str) -> None:
    """Keep the transcript of a medium that is replaced now as an earlier version.

    If the source sent the same medium, its transcript is that of the run that asked for it.
    """
    if sha256 and sha256 == earlier.sha256 and earlier.transcript_path is not None:
        run = earlier.renewal.get("run")
        library.amend(earlier.item.id, {"transcribed": {**earlier.transcribed, "run": run}})
    else:
        Versions(library).keep(earlier)


def _same_disk(path: Path, folder: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_dev == folder.stat().st_dev
    return False


def transcribe(
    media: LocalMedia,
    options: TranscriptionOptions,
    transcriber: Transcriber,
    progress: Progress,
    cancelled: Callable[[], bool] | None = None,
    *,
    exclusive: bool = False,
) -> Transcript:
    """Transcribe a medium in the library. Raises the errors of the transcriber."""
    progress("transcribe", 0.0)
    return transcriber.transcribe(
        media.path,
        options,
        sha256=media.sha256,
        shown_as=media.path.name,
        progress=lambda done: progress("transcribe", done),
        cancelled=cancelled,
        exclusive=exclusive,
    )


def write(
    library: Library,
    item: MediaItem,
    transcript: Transcript,
    hold_below: float,
    *,
    run: int = 1,
    keep_corrections: bool = True,
    parts: Sequence[str] = (),
    hold_errors: float = ERRORS_C,
    facts: Mapping[str, object] | None = None,
) -> tuple[LibraryEntry, HoldDecision]:
    """Write the transcript's files and their metadata; decide whether the item is held.

    Changes by hand in the transcript that is replaced are made again where their words are found
    (`keep_corrections`); the others stay in the file as a record, and a warning counts them. The
    transcript of an earlier run is kept as a version.
    Those of `parts`, items that have only the beginning of the medium, are made again too.
    `facts` are further ones about the recognition.
    """
    revisions = _earlier_revisions(library, item.id)
    # Of another medium: not of this run, and not again after they were taken over once.
    known = {(revision.at, revision.by) for revision in revisions}
    for part in parts:
        for revision in _earlier_revisions(library, part):
            if (revision.at, revision.by) not in known:
                revisions = (*revisions, replace(revision, run=0))
    transcript = _with_corrections(transcript, revisions, run, keep=keep_corrections)
    transcript = replace(transcript, warnings=(*transcript.warnings, *_dubbed(item)))
    decision = decide(transcript, hold_below, hold_errors=hold_errors)
    document = json_document.to_document(transcript)
    earlier = library.find(item.id)
    if earlier is not None and earlier.transcribed.get("run", 1) != run:
        Versions(library).keep(earlier, medium=False)
    entry = library.write_transcript(
        item,
        render(transcript, "txt", item=item),
        render(transcript, "json", item=item),
        {
            "media": {"sha256": transcript.media.sha256, "duration_s": transcript.media.duration_s},
            "transcribed": {
                # The number of the run identifies the request: it is the checkpoint of this stage.
                "run": run,
                "engine": transcript.engine,
                "model": transcript.model,
                "preset": transcript.preset,
                "language": transcript.language,
                "words": transcript.word_count,
                "coverage": document["coverage"],
                "expected_errors": document["expected_errors"],
                "timing": document["timing"],
                "warnings": list(transcript.warnings),
                "tracks": list(transcript.media.tracks) or None,
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                **_revised(transcript, run),
                **(facts or {}),
            },
            **captions.captions_retired(earlier),
            **decision.metadata(),
        },
    )
    return entry, decision


def _dubbed(item: MediaItem) -> tuple[str, ...]:
    """Return a warning if the site had the sound in another language only than the medium's."""
    declared, fetched = item.extra.get("declared_language"), item.extra.get("track_language")
    if not declared or not fetched:
        return ()
    return (
        f"The medium is in {declared}, its sound track in {fetched}: only a translated (dubbed) "
        "track was offered. The words are those of the translation.",
    )


def _with_corrections(
    transcript: Transcript, revisions: tuple[Revision, ...], run: int, *, keep: bool
) -> Transcript:
    """Return a new transcript with the earlier changes by hand, made again or as a record."""
    if not revisions or not keep:
        return replace(transcript, revisions=revisions)
    carried = carry_over(transcript.segments, revisions, run)
    added = [
        word
        for revision in carried.revisions
        if revision.run == run
        for change in revision.changes
        if change.after is not None
        for word in change.after.words
    ]
    lost = (
        (
            f"{carried.lost} corrections by hand belong to an earlier transcript and are not in "
            "this one: their words were not found again.",
        )
        if carried.lost
        else ()
    )
    carried_over = replace(
        transcript,
        segments=carried.segments,
        revisions=carried.revisions,
        coverage=update_coverage(transcript.coverage, added),
        warnings=(*transcript.warnings, *lost),
    )
    return with_expected_errors(carried_over)


def _revised(transcript: Transcript, run: int) -> dict[str, object]:
    """Return the metadata of the changes by hand that this transcript has; empty without any."""
    own = [revision for revision in transcript.revisions if revision.run == run]
    if not own:
        return {}
    return {"revised": {"at": own[-1].at, "by": own[-1].by, "times": len(own)}}


def _earlier_revisions(library: Library, item_id: str) -> tuple[Revision, ...]:
    """Return the manual changes of the transcript that is about to be replaced."""
    entry = library.find(item_id)
    if entry is None or entry.transcript_path is None:
        return ()
    try:
        return json_document.read(entry.transcript_path).revisions
    except LibraryError:
        return ()  # damaged: the new transcript replaces it


def publish(
    library: Library, settings: Settings, entry: LibraryEntry, transcript: Transcript, sink: str
) -> Published:
    """Put an item's passages into a knowledge base; the same content again changes nothing.

    `entry` was read before `transcript`. An index is no file that could be moved into place within
    the library's guard: so the files are read again afterwards, and published again if another
    attempt has changed them meanwhile. Whichever process writes last, the index has the text of the
    files. Raises the errors of `Library.guard`.
    """
    target = open_sink(sink, settings)
    while True:
        item = entry.item
        with library.guard(item.id):  # a late attempt ends here
            pass
        before = _changed_ns(library, entry)
        if target.is_local:
            published = cast("LocalSink", target).publish(
                item,
                indexed_passages(library, entry, transcript),
                vectors=meaning.vectors_of(library, entry),
            )
        else:
            found = passages(transcript, item, path=entry.medium_place)
            published = target.publish(item, found, facts=facts_of(transcript))
        now = library.find(item.id)
        if now is None:  # removed meanwhile
            if target.is_local:
                target.delete(item.id)
            return published
        is_same = number_in(now.record) == number_in(entry.record)
        if (is_same and before == _changed_ns(library, now)) or now.transcript_path is None:
            record_published(library, item, published)
            return published
        entry, transcript = now, read_transcript(library, now)


def _changed_ns(library: Library, entry: LibraryEntry) -> tuple[int, ...]:
    """Return the times of the last change of the results that the local index has a part of."""
    parts = (screen_text, meaning, translations)
    return tuple(part.changed_ns(library, entry) for part in parts)


def read_transcript(library: Library, entry: LibraryEntry) -> Transcript:
    """Return the exact transcript of an entry. Raises LibraryError if there is none."""
    if entry.transcript_path is None:
        if entry.error:
            raise LibraryError(
                "item.no_transcript_failed",
                "{item_id} ({title}) has no transcript yet.",
                hint="{cause}",
                cause=entry.error,
                item_id=entry.item.id,
                title=entry.item.title,
            )
        raise LibraryError(
            "item.no_transcript",
            "{item_id} ({title}) has no transcript yet.",
            hint="Ingest it: kb ingest, or try again: kb retry",
            item_id=entry.item.id,
            title=entry.item.title,
        )
    return json_document.read(entry.transcript_path)
