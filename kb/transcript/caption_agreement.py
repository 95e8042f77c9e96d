"""Comparison of a transcript with captions that people wrote, minute by minute.

Captions are often edited (no "uh", figures for numbers), so that some disagreement is normal. If
the two share almost no word in a minute, one of them is wrong in that minute.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from kb.transcript.chunks import pieces
from kb.types import (
    CaptionAgreement,
    Coverage,
    MinuteAgreement,
    QualityFlag,
    Segment,
    Transcript,
    WindowReport,
)
from kb.types.words import UNSPACED

MINUTE_S = 60.0
SLACK_S = 8.0  # captions are shown earlier or later than their words are spoken
FEW_WORDS = 6  # of both together; with fewer words, a single word would decide the result
FLAG = "witness"
_MERGE_S = 2.0  # spans of disagreement with a smaller distance are merged


@dataclass(frozen=True, slots=True)
class _Token:
    start_s: float
    end_s: float
    text: str


def compare(transcript: Transcript, captions: Transcript, source: str) -> CaptionAgreement | None:
    """Return the agreement of a transcript with captions, None if they cannot be compared.

    They cannot be compared if either has no words, or if the languages differ. The words of a
    minute are matched in order (longest common blocks, Ratcliff and Obershelp 1988, as in difflib);
    words up to `SLACK_S` seconds before or after the minute may be matched too. The agreement of a
    minute is twice the number of matched words, divided by the number of words of both (Dice 1945).
    The `agreement` of the whole transcript weights minutes by their number of words.
    """
    if _primary_language(transcript.language) != _primary_language(captions.language):
        return None
    ours, theirs = _tokens(transcript.segments), _tokens(captions.segments)
    if not ours or not theirs:
        return None
    end_s = max(ours[-1].end_s, theirs[-1].end_s)
    minutes = []
    shared = total = 0
    for number in range(max(1, math.ceil(end_s / MINUTE_S))):
        start_s, until_s = number * MINUTE_S, (number + 1) * MINUTE_S
        mine, other, matched = _minute(ours, theirs, start_s, until_s)
        count = mine + other
        shared, total = shared + matched, total + count
        share = round(matched / count, 4) if count >= FEW_WORDS else None
        minutes.append(MinuteAgreement(start_s, until_s, share, mine, other))
    return CaptionAgreement(source, captions.language, round(shared / total, 4), tuple(minutes))


def _minute(
    ours: Sequence[_Token], theirs: Sequence[_Token], start_s: float, end_s: float
) -> tuple[int, int, int]:
    """Return the numbers of our words, of the captions' words and of matched words in the minute.

    A matched pair counts as two words.
    """
    left = [t for t in ours if start_s - SLACK_S <= t.start_s < end_s + SLACK_S]
    right = [t for t in theirs if start_s - SLACK_S <= t.start_s < end_s + SLACK_S]
    inside_left = [start_s <= t.start_s < end_s for t in left]
    inside_right = [start_s <= t.start_s < end_s for t in right]
    matched = 0
    for first, second, size in _blocks(left, right):
        matched += sum(inside_left[first : first + size])
        matched += sum(inside_right[second : second + size])
    return sum(inside_left), sum(inside_right), matched


def _blocks(left: Sequence[_Token], right: Sequence[_Token]) -> Iterable[tuple[int, int, int]]:
    matcher = SequenceMatcher(None, [t.text for t in left], [t.text for t in right], autojunk=False)
    return ((block.a, block.b, block.size) for block in matcher.get_matching_blocks())


def add_caption_agreement(
    transcript: Transcript, captions: Transcript, source: str, below: float
) -> Transcript:
    """Add the agreement to the transcript, and flags in minutes with an agreement under `below`.

    A flag covers a run of our words that the captions do not have. If the captions have all our
    words of the minute, it covers the captions' words of the minute.
    """
    agreement = compare(transcript, captions, source)
    if agreement is None:
        return transcript
    flags: list[QualityFlag] = []
    ours, theirs = _tokens(transcript.segments), _tokens(captions.segments)
    for minute in agreement.minutes:
        if minute.agreement is not None and minute.agreement < below:
            flags += [
                QualityFlag(FLAG, round(start_s, 3), round(end_s, 3), minute.agreement, below)
                for start_s, end_s in _disagreements(ours, theirs, minute.start_s, minute.end_s)
            ]
    if not flags:
        return replace(transcript, witness=agreement)
    return replace(
        transcript,
        witness=agreement,
        windows=_with_flags(transcript, flags),
        coverage=_with_suspect_time(transcript, flags),
    )


def _disagreements(
    ours: Sequence[_Token], theirs: Sequence[_Token], start_s: float, end_s: float
) -> list[tuple[float, float]]:
    left = [t for t in ours if start_s - SLACK_S <= t.start_s < end_s + SLACK_S]
    right = [t for t in theirs if start_s - SLACK_S <= t.start_s < end_s + SLACK_S]
    known = {place + n for place, _, size in _blocks(left, right) for n in range(size)}
    loose = [
        (t.start_s, t.end_s)
        for place, t in enumerate(left)
        if place not in known and start_s <= t.start_s < end_s
    ]
    if not loose:  # the captions have all our words, so ours lack some of the captions' words
        loose = [(t.start_s, t.end_s) for t in right if start_s <= t.start_s < end_s]
    return _merge_spans(loose, _MERGE_S)


def _merge_spans(spans: Iterable[tuple[float, float]], gap_s: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start_s, end_s in sorted(spans):
        if found and start_s - found[-1][1] <= gap_s:
            found[-1] = (found[-1][0], max(found[-1][1], end_s))
        else:
            found.append((start_s, end_s))
    return found


def _with_flags(transcript: Transcript, flags: Sequence[QualityFlag]) -> tuple[WindowReport, ...]:
    """Return the window reports, with each flag added to the window in which it begins."""
    windows = list(transcript.windows)
    if not windows:
        windows = [WindowReport(0.0, transcript.media.duration_s, 0.0, 0.0)]
    for flag in flags:
        place = max((n for n, w in enumerate(windows) if w.start_s <= flag.start_s), default=0)
        windows[place] = replace(windows[place], flags=(*windows[place].flags, flag))
    return tuple(windows)


def _with_suspect_time(transcript: Transcript, flags: Sequence[QualityFlag]) -> Coverage:
    """Return the coverage with the flagged spans added to its suspect seconds.

    Spans that other flags mark already, and gaps, are not counted twice.
    """
    known = [(s.start_s, s.end_s) for w in transcript.windows for s in w.flags]
    known += [(gap.start_s, gap.end_s) for gap in transcript.coverage.gaps]
    new_s = _total_s(
        _merge_spans([*known, *((s.start_s, s.end_s) for s in flags)], 0.0)
    ) - _total_s(_merge_spans(known, 0.0))
    found = transcript.coverage
    most_s = max(0.0, found.covered_s - found.suspect_s)
    return replace(found, suspect_s=round(found.suspect_s + min(new_s, most_s), 3))


def _total_s(spans: Iterable[tuple[float, float]]) -> float:
    return sum(end_s - start_s for start_s, end_s in spans)


def _tokens(segments: Iterable[Segment]) -> list[_Token]:
    """Return the words in normalized form, without words that have no letter or digit.

    In scripts without spaces, every character is a word.
    """
    found: list[_Token] = []
    for segment in segments:
        for piece in pieces(segment):
            text = normalize_word(piece.text)
            parts = list(text) if UNSPACED.search(text) else [text] if text else []
            step_s = (piece.end_s - piece.start_s) / max(1, len(parts))
            found.extend(
                _Token(piece.start_s + n * step_s, piece.start_s + (n + 1) * step_s, part)
                for n, part in enumerate(parts)
            )
    return sorted(found, key=lambda token: token.start_s)


def normalize_word(word: str) -> str:
    """Return a word in lower case, without punctuation and variants of its letters (NFKC)."""
    folded = unicodedata.normalize("NFKC", word).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


def _primary_language(language: str) -> str:
    return language.replace("_", "-").split("-")[0].lower()
