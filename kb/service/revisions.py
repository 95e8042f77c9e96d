"""Changes of finished transcripts by hand: written, indexed and published again.

One file (`….transcript.json`) holds the words and their history. It is replaced in one step, so
that after a crash a change is either complete or absent. All edits use this module.
"""

from __future__ import annotations

import contextlib
import getpass
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from filelock import FileLock, Timeout

from kb import storage
from kb.asr.quality.expected_errors import with_expected_errors
from kb.errors import LibraryError, UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.fences import Fences, active
from kb.jobs.queue.item_states import ACTIVE, CANCELLED, HELD
from kb.jobs.queue.library_sync import sync_from_library
from kb.library import Library, LibraryEntry
from kb.library.metadata import TRANSCRIPT_SUFFIX
from kb.media import sha256_of
from kb.options import RunOptions
from kb.pipeline import stages
from kb.pipeline.publish_record import in_other_project
from kb.settings import Settings
from kb.transcript import render
from kb.transcript.chunks import collapse_whitespace
from kb.transcript.editing import edit_segment, edit_span, update_coverage
from kb.transcript.formats import json_document
from kb.types import Revision, Segment, TextChange, Transcript

LOCK_TIMEOUT_S = 60.0

Change = Callable[[Sequence[Segment]], tuple[list[Segment], tuple[TextChange, ...]]]
"""Return all segments after an edit, and the changes. Raises UsageError."""


@dataclass(frozen=True, slots=True)
class LineEdit:
    """Another text for a segment (counted from 0); empty text removes the segment.

    `expected` is the text before the edit, as displayed to the user; None if it was not displayed.
    """

    segment: int
    text: str
    expected: str | None = None


def now() -> str:
    """Return the current time in the format of the library's files."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def current_user() -> str:
    """Return the name of the current user of this machine, empty if unknown."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def require_stretch(start_s: float, end_s: float) -> None:
    """Raise UsageError unless the two times (seconds) begin and end a stretch of a recording."""
    if not 0 <= start_s < end_s:
        raise UsageError(
            "edit.times_reversed",
            "From {start_s:g} s to {end_s:g} s is no stretch of time.",
            hint="Give the earlier time first.",
            start_s=start_s,
            end_s=end_s,
        )


def run_of(entry: LibraryEntry) -> int:
    """Return the number of the request for which an entry's transcript was made."""
    run = entry.transcribed.get("run")
    return run if isinstance(run, int) else 1


@dataclass
class Revisions:
    """Edits of transcripts of one library.

    Methods raise UsageError for a change while the item is in the queue: the new transcript
    would overwrite the change. They raise LibraryError when files cannot be written, and
    KnowledgeBaseError when the change is written and the local index cannot be updated.
    """

    settings: Settings
    library: Library
    queue: JobQueue

    def edit(
        self,
        item_id: str,
        segment_index: int,
        new_text: str,
        *,
        expected: str | None = None,
        by: str = "",
        note: str = "",
    ) -> Revision | None:
        """Replace the text of one segment (counted from 0); empty text removes the segment.

        Unchanged words keep their times. `expected` is the text before the edit, as displayed to
        the user. Return the revision, None if nothing changes. Raises UsageError for a segment
        that does not exist, and if the segment's text differs from `expected`.
        """

        edit = LineEdit(segment_index, new_text, expected)
        return self.edit_lines(item_id, [edit], by=by, note=note)

    def edit_lines(
        self, item_id: str, edits: Sequence[LineEdit], *, by: str = "", note: str = ""
    ) -> Revision | None:
        """Replace the texts of several segments in one revision; see `edit`.

        Nothing is changed if one of the edits cannot be made.
        """

        def change(
            segments: Sequence[Segment],
        ) -> tuple[list[Segment], tuple[TextChange, ...]]:
            for each in edits:
                _check(item_id, segments, each)
            made = list(segments)
            changes: list[TextChange] = []
            # From the last one: an edit can remove its segment.
            for each in sorted(edits, key=lambda edit: -edit.segment):
                made, changed = edit_segment(made, each.segment, each.text)
                changes += changed
            return made, tuple(reversed(changes))

        return self.change(item_id, change, by=by, note=note)

    def edit_span(
        self, item_id: str, start_s: float, end_s: float, new_text: str,
        *, by: str = "", note: str = "",
    ) -> Revision | None:  # fmt: skip
        """Replace the words between two times; insert the text if there are none.

        Raises UsageError for invalid times.
        """
        require_stretch(start_s, end_s)
        return self.change(
            item_id, lambda segments: edit_span(segments, start_s, end_s, new_text),
            by=by, note=note,
        )  # fmt: skip

    def change(
        self, item_id: str, change: Change, *, kind: str = "edit", by: str = "", note: str = ""
    ) -> Revision | None:
        """Apply a change to an item's segments; return None if nothing changes."""
        with self._edit_lock():
            entry = self.entry_of(item_id)
            self.refuse_active(entry)
            library = self.by_hand(item_id)
            transcript = stages.read_transcript(library, entry)
            segments, changes = change(transcript.segments)
            if not changes:
                return None
            revision = Revision(now(), by or current_user(), kind, changes, note, run_of(entry))
            added = [w for c in changes if c.after is not None for w in c.after.words]
            revised = with_expected_errors(
                replace(
                    transcript,
                    segments=tuple(segments),
                    coverage=update_coverage(transcript.coverage, added),
                    revisions=(*transcript.revisions, revision),
                )
            )
            own = [r for r in revised.revisions if r.run == revision.run]
            entry = self._write(
                library, entry, revised,
                {"revised": {"at": revision.at, "by": revision.by, "times": len(own)}},
            )  # fmt: skip
        self.queue.items.record_review(entry.item.id, revised.grade, _share(revised))
        self.follow_up(entry, revised)
        self.queue.record("correct", [entry.item.id], kind=kind)
        return revision

    def judge_again(self, entry: LibraryEntry, transcript: Transcript) -> Transcript:
        """Give a transcript the expected errors that its words have now; return it.

        Files of an earlier version have none, and a calibration may change. Nothing is written if
        they are the same. The transcript is read again under the lock, so that a concurrent edit
        is not lost; the text beside it stays as it is.
        """
        if with_expected_errors(transcript) == transcript and (
            entry.expected_errors == _share(transcript)
        ):
            return transcript
        with self._edit_lock():
            library = self.by_hand(entry.item.id)
            present = library.find(entry.item.id) or entry
            judged = with_expected_errors(stages.read_transcript(self.library, present))
            document = json_document.to_document(judged)
            transcribed = {
                **present.transcribed,
                "coverage": document["coverage"],
                "expected_errors": document["expected_errors"],
            }
            hashes, path = transcribed.get("sha256"), present.transcript_path
            assert path is not None
            # A file that is not the recorded one must not look like it.
            known = dict(hashes) if isinstance(hashes, dict) else {}
            ours = known.get(TRANSCRIPT_SUFFIX) == sha256_of(path)
            path = library.write_text(
                present, TRANSCRIPT_SUFFIX, render(judged, "json", item=present.item)
            )
            if ours:
                transcribed["sha256"] = {**known, TRANSCRIPT_SUFFIX: sha256_of(path)}
            library.amend(present.item.id, {"transcribed": transcribed})
        return judged

    def entry_of(self, item_id: str) -> LibraryEntry:
        """Return the entry of an item. Raises UsageError without one."""
        entry = self.library.find(item_id)
        if entry is None:
            raise UsageError(
                "item.unknown",
                "No item {item_id!r} in {home}.",
                hint="List the items: kb status --all",
                item_id=item_id,
                home=self.settings.home,
            )
        return entry

    def refuse_active(self, entry: LibraryEntry) -> None:
        """Raise UsageError for an item in the queue."""
        sync_from_library(self.queue.items, self.library, [entry.item.id])
        row = self.queue.items.read(entry.item.id)
        if row is not None and row.state in ACTIVE:
            raise active(entry.item.id, row.state)

    def by_hand(self, item_id: str) -> Library:
        """Return the library for a change by hand of one item, which ends earlier attempts at it.

        Raises UsageError for an item in the queue.
        """
        return self.library.fenced(Fences(self.queue.database).by_hand(item_id))

    def follow_up(self, entry: LibraryEntry, transcript: Transcript) -> tuple[str, ...]:
        """Update the local index now, and queue the item for its remote knowledge bases.

        Return the names of the remote ones. A held item is queued for none of them. The item is
        not queued for a knowledge base for which its publication was cancelled.
        """
        row = self.queue.items.read(entry.item.id)
        chosen = RunOptions.from_dict(row.options).sinks if row else None
        sinks = list(chosen if chosen is not None else self.settings.sink_names)
        if "local" in sinks:
            stages.publish(self.library, self.settings, entry, transcript, "local")
        if entry.state == HELD:
            return ()
        entries = self.queue.outbox.for_items([entry.item.id]).get(entry.item.id, ())
        closed = {"local", *(row.sink for row in entries if row.status == CANCELLED)}
        project = self.settings.odin_project_id
        there = [
            name
            for name, record in entry.published.items()
            if not (isinstance(record, Mapping) and in_other_project(record, project))
        ]
        remote = [name for name in dict.fromkeys([*sinks, *there]) if name not in closed]
        self.queue.send(entry.item.id, remote)
        return tuple(remote)

    def _write(
        self, library: Library, entry: LibraryEntry, revised: Transcript, about: Mapping[str, Any]
    ) -> LibraryEntry:
        """Write a transcript and its metadata, with `about` among those of its making."""
        item = entry.item
        document = json_document.to_document(revised)
        transcribed: Mapping[str, Any] = {
            **entry.transcribed,
            "words": revised.word_count,
            "coverage": document["coverage"],
            "expected_errors": document["expected_errors"],
            **about,
        }
        return library.write_transcript(
            item,
            render(revised, "txt", item=item),
            render(revised, "json", item=item),
            {"transcribed": transcribed},
        )

    @contextlib.contextmanager
    def _edit_lock(self) -> Iterator[None]:
        """Hold the lock of edits across processes: concurrent edits would lose changes.

        Raises LibraryError if the lock is not free within `LOCK_TIMEOUT_S`.
        """
        path = self.settings.home / ".workers" / "edits.lock"
        try:
            storage.make_folder(path.parent)
            lock = FileLock(path)
            lock.acquire(timeout=LOCK_TIMEOUT_S)
        except Timeout:
            raise LibraryError(
                "edit.locked",
                "Another process has been writing a change for a minute.",
                hint="Try again; if it stays, end the other kb process.",
                retryable=True,
            ) from None
        except OSError as error:
            raise storage.library_error(error, path, "write") from error
        try:
            yield
        finally:
            lock.release()


def _check(item_id: str, segments: Sequence[Segment], edit: LineEdit) -> None:
    """Raise UsageError for a segment that does not exist, or has another text than expected."""
    if not 0 <= edit.segment < len(segments):
        raise UsageError(
            "edit.no_segment",
            "{item_id} has no segment {number}: it has {count}.",
            hint="See their numbers with: kb review {item_id}",
            item_id=item_id,
            number=edit.segment,
            count=len(segments),
        )
    found = collapse_whitespace(segments[edit.segment].text)
    if edit.expected is not None and collapse_whitespace(edit.expected) != found:
        raise UsageError(
            "edit.changed",
            "Segment {number} of {item_id} was changed meanwhile: {found!r}.",
            hint="Look at it again, then edit it.",
            number=edit.segment,
            item_id=item_id,
            found=found,
        )


def _share(transcript: Transcript) -> float | None:
    return transcript.expected_errors.share if transcript.expected_errors else None
