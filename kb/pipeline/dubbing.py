"""Dubs: a transcript in another language, spoken over the sound of its medium."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from kb import __version__, storage
from kb.errors import KBError, UsageError
from kb.library.products import product_name
from kb.media import shown
from kb.media.pcm import Pcm
from kb.media.probe import probe
from kb.settings import Settings
from kb.transcript.chunks import join
from kb.transcript.chunks import pieces as pieces_of
from kb.transcript.cleaning import cleaned_transcript
from kb.transcript.formats import json_document
from kb.transcript.time_order import in_time_order
from kb.tts.base import Engine, Speaker
from kb.tts.reading import pieces, readable
from kb.tts.speech import choose_voice, script_notes
from kb.types import Segment, Transcript
from kb.video.captioned import FILM_SUFFIXES, sound_track
from kb.video.dub_fitting import Fitted, Line, lay_out, ordered
from kb.video.dub_mix import SOUND_CODECS, add_sound, mix, write_sound

__all__ = ["FILM_SUFFIXES", "SOUND_CODECS", "Dub", "DubReport", "add_sound", "write_sound"]

DUB_VERSION = 1  # goes up when a dub of the same inputs sounds different
# Work for a second that is spoken, in that of the mix for a second of the medium, by engine: for
# the share that is done. espeak-ng: measured 0.06; others are assumed to take as long as the mix.
_SPEAKING_S = {"espeak": 0.06}
_MOST_REPORTED = 20
_PAUSE_S = 0.7  # within a segment, behind which its next words begin in their time


@dataclass(frozen=True, slots=True)
class Dub:
    """A dub that a user asks for: its language, a voice for all or voices by speaker."""

    language: str
    voice: str = ""
    voices: Mapping[str, str] = field(default_factory=dict)
    threads: int = 0


@dataclass(frozen=True, slots=True)
class DubReport:
    """The fit of a dub: lines, those that were made faster or cut, remarks."""

    lines: int
    faster: int
    cut: int
    notes: tuple[KBError, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """The voices of a dub, by speaker (empty for words without one), as `engine:voice`."""

    engines: Mapping[str, Engine]
    voices: Mapping[str, str]
    notes: tuple[KBError, ...] = ()

    def versions(self) -> list[str]:
        """Return what the sound of each voice depends on."""
        return [
            f"{voice} {self.engines[name].version(own)}"
            for voice in sorted(set(self.voices.values()))
            for name, _, own in [voice.partition(":")]
        ]


def cast(settings: Settings, transcript: Transcript, dub: Dub) -> Cast:
    """Return a voice for each speaker, in the order in which they speak.

    Raises as `kb.tts.speech.choose_voice` does, and UsageError for voices of speakers that are not
    in the transcript and for text that a voice cannot read.
    """
    speakers = list(dict.fromkeys(segment.speaker or "" for segment in transcript.segments))
    unknown = [name for name in dub.voices if name not in speakers]
    if unknown:
        raise UsageError(
            "dub.unknown_speaker",
            "{name!r} does not speak in this transcript.",
            hint="Speakers: {known}",
            name=unknown[0],
            known=", ".join(filter(None, speakers)) or "none are known",
        )
    engine, first = choose_voice(settings, dub.language, dub.voice)
    engines, voices = {engine.name: engine}, {}
    others = [each for each in engine.choices(dub.language) if each != first]
    distinct = [first] if ":" in dub.voice else [first, *others]
    used = 0
    for speaker in speakers:
        if named := dub.voices.get(speaker):
            own, voice = choose_voice(settings, dub.language, named)
            engines[own.name] = own
            voices[speaker] = f"{own.name}:{voice}"
        else:
            voices[speaker] = f"{engine.name}:{distinct[used % len(distinct)]}"
            used += 1
    notes: tuple[KBError, ...] = ()
    if used > len(distinct):
        notes = (
            KBError(
                "note.dub_voices",
                "{speakers} speakers share {voices:voice|voices}.",
                hint="Give a voice to a speaker: --voice NAME=ENGINE:VOICE (kb speak --voices)",
                speakers=used,
                voices=len(distinct),
            ),
        )
    for voice in dict.fromkeys(voices.values()):
        text = " ".join(s.text for s in transcript.segments if voices[s.speaker or ""] == voice)
        name, _, own_name = voice.partition(":")
        languages = engines[name].languages_of(own_name) or (dub.language,)
        notes += script_notes(text, languages, voice)
    return Cast(engines, voices, notes)


def made_from(transcript: Transcript, dub: Dub, played: Cast, medium_sha256: str) -> str:
    """Return the name of the sound of a dub: the hash of inputs, options and versions."""
    return product_name(
        {
            "medium": medium_sha256,
            "words": json_document.to_document(transcript),
            "language": dub.language,
            "voices": dict(played.voices),
            "engines": played.versions(),
            "versions": [DUB_VERSION, __version__, imageio_ffmpeg.get_ffmpeg_version()],
        }
    )


def make_sound(
    medium: Path,
    transcript: Transcript,
    dub: Dub,
    played: Cast,
    draft: Path,
    *,
    target: Path,
    progress: Callable[[float], None] = lambda _: None,
) -> DubReport:
    """Write the sound of a dub to `draft`, an `.m4a`. Errors name `target`.

    Raises UsageError for a transcript without words, MediaUnavailable, LibraryError for a full
    disk, the errors of the engine and what `progress` raises.
    """
    found = probe(medium)
    transcript = in_time_order(cleaned_transcript(transcript))
    lines = ordered(
        [
            Line(start_s, end_s, said, played.voices[segment.speaker or ""])
            for segment in transcript.segments
            for start_s, end_s, text in _parts(segment)
            if (said := readable(text, dub.language))
        ]
    )
    if not lines:
        raise UsageError(
            "dub.no_words",
            "The transcript has no words: there is nothing to speak.",
            hint="Look at it, or give another one with --transcript T.",
        )
    length_s = found.duration_s or lines[-1].end_s
    late = [line for line in lines if line.start_s >= length_s]
    if late:
        raise UsageError(
            "dub.outside",
            "{name} ends at {length:.1f} s, and a line begins at {start:.1f} s.",
            hint="Is it the transcript of this medium?",
            name=shown(medium.name),
            length=length_s,
            start=late[0].start_s,
        )
    spoken_s = sum(
        (line.end_s - line.start_s) * _SPEAKING_S.get(line.voice.partition(":")[0], 1.0)
        for line in lines
    )
    speaking = spoken_s / (spoken_s + length_s)
    with storage.scratch_folder(draft.parent) as folder, _Voices(played) as voices:
        track = folder / "voice.raw"
        try:
            fitted = lay_out(
                lines, length_s, voices.say, track, lambda share: progress(share * speaking)
            )
        except OSError as error:
            raise storage.file_error(error, target) from error
        mix(
            found, sound_track(found, transcript), track, dub.language, draft, target=target,
            length_s=length_s, threads=dub.threads,
            progress=lambda share: progress(speaking + share * (1 - speaking)),
        )  # fmt: skip
    silent = sum(not segment.text.strip() for segment in transcript.segments)
    return _report(fitted, played, silent)


def _parts(segment: Segment) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and text of what a segment says without a pause.

    Where its words have no times, that is all of it.
    """
    if not segment.words:
        yield segment.start_s, segment.end_s, segment.text
        return
    said = pieces_of(segment)
    first = 0
    for at in range(1, len(said) + 1):
        if at == len(said) or said[at].start_s - said[at - 1].end_s >= _PAUSE_S:
            start_s = segment.start_s if not first else said[first].start_s
            yield start_s, said[at - 1].end_s, join(said[first:at])
            first = at


class _Voices(ExitStack):
    """The engines of a dub; each is started with its first line."""

    def __init__(self, played: Cast) -> None:
        super().__init__()
        self._played = played
        self._speakers: dict[str, Speaker] = {}

    def say(self, text: str, voice: str, speed: float) -> Pcm:
        name, _, own = voice.partition(":")
        engine = self._played.engines[name]
        if name not in self._speakers:
            self._speakers[name] = speaker = engine.open()
            self.callback(speaker.close)
        slowest, fastest = engine.speeds
        speed = min(fastest, max(slowest, speed))
        parts = [self._speakers[name].say(piece, own, speed) for piece in pieces(text)]
        if len(parts) == 1:
            return parts[0]
        return Pcm(parts[0].rate_hz, np.concatenate([part.samples for part in parts]))


def _report(fitted: tuple[Fitted, ...], played: Cast, silent: int) -> DubReport:
    cut = [each for each in fitted if each.cut_s > 0]
    notes = played.notes
    if silent:
        notes += (
            KBError(
                "note.dub_untranslated",
                "Without a translation, and therefore not spoken: {count:segment|segments}.",
                hint="Complete the translation, then dub again.",
                count=silent,
            ),
        )
    notes += tuple(
        KBError(
            "note.dub_too_long",
            "The line at {start:.1f} s is too long for its time: {seconds:.1f} s are cut off: "
            "{text}",
            hint="Shorten it in the translation, then dub again.",
            start=each.line.start_s,
            seconds=each.cut_s,
            text=shown(each.line.text[:80]),
        )
        for each in cut[:_MOST_REPORTED]
    )
    if len(cut) > _MOST_REPORTED:
        notes += (
            KBError(
                "note.dub_more_too_long",
                "{number:more line is|more lines are} too long.",
                hint="Shorten them in the translation, then dub again.",
                number=len(cut) - _MOST_REPORTED,
            ),
        )
    faster = sum(each.speed > 1 or each.tempo > 1 for each in fitted)
    return DubReport(len(fitted), faster, len(cut), notes)


def with_speakers_of(transcript: Transcript, original: Transcript) -> Transcript:
    """Return a translation with the speakers of its original, by time, where it names none."""
    spoken = [each for each in original.segments if each.speaker]
    if not spoken or any(each.speaker for each in transcript.segments):
        return transcript

    def overlap(start_s: float, end_s: float, at: int) -> float:
        return min(end_s, spoken[at].end_s) - max(start_s, spoken[at].start_s)

    segments, first = [], 0
    for segment in transcript.segments:
        while first + 1 < len(spoken) and spoken[first].end_s <= segment.start_s:
            first += 1
        near = range(first, min(first + 50, len(spoken)))
        best = max(near, key=lambda at: overlap(segment.start_s, segment.end_s, at))
        is_same = overlap(segment.start_s, segment.end_s, best) > 0
        segments.append(replace(segment, speaker=spoken[best].speaker if is_same else None))
    return replace(transcript, segments=tuple(segments))
