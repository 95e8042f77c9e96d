"""Profiles of voices: made from named speakers, and the names that they suggest.

A profile is stored nowhere: it is the mean of the voices (`extras/<stem>/voices.json`) of the
speakers whom a person named, so that a name that is taken away takes its voice out of the profile.
Names that a profile gave are no part of it.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kb import storage
from kb.enrich import get_step
from kb.errors import LibraryError
from kb.library import Library, LibraryEntry
from kb.library.cache import library_cache
from kb.library.extras import VOICES, Extras
from kb.pipeline.publish_record import is_published
from kb.pipeline.speakers import STEP, names_of
from kb.storage import Fields
from kb.transcript.speaker_names import (
    CONFIRMED,
    KEY,
    VOICE,
    GivenName,
    Spans,
    SpeakerNames,
    names_record,
    read_names,
)
from kb.transcript.spoken_spans import SpokenSpans

_DELETED = "voices_deleted"  # key of `library.json`: a mark of the last deletion
SURE = 0.85  # cosine from which a voice is that of a profile

Vector = npt.NDArray[np.float32]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredVoice:
    """The voice of one speaker of an item, and the longest spans that it is from."""

    spans: Spans
    vector: Vector

    @property
    def seconds(self) -> float:
        return sum(end_s - start_s for start_s, end_s in self.spans)


@dataclass(frozen=True, slots=True)
class VoiceProfile:
    """The mean voice of a person. Its suggestions count once one of them was confirmed."""

    name: str
    vector: Vector
    items: tuple[str, ...]
    is_confirmed: bool


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The name that a profile suggests for an unnamed speaker of an item."""

    item_id: str
    spans: Spans
    name: str
    similarity: float
    counts: bool


def read(library: Library, entry: LibraryEntry) -> tuple[StoredVoice, ...]:
    """Return the voices of an item that profiles are made from; none of another model or medium.

    Raises LibraryError for a damaged document.
    """
    return read_file(Extras(library).path(entry.stem, VOICES), entry)


def read_file(path: Path, entry: LibraryEntry) -> tuple[StoredVoice, ...]:
    """As `read`, for an item of the trash, too."""
    stamp = _stamp(path)
    if not stamp:
        return ()
    return _read(path, stamp, entry.item.id, entry.sha256, get_step(STEP).model)


def spans_named(path: Path, entry: LibraryEntry, name: str) -> set[Spans]:
    """Return the spans of the stored voices that have a name, those of any model and medium.

    Raises LibraryError for damaged documents.
    """
    stamp = _stamp(path)
    if not stamp:
        return set()
    found = _read(path, stamp, entry.item.id, "", "")
    basis = storage.read_json(path).get("basis")
    sha256 = str(basis.get("sha256") or "") if isinstance(basis, dict) else ""
    names = read_names(entry.record, sha256 or entry.sha256, f"{entry.stem}.json")
    labels = label_voices(found, names)
    return {voice.spans for voice, label in zip(found, labels, strict=True) if label == name}


def _stamp(path: Path) -> int:
    """Return the time of change of a file in ns, 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=4096)
def _read(
    path: Path, _stamp: int, item_id: str, sha256: str, model: str
) -> tuple[StoredVoice, ...]:
    """Return the voices of a document, none of another item, medium or model; "" is any."""
    document = storage.read_json(path)
    fields = Fields(document, str(path), hint="Remove the file; it is made again on request.")
    if fields.text("model", "") != (model or fields.text("model", "")):
        return ()
    if fields.text("id", "") != item_id:
        return ()
    if sha256 and fields.inner("basis").text("sha256", "") != sha256:
        return ()
    found = []
    for row in fields.objects("voices", required=True):
        vector = np.asarray(row.numbers("vector"), np.float32)
        length = float(np.linalg.norm(vector)) if vector.size else 0.0
        if length:
            found.append(StoredVoice(row.spans("spans"), vector / np.float32(length)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Known:
    """The profiles of one library, and the files that they were made from."""

    entries: tuple[LibraryEntry, ...]
    stamps: tuple[int, ...]
    model: str
    profiles: Mapping[str, VoiceProfile]

    def is_of(self, entries: Sequence[LibraryEntry], stamps: Sequence[int], model: str) -> bool:
        # An entry is another object once its file has changed, see `library_cache`.
        same = len(entries) == len(self.entries) and self.model == model
        return (
            same
            and self.stamps == tuple(stamps)
            and all(one is other for one, other in zip(entries, self.entries, strict=True))
        )


_known: dict[Path, _Known] = {}


def profiles(library: Library) -> dict[str, VoiceProfile]:
    """Return the profiles of all persons whom a person named, by name. Raises LibraryError.

    They are computed again once a file that they are made from has changed: a page asks for them
    each time that it is drawn.
    """
    listed = library_cache(library.media_folder).listing().entries
    entries = tuple(entry for entry in listed if KEY in entry.record)
    extras, model = Extras(library), get_step(STEP).model
    stamps = tuple(_stamp(extras.path(entry.stem, VOICES)) for entry in entries)
    known = _known.get(library.home)
    if known is None or not known.is_of(entries, stamps, model):
        known = _Known(entries, stamps, model, _profiles(library, entries))
        _known[library.home] = known
    return dict(known.profiles)


def _profiles(library: Library, entries: Sequence[LibraryEntry]) -> dict[str, VoiceProfile]:
    sums: dict[str, list[tuple[float, Vector, str, bool]]] = {}
    for entry in entries:
        voices, names = _of(library, entry)
        for voice, given in zip(voices, _given(voices, names), strict=True):
            if given is not None and given.name and given.by != VOICE:
                sample = (voice.seconds, voice.vector, entry.item.id, given.by == CONFIRMED)
                sums.setdefault(given.name, []).append(sample)
    found = {}
    for name, samples in sums.items():
        size = max(len(vector) for _, vector, _, _ in samples)
        total = np.zeros(size, np.float32)
        for seconds, vector, _, _ in samples:
            if len(vector) == size:
                total += np.float32(seconds) * vector
        length = float(np.linalg.norm(total))
        if length:
            items = tuple(dict.fromkeys(item_id for _, _, item_id, _ in samples))
            is_confirmed = any(confirmed for _, _, _, confirmed in samples)
            found[name] = VoiceProfile(name, total / np.float32(length), items, is_confirmed)
    return found


def suggestions(
    library: Library, entry: LibraryEntry, known: Mapping[str, VoiceProfile]
) -> list[Suggestion]:
    """Return the suggested names of an item's unnamed speakers, at most one for each."""
    if not known:
        return []
    voices, names = _of(library, entry)
    refused = [set[str]() for _ in voices]
    spoken = _spoken(voices)
    for each in names.refused:
        for label in SpeakerNames(names=(each,)).resolve(spoken):
            refused[int(label)].add(each.name)
    found = []
    for number, (voice, given) in enumerate(zip(voices, _given(voices, names), strict=True)):
        if given is not None:
            continue
        scores = [
            (float(voice.vector @ profile.vector), name)
            for name, profile in known.items()
            if len(profile.vector) == len(voice.vector) and name not in refused[number]
        ]
        best, name = max(scores, default=(0.0, ""))
        if best >= SURE:
            counts = known[name].is_confirmed
            found.append(Suggestion(entry.item.id, voice.spans, name, round(best, 4), counts))
    return found


def name_known(
    library: Library,
    item_id: str,
    only: str = "",
    known: Mapping[str, VoiceProfile] | None = None,
    *,
    also_published: bool = True,
) -> tuple[str, ...]:
    """Give an item's unnamed speakers the names of confirmed profiles; return the names.

    `only` gives no other name. `known` are all profiles, if the caller has them: names that they
    gave do not change them. Without `also_published`, an item that a remote knowledge base has gets
    none. A damaged document gives none, and is logged.
    """
    try:
        known = profiles(library) if known is None else known
        with library.metadata_lock(item_id):
            entry = library.find(item_id)
            if entry is None or (not also_published and is_published(entry)):
                return ()
            found = [
                each
                for each in suggestions(library, entry, known)
                if each.counts and only in ("", each.name)
            ]
            if not found:
                return ()
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            added = tuple(GivenName(each.spans, each.name, by=VOICE, at=at) for each in found)
            names = names_of(entry)
            names = replace(names, sha256=entry.sha256, names=(*names.names, *added))
            library.amend(item_id, {KEY: names_record(names, entry.record.get(KEY))})
    except LibraryError as error:
        log.warning("%s: %s", item_id, error.message)
        return ()
    return tuple(dict.fromkeys(each.name for each in found))


def last_deletion(library: Library) -> str:
    """Return a mark of the last deletion of voices, empty if there was none."""
    return str(library.read_facts().get(_DELETED) or "")


def mark_deletion(library: Library) -> None:
    """Record that voices are deleted: a step that began before writes none."""
    library.write_facts({_DELETED: uuid.uuid4().hex})


def label_voices(voices: tuple[StoredVoice, ...], names: SpeakerNames) -> list[str]:
    """Return the name of each voice, however it was given; empty for one without."""
    return [given.name if given is not None else "" for given in _given(voices, names)]


def _of(library: Library, entry: LibraryEntry) -> tuple[tuple[StoredVoice, ...], SpeakerNames]:
    try:
        return read(library, entry), names_of(entry)
    except LibraryError as error:
        log.warning("%s: %s", entry.item.id, error.message)
        return (), SpeakerNames()


def _spoken(voices: tuple[StoredVoice, ...]) -> SpokenSpans:
    return SpokenSpans(
        (start_s, end_s, str(number))
        for number, voice in enumerate(voices)
        for start_s, end_s in voice.spans
    )


def _given(voices: tuple[StoredVoice, ...], names: SpeakerNames) -> list[GivenName | None]:
    """Return what is known of each voice; None for one that was not named or merged."""
    entries = names.resolve(_spoken(voices))
    return [entries.get(str(number)) for number in range(len(voices))]
