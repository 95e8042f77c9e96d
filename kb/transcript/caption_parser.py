"""Parser of captions as a transcript, for WebVTT, SubRip and YouTube's own JSON.

The parser removes text that is not spoken (sounds in brackets, speakers' names, notes), and the
repeated lines of automatic captions that scroll on the screen.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srt
import webvtt

from kb.errors import LibraryError
from kb.storage import MAX_DOCUMENT_BYTES, UnreadableText, read_user_text, unreadable_reason
from kb.transcript.chunks import collapse_whitespace
from kb.transcript.editing import MANUAL_PROBABILITY
from kb.types import CaptionFile, Coverage, MediaRef, Segment, Timing, Transcript, Word
from kb.types.transcript import CAPTIONS

HUMAN_CAPTIONS, AUTOMATIC_CAPTIONS = "captions by people", "automatic captions"

_TAG = re.compile(r"<[^>\n]*>|\{\\[^}\n]*\}")
# Tags that SubRip has; text such as `x < y and y > z` or `vector<int>` has none of them.
SUBRIP_TAG = re.compile(
    r"</?(?:[bius]|font|c|v|ruby|rt|lang)(?:[\s.=][^<>\n]*)?>|\{\\[^{}\n]*\}", re.IGNORECASE
)
_SOUND = re.compile(r"\(\s*[^a-z)]*\)|\[[^\]\n]*\]|♪[^♪\n]*♪?|[♪♫]")
_SPEAKER = re.compile(r"^\s*(?:[-–—>»]+\s*)?(?:[A-ZÄÖÜ][A-ZÄÖÜß .'-]{1,28}:\s+)?")
PARSE_ERRORS = (
    ValueError, TypeError, KeyError, AttributeError, RecursionError, srt.SRTParseError,
    webvtt.errors.MalformedFileError, webvtt.errors.MalformedCaptionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cue:
    """One caption as its file has it; times in seconds."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]
    words: tuple[Word, ...] = ()


def read(file: CaptionFile, media: MediaRef) -> Transcript:
    """Return the captions as a transcript; its words have times if the file has them.

    Its `engine` is `captions`, its `model` shows if people wrote them, and a warning states it
    too. The coverage is unknown, and so equal to that of a medium without speech. Raises
    LibraryError for a file that is missing, damaged or of an unknown format.
    """
    segments = tuple(_segments(_cues(file.path), file.language, rolling=file.automatic))
    author = AUTOMATIC_CAPTIONS if file.automatic else HUMAN_CAPTIONS
    return Transcript(
        media=media,
        segments=segments,
        language=_primary_language(file.language),
        engine=CAPTIONS,
        model=author,
        preset="",
        coverage=Coverage(0.0, 0.0),
        timing=Timing(),
        warnings=(f"These are {author}, shown until the transcript is there.",),
    )


def _cues(path: Path) -> list[Cue]:
    try:
        content = read_user_text(path, MAX_DOCUMENT_BYTES)
    except (OSError, UnreadableText) as error:
        raise LibraryError(
            "captions.not_readable",
            "Cannot read the captions {path}: {cause}.",
            hint="Fetch the item again, or put the file back.",
            path=path,
            cause=unreadable_reason(error),
        ) from error
    if path.suffix.lower() not in _READERS:
        raise LibraryError(
            "captions.unknown_kind",
            "{path} is of no kind of captions that is known here.",
            hint="Known: {known}",
            path=path,
            known=" ".join(_READERS),
        )
    try:
        return cues(content, path.suffix.lower())
    except PARSE_ERRORS as error:
        raise LibraryError(
            "captions.damaged",
            "The captions {path} are damaged: {cause}",
            hint="Remove the file; without it nothing is compared.",
            path=path,
            cause=(str(error).splitlines() or [""])[0][:200],
        ) from error


def cues(content: str, suffix: str) -> list[Cue]:
    """Return the captions of a text; `suffix` (`.vtt`, `.srt`, `.json3`) is its format.

    Raises one of `PARSE_ERRORS` for a damaged text.
    """
    return list(_READERS[suffix](content))


def _vtt(content: str) -> Iterator[Cue]:
    for caption in webvtt.from_string(content):
        yield Cue(
            _seconds(caption.start_time), _seconds(caption.end_time),
            tuple(_TAG.sub("", line) for line in caption.raw_text.splitlines()),
        )  # fmt: skip


def _seconds(stamp: Any) -> float:
    return float(
        stamp.hours * 3600 + stamp.minutes * 60 + stamp.seconds + stamp.milliseconds / 1000
    )


def _srt(content: str) -> Iterator[Cue]:
    for found in srt.parse(content):
        yield Cue(
            found.start.total_seconds(), found.end.total_seconds(),
            tuple(SUBRIP_TAG.sub("", line) for line in found.content.splitlines()),
        )  # fmt: skip


def _json3(content: str) -> Iterator[Cue]:
    """Yield the cues of YouTube's timed text, whose automatic captions have an offset per word."""
    for event in json.loads(content).get("events", []):
        parts = event.get("segs")
        if not parts or event.get("aAppend"):  # an `aAppend` event is only a line end
            continue
        start_s = event.get("tStartMs", 0) / 1000
        end_s = start_s + event.get("dDurationMs", 0) / 1000
        text = "".join(str(part.get("utf8", "")) for part in parts)
        words: list[Word] = []
        if any("tOffsetMs" in part for part in parts):
            # A word ends at the start of the next: the event itself stays on the screen longer.
            starts = [start_s + part.get("tOffsetMs", 0) / 1000 for part in parts]
            for part, start, until in zip(parts, starts, [*starts[1:], end_s], strict=True):
                word = str(part.get("utf8", "")).strip()
                if word and " " not in word:
                    words.append(Word(start, max(start, until), word, MANUAL_PROBABILITY))
        yield Cue(start_s, end_s, tuple(text.splitlines()), tuple(words))


_READERS: dict[str, Callable[[str], Iterator[Cue]]] = {
    ".json3": _json3, ".vtt": _vtt, ".srt": _srt,
}  # fmt: skip


def _segments(found: Iterable[Cue], language: str, *, rolling: bool) -> Iterator[Segment]:
    """Yield the cues in order of time, without unspoken text and, if `rolling`, repeated lines."""
    ordered = sorted(found, key=lambda cue: (cue.start_s, cue.end_s))
    previous_lines: Sequence[str] = ()
    for place, cue in enumerate(ordered):
        lines = [line for raw in cue.lines if (line := collapse_whitespace(html.unescape(raw)))]
        fresh = [line for line in lines if not rolling or line not in previous_lines]
        previous_lines = lines or previous_lines
        text = collapse_whitespace(" ".join(spoken_text(line) for line in fresh))
        if not text:
            continue
        end_s = max(cue.start_s, cue.end_s)
        if rolling and place + 1 < len(ordered):  # the cue is shown longer than it is spoken
            end_s = min(end_s, max(ordered[place + 1].start_s, cue.start_s))
        words = cue.words if " ".join(w.text for w in cue.words) == text else ()
        yield Segment(
            cue.start_s, end_s, text, _clip_words(words, end_s), _primary_language(language)
        )


def _primary_language(language: str) -> str:
    return language.replace("_", "-").split("-")[0].lower()


def _clip_words(words: Sequence[Word], end_s: float) -> tuple[Word, ...]:
    return tuple(
        Word(w.start_s, max(w.start_s, min(w.end_s, end_s)), w.text, w.probability) for w in words
    )


def spoken_text(line: str) -> str:
    """Return a line without sounds (`[Music]`, `♪`, `(LAUGHTER)`) and without a speaker's name."""
    return _SPEAKER.sub("", _SOUND.sub(" ", line)).strip()
