"""The sample channel: what lies in `samples/` is what its truth says, to the millisecond."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kb.enrich import StepInput, get_step
from kb.enrich.speakers.diarization import Turn
from kb.media import SAMPLE_RATE_HZ
from kb.media.decode import decode
from kb.media.probe import probe
from kb.settings import get_settings
from kb.sources import source_for
from kb.transcript.foreign.reader import read
from kb.types import MediaRef
from tests.support.compose import WordBank
from tests.support.slides import require_reader
from tests.support.voices import TrueTurn, error_rate, require_weights

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.mp4"))
VOCABULARY = set(
    (ROOT / "models" / "demo-whisper" / "vocabulary.txt").read_text(encoding="utf-8").split()
)
MAX_BYTES = 1_000_000
HOP_S = 0.01
ONSET_TOLERANCE_S = 0.05
MIXED = "Measuring the old furnace"
NOISY = "Midnight on the railway"

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


def truth_of(sample: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        sample.with_suffix(".truth.json").read_text(encoding="utf-8")
    )
    return document


def loudness_db(samples: np.ndarray) -> np.ndarray:
    """Level of each hop of 10 ms, in dB under full scale."""
    hop = round(HOP_S * SAMPLE_RATE_HZ)
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    return 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-10)


def test_there_are_three() -> None:
    assert len(SAMPLES) == 3


def test_a_folder_gives_the_talks_and_nothing_else() -> None:
    folder = str(ROOT / "samples")
    titles = sorted(item.title for item in source_for(folder).items(folder))
    assert titles == sorted(sample.stem for sample in SAMPLES)


@each_sample
def test_form(sample: Path) -> None:
    found = probe(sample)
    assert found.has_audio
    assert found.has_video
    assert found.duration_s is not None
    assert 30 <= found.duration_s <= 100
    assert sample.stat().st_size <= MAX_BYTES


@each_sample
def test_truth_is_in_order_and_in_the_vocabulary(sample: Path) -> None:
    truth = truth_of(sample)
    assert truth["title"] == sample.stem
    assert truth["language"] == "en"
    words = truth["words"]
    assert {word["text"] for word in words} <= VOCABULARY
    for word in words:
        assert word["start"] < word["end"]
    for before, after in itertools.pairwise(words):
        assert before["end"] <= after["start"]


@each_sample
def test_sound_begins_where_the_truth_says(sample: Path) -> None:
    """An encoder's delay that nobody takes back would move every word by 64 ms."""
    stream = decode(sample)
    level = loudness_db(np.concatenate(list(stream)))
    assert stream.warning is None
    floor = np.percentile(level, 5)
    loud = level > max(floor + 12, -45)
    words = truth_of(sample)["words"]
    starts = [words[0]] + [
        after for before, after in itertools.pairwise(words) if after["start"] - before["end"] > 0.6
    ]
    late = []
    for word in starts:
        first = round((word["start"] - 0.3) / HOP_S)
        onset = first + int(np.argmax(loud[first : first + 60]))
        late.append(onset * HOP_S - word["start"])
    # Soft first sounds rise slowly: the middle of all is what a shift would move.
    assert abs(float(np.median(late))) <= ONSET_TOLERANCE_S, late


def test_one_has_long_pauses_and_noise() -> None:
    sample = next(path for path in SAMPLES if path.stem == NOISY)
    words = truth_of(sample)["words"]
    pauses = [b["start"] - a["end"] for a, b in itertools.pairwise(words)]
    assert sum(pause > 3 for pause in pauses) >= 4
    level = loudness_db(np.concatenate(list(decode(sample))))
    assert np.percentile(level, 5) > -60
    clean = next(path for path in SAMPLES if path.stem not in (NOISY, MIXED))
    assert np.percentile(loudness_db(np.concatenate(list(decode(clean)))), 5) < -80


def test_one_has_two_languages_in_long_stretches() -> None:
    sample = next(path for path in SAMPLES if path.stem == MIXED)
    bank = WordBank.load()
    stretches: list[list[Any]] = []
    for word in truth_of(sample)["words"]:
        code = bank.language_of(word["text"])
        if stretches and stretches[-1][0] == code:
            stretches[-1][2] = word["end"]
        else:
            stretches.append([code, word["start"], word["end"]])
    assert [code for code, _, _ in stretches] == ["en", "de", "en", "de", "en"]
    assert all(end - start >= 6 for _, start, end in stretches)
    for before, after in itertools.pairwise(stretches):
        assert after[1] - before[2] >= 1.5


@pytest.mark.slow
def test_made_again_they_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import make_samples

    bank = WordBank.load()
    for talk in make_samples.TALKS:
        sound, starts = make_samples.speak(talk, bank)
        sample = ROOT / "samples" / f"{talk.title}.mp4"
        assert make_samples.truth_of(talk, sound) == truth_of(sample)
        assert len(starts) == len(talk.slides)
        decoded = np.concatenate(list(decode(sample)))
        assert abs(len(decoded) - len(sound.audio)) <= SAMPLE_RATE_HZ // 10
        size = min(len(decoded), len(sound.audio))
        assert np.corrcoef(decoded[:size], sound.audio[:size])[0, 1] > 0.9


# The conversation


CONVERSATION = ROOT / "samples-conversation" / "The keepers of the lighthouse.mp4"


def test_the_conversation_comes_with_its_true_transcript() -> None:
    truth = truth_of(CONVERSATION)
    assert sum(each.stat().st_size for each in CONVERSATION.parent.iterdir()) <= MAX_BYTES
    found = read(CONVERSATION.with_suffix(".en.srt"), MediaRef("", "", 0.0))
    assert [(each.text, each.start_s, each.end_s) for each in found.segments] == [
        (turn["text"], turn["start"], turn["end"]) for turn in truth["turns"]
    ]
    assert {turn["speaker"] for turn in truth["turns"]} == {
        "Ada Morgan",
        "Tom Keller",
        "Ewan Vance",
    }
    assert abs((probe(CONVERSATION).duration_s or 0) - truth["pages"][-1]["end"]) < 0.3
    level = loudness_db(np.concatenate(list(decode(CONVERSATION))))
    for turn in truth["turns"]:
        spoken = level[round(turn["start"] / HOP_S) : round(turn["end"] / HOP_S)]
        assert np.mean(spoken > -50) > 0.7


@pytest.mark.slow
def test_the_steps_find_its_speakers_and_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_reader()
    require_weights()
    truth, given = truth_of(CONVERSATION), StepInput(CONVERSATION, "")
    found = get_step("speakers").run(given, lambda _: None)["turns"]
    labels = sorted({each["speaker"] for each in found})
    said = [Turn(each["start"], each["end"], labels.index(each["speaker"])) for each in found]
    true = [TrueTurn(each["start"], each["end"], each["speaker"]) for each in truth["turns"]]
    assert len(labels) == 3
    assert error_rate(true, said) <= 0.05
    pages = get_step("screen").run(given, lambda _: None)["pages"]
    assert len(pages) == len(truth["pages"])
    for page, shown in zip(pages, truth["pages"], strict=True):
        texts = ["".join(line["text"].split()) for line in page["lines"]]
        assert texts == ["".join(line.split()) for line in shown["lines"]]
        (showing,) = page["showings"]
        assert abs(showing["start"] - shown["start"]) <= 1.0
        assert abs(showing["end"] - shown["end"]) <= 1.0
