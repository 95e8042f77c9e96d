"""Talks whose words crowd: several at one time, small steps back, speech that begins too early.

Every word is written once in a talk, so that a cue shows which one it has.
"""

from __future__ import annotations

import random

from kb.types import Segment, Transcript, Word
from tests.support.random_transcripts import make_transcript

WORDS = ("a", "it", "state-of-the-art", "word", "longerword", "https://x.org/abc/def",
         "hyphen-ated,", "(so)")  # fmt: skip


def crowded_talk(seed: int) -> Transcript:
    rng = random.Random(seed)
    segments: list[Segment] = []
    now_s, number = rng.choice([0, 0.01, 5]), 0
    for _ in range(rng.randint(1, 12)):
        words: list[Word] = []
        for _ in range(rng.choice([1, 2, 5, 12, 30])):
            start_s = max(0.0, now_s + rng.choice([0, 0, 0, -0.04, -0.049, 0.02]))
            end_s = start_s + rng.choice([0, 0, 0.02, 0.05, 0.1, 0.3, 0.6, 1.5])
            words.append(Word(start_s, end_s, f"{rng.choice(WORDS)}{number}", 0.9))
            number += 1
            now_s = max(start_s, end_s + rng.choice([0, 0, 0, 0.01, 0.1, 0.3, -0.05]))
        segments.append(
            Segment(
                min(word.start_s for word in words),
                max(word.end_s for word in words),
                " ".join(word.text for word in words),
                tuple(words),
            )
        )
        now_s = max(0.0, now_s + rng.choice([0, 0, -0.09, -0.3, 0.2, 1, 1.5]))
    return make_transcript(tuple(segments))
