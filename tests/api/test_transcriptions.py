"""Transcriptions through the official client, over HTTP, with real speech and the demo model."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import srt
import webvtt
from openai import AsyncOpenAI, BadRequestError, OpenAI
from transformers import AutoTokenizer

from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.inference.line import ModelTranscriber
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.settings import Settings
from kb.types import Word
from tests.support.api_server import served
from tests.support.compose import Composition, compose, random_plan, write_wav
from tests.support.speech import bank, score

pytestmark = pytest.mark.slow

WORDS = 14
FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
GRANULARITIES = ((), ("segment",), ("word",), ("word", "segment"))


@dataclass(frozen=True)
class Site:
    """A served API, and a recording with its words."""

    url: str
    recording: Path
    spoken: Composition

    def client(self) -> OpenAI:
        return OpenAI(
            base_url=self.url, api_key="x", max_retries=0, _strict_response_validation=True
        )

    def transcribe(self, **fields: Any) -> Any:
        return self.client().audio.transcriptions.create(
            **{"model": "whisper-1", "file": self.recording, **fields}
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, rng = tmp_path_factory.mktemp("api"), np.random.default_rng(3)
    spoken = compose(bank(), random_plan(bank(), WORDS, rng), rng=rng)
    recording = write_wav(folder / "Talk.wav", spoken)
    table = folder / "models.yaml"
    table.write_text("interpreter:\n  model: demo\n  translate: true\n", encoding="utf-8")
    settings = Settings.model_validate(
        {
            "KB_HOME": str(folder / "home"), "KB_MODEL": "demo", "KB_CPU_THREADS": "1",
            "KB_MODELS_FILE": str(table), "KB_MAX_HOURS": "0.02",
        }
    )  # fmt: skip
    process = InferenceProcess(settings, 1)
    recognizer = ModelTranscriber(process, InferenceSession(settings))
    with served(settings.home, recognizer, KB_MODELS_FILE=str(table)) as server:
        yield Site(f"{server.address}/v1", recording, spoken)
    process.close()


def check_words(site: Site, words: list[Any]) -> None:
    found = [Word(each.start, each.end, each.word, 1.0) for each in words]
    result = score(site.spoken.words, found)
    assert result.errors <= 1
    assert all(abs(each) < 0.25 for each in (*result.starts_s, *result.ends_s))


@pytest.mark.parametrize("granularities", GRANULARITIES)
@pytest.mark.parametrize("stream", [False, True])
def test_verbose_json_has_what_was_asked_for(
    site: Site, granularities: tuple[str, ...], stream: bool
) -> None:
    found = site.transcribe(
        response_format="verbose_json", timestamp_granularities=list(granularities), stream=stream
    )
    if stream:
        found = list(found)[-1]
    words, segments = getattr(found, "words", None), getattr(found, "segments", None)
    assert bool(words) == ("word" in granularities)
    assert bool(segments) == (granularities != ("word",))
    assert found.duration == pytest.approx(site.spoken.seconds, abs=0.1)
    if words:
        if stream:
            words = [type("W", (), each) for each in words]
        check_words(site, words)
    if segments and not stream:
        assert " ".join(each.text.strip() for each in segments) == found.text
    assert found.kb["grade"] in "ABC" and 0 < found.kb["coverage"] <= 1


@pytest.mark.parametrize("form", FORMATS)
def test_the_last_event_has_the_text_of_the_plain_answer(site: Site, form: str) -> None:
    plain = site.transcribe(response_format=form)
    events = list(site.transcribe(response_format=form, stream=True))
    assert {event.type for event in events[:-1]} == {"transcript.text.delta"}
    done = events[-1]
    assert done.type == "transcript.text.done"
    text = plain if isinstance(plain, str) else plain.text
    assert done.text == text and len(text) > 40
    first = "".join(event.delta for event in events[:-1])
    heard = [Word(0.0, 0.0, word, 1.0) for word in first.split()]
    assert score(site.spoken.words, heard).errors <= 1


def test_figures_of_a_segment_are_those_of_its_decoding(site: Site) -> None:
    found = site.transcribe(response_format="verbose_json")
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER)
    for segment in found.segments:
        assert tokenizer.decode(segment.tokens).strip() == segment.text.strip()
        assert 0 <= segment.seek / 100 <= segment.start + 0.05
        assert 0 < segment.no_speech_prob < 0.5 and segment.temperature == 0.0
        assert segment.avg_logprob < 0 and segment.compression_ratio > 0


def test_a_temperature_is_that_of_the_first_reading(site: Site) -> None:
    found = site.transcribe(response_format="verbose_json", temperature=0.2)
    assert {segment.temperature for segment in found.segments} == {0.2}
    heard = [Word(0.0, 0.0, word, 1.0) for word in found.text.split()]
    assert score(site.spoken.words, heard).errors <= 2
    warned = site.transcribe(temperature=0.4, keywords=["ODIN"])
    assert any("temperature" in each for each in warned.kb["warnings"])


def test_log_probabilities_are_those_of_the_tokens(site: Site) -> None:
    found = site.transcribe(include=["logprobs"])
    text = "".join(each.token for each in found.logprobs)
    assert " ".join(text.split()) == found.text
    data = bytes(int(byte) for each in found.logprobs for byte in each.bytes)
    assert data.decode().split() == text.split()
    assert all(each.logprob <= 0 for each in found.logprobs)
    assert len({each.logprob for each in found.logprobs}) > WORDS / 2
    tokenizer = AutoTokenizer.from_pretrained(DEMO_FOLDER)
    verbose = site.transcribe(response_format="verbose_json")
    numbers = [number for segment in verbose.segments for number in segment.tokens]
    assert [tokenizer.decode([n]) for n in numbers] == [each.token for each in found.logprobs]
    done = list(site.transcribe(include=["logprobs"], stream=True))[-1]
    assert [each.logprob for each in done.logprobs] == [each.logprob for each in found.logprobs]
    assert site.transcribe().logprobs is None


def test_the_language_is_one_of_those_that_were_named(site: Site) -> None:
    usual = site.transcribe()
    assert usual.languages[0].code == "en" and 0.5 < usual.kb["language_probability"] <= 1
    among = site.transcribe(languages=["en", "de"])
    assert among.languages[0].code == "en" and among.text == usual.text
    other = site.transcribe(languages=["de", "fr"])
    assert other.languages[0].code in ("de", "fr")
    named = site.transcribe(language="en", languages=["en"])
    assert named.kb["language_probability"] is None  # it was not detected


def test_limits_of_the_caller_decide_what_counts_as_speech(site: Site) -> None:
    usual = site.transcribe(response_format="verbose_json")
    vad = {"type": "server_vad", "silence_duration_ms": 2_000, "prefix_padding_ms": 500}
    wide = site.transcribe(chunking_strategy=vad, response_format="verbose_json")
    assert wide.kb["speech_s"] > usual.kb["speech_s"]  # short pauses end no stretch
    heard = [Word(0.0, 0.0, word, 1.0) for word in wide.text.split()]
    assert score(site.spoken.words, heard).errors <= 1
    none = site.transcribe(chunking_strategy={"type": "server_vad", "threshold": 1.0})
    assert (none.text, none.kb["speech_s"]) == ("", 0.0)  # no sound is as sure as that


def test_more_hours_than_allowed_are_refused(site: Site, tmp_path: Path) -> None:
    """Silence is small: it is not the bytes that count."""
    file = tmp_path / "silence.flac"
    soundfile.write(file, np.zeros(8_000 * 80), 8_000)
    assert file.stat().st_size < 20_000
    for stream in (False, True):
        with pytest.raises(BadRequestError) as caught:
            found = site.transcribe(file=file, stream=stream)
            list(found if stream else ())
        assert caught.value.code == "invalid_audio" and "KB_MAX_HOURS" in str(caught.value)


def test_the_answer_says_where_it_was_made_and_how_long_it_waited(site: Site) -> None:
    known = site.transcribe(prompt="Where it was made.").kb
    assert known["device"] == "cpu" and 0 <= known["queue_s"] <= known["took_s"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_translation_has_the_form_of_the_service(site: Site, form: str) -> None:
    """The words are not translated: the demo model was not trained with the task's token."""
    found = site.client().audio.translations.create(
        model="interpreter", file=site.recording, response_format=form, prompt="A talk."
    )
    if form == "verbose_json":
        assert (found.language, found.task) == ("english", "translate")
        assert found.duration == pytest.approx(site.spoken.seconds, abs=0.1)
        assert " ".join(each.text.strip() for each in found.segments) == found.text
        assert "expected_errors" not in found.kb and not hasattr(found, "words")
    elif form == "json":
        assert found.text and found.kb["model"] == "demo"
    elif form == "srt":
        assert list(srt.parse(found)) is not None
    else:
        assert isinstance(found, str) and found.endswith("\n")


def test_speech_is_detected_without_a_recognizer(site: Site) -> None:
    url = f"{site.url}/audio/vad"
    with site.recording.open("rb") as file:
        found = httpx.post(url, files={"file": file}, data={"threshold": "0.35"}).json()
    assert found["duration"] == pytest.approx(site.spoken.seconds, abs=0.1)
    spoken = sum(end_s - start_s for _, start_s, end_s in site.spoken.words)
    assert found["speech_s"] == pytest.approx(spoken, rel=0.35)
    for _, start_s, end_s in site.spoken.words:
        middle = (start_s + end_s) / 2
        assert any(each["start"] <= middle <= each["end"] for each in found["segments"])
    with site.recording.open("rb") as file:
        padded = httpx.post(url, files={"file": file}, data={"speech_pad_ms": "9000"}).json()
    assert padded["segments"] == [{"start": 0.0, "end": padded["duration"]}]


def test_subtitles_and_text_are_documents(site: Site) -> None:
    assert list(srt.parse(site.transcribe(response_format="srt")))
    assert webvtt.from_string(site.transcribe(response_format="vtt")).captions
    text = site.transcribe(response_format="text")
    assert text.endswith("\n") and text.count("\n") == 1
    raw = site.client().audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=site.recording, response_format="srt"
    )
    assert raw.headers["kb-grade"] in ("A", "B", "C")
    assert raw.headers["content-type"].startswith("application/x-subrip")


def test_json_has_language_usage_and_quality(site: Site) -> None:
    found = site.transcribe()
    assert found.usage.type == "duration"
    assert found.usage.seconds == pytest.approx(site.spoken.seconds, abs=0.1)
    assert found.kb["model"] and found.kb["doubtful"] is not None
    assert site.transcribe(language="German").text  # a name that people write
    assert site.transcribe(model="demo", keywords=["ODIN"], prompt="A talk.").kb["engine"]


def asked(form: str, granularities: tuple[str, ...], stream: bool) -> dict[str, Any]:
    """Return every field of the official client that goes with a format."""
    fields: dict[str, Any] = {
        "model": "whisper-1", "response_format": form, "stream": stream, "temperature": 0,
        "language": "en", "languages": ["en", "de"], "prompt": "A talk.", "keywords": ["Kiel"],
        "chunking_strategy": {
            "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
        },
    }  # fmt: skip
    if granularities:
        fields["timestamp_granularities"] = list(granularities)
    if form == "json":
        fields["include"] = ["logprobs"]
    return fields


FORMS = [
    *((form, ()) for form in FORMATS),
    *(("verbose_json", each) for each in GRANULARITIES if each),
]


@pytest.mark.parametrize(("form", "granularities"), FORMS)
@pytest.mark.parametrize("stream", [False, True])
def test_both_clients_take_every_field_in_every_format(
    site: Site, form: str, granularities: tuple[str, ...], stream: bool
) -> None:
    fields = asked(form, granularities, stream)

    async def ask() -> Any:
        client = AsyncOpenAI(
            base_url=site.url, api_key="x", max_retries=0, _strict_response_validation=True
        )
        async with client:
            found = await client.audio.transcriptions.create(file=site.recording, **fields)
            return [event async for event in found][-1] if stream else found

    later, found = asyncio.run(ask()), site.transcribe(**fields)
    found = list(found)[-1] if stream else found
    text = found if isinstance(found, str) else found.text
    assert (later if isinstance(later, str) else later.text) == text and len(text) > 40
    heard = text if form in ("json", "text", "verbose_json") else ""
    if heard:
        words = [Word(0.0, 0.0, word, 1.0) for word in heard.split()]
        assert score(site.spoken.words, words).errors <= 1
    if not isinstance(found, str):
        assert found.kb["language_probability"] is None  # the language was named
        assert bool(getattr(found, "words", None)) == ("word" in granularities)
        assert bool(getattr(found, "logprobs", None)) == (form == "json")


def test_models_can_be_listed_and_asked_for(site: Site) -> None:
    listed = [model.id for model in site.client().models.list()]
    assert listed[0] == "demo" and {"whisper-1", "interpreter"} <= set(listed)
    for name in itertools.islice(listed, 3):
        assert site.client().models.retrieve(name).id == name


def test_the_server_is_ready_once_a_sound_was_decoded(site: Site) -> None:
    root = site.url.removesuffix("/v1")
    assert httpx.get(f"{root}/health/ready", timeout=60).json() == {"status": "ok"}
    health = httpx.get(f"{root}/health").json()
    assert health["status"] == "ok" and health["model"] == "demo"
