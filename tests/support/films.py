"""Small films, transcripts with known words and times, and what can be seen in a film."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from kb.types import Coverage, MediaRef, Segment, Timing, Transcript, Word

Frame = NDArray[np.uint8]


def make(target: Path, *arguments: str) -> Path:
    """Write a small medium with ffmpeg; the arguments are all between the program and the file."""
    quick = ("-threads", "1", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    codecs = quick if target.suffix in (".mp4", ".mkv", ".mov") else ()
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments, *codecs,
         f"file:{target}"],
        check=True,
    )  # fmt: skip
    return target


def grey(seconds: float, size: str = "320x180", rate: int = 25) -> tuple[str, ...]:
    """Return the input of a grey picture."""
    return ("-f", "lavfi", "-i", f"color=c=0x404040:s={size}:r={rate}:d={seconds}")


def tone(seconds: float) -> tuple[str, ...]:
    """Return the input of a tone."""
    return ("-f", "lavfi", "-i", f"sine=frequency=300:duration={seconds}")


def spoken(
    lines: Sequence[str], *, start_s: float = 0.4, word_s: float = 0.3, gap_s: float = 0.1,
    pause_s: float = 1.0, timed: bool = True,
) -> Transcript:  # fmt: skip
    """Return a transcript of the lines, with words of one length; `pause_s` is between lines."""
    at_s, segments = start_s, []
    for line in lines:
        words = []
        for text in line.split():
            words.append(Word(at_s, at_s + word_s, text, 0.9))
            at_s += word_s + gap_s
        segments.append(
            Segment(words[0].start_s, words[-1].end_s, line, tuple(words if timed else ()))
        )
        at_s += pause_s - gap_s
    return Transcript(
        MediaRef("talk.mp4", "", at_s), tuple(segments), "en", "demo", "demo", "", Coverage(1, 1),
        Timing(),
    )  # fmt: skip


def frames(path: Path) -> Iterator[tuple[float, Frame]]:
    """Yield time in seconds and picture [height, width, 3] of each frame."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        for frame in container.decode(video=0):
            picture: Any = frame
            yield float(picture.time), picture.to_ndarray(format="rgb24")


def frame_at(path: Path, at_s: float) -> Frame:
    """Return the picture that is shown at a time."""
    shown = None
    for time_s, picture in frames(path):
        if time_s > at_s and shown is not None:
            break
        shown = picture
    assert shown is not None
    return shown


def near(picture: Frame, colour: str, distance: int = 60) -> int:
    """Return the number of pixels whose colour is near `#RRGGBB`."""
    wanted = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)])
    far = np.abs(picture.astype(int) - wanted).max(axis=2)
    return int((far <= distance).sum())


def streams(path: Path) -> list[tuple[str, str, str]]:
    """Return kind, codec and language of each stream."""
    with av.open(str(path)) as container:
        return [
            (stream.type, stream.codec_context.name, str(stream.metadata.get("language", "")))
            for stream in container.streams
        ]
