"""The figures of the whole way on a device, and the costs of a window on the host."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate

import pytest

from benchmarks.support.gpu_whole import Batch, WholeWay


def batches(waits_s: Sequence[float], work_s: float = 1.0, windows: int = 4) -> list[Batch]:
    """Return batches of `work_s` seconds, each after a wait."""
    begins = accumulate(waits_s, lambda before, wait_s: before + work_s + wait_s)
    return [Batch(b, b + work_s, windows, 30.0 * windows, work_s / 10) for b in begins]


def test_the_first_and_the_last_batch_do_not_count() -> None:
    slow = Batch(0.0, 60.0, 1, 30.0, 50.0)
    inner = [Batch(60.0 + n, 60.9 + n, 4, 120.0, 0.3) for n in range(3)]
    found = WholeWay.of([slow, *inner, Batch(100.0, 190.0, 1, 30.0, 9.0)], 190.0, 0.9)
    assert found.speed == pytest.approx(360 / 2.9)
    assert (found.windows, found.busy) == (4, 0.9)
    assert found.batch_s == pytest.approx(0.9) and found.host_s == pytest.approx(0.3)
    assert found.between_s == pytest.approx((2.9 - 2.7) / 3)


@pytest.mark.parametrize("wait_s", [0.0, 0.25, 1.0])
def test_a_wait_between_batches_is_part_of_the_time(wait_s: float) -> None:
    found = WholeWay.of(batches([0.0, wait_s, wait_s, wait_s, wait_s]), 10.0, None)
    assert found.between_s == pytest.approx(wait_s)
    assert found.speed == pytest.approx(120 / (1 + wait_s))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_batches_are_no_measurement(count: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        WholeWay.of(batches([0.0] * count), 1.0, None)


@pytest.mark.long
def test_the_costs_on_the_host_are_measured_without_a_gpu(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from benchmarks import gpu

    assert gpu.main(["--tiny", "--host"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:1] == "{"]
    figures = {row["figure"]: row for row in rows}
    for name in (
        "preparation, ffmpeg and detection",
        "batcher's thread outside of the model",
        "tokens read into words, in the thread of the item",
        "windows joined, in the thread of the item",
    ):
        assert figures[name]["value"] > 0
