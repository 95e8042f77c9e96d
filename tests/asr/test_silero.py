"""The speech detector's own graph: its probabilities are those of the network in Silero's file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from kb.asr import SAMPLE_RATE
from kb.asr.audio.silero import CONTEXT, FRAME, STATE, batched_network
from kb.asr.audio.vad import Audio, SpeechDetector, model_path
from kb.errors import ModelUnavailable
from tests.support.compose import chords, compose, noise, random_plan, silence
from tests.support.raising import raises
from tests.support.speech import bank, detector


@cache
def silero() -> Any:
    return ort.InferenceSession(str(model_path()), providers=["CPUExecutionProvider"])


def by_silero(audio: Audio) -> Audio:
    """Return the probabilities of the network as its file computes it, frame by frame."""
    history = np.concatenate([np.zeros(CONTEXT, np.float32), audio])
    history = np.pad(history, (0, -audio.size % FRAME))
    frames = np.lib.stride_tricks.sliding_window_view(history, CONTEXT + FRAME)[::FRAME]
    state = np.zeros((1, 1, STATE), np.float32)
    found, _, _ = silero().run(
        None, {"input": np.ascontiguousarray(frames), "h": state, "c": state}
    )
    return np.asarray(found, np.float32).reshape(-1)


def sound(kind: str) -> Audio:
    rng = np.random.default_rng(8)
    if kind in ("en", "de"):
        return compose(bank(), random_plan(bank(), 12, rng, kind), rng=rng, noise_db=15).audio
    made = {
        "silence": lambda: silence(3),
        "music": lambda: chords(4, rng),
        "white": lambda: noise(4, rng, "white"),
        "hum": lambda: noise(4, rng, "hum"),
        "clipped": lambda: np.clip(20 * noise(4, rng, "brown"), -1, 1),
        "steps": lambda: np.sign(np.sin(np.arange(3 * SAMPLE_RATE) / 30)).astype(np.float32),
        "one sample": lambda: np.eye(1, 2 * SAMPLE_RATE, 777, dtype=np.float32)[0],
        "short": lambda: noise(0.01, rng, "white"),
        "loud": lambda: 100 * noise(2, rng, "white"),
    }
    return made[kind]().astype(np.float32)


KINDS = ("en", "de", "silence", "music", "white", "hum", "clipped", "steps", "one sample", "short",
         "loud")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_the_file_s_network(kind: str) -> None:
    audio = sound(kind)
    assert detector().probabilities(audio) == pytest.approx(by_silero(audio), abs=1e-4)


def test_several_sounds_together_have_the_probabilities_of_each_alone() -> None:
    sounds = [sound(kind) for kind in KINDS]
    sounds += [part for whole in sounds[:2] for part in np.array_split(whole, 7)]
    sounds.insert(3, np.zeros(0, np.float32))
    found = detector().probabilities_of(sounds)
    assert [each.size for each in found] == [-(-each.size // FRAME) for each in sounds]
    for each, probabilities in zip(sounds, found, strict=True):
        if each.size:
            assert probabilities == pytest.approx(by_silero(each), abs=1e-4)


@pytest.mark.parametrize("block", [FRAME, 10 * SAMPLE_RATE])
def test_the_state_goes_from_block_to_block_as_in_the_file(block: int) -> None:
    audio = sound("en")
    stream = detector().stream()
    found = [stream.push(audio[n : n + block]) for n in range(0, audio.size, block)]
    found.append(stream.finish())
    assert np.concatenate(found) == pytest.approx(by_silero(audio), abs=1e-4)


def test_a_detector_with_other_layers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, other = model_path().read_bytes(), tmp_path / "silero_vad_v9.onnx"
    monkeypatch.setattr("kb.asr.audio.vad.model_path", lambda: other)
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (2, 3)) for name in "xy"]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "another", ports[:1], ports[1:])
    another = helper.make_model(graph).SerializeToString()
    for data in (b"", another, whole[:-100_000], b"no such format"):
        other.write_bytes(data)
        with raises(ModelUnavailable, "model.other_speech_detector") as caught:
            SpeechDetector()
        assert "silero_vad_v9" in caught.value.message and "pip install" in caught.value.hint


def test_the_graph_has_no_convolution() -> None:
    network = batched_network(model_path().read_bytes())
    assert b"Conv" not in network
    assert network.count(b"Gemm") == 5
