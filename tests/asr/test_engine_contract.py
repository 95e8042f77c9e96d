"""The contract of `kb/asr/engines/base.py`, checked for every engine."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.batching.batcher import Batcher
from kb.asr.engines import ENGINES, check_engine, engine_spec, load_engine
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, EncodedBatch, Engine
from kb.asr.engines.faster_whisper.engine import FasterWhisperEngine
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.asr.recognizer import Recognizer
from kb.asr.windows.windowing import Window
from kb.errors import ModelUnavailable, SettingsError
from kb.settings import get_settings
from kb.types import MediaRef, Word
from tests.support.compose import compose, noise, random_plan
from tests.support.engines import CASES, SPEECH_CASES, load_case, new_engine, write_parakeet
from tests.support.raising import raises
from tests.support.speech import bank, blocks, detector, preset, score

pytestmark = pytest.mark.slow

CPU = GPUManager("cpu", cpu_threads=1)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(autouse=True)
def aligner(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_QWEN_ALIGNER", str(kept / "aligner"))
    get_settings.cache_clear()


@pytest.fixture(params=CASES)
def engine(request: pytest.FixtureRequest, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("KB_MODEL_CACHE", str(kept / "cache"))
    get_settings.cache_clear()
    return load_case(request.param, kept)


def window(audio: np.ndarray, start_s: float = 0.0) -> Window:
    return Window(0, start_s, np.asarray(audio, np.float32))


def talks() -> list[Window]:
    rng = np.random.default_rng(11)
    made = [compose(bank(), random_plan(bank(), count, rng), rng=rng).audio for count in (2, 7, 15)]
    return [window(audio[: 25 * SAMPLE_RATE], 7.5 * n) for n, audio in enumerate(made)]


def read(
    engine: Engine, windows: list[Window], how: DecodingOptions = GREEDY
) -> list[DecodingResult]:
    return [
        text.read() for text in engine.decode(engine.encode(windows), ["en"] * len(windows), how)
    ]


def decode(engine: Engine, encoded: EncodedBatch) -> list[DecodingResult]:
    return [text.read() for text in engine.decode(encoded, ["en"] * len(encoded.windows))]


def words(decoded: DecodingResult) -> list[Word]:
    return [word for segment in decoded.segments for word in segment.words]


def test_words_have_their_place_inside_the_window(engine: Engine) -> None:
    windows = talks()
    found = read(engine, windows)
    assert any(words(decoded) for decoded in found)
    for shown, decoded in zip(windows, found, strict=True):
        own = words(decoded)
        assert all(shown.start_s <= w.start_s <= w.end_s <= shown.end_s + 1e-3 for w in own)
        assert all(a.start_s <= b.start_s + 1e-6 for a, b in itertools.pairwise(own))
        assert all(0 <= w.probability <= 1 and w.text == w.text.strip() != "" for w in own)
        assert shown.start_s <= decoded.last_s <= shown.end_s + 1e-3
        assert 0 <= decoded.no_speech <= 1
        assert math.isfinite(decoded.avg_logprob)
        assert decoded.avg_logprob <= 0
        for segment in decoded.segments:
            assert segment.words
            assert segment.text == " ".join(w.text for w in segment.words)
            assert segment.start_s == segment.words[0].start_s
            assert segment.end_s == segment.words[-1].end_s
            assert segment.language == "en"


def test_a_batch_reads_what_single_windows_read(engine: Engine) -> None:
    windows = talks()
    together = read(engine, windows)
    for shown, own in zip(windows, together, strict=True):
        alone = read(engine, [shown])[0]
        assert [w.text for w in words(alone)] == [w.text for w in words(own)]
        assert [w.start_s for w in words(alone)] == pytest.approx(
            [w.start_s for w in words(own)], abs=0.05
        )


def test_times_are_the_medium_s(engine: Engine) -> None:
    shown = talks()[2]
    early, late = read(engine, [window(shown.audio), window(shown.audio, 1000.0)])
    assert [w.text for w in words(early)] == [w.text for w in words(late)]
    assert [w.start_s + 1000 for w in words(early)] == pytest.approx(
        [w.start_s for w in words(late)], abs=0.011
    )


def test_what_was_heard_may_be_decoded_again(engine: Engine) -> None:
    heard = engine.encode(talks())
    first = decode(engine, heard)
    assert decode(engine, heard) == first


def test_every_declared_decoding_method_works(engine: Engine) -> None:
    assert engine.decoding_methods <= {"temperature", "beam", "translate"}
    if "translate" in engine.decoding_methods:
        task = DecodingOptions(task="translate")
        assert read(engine, talks(), task) == read(engine, talks(), task)
    plain = read(engine, talks())
    if "temperature" in engine.decoding_methods:
        drawn = read(engine, talks(), DecodingOptions(temperature=0.9))
        assert drawn == read(engine, talks(), DecodingOptions(temperature=0.9))
        assert drawn != plain
    else:
        assert engine.name != "whisper"
    if "beam" in engine.decoding_methods:
        searched = read(engine, talks(), DecodingOptions(beams=3))
        assert [bool(words(d)) for d in searched] == [bool(words(d)) for d in plain]


def test_encoding_gives_languages_and_no_speech(engine: Engine) -> None:
    heard = engine.encode(talks())
    assert len(heard.windows) == len(heard.languages) == len(heard.no_speech) == 3
    for chances in heard.languages:
        assert all(engine.supports_language(code) for code in chances)
        if chances:
            assert sum(map(math.exp, chances.values())) == pytest.approx(1, abs=1e-2)
    assert all(0 <= chance <= 1 for chance in heard.no_speech)
    assert engine.supports_language("en")
    assert not engine.supports_language("xx")


def test_the_shortest_and_the_longest_window(engine: Engine) -> None:
    longest = np.tile(talks()[2].audio, 8)[: int(engine.receptive_field_s * SAMPLE_RATE)]
    windows = [window(np.zeros(640)), window(longest), window(np.zeros(16_000))]
    for shown, decoded in zip(windows, read(engine, windows), strict=True):
        assert all(w.end_s <= shown.end_s + 1e-3 for w in words(decoded))


@pytest.mark.parametrize("name", SPEECH_CASES)
def test_words_through_windows_batches_and_merging(
    name: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_MODEL_CACHE", str(kept / "cache"))
    get_settings.cache_clear()
    rng = np.random.default_rng(5)
    said = compose(bank(), random_plan(bank(), 70, rng), rng=rng, noise_db=25)
    batcher = Batcher(load_case(name, kept), CPU, 4)
    recognizer = Recognizer(batcher, preset(), detector=detector())
    found = recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    result = score(said.words, [w for s in found.segments for w in s.words])
    assert found.engine == name
    assert result.wer <= 0.06
    assert np.quantile(np.abs([*result.starts_s, *result.ends_s]), 0.95) < 0.3
    # (Closing the batcher would stop the engine, which other tests still use.)


def test_nothing_is_said_in_noise(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_MODEL_CACHE", str(kept / "cache"))
    get_settings.cache_clear()
    rng = np.random.default_rng(3)
    for name in SPEECH_CASES:
        assert words(read(load_case(name, kept), [window(noise(12, rng))])[0]) == []


@pytest.mark.parametrize("case", CASES)
def test_after_a_stop_a_decode_ends_at_once(
    case: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_MODEL_CACHE", str(kept / "cache"))
    get_settings.cache_clear()
    engine = new_engine(case, kept)
    heard = engine.encode(talks())
    whole = decode(engine, heard)
    engine.stop()
    cut = decode(engine, heard)
    assert len(cut) == 3
    if CASES[case].stops:
        assert sum(len(words(d)) for d in cut) < sum(len(words(d)) for d in whole)
    engine.close()


# Loading


def test_every_engine_has_a_case() -> None:
    assert {case.engine for case in CASES.values()} == set(ENGINES)


def test_unknown_engines_and_missing_packages_name_the_next_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ENGINES:
        check_engine(name)
    with raises(SettingsError, "engine.unknown", name="kaldi") as caught:
        load_engine("kaldi", "demo", CPU)
    assert all(name in caught.value.hint for name in ENGINES)
    broken = replace(
        engine_spec("parakeet"), package="not_there.at_all", install_hint="pip install it"
    )
    monkeypatch.setattr("kb.asr.engines.parakeet.spec.SPEC", broken)
    with raises(
        SettingsError, "engine.not_installed", name="parakeet", command="pip install it"
    ) as caught:
        check_engine("parakeet")
    assert "not_there" in caught.value.values["package"]
    assert "pip install it" in caught.value.hint


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_a_model_that_is_not_there_or_of_another_kind(
    name: str, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_MODEL_CACHE", str(tmp_path))
    get_settings.cache_clear()
    with raises(ModelUnavailable, "model.unknown", name="nonsense"):
        load_engine(name, "nonsense", CPU)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelUnavailable, match="missing"):
        load_engine(name, str(empty), CPU)
    other = str(DEMO_FOLDER) if name == "parakeet" else str(write_parakeet(tmp_path / "p", "ctc"))
    with pytest.raises(ModelUnavailable) as caught:
        load_engine(name, other, CPU)
    assert caught.value.hint


def test_a_model_is_converted_once_and_again_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    cache, original = tmp_path / "cache", tmp_path / "own-model"
    monkeypatch.setenv("KB_MODEL_CACHE", str(cache))
    get_settings.cache_clear()
    shutil.copytree(DEMO_FOLDER, original)

    def made() -> dict[str, int]:
        return {p.parent.name: p.stat().st_mtime_ns for p in cache.glob("*/model.bin")}

    load_engine("faster-whisper", str(original), CPU).close()
    first = made()
    assert len(first) == 1
    load_engine("faster-whisper", str(original), CPU).close()
    assert made() == first
    config = original / "generation_config.json"
    config.write_text(config.read_text() + "\n")
    load_engine("faster-whisper", str(original), CPU).close()
    assert len(made()) == 2
    assert not list(cache.glob(".kb-*"))


def test_an_unsupported_compute_type_is_refused(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_MODEL_CACHE", str(kept / "cache"))
    monkeypatch.setenv("KB_COMPUTE_TYPE", "float16")
    get_settings.cache_clear()
    with raises(SettingsError, "engine.compute_type", value="float16") as caught:
        load_engine("faster-whisper", "demo", CPU)
    assert "int8" in caught.value.hint
    monkeypatch.setenv("KB_COMPUTE_TYPE", "int8")
    get_settings.cache_clear()
    engine = load_engine("faster-whisper", "demo", CPU)
    assert isinstance(engine, FasterWhisperEngine)
    assert words(read(engine, talks())[2])
    engine.close()
