"""Names of an item's speakers, as a person gave them, and how a transcript gets them.

In the item's metadata, under `speakers`:

    {"sha256": of the medium,
     "names": [{"name": "Anna", "by": "hand", "at": "2026-…", "spans": [[12.3, 45.6], …]},
               {"like": [[50.1, 61.0], …], "spans": […]}],
     "parts": [{"start": 65.0, "end": 80.0, "name": "Ben"} or {…, "like": […]}],
     "refused": [{"name": "Carl", "spans": […]}]}

A name belongs to the sound of its spans, the longest that its speaker had then, and not to a label.
So it survives another transcription and other labels: a label has the name with whose spans it
shares the most time, if that is a quarter of them. `like` stands for the speaker of other spans
(two labels of one person, merged before they have a name). `parts` are stretches of time that are
of another speaker than found. `refused` names are not suggested again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kb.storage import Fields
from kb.transcript.spoken_spans import SpokenSpans, longest, spans_of
from kb.types import Segment, Transcript, Word

_EARLIER = "earlier"  # key of the names of other media
KEY = "speakers"  # of the item's metadata
HAND, CONFIRMED, VOICE = "hand", "confirmed", "voice"  # where a name is from
MOST_SPANS = 20
LEAST_SHARE = 0.25  # of the spans of a name, for a label to have it

Span = tuple[float, float]
Spans = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class GivenName:
    """The name of the speaker of `spans`, or the speaker of other spans (`like`)."""

    spans: Spans
    name: str = ""
    like: Spans = ()
    by: str = HAND
    at: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of time, and its speaker: by name, or that of other spans."""

    start_s: float
    end_s: float
    name: str = ""
    like: Spans = ()


@dataclass(frozen=True, slots=True)
class SpeakerNames:
    """The names of one item; all of them are of one medium."""

    sha256: str = ""
    names: tuple[GivenName, ...] = ()
    parts: tuple[Part, ...] = ()
    refused: tuple[GivenName, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.parts or self.refused)

    @property
    def spoken(self) -> tuple[str, ...]:
        """The names, each once, in the order of their first span."""
        found = [(each.spans[0][0], each.name) for each in self.names if each.name and each.spans]
        found += [(each.start_s, each.name) for each in self.parts if each.name]
        return tuple(dict.fromkeys(name for _, name in sorted(found)))

    def record(self) -> dict[str, Any] | None:
        """Return the names as JSON values for the item's metadata, None without any."""
        if not self:
            return None
        lists = {
            "names": [_name_record(each) for each in self.names],
            "parts": [_part_record(each) for each in self.parts],
            "refused": [_name_record(each) for each in self.refused],
        }
        return {"sha256": self.sha256, **{key: rows for key, rows in lists.items() if rows}}

    def resolve(self, spoken: SpokenSpans) -> dict[str, GivenName]:
        """Return what is known of each label: the entry that shares the most time with it."""
        best: dict[str, tuple[float, GivenName]] = {}
        for entry in self.names:
            for label, seconds in _shared(entry.spans, spoken).items():
                if label not in best or seconds > best[label][0]:
                    best[label] = (seconds, entry)
        return {label: entry for label, (_, entry) in best.items()}

    def shown(self, spoken: SpokenSpans) -> dict[str, str]:
        """Return the name that each label is shown by; a label without one by itself."""
        entries = self.resolve(spoken)
        found = {}
        for label in spoken.totals():
            at, passed = label, {label}
            while (entry := entries.get(at)) is not None and not entry.name:
                following = label_of(entry.like, spoken)
                if not following or following in passed:
                    break
                at = following
                passed.add(at)
            entry = entries.get(at)
            found[label] = entry.name if entry is not None and entry.name else at
        return found


def read_names(record: Mapping[str, Any], sha256: str, source: str) -> SpeakerNames:
    """Return the names in an item's metadata; none for those of another medium.

    `source` names the metadata in errors. Raises LibraryError for a damaged entry.
    """
    found = record.get(KEY)
    if not isinstance(found, Mapping):
        return SpeakerNames(sha256)
    hint = "Repair or remove the key speakers there."
    fields = Fields(found, source, hint=hint)
    given_for = fields.text("sha256", "")
    if given_for and sha256 and given_for != sha256:
        own = [row for row in _earlier(found) if row.get("sha256") == sha256]
        if not own:
            return SpeakerNames(sha256)
        fields, given_for = Fields(own[-1], source, hint=hint), sha256
    return SpeakerNames(
        given_for or sha256,
        tuple(_name_of(row) for row in fields.objects("names")),
        tuple(
            Part(row.number("start"), row.number("end"), row.text("name", ""), row.spans("like"))
            for row in fields.objects("parts")
        ),
        tuple(_name_of(row) for row in fields.objects("refused")),
    )


def names_record(names: SpeakerNames, before: object) -> dict[str, Any] | None:
    """Return names as JSON values for the item's metadata, which had `before`.

    The names of other media of the item stay: its earlier version may come back.
    """
    known = before if isinstance(before, Mapping) else {}
    now = {key: value for key, value in known.items() if key != _EARLIER}
    others = [
        dict(row)
        for row in (*_earlier(known), now)
        if row.get("sha256") not in (None, "", names.sha256) and len(row) > 1
    ]
    own = names.record()
    if not others:
        return own
    return {**(own or {"sha256": names.sha256}), _EARLIER: others}


def _earlier(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = found.get(_EARLIER)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def with_names(transcript: Transcript, names: SpeakerNames) -> Transcript:
    """Return the transcript with the names of its speakers in the place of their labels."""
    if not names.names and not names.parts:
        return transcript
    spoken = spans_of(transcript)
    shown = names.shown(spoken)
    parts = [
        (part.start_s, part.end_s, part.name or _shown_like(part.like, spoken, shown))
        for part in names.parts
    ]
    segments = tuple(_named(segment, shown, parts) for segment in transcript.segments)
    return replace(transcript, segments=segments)


def shown_spans(spoken: SpokenSpans, names: SpeakerNames) -> SpokenSpans:
    """Return spans under the names that they are shown by, without the parts of others."""
    if not names.names and not names.parts:
        return spoken
    shown = names.shown(spoken)
    spans = [(start_s, end_s, shown[label]) for start_s, end_s, label in spoken.spans]
    for part in names.parts:
        name = part.name or _shown_like(part.like, spoken, shown)
        if name:
            spans = _without(spans, part.start_s, part.end_s)
            spans.append((part.start_s, part.end_s, name))
    return SpokenSpans(spans)


def label_of(spans: Spans, spoken: SpokenSpans) -> str:
    """Return the label with the most time in these spans, empty without any."""
    shared = _shared(spans, spoken, least=0.0)
    return longest(shared) if shared else ""


def longest_spans(spoken: SpokenSpans, labels: Sequence[str]) -> Spans:
    """Return the longest spans of these labels, at most `MOST_SPANS`, in order of time."""
    own = [(start_s, end_s) for start_s, end_s, label in spoken.spans if label in labels]
    own.sort(key=lambda span: span[0] - span[1])
    return tuple(sorted((round(a, 2), round(b, 2)) for a, b in own[:MOST_SPANS]))


def _shared(spans: Spans, spoken: SpokenSpans, least: float = LEAST_SHARE) -> dict[str, float]:
    """Return the seconds that each label shares with spans, if that is enough of them."""
    total = sum(end_s - start_s for start_s, end_s in spans)
    shared: dict[str, float] = {}
    for start_s, end_s in spans:
        for label, seconds in spoken.seconds(start_s, end_s).items():
            shared[label] = shared.get(label, 0.0) + seconds
    return {label: seconds for label, seconds in shared.items() if seconds >= least * total}


def _shown_like(spans: Spans, spoken: SpokenSpans, shown: Mapping[str, str]) -> str:
    return shown.get(label_of(spans, spoken), "")


def _named(
    segment: Segment, shown: Mapping[str, str], parts: Sequence[tuple[float, float, str]]
) -> Segment:
    def name(start_s: float, end_s: float, label: str | None) -> str | None:
        middle = (start_s + end_s) / 2
        for begin, until, part in parts:
            if part and begin <= middle < until:
                return part
        return shown.get(label, label) if label else label

    if not any(part[0] < segment.end_s and part[1] > segment.start_s for part in parts):
        if segment.speaker is None:
            return segment
        words = tuple(_spoken_by(w, shown.get(w.speaker or "", w.speaker)) for w in segment.words)
        return replace(segment, words=words, speaker=shown.get(segment.speaker, segment.speaker))
    words = tuple(
        _spoken_by(word, name(word.start_s, word.end_s, word.speaker or segment.speaker))
        for word in segment.words
    )
    seconds: dict[str, float] = {}
    for word in words:
        if word.speaker:
            spoken = max(0.01, word.end_s - word.start_s)
            seconds[word.speaker] = seconds.get(word.speaker, 0.0) + spoken
    if seconds:
        return replace(segment, words=words, speaker=longest(seconds))
    return replace(segment, speaker=name(segment.start_s, segment.end_s, segment.speaker))


def _spoken_by(word: Word, speaker: str | None) -> Word:
    return word if word.speaker == speaker else replace(word, speaker=speaker)


def _without(
    spans: Sequence[tuple[float, float, str]], start_s: float, end_s: float
) -> list[tuple[float, float, str]]:
    """Return spans without what is between two times."""
    left = []
    for begin, until, label in spans:
        if until <= start_s or begin >= end_s:
            left.append((begin, until, label))
            continue
        if begin < start_s:
            left.append((begin, start_s, label))
        if until > end_s:
            left.append((end_s, until, label))
    return left


def _name_record(entry: GivenName) -> dict[str, Any]:
    fields = {"name": entry.name, "by": entry.by if entry.name else "", "at": entry.at}
    known = {key: value for key, value in fields.items() if value}
    like = {"like": [list(span) for span in entry.like]} if entry.like else {}
    return {**known, **like, "spans": [list(span) for span in entry.spans]}


def _part_record(part: Part) -> dict[str, Any]:
    who = {"name": part.name} if part.name else {"like": [list(span) for span in part.like]}
    return {"start": part.start_s, "end": part.end_s, **who}


def _name_of(row: Fields) -> GivenName:
    return GivenName(
        row.spans("spans"), row.text("name", ""), row.spans("like"),
        row.text("by", HAND), row.text("at", ""),
    )  # fmt: skip
