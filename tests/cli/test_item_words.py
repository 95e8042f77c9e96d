"""Words about doubtful places and expected errors of one item on the command line."""

from __future__ import annotations

import pytest

from kb.cli.output.doubts import print_expected_errors, print_uncertain_spans
from kb.types import (
    Coverage,
    MediaRef,
    QualityFlag,
    Segment,
    SpeechSpan,
    Timing,
    Transcript,
    WindowReport,
    Word,
)
from kb.types.quality import FLAG_WORDS

COMPARED = Coverage(20.0, 20.0)
NOT_COMPARED = Coverage(0.0, 0.0)


def transcript(coverage: Coverage, *flags: QualityFlag) -> Transcript:
    words = (Word(0.5, 0.9, "harbour", 0.75),)
    window = WindowReport(0.0, 30.0, 20.0, 20.0, (), flags)
    return Transcript(
        MediaRef("talk.wav", "0" * 64, 30.0), (Segment(0.5, 0.9, "harbour", words, "en"),),
        "en", "whisper", "demo", "optimiert", coverage, Timing(), windows=(window,),
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(FLAG_WORDS))
def test_a_doubtful_place_says_in_words_what_speaks_against_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_uncertain_spans(transcript(COMPARED, QualityFlag(name, 3.0, 5.0, 1.0, 0.5)))
    assert f"00:03 - 00:05  {FLAG_WORDS[name]}" in capsys.readouterr().err


def test_an_unknown_sign_is_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_uncertain_spans(transcript(COMPARED, QualityFlag("new_one", 3.0, 5.0, 1.0, 0.5)))
    assert "00:03 - 00:05  new one" in capsys.readouterr().err


def test_a_gap_says_that_there_are_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_uncertain_spans(transcript(Coverage(20.0, 18.0, (SpeechSpan(3.0, 5.0),))))
    assert "00:03 - 00:05  no words" in capsys.readouterr().err


@pytest.mark.parametrize(("coverage", "remarked"), [(COMPARED, True), (NOT_COMPARED, False)])
def test_a_text_of_another_program_has_no_remark_about_a_recognizer(
    coverage: Coverage, remarked: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    print_expected_errors(transcript(coverage))
    assert ("recognizer" in capsys.readouterr().err) is remarked
