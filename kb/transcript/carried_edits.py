"""Changes by hand, made again in a later transcript of the same medium.

A change is found again by its words near its time: a changed part with the word before and after
it. Where the new transcript already reads as a person wrote it, nothing is changed and the change
counts as kept. A change whose words are not there any more is left as a record of the earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from kb.transcript.chunks import collapse_whitespace
from kb.transcript.editing import edit_segment, edit_span, segment_words
from kb.types import Revision, Segment, TextChange

NEAR_S = 5.0  # by which the times of two transcripts of the same words may differ
_NO_SIGNS = str.maketrans("", "", ".,;:!?…\"'“”„‚‘’«»()[]-–—")


@dataclass(frozen=True, slots=True)
class Carried:
    """The segments with the changes made in them, and all revisions.

    Revisions of the new run come last; `lost` counts the changes that were not found again.
    """

    segments: tuple[Segment, ...]
    revisions: tuple[Revision, ...]
    kept: int
    lost: int


def carry_over(segments: Sequence[Segment], revisions: Sequence[Revision], run: int) -> Carried:
    """Make the changes of earlier revisions in the segments of a new transcript, number `run`."""
    present = list(segments)
    earlier: list[Revision] = []
    carried: list[Revision] = []
    lost = 0
    for revision in revisions:
        kept: list[TextChange] = []
        missed: list[TextChange] = []
        for change in revision.changes:
            found = _again(present, change)
            if found is None:
                missed.append(change)
                continue
            present, made = found
            kept.append(made)
        if missed or not revision.changes:
            earlier.append(replace(revision, changes=tuple(missed)))
            lost += len(missed)
        if kept:
            carried.append(replace(revision, changes=tuple(kept), run=run))
    count = sum(len(revision.changes) for revision in carried)
    return Carried(tuple(present), (*earlier, *carried), count, lost)


def _again(segments: list[Segment], change: TextChange) -> tuple[list[Segment], TextChange] | None:
    """Return the segments with a change made, and the change; None if its words are not there."""
    if change.before is None:
        return _inserted(segments, change)
    before = segment_words(change.before)
    after = segment_words(change.after) if change.after is not None else []
    old, new = [w.text for w in before], [w.text for w in after]
    matcher = SequenceMatcher(
        None, [_bare(word) for word in old], [_bare(word) for word in new], autojunk=False
    )
    changed, place, first = list(segments), -1, None
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        if kind == "equal" and old[start:end] == new[new_start:new_end]:
            continue
        at_s = before[min(start, len(before) - 1)].start_s if before else change.before.start_s
        left = old[start - 1 : start] if start else []
        right = old[end : end + 1]
        part = new[new_start:new_end]
        spot = _find(changed, left, old[start:end], right, at_s)
        if spot is None:
            # The recognizer may read now what a person wrote before.
            spot = _find(changed, left, part, right, at_s) if part else None
            if spot is None:
                return None
            place = spot[0]
            continue
        place, at, count = spot
        first = first or changed[place]
        words = [w.text for w in segment_words(changed[place])]
        text = " ".join([*words[:at], *part, *words[at + count :]])
        following, _ = edit_segment(changed, place, text)
        removed = len(following) < len(changed)
        changed = following
        if removed:
            return changed, TextChange(place, first, None)
    if place < 0:  # only white space was changed
        return None
    return changed, TextChange(place, first or change.before, changed[place])


def _inserted(
    segments: list[Segment], change: TextChange
) -> tuple[list[Segment], TextChange] | None:
    """Insert a segment again where the new transcript has no words; see `_again`."""
    assert change.after is not None
    after = change.after
    middle = [
        word
        for segment in segments
        for word in segment_words(segment)
        if after.start_s < (word.start_s + word.end_s) / 2 < after.end_s
    ]
    if not middle:
        changed, made = edit_span(segments, after.start_s, after.end_s, after.text)
        return (changed, made[0]) if made else None
    if [_bare(w.text) for w in middle] == [_bare(w) for w in after.text.split()]:
        place = next(n for n, s in enumerate(segments) if s.end_s > after.start_s)
        return segments, TextChange(place, None, segments[place])
    return None


def _find(
    segments: Sequence[Segment],
    left: Sequence[str],
    words: Sequence[str],
    right: Sequence[str],
    at_s: float,
) -> tuple[int, int, int] | None:
    """Return segment, first word and number of words of a part near a time.

    The words before and after it must be there too, or be missing because a segment ends there.
    Without words (an insertion) both neighbours are needed, unless the part had only one.
    """
    wanted = [_bare(word) for word in words]
    best: tuple[float, int, int] | None = None
    for place, segment in enumerate(segments):
        if segment.start_s > at_s + NEAR_S or segment.end_s < at_s - NEAR_S:
            continue
        found = segment_words(segment)
        texts = [_bare(word.text) for word in found]
        for at in range(len(texts) - len(wanted) + 1):
            end = at + len(wanted)
            if texts[at:end] != wanted:
                continue
            before_fits = not left or (at > 0 and texts[at - 1] == _bare(left[0]))
            after_fits = not right or (end < len(texts) and texts[end] == _bare(right[0]))
            open_start = at == 0 and bool(wanted)
            open_end = end == len(texts) and bool(wanted)
            if not (before_fits or open_start) or not (after_fits or open_end):
                continue
            anchor = found[min(at, len(found) - 1)].start_s if found else segment.start_s
            distance = abs(anchor - at_s)
            if distance <= NEAR_S and (best is None or distance < best[0]):
                best = (distance, place, at)
    return (best[1], best[2], len(wanted)) if best else None


def _bare(word: str) -> str:
    """Return a word without case and punctuation, which recognizers set differently."""
    bare = collapse_whitespace(word).casefold().translate(_NO_SIGNS)
    return bare or word
