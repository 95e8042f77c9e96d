"""Transcripts that must survive every format: the samples' true words, and odd ones."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from kb.types import Coverage, MediaRef, Segment, SpeechSpan, Timing, Transcript, Word

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
_PAUSE_S = 0.35


def transcript(*segments: Segment, language: str = "en") -> Transcript:
    return Transcript(
        media=MediaRef("media/talk.wav", "", max([20.0, *(s.end_s + 1 for s in segments)])),
        segments=segments,
        language=language,
        engine="whisper",
        model="demo",
        preset="",
        coverage=Coverage(0.0, 0.0),
        timing=Timing(),
    )


def sample(path: Path) -> Transcript:
    """Return the true words of a sample as segments that end at pauses."""
    document = json.loads(path.read_text("utf-8"))
    words = [Word(w["start"], w["end"], w["text"], 0.9) for w in document["words"]]
    groups: list[list[Word]] = [[words[0]]]
    for before, word in pairwise(words):
        if word.start_s - before.end_s > _PAUSE_S:
            groups.append([])
        groups[-1].append(word)
    return transcript(*(spoken(*group) for group in groups), language=document["language"])


def spoken(*words: Word, text: str = "", language: str | None = None) -> Segment:
    text = text or " ".join(word.text for word in words)
    return Segment(words[0].start_s, words[-1].end_s, text, words, language)


def said(
    text: str, start_s: float = 1.0, pace_s: float = 0.4, language: str | None = None
) -> Segment:
    """Return a segment with a word for each part between spaces."""
    words = tuple(
        Word(round(start_s + pace_s * n, 3), round(start_s + pace_s * (n + 0.8), 3), word, 0.75)
        for n, word in enumerate(text.split())
    )
    return spoken(*words, text=text, language=language)


def glued(text: str, size: int, start_s: float, language: str) -> Segment:
    """Return a segment of a script without spaces, with a word for each `size` letters."""
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    words = tuple(
        Word(start_s + 0.3 * n, start_s + 0.3 * n + 0.25, part, 0.6) for n, part in enumerate(parts)
    )
    return spoken(*words, text=text, language=language)


KEPT: dict[str, Transcript] = {
    **{path.name.split(".")[0]: sample(path) for path in sorted(SAMPLES.glob("*.truth.json"))},
    "one word": transcript(said("Yes.")),
    "one word each": transcript(said("Yes."), said("No.", 9.0), said("Perhaps.", 17.0)),
    "without words' times": transcript(
        Segment(1.0, 4.0, "We met at the harbour.", ()), Segment(5.0, 9.5, "Then we left.", ())
    ),
    "from the first millisecond": transcript(said("Hello and welcome", 0.0)),
    "after an hour": transcript(said("Before the hour", 3598.2), said("after it and on", 3661.05)),
    "after ten hours": transcript(said("It goes on and on", 36_123.4)),
    "a long pause": transcript(said("Wait for it"), said("here it is", 18.25)),
    "no pause": transcript(
        said("One two three", 1.0), said("four five six", 2.2), said("seven eight", 3.4)
    ),
    "several scripts": transcript(
        said("Good morning, everybody.", 1.0, language="en"),
        glued("今日は港の天気について話します。", 3, 4.0, "ja"),
        said("مرحبا بكم في الميناء", 9.0, language="ar"),
        said("Доброе утро, гавань!", 12.0, language="ru"),
        said("안녕하세요 여러분 반갑습니다", 15.0, language="ko"),
        said("Grüße aus Köln, schön!", 18.0, language="de"),
    ),
    "chinese": transcript(
        glued("我们今天去港口看船。", 2, 1.0, "zh"),
        glued("明天回家。", 2, 5.0, "zh"),
        language="zh",
    ),
    "two speak at once": transcript(
        said("I think that we should go", 2.0), said("No, wait a moment", 2.6), said("Fine.", 6.0)
    ),
    "markup": transcript(
        said("vector<int> and <i>this</i> & that", 1.0),
        said("x < y and y > z here", 5.0),
        said(r"{\an8} is {a} command \N and \h", 9.0),
        said("*bold* _under_ `tick` [x](y) #1 $5 ~no~ | bar", 13.0),
        said("&amp; is no &lt; here", 19.0),
    ),
    "formulas": transcript(
        said("=SUM(A1) is it", 1.0), said("-5 degrees", 4.0), said("- Hello. - Hi.", 7.0),
        said("a;=1+1;b and @home +49", 10.0), said("'tis the 'season'", 14.0),
    ),
    "looks like times": transcript(
        said("10:30 we met there", 1.0), said("at 9:15 or [00:05] again", 4.0),
        said("2024", 8.0), said("1 2 3", 11.0),
    ),
    "addresses": transcript(
        said("See https://example.org/a_b?x=1&y=2 and www.example.org/x now.", 1.0)
    ),
    "quotes and commas": transcript(said('He said, "no"; she said: \'yes\', and so on', 1.0)),
    "joined halves": transcript(
        spoken(
            Word(1.0, 1.4, "well", 0.8), Word(1.4, 1.9, "-known", 0.8), Word(2.0, 2.4, "it", 0.8),
            Word(2.4, 2.6, "'s", 0.8), Word(2.7, 3.0, "true", 0.8), text="well-known it's true",
        )
    ),
    "signs alone": transcript(
        said("Wait", 1.0), said("…", 4.0), said("♪ la la ♪", 6.0), said("?!", 9.0),
        said("👩‍👩‍👧 ok", 12.0),
    ),
    "begins like markup": transcript(
        said(": ) hello", 1.0), said("1. first point", 4.0), said("# no heading", 7.0),
        said("> no quote", 10.0), said("+ plus", 13.0), said("NOTE this", 15.0),
    ),
    "no length": transcript(Segment(2.0, 2.0, "Now!", ()), Segment(5.0, 6.0, "Then we go.", ())),
    "at one time": transcript(
        Segment(2.0, 4.0, "We all speak", ()), Segment(2.0, 5.0, "at the same time", ())
    ),
    "the same again": transcript(said("No no", 1.0), said("No no", 3.0), said("No no", 5.0)),
    "speakers": transcript(
        replace(said("Who is there?", 1.0), speaker="Anna"),
        replace(said("It is only me.", 4.0), speaker="Bob"),
    ),
    "remarks": replace(
        transcript(said("The furnace was built", 1.0), said("in spring", 40.0)),
        coverage=Coverage(4.0, 3.0, (SpeechSpan(8.0, 9.0),)),
        warnings=("The medium ends early.", "12:30 is no time of this text."),
    ),
    "long word": transcript(said(f"Look {'Donaudampfschiff' * 6} there", 1.0)),
}  # fmt: skip
