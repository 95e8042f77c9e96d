"""The queue of places: which are decoded again, together with which others, and which are not.

Each window has the text of `tests/support/window_texts.py` and one hole behind a word. A reading of
a place has no words, so that all its readings are asked for.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import pytest

from gpu.manager import GPUManager
from kb.asr.batching.batcher import BatchedWindow
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.candidates import RepairCandidate
from kb.asr.quality.place_packs import BETWEEN_S
from kb.asr.quality.repair import FULL_SHARE, RepairQueue
from kb.asr.quality.repair_plan import RepairPlan, RepairRequest
from kb.asr.quality.repair_steps import answer_fading, is_misheard
from kb.asr.quality.window_context import Thresholds
from kb.settings import Settings
from kb.types import QualityFlag, SpeechSpan
from tests.support.window_texts import context, decoded, window, words

LIMIT_S = 30.0
LIMITS = Thresholds.of(Settings())
PLAN = RepairPlan(share=100.0, temperatures=(), beams=1)
SAID = "quiet harbour story winter garden planet mountain river island bridge"
ROW = " ".join(f"{word}@{n / 2 + 1:.1f}-{n / 2 + 1.4:.1f}" for n, word in enumerate(SAID.split()))


def candidate(hole_s: float = 0.7, sure_s: float | None = None, chance: float = 0.9,
              text: str = ROW) -> RepairCandidate:  # fmt: skip
    """Return a window whose speech lasts for `hole_s` without a word behind the last one.

    `sure_s` of it are speech of the stricter detection (default: all of it).
    """
    last_s = words(text)[-1].end_s
    end_s = last_s + 0.1 + hole_s  # the ledger's reach of a word
    sure = (SpeechSpan(1.0, last_s + 0.1 + (hole_s if sure_s is None else sure_s)),)
    facts = replace(context(text, ((1.0, end_s),)), sure=sure)
    (segment,) = facts.decoded.segments
    own = tuple(replace(word, probability=chance) for word in segment.words)
    facts = replace(facts, decoded=replace(facts.decoded, segments=(replace(segment, words=own),)))
    return RepairCandidate(replace(window(), speech=sure), facts, LIMITS)


@dataclass
class Desk:
    """Takes requests and answers each with no words, at once."""

    asked: list[RepairRequest] = field(default_factory=list)

    def submit(self, request: RepairRequest) -> Future[BatchedWindow]:
        self.asked.append(request)
        found: Future[BatchedWindow] = Future()
        empty = DecodingResult((), "en", -0.1, 0.0, request.window.start_s)
        found.set_result(BatchedWindow(empty, 0.0, 0.0, GPUManager("cpu", cpu_threads=1)))
        return found


def queue(desk: Desk) -> RepairQueue:
    made = RepairQueue(
        desk.submit, PLAN, limit_s=LIMIT_S, decoding_methods=frozenset(), check=lambda: None
    )
    for _ in range(20):
        made._budget.add_window()
    return made


def test_places_wait_until_they_fill_a_window() -> None:
    desk = Desk()
    repairs = queue(desk)
    added = 0
    while not desk.asked:
        repairs.add(candidate())
        added += 1
        assert repairs.step() == []
        assert added < 20
    (first,) = desk.asked
    assert FULL_SHARE * LIMIT_S <= first.window.duration_s + BETWEEN_S * added <= LIMIT_S + 5
    assert first.window.duration_s <= LIMIT_S


def test_every_window_of_places_but_the_last_ones_is_full() -> None:
    desk = Desk()
    repairs = queue(desk)
    done = []
    for _ in range(40):
        repairs.add(candidate())
        done += repairs.step()
    done += repairs.finish()
    assert len(done) == 40
    lengths_s = [request.window.duration_s for request in desk.asked]
    assert all(request.place for request in desk.asked)
    least_s = FULL_SHARE * LIMIT_S - BETWEEN_S * 10
    # At the end there is one round less full for each reading of a place.
    assert sum(length_s < least_s for length_s in lengths_s) <= 2


def test_the_room_that_is_left_takes_the_further_readings() -> None:
    desk = Desk()
    repairs = queue(desk)
    for _ in range(2):
        repairs.add(candidate())
    assert repairs.step() == []
    assert len(repairs.finish()) == 2
    (only,) = desk.asked  # all readings of both places
    assert only.window.duration_s <= LIMIT_S


@pytest.mark.parametrize("places", [4, 7, 9])
def test_readings_return_to_their_places(places: int) -> None:
    """Each place gets its own readings, whether they came with others or in a later round."""
    desk = Desk()
    repairs = queue(desk)
    for number in range(places):
        made = candidate()
        made.window = replace(made.window, index=number)
        repairs.add(made)
    done = repairs.finish()
    assert sorted(each.window.index for each in done) == list(range(places))
    for each in done:
        assert len(each.open) == 1
        assert len(each.open[0].readings) == 3


@pytest.mark.parametrize(
    ("hole_s", "sure_s", "chance", "answered"),
    [
        (0.3, 0.05, 0.9, True),
        (0.38, 0.0, 0.9, True),
        (0.3, 0.2, 0.9, False),  # sure speech: a word may be lost there
        (0.7, 0.0, 0.9, False),  # too long
        (0.3, 0.05, 0.6, False),  # where words are misheard, nothing is answered
    ],
)
def test_a_short_hole_without_sure_speech_hides_no_word(
    hole_s: float, sure_s: float, chance: float, answered: bool
) -> None:
    made = candidate(hole_s, sure_s, chance)
    assert [flag.name for flag in made.flags] == ["uncovered"]
    answer_fading(made)
    assert bool(made.answered) == answered
    assert bool(made.flags) != answered
    assert bool(made.result().answered) == answered


@pytest.mark.parametrize(("begins_s", "answered"), [(6.3, False), (7.0, True)])
def test_before_a_word_detection_is_late_and_nothing_is_answered(
    begins_s: float, answered: bool
) -> None:
    made = candidate(0.3, 0.0, text=f"{ROW} winter@{begins_s}-{begins_s + 0.3}")
    flag = QualityFlag("uncovered", 6.0, 6.3, 0.3, 0.2)
    last_s = words(ROW)[-1].end_s
    assert last_s + 0.1 == pytest.approx(flag.start_s)
    made.context = replace(made.context, sure=(SpeechSpan(1.0, 6.0),))
    made.flags = (flag,)
    answer_fading(made)
    assert bool(made.answered) == answered


def test_without_detection_no_hole_is_answered() -> None:
    made = candidate(0.3, 0.0)
    made.context = replace(made.context, sure=None)
    answer_fading(made)
    assert made.flags and not made.answered


def test_places_of_misheard_windows_are_reported_and_not_decoded_again() -> None:
    desk = Desk()
    repairs = queue(desk)
    repairs.add(candidate(chance=0.6))
    (done,) = repairs.finish()
    assert desk.asked == []
    assert [flag.name for flag in done.flags] == ["uncovered"]


def test_a_few_unlikely_words_may_be_invented_and_are_read_again() -> None:
    few = decoded(" ".join(ROW.split()[:5])).segments[0].words
    assert not is_misheard([replace(word, probability=0.3) for word in few])
    assert is_misheard([replace(word, probability=0.7) for word in words(ROW)])
    assert not is_misheard(words(ROW))
