"""The speed at which the workers transcribe."""

from __future__ import annotations

import pytest

from kb.service.throughput_meter import ThroughputMeter


def test_speed_is_the_growth_of_what_was_read() -> None:
    meter = ThroughputMeter()
    meter.record(100.0, now=0.0)
    assert meter.speed() is None
    for second in range(1, 11):
        meter.record(100.0 + 20.0 * second, now=float(second))
    assert meter.speed() == pytest.approx(20.0)
    meter.record(50.0, now=11.0)  # an item was restarted
    assert meter.speed() is None
    for second in range(12, 200):
        meter.record(50.0 + 5.0 * (second - 11), now=float(second))
    assert meter.speed() == pytest.approx(5.0)
