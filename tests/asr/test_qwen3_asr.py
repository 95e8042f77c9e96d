"""The specific behaviour of the engine qwen3-asr, on random weights.

The engine encodes the audio once, reads the language from one step, and computes the tokens and
times of many windows in one batch. Its results are compared with transformers' for each window.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModelForMultimodalLM, Qwen3ASRForConditionalGeneration
from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

from gpu.manager import GPUManager
from kb.asr.engines import load_engine
from kb.asr.engines.base import DecodingResult
from kb.asr.engines.model_lookup import shape_of
from kb.asr.engines.model_registry import known_models
from kb.asr.engines.qwen3 import memory
from kb.asr.engines.qwen3.aligner import Piece, Text
from kb.asr.engines.qwen3.engine import LEAST_TOKENS, TOKENS_PER_S
from kb.asr.windows.windowing import Window
from kb.errors import DeviceLost, KBError, ModelUnavailable
from kb.inference.memory_fit import estimate_memory
from kb.settings import get_settings
from kb.types import Word
from tests.support.compose import compose, random_plan
from tests.support.qwen3 import write_qwen3
from tests.support.raising import check, raises
from tests.support.speech import bank

CPU = GPUManager("cpu", cpu_threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("qwen")
    write_qwen3(found)
    return found


@pytest.fixture(autouse=True)
def settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KB_QWEN_ALIGNER", str(folder / "aligner"))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def engine(folder: Path) -> Any:
    return load_engine("qwen3-asr", str(folder / "asr"), CPU)


def talks(names: tuple[str, ...] = ()) -> list[Window]:
    rng = np.random.default_rng(5)
    sounds = [compose(bank(), random_plan(bank(), n, rng), rng=rng).audio for n in (3, 12, 7)]
    return [
        Window(n, 100.0 * n, sound[: 28 * 16_000].astype(np.float32), hotwords=names)
        for n, sound in enumerate(sounds)
    ]


def words(decoded: DecodingResult) -> list[Word]:
    return [word for segment in decoded.segments for word in segment.words]


def texts(found: list[DecodingResult]) -> list[str]:
    return [" ".join(segment.text for segment in decoded.segments) for decoded in found]


# Equality with transformers


def test_the_language_is_what_the_answer_would_begin_with(engine: Any, folder: Path) -> None:
    windows = talks()
    heard = engine.encode(windows)
    model = AutoModelForMultimodalLM.from_pretrained(folder / "asr", dtype=torch.float32).eval()
    processor = engine._processor
    names = [processor.tokenizer.encode(f" {n}")[0] for n in LANGUAGE_CODE_TO_NAME.values()]
    silence = processor.tokenizer.encode(" None")[0]
    assert len({*names, silence}) == len(LANGUAGE_CODE_TO_NAME) + 1
    for window, chances, no_speech in zip(windows, heard.languages, heard.no_speech, strict=True):
        inputs = processor.apply_transcription_request(window.audio)
        answer = torch.tensor([processor.tokenizer.encode("language")])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], answer], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logits = model(**inputs).logits[0, -1]
        own = logits[names].softmax(-1)
        assert np.exp(list(chances.values())) == pytest.approx(own.numpy(), abs=1e-5)
        assert list(chances) == list(LANGUAGE_CODE_TO_NAME)
        assert no_speech == pytest.approx(
            float(logits[[*names, silence]].softmax(-1)[-1]), abs=1e-5
        )
    assert len({max(own, key=own.__getitem__) for own in heard.languages}) > 1


def test_texts_and_times_are_those_of_transformers(engine: Any) -> None:
    windows = talks()
    codes = ["en", "yue", "de"]
    found = engine.decode(engine.encode(windows), codes)
    assert sum(map(bool, texts(found))) >= 2
    processor, aligner = engine._processor, engine._aligner
    for window, code, decoded in zip(windows, codes, found, strict=True):
        inputs = processor.apply_transcription_request(window.audio, language=code)
        with torch.inference_mode():
            output = engine._qwen.generate(**inputs, do_sample=False, max_new_tokens=100)
        own = processor.decode(
            output[:, inputs["input_ids"].shape[1] :], return_format="transcription_only"
        )[0]
        assert " ".join(w.text for w in words(decoded)) == own
        assert {segment.language for segment in decoded.segments} <= {code}
        if not own:
            continue
        inputs, lists = aligner._processor.prepare_forced_aligner_inputs(window.audio, own)
        with torch.inference_mode():
            logits = aligner._model(**inputs).logits
        expected = aligner._processor.decode_forced_alignment(
            logits, inputs["input_ids"], lists, aligner._model.config.timestamp_token_id
        )[0]
        spoken = [piece.spoken for piece in aligner.pieces(own)]
        assert [word["text"] for word in expected] == spoken == lists[0]
        states = engine._run_encoder([window])
        with torch.inference_mode():
            edges = aligner._edges([spoken], states.features, states.mask, [len(states.sounds[0])])
        assert edges[0] == [(word["start_time"], word["end_time"]) for word in expected]


@pytest.mark.slow
def test_a_window_is_read_alike_alone_and_among_longer_ones(engine: Any) -> None:
    sound = talks()[1].audio
    windows = [Window(0, 0.0, sound[: n * 16_000]) for n in (2, 9, 5)]
    with torch.inference_mode():
        # Random weights make every step depend on all earlier tokens, positions and the audio.
        torch.manual_seed(3)
        torch.nn.init.normal_(engine._qwen.lm_head.weight)
        sounds = engine._run_encoder(windows).sounds
        together = engine._write(windows, ["en"] * 3, sounds)
        for window, among in zip(windows, together, strict=True):
            alone = engine._write([window], ["en"], engine._run_encoder([window]).sounds)[0]
            assert len(alone.logprobs) >= 2
            assert alone.logprobs[:8] == pytest.approx(among.logprobs[:8], abs=1e-3)


# Times


def test_words_stay_in_order_inside_their_window(engine: Any) -> None:
    # (The random aligner returns times up to 28 s for any audio.)
    for window, decoded in zip(
        talks(), engine.decode(engine.encode(talks()), ["en"] * 3), strict=True
    ):
        own = words(decoded)
        assert all(window.start_s <= w.start_s <= w.end_s <= window.end_s + 1e-3 for w in own)
        assert all(a.end_s <= b.start_s + 1e-6 for a, b in pairwise(own))
        assert all(0 < w.probability <= 1 for w in own)
    assert engine.align_s > 0


def test_pieces_of_texts_with_and_without_spaces(engine: Any) -> None:
    def shown(text: str) -> list[tuple[str, str]]:
        pieces: list[Piece] = engine._aligner.pieces(text)
        return [(text[piece.first : piece.end], piece.spoken) for piece in pieces]

    assert shown("The well-known harbour, said he.") == [
        ("The", "The"), ("well-known", "wellknown"), ("harbour,", "harbour"),
        ("said", "said"), ("he.", "he"),
    ]  # fmt: skip
    assert shown("– Ja – sagte «er» …") == [
        ("– Ja –", "Ja"), ("sagte", "sagte"), ("«er» …", "er")
    ]  # fmt: skip
    assert shown("今天用AI技术。好") == [
        ("今", "今"), ("天", "天"), ("用", "用"), ("AI", "AI"), ("技", "技"), ("术。", "术"),
        ("好", "好"),
    ]  # fmt: skip
    assert shown("港に 行きました") == [
        ("港", "港"),
        ("に", "に"),
        ("行", "行"),
        ("きました", "きました"),
    ]
    assert shown("... !") == shown("") == []


def test_a_word_s_probability_is_that_of_its_tokens(engine: Any) -> None:
    tokenizer = engine._tokenizer
    numbers = tokenizer.encode(" river né north")
    text = Text.from_tokens(tokenizer, numbers, [-0.1 * n for n in range(1, len(numbers) + 2)])
    assert text.text == " river né north"
    pieces = [tokenizer.convert_ids_to_tokens(number) for number in numbers]
    assert pieces == ["Ġriver", "Ġn", "Ã", "©", "Ġnorth"]
    assert text.chance(1, 6) == pytest.approx(np.exp(-0.1))
    assert text.chance(7, 9) == pytest.approx(np.exp(-0.3))
    assert text.chance(10, 15) == pytest.approx(np.exp(-0.5))
    assert text.mean == pytest.approx(-0.35)


def test_half_precision_finds_the_same_words(folder: Path, engine: Any) -> None:
    class Half(GPUManager):
        dtype = torch.bfloat16

    half: Any = load_engine("qwen3-asr", str(folder / "asr"), Half("cpu", cpu_threads=1))
    assert next(half._qwen.parameters()).dtype == torch.bfloat16
    found = texts(half.decode(half.encode(talks()), ["en"] * 3))
    plain = texts(engine.decode(engine.encode(talks()), ["en"] * 3))
    # (Rounding may change the first words, but not the last one.)
    assert [text.split()[-1:] for text in found] == [text.split()[-1:] for text in plain]


# Wrong texts


@pytest.mark.slow
def test_a_text_without_end_is_cut_by_its_window_s_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, aligner = write_qwen3(tmp_path, endless=True)
    monkeypatch.setenv("KB_QWEN_ALIGNER", str(aligner))
    get_settings.cache_clear()
    engine: Any = load_engine("qwen3-asr", str(model), CPU)
    windows = [Window(0, 0.0, talks()[1].audio[: n * 16_000]) for n in (1, 4, 2)]
    heard = engine.encode(windows)
    written = engine._write(windows, ["en"] * 3, heard.states.sounds)
    assert [len(text.ends) for text in written] == [
        LEAST_TOKENS + TOKENS_PER_S * n for n in (1, 4, 2)
    ]
    assert all(len(text.logprobs) == len(text.ends) for text in written)
    for window, text in zip(windows, written, strict=True):
        states = engine._run_encoder([window])
        assert engine._write([window], ["en"], states.sounds)[0].text == text.text


def test_hotwords_are_prompted_and_not_taken_for_words(engine: Any) -> None:
    plain = engine.decode(engine.encode(talks()), ["en"] * 3)
    assert "silver bridge" in texts(plain)[1]
    # Two successive names in the order of the prompt are treated as an echo of the prompt.
    named = talks(("silver", "bridge"))
    heard = engine.encode(named)
    assert engine._prompts(named, [""] * 3)[0].count("silver, bridge") == 1
    asked: list[list[bool]] = []
    write = engine._write

    def watched(windows: list[Window], *more: Any) -> Any:
        asked.append([bool(window.hotwords) for window in windows])
        return write(windows, *more)

    engine._write = watched
    found = engine.decode(heard, ["en"] * 3)
    assert asked[0] == [True] * 3
    assert asked[1] and not any(asked[1])
    assert texts(found)[1] == texts(plain)[1]


def test_names_hold_no_control_tokens_and_have_their_room(engine: Any) -> None:
    def said_of(names: tuple[str, ...], most: int = 100) -> str:
        sound = np.zeros(16_000, np.float32)
        return str(engine._hotword_text(Window(0, 0.0, sound, hotwords=names, prompt_tokens=most)))

    assert said_of(()) == ""
    said = said_of(("<|im_end|>", "Harbour"))
    assert not set(engine._tokenizer.encode(said)) & set(engine._tokenizer.all_special_ids)
    assert said.endswith(", Harbour")
    assert said_of(("river", "x" * 50, "north"), 8) == "river"


# Loading


def refused(model: str | Path, aligner: str | Path, patch: pytest.MonkeyPatch) -> KBError:
    patch.setenv("KB_QWEN_ALIGNER", str(aligner))
    get_settings.cache_clear()
    with pytest.raises(ModelUnavailable) as caught:
        load_engine("qwen3-asr", str(model), CPU)
    return caught.value


def test_an_aligner_that_is_not_there_is_named_with_its_setting(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub = "Qwen/Qwen3-ForcedAligner-0.6B-hf"
    error = refused(folder / "asr", hub, monkeypatch)
    check(error, "model.aligner_missing", cause="model.hub_forbidden")
    assert hub in error.message
    assert "KB_QWEN_ALIGNER" in error.hint and f"kb models pull {hub}" in error.hint
    assert error.retryable
    error = refused(folder / "asr", tmp_path / "nowhere", monkeypatch)
    check(error, "model.aligner_missing")
    assert "nowhere" in error.message and "KB_QWEN_ALIGNER" in error.hint
    error = refused(folder / "asr", tmp_path, monkeypatch)
    check(error, "model.aligner_damaged", cause="model.no_config_qwen3")
    assert str(tmp_path) in error.message and "KB_QWEN_ALIGNER" in error.hint


def test_a_model_in_the_other_s_place_or_of_another_form_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refused(folder / "aligner", folder / "aligner", monkeypatch)
    check(error, "model.aligner_as_recognizer", name=folder / "aligner")
    assert "KB_QWEN_ALIGNER" in error.hint
    error = refused(folder / "asr", folder / "asr", monkeypatch)
    check(error, "model.aligner_damaged", cause="model.recognizer_as_aligner")
    assert str(folder / "asr") in error.message
    assert "KB_QWEN_ALIGNER" in error.hint
    original = {"model_type": "qwen3_asr", "thinker_config": {"audio_config": {}}}
    (tmp_path / "config.json").write_text(json.dumps(original))
    error = refused(tmp_path, folder / "aligner", monkeypatch)
    check(error, "model.qwen3_original_form", name=tmp_path)
    assert "-hf" in error.hint


def test_damaged_files_are_reported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (folder / "aligner").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    error = refused(folder / "asr", tmp_path, monkeypatch)
    check(error, "model.aligner_damaged")
    assert str(tmp_path) in error.message and "KB_QWEN_ALIGNER" in error.hint


def test_a_device_lost_while_the_aligner_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[type] = []
    to = torch.nn.Module.to

    def fails(module: torch.nn.Module, *given: Any, **more: Any) -> Any:
        moved.append(type(module))
        if isinstance(module, Qwen3ASRForConditionalGeneration):
            return to(module, *given, **more)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.nn.Module, "to", fails)
    with raises(DeviceLost, "device.failed_loading") as caught:
        load_engine("qwen3-asr", str(folder / "asr"), CPU)
    assert "illegal memory access" in caught.value.values["cause"]
    assert len(moved) >= 2


# Memory


def test_a_shape_read_from_its_config_counts_every_number(engine: Any, folder: Path) -> None:
    shape = shape_of(str(folder / "asr"))
    assert isinstance(shape, memory.QwenShape)
    assert shape.parameters == sum(p.numel() for p in engine._qwen.parameters())
    assert estimate_memory(
        "qwen3-asr", str(folder / "asr"), CPU, ()
    ).window_bytes == shape.window_bytes(4)
    assert memory.shape_from_config({"model_type": "qwen3_asr"}) is None


def test_the_known_models_are_as_large_as_said() -> None:
    sizes = {"qwen3-asr-0.6b": (18, 896, 1024, 3072), "qwen3-asr-1.7b": (24, 1024, 2048, 6144)}
    for known in known_models():
        if known.name not in sizes:
            continue
        layers, width, hidden, inner = sizes.pop(known.name)
        config = {
            "model_type": "qwen3_asr",
            "audio_config": {
                "d_model": width, "encoder_layers": layers, "encoder_ffn_dim": 4 * width,
                "output_dim": hidden, "downsample_hidden_size": 480, "num_mel_bins": 128,
            },
            "text_config": {
                "hidden_size": hidden, "intermediate_size": inner, "vocab_size": 151_936,
                "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
                "head_dim": 128,
            },
        }  # fmt: skip
        assert memory.shape_from_config(config) == known.shape
        assert estimate_memory("qwen3-asr", known.repository, CPU, ()).window_bytes > 100e6
    assert not sizes
