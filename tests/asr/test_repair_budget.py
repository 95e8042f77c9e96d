"""The budget of a run: what whole windows and places of single words may spend."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from gpu.manager import GPUManager
from kb.asr.batching.window_queue import BatchedWindow
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.candidates import RepairCandidate
from kb.asr.quality.repair import RepairQueue
from kb.asr.quality.repair_budget import ADVANCE, RepairBudget
from kb.asr.quality.repair_plan import RepairPlan, RepairRequest
from kb.asr.quality.window_context import Thresholds
from kb.settings import Settings
from tests.support.each_case import check_each
from tests.support.window_texts import FIRST, context, window

LIMITS = Thresholds.of(Settings())


def test_a_budget_holds_the_share_over_a_run() -> None:
    budget = RepairBudget()
    assert budget.try_spend(ADVANCE, 0.3)  # the advance
    assert not budget.try_spend(0.25, 0.3, places=True)
    for _ in range(40):
        budget.add_window()
    left = 0.3 * 40 - ADVANCE
    assert budget.can_spend(left, 0.3, places=True)
    assert not budget.can_spend(left + 0.1, 0.3, places=True)
    assert budget.try_spend(left, 0.3, places=True)
    assert budget.spent == pytest.approx(0.3 * budget.windows)
    budget.adjust(-1.0)  # returns an unused part
    assert budget.try_spend(1.0, 0.3, places=True)
    budget.adjust(5.0)  # adds a cost above the estimate
    assert not budget.can_spend(0.25, 0.3, places=True)


CASES = {
    # name: (windows, spent, cost, whole windows may spend it, places may spend it)
    "the advance": (0, 0.0, ADVANCE, True, True),
    "more than the advance": (0, 0.0, ADVANCE + 0.1, False, False),
    "what windows bring to places": (10, ADVANCE, 0.9, False, True),
    "more than they bring": (10, ADVANCE, 1.1, False, False),
    "places may take the advance": (10, 0.0, ADVANCE + 1.0, False, True),
    "the share without that of places": (100, 0.0, 20.0, True, True),
    "more than that": (100, 0.0, 20.1, False, True),
    "the share of places": (100, 20.0, 10.0, False, True),
    "more than the share": (100, 20.0, 10.1, False, False),
    "places have spent some of the rest": (100, 15.0, 5.0, True, True),
    "places have spent all": (100, 30.0, 0.05, False, False),
}


def test_whole_windows_leave_a_part_of_the_budget_to_places() -> None:
    def check(name: str) -> None:
        windows, spent, cost, whole, places = CASES[name]
        budget = RepairBudget()
        for _ in range(windows):
            budget.add_window()
        budget.adjust(spent)
        assert budget.can_spend(cost, 0.3) is whole
        assert budget.can_spend(cost, 0.3, places=True) is places

    check_each(CASES, check)


def test_a_budget_is_not_overdrawn_from_several_threads() -> None:
    budget = RepairBudget()
    for _ in range(1000):
        budget.add_window()
    paid: list[bool] = []

    def spend() -> None:
        paid.extend(budget.try_spend(1.0, 0.3, places=True) for _ in range(200))

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(paid) == 300


class Mute:
    """Answers every request with no words, and notes it."""

    def __init__(self) -> None:
        self.asked: list[RepairRequest] = []

    def submit(self, request: RepairRequest) -> Future[BatchedWindow]:
        self.asked.append(request)
        found: Future[BatchedWindow] = Future()
        empty = DecodingResult((), "en", -0.1, 0.0, request.window.start_s)
        found.set_result(BatchedWindow(empty, 0.0, 0.0, GPUManager("cpu", cpu_threads=1)))
        return found


def _read(desk: Mute, budget: RepairBudget, speech_s: tuple[float, float]) -> None:
    """Repair a medium of one window that has no word for some speech."""
    repairs = RepairQueue(
        desk.submit,
        RepairPlan(share=0.3, temperatures=(0.2, 0.6), beams=5),
        limit_s=30.0,
        decoding_methods=frozenset({"temperature", "beam"}),
        check=lambda: None,
        budget=budget,
    )
    budget.add_window()
    facts = context(FIRST, ((0.9, 2.1), (3.9, 4.5), speech_s))
    repairs.add(RepairCandidate(window(), facts, LIMITS))
    repairs.finish()


def test_places_are_read_after_media_whose_whole_windows_have_spent_their_part() -> None:
    desk, budget = Mute(), RepairBudget()
    for _ in range(12):  # long speech without a word
        _read(desk, budget, (5.0, 12.0))
    assert budget.spent == pytest.approx(ADVANCE, abs=1.0)
    assert not any(request.place for request in desk.asked)
    before = len(desk.asked)
    _read(desk, budget, (5.0, 5.7))
    assert len(desk.asked) > before
    assert all(request.place for request in desk.asked[before:])
