"""Refusals over HTTP: keys, hosts, fields, sizes and callers that leave; each has OpenAI's form."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile
from openai import OpenAI

from kb.api import flights, guard, listening
from kb.api.server import ApiServer
from kb.enrich.speakers.step import Speakers
from kb.errors import (
    GPUError,
    KBError,
    LibraryError,
    ModelUnavailable,
    RetryLater,
    SettingsError,
    UsageError,
)
from kb.settings import Settings
from kb.types import SpeechLimits
from tests.support.api_server import Held, served
from tests.support.keys import fake_key
from tests.support.raising import raises
from tests.support.waiting import until

KEY = f"kbk_{fake_key('api')}"
CLIP = ("talk.wav", b"sound")


def data_url(content: bytes) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(content).decode()}"


def flac(seconds: float) -> bytes:
    """Return a recording of silence, which is small."""
    data = BytesIO()
    soundfile.write(data, np.zeros(round(8_000 * seconds)), 8_000, format="FLAC")
    return data.getvalue()


LARGE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 300_000
VOICE = data_url(flac(3.0))


@dataclass
class Site:
    """A served API with a held recognizer; no file is decoded."""

    url: str
    held: Held

    def post(self, data: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        form: dict[str, Any] = {"data": {"model": "whisper-1", **(data or {})}}
        form |= {} if "content" in more else {"files": {"file": CLIP}}
        path = more.pop("path", "/v1/audio/transcriptions")
        return httpx.post(f"{self.url}{path}", **{**form, **more}, timeout=30)

    def client(self, **values: Any) -> OpenAI:
        given = {"api_key": "x", "max_retries": 0, **values}
        return OpenAI(base_url=f"{self.url}/v1", **given)


def test_an_answer_does_not_wait_for_the_receipt_of_its_head() -> None:
    with (
        listening.listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    held = Held()
    with served(tmp_path_factory.mktemp("api") / "home", held, KB_API_MAX_MB=0.2) as server:
        yield Site(server.address, held)
        held.go.set()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    held = Held()
    held.go.set()
    keys = {"KB_API_KEYS": f"{fake_key('one')}, {KEY}"}
    with served(tmp_path_factory.mktemp("api") / "home", held, **keys) as server:
        yield Site(server.address, held)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that waits a second for a body, and takes 36 s of sound."""
    held = Held()
    held.go.set()
    limits = {"KB_API_MAX_MB": 0.2, "KB_UPLOAD_IDLE_S": 1, "KB_MAX_HOURS": 0.01}
    with served(tmp_path_factory.mktemp("api") / "home", held, **limits) as server:
        yield Site(server.address, held)


@pytest.fixture(autouse=True)
def at_once(site: Site) -> None:
    site.held.error = None
    site.held.go.set()


def error_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    error: dict[str, Any] = answer.json()["error"]
    assert error["message"] and {"message", "type", "param", "code"} <= set(error)
    return error


@pytest.mark.parametrize(
    ("data", "status", "code", "param"),
    [
        ({"model": "gpt-9"}, 404, "model_not_found", "model"),
        ({"model": "/etc"}, 404, "model_not_found", "model"),
        ({"model": "../models/demo-whisper"}, 404, "model_not_found", "model"),
        ({"model": "nothing:demo"}, 404, "model_not_found", "model"),
        ({"model": ""}, 400, "invalid_value", "model"),
        ({"response_format": "docx"}, 400, "invalid_value", "response_format"),
        ({"language": "klingon"}, 400, "invalid_value", "language"),
        ({"languages[]": "klingon"}, 400, "invalid_value", "languages"),
        ({"languages[]": ["en", "de"], "language": "fr"}, 400, "unsupported_value", "language"),
        ({"temperature": "2"}, 400, "invalid_value", "temperature"),
        ({"temperature": "warm"}, 400, "invalid_value", "temperature"),
        ({"stream": "perhaps"}, 400, "invalid_value", "stream"),
        (
            {"timestamp_granularities[]": "word"},
            400,
            "unsupported_value",
            "timestamp_granularities",
        ),
        (
            {"timestamp_granularities[]": "day", "response_format": "verbose_json"},
            400,
            "invalid_value",
            "timestamp_granularities",
        ),
        ({"include[]": "tokens"}, 400, "invalid_value", "include"),
        ({"include[]": "logprobs", "response_format": "text"}, 400, "unsupported_value", "include"),
        (
            {"include[]": "logprobs", "response_format": "verbose_json"},
            400,
            "unsupported_value",
            "include",
        ),
        ({"known_speaker_references[]": "data:"}, 400, "unsupported_value",
         "known_speaker_references"),
        ({"timestamp_granularities[]": "word", "response_format": "diarized_json"}, 400,
         "unsupported_value", "timestamp_granularities"),
        ({"include[]": "logprobs", "response_format": "diarized_json"}, 400, "unsupported_value",
         "include"),
        *(
            ({"chunking_strategy[type]": "server_vad", **given}, 400, "invalid_value",
             "chunking_strategy")
            for given in (
                {"chunking_strategy[threshold]": "loud"},
                {"chunking_strategy[threshold]": "1.5"},
                {"chunking_strategy[threshold]": ["0.5", "0.6"]},
                {"chunking_strategy[silence_duration_ms]": "-1"},
                {"chunking_strategy[prefix_padding_ms]": "nan"},
                {"chunking_strategy[prefix_padding_ms]": "60000"},
                {"chunking_strategy[eagerness]": "low"},
                {"chunking_strategy": "auto"},
            )
        ),
        ({"chunking_strategy[threshold]": "0.5"}, 400, "missing_required_parameter",
         "chunking_strategy"),
        ({"chunking_strategy": '{"type": "server_vad"'}, 400, "invalid_value", "chunking_strategy"),
        ({"chunking_strategy": '{"type": ' + "[" * 100_000}, 400, "invalid_value",
         "chunking_strategy"),
        ({"known_speaker_names[]": "Ada"}, 400, "unsupported_value", "known_speaker_names"),
        ({"chunking_strategy": "none"}, 400, "invalid_value", "chunking_strategy"),
        ({"chunking_strategy[type]": "mine"}, 400, "invalid_value", "chunking_strategy"),
        ({"keywords[]": "x" * 200}, 400, "invalid_value", "keywords"),
        ({"beam_size": "5"}, 400, "unknown_parameter", "beam_size"),
        ({"language": ["en", "de"]}, 400, "invalid_value", "language"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_used_is_named(
    site: Site, data: dict[str, Any], status: int, code: str, param: str
) -> None:
    error = error_of(site.post(data), status)
    assert (error["code"], error["param"]) == (code, param)


def test_speakers_need_their_model(site: Site) -> None:
    error = error_of(site.post({"response_format": "diarized_json"}), 400)
    assert (error["code"], error["param"]) == ("unsupported_value", "response_format")
    assert "kb models add speakers" in error["kb"]["hint"]


@pytest.mark.parametrize(
    ("names", "references", "param"),
    [
        (["Ada"], [], "known_speaker_references"),
        (["Ada", "Ada"], [VOICE, VOICE], "known_speaker_names"),
        (["A", "B", "C", "D", "E"], [VOICE] * 5, "known_speaker_names"),
        (["A\x1b"], [VOICE], "known_speaker_names"),
        (["Speaker 2"], [VOICE], "known_speaker_names"),
        (["unknown"], [VOICE], "known_speaker_names"),
        (["x" * 90], [VOICE], "known_speaker_names"),
        (["Ada"], ["https://a.example/voice.wav"], "known_speaker_references"),
        (["Ada"], ["data:audio/wav;base64,%%%"], "known_speaker_references"),
        (["Ada"], ["data:audio/wav;base64,"], "known_speaker_references"),
        (["Ada"], [data_url(b"no sound")], "known_speaker_references"),
        (["Ada"], [data_url(flac(1.5))], "known_speaker_references"),
        (["Ada"], [data_url(flac(11.0))], "known_speaker_references"),
    ],
)  # fmt: skip
def test_a_known_speaker_that_cannot_be_used(
    site: Site, monkeypatch: pytest.MonkeyPatch, names: list[str], references: list[str], param: str
) -> None:
    monkeypatch.setattr(Speakers, "missing", lambda _step: None)  # its model is not used here
    before = len(site.held.requests)
    given = {"known_speaker_names[]": names, "known_speaker_references[]": references}
    error = error_of(site.post({"response_format": "diarized_json", **given}), 400)
    assert (error["code"], error["param"]) == ("invalid_value", param)
    assert len(site.held.requests) == before and "kb-api-" not in error["message"]


@pytest.mark.parametrize(
    "data",
    [
        {"chunking_strategy": "auto"},
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "0.5"},
        {"chunking_strategy": '{"type": "server_vad", "silence_duration_ms": 300}'},
        {"language": "en-GB", "temperature": "0"},
        {"temperature": "0.8", "prompt": "A talk."},
        {"prompt": "ü" * 900, "keywords[]": ["ODIN", "Kiel"]},
        {"stream": "false", "response_format": "verbose_json", "timestamp_granularities": "word"},
    ],
)
def test_fields_of_the_official_client_are_taken(site: Site, data: dict[str, Any]) -> None:
    answer = site.post(data)
    assert answer.status_code == 200, answer.text
    assert answer.json()["text"] == "The harbour is quiet. A ferry leaves."


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        ({}, "unsupported_value", "model"),  # the demo model was not trained to translate
        ({"model": "demo"}, "unsupported_value", "model"),
        ({"stream": "true"}, "unknown_parameter", "stream"),
        ({"language": "de"}, "unknown_parameter", "language"),
        ({"keywords[]": "ODIN"}, "unknown_parameter", "keywords"),
        ({"chunking_strategy": "auto"}, "unknown_parameter", "chunking_strategy"),
        ({"response_format": "diarized_json"}, "unsupported_value", "response_format"),
        ({"response_format": "docx"}, "invalid_value", "response_format"),
    ],
)
def test_a_translation_that_cannot_be_made(
    site: Site, data: dict[str, Any], code: str, param: str
) -> None:
    error = error_of(site.post(data, path="/v1/audio/translations"), 400)
    assert (error["code"], error["param"]) == (code, param)
    if param == "model":
        assert "kb models pull" in error["kb"]["hint"]


def test_a_translation_is_one_of_its_own(tmp_path: Path) -> None:
    """It is not the kept transcription of equal bytes; a model without a row may try."""
    table, held = tmp_path / "models.yaml", Held()
    table.write_text("interpreter:\n  model: demo\n  translate: true\n", encoding="utf-8")
    held.go.set()
    with served(tmp_path / "home", held, KB_MODELS_FILE=str(table)) as server:
        own = Site(server.address, held)
        for path in ("transcriptions", "translations", "translations"):
            answer = own.post({"model": "interpreter"}, path=f"/v1/audio/{path}")
            assert answer.status_code == 200, answer.text
        assert [each.task for each in held.requests] == ["transcribe", "translate"]
        hint = error_of(own.post(path="/v1/audio/translations"), 400)["kb"]["hint"]
        assert "interpreter" in hint
        held.error = SettingsError("recognizer.translate", "The model x does not translate.")
        refused = own.post({"model": "interpreter"}, files={"file": ("b.wav", b"other")},
                           path="/v1/audio/translations")  # fmt: skip
        assert error_of(refused, 400)["code"] == "recognizer.translate"


@pytest.mark.parametrize(
    ("data", "sent", "status", "code"),
    [
        ({"threshold": "2"}, b"sound", 400, "invalid_value"),
        ({"threshold": "0"}, b"sound", 400, "invalid_value"),
        ({"speech_pad_ms": "-1"}, b"sound", 400, "invalid_value"),
        ({"beam": "1"}, b"sound", 400, "unknown_parameter"),
        ({}, b"no sound at all", 400, "invalid_audio"),
        ({}, b"", 400, "invalid_audio"),
    ],
)
def test_a_detection_that_cannot_be_made(
    site: Site, data: dict[str, Any], sent: bytes, status: int, code: str
) -> None:
    answer = httpx.post(
        f"{site.url}/v1/audio/vad", data=data, files={"file": ("a.wav", sent)}, timeout=30
    )
    assert error_of(answer, status)["code"] == code
    assert "kb-api-" not in answer.text


def test_prompt_and_keywords_reach_the_recognizer(site: Site) -> None:
    site.post({"prompt": " A  talk\n", "keywords[]": ["ODIN"], "language": "german"})
    request = site.held.requests[-1]
    assert request.hotwords == ("A talk", "ODIN") and request.options.language == "de"
    assert request.shown_as == "talk.wav" and not request.may_swap
    site.post({"chunking_strategy[type]": "server_vad"})
    assert site.held.requests[-1].speech_limits is None
    given = {"threshold": "0.8", "silence_duration_ms": "400", "prefix_padding_ms": "0"}
    vad = {f"chunking_strategy[{name}]": value for name, value in given.items()}
    site.post({"chunking_strategy[type]": "server_vad", **vad})
    assert site.held.requests[-1].speech_limits == SpeechLimits(0.8, 0.4, 0.0)
    site.post({"languages[]": ["German", "en"]})
    assert site.held.requests[-1].languages == ("de", "en")
    site.post({"languages[]": ["de", "en"], "language": "de"})
    assert site.held.requests[-1].languages == () and site.held.requests[-1].task == "transcribe"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"files": {"file": ("a.wav", b"")}}, 400, "invalid_audio"),
        ({"files": {"other": CLIP}}, 400, "missing_required_parameter"),
        ({"files": {}}, 400, "unsupported_content_type"),  # a form without a file is no multipart
        ({"files": {"file": ("../../etc/x", b"broken")}}, 400, "invalid_audio"),
        ({"files": {"file": ("a.wav", b"x" * 300_000)}}, 413, "file_too_large"),
        ({"content": b"{}", "headers": {"Content-Type": "application/json"}}, 400,
         "unsupported_content_type"),
        ({"content": b"--", "headers": {"Content-Type": "multipart/form-data"}}, 400,
         "bad_request"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400,
         "bad_request"),
        ({"path": "/v1/audio/nothing"}, 404, "not_found"),
        ({"path": "/v1/models"}, 405, "method_not_allowed"),
        ({"path": "/v1/audio/transcriptions?api_key=abc"}, 400, "key_in_url"),
        ({"headers": {"Host": "evil.example"}}, 400, "bad_host"),
        ({"headers": {"Host": "a b"}}, 400, "bad_host"),
        ({"headers": {"Origin": "https://evil.example"}}, 403, "origin"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_used(
    site: Site, sent: dict[str, Any], status: int, code: str
) -> None:
    if "content" in sent:
        sent = {"data": None, **sent}
    error = error_of(site.post(**sent), status)
    assert error["code"] == code and "kb-api-" not in error["message"]


def test_a_length_beyond_the_limit_is_refused_before_the_body(site: Site) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as line:
        head = (
            "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 10000000000\r\n\r\n"
        )
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE), 413),
        ("Content-Length: 50000", b"--b\r\n", 408),  # the rest never comes
        ("Content-Length: 5", b"--b\r\nContent-Disposition: form-data\r\n\r\n", 400),
        ("Content-Length: -5", b"", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\n--b--\r\n0\r\n\r\n", 400),
    ],
)
def test_a_body_that_has_another_length(
    impatient: Site, head: str, body: bytes, status: int
) -> None:
    host, port = impatient.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 60) as line:
        start = (
            "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\n{head}\r\n\r\n"
        )
        line.sendall(start.encode() + body)
        assert line.recv(100).startswith(b"HTTP/1.1 %d" % status)
    assert httpx.get(f"{impatient.url}/health/live").status_code == 200


def test_more_hours_than_allowed_are_refused_while_they_are_read(impatient: Site) -> None:
    """Silence is small: it is not the bytes that count."""
    files = {"file": ("silence.flac", flac(40.0))}
    answer = httpx.post(f"{impatient.url}/v1/audio/vad", files=files, timeout=60)
    error = error_of(answer, 400)
    assert error["code"] == "invalid_audio" and "KB_MAX_HOURS" in error["message"]
    short = httpx.post(
        f"{impatient.url}/v1/audio/vad", files={"file": ("a.flac", flac(30.0))}, timeout=60
    )
    assert short.json()["speech_s"] == 0


def test_a_recording_that_the_disk_cannot_hold_is_refused_before_it_is_read(
    guarded: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"Authorization": f"Bearer {KEY}"}
    large = {"file": ("a.wav", b"x" * 2_000_000)}
    for free, status in ((guard.SPARE_BYTES + 5_000_000, 200), (guard.SPARE_BYTES, 507)):
        monkeypatch.setattr(guard, "free_bytes", lambda free=free: free)
        assert guarded.post(headers=named, files=large).status_code == status
    assert guarded.post(headers=named).status_code == 200  # a small one


@pytest.mark.parametrize(
    ("raised", "kind", "status"),
    [
        (RetryLater("line.no_worker", "No worker."), openai.InternalServerError, 503),
        (RetryLater("recognizer.other_model", "Busy."), openai.InternalServerError, 503),
        (GPUError("gpu.failed", "Failed."), openai.InternalServerError, 503),
        (LibraryError("library.full", "Full."), openai.InternalServerError, 503),
        (ModelUnavailable("model.unknown", "Unknown."), openai.NotFoundError, 404),
        (ModelUnavailable("model.not_loaded", "Damaged."), openai.InternalServerError, 503),
        (SettingsError("recognizer.language", "No German."), openai.BadRequestError, 400),
        (KBError("other", "Other."), openai.InternalServerError, 500),
        (RuntimeError("boom"), openai.InternalServerError, 500),
    ],
)
def test_errors_of_the_recognizer_have_the_client_s_classes(
    site: Site, raised: Exception, kind: type[openai.APIStatusError], status: int
) -> None:
    site.held.error = raised
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            site.client().audio.transcriptions.create(
                model="whisper-1", file=("a.wav", repr((raised, stream)).encode()), stream=stream
            )
        assert caught.value.status_code == status and caught.value.request_id
        assert "boom" not in str(caught.value)


def test_an_error_in_the_middle_of_a_stream_is_an_event(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.held.go.clear()
    monkeypatch.setattr(site.held, "go", Failing())
    stream = site.client().audio.transcriptions.create(
        model="whisper-1", file=("a.wav", b"middle"), stream=True
    )
    with pytest.raises(openai.APIError, match="The recognizer failed"):
        list(stream)


class Failing:
    """An event whose wait fails once the first reading was given."""

    def wait(self, _timeout: float) -> bool:
        raise GPUError("gpu.failed", "The recognizer failed.")


def test_equal_requests_share_one_transcription(site: Site) -> None:
    site.held.go.clear()
    before = len(site.held.requests)
    with ThreadPoolExecutor(8) as pool:
        same = [
            pool.submit(site.post, {"response_format": form}, files={"file": ("s.wav", b"same")})
            for form in ("json", "srt", "text", "json")
        ]
        other = pool.submit(site.post, {"language": "de"}, files={"file": ("s.wav", b"same")})
        until(lambda: len(site.held.requests) == before + 2)
        site.held.go.set()
        assert {each.result().status_code for each in [*same, other]} == {200}
    again = site.post(files={"file": ("s.wav", b"same")})
    assert again.json()["kb"]["cached"] and len(site.held.requests) == before + 2


@pytest.mark.slow
def test_a_client_that_times_out_and_asks_again_costs_one_transcription(site: Site) -> None:
    site.held.go.clear()
    before = len(site.held.requests)
    threading.Timer(2.5, site.held.go.set).start()
    client = site.client(timeout=1.0, max_retries=5)
    found = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"slow"))
    assert found.text and len(site.held.requests) == before + 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_transcription_whose_callers_have_left_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(flights, "ORPHAN_S", 0.1)
    site.held.go.clear()
    before = site.held.cancelled
    client = site.client(timeout=0.5)
    with pytest.raises(openai.APITimeoutError):
        found = client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", f"left {stream}".encode()), stream=stream
        )
        list(found if stream else ())
    until(lambda: site.held.cancelled == before + 1)


def test_more_than_the_most_is_refused_with_a_time(tmp_path: Path) -> None:
    held = Held()
    with served(tmp_path / "home", held, KB_API_WAITING=2) as server, ThreadPoolExecutor(2) as pool:
        few = Site(server.address, held)
        running = [
            pool.submit(few.post, files={"file": ("a.wav", f"{number}".encode())})
            for number in range(2)
        ]
        until(lambda: len(held.requests) == 2)
        refused = few.post(files={"file": ("a.wav", b"third")})
        assert error_of(refused, 429)["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 120
        held.go.set()
        assert [each.result().status_code for each in running] == [200, 200]
        assert few.post(files={"file": ("a.wav", b"third")}).status_code == 200


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
        ({"Authorization": KEY}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": f"Bearer {KEY}x"}, 401),
        ({"Api-Key": KEY}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"Authorization": f"bearer {KEY}"}, 200),
        ({"Authorization": f"Bearer {KEY}", "Origin": "https://page.example"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/openapi.json"])
def test_a_key_is_needed_where_keys_are_set(
    guarded: Site, header: dict[str, str], code: int, path: str
) -> None:
    answer = httpx.get(f"{guarded.url}{path}", headers=header)
    assert answer.status_code == code, answer.text
    if code == 401:
        assert error_of(answer, 401)["type"] == "authentication_error"


def test_health_needs_no_key_and_the_key_is_checked_before_the_body(
    guarded: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        assert httpx.get(f"{guarded.url}{path}").status_code == 200
    monkeypatch.setattr(guard, "DRAIN_BYTES", 100_000)
    host, port = guarded.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as line:
        head = (
            "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 401")
        with pytest.raises(OSError):  # the server ends a body without an end
            for _ in range(2000):
                line.sendall(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
    client = guarded.client(api_key=KEY)
    assert client.audio.transcriptions.create(model="whisper-1", file=CLIP).text
    with pytest.raises(openai.AuthenticationError):
        guarded.client().models.list()


def test_no_answer_of_a_key_is_given_to_another(guarded: Site) -> None:
    before = len(guarded.held.requests)
    for key in (KEY, fake_key("one"), KEY):
        client = guarded.client(api_key=key)
        assert client.audio.transcriptions.create(model="whisper-1", file=("k.wav", b"keys")).text
    assert len(guarded.held.requests) == before + 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "kb.example.org"])
def test_it_refuses_to_listen_beyond_the_machine_without_a_key(tmp_path: Path, host: str) -> None:
    settings = Settings.model_validate({"KB_HOME": str(tmp_path)})
    with raises(UsageError, "api.unguarded"):
        ApiServer(settings, host, 0, [])


def test_a_port_in_use_is_named(site: Site, tmp_path: Path) -> None:
    settings = Settings.model_validate({"KB_HOME": str(tmp_path)})
    port = int(site.url.rpartition(":")[2])
    with raises(UsageError, "api.address"):
        ApiServer(settings, "127.0.0.1", port, [])


@pytest.mark.parametrize("key", ["short", "a key with spaces in it, no", "x" * 19])
def test_a_weak_key_is_refused(tmp_path: Path, key: str) -> None:
    settings = Settings.model_validate({"KB_HOME": str(tmp_path), "KB_API_KEYS": f"{KEY},{key}"})
    with raises(SettingsError, "api.weak_key", number=2):
        ApiServer(settings, "127.0.0.1", 0, [])


def test_before_the_worker_begins_requests_are_put_off(tmp_path: Path) -> None:
    with served(tmp_path / "home", None) as server:
        new = Site(server.address, Held())
        answer = new.post()
        assert error_of(answer, 503)["code"] == "api.starting" and answer.headers["retry-after"]
        assert httpx.get(f"{new.url}/health/ready").status_code == 503
        assert httpx.get(f"{new.url}/health/live").status_code == 200
