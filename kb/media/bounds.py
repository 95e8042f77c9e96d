"""Bounds of what a medium may claim: a header of a few bytes may demand days of work."""

from __future__ import annotations

from pathlib import Path

from kb.errors import MediaUnavailable
from kb.media import shown

RATES_HZ = (1_000, 768_000)  # speech needs more than the lower one; no recorder has a higher one
CHANNELS_MAX = 64
STREAMS_MAX = 256


def check_length(path: Path, length_s: float, longest_s: float) -> None:
    """Raise MediaUnavailable if a medium is longer than the longest one (seconds)."""
    if length_s > longest_s:
        raise MediaUnavailable(
            "media.too_long",
            "{path} is longer than {hours:g} hours.",
            hint="Cut it into parts, or raise KB_MAX_HOURS; a damaged file may claim any length.",
            path=shown(path),
            hours=round(longest_s / 3600, 2),
        )


def check_claims(path: Path, *, rate_hz: int | None, channels: int | None, streams: int) -> None:
    """Raise MediaUnavailable for a sound that no recording has."""
    checks = (
        (rate_hz, *RATES_HZ, "Hz"),
        (channels, 1, CHANNELS_MAX, "channels"),
        (streams, 1, STREAMS_MAX, "tracks"),
    )
    for value, least, most, unit in checks:
        if value is not None and not least <= value <= most:
            raise MediaUnavailable(
                "media.implausible",
                "{path} claims {value} {unit}: that is no recording of speech.",
                hint="The file is damaged or made to harm; take another copy.",
                path=shown(path),
                value=value,
                unit=unit,
            )
