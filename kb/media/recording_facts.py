"""The facts that a recording's tags state: title, artist, day, chapters, language.

One open of the container, without decoding: a fraction of a millisecond for a file whose index is
at its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from kb.media.probe import LOCAL_ONLY, media_url
from kb.media.tracks import by_preference, read_tracks
from kb.types import Chapter, RecordingFacts
from kb.types.days import as_recorded, clock_day, local_day

# The tags are in the header: the sound is not looked at, which takes 20 ms in a WAV.
_HEAD_ONLY = {"probesize": "32768", "analyzeduration": "1"}

MAX_CHAPTERS = 2000
MAX_TITLE = 500  # characters

# Names of tags in lower case, the surest first. The first are moments of the recording itself.
_MOMENTS = ("com.apple.quicktime.creationdate", "creation_time", "date_digitized")
_DAYS = ("date_recorded", "origination_date", "date", "tdrc", "icrd", "wm/encodingtime", "day")
_ARTISTS = ("artist", "author", "performer", "album_artist", "wm/albumartist")
# Default names of recorders and rippers: the name of the file says more.
_DEFAULT_TITLE = re.compile(
    r"(?:(?:new|neue) )?(?:track|titel|title|piste|spur|recording|aufnahme|voice(?: memo)?|memo|"
    r"untitled|unknown|unbekannt|audio|video|file|default|sound|movie|[-_.\W]*)"
    r"(?: ?track| ?title| ?file)?[\s_#-]*\d*",
    re.IGNORECASE,
)
_DATE = re.compile(r"(\d{4})[-:/._ ](\d\d)[-:/._ ](\d\d)(?!\d)|(\d{4})(\d\d)(\d\d)(?!\d)")
_NO_LANGUAGE = frozenset({"", "und", "unk", "zxx", "mis", "mul", "xxx"})


def recording_facts(path: Path) -> RecordingFacts:
    """Return the facts in a file's tags; empty facts for a file that is no readable medium.

    A day is the one of recording: a year alone, a clock that was never set and a day in the future
    are none.
    """
    try:
        with av.open(
            media_url(path),
            "r",
            metadata_errors="replace",
            container_options={**LOCAL_ONLY, **_HEAD_ONLY},
        ) as container:
            return _read(container)
    except (av.error.FFmpegError, OSError, ValueError, OverflowError):
        return RecordingFacts()  # `probe` names the cause when the file is fetched


def _read(container: InputContainer) -> RecordingFacts:
    # Ogg has the tags of the file in its stream. In other formats a stream's title is the name of
    # a sound track.
    tags = {name: value for stream in container.streams.audio for name, value in _tags(stream)}
    if container.format.name != "ogg":
        tags.pop("title", None)
    tags |= dict(_tags(container))
    tracks = by_preference(read_tracks(container))
    language = tracks[0].language.lower() if tracks else ""
    title = _line(tags.get("title", ""))
    return RecordingFacts(
        title="" if _DEFAULT_TITLE.fullmatch(title) else title,
        artist=next(filter(None, (_line(tags.get(name, "")) for name in _ARTISTS)), ""),
        recorded=_recorded(tags),
        chapters=tuple(_chapters(container)),
        language=None if language in _NO_LANGUAGE else language,
    )


def _tags(place: InputContainer | av.stream.Stream) -> Iterator[tuple[str, str]]:
    for name, value in place.metadata.items():
        yield name.lower(), value


def _line(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())[:MAX_TITLE]


def _recorded(tags: Mapping[str, str]) -> str:
    for name in _MOMENTS:
        if day := _day_of_moment(tags.get(name, "")):
            return day
    for name in _DAYS:
        if match := _DATE.match(tags.get(name, "").strip()):
            year, month, day_number = (int(part) for part in match.groups() if part)
            if day := as_recorded(year, month, day_number, by_clock=True):
                return day
    return ""


def _day_of_moment(text: str) -> str:
    """Return the local day of `2023-07-08T22:00:00.000000Z` or another ISO time."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return ""
    # A camera writes a moment; one before digital recording comes from a clock without battery.
    return clock_day(local_day(moment)) if moment.year > 1970 else ""


def _chapters(container: InputContainer) -> Iterator[Chapter]:
    first = Fraction(container.start_time or 0, av.time_base)
    for number, each in enumerate(container.chapters()[:MAX_CHAPTERS], 1):
        base = each["time_base"]
        if base is None:
            continue
        start_s = float(each["start"] * base - first)
        title = _line(str(each["metadata"].get("title", "")))
        yield Chapter(max(0.0, start_s), title or str(number))
