"""Judgement about a decoded medium: truncated, damaged or whole."""

from __future__ import annotations

from typing import NamedTuple

from kb.media.decoder_log import DecoderLog
from kb.media.file_end import file_end
from kb.media.probe import MediaProbe

# Decoded and declared length differ by codec delay and rounding; a larger difference is missing
# sound. In long recordings the difference grows slightly with the length.
_TOLERANCE_S = 1.0
_TOLERANCE_SHARE = 0.002
_FRAME_S = 0.1  # no codec's frame is longer: the tolerance if there is other evidence of damage

# Formats without a length: what libavformat gives is the length of what is there, or a guess.
LENGTH_BY_CONTENT = frozenset({"ogg", "mpegts", "aac", "loas", "ac3", "eac3", "dts", "amr"})
_MPEGTS_HZ = 90_000
# AVI: without its index at the end, the length is estimated.
_INDEX_AT_END = frozenset({"avi"})

# The loss of one or two packets (20 to 50 ms) is common at the end of MP3 files and loses no word.
_DAMAGED_PACKETS = 3


def clock(seconds: float) -> str:
    """Return seconds in the form of a player, `M:SS` or `H:MM:SS`, rounded down from a tenth."""
    minutes, second = divmod(int(round(seconds, 1)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class Damage(NamedTuple):
    """Damage of the file that a reader of the transcript must know, as a sentence."""

    warning: str
    truncated: bool = False


def find_damage(found: MediaProbe, decoded_s: float, code: int, log: DecoderLog) -> Damage | None:
    """Return the damage shown by decoded and declared length, by the file's end and by the log.

    None without any damage.
    """
    end = file_end(found.path, found.container, found.size_bytes)
    is_inside = _corrupt_inside(found, decoded_s, log)
    is_cut = bool(end.cut) or (log.is_truncated and not end.length_is_open and not is_inside)
    declared_s = found.sound_end_s or found.duration_s
    unknown = LENGTH_BY_CONTENT | _INDEX_AT_END if end.cut else LENGTH_BY_CONTENT
    if log.duration_is_estimate or end.length_is_open or found.container in unknown:
        declared_s = None
    if declared_s is not None:
        missing_s = declared_s - decoded_s
        allowed_s = _FRAME_S if is_cut else max(_TOLERANCE_S, _TOLERANCE_SHARE * declared_s)
        if missing_s > allowed_s:
            if clock(decoded_s) == clock(declared_s):
                return _breaks_off(decoded_s)
            where = f"ends at {clock(decoded_s)} of {clock(declared_s)} declared"
            if is_cut or found.sound_end_s is not None or not found.has_video:
                return Damage(f"The file {where}: it looks truncated.", truncated=True)
            # Perhaps the picture continues without sound; the header does not show this.
            return Damage(f"The sound {where}: the file may be truncated.", truncated=True)
    elif is_cut:
        return _breaks_off(decoded_s)
    unread_s = decoded_s * end.unread_share / (1 - end.unread_share)
    if unread_s > _TOLERANCE_S and (declared_s is None or decoded_s < declared_s + unread_s / 2):
        return Damage(
            f"{end.unread_share:.0%} of the file are behind the end of its sound and were not "
            "read: its header is wrong, or several files are joined in it. Take the parts from "
            "before they were joined, or copy the file again.",
            truncated=True,
        )
    if code or log.broken_container or is_inside or log.damaged_packets >= _DAMAGED_PACKETS:
        cause = f" ({log.first_error})" if log.first_error else ""
        return Damage(f"The file is damaged in places{cause}: words may be missing there.")
    return None


def _corrupt_inside(found: MediaProbe, decoded_s: float, log: DecoderLog) -> bool:
    """Return True if the last corrupt packet of a transport stream is not at its end."""
    if found.container != "mpegts" or not log.is_truncated or log.is_partial:
        return False
    if log.corrupt_at is None:
        return False
    return log.corrupt_at / _MPEGTS_HZ - found.start_s < decoded_s - _TOLERANCE_S


def _breaks_off(decoded_s: float) -> Damage:
    return Damage(f"The file breaks off at {clock(decoded_s)}: it looks truncated.", truncated=True)
