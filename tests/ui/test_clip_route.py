"""The routes of clips and previews: for a page of this process, and nothing else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from kb.media.probe import probe
from kb.service import Service
from kb.service.review import LONGEST_CLIP_S
from kb.settings import get_settings
from kb.ui.i18n import MESSAGES
from kb.ui.web import clip_route, preview_route, server
from tests.support.library_pages import add_item


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, str]]:
    """The server's routes over a library of one talk, and its id."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    get_settings.cache_clear()
    item_id = add_item()
    yield TestClient(Starlette(routes=server.routes())), item_id
    get_settings.cache_clear()


def test_a_clip_is_cut_and_kept_nowhere(client: tuple[TestClient, str], tmp_path: Path) -> None:
    browser, item_id = client
    answer = browser.get(f"/{clip_route.clip_url(item_id)}&from=7.0&to=9.5")
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    assert "00m07.0s" in answer.headers["content-disposition"]
    made = tmp_path / "clip.mp4"
    made.write_bytes(answer.content)
    assert abs(probe(made).duration_s - 2.5) < 0.2
    assert not list((tmp_path / "scratch").glob("kb-clip-*"))


def test_wrong_times_are_refused_in_the_language_of_the_page(
    client: tuple[TestClient, str],
) -> None:
    browser, item_id = client
    address = "/" + clip_route.clip_url(item_id)
    german = address.replace("lang=en", "lang=de")
    answer = browser.get(f"{german}&from=x&to=2")
    assert (answer.status_code, answer.text) == (400, MESSAGES["de"]["player_clip_times"])
    for times in ("from=5&to=5", "from=-1&to=2", "from=900&to=905", "from=nan&to=2"):
        refused = browser.get(f"{address}&{times}")
        assert refused.status_code in (400, 409) and refused.text, times
    long = browser.get(f"{german}&from=0&to={LONGEST_CLIP_S + 1}")
    assert long.status_code == 400 and "60 Minuten" in long.text


def test_previews_are_served(client: tuple[TestClient, str]) -> None:
    browser, item_id = client
    service = Service()
    entry = service.items.entry(item_id)
    service.close()
    still = browser.get("/" + preview_route.preview_url(entry, "still"))
    assert still.headers["content-type"] == "image/jpeg" and still.content[:2] == b"\xff\xd8"
    peaks = browser.get("/" + preview_route.preview_url(entry, "peaks"))
    assert abs(json.loads(peaks.content)["duration_s"] - 56.9) < 1.0
    other = preview_route.preview_url(entry, "still").replace("/still?", "/other?")
    assert browser.get("/" + other).status_code == 404


def test_addresses_cannot_be_guessed(client: tuple[TestClient, str]) -> None:
    browser, item_id = client
    for path in (f"{clip_route.PREFIX}/{item_id}", f"{preview_route.PREFIX}/{item_id}/still"):
        assert browser.get(f"/{path}").status_code == 403
        assert browser.get(f"/{path}?key=guessed&from=1&to=2").status_code == 403


def test_many_clips_at_once_are_told_to_wait(
    client: tuple[TestClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, item_id = client
    for _ in range(clip_route.AT_ONCE):
        clip_route._places.acquire()
    monkeypatch.setattr(clip_route, "WAIT_S", 0.01)
    try:
        answer = browser.get(f"/{clip_route.clip_url(item_id)}&from=7.0&to=9.5")
    finally:
        for _ in range(clip_route.AT_ONCE):
            clip_route._places.release()
    assert (answer.status_code, answer.text) == (429, MESSAGES["en"]["player_clip_waits"])
