"""Our greedy decoding compared to transformers': the tokens and log-probabilities are equal."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration
from transformers.generation.logits_process import (
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput

from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.audio.log_mel import LogMel
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.asr.engines.whisper import decoder
from kb.asr.engines.whisper.batch_shapes import BatchShapes
from kb.asr.engines.whisper.decoder import Decoder
from kb.asr.engines.whisper.greedy_search import DecoderState, GreedyDecoder, GreedyResult
from kb.asr.engines.whisper.loader import load_whisper
from kb.asr.engines.whisper.packed_linear import Linear, pack_linears
from kb.asr.engines.whisper.recorded_steps import RecordedSteps
from kb.asr.engines.whisper.sound_layout import KEYS, VALUES, transposed_part
from kb.asr.engines.whisper.timestamp_rules import TimestampRules, TokenChoice
from tests.support.compose import compose, random_plan
from tests.support.speech import bank

pytestmark = pytest.mark.slow

EN, DE, TRANSCRIBE = 856, 858, 957


@cache
def demo() -> Any:
    """Return the demo recognizer with its processor, loaded by transformers."""
    return load_whisper("demo", GPUManager("cpu", cpu_threads=1))


@cache
def states() -> torch.Tensor:
    """Return encoder states of four short and long talks: three English, one German."""
    rng = np.random.default_rng(5)
    talks = [
        compose(bank(), random_plan(bank(), count, rng, code), rng=rng).audio
        for count, code in ((3, "en"), (12, "en"), (60, "en"), (25, "de"))
    ]
    mel = LogMel(demo().processor.feature_extractor, "cpu")
    with torch.inference_mode():
        found = mel([talk[: 30 * SAMPLE_RATE] for talk in talks])
        encoded: torch.Tensor = demo().model.get_encoder()(found).last_hidden_state
    return encoded


def prompts() -> list[list[int]]:
    return [[855, code, TRANSCRIBE] for code in (EN, EN, EN, DE)]


def greedy(**options: Any) -> GreedyDecoder:
    model = demo().model
    rules = TimestampRules(model.generation_config, 854, model.config.vocab_size, "cpu")
    return GreedyDecoder(Decoder(model), rules, start_token=855, **options)


def written(loop: GreedyDecoder) -> GreedyResult:
    with torch.inference_mode():
        return loop.decode(loop.start(states()), prompts())


def edges(loop: GreedyDecoder, found: GreedyResult) -> list[Any]:
    with torch.inference_mode():
        return [tokens.edges for tokens in loop.align(found, [30.0] * 4)]


@pytest.fixture(params=[KEYS, VALUES], ids=["keys", "values"])
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the sound's keys, or its values, lie transposed in decoders made from now on."""
    monkeypatch.setattr(decoder, "transposed_part", lambda: request.param)


def test_the_layout_is_measured_once() -> None:
    assert transposed_part() in (KEYS, VALUES)
    assert {transposed_part() for _ in range(3)} == {transposed_part()}
    assert transposed_part.cache_info().misses == 1


@pytest.mark.usefixtures("layout")
def test_decoded_tokens_equal_those_of_generate() -> None:
    output = demo().model.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=states()),
        language=["en", "en", "en", "de"],
        task="transcribe",
        return_timestamps=True,
        force_unique_generate_call=True,
        num_beams=1,
        max_new_tokens=224,
    )
    theirs = []
    for row in output.tolist():
        tokens = row[3:] if row[0] == 855 else row
        theirs.append(tokens[: tokens.index(854)] if 854 in tokens else tokens)
    assert written(greedy()).rows == theirs
    assert max(map(len, theirs)) > 40  # the texts are long enough to differ


@pytest.mark.usefixtures("layout")
def test_log_probabilities_and_attention_are_a_second_pass_s() -> None:
    found = written(greedy())
    model = WhisperForConditionalGeneration.from_pretrained(
        DEMO_FOLDER, dtype=torch.float32, attn_implementation="eager"
    )
    for row, (prompt, tokens) in enumerate(zip(prompts(), found.rows, strict=True)):
        with torch.inference_mode():
            output = model(
                encoder_outputs=BaseModelOutput(last_hidden_state=states()[row : row + 1]),
                decoder_input_ids=torch.tensor([prompt + tokens]),
                output_attentions=True,
                use_cache=False,
            )
        scores = output.logits[0, 2:-1].log_softmax(-1)
        chances = scores.gather(1, torch.tensor(tokens)[:, None])[:, 0]
        assert found.logprobs[row] == pytest.approx(chances.tolist(), abs=1e-3)
        own = found.attention.block(slice(row, row + 1), 2, 2 + len(tokens) + 1)[0]
        theirs = output.cross_attentions[1][0, [0, 1], 2:]
        assert own.shape == theirs.shape
        assert torch.allclose(own, theirs, atol=1e-4)


def recorded() -> GreedyDecoder:
    """Return a decoder with its steps in fixed memory; without CUDA they are not recorded."""
    decoder = Decoder(demo().model, whole_caches=True)
    generation = demo().model.generation_config
    rules = TimestampRules(generation, 854, demo().model.config.vocab_size, "cpu")
    steps = RecordedSteps(decoder, rules, 227)
    shapes = BatchShapes(lambda: 4)
    return GreedyDecoder(decoder, rules, start_token=855, recorded=steps, shapes=shapes)


def test_steps_in_fixed_memory_write_the_same() -> None:
    plain, loop = written(greedy()), recorded()
    for _ in range(2):  # the second run reuses the memory
        again = written(loop)
        assert again.rows == plain.rows
        assert edges(loop, again) == edges(greedy(), plain)
        for mine, theirs in zip(again.logprobs, plain.logprobs, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-3)


def test_steps_in_fixed_memory_take_given_and_sampled_tokens() -> None:
    plain, loop = greedy(), recorded()
    texts = [[20 + n for n in range(length)] for length in (3, 70, 1, 20)]
    with torch.inference_mode():
        given = [
            each.decode(each.start(states()), prompts(), fixed=texts) for each in (plain, loop)
        ]
        for result in given:
            assert result.rows == texts
        assert edges(loop, given[1]) == edges(plain, given[0])
        for mine, theirs in zip(given[1].logprobs, given[0].logprobs, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-3)
        first, second = (
            loop.decode(loop.start(states()), prompts(), temperature=1.0) for _ in "ab"
        )
    assert first.rows == second.rows
    assert first.rows != plain.decode(plain.start(states()), prompts()).rows


def test_a_batch_that_gave_up_rows_is_not_decoded_again() -> None:
    loop = recorded()
    with torch.inference_mode():
        state = loop.start(states())
        loop.decode(state, prompts(), fixed=[[20] * length for length in (2, 2, 2, 60)])
        with pytest.raises(RuntimeError, match="encode it again"):
            loop.decode(state, prompts())
        assert written(loop).rows == written(greedy()).rows  # a new batch is


def test_a_batch_may_be_written_again_with_other_prompts() -> None:
    loop = greedy()
    with torch.inference_mode():
        state: DecoderState = loop.start(states())
        first = loop.decode(state, prompts())
        loop.decode(state, [[855, DE, TRANSCRIBE]] * 4)
        again = loop.decode(state, prompts())
    assert again.rows == first.rows
    assert again.logprobs == first.logprobs
    assert edges(loop, again) == edges(loop, first)


def test_caches_grow_when_their_room_is_used_up() -> None:
    decoder = Decoder(demo().model)
    tokens = torch.randint(0, 800, (1, 70), generator=torch.manual_seed(0))
    with torch.inference_mode():
        caches = decoder.caches(states()[:1])
        logits = [decoder.step(tokens[:, at], at, caches)[0] for at in range(70)]
        whole = demo().model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states()[:1]),
            decoder_input_ids=tokens,
            use_cache=False,
        )
    assert caches.capacity >= 70
    assert torch.allclose(torch.stack(logits, 1), whole.logits, atol=1e-3)


# The rules on random logits, which reach every branch independent of the model's training.


@pytest.mark.parametrize("furthest", [None, 50])
@pytest.mark.parametrize("boost", [-8.0, 0.0, 8.0])
def test_the_rules_are_transformers_s(boost: float, furthest: int | None) -> None:
    generation = demo().model.generation_config.__class__(
        no_timestamps_token_id=961,
        eos_token_id=854,
        suppress_tokens=[5, 7, *range(855, 961)],
        begin_suppress_tokens=[9, 854],
    )
    if furthest is not None:
        generation.max_initial_timestamp_index = furthest
    theirs = [
        SuppressTokensAtBeginLogitsProcessor([9, 854], begin_index=1),
        SuppressTokensLogitsProcessor([5, 7, *range(855, 961)]),
        WhisperTimeStampLogitsProcessor(generation, begin_index=1),
    ]
    choice = TokenChoice(TimestampRules(generation, 854, 2463, "cpu"), 6)
    draw = torch.manual_seed(int(boost) + 20)
    ids = torch.full((6, 1), 855)
    for _ in range(40):
        logits = 3 * torch.randn(6, 2463, generator=draw)
        logits[:, 962:] += boost  # more or fewer timestamps
        scores = logits
        for processor in theirs:
            scores = processor(ids, scores)
        finished = choice.finished.clone()
        tokens, logprobs = choice(logits)
        expected = scores.argmax(-1).masked_fill(finished, 854)
        assert tokens.tolist() == expected.tolist()
        own = logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
        assert torch.allclose(logprobs, own, atol=1e-4)
        ids = torch.cat([ids, tokens[:, None]], 1)


# Packed weights


@pytest.mark.parametrize("rows", [1, 8, 300])
def test_packed_weights_multiply_as_plain_ones(rows: int) -> None:
    draw = torch.manual_seed(1)
    big = torch.randn(96, 64, generator=draw)
    bias, x = torch.randn(48, generator=draw), torch.randn(2, rows, 64, generator=draw)
    part = big[48:]  # a view, like the projections of a joined matrix
    for offset in (bias, None):
        linear = Linear(part, offset, rows)
        expected = torch.nn.functional.linear(x, part, offset)
        assert torch.allclose(linear(x), expected, atol=1e-4)


def test_packing_replaces_every_linear_and_keeps_the_outcome() -> None:
    module = torch.nn.Sequential(
        torch.nn.Linear(16, 32), torch.nn.Sequential(torch.nn.GELU(), torch.nn.Linear(32, 8))
    ).requires_grad_(False)
    x = torch.randn(5, 16)
    expected = module(x)
    pack_linears(module, 5)
    assert not any(isinstance(part, torch.nn.Linear) for part in module.modules())
    assert torch.allclose(module(x), expected, atol=1e-5)


def test_half_precision_stays_plain() -> None:
    weight = torch.randn(8, 16, dtype=torch.bfloat16)
    linear = Linear(weight, None, 8)
    assert not linear.packed
    assert linear(torch.ones(2, 16, dtype=torch.bfloat16)).dtype == torch.bfloat16


# Other decoding methods


@pytest.mark.slow
def test_beams_find_a_text_at_least_as_likely_as_the_greedy_one() -> None:
    loop = greedy()
    with torch.inference_mode():
        state = loop.start(states())
        plain = loop.decode(state, prompts())
        rows = loop.beam_search(state, prompts(), 4)
        found = loop.decode(state, prompts(), fixed=rows)
    assert found.rows == rows
    for row in rows:
        assert row
        assert 854 not in row
    # Beams keep the likelier choices, so the sum over all windows is not below greedy.
    assert sum(map(sum, found.logprobs)) >= sum(map(sum, plain.logprobs)) - 1e-3


def test_one_beam_is_greedy() -> None:
    loop = greedy()
    with torch.inference_mode():
        state = loop.start(states())
        assert loop.beam_search(state, prompts(), 1) == loop.decode(state, prompts()).rows


def test_sampling_is_repeatable_and_greedy_near_zero() -> None:
    loop = greedy()
    with torch.inference_mode():
        state = loop.start(states())
        plain = loop.decode(state, prompts())
        warm = loop.decode(state, prompts(), temperature=1.5)
        assert loop.decode(state, prompts(), temperature=1.5).rows == warm.rows
        assert warm.rows != plain.rows
        assert loop.decode(state, prompts(), temperature=0.0005).rows == plain.rows


@pytest.mark.parametrize("boost", [-8.0, 0.0, 8.0])
def test_sampling_allows_the_tokens_of_transformers(boost: float) -> None:
    generation = demo().model.generation_config.__class__(
        no_timestamps_token_id=961, eos_token_id=854, suppress_tokens=[5, *range(855, 961)]
    )
    theirs = [
        SuppressTokensLogitsProcessor([5, *range(855, 961)]),
        WhisperTimeStampLogitsProcessor(generation, begin_index=1),
    ]
    choice = TokenChoice(TimestampRules(generation, 854, 2463, "cpu"), 6)
    draw = torch.manual_seed(3)
    ids = torch.full((6, 1), 855)
    for _ in range(25):
        logits = 3 * torch.randn(6, 2463, generator=draw)
        logits[:, 962:] += boost
        logits[:, 854] = -50.0  # so that no row ends
        scores = logits
        for processor in theirs:
            scores = processor(ids, scores)
        assert torch.equal(choice.masked(logits) > -1e30, scores > -1e30)
        tokens, _ = choice(logits)
        ids = torch.cat([ids, tokens[:, None]], 1)
