"""The behaviour of engines on a GPU, checked without a GPU.

Torch's `meta` device has no data and is separate from the CPU, like a GPU: tensors left on the
host and reads of a value from the device fail on it as well.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ctranslate2
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import (
    ParakeetCTCConfig,
    ParakeetEncoderConfig,
    ParakeetForCTC,
    ParakeetForTDT,
    ParakeetTDTConfig,
)

from gpu.manager import GPUManager
from gpu.presets import find_preset
from gpu.throttle import Throttle
from kb.asr.batching.fallback_engine import FallbackEngine
from kb.asr.batching.language_vote import FixedLanguage
from kb.asr.engines import load_engine
from kb.asr.engines.faster_whisper.engine import compute_type
from kb.asr.engines.model_lookup import shape_of
from kb.asr.engines.model_registry import find_model
from kb.asr.engines.parakeet.engine import ParakeetEngine
from kb.asr.engines.parakeet.memory import FRAMES, shape_from_config
from kb.asr.engines.whisper.decoder import Decoder
from kb.asr.engines.whisper.greedy_search import GreedyDecoder
from kb.asr.engines.whisper.loader import load_whisper
from kb.asr.engines.whisper.timestamp_rules import (
    FixedTokens,
    SampledTokens,
    TimestampRules,
    TokenChoice,
)
from kb.asr.windows.windowing import Window
from kb.errors import DeviceLost, GPUError, KBError, ModelUnavailable
from kb.inference.calibrate import _batches
from kb.inference.memory_fit import estimate_memory
from kb.settings import get_settings
from tests.support.compose import compose, random_plan
from tests.support.engines import write_parakeet
from tests.support.fake_cuda import RTX_4090, FakeCuda, FakeTorch
from tests.support.raising import check, raises
from tests.support.speech import Oracle, bank
from tests.support.waiting import until

CPU = GPUManager("cpu", cpu_threads=1)


class Elsewhere(GPUManager):
    """A device that is not the CPU."""

    device = "meta"
    dtype = torch.float16


def noise(seconds: float) -> Window:
    rng = np.random.default_rng(3)
    return Window(0, 0.0, rng.normal(0, 0.1, round(seconds * 16_000)).astype(np.float32))


def test_parakeet_s_sound_gets_to_the_device(tmp_path: Path) -> None:
    engine: Any = ParakeetEngine.load(str(write_parakeet(tmp_path, "ctc")), CPU)
    windows = [noise(2.0), noise(1.0)]
    here, heard = engine._features(windows)
    assert heard.sum(-1).tolist() == [200, 100] and here[0, :200].abs().min() > 0
    engine._manager = Elsewhere("cpu")
    features, mask = engine._features(windows)
    assert features.device.type == mask.device.type == "meta"
    assert features.shape == here.shape and features.dtype == torch.float16
    assert mask.shape == heard.shape


@pytest.mark.slow
def test_ctranslate2_s_states_may_be_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_MODEL_CACHE", str(tmp_path))
    get_settings.cache_clear()
    engine: Any = load_engine("faster-whisper", "demo", CPU)
    rng = np.random.default_rng(11)
    said = compose(bank(), random_plan(bank(), 7, rng), rng=rng).audio
    silence = np.zeros_like(said)
    windows = [Window(n, 0.0, sound) for n, sound in enumerate((silence, said, silence))]
    heard = engine.encode(windows)
    types = engine._runtime.DataType
    states = heard.states.to(types.bfloat16)
    some = engine._select_states(states, [2, 1])
    assert some.dtype == types.bfloat16
    whole = np.array(states.to(types.float32))
    assert np.array_equal(np.array(some.to(types.float32)), whole[[2, 1]])
    # Only the window with words is aligned; the states of the others are not selected.
    read = engine.decode(replace(heard, states=states), ["en"] * 3)
    assert [bool(found.read().segments) for found in read] == [False, True, False]
    engine.close()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.bfloat16, "float16"), (torch.float16, "float16"), (torch.float32, "float32")],
)
def test_ctranslate2_computes_in_float16_on_every_card_with_half_precision(
    dtype: torch.dtype, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KB_COMPUTE_TYPE", raising=False)
    get_settings.cache_clear()
    manager = Elsewhere("cpu")
    monkeypatch.setattr(Elsewhere, "dtype", dtype)
    assert compute_type("cuda", manager) == expected
    assert compute_type("cpu", manager) == "float32"


BROKEN = {
    "whisper": "CUDA error: an illegal memory access was encountered",
    "faster-whisper": "CUDA failed with error an illegal memory access was encountered",
    "parakeet": "CUDA error: unspecified launch failure",
}
FULL = {
    "whisper": "CUDA out of memory. Tried to allocate 2.00 GiB",
    "faster-whisper": "CUDA failed with error out of memory",
    "parakeet": "CUDA error: out of memory",
}
OTHER = dict.fromkeys(BROKEN, "the file is not what it seems")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BROKEN))
@pytest.mark.parametrize(
    ("said", "kind"), [(BROKEN, DeviceLost), (FULL, GPUError), (OTHER, ModelUnavailable)]
)
def test_a_device_failure_while_a_model_is_loaded(
    name: str,
    said: dict[str, str],
    kind: type[KBError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KB_MODEL_CACHE", str(tmp_path / "cache"))
    get_settings.cache_clear()
    model = str(write_parakeet(tmp_path / "p", "ctc")) if name == "parakeet" else "demo"
    load_engine(name, model, CPU).close()

    def fails(*_given: object, **_more: object) -> None:
        raise RuntimeError(said[name])

    where: Any = ctranslate2.models if name == "faster-whisper" else torch.nn.Module
    monkeypatch.setattr(where, "Whisper" if name == "faster-whisper" else "to", fails)
    with pytest.raises(kind) as caught:
        load_engine(name, model, CPU)
    assert type(caught.value) is kind and caught.value.hint
    if kind is GPUError:
        check(caught.value, "device.model_too_large", model=model)
    else:
        lost = "device.failed_loading"
        damaged = ("model.not_loaded", "model.not_loaded_ctranslate2", "model.folder_damaged")
        assert caught.value.code in ((lost,) if kind is DeviceLost else damaged)
        assert said[name] in caught.value.values["cause"]


def test_a_device_that_fails_when_the_weights_are_there_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_given: object, **_more: object) -> None:
        raise RuntimeError(BROKEN["whisper"])

    monkeypatch.setattr(torch, "hann_window", fails)
    with raises(DeviceLost, "device.failed_loading") as caught:
        load_engine("whisper", "demo", CPU)
    assert "illegal memory access" in caught.value.values["cause"]


# Decoding


class HostAsked(TorchDispatchMode):
    """A record of operations that make a GPU wait: values read from it, tensors of the host."""

    waits = ("lift_fresh", "_local_scalar_dense", "nonzero", "multinomial", "_to_copy")

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if name in self.waits:
            self.asked.append(name)
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def demo() -> Any:
    return load_whisper("demo", CPU).model


def rules_of(model: Any) -> TimestampRules:
    return TimestampRules(model.generation_config, 854, model.config.vocab_size, "cpu")


@torch.no_grad()
def test_only_waits_are_recorded() -> None:
    with HostAsked() as host:
        chances = torch.ones(2, 3)
        chances[:, [0, 1]].sum()
        torch.multinomial(chances, 1)
        bool(chances[0, 0])
    assert host.asked == ["lift_fresh", "multinomial", "_local_scalar_dense"]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["greedy", "drawn", "given"])
@pytest.mark.parametrize("recorded", [False, True])
def test_a_token_is_written_without_asking_the_host(demo: Any, kind: str, recorded: bool) -> None:
    decoder, rules = Decoder(demo), rules_of(demo)
    assert decoder.alignment_head_count  # the decoder returns attention
    choose = {
        "greedy": lambda: TokenChoice(rules, 2),
        "drawn": lambda: SampledTokens(rules, 2, 0.8),
        "given": lambda: FixedTokens(rules, torch.tensor([[962, 5, 7, 854], [962, 9, 854, 854]])),
    }[kind]()
    caches = decoder.caches(torch.randn(2, 1500, 128, generator=torch.manual_seed(1)))
    tokens = torch.full((2,), 855)
    places = torch.arange(4)
    with HostAsked() as host:
        for at in range(4):
            logits, _ = decoder.step(tokens, places[at : at + 1] if recorded else at, caches)
            tokens, _ = choose(logits)
    assert host.asked == []


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
def test_a_prompt_goes_to_the_device_at_once(demo: Any, beams: int) -> None:
    loop = GreedyDecoder(Decoder(demo), rules_of(demo), start_token=855)
    state = loop.start(torch.randn(2, 1500, 128, generator=torch.manual_seed(1)))
    loop.stop()  # so that only the prompt is decoded

    def asked(prompt: list[int]) -> list[str]:
        with HostAsked() as host:
            if beams > 1:
                loop.beam_search(state, [prompt] * 2, beams)
            else:
                loop.decode(state, [prompt] * 2)
        return host.asked

    assert asked([855, 856, 957]) == asked([855, *range(40), 856, 957])


def test_sampling_equals_multinomial() -> None:
    rules = TimestampRules(SimpleNamespace(no_timestamps_token_id=961), 854, 2463, "cpu")
    drawn, by_hand = SampledTokens(rules, 5, 0.7), TokenChoice(rules, 5)
    draw, own = torch.manual_seed(8), torch.Generator().manual_seed(0)
    for _ in range(40):
        logits = 3 * torch.randn(5, 2463, generator=draw)
        chances = (by_hand.masked(logits) / 0.7).softmax(-1)
        expected = torch.multinomial(chances, 1, generator=own)[:, 0]
        tokens, _ = drawn(logits)
        assert torch.equal(tokens, torch.where(by_hand.finished, 854, expected))
        by_hand.advance(tokens)


# Memory


def parakeet(kind: str, **encoder: Any) -> Any:
    """Return a Parakeet of real widths with two layers, without weights."""
    made = ParakeetEncoderConfig(num_hidden_layers=2, **encoder)
    with torch.device("meta"):
        if kind == "tdt":
            model = ParakeetForTDT(ParakeetTDTConfig(encoder_config=made))
        else:
            model = ParakeetForCTC(ParakeetCTCConfig(encoder_config=made))
    return model.half().eval()


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("kind", ["tdt", "ctc"])
def test_parakeet_s_arithmetic_counts_every_number(kind: str, biases: bool) -> None:
    model = parakeet(kind, attention_bias=biases, convolution_bias=biases, num_mel_bins=128)
    shape = shape_from_config(model.config.to_dict())
    assert shape is not None and (shape.channels, shape.mels) == (256, 128)
    assert shape.parameters == sum(each.numel() for each in model.parameters())


class Held(TorchDispatchMode):
    """The peak of the bytes that torch allocated in the context and that were in use at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: dict[int, Any] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, torch.Tensor) and each.untyped_storage()._cdata not in self._known:
                self._note(each.untyped_storage())
        return found

    def _note(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()

        def gone(_: object) -> None:
            del self._known[place]
            self.now -= size

        self._known[place] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)


@pytest.mark.parametrize("mels", [80, 128])
def test_parakeet_s_windows_take_what_the_arithmetic_says(mels: int) -> None:
    model = parakeet("tdt", num_mel_bins=mels)
    shape = shape_from_config(model.config.to_dict())
    assert shape is not None

    def held(rows: int) -> int:
        features = torch.empty(rows, FRAMES, mels, dtype=torch.float16, device="meta")
        mask = torch.ones(rows, FRAMES, dtype=torch.bool, device="meta")
        with torch.no_grad(), Held() as memory:
            model.encoder(features, attention_mask=mask)
        return memory.most + features.nbytes

    assert (held(8) - held(2)) / 6 == pytest.approx(shape.window_bytes(), rel=0.02)


def test_parakeet_s_batch_starts_with_what_fits(tmp_path: Path) -> None:
    cuda = FakeCuda(("A small card", (8, 6), 6 * 2**30), allocated=2 * 2**30)
    manager = GPUManager("auto", preset=find_preset("max"), torch=FakeTorch(cuda), reserve_gb=0)
    fits = estimate_memory("parakeet", "parakeet-tdt-0.6b-v3", manager, (), 2 * 2**30)
    known = find_model("parakeet-tdt-0.6b-v3")
    assert known is not None and known.shape is not None
    assert fits.window_bytes == known.shape.window_bytes() > 190e6
    room = fits.max_batch(find_preset("max"), manager)
    assert 16 <= room.size <= 22 < find_preset("max").batch_size and "GB" in room.reason
    shape = shape_of(str(write_parakeet(tmp_path, "tdt")))
    assert shape is not None and 0 < shape.window_bytes() < known.shape.window_bytes() / 20


class Growing(FakeCuda):
    """A CUDA device on which torch's peak grows with every batch."""

    def max_memory_allocated(self, device: str) -> int:
        self.allocated += 1000
        return self.allocated


@pytest.mark.parametrize(("name", "known"), [("whisper", True), ("faster-whisper", False)])
def test_torch_s_peak_is_no_measure_for_memory_that_torch_does_not_have(
    name: str, known: bool
) -> None:
    manager = GPUManager("auto", cpu_threads=1, torch=FakeTorch(Growing(RTX_4090)))
    assert manager.on_gpu
    engine = Oracle((), name=name)
    rows, refused = _batches(engine, manager, [noise(1)], [1, 2], 0.1, lambda _: None)
    assert rows and not refused
    assert {row.peak_bytes > 0 for row in rows} == {known}


def test_another_engine_takes_what_is_left_and_rests_as_the_first_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = 7 * 2**30
    cuda = FakeCuda(RTX_4090, free=4 * 2**30, allocated=used, reserved=used)
    manager = GPUManager("auto", preset=find_preset("max"), torch=FakeTorch(cuda), reserve_gb=0)
    monkeypatch.setattr("kb.asr.batching.fallback_engine.load_engine", lambda *_: Oracle(()))
    second = FallbackEngine("whisper:large-v3", lambda: manager, 40, throttle=lambda: Throttle(0.5))
    batcher = second.open()
    assert batcher is not None
    state = batcher.state()
    assert 4 <= batcher.size <= 9 and "GB each" in state.reason
    assert state.window_bytes > 400e6
    batcher.submit(0, noise(1), FixedLanguage("en")).result(90)
    until(lambda: batcher.state().rested_s > 0)
    second.close()
