"""On a GPU no batch brings a tensor shape that was not there before: counted on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

import kb.asr.engines.whisper.greedy_search as greedy
from gpu.manager import BatchCeiling, GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.audio.log_mel import LogMel
from kb.asr.batching.batch_size import AdaptiveBatchSize
from kb.asr.engines.base import GREEDY, DecodingOptions
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.asr.engines.whisper import batch_shapes, decoder
from kb.asr.engines.whisper.alignment import (
    alignment,
    monotonic_paths,
    padded_alignment,
    padded_paths,
)
from kb.asr.engines.whisper.batch_shapes import BatchShapes
from kb.asr.engines.whisper.engine import WhisperEngine
from kb.asr.engines.whisper.loader import load_whisper
from kb.asr.windows.windowing import Window
from tests.support.compose import compose, random_plan
from tests.support.speech import bank

CPU = GPUManager("cpu", cpu_threads=1)
MOST = 4  # windows in a batch
BLOCK = 24  # steps by which memory grows here; fewer than in use, because each one is recorded
TOKENS = BLOCK + 3  # so that texts need one block of steps or two


class Recorder(TorchDispatchMode):
    """The operators that ran, each with the shapes and types of its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        self.calls.append((str(func), tuple((tuple(x.shape), x.dtype) for x in tensors)))
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=[False, True], ids=["steps", "recorded"])
def engine(request: pytest.FixtureRequest) -> Iterator[WhisperEngine]:
    """Return an engine of random weights whose batches have fixed shapes, as on a GPU.

    Its steps run one by one, or in the fixed memory of recorded steps.
    """
    torch.manual_seed(0)
    config = WhisperConfig.from_pretrained(
        DEMO_FOLDER, d_model=16, encoder_layers=1, decoder_layers=2, encoder_attention_heads=1,
        decoder_attention_heads=1, encoder_ffn_dim=16, decoder_ffn_dim=16,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig.from_pretrained(DEMO_FOLDER)
    model.generation_config.alignment_heads = [[1, 0]]
    model.generation_config.suppress_tokens = [int(config.eos_token_id)]  # texts of full length
    loaded = replace(load_whisper("demo", CPU), model=model)
    CPU.apply()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy, "MAX_NEW_TOKENS", TOKENS)
        for module in (batch_shapes, decoder, greedy):
            patch.setattr(module, "STEP_BLOCK", BLOCK)
        yield WhisperEngine(
            loaded, "random", CPU, shapes=BatchShapes(lambda: MOST), recorded=request.param
        )


def windows(count: int, rng: np.random.Generator) -> list[Window]:
    sizes = rng.integers(SAMPLE_RATE // 10, 30 * SAMPLE_RATE, count)
    return [Window(0, 0.0, 0.1 * rng.standard_normal(n).astype(np.float32)) for n in sizes]


def run(engine: WhisperEngine, lengths: list[int], rng: np.random.Generator) -> Recorder:
    """Decode a batch freely and with texts of these lengths; return all operators."""
    with Recorder() as recorder, torch.inference_mode():
        encoded = engine.encode(windows(len(lengths), rng))
        engine.decode(encoded, ["en"] * len(lengths))
        prompts = [[engine._start, engine._languages["en"], engine._tasks["transcribe"]]] * len(
            lengths
        )
        texts = [[20 + n % 50 for n in range(length)] for length in lengths]
        state = engine._greedy.start(engine._run_encoder(encoded.windows))
        found = engine._greedy.decode(state, prompts, fixed=texts)
        assert [len(row) for row in found.rows] == lengths
        aligned = engine._greedy.align(found, [w.duration_s for w in encoded.windows])
        assert [len(tokens.edges) for tokens in aligned] == [length + 1 for length in lengths]
    return recorder


@pytest.mark.slow
def test_after_the_warm_up_no_batch_brings_a_new_shape(engine: WhisperEngine) -> None:
    rng = np.random.default_rng(1)
    short, long = 5, TOKENS - 2
    # A full batch first, because fixed memory grows with the largest batch.
    warm = [[short] * MOST, [short], [long], [short, short], [short, long], [long, long]]
    # Finished rows are dropped from four to two or one, in the first and in the second block.
    warm += [[short, short, short, short + 9], [short, short, short, long]]
    warm += [[short, short, long, long], [short, short, short + 9, long]]
    late = BLOCK - 1
    warm += [[late, long], [late, late, late, long], [late, late, long, long]]
    warm += [[short, short, late, long]]
    known = {call for lengths in warm for call in run(engine, lengths, rng).calls}
    for count in (3, 1, 4, 2, 3):
        lengths = rng.choice([1, 4, 17, 20, late, long], count).tolist()
        new = set(run(engine, lengths, rng).calls) - known
        assert not new, (lengths, sorted(new, key=str)[:5])


@pytest.mark.slow
def test_a_full_batch_runs_the_operators_of_the_one_before(engine: WhisperEngine) -> None:
    rng = np.random.default_rng(2)
    run(engine, [20] * MOST, rng)  # allocates the fixed memory
    first, second = (run(engine, [20] * MOST, rng) for _ in range(2))
    assert first.calls == second.calls
    assert len(first.calls) > 400
    # A batch that is not full runs them, too: its rows are padded.
    assert run(engine, [20] * (MOST - 1), rng).calls == first.calls


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "options"),
    [(1, GREEDY), (5, GREEDY), (3, DecodingOptions(beams=2)), (3, DecodingOptions(0.4))],
)
@pytest.mark.parametrize("recorded", [False, True])
def test_fixed_shapes_change_no_word(count: int, options: DecodingOptions, recorded: bool) -> None:
    exact, fixed = demo(None), demo(BatchShapes(lambda: 8), recorded)
    rng = np.random.default_rng(3)
    sounds = [
        compose(bank(), random_plan(bank(), n, rng), rng=rng).audio for n in (2, 9, 20, 50, 5)
    ]
    talks = [Window(n, 7.0 * n, sound[: 30 * SAMPLE_RATE]) for n, sound in enumerate(sounds)]
    found = []
    for engine in (exact, fixed):
        encoded = engine.encode(talks[:count])
        assert len(encoded.languages) == len(encoded.no_speech) == count
        found.append([t.read() for t in engine.decode(encoded, ["en"] * count, options)])
    words, padded = ([w for d in each for s in d.segments for w in s.words] for each in found)
    if options.temperature:  # random numbers are drawn for the padding, too
        assert len(padded) > 0.5 * len(words)
        return
    assert [w.text for w in padded] == [w.text for w in words]
    for word, same in zip(words, padded, strict=True):
        assert same.start_s == pytest.approx(word.start_s, abs=0.021)
        assert same.probability == pytest.approx(word.probability, abs=1e-3)


DEMO: dict[tuple[bool, bool], WhisperEngine] = {}


def demo(shapes: BatchShapes | None, recorded: bool = False) -> WhisperEngine:
    key = shapes is None, recorded
    if key not in DEMO:
        DEMO[key] = WhisperEngine(
            load_whisper("demo", CPU), "demo", CPU, shapes=shapes, recorded=recorded
        )
    return DEMO[key]


@pytest.mark.parametrize(
    ("most", "rows"),
    [
        (16, {1: 1, 2: 2, 3: 4, 5: 8, 8: 8, 9: 16, 16: 16}),
        (56, {1: 1, 17: 32, 32: 32, 33: 56, 56: 56, 57: 64}),
        (6, {3: 4, 4: 4, 5: 6, 6: 6}),
        (1, {1: 1}),
    ],
)
def test_rows_are_a_power_of_two_or_the_most(most: int, rows: dict[int, int]) -> None:
    shapes = BatchShapes(lambda: most)
    assert {count: shapes.rows(count) for count in rows} == rows
    assert [BatchShapes().rows(count) for count in rows] == list(rows)


@pytest.mark.parametrize("median", [1, 7])
def test_padding_changes_no_path_through_the_attention(median: int) -> None:
    torch.manual_seed(4)
    heads, steps, positions = 3, 64, 300
    sizes = [(1, 1), (2, 3), (2, 40), (9, 4), (20, 300), (33, 150), (64, 299), (64, 300)]
    exact, padded = [], []
    for tokens, frames in sizes:
        attention = torch.rand(heads, steps, positions).softmax(-1)
        exact.append(-alignment(attention[:, :tokens], frames, median))
        padded.append(attention)
    tokens_of, frames_of = torch.tensor(sizes).unbind(1)
    whole = -padded_alignment(torch.stack(padded), tokens_of, frames_of, median)
    assert whole.shape == (len(sizes), steps, positions)
    # The padding must not matter: the same values in it as before, or any others.
    for cost, (tokens, frames), own in zip(whole, sizes, exact, strict=True):
        assert torch.allclose(cost[:tokens, :frames], own, atol=1e-4)
        cost[:tokens, :frames] = own
    paths = padded_paths(whole, tokens_of, frames_of).T.tolist()
    found = [path[:tokens] for path, (tokens, _) in zip(paths, sizes, strict=True)]
    assert found == monotonic_paths(exact)


@pytest.mark.slow
def test_a_full_memory_gives_up_the_fixed_memory_until_the_device_is_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = demo(BatchShapes(lambda: 8), recorded=True)
    rng = np.random.default_rng(6)
    talk = compose(bank(), random_plan(bank(), 9, rng), rng=rng).audio[: 30 * SAMPLE_RATE]
    batch = [Window(0, 0.0, talk)] * 2

    def words() -> list[list[str]]:
        found = engine.decode(engine.encode(batch), ["en"] * 2)
        return [[w.text for s in text.read().segments for w in s.words] for text in found]

    expected, steps = words(), engine._recorded
    assert steps is not None and steps._memory is not None and len(expected[0]) > 5
    asked = 0

    def full(states: torch.Tensor) -> None:
        nonlocal asked
        asked += 1
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(steps, "caches", full)
    with pytest.raises(torch.OutOfMemoryError):
        words()
    assert steps._memory is None
    assert words() == words() == expected and asked == 1  # in memory of the batch's own size
    monkeypatch.undo()
    engine.free_batch_memory()  # the device was idle
    assert words() == expected and steps._memory is not None


def test_a_whole_spectrum_is_that_of_the_sound_alone() -> None:
    extractor = load_whisper("demo", CPU).processor.feature_extractor
    rng = np.random.default_rng(5)
    sounds = [0.1 * rng.standard_normal(n).astype(np.float32) for n in (800, 40_000)]
    whole = LogMel(extractor, "cpu", whole=True)(sounds, 4)
    assert whole.shape[0] == 4
    assert torch.allclose(whole[:2], LogMel(extractor, "cpu")(sounds), atol=1e-5)


@pytest.mark.parametrize(
    ("ceiling", "room", "size"),
    [(56, 80, 56), (56, 56, 56), (56, 55, 32), (56, 37, 32), (16, 3, 2), (16, 1, 1), (6, 5, 4)],
)
def test_a_batch_within_its_memory_stays_there_when_it_is_padded(
    ceiling: int, room: int, size: int
) -> None:
    found = AdaptiveBatchSize(ceiling, lambda: BatchCeiling(room, "memory"), padded=True)
    assert found.size == size
    assert BatchShapes(lambda: ceiling).rows(found.size) <= max(room, 1)
    assert AdaptiveBatchSize(ceiling, lambda: BatchCeiling(room, "memory")).size == min(
        room, ceiling
    )
    while found.on_out_of_memory(found.size):
        rows = BatchShapes(lambda: ceiling).rows(found.size)
        assert rows == found.size
    assert found.size == 1
