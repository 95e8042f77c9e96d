"""The route that reads a summary aloud: for a page's own address, and with places that end."""

from __future__ import annotations

import shutil

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from kb.pipeline import stages
from kb.service import Service
from kb.settings import get_settings
from kb.tts.engines import espeak
from kb.types import Segment
from kb.ui.web import server, speech_route
from tests.support.random_transcripts import ITEM, make_transcript
from tests.support.waiting import until


@pytest.fixture
def client() -> TestClient:
    """The server's routes over a library of one item."""
    service = Service()
    service.library.prepare()
    transcript = make_transcript((Segment(0.0, 2.0, "The harbour is quiet.", ()),))
    stages.write(service.library, ITEM, transcript, 0.0)
    service.close()
    return TestClient(Starlette(routes=server.routes()))


def free_places() -> bool:
    taken = [speech_route._places.acquire(blocking=False) for _ in range(speech_route.AT_ONCE)]
    for each in taken:
        if each:
            speech_route._places.release()
    return all(taken)


def test_an_item_is_read_for_a_page_of_this_process(client: TestClient) -> None:
    for _ in range(speech_route.AT_ONCE + 1):
        until(free_places)
        answer = client.get("/" + speech_route.speech_url(ITEM.id))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mpeg")
        assert len(answer.content) > 3000
    assert client.get(f"/{speech_route.PREFIX}/{ITEM.id}?key=guessed").status_code == 403
    assert client.get(f"/{speech_route.PREFIX}/{ITEM.id}").status_code == 403
    until(free_places)


def test_without_a_voice_the_command_is_shown(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(espeak, "PACKAGE", "no_such_package")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    answer = client.get("/" + speech_route.speech_url(ITEM.id))
    assert answer.status_code == 503 and "kb-ingest[say]" in answer.text
    assert Service(get_settings()).speech.problem is not None
    until(free_places)
