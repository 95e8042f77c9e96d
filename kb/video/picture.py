"""Facts of the picture of a medium as a player shows it: size, rate; and of a still."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from kb.errors import UsageError
from kb.media import reason_of, shown
from kb.media.probe import LOCAL_ONLY, media_url
from kb.video.caption_script import Size

STILLS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MIN_SIDE, MAX_SIDE = 16, 8192  # H.264 with fast decoders
USUAL_RATE = 25.0
_RATES = (15.0, 60.0)  # slower pictures would show words late


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of a video: its shown size with even sides, and a constant rate for drawing."""

    size: Size
    frames_per_s: float


def read_picture(path: Path) -> Picture | None:
    """Return the facts of a video's picture, None if none can be decoded.

    The turn of a telephone's video and pixels that are not square are taken into account.
    """
    try:
        with av.open(media_url(path), "r", container_options=dict(LOCAL_ONLY)) as container:
            stream: Any = next(s for s in container.streams.video if not _is_cover(s))
            stream.thread_type = "NONE"
            frame: Any = next(container.decode(stream))
            wide, high = frame.width, frame.height
            aspect = stream.sample_aspect_ratio or 1
            if aspect > 0:
                wide = round(wide * float(aspect))
            if round(getattr(frame, "rotation", 0) / 90) % 2:
                wide, high = high, wide
            rate = float(stream.average_rate or 0) or USUAL_RATE
    except (av.error.FFmpegError, OSError, StopIteration):
        return None
    low, high_rate = _RATES
    return Picture(fitting(wide, high), USUAL_RATE if rate < low else min(rate, high_rate))


def shown_from_s(path: Path, at_s: float) -> float:
    """Return a time, at or before `at_s`, from which reading finds the frame that is shown then.

    A recording of a screen has no frame while nothing moves: the one that is shown may be minutes
    old. 0 where that is not known.
    """
    try:
        with av.open(media_url(path), "r", container_options=dict(LOCAL_ONLY)) as container:
            stream: Any = next(s for s in container.streams.video if not _is_cover(s))
            start_s = (container.start_time or 0) / av.time_base
            container.seek(int((at_s + start_s) / stream.time_base), stream=stream, backward=True)
            for packet in container.demux(stream):
                if packet.is_keyframe and packet.pts is not None:
                    found_s = float(packet.pts * stream.time_base) - start_s
                    return found_s if 0 < found_s <= at_s else 0.0
    except (av.error.FFmpegError, OSError, StopIteration):
        pass
    return 0.0


def sound_after_picture_s(path: Path) -> float:
    """Return how long the sound of a video goes on behind its last frame.

    0 where that is not known, and for a video without sound.
    """
    ends_s = {"video": 0.0, "audio": 0.0}
    try:
        with av.open(media_url(path), "r", container_options=dict(LOCAL_ONLY)) as container:
            picture: Any = next(s for s in container.streams.video if not _is_cover(s))
            if not container.streams.audio or not container.duration:
                return 0.0
            start_s = (container.start_time or 0) / av.time_base
            end_s = start_s + container.duration / av.time_base
            container.seek(int(end_s / picture.time_base), stream=picture, backward=True)
            for packet in container.demux(picture, *container.streams.audio):
                if packet.pts is not None and packet.time_base is not None:
                    end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    kind = packet.stream.type
                    ends_s[kind] = max(ends_s[kind], end)
    except (av.error.FFmpegError, OSError, StopIteration):
        return 0.0
    return max(0.0, ends_s["audio"] - ends_s["video"]) if ends_s["video"] else 0.0


def check_still(path: Path) -> None:
    """Raise UsageError if a file is no still picture that can be read."""
    try:
        if path.suffix.lower() in STILLS:
            with av.open(media_url(path), "r", container_options=dict(LOCAL_ONLY)) as container:
                next(container.decode(video=0))
            return
        reason = "it does not end in one of " + " ".join(STILLS)
    except (av.error.FFmpegError, OSError, StopIteration, IndexError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it holds no picture"
    raise UsageError(
        "video.no_still",
        "{path} is no still picture that can be read: {reason}.",
        hint="Give a PNG or JPEG file.",
        path=shown(path),
        reason=reason,
    )


def fitting(width: int, height: int) -> Size:
    """Return a size with even sides within the bounds, of the same shape as far as possible."""
    scale = min(1.0, MAX_SIDE / max(width, height, 1))
    return Size(*(max(MIN_SIDE, 2 * int(side * scale / 2 + 0.5)) for side in (width, height)))


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)
