"""Text of a model that cannot speak: what is flagged, and what people do say."""

from __future__ import annotations

import pytest

from kb.asr.engines.base import DecodingResult
from kb.asr.quality.checks import check
from kb.asr.quality.unreadable_words import is_unreadable
from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.settings import Settings
from kb.types import Segment, SpeechSpan, Word

LIMITS = Thresholds.of(Settings())


def flags(text: str) -> list[str]:
    """Return the names of the flags of a window of this text, spoken at two words a second."""
    words = tuple(Word(0.5 * i, 0.5 * i + 0.4, part, 0.9) for i, part in enumerate(text.split(" ")))
    segment = Segment(words[0].start_s, words[-1].end_s, text, words, "en")
    context = WindowContext(
        0.0, 30.0, 0.0, 30.0, DecodingResult((segment,), "en", -0.1, 0.0, 0.0),
        (SpeechSpan(0.0, words[-1].end_s),), languages=("en",),
    )  # fmt: skip
    return [flag.name for flag in check(context, LIMITS)]


@pytest.mark.parametrize(
    "text",
    [
        "<|6.06|> <|12.14|>",
        "<|endoftext|>",
        "the <|nospeech|> harbour",
        "<|startoftranscript|><|en|> harbour",
        "<unk> <unk> winter",
        "<0xE2><0x96><0x81>",
        "[PAD] [PAD]",
        "Ġwinter Ġbegins Ġat Ġthe Ġharbour",
        "Ġwinter Ġbegins",
        "winterĠbegins earlyĠat",
        "the end.Ċ",
        "▁the ▁harbour",
        "winter▁begins",
        "caf\ufffd in winter",
        "!!!!!!!!!!!!",
        "! ! ! ! ! !",
        "... ... ... ...",
        "................................",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "♪ ♪ ♪ ♪",
        "?? !! ,,",
    ],
)
def test_text_that_cannot_be_said_is_flagged(text: str) -> None:
    assert "unreadable" in flags(text)
    assert is_unreadable(text) or len(text.split()) > 1


@pytest.mark.parametrize(
    "text",
    [
        "the harbour is quiet in winter",
        "Well ... I do not know ...",
        "Stop!!! Now!",
        "No! No! No!",
        "nooooooo he said",
        "hmmmmmmm",
        "Ġorġ mar il-Belt u Ġanni baqa' d-dar",  # Maltese
        "Il-Ġimgħa ddum is-Sibt",
        "IL-ĠIMGĦA",
        "ĊENSU u MARĠ",
        "Ġ. Borg u Ċ. Vella",
        "$100 <> 5% & more",
        "a < b and b > c",
        "1000000000000",
        "C++ or C#",
        "你好……",
        "— yes —",
        "ha ha",
        "[laughs] so funny",
        "e.g. i.e.",
    ],
)
def test_what_people_say_is_not(text: str) -> None:
    assert "unreadable" not in flags(text)
    assert not is_unreadable(text)


def test_the_flag_has_the_times_of_the_words() -> None:
    words = [Word(1.0, 1.4, "harbour", 0.9), Word(2.0, 2.4, "<|2.00|>", 0.9)]
    segment = Segment(1.0, 2.4, "", tuple(words), "en")
    context = WindowContext(
        0.0, 30.0, 0.0, 30.0, DecodingResult((segment,), "en", -0.1, 0.0, 0.0),
        (SpeechSpan(0.9, 2.5),), languages=("en",),
    )  # fmt: skip
    (flag,) = [each for each in check(context, LIMITS) if each.name == "unreadable"]
    assert (flag.start_s, flag.end_s, flag.value) == (2.0, 2.4, 1)
