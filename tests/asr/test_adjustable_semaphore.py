"""The preparation slots: their number is the highest that the presets in progress request."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpu.presets import find_preset
from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.errors import SettingsError
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import get_settings
from tests.support.waiting import until
from tests.support.workers import write_talks


def free(places: AdjustableSemaphore) -> int:
    """Return the number of places that are free now."""
    taken = 0
    while places.acquire(timeout=0):
        taken += 1
    for _ in range(taken):
        places.release()
    return taken


def test_the_largest_requested_size_counts() -> None:
    places = AdjustableSemaphore(2)
    assert free(places) == 2
    with places.limited_to(1):
        assert free(places) == 1
        with places.limited_to(6), places.limited_to(6):
            assert (free(places), places.count) == (6, 6)
        assert free(places) == 1
    assert free(places) == 2


def test_waiters_are_served_in_order() -> None:
    places, order = AdjustableSemaphore(1), list[int]()
    assert places.acquire()

    def wait(number: int) -> None:
        assert places.acquire(timeout=90)
        order.append(number)
        places.release()

    with ThreadPoolExecutor(6) as pool:
        for number in range(6):
            pool.submit(wait, number)
            until(lambda number=number: len(places._waiters) == number + 1)  # type: ignore[misc]
        places.release()
    assert order == list(range(6))


def test_a_smaller_size_takes_no_place_back_and_gives_none() -> None:
    places = AdjustableSemaphore(1)
    with places.limited_to(3):
        assert [places.acquire(timeout=0) for _ in range(4)] == [True, True, True, False]
    assert not places.acquire(timeout=0)
    places.release()
    places.release()
    assert not places.acquire(timeout=0)  # one place is still in use
    places.release()
    assert places.acquire(timeout=0)


def test_a_larger_size_admits_those_waiting() -> None:
    places, inside, leave = AdjustableSemaphore(1), threading.Event(), threading.Event()
    assert places.acquire()

    def work() -> None:
        assert places.acquire(timeout=90)
        inside.set()
        assert leave.wait(90)
        places.release()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(work)
        assert not inside.is_set()
        with places.limited_to(2):
            assert inside.wait(90)
        leave.set()
        waiting.result(90)
    places.release()
    assert free(places) == 1


def test_a_run_s_own_number_goes_before_the_setting_and_the_preset() -> None:
    settings = get_settings().replace(workers=0)
    fixed = get_settings().replace(workers=3)
    with InferenceSession(settings) as recognition, InferenceSession(fixed) as other:
        for name in ("stabil", "max"):
            run = RunOptions(model="demo", preset=name)
            assert run.preparation_workers(settings) == find_preset(name).workers
            assert (
                recognition.transcription_options(run).preset.workers == find_preset(name).workers
            )
            assert (
                other.transcription_options(run).preset.workers
                == run.preparation_workers(fixed)
                == 3
            )
        own = RunOptions(model="demo", workers=5)
        assert (
            other.transcription_options(own).preset.workers == own.preparation_workers(fixed) == 5
        )
        with pytest.raises(SettingsError):
            RunOptions(preset="nowhere").preparation_workers(settings)


@pytest.mark.slow
def test_a_recognizer_prepares_as_many_as_its_media_ask_for(tmp_path: Path) -> None:
    (talk,) = write_talks(tmp_path / "in", 1, words=3)
    places = AdjustableSemaphore(1)
    go, seen = threading.Event(), []

    def look(_: float) -> None:
        seen.append(places.count)
        assert go.wait(90)

    with InferenceSession(get_settings(), places) as recognition, ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(
                recognition.transcribe,
                talk,
                recognition.transcription_options(RunOptions(model="demo", workers=count)),
                progress=look,
            )
            for count in (2, 4)
        ]
        until(lambda: places.count == 4)
        until(lambda: bool(seen))
        go.set()
        for run in runs:
            assert run.result(90).words
    assert set(seen) <= {2, 4} and places.count == 1 == free(places)
