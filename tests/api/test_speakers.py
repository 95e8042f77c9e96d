"""Speakers of a recording through the official client: recorded voices and the real models."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from openai import OpenAI

from kb.api.speakers import UNKNOWN, segments
from kb.enrich.speakers.diarization import Turn
from kb.inference.line import ModelTranscriber
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.settings import Settings, get_settings
from kb.types import Segment, Word
from tests.support.api_server import served
from tests.support.kept_transcripts import transcript
from tests.support.voices import (
    BEGIN_S,
    RATE_HZ,
    TrueTurn,
    error_rate,
    require_weights,
    sound,
    true_turns,
    two_voices,
)

FORM = "diarized_json"


@dataclass(frozen=True)
class Site:
    """A served API and a recording of two voices."""

    client: OpenAI
    recording: Path
    turns: list[TrueTurn]
    samples: np.ndarray

    def transcribe(self, **fields: Any) -> Any:
        return self.client.audio.transcriptions.create(
            model="gpt-4o-transcribe-diarize", file=self.recording, response_format=FORM, **fields
        )

    def voice(self, name: str) -> str:
        """Return a data URL of a voice, from a later part of the recording."""
        turn = next(t for t in self.turns if t.voice == name and t.start_s > BEGIN_S)
        part = self.samples[round(turn.start_s * RATE_HZ) : round(turn.end_s * RATE_HZ)]
        data = BytesIO()
        soundfile.write(data, part, RATE_HZ, format="FLAC")
        return f"data:audio/flac;base64,{base64.b64encode(data.getvalue()).decode()}"


@pytest.fixture(autouse=True)
def installed_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the models that `make setup` has brought."""
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("speakers")
    recording, samples = two_voices(folder), sound("flite2")
    settings = Settings.model_validate(
        {"KB_HOME": str(folder / "home"), "KB_MODEL": "demo", "KB_CPU_THREADS": "1"}
    )
    process = InferenceProcess(settings, 1)
    recognizer = ModelTranscriber(process, InferenceSession(settings))
    with served(settings.home, recognizer) as server:
        client = OpenAI(
            base_url=f"{server.address}/v1", api_key="x", max_retries=0,
            _strict_response_validation=True,
        )  # fmt: skip
        yield Site(client, recording, true_turns("flite2"), samples)
        left = list(server._context.folder.iterdir())
    process.close()
    assert not left


@pytest.mark.slow
def test_segments_have_letters_in_the_order_of_speaking(site: Site) -> None:
    require_weights()
    found = site.transcribe()
    assert found.task == "transcribe" and found.duration == pytest.approx(BEGIN_S, abs=0.1)
    assert found.usage.type == "duration" and found.kb["grade"] in "ABC"
    assert found.segments[0].speaker == "A" and {s.speaker for s in found.segments} == {"A", "B"}
    assert len({each.id for each in found.segments}) == len(found.segments)
    assert found.text.split() == [word for s in found.segments for word in s.text.split()]
    # Pauses between words are no turns: the true ones are those inside the found ones.
    turns = [Turn(each.start, each.end, "AB".index(each.speaker)) for each in found.segments]
    spoken = [t for t in site.turns if t.end_s < BEGIN_S]
    confused = [
        turn for turn in turns
        if not any(t.start_s - 0.5 <= turn.start_s and turn.end_s <= t.end_s + 0.5 for t in spoken)
    ]  # fmt: skip
    assert not confused
    assert error_rate(spoken, turns) <= 0.35  # with all that the words leave out

    events = list(site.transcribe(stream=True))
    kinds = [event.type for event in events]
    assert kinds[-1] == "transcript.text.done" and events[-1].text == found.text
    sent = [event for event in events if event.type == "transcript.text.segment"]
    assert [(e.id, e.start, e.end, e.text, e.speaker) for e in sent] == [
        (s.id, s.start, s.end, s.text, s.speaker) for s in found.segments
    ]
    assert set(kinds) <= {"transcript.text.delta", "transcript.text.segment", kinds[-1]}


@pytest.mark.slow
def test_a_known_voice_has_its_name(site: Site) -> None:
    require_weights()
    names = {"flite:rms": "agent", "flite:kal16": "A"}  # the second one does not speak here
    found = site.transcribe(
        known_speaker_names=list(names.values()),
        known_speaker_references=[site.voice("flite:rms"), other_voice()],
    )
    assert {each.speaker for each in found.segments} == {"agent", "A"}
    first = next(t for t in site.turns if t.voice == "flite:rms")
    spoken = [s for s in found.segments if first.start_s <= s.start and s.end <= first.end_s + 0.5]
    assert spoken and {each.speaker for each in spoken} == {"agent"}


def other_voice() -> str:
    """Return a data URL of a voice that the recording does not have."""
    turn = next(t for t in true_turns("flite4") if t.voice == "flite:kal16")
    part = sound("flite4")[round(turn.start_s * RATE_HZ) : round((turn.start_s + 4) * RATE_HZ)]
    data = BytesIO()
    soundfile.write(data, part, RATE_HZ, format="WAV")
    return f"data:audio/wav;base64,{base64.b64encode(data.getvalue()).decode()}"


def words(*rows: tuple[str, str | None]) -> tuple[Word, ...]:
    return tuple(Word(n, n + 1.0, text, 1.0, speaker) for n, (text, speaker) in enumerate(rows))


CASES = [
    (Segment(0.0, 2.0, " One two.", words(("One", "Speaker 2"), ("two.", "Speaker 2"))),
     [("A", "One two.", 0.0, 2.0)]),
    (Segment(0.0, 4.0, "One, two three one", words(
        ("One,", "Speaker 2"), ("two", "Speaker 1"), ("three", None), ("one", "Speaker 2")),
        speaker="Speaker 1"),
     [("A", "One,", 0.0, 1.0), ("B", "two three", 1.0, 3.0), ("A", "one", 3.0, 4.0)]),
    (Segment(0.0, 2.0, "港口很", words(("港口", "Speaker 1"), ("很", "Ada"))),
     [("A", "港口", 0.0, 1.0), ("Ada", "很", 1.0, 2.0)]),
    (Segment(0.0, 2.0, "No words.", ()), [(UNKNOWN, "No words.", 0.0, 2.0)]),
    (Segment(0.0, 2.0, "x y", words(("one", "A"), ("two", "Speaker 1"))),
     [("A", "x y", 0.0, 1.0), ("B", "", 1.0, 2.0)]),
]  # fmt: skip


@pytest.mark.parametrize(("said", "expected"), CASES)
def test_a_segment_is_cut_where_the_speaker_changes(
    said: Segment, expected: list[tuple[str, str, float, float]]
) -> None:
    found = segments(transcript(said))
    shown = [(each["speaker"], each["text"], each["start"], each["end"]) for each in found]
    assert [(who, start, end) for who, _, start, end in shown] == [
        (who, start, end) for who, _, start, end in expected
    ]
    assert (
        "".join(text for _, text, _, _ in shown).split()
        == "".join(text for _, text, _, _ in expected).split()
    )
