"""Choice of the sound track, and what a transcript says about the sound that it was made from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from kb.asr.coverage import add_lost
from kb.asr.quality.expected_errors import with_expected_errors
from kb.errors import MediaUnavailable
from kb.media.decode import AudioStream, decode
from kb.media.loudness import LevelMeter
from kb.media.tracks import Track, by_preference
from kb.types import Coverage, SpeechSpan, Transcript

QUIET_DB = -55  # peak; words of quieter speech are not detected reliably
_SILENT_DB = -60  # peak of a track in which nothing is said


def transcribe_tracks(
    path: Path,
    track: str,
    read: Callable[[AudioStream], Transcript],
    *,
    normalize: bool,
    filters: Sequence[str] = (),
    longest_s: float = math.inf,
) -> Transcript:
    """Return the transcript of a medium's sound, with remarks about the sound.

    `track` is a number, `all` or empty; `read` transcribes one stream. Each of all tracks is read
    by itself, and their segments are put in order of time: two speakers may speak at once. Without
    a named track the next one is tried where one has no speech or cannot be decoded, and tracks
    with sound that are left out are named in a warning. Raises what `decode` and `read` raise.
    """

    def read_track(number: int | None) -> Transcript:
        with decode(
            path, normalize=normalize, filters=filters, track=number, longest_s=longest_s
        ) as stream:
            return _with_remarks(read(stream), stream, normalize)

    every = decode(path).probe.tracks
    if track == "all":
        return _merged([read_track(each.number) for each in every])
    if track or len(every) == 1:
        return read_track(int(track) if track else None)
    first: Transcript | None = None
    error: MediaUnavailable | None = None
    silent: list[Track] = []
    order = by_preference(every)
    for place, candidate in enumerate(order):
        try:
            found = read_track(candidate.number)
        except MediaUnavailable as problem:
            if problem.code != "media.not_decodable":
                raise
            error = error or problem
        else:
            if found.segments:
                rest = [each for each in order[place + 1 :] if _has_sound(path, each)]
                remarks = _track_remarks(candidate, silent, rest)
                return replace(found, warnings=(*found.warnings, *remarks))
            first = first or found
        silent.append(candidate)
    if first is None:
        assert error is not None
        raise error
    return first


def _merged(found: Sequence[Transcript]) -> Transcript:
    """Return one transcript of several tracks of a medium."""
    spoken = [each for each in found if each.segments] or list(found[:1])
    first = spoken[0]
    coverages = [each.coverage for each in found]
    warnings = {w: None for each in found for w in each.warnings if each in spoken}
    merged = replace(
        first,
        media=replace(
            first.media,
            duration_s=max(each.media.duration_s for each in found),
            tracks=tuple(number for each in found for number in each.media.tracks),
        ),
        segments=tuple(
            sorted((s for each in found for s in each.segments), key=lambda s: s.start_s)
        ),
        coverage=Coverage(
            speech_s=round(sum(each.speech_s for each in coverages), 3),
            covered_s=round(sum(each.covered_s for each in coverages), 3),
            gaps=_in_order(gap for each in coverages for gap in each.gaps),
            repaired=sum(each.repaired for each in coverages),
            suspect_s=round(sum(each.suspect_s for each in coverages), 3),
            lost=_in_order({span for each in coverages for span in each.lost}),
        ),
        windows=tuple(sorted((w for each in found for w in each.windows), key=lambda w: w.start_s)),
        warnings=tuple(warnings),
        truncated=any(each.truncated for each in found),
    )
    # Without figures of one track (a translation) there are none of all.
    measured = any(each.expected_errors is not None for each in spoken)
    return with_expected_errors(merged) if measured else merged


def _in_order(spans: Iterable[SpeechSpan]) -> tuple[SpeechSpan, ...]:
    return tuple(sorted(spans, key=lambda span: (span.start_s, span.end_s)))


def _with_remarks(found: Transcript, stream: AudioStream, normalize: bool) -> Transcript:
    """Return the transcript with the stream's warnings, losses and tracks."""
    quiet = []
    if stream.peak_db is not None and stream.peak_db < QUIET_DB:
        mend = "" if normalize else " KB_NORMALIZE_LOUDNESS=1 makes it louder."
        quiet = [
            f"The recording is very quiet (peak {stream.peak_db} dBFS): words may be missing.{mend}"
        ]
    several = len(stream.probe.tracks) > 1
    return replace(
        found,
        media=replace(found.media, tracks=(stream.track.number,) if several else ()),
        coverage=add_lost(
            found.coverage, (SpeechSpan(loss.start_s, loss.end_s) for loss in stream.losses)
        ),
        warnings=(*stream.warnings, *found.warnings, *quiet),
        truncated=stream.truncated,
    )


def _has_sound(path: Path, track: Track) -> bool:
    """Return whether a track has audible sound; reads no further than to the first of it."""
    level = LevelMeter()
    try:
        with decode(path, track=track.number) as stream:
            for block in stream:
                level.add(block)
                if level.peak_db is not None and level.peak_db > _SILENT_DB:
                    return True
    except MediaUnavailable:
        return False
    return False


def _track_remarks(read: Track, silent: Iterable[Track], left_out: Iterable[Track]) -> list[str]:
    found = []
    if without := _labels(silent):
        found.append(f"Without speech: sound track {without}. Track {read.label} was read.")
    if others := _labels(left_out):
        found.append(
            f"Sound track {read.label} was read; left out: {others}. "
            "--track NUMBER reads another one, --track all reads all."
        )
    return found


def _labels(tracks: Iterable[Track]) -> str:
    return ", ".join(each.label for each in sorted(tracks, key=lambda each: each.number))
