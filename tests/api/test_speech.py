"""Speech through the official client: formats, streams, voices, and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI

from kb.service import Service
from kb.settings import Settings
from tests.support.api_server import Held, served

SECONDS = (1.0, 4.0)  # that the text lasts
TEXT = "The harbour is quiet in winter. A ferry leaves."


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("speech"), Held()) as server:
        yield server.address


@pytest.fixture
def client(address: str) -> OpenAI:
    return OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


def seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(
            frame.samples / frame.sample_rate  # type: ignore[operator]
            for frame in container.decode(audio=0)
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mp3", "opus", "aac", "flac", "wav"])
def test_every_format(client: OpenAI, tmp_path: Path, kind: Any) -> None:
    target = tmp_path / f"speech.{kind}"
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT, response_format=kind
    ) as answer:
        answer.stream_to_file(target)
        assert answer.headers["kb-voice"] == "espeak:en-us"
        assert answer.headers["kb-language"] == "en"
    assert SECONDS[0] < seconds(target) < SECONDS[1]


@pytest.mark.slow
def test_speed_and_plain_samples(client: OpenAI) -> None:
    def spoken(**fields: Any) -> int:
        answer = client.audio.speech.create(
            model="tts-1", input=TEXT, response_format="pcm", **{"voice": "alloy", **fields}
        )
        samples = np.frombuffer(answer.content, "<i2")
        assert np.abs(samples).max() > 3000
        return samples.size

    usual = spoken()
    assert SECONDS[0] < usual / 24_000 < SECONDS[1]
    assert 3.2 < usual / spoken(speed=4.0) < 4.8  # faster than the engine itself can
    assert spoken(voice="espeak:de+f2", extra_body={"language": "de"}) != usual


def test_events(address: str) -> None:
    body = {"model": "tts-1", "voice": "nova", "input": TEXT, "stream_format": "sse"}
    with httpx.stream("POST", f"{address}/v1/audio/speech", json=body) as answer:
        events = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert len(sound) > 5000
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"


def test_voices_are_listed(address: str) -> None:
    found = httpx.get(f"{address}/v1/voices").json()
    german = next(row for row in found["data"] if row["id"] == "espeak:de")
    assert german == {
        "id": "espeak:de", "object": "voice", "name": "de", "engine": "espeak",
        "languages": ["de"], "note": "German",
    }  # fmt: skip
    names = httpx.get(f"{address}/v1/audio/voices").json()["voices"]
    assert names == [row["id"] for row in found["data"]]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"input": "..."}, 400, "speech.empty"),
        ({"input": ""}, 400, "invalid_value"),
        ({"voice": "espeak:nowhere"}, 400, "speech.refused"),
        ({"voice": "nobody:x"}, 400, "speech.unknown_engine"),
        ({"voice": "server:alloy"}, 503, "speech.no_address"),
        ({"model": "gpt-9"}, 404, "model_not_found"),
        ({"speed": 9}, 400, "invalid_value"),
        ({"response_format": "gif"}, 400, "invalid_value"),
        ({"input": "这是一个测试", "language": "de"}, 400, "speech.script"),
        ({"language": "klingon"}, 400, "speech.language"),
        ({"stranger": 1}, 400, "invalid_value"),
    ],
)
def test_what_is_refused(address: str, fields: dict[str, Any], status: int, code: str) -> None:
    body = {"model": "tts-1", "voice": "alloy", "input": TEXT, **fields}
    answer = httpx.post(f"{address}/v1/audio/speech", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_voices_of_a_service_need_a_key_that_may_pay(tmp_path: Path) -> None:
    place = {"KB_SPEECH_URL": "https://voices.invalid/v1"}
    settings = Settings.model_validate({"KB_HOME": str(tmp_path / "home"), **place})
    service = Service(settings)
    service.library.prepare()
    _, key = service.access.add("notes", ["speech"])
    service.close()
    with served(tmp_path / "home", Held(), **place) as server:
        for voice, status in (("server:alloy", 403), ("espeak:en-us", 200)):
            answer = httpx.post(
                f"{server.address}/v1/audio/speech",
                json={"model": "tts-1", "voice": voice, "input": TEXT},
                headers={"Authorization": f"Bearer {key}"},
            )
            assert answer.status_code == status, answer.text


def test_refusals_are_those_of_the_client(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.audio.speech.create(model="tts-1", voice="alloy", input="...")
