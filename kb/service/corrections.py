"""Corrections of a wording in all transcripts of a channel: preview, then revisions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.errors import KBError, LibraryError, UsageError
from kb.library import LibraryEntry
from kb.library.cache import library_cache
from kb.pipeline import stages
from kb.pipeline.vocabulary import ALL_CHANNELS, known_channels
from kb.service.published_changes import require_sure
from kb.service.revisions import Revisions
from kb.transcript.chunks import collapse_whitespace
from kb.transcript.editing import correct
from kb.types import TextChange

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Correction:
    """One changed segment: its time in seconds, and its text before and after the change."""

    item_id: str
    title: str
    segment: int
    at_s: float
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Corrected:
    """The result of `apply`: changed segments, and items that failed, each with its cause."""

    changes: tuple[Correction, ...]
    failed: tuple[tuple[str, KBError], ...]


@dataclass
class Corrections:
    """Corrections over the channels of one library."""

    revisions: Revisions

    def preview(self, channel: str, wrong: str, right: str) -> Iterator[Correction]:
        """Yield every change that the correction would make, in order of item and time.

        Raises UsageError for an unknown channel, for a wording without letters or digits, and
        for a correction that equals the wording.
        """
        self._check(wrong, right)
        for entry in self._entries(channel):
            try:
                transcript = stages.read_transcript(self.revisions.library, entry)
            except LibraryError as error:  # a damaged transcript must not stop the others
                log.warning("%s: %s", entry.item.id, error.message)
                continue
            yield from _changes(entry, correct(transcript.segments, wrong, right)[1])

    def apply(
        self, channel: str, wrong: str, right: str, *, by: str = "", sure: bool = False
    ) -> Corrected:
        """Make the changes, one revision per item.

        An item that cannot be changed is skipped and returned in `failed`. Raises as `preview`
        does, and unless `sure` if many published items would change.
        """
        if not sure:
            ids = {change.item_id for change in self.preview(channel, wrong, right)}
            entries = [entry for entry in self._entries(channel) if entry.item.id in ids]
            require_sure(entries, self.revisions.settings, sure=sure)
        self._check(wrong, right)
        done: list[Correction] = []
        failed: list[tuple[str, KBError]] = []
        for entry in self._entries(channel):
            try:
                revision = self.revisions.change(
                    entry.item.id, lambda segments: correct(segments, wrong, right),
                    kind="correct", by=by,
                    note=f"{collapse_whitespace(wrong)} → {collapse_whitespace(right)}",
                )  # fmt: skip
            except KBError as error:
                failed.append((entry.item.id, error))
                continue
            if revision is not None:
                done.extend(_changes(entry, revision.changes))
        return Corrected(tuple(done), tuple(failed))

    def _check(self, wrong: str, right: str) -> None:
        if not any(letter.isalnum() for letter in wrong):
            raise UsageError(
                "correct.no_words",
                "{wrong!r} is nothing to look for.",
                hint="kb correct CHANNEL WRONG RIGHT",
                wrong=wrong,
            )
        if collapse_whitespace(wrong) == collapse_whitespace(right):
            raise UsageError(
                "correct.same",
                "{wrong!r} and its correction are the same.",
                hint="Give the correct words second: kb correct CHANNEL WRONG RIGHT",
                wrong=wrong,
            )

    def _entries(self, channel: str) -> list[LibraryEntry]:
        channel_key = channel.casefold()
        entries = library_cache(self.revisions.library.media_folder).listing().entries
        found = [
            entry
            for entry in entries
            if channel == ALL_CHANNELS
            or channel_key in (entry.item.channel.casefold(),
                          str(entry.item.extra.get("channel_id") or "").casefold())
        ]  # fmt: skip
        if not found or not channel:
            known = known_channels(self.revisions.queue.database)
            listed = ", ".join(repr(name) for name in known[:10]) or "none yet"
            raise UsageError(
                "correct.no_items",
                "No items of a channel {channel!r} in {home}.",
                hint="Known channels: {known}; {everything!r} for all items.",
                channel=channel,
                home=self.revisions.settings.home,
                known=listed,
                everything=ALL_CHANNELS,
            )
        found = self._by_id(channel, found, entries)
        return [entry for entry in found if entry.transcript_path is not None]

    def _by_id(
        self, channel: str, found: list[LibraryEntry], entries: Sequence[LibraryEntry]
    ) -> list[LibraryEntry]:
        """Return the items of the one channel that a name stands for, under all its names.

        Raises UsageError if several channels have the name.
        """
        ids = {str(entry.item.extra.get("channel_id") or "") for entry in found} - {""}
        if channel == ALL_CHANNELS or not ids:
            return found
        if len(ids) > 1:
            raise UsageError(
                "correct.several_channels",
                "{count} channels have the name {channel!r}.",
                hint="Give the id of one: {ids}.",
                count=len(ids),
                channel=channel,
                ids=", ".join(sorted(ids)),
            )
        known = {entry.item.id for entry in found}
        return found + [
            entry
            for entry in entries
            if entry.item.extra.get("channel_id") in ids and entry.item.id not in known
        ]


def _changes(entry: LibraryEntry, changes: tuple[TextChange, ...]) -> Iterator[Correction]:
    for change in changes:
        assert change.before is not None  # a correction only changes existing text
        yield Correction(
            entry.item.id, entry.item.title, change.segment, change.before.start_s,
            change.before.text, change.after.text if change.after else "",
        )  # fmt: skip
