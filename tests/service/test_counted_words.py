"""Words are counted alike, with and without times; what steps became is counted, too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kb.cli.commands.enrich import _outcome
from kb.pipeline.evidence import quoted
from kb.pipeline.evidence_pack import _origin
from kb.service import ItemStatus, Service
from kb.service.notation import format_length
from kb.service.results import StepStatus
from kb.settings import Settings
from kb.types import Segment, Word
from tests.support.kept_transcripts import transcript

SRT = """1
00:00:01,000 --> 00:00:03,000
Hello to all

2
00:00:04,000 --> 00:00:06,000
And good bye
"""


def line(start_s: float, text: str, *, timed: bool) -> Segment:
    words = [Word(start_s + n, start_s + n + 1, each, 0.9) for n, each in enumerate(text.split())]
    return Segment(start_s, start_s + len(words), text, tuple(words) if timed else ())


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([line(0, "one two three", timed=True)], 3),
        ([line(0, "one two three", timed=False)], 3),
        ([line(0, "one two", timed=True), line(9, "three", timed=False)], 3),
        ([line(0, "", timed=False)], 0),
    ],
)
def test_words_without_times_are_words(lines: list[Segment], count: int) -> None:
    assert transcript(*lines).word_count == count


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "00:00"), (14.6, "00:15"), (59.7, "01:00"), (3599.6, "1:00:00")]
)
def test_lengths_are_rounded(seconds: float, shown: str) -> None:
    assert format_length(seconds) == shown


def test_subtitles_taken_in_have_words_and_an_origin(
    tmp_path: Path,
) -> None:
    service = Service(Settings(KB_HOME=str(tmp_path / "home"), KB_MODEL="demo"))
    service.library.media_folder.mkdir(parents=True)
    (service.library.media_folder / "2024-03-01_Old talk_video.srt").write_text(SRT, "utf-8")
    (taken,) = service.search.reindex().taken_in
    entry = service.library.entries()[0]
    found = service.items.transcript(entry.item.id)
    assert taken and found.word_count == entry.word_count == 6

    named = tuple(replace(each, speaker="Ada") for each in found.segments)
    found = replace(found, segments=named)
    facts = quoted(entry, found, 0.0, 3.5, "2026-01-01").facts
    assert facts["words"] == [] and facts["reading"]["is_taken_in"]
    (said,) = facts["lines"]
    assert (said["start_s"], said["end_s"], said["speaker"]) == (1.0, 3.0, "Ada")
    origin = _origin(facts)
    assert "2024-03-01_Old talk_video.srt" in origin and "read by a machine" not in origin
    service.close()


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (["done", "done"], "2 steps carried out."),
        (["skipped", "skipped"], "2 steps skipped."),
        (["done", "skipped"], "1 step carried out, 1 step skipped."),
        (["failed", "done"], "1 step carried out, 1 step failed."),
        (["waiting", "cancelled"], "1 step cancelled, 1 step waiting."),
    ],
)
def test_steps_are_counted_by_what_became_of_them(states: list[str], said: str) -> None:
    names = ("summary", "chapters")
    steps = tuple(StepStatus(name, state) for name, state in zip(names, states, strict=True))
    item = ItemStatus("one", "One", "done", "done", steps=(*steps, StepStatus("screen", "done")))
    assert _outcome([(name, "one") for name in names], [item]) == said
