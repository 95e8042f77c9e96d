"""Names of speakers: who speaks in an item, and the acts that name, merge and reassign.

An act changes the item's metadata alone, and with it every view, export, hit and document of it.
What was published before is then marked as changed, and a worker sends it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kb.errors import UsageError
from kb.jobs.queue.client import JobQueue
from kb.library import Library, LibraryEntry, deep_link
from kb.library.extras import VOICES, Extras
from kb.pipeline import enrichment, voices
from kb.pipeline.speakers import names_of
from kb.pipeline.voices import Suggestion
from kb.service.items import Items
from kb.service.revisions import now, require_stretch
from kb.transcript.speaker_names import (
    CONFIRMED,
    HAND,
    KEY,
    GivenName,
    Part,
    SpeakerNames,
    label_of,
    longest_spans,
    names_record,
    shown_spans,
    with_names,
)
from kb.transcript.spoken_spans import SpokenSpans, spans_of
from kb.types import Transcript
from kb.types.safe_text import clean

LONGEST_NAME = 100
EXCERPTS = 3
_EXCERPT_S = 8.0
_LABEL = re.compile(r"(?:speaker[ _]?)(\d{1,3})", re.IGNORECASE)
_SHORT = re.compile(r"[sS]?(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch in which one speaker talks: what is said there, and the link to its sound."""

    start_s: float
    end_s: float
    text: str
    deep_link: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """One speaker as shown: by name, or by a label if `is_named` is False.

    `labels` are those that the name stands for; `share` is of all speaking time, 0..1. `suggested`
    is the name of the voice profile that an unnamed speaker is `similarity` (a cosine) like.
    """

    shown: str
    is_named: bool
    labels: tuple[str, ...]
    seconds: float
    share: float
    excerpts: tuple[Excerpt, ...]
    suggested: str = ""
    similarity: float | None = None


@dataclass
class SpeakerActs:
    """The speakers of one library's items.

    Methods raise UsageError for an unknown item or speaker, and LibraryError.
    """

    library: Library
    queue: JobQueue
    items: Items

    def of(self, item_id: str) -> list[Speaker]:
        """Return the speakers of an item, the one with the most speaking time first."""
        seen = self._seen(item_id)
        suggested = self._suggested(seen)
        return [
            replace(each, suggested=found.name, similarity=found.similarity)
            if (found := suggested.get(each.shown))
            else each
            for each in seen.speakers()
        ]

    def name(self, item_id: str, speaker: str, name: str) -> list[Speaker]:
        """Give a speaker a name, everywhere in the item; another one of that name is merged."""
        chosen = _checked(name)

        def change(seen: _Seen) -> SpeakerNames:
            shown = seen.find(speaker)
            if chosen == shown:
                return seen.names
            if _is_label(chosen) and chosen not in seen.order:
                raise UsageError(
                    "speakers.label",
                    "{name!r} is how a speaker without a name is shown.",
                    hint="Give a name. Two speakers are merged with: kb speakers ID --merge S2=S1",
                    name=chosen,
                )
            if chosen in seen.unnamed:
                return _merged(seen, shown, chosen)
            return _named(seen, shown, chosen)

        return self._change(item_id, change, name=chosen)

    def unname(self, item_id: str, speaker: str) -> list[Speaker]:
        """Take a speaker's name away; labels that were merged under it are apart again."""

        def change(seen: _Seen) -> SpeakerNames:
            shown = seen.find(speaker)
            kept = _without_labels(seen, seen.labels(shown))
            parts = tuple(part for part in kept.parts if part.name != shown)
            refused = () if shown in seen.unnamed else self._refusal(seen, shown, shown)
            return replace(kept, parts=parts, refused=(*kept.refused, *refused))

        return self._change(item_id, change, taken=speaker)

    def confirm(self, item_id: str, speaker: str) -> str:
        """Give a speaker the name that its voice suggests; return the name."""
        chosen: list[str] = []

        def change(seen: _Seen) -> SpeakerNames:
            shown, name = self._suggestion(seen, speaker)
            chosen.append(name)
            return _named(seen, shown, name, by=CONFIRMED)

        self._change(item_id, change, confirmed=speaker)
        return chosen[-1]

    def refuse(self, item_id: str, speaker: str) -> None:
        """Refuse the name that a speaker's voice suggests."""

        def change(seen: _Seen) -> SpeakerNames:
            shown, name = self._suggestion(seen, speaker)
            refused = (*seen.names.refused, *self._refusal(seen, shown, name))
            return replace(seen.names, refused=refused)

        self._change(item_id, change, refused=speaker)

    def _suggestion(self, seen: _Seen, speaker: str) -> tuple[str, str]:
        shown = seen.find(speaker)
        found = self._suggested(seen).get(shown)
        if found is None:
            raise UsageError(
                "speakers.no_suggestion",
                "No name is suggested for {speaker!r}.",
                hint="Give one: kb speakers {item_id} --name {speaker!r}=NAME",
                speaker=shown,
                item_id=seen.entry.item.id,
            )
        return shown, found.name

    def _suggested(self, seen: _Seen) -> dict[str, Suggestion]:
        """Return the suggestions for speakers without a name, by how they are shown."""
        if not self.items.settings.voice_profiles:
            return {}
        known = voices.profiles(self.library)
        found = {}
        for each in voices.suggestions(self.library, seen.entry, known):
            shown = seen.shown_of(label_of(each.spans, seen.spoken))
            if shown in seen.unnamed:
                found[shown] = each
        return found

    def _refusal(self, seen: _Seen, shown: str, name: str) -> tuple[GivenName, ...]:
        """Return the record that a name is not that of a speaker, if the item has voices."""
        if not Extras(self.library).path(seen.entry.stem, VOICES).exists():
            return ()
        labels = seen.labels(shown)
        return tuple(
            GivenName(longest_spans(seen.spoken, [label]), name, at=now()) for label in labels
        )

    def merge(self, item_id: str, speaker: str, into: str) -> list[Speaker]:
        """Make two speakers one, with the name or label of the second."""

        def change(seen: _Seen) -> SpeakerNames:
            shown, target = seen.find(speaker), seen.find(into)
            return seen.names if shown == target else _merged(seen, shown, target)

        return self._change(item_id, change, merged=speaker)

    def assign(self, item_id: str, start_s: float, end_s: float, speaker: str) -> list[Speaker]:
        """Give the words between two times to a speaker of the item, or to a new name.

        An empty `speaker` gives them back to the one who was found.
        """
        require_stretch(start_s, end_s)

        chosen = speaker.strip()

        def change(seen: _Seen) -> SpeakerNames:
            parts = [part for old in seen.names.parts for part in _outside(old, start_s, end_s)]
            if chosen:
                shown = seen.known(chosen)
                if shown is None and _is_label(chosen):
                    seen.find(chosen)  # raises: a label of no speaker here is no new name
                elif shown is None:
                    parts.append(Part(start_s, end_s, _checked(chosen)))
                elif shown in seen.unnamed:
                    like = longest_spans(seen.spoken, seen.labels(shown))
                    parts.append(Part(start_s, end_s, like=like))
                else:
                    parts.append(Part(start_s, end_s, shown))
            return replace(seen.names, parts=tuple(sorted(parts, key=lambda part: part.start_s)))

        return self._change(item_id, change, assigned=speaker)

    def _seen(self, item_id: str) -> _Seen:
        entry = self.items.entry(item_id)
        labelled = enrichment.read_with_results(self.library, entry, labels=True)
        return _Seen(entry, labelled, names_of(entry))

    def _change(
        self, item_id: str, change: Callable[[_Seen], SpeakerNames], **facts: str
    ) -> list[Speaker]:
        item_id = self.items.entry(item_id).item.id
        with self.library.metadata_lock(item_id):
            seen = self._seen(item_id)
            names = change(seen)
            if names != seen.names:
                names = replace(names, sha256=seen.entry.sha256)
                self.library.amend(item_id, {KEY: names_record(names, seen.entry.record.get(KEY))})
                self.queue.record("speakers", [item_id], **facts)
        return self.of(item_id)


class _Seen:
    """The speakers of an item at one moment."""

    def __init__(self, entry: LibraryEntry, labelled: Transcript, names: SpeakerNames) -> None:
        self.entry = entry
        self.names = names
        self.spoken = spans_of(labelled)
        self.transcript = with_names(labelled, names)
        self._shown = names.shown(self.spoken)
        self._spans: SpokenSpans = shown_spans(self.spoken, names)
        totals = self._spans.totals()
        self.order = sorted(totals, key=lambda shown: -totals[shown])
        self._totals = totals
        self.unnamed = {shown for shown in self.order if shown in self.spoken.totals()}

    def shown_of(self, label: str) -> str:
        """Return the name that a label is shown by; empty for an unknown one."""
        return self._shown.get(label, "")

    def labels(self, shown: str) -> tuple[str, ...]:
        """Return the labels that are shown by a name."""
        return tuple(label for label, name in self._shown.items() if name == shown)

    def known(self, text: str) -> str | None:
        """Return the speaker that a text stands for: its name or label, or a label's number."""
        wanted = text.strip().casefold()
        for shown in self.order:
            if wanted == shown.casefold():
                return shown
        for label, shown in self._shown.items():
            if wanted == label.casefold():
                return shown
        short = _SHORT.fullmatch(text.strip())
        if short is not None:
            for label, shown in self._shown.items():
                found = _LABEL.fullmatch(label)
                if found is not None and int(found[1]) == int(short[1]):
                    return shown
        return None

    def find(self, text: str) -> str:
        """As `known`; raises UsageError for an unknown speaker."""
        shown = self.known(text)
        if shown is not None:
            return shown
        if not self.order:
            raise UsageError(
                "speakers.none",
                "The speakers of {item_id} are not known yet.",
                hint="Find out who speaks: kb enrich {item_id} --steps speakers",
                item_id=self.entry.item.id,
            )
        raise UsageError(
            "speakers.unknown",
            "{item_id} has no speaker {speaker!r}.",
            hint="Its speakers: {known}.",
            item_id=self.entry.item.id,
            speaker=text,
            known=", ".join(self.order),
        )

    def speakers(self) -> list[Speaker]:
        """Return the speakers, the one with the most speaking time first."""
        total = sum(self._totals.values()) or 1.0
        return [
            Speaker(
                shown, shown not in self.unnamed, self.labels(shown), round(self._totals[shown], 2),
                round(self._totals[shown] / total, 4), self._excerpts(shown),
            )
            for shown in self.order
        ]  # fmt: skip

    def _excerpts(self, shown: str) -> tuple[Excerpt, ...]:
        """Return stretches in which one speaker talks, in order of time: the longest ones."""
        own = [(a, b) for a, b, label in self._spans.spans if label == shown]
        own.sort(key=lambda span: span[0] - span[1])
        found = []
        for start_s, end_s in sorted(own[:EXCERPTS]):
            end_s = min(end_s, start_s + _EXCERPT_S)
            text = " ".join(
                said.text
                for segment in self.transcript.segments
                for said in segment.words or (segment,)  # subtitles have no times of words
                if start_s <= (said.start_s + said.end_s) / 2 < end_s
            )
            link = deep_link(self.entry.item, start_s)
            found.append(Excerpt(round(start_s, 2), round(end_s, 2), text, link))
        return tuple(found)


def _named(seen: _Seen, shown: str, name: str, by: str = HAND) -> SpeakerNames:
    labels = seen.labels(shown)
    kept = _without_labels(seen, labels)
    added = [
        GivenName(longest_spans(seen.spoken, [label]), name, by=by, at=now()) for label in labels
    ]
    parts = tuple(replace(part, name=name) if part.name == shown else part for part in kept.parts)
    refused = tuple(
        each
        for each in kept.refused
        if each.name != name or label_of(each.spans, seen.spoken) not in labels
    )
    return replace(kept, names=(*kept.names, *added), parts=parts, refused=refused)


def _merged(seen: _Seen, shown: str, target: str) -> SpeakerNames:
    if target not in seen.unnamed:
        return _named(seen, shown, target)
    labels = seen.labels(shown)
    kept = _without_labels(seen, labels)
    like = longest_spans(seen.spoken, [target])
    added = [
        GivenName(longest_spans(seen.spoken, [label]), like=like, at=now()) for label in labels
    ]
    parts = tuple(
        replace(part, name="", like=like) if part.name == shown else part for part in kept.parts
    )
    return replace(kept, names=(*kept.names, *added), parts=parts)


def _without_labels(seen: _Seen, labels: Sequence[str]) -> SpeakerNames:
    """Return the names without those of these labels."""
    entries = seen.names.resolve(seen.spoken)
    gone = [entries[label] for label in labels if label in entries]
    # An entry that no label has any more, of a speaker who is lost, goes with its sound.
    kept = tuple(
        entry
        for entry in seen.names.names
        if entry not in gone and label_of(entry.spans, seen.spoken) not in labels
    )
    return replace(seen.names, names=kept)


def _outside(part: Part, start_s: float, end_s: float) -> list[Part]:
    """Return what is left of a part without what is between two times."""
    if part.end_s <= start_s or part.start_s >= end_s:
        return [part]
    left = []
    if part.start_s < start_s:
        left.append(replace(part, end_s=start_s))
    if part.end_s > end_s:
        left.append(replace(part, start_s=end_s))
    return left


def _is_label(text: str) -> bool:
    return bool(_LABEL.fullmatch(text) or _SHORT.fullmatch(text))


def _checked(name: str) -> str:
    """Return a name on one line. Raises UsageError for none and for one that is too long."""
    found = " ".join(clean(name).split())
    if not any(letter.isalnum() for letter in found):
        raise UsageError(
            "speakers.no_name",
            "{name!r} is no name.",
            hint='For example: kb speakers ID --name S1="Anna Weber"',
            name=name,
        )
    if len(found) > LONGEST_NAME:
        raise UsageError(
            "speakers.name_long",
            "The name has {length} characters; at most {most} are kept.",
            hint="Give a shorter one.",
            length=len(found),
            most=LONGEST_NAME,
        )
    return found
