"""The engine Nemotron-3-Diarization, with random weights of its real network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kb.enrich import get_step
from kb.enrich.base import StepInput
from kb.enrich.speakers import engines, nemotron_files, weights
from kb.enrich.speakers.step import WARNING
from kb.errors import ModelUnavailable
from kb.media import SAMPLE_RATE_HZ
from kb.pipeline import enrichment
from kb.settings import get_settings
from tests.fakes.hub import FakeHub
from tests.support.hub_cache import hub_at
from tests.support.kept_transcripts import transcript
from tests.support.raising import raises
from tests.support.voices import VOICES, require_weights, sound, two_voices

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

SPEAKERS, BANDS, FACTOR = 4, 16, 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small network with random weights; return its folder."""
    from transformers import (
        Nemotron3DiarizationConfig,
        Nemotron3DiarizationForAudioFrameClassification,
        NemotronAsrStreamingFeatureExtractor,
    )

    folder = tmp_path_factory.mktemp("models") / engines.FOLDER
    torch.manual_seed(5)
    network = Nemotron3DiarizationForAudioFrameClassification(
        Nemotron3DiarizationConfig(
            audio_config={
                "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_mel_bins": BANDS,
            },
            head_config={"hidden_size": 16, "num_speakers": SPEAKERS, "audio_hidden_size": 32},
            streaming_config={"num_speakers": SPEAKERS, "speaker_cache_length": 24},
            chunk_length=34, chunk_right_context=4, chunk_left_context=3, fifo_length=8,
            speaker_cache_update_period=20,
        )
    )  # fmt: skip
    with torch.no_grad():  # random speakers come and go
        for value in network.parameters():
            value.mul_(8.0) if value.ndim > 1 else value
    network.save_pretrained(folder)
    NemotronAsrStreamingFeatureExtractor(feature_size=BANDS).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def settings_of_this_test() -> Iterator[None]:
    """Read the settings anew in each test."""
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the steps' models has the network."""
    monkeypatch.setenv("KB_STEP_MODELS", str(made.parent))
    get_settings.cache_clear()
    yield made
    get_settings.cache_clear()


def blocks(samples: np.ndarray, seconds: float) -> Iterator[np.ndarray]:
    size = int(seconds * SAMPLE_RATE_HZ)
    return (samples[at : at + size] for at in range(0, len(samples), size))


LENGTHS_S = [0.05, 0.5, 2.0, 3.05, 34 * 0.08, 38 * 0.08, 7.77, 20.0, 61.3]


@pytest.mark.parametrize("length_s", LENGTHS_S)
def test_blocks_give_what_the_whole_gives(length_s: float, made: Path) -> None:
    from kb.enrich.speakers.nemotron import Model

    samples = sound("flite2")[: int(length_s * SAMPLE_RATE_HZ)]
    model = Model(made)
    inputs = model._features(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
    frames = int(inputs["attention_mask"].sum())
    with torch.inference_mode():
        whole = model._network(inputs["input_features"][:, :frames]).logits[0].sigmoid().numpy()
    for block_s in (1.0, 7.3, 100.0):
        parts = list(model.chances(blocks(samples, block_s)))
        found = np.concatenate(parts) if parts else np.zeros((0, SPEAKERS))
        assert found.shape == whole.shape == (len(samples) // 160, SPEAKERS), block_s
        assert np.abs(found - whole).max() < 1e-3, block_s


def test_the_step_uses_it_where_its_weights_are(here: Path) -> None:
    step = get_step("speakers")
    assert step.missing() is None
    given = StepInput(VOICES / "flite2.opus", "ab" * 32)
    assert step.basis(given)["model"].startswith(engines.FOLDER)
    shares: list[float] = []
    found = step.run(given, shares.append)
    assert 1 <= len(found["speakers"]) <= SPEAKERS
    starts = [turn["start"] for turn in found["turns"]]
    assert starts == sorted(starts) and shares == sorted(shares) and len(shares) > 5
    length_s = len(sound("flite2")) / SAMPLE_RATE_HZ
    assert all(0 <= t["start"] < t["end"] <= length_s + 0.01 for t in found["turns"])
    spoken = [
        sum(t["end"] - t["start"] for t in found["turns"] if t["speaker"] == name)
        for name in found["speakers"]
    ]
    assert spoken == sorted(spoken, reverse=True)


def test_what_it_cannot_do_is_done_by_the_other_engine(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "find", lambda: here)
    cases: list[tuple[dict[str, object], str, str]] = [
        ({}, "", "nemotron"),
        ({"speakers": 3}, "", "resemblyzer"),
        ({"references": [("Anna", "a.wav")]}, "", "resemblyzer"),
        ({}, "true", "resemblyzer"),  # voice profiles
    ]
    for options, profiles, expected in cases:
        monkeypatch.setenv("KB_VOICE_PROFILES", profiles or "false")
        get_settings.cache_clear()
        assert engines.engine_for(options)[0].name == expected, options
    assert len({engine.name for engine in engines.ENGINES}) == len(engines.ENGINES) == 2
    monkeypatch.setattr(weights, "find", lambda: None)
    with raises(ModelUnavailable, "speakers.no_weights"):
        engines.engine_for({"speakers": 3})


def test_missing_and_wrong_weights_are_named(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kb.enrich.speakers.nemotron import Model

    monkeypatch.setenv("KB_SPEAKER_MODEL", str(tmp_path / "nowhere"))
    get_settings.cache_clear()
    problem = get_step("speakers").missing()
    assert problem is not None and problem.code == "speakers.no_model"
    with raises(ModelUnavailable, "speakers.no_model"):
        engines.engine_for({})
    monkeypatch.setenv("KB_SPEAKER_MODEL", str(made))
    get_settings.cache_clear()
    assert get_step("speakers").missing() is None

    def broken(name: str) -> Path:
        return Path(shutil.copytree(made, tmp_path / name))

    half = broken("half")
    data = (half / "model.safetensors").read_bytes()
    (half / "model.safetensors").write_bytes(data[: len(data) // 2])
    other = broken("other")
    config = json.loads((other / "config.json").read_text())
    config["audio_config"]["num_hidden_layers"] = 3
    (other / "config.json").write_text(json.dumps(config))
    bands = broken("bands")
    about = json.loads((bands / "preprocessor_config.json").read_text())
    (bands / "preprocessor_config.json").write_text(json.dumps({**about, "feature_size": 80}))
    bare = broken("bare")
    (bare / "preprocessor_config.json").unlink()
    for folder in (half, other, bands, bare):
        with raises(ModelUnavailable, "speakers.bad_model", path=folder):
            Model(folder)


def test_its_weights_are_fetched_from_the_hub(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not needed is left; a fetch that was cut goes on; a second one asks nobody."""
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "empty"))
    get_settings.cache_clear()
    needed = {path.name: path for path in made.iterdir()}
    more: dict[str, bytes | Path] = {"model.nemo": b"n" * 100, "q8_0.gguf": b"g", "README.md": b"r"}
    fake = FakeHub({nemotron_files.REPOSITORY: {**needed, **more}})
    with hub_at(monkeypatch, tmp_path / "hub", fake) as hub:
        step = get_step("speakers")
        assert step.missing() is not None
        hub.cut["model.safetensors"] = 1000
        place = Path(enrichment.add_parts("nemotron"))
        assert {path.name for path in place.iterdir()} == set(needed)
        assert all((place / name).read_bytes() == p.read_bytes() for name, p in needed.items())
        assert {name.split(" ")[0] for name in hub.sent} == set(needed)
        assert step.missing() is None and engines.engine_for({})[1] == place
        assert str(step.about()).startswith("nemotron-3-diarization ")
        hub.requests.clear()
        assert enrichment.add_parts("nemotron") == str(place) and hub.requests == []
        (place / "model.safetensors").unlink()
        assert step.missing() is not None
    bare = FakeHub({nemotron_files.REPOSITORY: more})
    with (
        hub_at(monkeypatch, tmp_path / "other", bare),
        raises(ModelUnavailable, "speakers.no_tensors"),
    ):
        enrichment.add_parts("nemotron")


@pytest.mark.parametrize(
    "fault", ["half of the weights", "no description of sound", "other layers"]
)
def test_bad_weights_leave_the_work_to_the_other_engine(
    fault: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_weights()
    folder = Path(shutil.copytree(made, tmp_path / engines.FOLDER))
    path = folder / "model.safetensors"
    if fault == "half of the weights":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif fault == "no description of sound":
        (folder / "preprocessor_config.json").unlink()
    else:
        config = json.loads((folder / "config.json").read_text())
        config["audio_config"]["num_hidden_layers"] = 3
        (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("KB_SPEAKER_MODEL", str(folder))
    get_settings.cache_clear()
    step = get_step("speakers")
    assert step.missing() is None
    found = step.run(StepInput(two_voices(tmp_path), "ab" * 32), lambda _: None)
    assert found["engine"] == engines.RESEMBLYZER and len(found["speakers"]) == 2
    assert str(folder) in found[WARNING] and "resemblyzer" in found[WARNING]
    if fault != "other layers":  # known without loading it
        assert "lacks" in str(step.about()) and nemotron_files.COMMAND in str(step.about())
    said = step.apply(found, transcript())
    assert said.warnings == (found[WARNING],)


def test_turns_are_joined_across_blocks() -> None:
    from kb.enrich.speakers.nemotron import _Turns

    turns = _Turns()
    first, second = np.zeros((100, 2), np.float32), np.zeros((100, 2), np.float32)
    first[50:, 0] = first[90:95, 1] = 1.0
    second[:30, 0] = second[60:, 0] = second[20:95, 1] = 1.0
    turns.add(first)
    turns.add(second)
    found = turns.diarization()
    spans = [(round(t.start_s, 2), round(t.end_s, 2), t.speaker) for t in found.turns]
    # A pause of a quarter of a second ends no turn.
    assert spans == [(0.5, 1.3, 0), (0.9, 1.95, 1), (1.6, 2.0, 0)]
