"""Google Vision as a reader of the screen, against a server on loopback."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from kb.enrich import StepInput, get_step
from kb.enrich.screen.google_vision import LONGEST_WAIT_S, TRIES, GoogleVision, lines_of, missing
from kb.enrich.screen.reader import Reading
from kb.errors import KBError, ModelUnavailable
from kb.service.health_models import _steps
from kb.settings import Settings, get_settings
from tests.fakes.vision import TOKEN, FakeVision, Raw, annotation
from tests.support.keys import fake_key
from tests.support.raising import raises
from tests.support.slides import Showing, text_picture, write_video

KEY = fake_key("v")
LINES = ("Fähren im Hafen", "1. Abfahrt 12:30")
PICTURE = np.zeros((400, 1000, 3), np.uint8)


@pytest.fixture
def vision() -> Iterator[FakeVision]:
    with FakeVision(LINES) as running:
        yield running


def reader(vision: FakeVision, waits: list[float] | None = None, **more: Any) -> GoogleVision:
    settings = Settings(vision_url=vision.origin, vision_key=KEY, **more)
    return GoogleVision(settings, sleep=(waits if waits is not None else []).append)


def test_the_lines_of_a_picture_are_read_and_nothing_else_is_sent(vision: FakeVision) -> None:
    found = reader(vision).read(PICTURE)
    assert tuple(line.text for line in found.lines) == LINES and found.unread == 0
    assert found.lines[1].box == (0.1, 0.25, 0.55, 0.1) and found.lines[1].score == 0.9
    (asked,) = vision.requests
    assert asked.path == "/v1/images:annotate"  # without the key
    assert asked.headers["x-goog-api-key"] == KEY and "authorization" not in asked.headers
    assert (asked.size, asked.form, asked.feature) == (
        (1000, 400), "JPEG", "DOCUMENT_TEXT_DETECTION",
    )  # fmt: skip


def test_doubtful_lines_are_counted_and_signs_are_no_line(vision: FakeVision) -> None:
    vision.script = [{"responses": [annotation(("smudge",), 0.2)]}]
    assert reader(vision).read(PICTURE) == reader(vision).read(PICTURE)
    assert reader(vision).read(PICTURE).unread == 1
    vision.script = [{"responses": [annotation(("■ •",))]}]
    found = reader(vision).read(PICTURE)
    assert (found.lines, found.unread) == ((), 0)


OK = {"responses": [annotation(LINES)]}
BUSY = {"responses": [{"error": {"code": 8, "message": "Quota exceeded"}}]}
DENIED = {"responses": [{"error": {"code": 7, "message": "The caller has no permission"}}]}
QUOTES = json.dumps({"error": {"message": f"API key {KEY} not valid"}}).encode()


def _of_word(**values: object) -> dict:
    words = [{"symbols": [{"text": "A"}], **values}]
    return {"fullTextAnnotation": {"pages": [{"blocks": [{"paragraphs": [{"words": words}]}]}]}}


ODD = [
    {"fullTextAnnotation": "text"},
    {"fullTextAnnotation": {"pages": [None]}},
    {"error": {"code": 1e999}},
    _of_word(symbols=[1]),
    _of_word(confidence=None),
    _of_word(confidence=10**400),
    _of_word(boundingBox={"vertices": [{"x": "left"}]}),
]
ANSWERS = [
    # the answers, the waits between them, the error's code (empty: it is read) and if it may pass
    ([Raw(429, headers={"Retry-After": "7"}), OK], [7.0], "", False),
    ([Raw(429, headers={"Retry-After": "1e9"}), OK], [LONGEST_WAIT_S], "", False),
    ([Raw(500), Raw(503), OK], [2.0, 4.0], "", False),
    ([Raw(429)], [2.0, 4.0, 8.0], "vision.busy", True),
    ([Raw(403, QUOTES)], [], "vision.refused", False),
    ([Raw(400, b"{}")], [], "vision.refused", False),
    ([Raw(302, headers={"Location": "http://127.0.0.1:1/"})], [], "vision.refused", False),
    ([Raw(200, b"<html>Sign in</html>")], [], "vision.answer", True),
    ([Raw(200)], [], "vision.answer", True),
    ([Raw(200, b"[" * 100_000)], [], "vision.answer", True),
    ([{"responses": []}], [], "vision.answer", True),
    *(([{"responses": [found]}], [], "vision.answer", True) for found in ODD),
    ([DENIED], [], "vision.refused", False),
    ([BUSY], [], "vision.busy", True),
]


@pytest.mark.parametrize(("answers", "waits", "code", "passes"), ANSWERS)
def test_an_answer_is_waited_for_or_named(
    vision: FakeVision, answers: list, waits: list[float], code: str, passes: bool
) -> None:
    vision.script, waited = list(answers), []
    asking = reader(vision, waited)
    if not code:
        assert len(asking.read(PICTURE).lines) == 2
    else:
        with raises(KBError, code) as caught:
            asking.read(PICTURE)
        assert caught.value.retryable == passes
        assert KEY not in f"{caught.value} {caught.value.hint} {caught.value.values}"
    assert waited == waits and len(vision.requests) == len(waits) + 1 <= TRIES


def test_text_is_shown_without_controls_and_a_confidence_that_is_no_number_is_doubtful() -> None:
    odd = [{"text": "\x1b"}, {"text": "A"}, {"text": "\ud800"}, {"text": "\u202e"}]
    (line,) = lines_of(_of_word(symbols=odd), 9, 9).lines
    assert line.text == "A\ufffd"
    assert lines_of(_of_word(confidence=math.nan), 9, 9) == Reading((), 1)


@pytest.mark.parametrize("key", ["AIza schlüssel", "AIza\nmore", "AIza\u200b"])
def test_a_key_that_cannot_be_sent_is_named_and_not_shown(key: str) -> None:
    problem = missing(Settings(vision_key=key))
    assert problem is not None and problem.code == "vision.key_form"
    assert "AIza" not in f"{problem} {problem.hint} {problem.values}"


def test_an_unreachable_service_is_tried_again_later() -> None:
    with FakeVision() as gone:
        pass
    waits: list[float] = []
    with raises(KBError, "vision.unreachable") as caught:
        reader(gone, waits).read(PICTURE)
    assert caught.value.retryable and waits == [2.0, 4.0, 8.0]


def test_a_service_account_signs_with_its_token(vision: FakeVision, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = tmp_path / "account.json"
    account.write_text(
        json.dumps({
            "type": "service_account", "client_email": "reader@example.test", "private_key": pem,
            "token_uri": f"{vision.origin}/token",
        })
    )  # fmt: skip
    settings = Settings(vision_url=vision.origin, vision_account=str(account))
    asking = GoogleVision(settings)
    assert asking.read(PICTURE).lines and asking.read(PICTURE).lines
    for asked in vision.requests:
        assert asked.headers["authorization"] == f"Bearer {TOKEN}"
        assert "x-goog-api-key" not in asked.headers
    account.write_text('{"private_key": "something else"}')
    with raises(KBError, "vision.account") as caught:
        GoogleVision(settings).read(PICTURE)
    assert "something else" not in str(caught.value)
    with raises(ModelUnavailable, "vision.no_key"):
        GoogleVision(Settings(vision_account=str(tmp_path / "none.json")))


@pytest.mark.parametrize(
    "address",
    ["http://vision.example", "https://user:word@vision.example", "https://a?key=b", "vision"],
)
def test_a_key_is_never_sent_in_the_clear(address: str) -> None:
    with pytest.raises(ValidationError):
        Settings(vision_url=address)


@pytest.mark.slow
def test_the_step_reads_with_it_where_it_is_chosen(
    vision: FakeVision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = get_step("screen")
    packaged = step.model
    monkeypatch.setenv("KB_SCREEN_READER", "google")
    monkeypatch.setenv("KB_VISION_URL", vision.origin)
    get_settings.cache_clear()
    problem = step.missing()
    assert problem is not None and problem.code == "vision.no_key"
    monkeypatch.setenv("KB_VISION_KEY", KEY)
    get_settings.cache_clear()
    assert step.missing() is None and step.model != packaged
    # What leaves the machine is said where the steps are listed.
    (check,) = (each for each in _steps(get_settings()) if each.name == "Step screen")
    assert f"pictures are sent to 127.0.0.1:{vision.port}" in check.detail
    video = write_video(tmp_path / "in.mp4", [Showing(text_picture(list(LINES)), 2)], rate=2)
    result = step.run(StepInput(video, ""), lambda _: None)
    assert [line["text"] for line in result["pages"][0]["lines"]] == list(LINES)
    assert result["frames_read"] == len(vision.requests) == 1
