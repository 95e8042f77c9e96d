"""Random transcripts, an item for them, and the words of a text to compare."""

from __future__ import annotations

import random
import re
from typing import Any

from kb.types import (
    Chapter,
    Coverage,
    MediaItem,
    MediaRef,
    Segment,
    SpeechSpan,
    Timing,
    Transcript,
    Word,
)

WORDS = (
    "we the a knowledge base, models -- learn & grow; don't stop. Why? “Because” <b>it</b> is "
    "3.14 *bold* _under_ =SUM(A1) -5 +49 @home Größe naïve 东京 日本語 👩‍👩‍👧 --> 12 "
    "https://example.org/a/very/long/address/that/no/line/can/hold?x=1 \\back `tick` [x](y) $5 #1"
)

VOCABULARY = WORDS.split()


def make_transcript(
    segments: tuple[Segment, ...], *, timestamps: str = "segment", chunk_s: float = 30.0
) -> Transcript:
    return Transcript(
        media=MediaRef("talks/Größe.mp4", "ab" * 32, 4000.5),
        segments=segments,
        language="en",
        engine="whisper",
        model="demo",
        preset="optimiert",
        coverage=Coverage(100.1, 99.7, (SpeechSpan(3.3, 3.7),), 2),
        timing=Timing(0.1, 0.2, 0.3, 4.4, 0.5, 6.6, 4000.5),
        chunk_s=chunk_s,
        timestamps="word" if timestamps == "word" else "segment",
        warnings=("The medium ends early.",),
    )


def random_transcript(seed: int, **options: Any) -> Transcript:
    """Speech at natural rates with everything that recognizers get up to."""
    rng = random.Random(seed)
    segments: list[Segment] = []
    now = rng.choice([0.0, 0.0, 3580.0])
    for _ in range(rng.randint(1, 40)):
        now += rng.choice([0.0, 0.0, 0.05, 0.4, 2.0, 15.0])
        words: list[Word] = []
        for _ in range(rng.choice([1, 1, 3, 8, 15, 40, 150])):
            start = now
            now += rng.choice([0.0, 0.1, 0.2, 0.3, 0.45, 0.6])
            words.append(Word(start, now, rng.choice(VOCABULARY), rng.random()))
            now += rng.choice([0.0, 0.0, 0.02, 0.1, 1.5])
        text = " ".join(word.text for word in words)
        kind = rng.random()
        start, end = words[0].start_s, words[-1].end_s
        if kind < 0.1:
            words = []  # an engine without word times
        elif kind < 0.2:
            words = words[: len(words) // 2]  # words that do not make up the text
        elif kind < 0.3:
            text = f"  {text}\n"
        language = rng.choice([None, None, "en", "de"])
        segments.append(Segment(start, end, text, tuple(words), language))
    return make_transcript(tuple(segments), **options)


SEEDS = range(35)

ITEM = MediaItem(
    id="youtube:-a_b-c_d-e_",
    source="youtube",
    url="https://www.youtube.com/watch?v=-a_b-c_d-e_",
    title="Why *we* <learn> [now] #1",
    published="2024-05-01",
    channel="Sample & Sons",
    chapters=(Chapter(0.0, "Start"), Chapter(60.0, "The *end*")),
)


def spoken(transcript: Transcript) -> list[str]:
    return " ".join(segment.text for segment in transcript.segments).split()


def letters(text: str) -> str:
    """Without any space, as cues may break where none is, and without the joiner in a tag."""
    return re.sub(r"[\s\u2060]+", "", text)
