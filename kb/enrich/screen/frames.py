"""Samples of a video's picture: the first frame of each second, or every Nth frame.

Frames that no other frame needs are not decoded, which halves the work. One thread decodes: the
recognizer of speech may need the others.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition
from PIL import Image

from kb.enrich.screen.changes import HEIGHT, WIDTH, Sample
from kb.errors import MediaUnavailable
from kb.media import shown
from kb.media.probe import LOCAL_ONLY, MediaProbe, media_url

MOST_PIXELS = 50_000_000  # of a picture: a frame of 8K has 33 million
SIDE = 1920  # a larger picture is reduced to this before it is read
THUMBNAIL = (320, 180)


def samples(found: MediaProbe, *, every: int | None = None) -> Iterator[Sample]:
    """Yield samples in order of their time, which counts from the container's start.

    With `every`, each frame is decoded and every Nth one yielded. Damaged parts are left out.
    Raises MediaUnavailable if the picture cannot be opened.
    """
    try:
        container = av.open(
            media_url(found.path), "r", metadata_errors="replace",
            container_options=dict(LOCAL_ONLY),
        )  # fmt: skip
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(found.path, error) from error
    with container:
        stream = next(
            each for each in container.streams.video
            if not each.disposition & Disposition.attached_pic
        )  # fmt: skip
        if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
            size = f"{stream.codec_context.width}x{stream.codec_context.height}"
            raise _unreadable(found.path, ValueError(f"{size} is too large"))
        stream.thread_type = "NONE"
        if every is None:
            stream.codec_context.skip_frame = "NONREF"
        yield from _chosen(container, stream, found.start_s, every)


def _chosen(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    zero_s: float,
    every: int | None,
) -> Iterator[Sample]:
    count, due_s, latest_s = 0, 0.0, -1.0
    for packet in _packets(container, stream):
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError, MemoryError):
            continue  # a damaged part
        for frame in frames:
            assert isinstance(frame, av.VideoFrame)
            count += 1
            if frame.pts is None or frame.time_base is None:
                continue
            at_s = max(0.0, float(frame.pts * frame.time_base) - zero_s)
            if at_s <= latest_s:
                continue  # a clock that began again: what was seen has its time
            is_due = at_s >= due_s if every is None else (count - 1) % every == 0
            if is_due:
                due_s, latest_s = float(int(at_s) + 1), at_s
                yield Sample(at_s, _grey(frame), frame)


def _packets(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.Packet[av.VideoStream]]:
    try:
        yield from container.demux(stream)
    except (av.error.FFmpegError, OSError):
        return  # a file that is cut off has its picture up to there


def _grey(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    small = frame.reformat(WIDTH, HEIGHT, "gray", interpolation="AREA")
    return np.asarray(small.to_ndarray(), dtype=np.uint8)


def picture(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """Return a frame as it is shown, [height, width, 3] in blue, green, red."""
    scale = min(1.0, SIDE / max(frame.width, frame.height))
    small = frame.reformat(
        max(2, round(frame.width * scale)), max(2, round(frame.height * scale)), "bgr24"
    )
    turned = np.rot90(small.to_ndarray(), round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(turned, dtype=np.uint8)


def thumbnail(image: npt.NDArray[np.uint8]) -> bytes:
    """Return a small JPEG of a picture."""
    made, target = Image.fromarray(image[:, :, ::-1]), io.BytesIO()
    made.thumbnail(THUMBNAIL)
    made.save(target, "JPEG", quality=60, optimize=True)
    return target.getvalue()


def _unreadable(path: Path, error: Exception) -> MediaUnavailable:
    return MediaUnavailable(
        "screen.unreadable",
        "The picture of {path} cannot be read: {reason}",
        hint="Play the file in a player; if it is damaged, fetch it again.",
        path=shown(path),
        reason=(str(error).splitlines() or [type(error).__name__])[0],
    )
