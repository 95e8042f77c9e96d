"""The models in Settings: sizes, what is here, a fetch with its progress, and a removal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kb.hub import cache, fetch_state
from kb.hub.models import known_ready
from kb.service import tasks
from kb.settings import get_settings
from kb.ui.i18n import MESSAGES, text
from tests.fakes.hub import FakeHub
from tests.support.hub_cache import hub_at, small_files
from tests.support.library_pages import page_text, run_page
from tests.support.waiting import until

pytestmark = pytest.mark.slow

NAME, KEY = "openai/whisper-base", "base"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set an empty cache and a hub that cannot be reached, for this process and others."""
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: small_files()})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setenv("FAKE_HUB", hub.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
        monkeypatch.setenv("KB_MODEL", "demo")
        get_settings.cache_clear()
        yield cache.repository_folder(NAME)
    get_settings.cache_clear()


def show(lang: str) -> None:
    import streamlit as st

    from kb.ui.tabs.settings import models

    st.session_state["lang"] = lang
    models.render()


def drawn(lang: str = "en") -> AppTest:
    return run_page(AppTest.from_function(show, kwargs={"lang": lang}, default_timeout=120))


def test_the_list_says_sizes_and_what_is_here_and_fetches_nothing(place: Path) -> None:
    app = drawn()
    shown = page_text(app)
    assert "**base**" in shown and text("models_state_") in shown
    assert text("models_bundled") in shown  # the demo recognizer
    assert text("models_size", size="290 MB") in shown or "MB to fetch" in shown
    keys = {str(each.key) for each in app.button}
    assert f"model-fetch-{KEY}" in keys and "model-fetch-demo" not in keys
    assert not place.exists() and fetch_state.all_states() == []


def test_a_hub_out_of_reach_is_said_and_the_fetch_is_discarded(place: Path) -> None:
    app = drawn("de")
    app.button(f"model-fetch-{KEY}").click()
    run_page(app)

    def problem() -> bool:
        state = fetch_state.read_state(place)
        return state is not None and bool(state.problem)

    until(problem)
    run_page(app)
    words = page_text(app)
    assert MESSAGES["de"]["fetch_cancel"] in {each.label for each in app.button}
    assert "127.0.0.1:9" in words
    app.button(f"fetch-cancel-{NAME.replace('/', '-')}").click()
    run_page(app)
    until(lambda: fetch_state.read_state(place) is None)


def test_a_model_is_fetched_and_removed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("HF_ENDPOINT", os.environ["FAKE_HUB"])
    app = drawn()
    app.button(f"model-fetch-{KEY}").click()
    run_page(app)
    until(lambda: known_ready(NAME) is not None and fetch_state.read_state(place) is None)
    app = drawn()
    assert text("models_state_ready") in page_text(app)
    app.button(f"model-remove-{KEY}").click()
    run_page(app)
    assert known_ready(NAME) is not None  # it is asked about
    app.button(f"model-remove-{KEY}-yes").click()
    run_page(app)
    assert known_ready(NAME) is None
    assert f"model-fetch-{KEY}" in {str(each.key) for each in app.button}


def test_a_shared_dashboard_shows_the_list_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_SHARED", "1")
    get_settings.cache_clear()
    app = drawn()
    assert text("models_operator") in page_text(app)
    assert not any(str(each.key).startswith("model-") for each in app.button)


def test_a_missing_part_of_a_step_has_a_button_and_says_why_its_fetch_failed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "steps"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    get_settings.cache_clear()
    app = drawn("de")
    button = app.button("part-fetch-speakers")
    assert "Das Sprechermodell" in page_text(app)
    button.click()
    run_page(app)
    until(lambda: (task := tasks.read(get_settings(), "add_part")) and not task.running, "its end")
    shown = page_text(run_page(app))
    assert "kb models" not in shown
    assert "„Holen“ unter Einstellungen, Modelle" in shown
    assert app.button("part-fetch-speakers")


def test_a_part_that_no_button_can_fetch_has_its_next_step_and_no_button(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "diarizer"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "nemotron3_diarization"}')
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "steps"))
    monkeypatch.setenv("KB_SPEAKER_MODEL", str(folder))
    get_settings.cache_clear()
    app = drawn()
    assert "kb models add nemotron" in page_text(app)
    keys = {str(each.key) for each in app.button}
    assert not keys & {"part-fetch-nemotron", "part-fetch-speakers"}
