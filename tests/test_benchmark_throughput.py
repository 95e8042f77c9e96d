"""The CPU benchmark's table: what was measured stands in it, whatever happens afterwards."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import throughput
from peers import OURS, PIPELINE, TOKENS, Model, Peer, Way
from talks import Load


def _measurement(ways: list[Way]) -> throughput.Measurement:
    model = Model("random", "Random weights", Path("a"), Path("b"), random=True)
    loads = [Load(key, f"load {key}", [Path("x.flac")], []) for key in "abc"]
    found = throughput.Measurement(model, loads, 0.35, 1, write=False)
    found.ways = ways
    found.found = {way.name: throughput.Result({}, {"a": 4}) for way in ways}
    return found


def _peer(tokens: int) -> Peer:
    lengths: Counter[int] = Counter()

    def read(paths: list[Path], _batch: int) -> list[str]:
        lengths[tokens] += len(paths)
        return ["" for _ in paths]

    return Peer(read, {"recognizer": 0.0, "detector": 0.0}, lengths)


def _cells(page: str) -> dict[str, list[str]]:
    rows = [[c.strip() for c in r.strip("|").split("|")] for r in page.splitlines() if r[:1] == "|"]
    return {row[0]: row[1:] for row in rows[2:]}


def test_a_broken_off_run_leaves_a_table_of_what_was_measured() -> None:
    ways = [Way(PIPELINE, lambda: _peer(TOKENS)), Way(OURS, lambda: _peer(TOKENS))]
    measurement = _measurement(ways)
    assert set(_cells(measurement.page())[OURS][1:4]) == {"not measured"}
    run = throughput.Run(cpu_s=[6.0], wall_s=[7.0], windows=9)
    measurement.found[PIPELINE].runs["a"] = run
    measurement.found[OURS].runs["a"] = throughput.Run(cpu_s=[2.0], wall_s=[3.0], windows=6)
    page = measurement.page()
    assert "35 % of the whole loads" in page.splitlines()[0]
    assert _cells(page)[OURS][:3] == ["4 / 8 / 8", "2.0 s (3.0) · **3.00×** · 6", "not measured"]


def test_unequal_work_is_no_measurement() -> None:
    few = Way("another", lambda: _peer(TOKENS - 1))
    own = Way(OURS, lambda: _peer(TOKENS))
    measurement = _measurement([Way(PIPELINE, lambda: _peer(TOKENS)), own, few])
    found = measurement.run()
    assert found[PIPELINE].runs.keys() == {"a", "b", "c"} and not found[PIPELINE].failed
    assert not found["another"].runs
    assert f"{TOKENS - 1}: 1" in found["another"].failed
    assert _cells(measurement.page())["another"][1:4] == ["failed"] * 3


@pytest.mark.parametrize("name", ["recognizer_s", "detector_s"])
def test_time_in_models_is_not_machinery(name: str) -> None:
    run = throughput.Run(cpu_s=[2.0])
    setattr(run, name, 1.5)
    assert throughput._shares(run).endswith("all else 25 %")
