"""Sound that is lost before anything is read: holes, bytes behind the end, a clock that jumps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import av

from kb.media import SAMPLE_RATE_HZ
from kb.media.boxes import BOXED, empty_edits, unindexed_bytes
from kb.media.clocked_reader import ClockedReader, Hole
from kb.media.damage import LENGTH_BY_CONTENT, clock
from kb.media.file_end import file_end
from kb.media.probe import LOCAL_ONLY, MediaProbe, media_url
from kb.media.tracks import Track

SHORTEST_LOSS_S = 1.0

# By so much the sound may be longer than its header says.
_LONGER_S = 2.0
_LONGER_SHARE = 0.02

# Codecs that send nothing in pauses (discontinuous transmission).
_PAUSING_CODECS = frozenset({"opus", "speex", "amr_nb", "amr_wb", "evs", "g729"})
_LONGEST_PAUSE_PACKETS = 20.5  # libopus sends a packet after at most twenty that it leaves out
_PAUSE_PACKET_BYTES = 8  # a packet that stands for a pause; Opus: 1 to 3 bytes, AMR: up to 8
_SAME_HOLE_S = 0.25  # holes with less sound between them are one

_SMALLEST_RANGE_BYTES = 4096


class Loss(NamedTuple):
    """Sound that is in no transcript. A loss behind the end is placed behind the sound's end.

    `cause`: `hole`, `unread` for bytes that no player reads, or `damage` for packets that cannot
    be decoded and whose place is not known.
    """

    start_s: float
    end_s: float
    cause: str

    @property
    def duration_s(self) -> float:
        """The length in seconds; an estimate for bytes that were not read."""
        return self.end_s - self.start_s


def find_losses(found: MediaProbe, track: Track, reader: ClockedReader) -> list[Loss]:
    """Return the losses of at least a second, in order of time."""
    losses = [Loss(*hole, "hole") for hole in _holes(found, track, reader)]
    end_s = reader.duration_s
    unread_s = 0.0 if reader.rejoined else _unread_s(found, end_s)
    if unread_s >= SHORTEST_LOSS_S:
        losses.append(Loss(end_s, end_s + unread_s, "unread"))
    damaged_s = _damaged_s(reader)
    if damaged_s >= SHORTEST_LOSS_S:
        losses.append(Loss(end_s, end_s + damaged_s, "damage"))
    return losses


def length_warning(found: MediaProbe, reader: ClockedReader) -> str | None:
    """Return a sentence if the sound is clearly longer than the header says, else None.

    A guessed length (a bit rate, the last time in a stream) says nothing, and an edit list may
    make the sound longer than its stream.
    """
    declared_s = found.sound_end_s or found.duration_s
    guessed = reader.log.duration_is_estimate or found.container in LENGTH_BY_CONTENT | BOXED
    if declared_s is None or guessed or reader.rejoined:
        return None
    if reader.duration_s - declared_s < max(_LONGER_S, _LONGER_SHARE * declared_s):
        return None
    return (
        f"The sound goes on to {clock(reader.duration_s)}, but the file declares an end at "
        f"{clock(declared_s)} (are several files joined in it?): a player may stop there."
    )


def _damaged_s(reader: ClockedReader) -> float:
    """Return about how many seconds could not be decoded and left no hole in the clock."""
    hole_s = sum(hole.end_s - hole.start_s for hole in reader.holes)
    packet_s = reader.duration_s / max(1, reader.packets)
    return reader.log.damaged_packets * packet_s - hole_s


def clock_warnings(reader: ClockedReader) -> list[str]:
    """Return sentences about a clock that goes back inside the file."""
    found = []
    rejoined_s, dropped_s = (n / SAMPLE_RATE_HZ for n in (reader.rejoined, reader.dropped))
    if rejoined_s >= SHORTEST_LOSS_S:
        found.append(
            "The file's clock jumps back (are several files joined in it?): "
            f"{clock(rejoined_s)} of sound lies where a player may not get to. It was read as what "
            "follows."
        )
    if dropped_s >= SHORTEST_LOSS_S:
        found.append(
            f"Parts of the sound overlap in the file's clock: {clock(dropped_s)} was left out."
        )
    return found


def loss_warnings(losses: Iterable[Loss]) -> list[str]:
    """Return a sentence for each kind of loss."""
    losses = list(losses)
    holes = [loss for loss in losses if loss.cause == "hole"]
    found = []
    if len(holes) == 1:
        span = f"from {clock(holes[0].start_s)} to {clock(holes[0].end_s)}"
        found.append(f"The file has a hole {span}: the words there are missing.")
    elif holes:
        total_s = sum(hole.duration_s for hole in holes)
        found.append(
            f"The file has {len(holes)} holes of {total_s:.0f} s in all, the first at "
            f"{clock(holes[0].start_s)}: the words there are missing."
        )
    found += [
        f"The file holds about {clock(loss.duration_s)} of sound more than its header declares: "
        f"nothing behind {clock(loss.start_s)} was read."
        for loss in losses
        if loss.cause == "unread"
    ]
    return found


def _holes(found: MediaProbe, track: Track, reader: ClockedReader) -> list[tuple[float, float]]:
    """Return the holes of at least a second that the format does not allow."""
    pauses = empty_edits(found.path, track.number, found.start_s) if reader.holes else []
    holes: list[tuple[float, float]] = []
    for hole in reader.holes:
        length_s = hole.end_s - hole.start_s
        if track.codec in _PAUSING_CODECS and _is_pause(found.path, track, hole):
            continue
        allowed_s = sum(
            max(0.0, min(hole.end_s, end_s) - max(hole.start_s, start_s))
            for start_s, end_s in pauses
        )
        if allowed_s > length_s / 2:
            continue
        if holes and hole.start_s - holes[-1][1] < _SAME_HOLE_S:
            holes[-1] = (holes[-1][0], hole.end_s)
        else:
            holes.append((hole.start_s, hole.end_s))
    return [hole for hole in holes if hole[1] - hole[0] >= SHORTEST_LOSS_S]


def _is_pause(path: Path, track: Track, hole: Hole) -> bool:
    """Return whether a hole is one in which the codec itself sends nothing.

    Such a hole follows silence or a packet that stands for a pause, or it is short.
    """
    if hole.follows_silence:
        return True
    try:
        with av.open(
            media_url(path), "r", metadata_errors="replace", container_options=dict(LOCAL_ONLY)
        ) as container:
            stream = container.streams.audio[track.number - 1]
            assert stream.time_base is not None
            first_s = (container.start_time or 0) / av.time_base
            at = hole.start_s + first_s
            container.seek(max(0, int((at - 2) * av.time_base)))
            last = None
            for packet in container.demux(stream):
                if packet.pts is None or packet.pts * stream.time_base > at + 0.05:
                    break
                last = packet
            if last is None:
                return False
            packet_s = float((last.duration or 0) * stream.time_base)
            is_short = hole.end_s - hole.start_s <= packet_s * _LONGEST_PAUSE_PACKETS
            return last.size <= _PAUSE_PACKET_BYTES or is_short
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def _unread_s(found: MediaProbe, decoded_s: float) -> float:
    """Return about how many seconds of sound the bytes hold that no reader reaches."""
    share = file_end(found.path, found.container, found.size_bytes).unread_share
    if not share and found.container in BOXED:
        smallest = max(_SMALLEST_RANGE_BYTES, int(found.size_bytes / max(decoded_s, 1.0)))
        share = unindexed_bytes(found.path, smallest) / found.size_bytes
    return decoded_s * share / (1 - share) if share < 1 else 0.0
