"""Fetches of models on the Queue tab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kb.hub import cache, errors, fetch_state
from kb.hub.fetch_state import FetchState
from tests.support.hub_cache import use_hub
from tests.support.library_pages import run_page

pytestmark = pytest.mark.slow

NAME = "openai/whisper-base"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    found = cache.repository_folder(NAME)
    (found / "blobs").mkdir(parents=True)
    yield found


def show(lang: str) -> None:
    import streamlit as st

    from kb.ui import session
    from kb.ui.tabs.queue.fetches import show_fetches

    st.session_state["lang"] = lang
    show_fetches(session.service())


def drawn(lang: str = "en") -> AppTest:
    return run_page(AppTest.from_function(show, kwargs={"lang": lang}))


def test_nothing_is_drawn_without_a_fetch(place: Path) -> None:
    assert not drawn().button


@pytest.mark.parametrize(("lang", "word"), [("en", "1.1 MB/s"), ("de", "1,1 MB/s")])
def test_size_speed_time_left_and_a_pause(place: Path, lang: str, word: str) -> None:
    lock = fetch_state.fetch_lock(place)
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    lock.acquire()
    state = FetchState(
        NAME, "https://hub", str(place), "fetching", 290_000_000, 120_000_000, 1_100_000.0
    )
    fetch_state.write_state(place, state)
    page = drawn(lang)
    assert word in page.markdown[0].value and "290" in page.markdown[0].value
    pause, _cancel = page.button
    pause.click()
    run_page(page)
    assert fetch_state.requested(place) == "pause"
    lock.release()


def test_a_failed_fetch_has_its_cause_in_german_and_is_cancelled(place: Path) -> None:
    part = place / "blobs" / f"abc{cache.PART_SUFFIX}"
    part.write_bytes(b"part")
    problem = errors.hub_status(NAME, 503).error.record()
    fetch_state.write_state(
        place, FetchState(NAME, "https://hub", str(place), "failed", 10, 4, problem=problem)
    )
    page = drawn("de")
    assert "der Hub antwortete 503" in page.caption[0].value
    (cancel,) = page.button
    cancel.click()
    run_page(page)
    assert not part.exists() and fetch_state.read_state(place) is None


def test_a_paused_fetch_goes_on(place: Path) -> None:
    fetch_state.write_state(place, FetchState(NAME, "https://hub", str(place), "paused", 10, 4))
    page = drawn()
    page.button[0].click()
    run_page(page)
    found = fetch_state.read_state(place)
    assert found is not None and found.state == "stopped"
