"""Joins the texts of many windows into one sequence of segments.

Two windows overlap if no pause allowed a clean cut. Both texts cover the overlap, and each is
most reliable away from its own edge. Their words are matched by text and time, and the texts are
joined at the matched word nearest the overlap's middle, or at another one where this avoids a hole
in one text that has words in the other. Before that, each part of a window that
was decoded again (see `kb.asr.quality.missing_speech`) is inserted at its place.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise

from kb.asr.audio.time_map import TimestampMap
from kb.asr.coverage import LONGEST_WORD_S
from kb.asr.engines.base import DecodingResult
from kb.types import QualityFlag, Segment, SegmentDecoding, Word

LEAST_HOLE_S = 0.3  # between two words, for a lost one of 0.35 s
NEAR_S = 0.5  # largest difference between two windows' times of the same word
_UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my"})  # languages written without spaces


@dataclass(frozen=True, slots=True)
class WindowText:
    """The decoded text of a window, or of a part of it that was decoded again.

    `index` is the window's, the same for its parts; `start_s` and `overlap_s` (length of the
    beginning that the previous window contains as well) are the part's own.
    """

    index: int
    start_s: float
    overlap_s: float
    decoded: DecodingResult


@lru_cache(maxsize=4096)  # the words of a few windows are compared many times
def normalize_word(text: str) -> str:
    """Return a word without case and punctuation, for comparison."""
    kept = (c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
    return "".join(kept)


def seam(
    before: Sequence[Word], after: Sequence[Word], from_s: float, to_s: float
) -> tuple[float, float]:
    """Return the times at which the text changes from the earlier to the later window.

    `before` and `after` are the words of the two windows, `from_s`..`to_s` the overlap.
    Returns (keep earlier words whose middle is before this, keep later words whose middle is
    from this on), in seconds.
    """
    middle = (from_s + to_s) / 2
    left = [w for w in before if w.end_s > from_s]
    right = [w for w in after if w.start_s < to_s]
    pairs = matched_words(left, right)
    if not pairs:
        cut = _cut(left, right, from_s, to_s)
        return cut, cut
    holes = _holes(pairs, left, right)

    def order(number: int) -> tuple[bool, float]:
        # Only the two pairs around the middle: further out, one text is near its window's edge.
        before = next((n for n in range(len(holes)) if middle_s(pairs[n + 1][0]) > middle), -1)
        lost = before >= 0 and holes[before][0 if number > before else 1]
        return lost, abs(middle_s(pairs[number][0]) - middle)

    left_word, right_word = pairs[min(range(len(pairs)), key=order)]
    # The matched word is taken from the earlier window; the later one continues after it.
    return middle_s(left_word) + 1e-6, middle_s(right_word) + 1e-6


def _holes(
    pairs: Sequence[tuple[Word, Word]], left: Sequence[Word], right: Sequence[Word]
) -> list[tuple[bool, bool]]:
    """Return for each two matched words in a row whether the left, and the right text has a hole.

    It has no word between them and time for one, and the other text has words there.
    """
    found: list[tuple[bool, bool]] = []
    for before, after in pairwise(pairs):
        times = [(a.end_s, b.start_s) for a, b in zip(before, after, strict=True)]
        has_words = [
            any(a.start_s < word.start_s < b.start_s for word in words if word not in (a, b))
            for words, a, b in zip((left, right), before, after, strict=True)
        ]
        empty = [
            not has and end_s - start_s >= LEAST_HOLE_S
            for has, (start_s, end_s) in zip(has_words, times, strict=True)
        ]
        found.append((empty[0] and has_words[1], empty[1] and has_words[0]))
    return found


def matched_words(left: Sequence[Word], right: Sequence[Word]) -> list[tuple[Word, Word]]:
    """Return the words found in both windows: the ordered pairs that agree best in time.

    Time decides as well as the order of the text: if a word is said five times in a row, each
    instance must match its own. Dynamic programming over at most about 40 by 40 words.
    """
    left_texts, right_texts = (
        [normalize_word(w.text) for w in left],
        [normalize_word(w.text) for w in right],
    )
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]

    def closeness(i: int, j: int) -> float:
        if left_texts[i] != right_texts[j]:
            return 0.0
        return max(0.0, 1.0 - abs(middle_s(left[i]) - middle_s(right[j])) / NEAR_S)

    for i in reversed(range(len(left))):
        for j in reversed(range(len(right))):
            together = closeness(i, j)
            best[i][j] = max(
                best[i + 1][j], best[i][j + 1], together + best[i + 1][j + 1] if together else 0.0
            )
    pairs: list[tuple[Word, Word]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        together = closeness(i, j)
        if together and best[i][j] == together + best[i + 1][j + 1]:
            pairs.append((left[i], right[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _cut(left: Sequence[Word], right: Sequence[Word], from_s: float, to_s: float) -> float:
    """Return the time of the seam that keeps the most words, if the texts share no word."""
    middle = (from_s + to_s) / 2
    places = {middle, *(w.end_s for w in left), *(w.start_s for w in right)}

    def kept(at_s: float) -> int:
        return sum(middle_s(w) < at_s for w in left) + sum(middle_s(w) >= at_s for w in right)

    inside = [at_s for at_s in places if from_s <= at_s <= to_s]
    return max(inside, key=lambda at_s: (kept(at_s), -abs(at_s - middle)))


def join_words(words: Sequence[Word], language: str | None) -> str:
    """Return the text of words, joined as their language is written."""
    return ("" if language in _UNSPACED else " ").join(word.text for word in words)


def segment_with(segment: Segment, words: tuple[Word, ...]) -> Segment | None:
    """Return the segment with other words, its text and times after them; None without words."""
    if words == segment.words:
        return segment
    if not words:
        return None
    text = join_words(words, segment.language)
    return replace(
        segment, start_s=words[0].start_s, end_s=words[-1].end_s, text=text, words=words,
        decoding=_without_tokens(segment.decoding),
    )  # fmt: skip


def _without_tokens(decoding: SegmentDecoding | None) -> SegmentDecoding | None:
    """Return the figures of a segment whose text is no longer that of its tokens."""
    return decoding and replace(decoding, tokens=(), token_bytes=(), logprobs=())


def keep_words(
    segments: Sequence[Segment], *, before_s: float | None = None, from_s: float | None = None
) -> tuple[Segment, ...]:
    """Return the segments with only the words from `from_s` on and before `before_s`.

    The middle of a word decides.
    """
    kept: list[Segment] = []
    for segment in segments:
        words = tuple(
            w
            for w in segment.words
            if (before_s is None or middle_s(w) < before_s)
            and (from_s is None or middle_s(w) >= from_s)
        )
        own = segment_with(segment, words)
        if own:
            kept.append(own)
    return tuple(kept)


def stitch(texts: Iterable[WindowText]) -> list[Segment]:
    """Return the segments of all windows in order of time, with parts and overlaps merged."""
    segments: list[Segment] = []
    for _, group in groupby(sorted(texts, key=lambda r: r.index), key=lambda r: r.index):
        own = list(group)
        incoming = merge_parts(own)
        start_s = min(part.start_s for part in own)
        overlap_s = max(read.overlap_s for read in own)
        if overlap_s > 0:
            # Only segments that reach into the overlap can change, and they are at the end.
            open_: list[Segment] = []
            while segments and segments[-1].end_s > start_s:
                open_.insert(0, segments.pop())
            before_s, after_s = seam(
                [w for s in open_ for w in s.words],
                [w for s in incoming for w in s.words],
                start_s,
                start_s + overlap_s,
            )
            segments.extend(keep_words(open_, before_s=before_s))
            incoming = keep_words(incoming, from_s=after_s)
        segments.extend(incoming)
    return segments


def merge_parts(parts: Sequence[WindowText]) -> tuple[Segment, ...]:
    """Return one window's segments: its first attempt, with later parts inserted.

    `parts` in the order in which they were made, so that a part of a part is inserted correctly.
    """
    segments: tuple[Segment, ...] = ()
    for part in parts:
        segments = (
            *keep_words(segments, before_s=part.start_s),
            *part.decoded.segments,
            *keep_words(segments, from_s=part.start_s),
        )
    return segments


def enforce_order(
    segments: Sequence[Segment], limit_s: float
) -> tuple[list[Segment], tuple[QualityFlag, ...]]:
    """Return the text with times in ascending order, and flags where they were not.

    Where a window meets its neighbour, or a part the words around it, each text has its own timing
    error, and a word may begin before the previous one. The order of the text is kept: it is that
    of the windows and parts. The start of such a word is moved to a later time. The flag `times`
    marks a word more than `limit_s` before the word that it follows: there the order itself is in
    doubt.
    """
    ordered: list[Segment] = []
    flags: list[QualityFlag] = []
    last: Word | None = None
    for segment in segments:
        words: list[Word] = []
        for word in segment.words:
            own = word
            if last is not None and word.start_s < last.start_s:
                back_s = middle_s(last) - middle_s(word)
                if back_s > limit_s:
                    begin_s, end_s = min(word.start_s, last.start_s), max(word.end_s, last.end_s)
                    place = round(begin_s, 3), round(end_s, 3)
                    flags.append(QualityFlag("times", *place, round(back_s, 3), limit_s))
                start_s = max(last.start_s, min(last.end_s, word.end_s))
                own = replace(word, start_s=start_s, end_s=max(word.end_s, start_s))
            words.append(own)
            last = own
        if words and tuple(words) != segment.words:
            start_s, end_s = words[0].start_s, max(word.end_s for word in words)
            segment = replace(segment, start_s=start_s, end_s=end_s, words=tuple(words))
        ordered.append(segment)
    return ordered, tuple(flags)


def middle_s(word: Word) -> float:
    # A word that is stretched over missing speech has its true place at its end.
    return (max(word.start_s, word.end_s - LONGEST_WORD_S) + word.end_s) / 2


def restore_segment_times(time_map: TimestampMap, segments: Iterable[Segment]) -> list[Segment]:
    """Return segments in the medium's times; one over a trimmed pause is split into several."""
    return [part for segment in segments for part in _split_at_cuts(time_map, segment)]


def _split_at_cuts(time_map: TimestampMap, segment: Segment) -> Iterator[Segment]:
    rows = [tuple(row) for _, row in groupby(segment.words, key=time_map.piece)]
    decoding = segment.decoding
    if decoding is not None:
        decoding = replace(decoding, window_s=time_map.start(decoding.window_s))
        decoding = decoding if len(rows) == 1 else _without_tokens(decoding)
    for row in rows:
        words = tuple(time_map.word(word) for word in row)
        text = segment.text if len(rows) == 1 else join_words(words, segment.language)
        start_s, end_s = words[0].start_s, max(word.end_s for word in words)
        yield replace(
            segment, start_s=start_s, end_s=end_s, text=text, words=words, decoding=decoding
        )
