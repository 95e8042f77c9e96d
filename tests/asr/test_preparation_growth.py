"""The preparation slots grow while batches wait for windows, and shrink when they do not."""

from __future__ import annotations

import pytest

from gpu.devices import NO_DEVICE
from gpu.status import Snapshot
from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.asr.batching.preparation_growth import BATCHES, IDLE_S, PreparationGrowth


class Feeding:
    """A semaphore of `floor` slots, of which `held` are taken, with its control."""

    def __init__(self, floor: int, held: int, cores: int = 16) -> None:
        self.slots = AdjustableSemaphore(floor)
        self.held = 0
        self.want = held
        self.growth = PreparationGrowth(self.slots, lambda: cores)
        self.take()

    def take(self) -> None:
        while self.held < self.want and self.slots.acquire(timeout=0):
            self.held += 1

    def decide(self, waited_s: float, busy_s: float, filled: float = 1.0) -> int:
        """Run the batches of one decision; return the slots after it."""
        for _ in range(BATCHES):
            self.growth.add(waited_s, busy_s, filled)
        self.take()
        return self.slots.count


@pytest.mark.parametrize(
    ("waited_s", "busy_s", "filled", "floor", "held", "cores", "slots"),
    [
        (9.0, 1.0, 1.0, 2, 64, 16, 4),  # a tenth busy: at most twice as many at once
        (0.5, 0.5, 1.0, 4, 64, 16, 7),  # half busy: 4 * 0.875 / 0.5
        (0.0, 1.0, 0.25, 2, 64, 16, 4),  # always busy, with batches that are a quarter full
        (0.25, 0.75, 1.0, 4, 64, 16, 5),  # 75 %: one more
        (0.2, 0.8, 1.0, 4, 64, 16, 4),  # the lower end of the band
        (0.1, 0.9, 1.0, 4, 64, 16, 4),  # inside the band
        (0.05, 0.95, 1.0, 4, 64, 16, 4),  # its upper end
        (0.0, 1.0, 1.0, 4, 64, 16, 4),  # the floor stays where nothing is waited for
        (9.0, 1.0, 1.0, 2, 64, 3, 3),  # the cores end the growth
        (9.0, 1.0, 1.0, 6, 64, 4, 6),  # a floor above the cores stays
        (9.0, 1.0, 1.0, 4, 3, 16, 4),  # a slot is free: more of them do not help
        (IDLE_S + 1, 1.0, 1.0, 2, 64, 16, 2),  # no media for a while
        (0.0, 0.0, 1.0, 2, 64, 16, 2),
    ],
)
def test_a_decision(
    waited_s: float, busy_s: float, filled: float, floor: int, held: int, cores: int, slots: int
) -> None:
    assert Feeding(floor, held, cores).decide(waited_s, busy_s, filled) == slots


def test_a_decision_needs_several_batches() -> None:
    feeding = Feeding(2, 64)
    for _ in range(BATCHES - 1):
        feeding.growth.add(9.0, 1.0, 1.0)
    assert feeding.slots.count == 2
    feeding.growth.add(9.0, 1.0, 1.0)
    assert feeding.slots.count == 4


def test_growth_goes_up_to_the_cores_and_back_to_the_floor_one_by_one() -> None:
    feeding = Feeding(2, 64, cores=11)
    assert [feeding.decide(9.0, 1.0) for _ in range(4)] == [4, 8, 11, 11]
    assert [feeding.decide(0.0, 1.0) for _ in range(10)] == [10, 9, 8, 7, 6, 5, 4, 3, 2, 2]


@pytest.mark.parametrize("media_per_slot_s", [0.05, 0.1, 0.2, 0.4])
def test_a_device_is_fed_with_80_to_95_percent_or_all_cores(media_per_slot_s: float) -> None:
    """A batch of 1 s needs so many slots that each of them brings a share of a batch a second."""
    feeding = Feeding(2, 64, cores=16)
    fed = 0.0
    for _ in range(40):
        fed = min(1.0, feeding.slots.count * media_per_slot_s)
        feeding.decide((1 - fed) / fed, 1.0)
    settled = {feeding.decide((1 - fed) / fed, 1.0) for _ in range(4)}
    assert fed >= 0.8 or settled == {16}
    assert max(settled) <= 16


def test_a_larger_preset_keeps_the_slots_that_were_added() -> None:
    feeding = Feeding(2, 64)
    feeding.decide(9.0, 1.0)
    with feeding.slots.limited_to(6):
        assert (feeding.slots.floor, feeding.slots.count) == (6, 8)
    assert (feeding.slots.floor, feeding.slots.count) == (2, 4)


def test_slots_in_use_stay_when_the_number_falls() -> None:
    feeding = Feeding(2, 64)
    feeding.decide(9.0, 1.0)
    assert feeding.slots.in_use == 4
    feeding.decide(0.0, 1.0)
    assert (feeding.slots.in_use, feeding.slots.count) == (4, 3)
    assert not feeding.slots.acquire(timeout=0)


@pytest.mark.parametrize(
    ("figures", "clause"),
    [
        ((0, 0, 0), ""),
        ((1, 2, 2), "1 of 2 preparations in use"),
        ((5, 6, 2), "5 of 6 preparations in use, grown from 2"),
    ],
)
def test_the_status_names_what_is_in_use_and_the_growth(
    figures: tuple[int, int, int], clause: str
) -> None:
    preparing, slots, floor = figures
    snapshot = Snapshot(
        NO_DEVICE, preparing=preparing, preparation_slots=slots, preparation_floor=floor
    )
    assert snapshot.preparation == clause
    assert Snapshot.from_dict(snapshot.as_dict()) == snapshot
