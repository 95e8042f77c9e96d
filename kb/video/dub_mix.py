"""The sound of a dub: the medium's own sound, quieter under the speech, at an even loudness."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from kb.errors import MediaUnavailable
from kb.media import shown
from kb.media.probe import MediaProbe, input_arguments, probe, start_arguments
from kb.video.captioned import thread_arguments
from kb.video.dub_fitting import RATE_HZ
from kb.video.encoder import Progress, encode
from kb.video.soft_tracks import track_language

LOUDNESS = -16.0  # LUFS
SOUND_CODECS = {
    ".m4a": ("-c:a", "copy"),
    ".mp3": ("-c:a", "libmp3lame", "-b:a", "160k"),
    ".flac": ("-c:a", "flac", "-sample_fmt", "s16"),
    ".wav": ("-c:a", "pcm_s16le"),
    ".ogg": ("-c:a", "libvorbis", "-b:a", "160k"),
    ".opus": ("-c:a", "libopus", "-b:a", "128k"),
}
_DUCKING = "sidechaincompress=threshold=0.02:ratio=12:attack=80:release=400"
# Between samples, and after lossy encoding, the sound may be 2 dB louder than the limit.
_LIMIT = 10 ** (-3.2 / 20)
_LEAST_GAIN_DB, _MOST_GAIN_DB = -40.0, 30.0
_RUNS = (1, 1, 4)  # work of the two measurements and of the run that encodes, measured
_SILENT = -69.0  # LUFS, below which nothing is measured
_LOUDNESS = re.compile(r"I:\s+(-?[\d.]+|nan|-inf) LUFS")
_FILTERS = ("sidechaincompress", "amix", "alimiter", "ebur128")


def mix(
    found: MediaProbe,
    track: int,
    voice: Path,
    language: str,
    draft: Path,
    *,
    target: Path,
    length_s: float,
    threads: int = 0,
    progress: Progress = lambda _: None,
) -> float:
    """Write the sound of a dub to `draft`, an `.m4a`, and return its gain in dB.

    `track` is the number of the sound track from 0; `voice` is that of `kb.video.dub_fitting`.
    Errors name `target`. Raises as `kb.video.encoder.encode` does.
    """
    inputs = [*thread_arguments(threads), *input_arguments(found)]
    inputs += ["-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1", "-i", f"file:{voice.absolute()}"]
    graph = _graph(found, track)
    gain_db = 0.0

    def part(number: int) -> Progress:
        """Return the progress of one of the three runs over the whole sound."""
        width = _RUNS[number] / sum(_RUNS)
        before = sum(_RUNS[:number]) / sum(_RUNS)
        return lambda share: progress(before + share * width)

    for number in range(2):  # the second time with the limiter, which takes some of the loudness
        measured = _loudness(
            found, [*inputs, "-filter_complex"], f"{graph}{_limited(gain_db)}",
            draft.parent, target, length_s, part(number),
        )  # fmt: skip
        if measured < _SILENT:
            break
        gain_db = min(_MOST_GAIN_DB, max(_LEAST_GAIN_DB, gain_db + LOUDNESS - measured))
    arguments = [
        *inputs, "-filter_complex", f"{graph}{_limited(gain_db)}[out]", "-map", "[out]",
        "-t", f"{length_s:.3f}", "-c:a", "aac", "-b:a", "160k", "-ar", "48000", "-ac", "2",
        "-map_metadata", "-1", "-metadata:s:a:0", f"language={track_language(language)}",
        *(("-threads", str(threads)) if threads else ()), "-movflags", "+faststart",
        f"file:{draft.absolute()}", *start_arguments(found),
    ]  # fmt: skip
    encode(
        arguments, draft.parent, source=found.path, target=target, length_s=length_s,
        progress=part(2), filters=_FILTERS,
    )  # fmt: skip
    return gain_db


def add_sound(
    medium: Path, sound: Path, language: str, draft: Path, *, target: Path,
    progress: Progress = lambda _: None,
) -> None:  # fmt: skip
    """Write a copy of a video whose first sound track is a dub; its own tracks stay behind it.

    Raises as `kb.video.encoder.encode` does.
    """
    found = probe(medium)
    others = [
        word
        for number in range(len(found.tracks))
        for word in (f"-disposition:a:{number + 1}", "0")
    ]
    arguments = [
        *input_arguments(found), *("-protocol_whitelist", "file", "-i", f"file:{sound.absolute()}"),
        *("-map", "0:V", "-map", "1:a:0", "-map", "0:a?", "-c", "copy"),
        *("-metadata:s:a:0", f"language={track_language(language)}"),
        *("-disposition:a:0", "default", *others, "-movflags", "+faststart"),
        *("-max_muxing_queue_size", "4096", f"file:{draft.absolute()}", *start_arguments(found)),
    ]  # fmt: skip
    encode(
        arguments, draft.parent, source=medium, target=target,
        length_s=found.duration_s or 0.0, progress=progress,
    )  # fmt: skip


def write_sound(
    sound: Path, draft: Path, *, target: Path, progress: Progress = lambda _: None
) -> None:
    """Write the sound of a dub in the format of the draft's ending. Raises as `encode` does."""
    found = probe(sound)
    arguments = [
        *input_arguments(found), "-map", "0:a:0", *SOUND_CODECS[draft.suffix.lower()],
        f"file:{draft.absolute()}",
    ]  # fmt: skip
    encode(
        arguments, draft.parent, source=sound, target=target,
        length_s=found.duration_s or 0.0, progress=progress,
    )  # fmt: skip


def _graph(found: MediaProbe, track: int) -> str:
    """Return the filters up to the mixed sound."""
    even = "aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo"
    voice = f"[1:a]aresample=48000,{even}"
    if not found.has_audio:
        return voice
    return (
        f"[0:a:{track}]aresample=48000:async=1:first_pts=0,{even}[own];"
        f"{voice},asplit[key][said];[key]apad[held];[own][held]{_DUCKING}[under];"
        f"[under][said]amix=inputs=2:normalize=0:duration=longest"
    )


def _limited(gain_db: float) -> str:
    # The limiter sees the peaks between samples at twice the rate.
    return (
        f",volume={gain_db:.3f}dB,aresample=96000,"
        f"alimiter=limit={_LIMIT:.4f}:level=0:latency=1:attack=5:release=50,aresample=48000"
    )


def _loudness(
    found: MediaProbe, inputs: Sequence[str], graph: str, folder: Path, target: Path,
    length_s: float, progress: Progress,
) -> float:  # fmt: skip
    """Return the loudness of a graph's sound in LUFS; very low for silence."""
    arguments = [
        *inputs, f"{graph},ebur128=framelog=quiet[out]", "-map", "[out]", "-f", "null", "-",
    ]  # fmt: skip
    cause, values = "", []
    try:
        messages = encode(
            arguments, folder, source=found.path, target=target, length_s=length_s,
            progress=progress, filters=_FILTERS, log="info",
        )  # fmt: skip
        values = _LOUDNESS.findall("\n".join(messages))
    except MediaUnavailable as error:
        if error.code != "video.failed":
            raise
        cause = str(error.values.get("cause", ""))
    if not values:
        raise MediaUnavailable(
            "dub.not_measured",
            "The loudness of {name} cannot be measured: {cause}.",
            hint="Check that it plays in a media player; if not, download or copy it again.",
            name=shown(found.path.name),
            cause=cause or "ffmpeg gave none",
        )
    value = float(values[-1])
    return value if math.isfinite(value) else -math.inf
