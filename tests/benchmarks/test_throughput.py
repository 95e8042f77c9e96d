"""The CPU benchmark's table: what was measured stands in it, whatever happens afterwards."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import throughput
from benchmarks.support.peers import OURS, PIPELINE, SHIPPED, TOKENS, Model, Peer, Variant, our_peer
from benchmarks.support.talks import Load, talk
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.types import Word
from tests.support.compose import write_wav
from tests.support.speech import score


def _measurement(ways: list[Variant], random: bool = True) -> throughput.Measurement:
    model = Model("random" if random else "demo", "A model", Path("a"), Path("b"), random)
    loads = [Load(key, f"load {key}", [Path("x.flac")], []) for key in "abc"]
    found = throughput.Measurement(model, loads, 0.35, 1, write=False)
    found.variants = ways
    found.results = {way.name: throughput.Result({}, {"a": 4}) for way in ways}
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
    ways = [Variant(PIPELINE, lambda: _peer(TOKENS)), Variant(OURS, lambda: _peer(TOKENS))]
    measurement = _measurement(ways)
    assert set(_cells(measurement.page())[OURS][1:4]) == {"not measured"}
    run = throughput.Run(cpu_s=[6.0], wall_s=[7.0], windows=9)
    measurement.results[PIPELINE].runs["a"] = run
    measurement.results[OURS].runs["a"] = throughput.Run(cpu_s=[2.0], wall_s=[3.0], windows=6)
    page = measurement.page()
    assert "35 % of the whole loads" in page.splitlines()[0]
    assert _cells(page)[OURS][:3] == ["4 / 8 / 8", "2.0 s (3.0) · **3.00×** · 6", "not measured"]


@pytest.mark.slow
def test_unequal_work_is_no_measurement() -> None:
    few = Variant("another", lambda: _peer(TOKENS - 1))
    own = Variant(OURS, lambda: _peer(TOKENS))
    measurement = _measurement([Variant(PIPELINE, lambda: _peer(TOKENS)), own, few])
    found = measurement.run()
    assert found[PIPELINE].runs.keys() == {"a", "b", "c"} and not found[PIPELINE].failed
    assert not found["another"].runs
    assert f"{TOKENS - 1}: 1" in found["another"].failed
    assert _cells(measurement.page())["another"][1:4] == ["failed"] * 3


def test_the_batches_named_are_the_batches_tried() -> None:
    tried: dict[str, list[int]] = {OURS: [], PIPELINE: []}

    def opened(name: str) -> Peer:
        def read(paths: list[Path], batch: int) -> list[str]:
            tried[name].append(batch)
            sum(range(3_000_000 if batch == 1 else 10))  # one at a time is the dearest
            return ["" for _ in paths]

        return Peer(read)

    ways = [
        Variant(PIPELINE, lambda: opened(PIPELINE)),
        Variant(OURS, lambda: opened(OURS), max_batch=8),
        Variant("with word times", lambda: opened("none"), batch_of=PIPELINE),
    ]
    measurement = _measurement(ways, random=False)
    measurement.sweep({"a": [Path("x.flac")]})
    # (The first call of each is a warm-up.)
    assert tried[OURS][1:] == [1, 4, 8] and tried[PIPELINE][1:] == [1, 4, 8, 16]
    found = measurement.results
    assert found[OURS].batches["a"] in (4, 8)
    assert found["with word times"].batches == found[PIPELINE].batches
    head = measurement.page().splitlines()[0]
    assert "best of 1, 4, 8, 16 windows a batch ('ours, whisper': of 1, 4, 8," in head


@pytest.mark.parametrize(("wer", "met"), [(1.0, True), (1.2, False)])
def test_faster_with_worse_words_is_no_gain(
    wer: float, met: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    measurement = _measurement(
        [Variant(name, lambda: _peer(1)) for name in (PIPELINE, SHIPPED)], False
    )
    for load in measurement.recordings:
        base = throughput.Run(cpu_s=[9.0], wall_s=[9.0], wer=1.0)
        measurement.results[PIPELINE].runs[load.key] = base
        own = throughput.Run(cpu_s=[1.0], wall_s=[1.0], wer=wer if load.key == "b" else 0.5)
        measurement.results[SHIPPED].runs[load.key] = own
    judged = throughput.report_results(
        measurement.model, measurement.recordings, measurement.results
    )
    assert judged is met
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    about = [f for f in lines if "word errors" in f["figure"] and "(b)" in f["figure"]]
    assert [(f["value"], f["met"]) for f in about] == [(pytest.approx(wer - 1.0), met)]
    line = f"points: (a) -0.5, (b) {wer - 1.0:+.1f}, (c) -0.5."
    assert measurement.page().endswith(line)


@pytest.mark.slow
def test_our_own_way_decodes_and_reports_its_times(tmp_path: Path) -> None:
    said = talk(12.0, 0.15, np.random.default_rng(3))
    sound = write_wav(tmp_path / "said.flac", said)
    model = Model("demo", "The demo recognizer", DEMO_FOLDER, DEMO_FOLDER, random=False)
    peer = our_peer(model, "whisper", repair=True)
    try:
        texts = peer.read([sound, sound], 4)
    finally:
        peer.close()
    words = [Word(0, 0, word, 1) for word in texts[0].split()]
    assert score(said.words, words).errors <= 2
    assert texts[0] == texts[1]
    assert peer.busy_s["recognizer"] > 0 and peer.busy_s["detector"] > 0
    assert sum(peer.lengths.values()) >= 2


@pytest.mark.slow
def test_memory_counts_from_where_a_way_begins() -> None:
    kept: list[bytearray] = []

    def opened(size: int) -> Peer:
        lengths: Counter[int] = Counter()

        def read(paths: list[Path], _batch: int) -> list[str]:
            kept[:] = [bytearray(b"1") * size]
            lengths[TOKENS] += len(paths)
            return ["" for _ in paths]

        return Peer(read, lengths=lengths, close=kept.clear)

    ways = [Variant("large", lambda: opened(60 << 20)), Variant("small", lambda: opened(5 << 20))]
    found = _measurement(ways).run()
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells the peak")
    peaks = {name: result.runs["c"].peak_mb for name, result in found.items()}
    assert peaks["large"] > 50
    assert peaks["small"] < 40


@pytest.mark.parametrize("name", ["recognizer_s", "detector_s"])
def test_time_in_models_is_not_machinery(name: str) -> None:
    run = throughput.Run(cpu_s=[2.0])
    setattr(run, name, 1.5)
    assert throughput._shares(run).endswith("all else 25 %")
