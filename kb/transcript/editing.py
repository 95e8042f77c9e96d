"""Changes of a transcript's text by hand; unchanged words keep their times.

The functions are pure: they return the new segments and the changes, which
`kb.service.revisions` writes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from kb.transcript.chunks import collapse_whitespace, pieces
from kb.types import Coverage, Segment, SpeechSpan, TextChange, Word
from kb.types.quality import LONGEST_UNCOVERED_S, REACH_S
from kb.types.words import UNSPACED

MANUAL_PROBABILITY = 1.0  # the probability of a word that a person wrote


def replace_text(segment: Segment, text: str) -> Segment:
    """Return the segment with another text; unchanged words keep time and probability.

    Words that replace others divide the time of those by length; words inserted between two words
    divide the pause between these. Spaces separate the words of the text.
    """
    text = collapse_whitespace(text)
    old = segment_words(segment)
    tokens = text.split(" ")
    matcher = SequenceMatcher(None, [w.text for w in old], tokens, autojunk=False)
    words: list[Word] = []
    for kind, first, last, token_start, end in matcher.get_opcodes():
        if kind == "equal":
            words.extend(old[first:last])
        elif kind in ("replace", "insert"):
            start_s = old[first - 1].end_s if first else segment.start_s
            end_s = old[last].start_s if last < len(old) else segment.end_s
            if kind == "replace":
                start_s, end_s = old[first].start_s, old[last - 1].end_s
            words.extend(spread(tokens[token_start:end], start_s, max(start_s, end_s)))
    return replace(segment, text=text, words=tuple(words))


def segment_words(segment: Segment) -> list[Word]:
    """Return the segment's words in the form of its text, punctuation included."""
    found = pieces(segment)
    if len(found) != len(segment.words) or any(piece.glued for piece in found):
        chance = min((w.probability for w in segment.words), default=MANUAL_PROBABILITY)
        tokens = collapse_whitespace(segment.text).split(" ") if segment.text.strip() else []
        spans = spread(tokens, segment.start_s, segment.end_s)
        return [replace(word, probability=chance) for word in spans]
    return [
        Word(piece.start_s, piece.end_s, piece.text, word.probability)
        for piece, word in zip(found, segment.words, strict=True)
    ]


def spread(tokens: Sequence[str], start_s: float, end_s: float) -> list[Word]:
    """Distribute words over a span of time, each by its number of characters."""
    total = sum(len(token) + 1 for token in tokens)
    words: list[Word] = []
    done = 0
    for token in tokens:
        start = start_s + (end_s - start_s) * done / total
        done += len(token) + 1
        until = start_s + (end_s - start_s) * done / total
        words.append(Word(round(start, 3), round(until, 3), token, MANUAL_PROBABILITY))
    return words


def text_between(segments: Iterable[Segment], start_s: float, end_s: float) -> str:
    """Return the words whose middle is between two times, in the form of the text."""
    near = (s for s in segments if s.start_s < end_s and s.end_s > start_s)
    words = [word for segment in near for word in segment_words(segment)]
    return " ".join(w.text for w in words if start_s <= (w.start_s + w.end_s) / 2 < end_s)


def edit_segment(
    segments: Sequence[Segment], place: int, text: str
) -> tuple[list[Segment], tuple[TextChange, ...]]:
    """Return all segments with the text of one replaced, and the change.

    A `text` without words removes the segment. The same text changes nothing. Raises IndexError
    if there is no such segment.
    """
    if not 0 <= place < len(segments):
        raise IndexError(place)
    before = segments[place]
    if collapse_whitespace(text) == collapse_whitespace(before.text):
        return list(segments), ()
    after = replace_text(before, text) if text.strip() else None
    changed = [*segments[:place], *([after] if after else []), *segments[place + 1 :]]
    return changed, (TextChange(place, before, after),)


def edit_span(
    segments: Sequence[Segment], start_s: float, end_s: float, text: str
) -> tuple[list[Segment], tuple[TextChange, ...]]:
    """Return all segments with the words between two times replaced, and the changes.

    A word is between the times if its middle is. The first segment that loses a word gets the new
    text; if none loses a word, the text becomes a new segment.
    """
    tokens = collapse_whitespace(text).split(" ") if text.strip() else []
    changed: list[Segment] = []
    changes: list[TextChange] = []
    placed = False
    for place, segment in enumerate(segments):
        words = segment_words(segment)
        kept = [w for w in words if not start_s <= (w.start_s + w.end_s) / 2 < end_s]
        if len(kept) == len(words):
            changed.append(segment)
            continue
        own: list[Word] = []
        if not placed:
            own, placed = spread(tokens, start_s, end_s), True
        after = _segment_with_words(segment, sorted([*kept, *own], key=lambda w: w.start_s))
        if after is not None and collapse_whitespace(after.text) == collapse_whitespace(
            segment.text
        ):
            changed.append(segment)
            continue
        changes.append(TextChange(place, segment, after))
        if after is not None:
            changed.append(after)
    if tokens and not placed:
        words = spread(tokens, start_s, end_s)
        place = bisect_right([s.start_s for s in changed], start_s)
        language = segments[min(place, len(segments) - 1)].language if segments else None
        after = Segment(start_s, end_s, collapse_whitespace(text), tuple(words), language)
        changed.insert(place, after)
        changes.append(TextChange(place, None, after))
    return changed, tuple(changes)


def _segment_with_words(segment: Segment, words: Sequence[Word]) -> Segment | None:
    if not words:
        return None
    return replace(
        segment,
        start_s=min(segment.start_s, words[0].start_s) if words[0] else segment.start_s,
        end_s=max(words[-1].end_s, words[0].end_s),
        text=" ".join(word.text for word in words),
        words=tuple(words),
    )


def correct(
    segments: Sequence[Segment], wrong: str, right: str
) -> tuple[list[Segment], tuple[TextChange, ...]]:
    """Return all segments with every occurrence of a wording replaced, and the changes.

    Replaces only whole words (except in scripts without spaces), in upper or lower case; several
    words must be adjacent within one segment. An occurrence that is correct already is no change.
    """
    pattern = phrase_pattern(wrong)
    changed: list[Segment] = []
    changes: list[TextChange] = []
    for place, segment in enumerate(segments):
        text = pattern.sub(lambda _: right, collapse_whitespace(segment.text))
        if text == collapse_whitespace(segment.text):
            changed.append(segment)
            continue
        after = replace_text(segment, text) if text.strip() else None
        changes.append(TextChange(place, segment, after))
        if after is not None:
            changed.append(after)
    return changed, tuple(changes)


def phrase_pattern(words: str) -> re.Pattern[str]:
    """Return a pattern that matches the given words, in upper or lower case, with any spacing."""
    core = r"\s+".join(re.escape(part) for part in words.split())
    if not UNSPACED.search(words):
        core = rf"(?<!\w){core}(?!\w)"
    return re.compile(core, re.IGNORECASE)


def update_coverage(coverage: Coverage, words: Iterable[Word]) -> Coverage:
    """Return the coverage after words were added in gaps.

    Gaps become shorter or are removed, lost sound that has words now is no longer lost; nothing
    else changes.
    """
    covered = sorted((w.start_s - REACH_S, w.end_s + REACH_S) for w in words)
    gaps: list[SpeechSpan] = []
    for gap in coverage.gaps:
        at_s = gap.start_s
        for start, end in covered:
            if end <= at_s or start >= gap.end_s:
                continue
            if start - at_s > LONGEST_UNCOVERED_S:
                gaps.append(SpeechSpan(at_s, round(start, 3)))
            at_s = max(at_s, end)
        if gap.end_s - at_s > (LONGEST_UNCOVERED_S if at_s > gap.start_s else 0.0):
            gaps.append(SpeechSpan(round(at_s, 3), gap.end_s))
    missing_s = sum(gap.duration_s for gap in gaps)
    lost = tuple(
        span
        for span in coverage.lost
        if any(gap.start_s < span.end_s and gap.end_s > span.start_s for gap in gaps)
    )
    return replace(
        coverage,
        covered_s=round(coverage.speech_s - missing_s, 3),
        gaps=tuple(gaps),
        lost=lost,
    )
