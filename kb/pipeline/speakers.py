"""The speakers of an item: its labels, and the names that a person gave."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from kb.enrich.speakers.labels import turns_of
from kb.errors import LibraryError
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.pipeline import stages
from kb.transcript.speaker_names import SpeakerNames, read_names, shown_spans, with_names
from kb.transcript.spoken_spans import SpokenSpans, longest, spans_of
from kb.types import IMPORTED, Transcript

STEP = "speakers"
_LEAST_S = 1.0  # of a speaker in a passage: less may be the end of what was said before
_MOMENT_S = 0.5  # behind a second, within which its speaker is looked for

log = logging.getLogger(__name__)


def named_speakers(entry: LibraryEntry, transcript: Transcript) -> Transcript:
    """Return a transcript with the names that a person gave for its labels.

    Damaged names are logged.
    """
    try:
        return with_names(transcript, names_of(entry))
    except LibraryError as error:
        log.warning("%s: %s", entry.item.id, error.message)
        return transcript


def names_of(entry: LibraryEntry) -> SpeakerNames:
    """Return the names of an item's speakers. Raises LibraryError for damaged ones."""
    return read_names(entry.record, entry.sha256, f"{entry.stem}.json")


def named(library: Library, entry: LibraryEntry) -> tuple[str, ...]:
    """Return the names that a person gave to an item's speakers; none of damaged metadata.

    A name whose speaker was not found again, as another number of speakers was, is left out.
    """
    try:
        names = names_of(entry)
        spoken = _spoken(library, entry) if names.spoken else SpokenSpans(())
        if not spoken.spans:
            return names.spoken
        shown = {label for _, _, label in shown_spans(spoken, names).spans}
        return tuple(name for name in names.spoken if name in shown)
    except LibraryError as error:
        log.warning("%s: %s", entry.item.id, error.message)
        return ()


def speakers_at(library: Library, entry: LibraryEntry, seconds: Sequence[float]) -> tuple[str, ...]:
    """Return who speaks at each of these seconds, by name or label; empty if it is not known.

    It reads the result of the step and not the transcript, unless that names its speakers itself.
    """
    try:
        spoken = shown_spans(_spoken(library, entry), names_of(entry))
    except LibraryError as error:
        log.warning("%s: %s", entry.item.id, error.message)
        return ("",) * len(seconds)
    found = []
    for at_s in seconds:
        near = spoken.seconds(at_s, at_s + _MOMENT_S)
        found.append(longest(near) if near else "")
    return tuple(found)


def names_in(
    library: Library, entry: LibraryEntry, spans: Sequence[tuple[float, float]]
) -> tuple[tuple[str, ...], ...]:
    """Return the named speakers of each of these spans, in order of their first words there.

    Speakers without a name are left out, and so are damaged results, which are logged.
    """
    try:
        names = names_of(entry)
        known = set(names.spoken)
        spoken = shown_spans(_spoken(library, entry), names) if known else SpokenSpans(())
    except LibraryError as error:
        log.warning("%s: %s", entry.item.id, error.message)
        return ((),) * len(spans)
    found = []
    for start_s, end_s in spans:
        least = min(_LEAST_S, (end_s - start_s) / 2)
        own = spoken.seconds(start_s, end_s).items()
        found.append(tuple(name for name, seconds in own if name in known and seconds >= least))
    return tuple(found)


def _spoken(library: Library, entry: LibraryEntry) -> SpokenSpans:
    document = Extras(library).read(entry, STEP)
    basis = document.get("basis") if document else None
    if isinstance(basis, dict) and basis.get("sha256") == entry.sha256:
        assert document is not None
        return SpokenSpans(turns_of(document))
    if entry.transcribed.get("engine") == IMPORTED:
        return spans_of(stages.read_transcript(library, entry))
    return SpokenSpans(())
