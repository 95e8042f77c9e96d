"""The same sound again: an item's fingerprint, where else it is heard, and the words from there.

A worker makes the fingerprint before the words. Only stretches that match run by run hand their
words over, and only those of an item that was transcribed in the same way and is not held; all
other speech goes to the recognizer. The links are found when they are asked for, so that they hold
for what is in the library now.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kb import __version__
from kb.asr.known_words import KnownSpan, KnownWords
from kb.asr.stitching import keep_words
from kb.enrich import get_step
from kb.enrich.base import StepInput
from kb.enrich.sound.fingerprint import Fingerprint, fingerprint, from_document, to_document
from kb.enrich.sound.index import STEP, Found, Match, SoundIndex
from kb.enrich.sound.matching import Stretch
from kb.errors import LibraryError
from kb.inference.transcription_options import TranscriptionOptions
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.media.tracks import by_preference
from kb.pipeline import stages
from kb.settings import Settings
from kb.settings.repair import RepairSettings
from kb.types import Segment, Transcript

SOUND = STEP  # name of the step
WORDS_KEY = "words_key"  # of the metadata: hash of all that decides about the words
TAKEN = "taken"  # of the metadata: the items whose words were taken over
WHOLE_SHARE = 0.6  # of the shorter item: a re-upload, or a cut
LEAST_SHARED_S = 20.0  # less is an intro and no link
_DOUBTFUL_SHARE = 0.2
_LOOK_MOST_S = 1.0  # for which links wait for the index
_BESIDES = ("longest_pause_s", "prompt_tokens", "screen_names", "qwen_aligner", "sound_filters")

Kind = Literal["from", "again", "contains", "doubtful"]
_ORDER: tuple[Kind, ...] = ("from", "contains", "again", "doubtful")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SoundLink:
    """Another item with sound of this one.

    `kind`: this item is `from` the earlier one, that one has it `again`, this one `contains` parts
    of it, or the match is `doubtful`. `stretches` are those of this item, in seconds; `taken_s`
    seconds of its words are from there. A source that is `gone` has no stretches.
    """

    item_id: str
    title: str
    kind: Kind
    stretches: tuple[Stretch, ...] = ()
    taken_s: float = 0.0
    gone: bool = False

    @property
    def seconds(self) -> float:
        return sum(each.duration_s for each in self.stretches)

    def as_dict(self) -> dict[str, Any]:
        """Return the link as JSON values."""
        return {
            "id": self.item_id,
            "title": self.title,
            "kind": self.kind,
            "gone": self.gone,
            "taken_s": round(self.taken_s, 1),
            "seconds": round(self.seconds, 1),
            "stretches": [
                {
                    "start": round(each.start_s, 2),
                    "end": round(each.end_s, 2),
                    "there": round(each.other_s, 2),
                    "bit_error_rate": round(each.errors, 3),
                }
                for each in self.stretches
            ],
        }


@dataclass(frozen=True, slots=True)
class SoundLinks:
    """The links of an item; `left` fingerprints of the library were not compared yet."""

    links: tuple[SoundLink, ...] = ()
    left: int = 0

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the links as JSON values."""
        return [each.as_dict() for each in self.links]


def index_of(library: Library) -> SoundIndex:
    """Return the index of the library's fingerprints."""
    return SoundIndex(library.home, Extras(library).folder)


def add_fingerprint(
    library: Library, entry: LibraryEntry, path: Path, sha256: str, track: str,
    is_wanted: Callable[[], bool] = lambda: True,
) -> None:  # fmt: skip
    """Make and store the fingerprint of an item before its words; a current one is kept.

    `track` is that of the request: a number, or empty for the preferred one. Raises what
    `fingerprint` raises, and the errors of the library's fence.
    """
    from kb.media.probe import probe

    tracks = probe(path).tracks
    number: int | None = None
    if len(tracks) > 1:
        number = int(track) if track.isdecimal() else by_preference(tracks)[0].number
    basis = get_step(STEP).basis(StepInput(path, sha256, number))
    extras = Extras(library)
    try:
        found = extras.read(entry, STEP)
    except LibraryError:  # damaged
        found = None
    if found is not None and found.get("basis") == basis:
        return
    made = to_document(fingerprint(path, track=number, is_wanted=is_wanted))
    extras.write(entry, STEP, {"basis": basis, **made}, lambda: library.guard(entry.item.id))
    enter(library, entry)


def enter(library: Library, entry: LibraryEntry) -> None:
    """Enter a fingerprint that was written just now, so that the next query has it."""
    try:
        index_of(library).enter(entry.stem)
    except LibraryError as error:  # a later look at all documents finds it
        log.warning("%s: %s", entry.item.id, error.message)


def words_key(options: TranscriptionOptions, settings: Settings) -> str:
    """Return the hash of all options and settings that decide about the words of a transcript."""
    settings = options.settings or settings
    names = (*RepairSettings.model_fields, *_BESIDES)
    limits = asdict(options.speech_limits) if options.speech_limits else None
    values = {
        **{name: getattr(settings, name) for name in names if hasattr(settings, name)},
        "version": __version__,
        "hotwords": list(options.hotwords),
        "engine": options.engine,
        "model": options.model,
        "dtype": options.dtype,
        "language": options.language,
        "languages": list(options.languages),
        "detect_speech": options.detect_speech,
        "normalize": options.normalize,
        "temperature": options.temperature,
        "task": options.task,
        "limits": limits,
        "chunk_s": options.preset.chunk_s,
        "overlap_s": options.preset.overlap_s,
    }
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def known_words(
    library: Library,
    entry: LibraryEntry,
    options: TranscriptionOptions,
    settings: Settings,
    is_wanted: Callable[[], bool] = lambda: True,
) -> KnownWords | None:
    """Return the words that other items have for the sound of this one, None without any.

    An index that was lost is made again before. Raises LibraryError if it cannot be used, and
    Cancelled once `is_wanted` returns False.
    """
    if options.track == "all" or options.task != "transcribe":
        return None
    own = _fingerprint_of(library, entry)
    if own is None:
        return None
    key, spans = words_key(options, settings), list[KnownSpan]()
    for match in index_of(library).find(entry.item.id, own, is_wanted=is_wanted).matches:
        if kind_of(match, own.duration_s) in (None, "doubtful"):
            continue
        source = library.find(match.item_id)
        if source is None or not _hands_over(source, match, key):
            continue
        transcript = stages.read_transcript(library, source)
        if any(not segment.words for segment in transcript.segments):
            continue
        # Its words may be of another track than its fingerprint, or of all.
        if transcript.media.tracks != _tracks_of(library, source):
            continue
        for stretch in match.stretches:
            taken = any(s.start_s < stretch.end_s and stretch.start_s < s.end_s for s in spans)
            span = _span(transcript, match.item_id, stretch)
            if stretch.is_same and not taken and span.segments:
                spans.append(span)
    track = next(iter(_tracks_of(library, entry)), None)
    return KnownWords(tuple(spans), track) if spans else None


def _hands_over(source: LibraryEntry, match: Match, key: str) -> bool:
    """Return True for an item that is not held and was transcribed as this one will be."""
    return (
        source.state == "done"
        and source.transcript_path is not None
        and source.sha256 == match.sha256
        and source.transcribed.get(WORDS_KEY) == key
    )


def _span(transcript: Transcript, item_id: str, stretch: Stretch) -> KnownSpan:
    shift_s = stretch.start_s - stretch.other_s
    kept = keep_words(
        transcript.segments,
        from_s=stretch.other_s,
        before_s=stretch.other_s + stretch.duration_s,
    )
    moved = tuple(_moved(segment, shift_s, item_id) for segment in kept)
    return KnownSpan(stretch.start_s, stretch.end_s, moved, transcript.language)


def _moved(segment: Segment, shift_s: float, item_id: str) -> Segment:
    words = tuple(
        replace(
            word,
            start_s=round(max(0.0, word.start_s + shift_s), 3),
            end_s=round(max(0.0, word.end_s + shift_s), 3),
            speaker=None,
        )
        for word in segment.words
    )
    return replace(
        segment,
        start_s=words[0].start_s,
        end_s=max(word.end_s for word in words),
        words=words,
        speaker=None,
        taken_from=item_id,
    )


def facts_about(library: Library, transcript: Transcript, key: str) -> dict[str, Any]:
    """Return what the metadata record about the words of a new transcript."""
    seconds: dict[str, float] = {}
    for segment in transcript.segments:
        if segment.taken_from is not None:
            length_s = segment.end_s - segment.start_s
            seconds[segment.taken_from] = seconds.get(segment.taken_from, 0.0) + length_s
    taken = []
    for item_id, length_s in seconds.items():
        source = library.find(item_id)
        title = source.item.title if source is not None else ""
        taken.append({"id": item_id, "title": title, "seconds": round(length_s, 1)})
    return {WORDS_KEY: key, TAKEN: taken or None}


def links(library: Library, entry: LibraryEntry) -> SoundLinks:
    """Return the other items that have sound of this one, and those whose words it has.

    An index that was lost is made again for a moment only, so that no page waits for it. Raises
    LibraryError if fingerprint or index cannot be used.
    """
    own = _fingerprint_of(library, entry)
    taken = _taken(entry)
    found = []
    matched = Found(())
    if own is not None:
        matched = index_of(library).find(entry.item.id, own, most_s=_LOOK_MOST_S)
    for match in matched.matches:
        kind = kind_of(match, own.duration_s if own else 0.0)
        other = library.find(match.item_id) if kind else None
        if other is None or other.sha256 != match.sha256 or kind is None:
            continue
        if kind == "from" and match.item_id not in taken and _is_earlier(entry, other):
            kind = "again"
        _, taken_s = taken.pop(match.item_id, ("", 0.0))
        same = tuple(s for s in match.stretches if s.is_same or kind == "doubtful")
        found.append(SoundLink(match.item_id, other.item.title, kind, same, taken_s))
    for item_id, (title, taken_s) in taken.items():
        other = library.find(item_id)
        shown = other.item.title if other else title
        found.append(SoundLink(item_id, shown, "from", (), taken_s, gone=other is None))
    # What the words are from comes first.
    found.sort(key=lambda each: (-each.taken_s, _ORDER.index(each.kind), -each.seconds))
    return SoundLinks(tuple(found), matched.left)


def kind_of(match: Match, own_s: float) -> Kind | None:
    """Return the kind of a match for a medium of this length, None if it is no link."""
    same_s = match.same_s
    if same_s >= WHOLE_SHARE * own_s > 0:
        return "from"
    if same_s >= WHOLE_SHARE * match.duration_s > 0 or same_s >= LEAST_SHARED_S:
        return "contains"
    shorter_s = min(own_s, match.duration_s)
    if same_s + match.doubtful_s >= max(_DOUBTFUL_SHARE * shorter_s, 5.0) and match.doubtful_s:
        return "doubtful"
    return None


def _is_earlier(entry: LibraryEntry, other: LibraryEntry) -> bool:
    """Return True if an item was transcribed before the other one.

    An item that has words of the other is the later one, whatever the clock said meanwhile.
    """
    has_theirs, has_own = other.item.id in _taken(entry), entry.item.id in _taken(other)
    if has_theirs != has_own:
        return has_own
    own, theirs = str(entry.transcribed.get("at", "")), str(other.transcribed.get("at", ""))
    return bool(own) and (not theirs or (own, entry.item.id) < (theirs, other.item.id))


def _taken(entry: LibraryEntry) -> dict[str, tuple[str, float]]:
    """Return title and seconds of the items whose words an item has, by id."""
    rows = entry.transcribed.get(TAKEN)
    found: dict[str, tuple[str, float]] = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("id"), str):
            seconds = row.get("seconds")
            length_s = float(seconds) if isinstance(seconds, int | float) else 0.0
            found[row["id"]] = (str(row.get("title", "")), length_s)
    return found


def _tracks_of(library: Library, entry: LibraryEntry) -> tuple[int, ...]:
    """Return the number of the track that an item's fingerprint is of; empty for the only one.

    It has the form of a transcript's `media.tracks`. Raises LibraryError for a damaged document.
    """
    basis = (Extras(library).read(entry, STEP) or {}).get("basis")
    track = basis.get("track") if isinstance(basis, dict) else None
    return (track,) if isinstance(track, int) else ()


def _fingerprint_of(library: Library, entry: LibraryEntry) -> Fingerprint | None:
    """Return the fingerprint of an item's present medium. Raises LibraryError for a damaged one."""
    document = Extras(library).read(entry, STEP)
    basis = (document or {}).get("basis")
    if document is None or not isinstance(basis, dict):
        return None
    return from_document(document) if basis.get("sha256") == entry.sha256 else None
