"""The sound tracks of a medium, in the order in which they are tried."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from av.container import InputContainer
from av.stream import Disposition, Stream

# Purposes that make a track the last choice, by the container's mark or by the track's title.
_MARKED = {
    Disposition.comment: "commentary",
    Disposition.visual_impaired: "audio description",
    Disposition.descriptions: "audio description",
    Disposition.clean_effects: "effects",
    Disposition.karaoke: "karaoke",
}
_TITLED = (
    ("commentary", re.compile(r"\b(?:audio)?(?:comment(ary|aire|ario)|kommentar)", re.I)),
    ("audio description", re.compile(r"audio.?des[ck]ri|descriptive|h.rfassung", re.I)),
    ("effects", re.compile(r"music and effects|\bM&E\b", re.I)),
)


@dataclass(frozen=True, slots=True)
class Track:
    """A sound track as the header declares it.

    `number` counts the sound tracks of the medium from 1. `purpose` is `commentary`, `audio
    description` and the like, empty for the ordinary sound. `has_named_channels` is False for a
    layout whose channels have no known places. `sound_end_s` as in `MediaProbe`.
    """

    number: int
    title: str = ""
    language: str = ""
    purpose: str = ""
    is_default: bool = False
    codec: str | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    has_named_channels: bool = True
    sound_end_s: float | None = None

    @property
    def label(self) -> str:
        """The number and what else identifies the track: `2 (Mic, de)`."""
        purpose = "" if self.purpose in self.title.lower() else self.purpose
        details = ", ".join(each for each in (self.title, self.language, purpose) if each)
        return f"{self.number} ({details})" if details else str(self.number)


def read_tracks(container: InputContainer) -> tuple[Track, ...]:
    """Return the sound tracks by number."""
    return tuple(_track(n, s) for n, s in enumerate(container.streams.audio, start=1))


def by_preference(tracks: Iterable[Track]) -> list[Track]:
    """Return the tracks in the order in which they are tried.

    First those that can be decoded and are no commentary or description, then by the container's
    default mark and by the number of channels, as ffmpeg chooses.
    """
    return sorted(
        tracks,
        key=lambda t: (t.codec is None, bool(t.purpose), not t.is_default, -(t.channels or 0)),
    )


_NAMED = frozenset(
    [
        "FL",
        "FR",
        "FC",
        "BL",
        "BR",
        "SL",
        "SR",
        "FLC",
        "FRC",
        "BC",
        "TC",
        "TFL",
        "TFC",
        "TFR",
        "TBL",
        "TBC",
        "TBR",
        "DL",
        "DR",
        "WL",
        "WR",
        "SDL",
        "SDR",
    ]
)


def _track(number: int, stream: Stream) -> Track:
    codec = getattr(stream, "codec_context", None)  # None for a codec without a decoder in PyAV
    title = _text(stream, "title") or _handler(stream)
    layout = codec.layout if codec else None
    names = {channel.name for channel in layout.channels} - {"NONE"} if layout else set()
    return Track(
        number,
        title=title,
        language=language if (language := _text(stream, "language")) != "und" else "",
        purpose=_purpose(stream.disposition, title),
        is_default=bool(stream.disposition & Disposition.default),
        codec=codec.codec.canonical_name if codec else None,
        sample_rate_hz=(codec.sample_rate or None) if codec else None,
        channels=(layout.nb_channels or None) if layout else None,
        # ffmpeg itself names the usual channels of layouts with up to eight channels.
        has_named_channels=(
            not layout or not _NAMED.isdisjoint(names) or (layout.nb_channels <= 8 and not names)
        ),
    )


def _text(stream: Stream, name: str) -> str:
    """Return a text of the header on one line, of a length that fits a message."""
    value = "".join(c if c.isprintable() else " " for c in stream.metadata.get(name, ""))
    return " ".join(value.split())[:60]


def _handler(stream: Stream) -> str:
    """Return the name that an MP4 gives to a track, unless it is a program's usual one."""
    name = _text(stream, "handler_name")
    return "" if re.search(r"handler|gpac|core media|mainconcept", name, re.I) else name


def _purpose(disposition: Disposition, title: str) -> str:
    for mark, purpose in _MARKED.items():
        if disposition & mark:
            return purpose
    return next((purpose for purpose, pattern in _TITLED if pattern.search(title)), "")
