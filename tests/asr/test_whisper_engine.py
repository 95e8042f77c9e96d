"""The Whisper engine: features, batches, and models of every shape, with random weights."""

from __future__ import annotations

import itertools
import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)

from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.audio.log_mel import LogMel
from kb.asr.engines import ENGINES, check_engine, load_engine
from kb.asr.engines.base import DecodingOptions, DecodingResult
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.asr.engines.whisper.engine import WhisperEngine
from kb.asr.engines.whisper.loader import LoadedModel
from kb.asr.windows.windowing import Window
from kb.errors import SettingsError
from tests.support.compose import chords, compose, noise, random_plan
from tests.support.raising import raises
from tests.support.speech import bank

CPU = GPUManager("cpu", cpu_threads=1)


@pytest.fixture(scope="module")
def demo() -> WhisperEngine:
    engine = load_engine("whisper", "demo", CPU)
    assert isinstance(engine, WhisperEngine)
    return engine


def window(audio: np.ndarray, start_s: float = 0.0) -> Window:
    return Window(0, start_s, audio.astype(np.float32))


def talks() -> list[Window]:
    """Return four windows of different length, the last one full."""
    rng = np.random.default_rng(11)
    audios = [
        compose(bank(), random_plan(bank(), count, rng), rng=rng).audio for count in (2, 9, 20, 60)
    ]
    return [window(audio[: 30 * SAMPLE_RATE], 7.0 * n) for n, audio in enumerate(audios)]


def read(
    engine: WhisperEngine, windows: list[Window], language: str | None = "en"
) -> list[DecodingResult]:
    heard = engine.encode(windows)
    return [text.read() for text in engine.decode(heard, [language] * len(windows))]


@pytest.mark.slow
def test_batches_prepared_ahead_in_another_thread_have_the_words_of_their_turn(
    demo: WhisperEngine,
) -> None:
    first, second = talks()[1:3], talks()[3:]
    expected = [read(demo, batch) for batch in (first, second)]
    assert all(result.segments for batch in expected for result in batch)
    with ThreadPoolExecutor(1) as other:
        ahead = other.submit(lambda: [demo.prepare(batch) for batch in (first, second)])
        read(demo, first)  # the batch that is decoded meanwhile
        prepared = ahead.result()
    for batch, results in zip(prepared, expected, strict=True):
        encoded = demo.encode_prepared(batch)
        texts = demo.decode(encoded, ["en"] * len(batch.windows))
        assert [text.read() for text in texts] == results


# Features


@pytest.mark.parametrize("mels", [80, 128])
def test_log_mel_is_the_feature_extractor_s(mels: int) -> None:
    extractor = WhisperFeatureExtractor(feature_size=mels)
    rng = np.random.default_rng(0)
    audios = [
        noise(3, rng), chords(30, rng), np.zeros(16_000, np.float32), talks()[1].audio,
        np.zeros(0, np.float32), np.concatenate([chords(31, rng), noise(4, rng)]),
    ]  # fmt: skip
    ours = LogMel(extractor, "cpu")(audios)
    for own, audio in zip(ours, audios, strict=True):
        theirs = extractor(audio, sampling_rate=SAMPLE_RATE, return_tensors="np")
        assert own.shape == (mels, 3000)
        assert np.allclose(own.numpy(), theirs["input_features"][0], atol=2e-4)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 12.0, 29.96, 29.99])
def test_log_mel_of_short_pieces_is_padded_with_silence(seconds: float) -> None:
    extractor = WhisperFeatureExtractor()
    piece = noise(31, np.random.default_rng(1))[: int(seconds * SAMPLE_RATE)]
    theirs = extractor(piece, sampling_rate=SAMPLE_RATE, return_tensors="np")
    own = LogMel(extractor, "cpu")([piece, piece[:100]])
    assert np.allclose(own[0].numpy(), theirs["input_features"][0], atol=2e-4)


# Batches


@pytest.mark.slow
def test_a_batch_reads_what_single_windows_read(demo: WhisperEngine) -> None:
    windows = talks()
    together = read(demo, windows)
    for shown, alone in zip(windows, together, strict=True):
        single = read(demo, [shown])[0]
        assert single.language == alone.language
        assert [s.text for s in single.segments] == [s.text for s in alone.segments]
        ours = [w for s in single.segments for w in s.words]
        theirs = [w for s in alone.segments for w in s.words]
        assert [w.start_s for w in ours] == pytest.approx([w.start_s for w in theirs], abs=0.03)
        assert [w.probability for w in ours] == pytest.approx(
            [w.probability for w in theirs], abs=0.01
        )


@pytest.mark.slow
def test_words_are_inside_the_window_and_in_order(demo: WhisperEngine) -> None:
    windows = talks()
    for shown, decoded in zip(windows, read(demo, windows), strict=True):
        words = [w for s in decoded.segments for w in s.words]
        assert words
        for segment in decoded.segments:
            assert segment.text == " ".join(w.text for w in segment.words)
            assert (segment.start_s, segment.end_s) == (
                segment.words[0].start_s, segment.words[-1].end_s
            )  # fmt: skip
        assert words[0].start_s >= shown.start_s
        assert words[-1].end_s <= shown.end_s + 1e-3
        assert decoded.last_s <= shown.end_s + 1e-3
        assert all(0 <= w.probability <= 1 and w.start_s < w.end_s for w in words)
        assert all(a.end_s <= b.start_s + 1e-6 for a, b in itertools.pairwise(words))


@pytest.mark.slow
def test_languages_are_log_probabilities_and_each_window_has_its_own(demo: WhisperEngine) -> None:
    rng = np.random.default_rng(2)
    german = compose(bank(), random_plan(bank(), 30, rng, "de"), rng=rng).audio
    windows = [talks()[3], window(german[: 30 * SAMPLE_RATE])]
    heard = demo.encode(windows)
    for found in heard.languages:
        assert sum(np.exp(value) for value in found.values()) == pytest.approx(1, abs=1e-3)
    assert [max(found, key=found.__getitem__) for found in heard.languages] == ["en", "de"]
    assert [d.language for d in demo.decode(heard, ["en", "de"])] == ["en", "de"]
    assert demo.supports_language("de")
    assert not demo.supports_language("xx")


@pytest.mark.slow
def test_no_words_without_speech(demo: WhisperEngine) -> None:
    rng = np.random.default_rng(3)
    windows = [window(noise(20, rng)), window(chords(20, rng)), window(np.zeros(80_000))]
    assert [decoded.segments for decoded in read(demo, windows)] == [(), (), ()]


@pytest.mark.slow
def test_decoding_leaves_the_model_as_it_was_and_the_console_quiet(
    demo: WhisperEngine, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    windows = talks()[:2]
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        first = read(demo, windows)
        read(demo, [windows[1]], "de")
        assert read(demo, windows) == first
    printed = capfd.readouterr()
    assert printed.out + printed.err + caplog.text == ""


@pytest.mark.slow
def test_a_stop_ends_a_decode_at_once() -> None:
    engine = load_engine("whisper", "demo", CPU)
    heard = engine.encode(talks())
    whole = sum(len(s.words) for d in engine.decode(heard, ["en"] * 4) for s in d.read().segments)
    engine.stop()
    cut = sum(len(s.words) for d in engine.decode(heard, ["en"] * 4) for s in d.read().segments)
    assert cut < whole / 4


# Models of other shapes with random weights: they must run and return valid times.


def built(
    *,
    mels: int = 80,
    multilingual: bool = True,
    heads: bool = True,
    dtype: Any = torch.float32,
    changed: dict[str, Any] | None = None,
) -> WhisperEngine:
    """Load a tiny random Whisper with the demo's tokens in the usual way."""
    torch.manual_seed(0)
    demo_config = WhisperConfig.from_pretrained(DEMO_FOLDER)
    tokenizer = WhisperProcessor.from_pretrained(DEMO_FOLDER).tokenizer
    config = WhisperConfig(
        **{
            **demo_config.to_dict(), "d_model": 32, "num_mel_bins": mels, "encoder_layers": 1,
            "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "dtype": None,
        }
    )  # fmt: skip
    config._attn_implementation = CPU.attention
    model = WhisperForConditionalGeneration(config).to(dtype).eval()
    generation = GenerationConfig.from_pretrained(DEMO_FOLDER)
    if not multilingual:
        generation.is_multilingual = False
        del generation.lang_to_id, generation.task_to_id
    if not heads:
        del generation.alignment_heads
    generation.update(**(changed or {}))
    model.generation_config = generation
    processor = WhisperProcessor(WhisperFeatureExtractor(feature_size=mels), tokenizer)
    manager = GPUManager("cpu", cpu_threads=1)
    if dtype != torch.float32:
        manager = _Half("cpu", cpu_threads=1)
    return WhisperEngine(LoadedModel(model, processor, 0.0), "random", manager)


class _Half(GPUManager):
    """A device in half precision, like every GPU."""

    @property
    def dtype(self) -> Any:
        return torch.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"mels": 128},
        {"multilingual": False},
        {"heads": False},
        {"dtype": torch.bfloat16},
        {"mels": 128, "multilingual": False, "heads": False, "dtype": torch.bfloat16},
    ],
    ids=lambda shape: "-".join(shape) or "plain",
)
def test_models_of_every_shape_run(shape: dict[str, Any]) -> None:
    engine = built(**shape)
    windows = talks()[:2]
    heard = engine.encode(windows)
    assert len(heard.windows) == len(heard.no_speech) == 2
    if shape.get("multilingual", True):
        assert set(heard.languages[0]) >= {"en", "de"}
        languages = ["en", "de"]
    else:
        assert heard.languages == ({}, {})
        assert engine.supports_language("en")
        assert not engine.supports_language("de")
        languages = ["en", "en"]
    for shown, decoded in zip(windows, engine.decode(heard, languages), strict=True):
        for segment in decoded.read().segments:
            for word in segment.words:
                assert shown.start_s <= word.start_s <= word.end_s <= shown.end_s + 0.03
    engine.close()


@pytest.mark.slow
def test_a_hub_config_with_beams_and_forced_tokens_is_read_greedily() -> None:
    windows = talks()[:1]
    plain = read(built(), windows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        changed = {"num_beams": 5, "forced_decoder_ids": [[1, None], [2, 957]], "max_length": 9}
        assert read(built(changed=changed), windows) == plain


def test_engines_are_found_by_name() -> None:
    check_engine("whisper")
    assert "whisper" in ENGINES
    with raises(SettingsError, "engine.unknown", name="kaldi") as caught:
        load_engine("kaldi", "demo", CPU)
    assert "whisper" in caught.value.hint


@pytest.mark.slow
def test_a_translation_begins_with_the_token_of_its_task() -> None:
    windows = talks()[:2]
    engine = built()
    assert "translate" in engine.decoding_methods
    heard, languages = engine.encode(windows), ["en", "de"]
    plain = [d.tokens.token_ids for d in engine.decode(heard, languages)]
    task = DecodingOptions(task="translate")
    other = [d.tokens.token_ids for d in engine.decode(engine.encode(windows), languages, task)]
    assert plain != other
    # The same as with the other token in place of the usual one.
    engine._tasks["transcribe"] = engine._tasks["translate"]
    assert other == [d.tokens.token_ids for d in engine.decode(engine.encode(windows), languages)]
    engine.close()
    without = built(changed={"task_to_id": {"transcribe": 957}})
    assert "translate" not in without.decoding_methods
    assert "translate" not in built(multilingual=False).decoding_methods
