"""Review of transcripts: list uncertain spans, cut them out, accept or transcribe again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kb.errors import LibraryError, StoredProblem, UsageError, restored
from kb.jobs.queue import renewals
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ACTIVE, DONE, HELD
from kb.jobs.queue.library_sync import sync_from_library
from kb.jobs.queue.partial_files import parts_of
from kb.library import Library, LibraryEntry, deep_link
from kb.library.cache import library_cache
from kb.library.user_files import UserFiles
from kb.options import RunOptions
from kb.pipeline import stages
from kb.pipeline.hold import is_asked, is_misheard
from kb.pipeline.item_medium import medium_of
from kb.service import review_sheet
from kb.service.removal import Removals
from kb.service.review_order import waiting_entries
from kb.service.revisions import Revisions, current_user, now, run_of
from kb.service.uncertain_spans import UncertainSpan, uncertain_spans
from kb.settings import Settings
from kb.storage import Target
from kb.transcript.chunks import format_timestamp
from kb.types import MediaItem
from kb.types.spreadsheet_cells import spreadsheet_cell

log = logging.getLogger(__name__)

PAD_S = 1.0  # seconds before and after a span: without context the speech is hard to understand
LONGEST_CLIP_S = 3600.0  # of a clip that a page asks for
_SEE_REVIEW = "What waits for review: kb review"


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """An item with its uncertain spans; `held`: it is not sent to remote knowledge bases."""

    item: MediaItem
    state: str
    grade: str
    error: str
    hint: str
    spans: tuple[UncertainSpan, ...]
    accepted: bool = False
    revisions: int = 0
    problem: StoredProblem | None = None
    expected_errors: float | None = None

    @property
    def held(self) -> bool:
        return self.state == HELD

    @property
    def uncertain_s(self) -> float:
        return sum(span.end_s - span.start_s for span in self.spans)


def _no_spans(found: ReviewItem) -> UsageError:
    if found.error:
        return UsageError(
            "review.no_spans_held",
            "{item_id} has no doubtful seconds to cut out.",
            hint="{cause}",
            item_id=found.item.id,
            cause=restored(found.error, found.hint, found.problem),
        )
    return UsageError(
        "review.no_spans",
        "{item_id} has no doubtful seconds to cut out.",
        hint="Cut any stretch: kb clip {item_id} --from --to",
        item_id=found.item.id,
    )


@dataclass(frozen=True, slots=True)
class Exported:
    """The files that `export` wrote: the sheet, and one clip per span in the sheet's order."""

    sheet: Path
    clips: tuple[Path, ...]


@dataclass
class Review:
    """The review of one library's transcripts. Methods raise LibraryError for files."""

    settings: Settings
    library: Library
    queue: JobQueue
    revisions: Revisions
    removals: Removals

    def count(self) -> int:
        """Return the number of items that wait; only changed files are read again."""
        return len(self.waiting_entries())

    def count_if_quick(self) -> int | None:
        """Return the number of items that wait, None while a large library is first read."""
        return self.count() if library_cache(self.library.media_folder).is_quick() else None

    def waiting_entries(self) -> tuple[LibraryEntry, ...]:
        """Return the entries of the items that wait, in the order of `waiting`."""
        return waiting_entries(self.library.media_folder)

    def waiting(self, limit: int | None = None) -> Iterator[ReviewItem]:
        """Yield the items that are held or doubtful and were not accepted.

        Doubtful are uncertain seconds, and words of which many are likely wrong. Held items come
        first, then items in descending order of uncertain seconds.
        """
        for entry in self.waiting_entries()[:limit]:
            try:
                yield self._review_item(entry)
            except LibraryError as error:  # a damaged transcript must not hide the others
                log.warning("%s: %s", entry.item.id, error.message)

    def item(self, item_id: str) -> ReviewItem:
        """Return one item in any state. Raises UsageError without the item or its transcript."""
        return self._review_item(self.revisions.entry_of(item_id))

    def _review_item(self, entry: LibraryEntry) -> ReviewItem:
        transcript = stages.read_transcript(self.library, entry)
        run = run_of(entry)
        return ReviewItem(
            entry.item, entry.state, transcript.grade, entry.error, entry.hint,
            uncertain_spans(transcript, run), entry.accepted,
            sum(revision.run == run for revision in transcript.revisions), entry.problem,
            transcript.expected_errors.share if transcript.expected_errors else None,
        )  # fmt: skip

    def accept(self, item_id: str, *, by: str = "", note: str = "") -> tuple[str, ...]:
        """Release an item: set its state to done and publish it to its knowledge bases.

        The item's metadata record the reviewer, the time and the note; they are valid for this
        transcript only. Return the remote knowledge bases for which the item is queued. Raises
        UsageError for an item without a transcript, in the queue, or with nothing to accept.
        """
        entry = self.revisions.entry_of(item_id)
        transcript = stages.read_transcript(self.library, entry)
        self.revisions.refuse_active(entry)
        if is_asked(entry):  # the present version is kept
            entry = renewals.keep(self.queue.items, self.library, entry)
            if entry.state == DONE:
                self.queue.record("accept", [entry.item.id])
                return self.revisions.follow_up(entry, transcript)
        row = self.queue.items.read(entry.item.id)
        # An earlier call may have been interrupted after the files and before the table.
        held = entry.state == HELD or (row is not None and row.state == HELD)
        doubtful = transcript.doubtful_spans or is_misheard(entry)
        if not held and (entry.accepted or not doubtful):
            if entry.accepted:
                raise UsageError(
                    "review.accepted",
                    "{item_id} was accepted already.",
                    hint=_SEE_REVIEW,
                    item_id=entry.item.id,
                )
            raise UsageError(
                "review.nothing_doubtful",
                "{item_id} has nothing doubtful.",
                hint=_SEE_REVIEW,
                item_id=entry.item.id,
            )
        decision = {
            "accepted": True, "by": by or current_user(), "at": now(), "note": note,
            "run": run_of(entry), "grade": transcript.grade, "held_for": entry.error,
        }  # fmt: skip
        released = {
            "review": decision, "state": DONE, "error": None, "hint": None, "problem": None,
        }  # fmt: skip
        entry = self.revisions.by_hand(entry.item.id).amend(entry.item.id, released) or entry
        errors = transcript.expected_errors
        self.queue.items.record_review(
            entry.item.id, transcript.grade, errors.share if errors else None, release=True
        )
        self.queue.record("accept", [entry.item.id])
        row = self.queue.items.read(entry.item.id)
        if row is not None and isinstance(row.job, MediaItem):
            self.removals.replace_parts(parts_of(row.job), entry.item.id)
        return self.revisions.follow_up(entry, transcript)

    def renew(self, item_id: str) -> None:
        """Queue an item for the medium that its source has now; its transcript becomes a version.

        Raises UsageError for an item that is not held with this question.
        """
        entry = self.revisions.entry_of(item_id)
        self.revisions.refuse_active(entry)
        if not is_asked(entry):
            raise UsageError(
                "review.not_asked",
                "The source of {item_id} has no other medium that is known.",
                hint="A look at a followed source notices one: kb follow --list",
                item_id=entry.item.id,
            )
        self.queue.take_version(entry)
        self.queue.record("renew", [entry.item.id])

    def retry(self, item_id: str, *, model: str | None = None, engine: str | None = None) -> int:
        """Queue an item for another transcription, with another model or engine.

        The new transcript replaces the old one, which is kept as an earlier version. Return the
        number of changes by hand; those whose words the new transcript has are made again, the
        record of the others is kept. Raises UsageError for an item in the queue, or when neither
        model nor engine is given.
        """
        if not model and not engine:
            raise UsageError(
                "review.no_choice",
                "With which model or engine?",
                hint="kb review {item_id} --retry --model large-v3",
                item_id=item_id,
            )
        entry = self.revisions.entry_of(item_id)
        sync_from_library(self.queue.items, self.library, [entry.item.id])
        row = self.queue.items.read(entry.item.id)
        if row is not None and row.state in ACTIVE:
            raise UsageError(
                "review.queued",
                "{item_id} is {state} already.",
                hint="See where it stands: kb status",
                item_id=entry.item.id,
                state=row.state,
            )
        # Raise for an invalid choice now; a worker would detect it much later.
        from kb.asr.engines import check_engine
        from kb.asr.engines.model_lookup import resolve

        if engine:
            check_engine(engine)
        if model:
            resolve(model)
        chosen = RunOptions.from_dict(row.options) if row else RunOptions()
        chosen = replace(
            chosen, model=model or chosen.model, engine=engine or chosen.engine, again=True
        )
        self.queue.submit([row.item if row else entry.item], chosen)
        if entry.transcript_path is None:
            return 0
        run = run_of(entry)
        found = stages.read_transcript(self.library, entry)
        return sum(revision.run == run for revision in found.revisions)

    def clip(
        self,
        item_id: str,
        start_s: float,
        end_s: float,
        target: Path | None = None,
        *,
        overwrite: bool = False,
    ) -> Path:
        """Cut a span out of an item's medium and return the file.

        The default target is in the working directory and named after item and span. A clip of
        another span that has the name stays, and this one gets a number. Raises UsageError for any
        other file in the way unless `overwrite`, and UsageError and MediaUnavailable as
        `kb.media.clip.cut` does.
        """
        from kb.media.clip import default_name

        entry = self.revisions.entry_of(item_id)
        source = self.medium_of(entry)
        path = target or Path(default_name(entry.stem, start_s, end_s, video=_has_video(source)))
        named = Target(
            path, _clip_source(entry, start_s, end_s), overwrite=overwrite, chosen=True,
            never=source,
        )  # fmt: skip
        return self._cut(entry, start_s, end_s, named)

    def clip_into(self, item_id: str, start_s: float, end_s: float, folder: Path) -> Path:
        """Cut a span of at most an hour into a folder of the caller's own; return the file.

        It is named after item and span. Raises UsageError and MediaUnavailable as
        `kb.media.clip.cut` does.
        """
        from kb.media.clip import cut, default_name

        if end_s - start_s > LONGEST_CLIP_S:
            raise UsageError(
                "clip.long",
                "A clip from the page has at most {minutes} minutes.",
                hint="Take a shorter stretch, or cut it with: kb clip {item_id} --from --to",
                minutes=round(LONGEST_CLIP_S / 60),
                item_id=item_id,
            )
        entry = self.revisions.entry_of(item_id)
        source = self.medium_of(entry)
        name = default_name(entry.stem, start_s, end_s, video=_has_video(source))
        return cut(source, start_s, end_s, folder / name, _tracks_of(entry))

    def _cut(self, entry: LibraryEntry, start_s: float, end_s: float, target: Target) -> Path:
        from kb.media.clip import cut

        self._files.check(target)
        source = self.medium_of(entry)
        with self._files.draft(target) as draft:
            cut(source, start_s, end_s, target.path, _tracks_of(entry), draft=draft.path)
        return draft.target

    @property
    def _files(self) -> UserFiles:
        return UserFiles(self.settings.home)

    def export(self, item_id: str, folder: Path, *, overwrite: bool = False) -> Exported:
        """Write one clip per uncertain span, with `PAD_S` before and after it, and a sheet.

        A sheet that was filled in stays, and its corrections are in the new one too. Files of
        another item stay: these get numbers. Raises UsageError for any other file in the way unless
        `overwrite`, without uncertain spans and without the medium, and MediaUnavailable.
        """
        from kb.media.probe import probe

        found = self.item(item_id)
        if not found.spans:
            raise _no_spans(found)
        entry = self.revisions.entry_of(item_id)
        claims = probe(self.medium_of(entry))
        end_s = claims.duration_s or entry.duration_s or found.spans[-1].end_s
        suffix = ".mp4" if claims.has_video else ".mp3"
        sheet = self._sheet(found, folder, overwrite=overwrite)
        spans = [
            (max(0.0, span.start_s - PAD_S), min(end_s, span.end_s + PAD_S)) for span in found.spans
        ]
        targets = [
            Target(
                folder / f"{n:03d} {format_timestamp(span.start_s).replace(':', '.')}{suffix}",
                _clip_source(entry, *times),
                overwrite=overwrite,
            )
            for n, (span, times) in enumerate(zip(found.spans, spans, strict=True), start=1)
        ]
        for target in (sheet, *targets):  # before the first clip, which may take long
            self._files.check(target)
        clips = [
            self._cut(entry, *times, target) for times, target in zip(spans, targets, strict=True)
        ]
        rows = [
            _row(number, found.item, span, clip)
            for number, (span, clip) in enumerate(zip(found.spans, clips, strict=True), start=1)
        ]
        earlier = review_sheet.corrections(folder, found.item.id)
        text = review_sheet.render(review_sheet.merged(rows, earlier))
        return Exported(self._files.write(sheet, text.encode()), tuple(clips))

    def _sheet(self, found: ReviewItem, folder: Path, *, overwrite: bool) -> Target:
        source = f"review:{found.item.id}"
        path = folder / review_sheet.SHEET
        return Target(
            path,
            source,
            overwrite=overwrite,
            numbered=not overwrite and review_sheet.read(path) is not None,
            judge=review_sheet.judge(found.item.id, source),
        )

    def medium_of(self, entry: LibraryEntry) -> Path:
        """Return the medium of an item's transcript; see `kb.pipeline.item_medium`."""
        return medium_of(self.library, self.settings, entry)


def _row(number: int, item: MediaItem, span: UncertainSpan, clip: Path) -> review_sheet.Row:
    return {
        "number": str(number),
        "item": spreadsheet_cell(item.id),
        "title": spreadsheet_cell(item.title),
        "start_s": f"{span.start_s:.3f}",
        "end_s": f"{span.end_s:.3f}",
        "at": format_timestamp(span.start_s),
        "reasons": spreadsheet_cell(", ".join(span.reasons)),
        "text": spreadsheet_cell(span.text),
        "clip": clip.name,
        "link": deep_link(item, span.start_s),
    }


def _clip_source(entry: LibraryEntry, start_s: float, end_s: float) -> str:
    """Return the name of a span of an item, as the source of its clip."""
    return f"clip:{entry.item.id}:{start_s:.3f}-{end_s:.3f}"


def _tracks_of(entry: LibraryEntry) -> tuple[int, ...]:
    """Return the numbers of the sound tracks that the transcript was made from."""
    value = entry.transcribed.get("tracks")
    found = value if isinstance(value, list) else []
    return tuple(n for n in found if isinstance(n, int) and not isinstance(n, bool))


def _has_video(path: Path) -> bool:
    from kb.media.probe import probe

    return probe(path).has_video
