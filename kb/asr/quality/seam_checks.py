"""Words of the sound that two windows share, which one of their texts has and the joined one not.

The two texts are readings of the same sound with other borders. Where one has a word more, and the
joined text has the time for it, a word was lost. The rule and the figures are ours. Measured in
3,000 words of talk without pauses: of 40 words that one of two texts has alone, two were lost, with
0.76 and 1.12 of their time left for them; for the others, which are misheard or cut at a border, it
was at most 0.55.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from kb.asr.quality.pace import Pace
from kb.asr.quality.report import WindowResult
from kb.asr.quality.window_context import make_flag
from kb.asr.quality.word_edits import same_times
from kb.asr.stitching import WindowText, matched_words, middle_s
from kb.types import QualityFlag, Segment, Word

SEAM_DISAGREEMENT = "disagreement"  # its value: the number of readings that have the word
ROOM_SHARE = 0.65  # of the time that the word needs
NEAR_S = 1.0  # words so far outside of the shared sound may be the neighbours of one in it


def with_seam_doubts(
    results: Iterable[WindowResult],
    texts: Sequence[WindowText],
    segments: Sequence[Segment],
    pace: Pace,
) -> list[WindowResult]:
    """Return the windows' results, with a flag at each word that the joined text may have lost.

    `segments`: the joined text; all times are those of the trimmed sound.
    """
    doubts: dict[int, list[QualityFlag]] = defaultdict(list)
    words = [word for segment in segments for word in segment.words]
    own = defaultdict[int, list[Word]](list)
    for text in texts:
        own[text.index] += [w for segment in text.decoded.segments for w in segment.words]
    for text in texts:
        from_s, to_s = text.start_s, text.start_s + text.overlap_s
        near = [w for w in words if w.end_s > from_s - NEAR_S and w.start_s < to_s + NEAR_S]
        for index in (text.index - 1, text.index) if text.overlap_s > 0 else ():
            shared = [word for word in own[index] if from_s < middle_s(word) < to_s]
            for word in lost_words(shared, near, pace):
                doubts[index].append(
                    make_flag(SEAM_DISAGREEMENT, word.start_s, word.end_s, 1.0, 0.0)
                )
    return [replace(r, flags=(*r.flags, *doubts.pop(r.index, ()))) for r in results]


def lost_words(own: Sequence[Word], joined: Sequence[Word], pace: Pace) -> Iterator[Word]:
    """Yield the words of one text that the joined text has not, but has the time for.

    A word at the same times is another reading of it.
    """
    pairs = matched_words(own, joined)
    matched = {id(word) for pair in pairs for word in pair}
    left = [word for word in joined if id(word) not in matched]
    for word in own:
        if id(word) in matched or any(same_times(word, other) for other in left):
            continue
        before = [other for other in joined if middle_s(other) < middle_s(word)][-1:]
        around = before + [other for other in joined if middle_s(other) >= middle_s(word)][:1]
        if len(around) < 2:
            continue
        room_s = around[1].end_s - around[0].start_s - pace.expected_s(around)
        if room_s >= ROOM_SHARE * pace.expected_s([word]):
            yield word
