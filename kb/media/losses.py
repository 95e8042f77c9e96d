"""Sound that is lost before anything is read: holes, bytes behind the end, a clock that jumps."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import av

from kb.media import SAMPLE_RATE_HZ, frame_chain
from kb.media.boxes import BOXED, empty_edits, unindexed_bytes
from kb.media.clocked_reader import ClockedReader, Hole
from kb.media.damage import LENGTH_BY_CONTENT, clock
from kb.media.file_end import file_end
from kb.media.probe import LOCAL_ONLY, MediaProbe, media_url
from kb.media.tracks import Track

SHORTEST_LOSS_S = 1.0
SHORTEST_DAMAGE_S = 0.1  # less is no word, and less than the jitter of packets' times
SHORTEST_UNPLACED_S = 0.15  # a decoder often refuses the first packets of a recorded stream

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

    `cause`: `hole`, `unread` for bytes that no player reads, or `damage` for sound that cannot be
    decoded. Damage that leaves no hole in the clock is placed behind the end, too; `at_s` is its
    true place, if that is known.
    """

    start_s: float
    end_s: float
    cause: str
    at_s: float | None = None

    @property
    def duration_s(self) -> float:
        """The length in seconds; an estimate for bytes that were not read."""
        return self.end_s - self.start_s


def find_losses(found: MediaProbe, track: Track, reader: ClockedReader) -> list[Loss]:
    """Return the losses, in order of time.

    A hole, or bytes that are not read, count from a second on. Damage counts from the length of a
    short word on: of that the decoder itself has reported that something was there.
    """
    damaged = bool(reader.log.damaged_packets) or reader.log.broken_container
    holes = _holes(found, track, reader, SHORTEST_DAMAGE_S if damaged else SHORTEST_LOSS_S)
    losses = [
        Loss(*hole, "hole" if hole[1] - hole[0] >= SHORTEST_LOSS_S else "damage", hole[0])
        for hole in holes
    ]
    end_s = reader.duration_s
    unread_s = 0.0 if reader.rejoined else _unread_s(found, end_s)
    if unread_s >= SHORTEST_LOSS_S:
        losses.append(Loss(end_s, end_s + unread_s, "unread"))
    for at_s, length_s in _damages(found, reader):
        losses.append(Loss(end_s, end_s + length_s, "damage", at_s))
        end_s += length_s
    return losses


def _damages(found: MediaProbe, reader: ClockedReader) -> list[tuple[float | None, float]]:
    """Return place, if known, and length in seconds of damage that left no hole in the clock."""
    if not reader.log.damaged_packets:
        return []
    stretches = [each for each in _breaks(found, reader) if each[1] >= SHORTEST_DAMAGE_S]
    rest_s = _damaged_s(reader) - sum(length_s for _, length_s in stretches)
    is_known = bool(stretches) or reader.log.is_truncated
    rest = (
        [(None, rest_s)] if rest_s >= (SHORTEST_LOSS_S if is_known else SHORTEST_UNPLACED_S) else []
    )
    return [*stretches, *rest]


def _breaks(found: MediaProbe, reader: ClockedReader) -> list[tuple[float, float]]:
    """Return place and length, in seconds, of the bytes between frames that hold none."""
    length_of = frame_chain.BY_FORMAT.get(found.container)
    if length_of is None:
        return []
    try:
        with (
            found.path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            breaks, inside = frame_chain.breaks_in_chain(data, length_of)
    except (OSError, ValueError):
        return []
    bytes_per_s = inside / max(reader.duration_s, 0.001)
    return [(each.before / bytes_per_s, each.size / bytes_per_s) for each in breaks]


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
    damages = [loss for loss in losses if loss.cause == "damage"]
    if damages:
        total_s = sum(loss.duration_s for loss in damages)
        places = [clock(loss.at_s) for loss in damages if loss.at_s is not None]
        where = f" (the first at {places[0]})" if places else ""
        found.append(
            f"About {total_s:.1f} s of damaged sound cannot be decoded{where}: a word may be "
            "missing there. Take another copy of the file if there is one."
        )
    found += [
        f"The file holds about {clock(loss.duration_s)} of sound more than its header declares: "
        f"nothing behind {clock(loss.start_s)} was read."
        for loss in losses
        if loss.cause == "unread"
    ]
    return found


def _holes(
    found: MediaProbe, track: Track, reader: ClockedReader, shortest_s: float
) -> list[tuple[float, float]]:
    """Return the holes of at least `shortest_s` that the format does not allow."""
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
    return [hole for hole in holes if hole[1] - hole[0] >= shortest_s]


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
