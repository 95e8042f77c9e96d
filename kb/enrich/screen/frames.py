"""Samples of a video's picture: at most one a second, or every Nth frame.

Frames that no other frame needs are not decoded, nor stretches in which the picture stands. One
thread decodes: the recognizer of speech may need the others.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition
from PIL import Image

from kb.enrich.screen.changes import Sample
from kb.enrich.screen.decoding import decoded, grey, packets, time_of
from kb.enrich.screen.stretches import Stretches
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
        if every is not None:
            yield from _every(container, stream, found.start_s, every)
            return
        stream.codec_context.skip_frame = "NONREF"
        yield from Stretches(container, stream, found.start_s).samples()


def _every(
    container: av.container.InputContainer, stream: av.VideoStream, zero_s: float, every: int
) -> Iterator[Sample]:
    count, latest_s = 0, -1.0
    for packet in chain(packets(container, stream), (None,)):
        for frame in decoded(stream, packet):
            count += 1
            at_s = time_of(stream, frame, zero_s)
            # A clock that began again: what was seen has its time.
            if at_s is not None and at_s > latest_s and (count - 1) % every == 0:
                latest_s = at_s
                yield Sample(at_s, grey(frame), frame)


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
