"""Fetches of models on the Queue tab."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kb.cli.main import run
from kb.errors import ModelUnavailable
from kb.hub import cache, errors, fetch_state
from kb.hub.fetch_state import FetchState
from kb.hub.models import known_ready
from kb.service import Service
from tests.fakes.hub import FakeHub, Fault
from tests.support.hub_cache import hub_at, outcome, small_files, use_hub
from tests.support.items import item
from tests.support.library_pages import run_page
from tests.support.raising import raises
from tests.support.waiting import until

pytestmark = pytest.mark.slow

NAME, OTHER = "openai/whisper-base", "some/recognizer"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    use_hub(monkeypatch, tmp_path / "hub", "http://127.0.0.1:9")
    found = cache.repository_folder(NAME)
    (found / "blobs").mkdir(parents=True)
    yield found


def show(lang: str) -> None:
    import streamlit as st

    from kb.ui import session
    from kb.ui.widgets.fetches import show_fetches

    st.session_state["lang"] = lang
    show_fetches(session.service().models.fetches())


def board(lang: str) -> None:
    import streamlit as st

    from kb.ui.tabs.queue import tab

    st.session_state["lang"] = lang
    tab.render()


@pytest.mark.parametrize("lang", ["en", "de"])
@pytest.mark.parametrize(("model", "needed"), [(NAME, True), ("demo", False)])
def test_a_failed_fetch_that_nothing_waits_for_is_a_quiet_note(
    place: Path, lang: str, model: str, needed: bool
) -> None:
    problem = errors.hub_status(NAME, 503).error.record()
    fetch_state.write_state(
        place, FetchState(NAME, "https://hub", str(place), "failed", problem=problem)
    )
    service = Service()
    service.queue.items.submit([item(1)], {"model": model}, lambda *_arguments: None)
    service.close()
    page = run_page(AppTest.from_function(board, kwargs={"lang": lang}))
    assert len(page.error) == needed
    quiet = [
        note.value for note in page.caption if NAME.split("/")[1] in note.value.replace("\\", "")
    ]
    assert any("503" in note for note in quiet) is not needed
    assert all("kb models" not in each.value for each in (*page.error, *page.caption))
    keys = [button.key for button in page.button]
    assert f"fetch-resume-{NAME.replace('/', '-')}" in keys
    assert f"fetch-cancel-{NAME.replace('/', '-')}" in keys


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
    assert "der Hub antwortete 503" in page.error[0].value
    _resume, cancel = page.button
    cancel.click()
    run_page(page)
    assert not part.exists() and fetch_state.read_state(place) is None


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    files = small_files()
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: files, OTHER: files})) as found:
        # The processes that fetch read their place from the environment.
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
        yield found


def test_fetches_go_on_in_a_process_of_their_own_without_a_worker(hub: FakeHub) -> None:
    """One paused before is continued, and paused, continued and cancelled from the page."""
    weights = "model-00001-of-00002.safetensors"
    hub.always[weights] = Fault(stall=3000)
    place = cache.repository_folder(NAME)
    fetch_state.write_state(place, FetchState(NAME, hub.url, str(place), "paused", 10, 4))
    page = drawn()
    page.button[0].click()
    run_page(page)
    assert state_of(NAME) in ("starting", "waiting", "fetching")
    # All bytes that came before the stall are on the disk: the next process goes on behind them.
    until(lambda: 3000 in sizes_of_parts(place))
    pages: list[AppTest] = []

    def shows_the_fetch() -> bool:  # after a long stall it waits for its next attempt
        pages.append(drawn())
        return "is being fetched" in pages[-1].markdown[0].value

    until(shows_the_fetch)
    page = pages[-1]
    page.button[0].click()
    run_page(page)
    until(lambda: state_of(NAME) == "paused")
    hub.heal()
    # A second one is begun beside it; it needs no worker either.
    Service().models.start_fetch([NAME])
    assert run(["models", "pull", OTHER, "--detach"]) == 0
    until(lambda: not fetch_state.all_states())
    assert all(known_ready(name) is not None for name in (NAME, OTHER))
    assert f"{weights} from 3000" in hub.sent


def sizes_of_parts(place: Path) -> set[int]:
    """Return the sizes of the files that have arrived in part."""
    return {path.stat().st_size for path in place.glob(f"blobs/*{cache.PART_SUFFIX}")}


def state_of(name: str) -> str:
    state = fetch_state.read_state(cache.repository_folder(name))
    return state.state if state else ""


def test_what_cannot_be_fetched_is_said_where_it_was_asked_for(hub: FakeHub) -> None:
    Service().models.start_fetch(["some/absent"])
    until(lambda: state_of("some/absent") == "failed")
    page = drawn()
    assert "knows no such model" in page.error[0].value
    with raises(ModelUnavailable, "model.unknown"):
        Service().models.start_fetch(["large-v99"])


def test_a_process_that_never_begins_is_a_stopped_fetch(place: Path) -> None:
    old = FetchState(NAME, "https://hub", str(place), "starting", 10, 4, at=time.time() - 99)
    fetch_state.write_state(place, old)
    assert state_of(NAME) == "stopped"
    fetch_state.write_state(place, replace(old, at=time.time()))
    assert state_of(NAME) == "starting"


@pytest.mark.parametrize("what", ["pause", "cancel"])
def test_a_request_before_the_process_has_begun_is_kept(hub: FakeHub, what: str) -> None:
    place = cache.repository_folder(NAME)
    fetch_state.write_state(
        place, FetchState(NAME, hub.url, str(place), "starting", at=time.time())
    )
    Service().models.stop_fetch(NAME, what)  # type: ignore[arg-type]
    assert outcome(NAME) == "model.fetch_stopped"
    assert state_of(NAME) == ("paused" if what == "pause" else "")
