"""The length of a file's picture, read from its packets: nothing is decoded."""

from __future__ import annotations

from pathlib import Path

import av
from av.stream import Disposition

from kb.errors import MediaUnavailable
from kb.media import shown
from kb.media.probe import LOCAL_ONLY, media_url


def picture_length(path: Path) -> tuple[float, bool]:
    """Return the second at which the picture ends, and True if the file is cut off or damaged.

    An MP4 says how many frames it has; a file of another kind may end early unnoticed. Raises
    MediaUnavailable for a file without a picture that can be read.
    """
    end_s, count, is_damaged = 0.0, 0, False
    try:
        with av.open(media_url(path), "r", metadata_errors="replace",
                     container_options=dict(LOCAL_ONLY)) as container:  # fmt: skip
            stream = next(
                each for each in container.streams.video
                if not each.disposition & Disposition.attached_pic
            )  # fmt: skip
            expected = stream.frames
            zero_s = (container.start_time or 0) / av.time_base
            try:
                for packet in container.demux(stream):
                    if not packet.size:
                        continue
                    count += 1
                    is_damaged |= packet.is_corrupt
                    if packet.pts is not None and packet.time_base is not None:
                        ticks = packet.pts + (packet.duration or 0)
                        end_s = max(end_s, float(ticks * packet.time_base) - zero_s)
            except (av.error.FFmpegError, OSError):
                is_damaged = True
    except (av.error.FFmpegError, OSError, ValueError, StopIteration) as error:
        raise MediaUnavailable(
            "screen.unreadable",
            "The picture of {path} cannot be read: {reason}",
            hint="Play the file in a player; if it is damaged, fetch it again.",
            path=shown(path),
            reason=(str(error).splitlines() or [type(error).__name__])[0],
        ) from error
    return end_s, is_damaged or count < expected
