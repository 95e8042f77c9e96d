"""The models in Settings: sizes, what is here, a fetch with its progress, and a removal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from streamlit.testing.v1 import AppTest

from kb.enrich.speakers.nemotron_files import REPOSITORY
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
NEMOTRON = {
    "config.json": b'{"model_type": "nemotron3_diarization"}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": save({"layer": np.zeros((4, 4), np.float32)}),
}


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
    assert "Schritt: Sprecher" in page_text(app)
    button.click()
    run_page(app)
    until(lambda: (task := tasks.read(get_settings(), "add_part")) and not task.running, "its end")
    shown = page_text(run_page(app))
    assert "kb models" not in shown
    assert "„Holen“ unter Einstellungen, Modelle" in shown
    assert app.button("part-fetch-speakers")


def test_a_model_in_a_folder_that_lacks_files_says_so_and_has_no_button(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "diarizer"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "nemotron3_diarization"}')
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "steps"))
    monkeypatch.setenv("KB_SPEAKER_MODEL", str(folder))
    get_settings.cache_clear()
    app = drawn()
    shown = page_text(app)
    assert "lacks" in shown and "kb models" not in shown
    assert text("models_state_damaged") in shown
    keys = {str(each.key) for each in app.button}
    assert "part-fetch-speakers" in keys
    assert not keys & {"part-fetch-nemotron", "part-remove-nemotron"}


def test_a_folder_that_has_not_the_model_says_so_and_has_no_button(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "steps"))
    monkeypatch.setenv("KB_SPEAKER_MODEL", str(tmp_path / "elsewhere"))
    get_settings.cache_clear()
    app = drawn("de")
    shown = page_text(app)
    assert "KB_SPEAKER_MODEL" in shown and MESSAGES["de"]["models_state_missing"] in shown
    assert "part-fetch-nemotron" not in {str(each.key) for each in app.button}


def test_before_a_removal_the_other_model_of_its_step_is_named(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "steps" / "nemotron-3-diarization"
    folder.mkdir(parents=True)
    for name, data in NEMOTRON.items():
        (folder / name).write_bytes(data)
    with (tmp_path / "steps" / "resemblyzer-0.1.4.pt").open("wb") as file:
        file.truncate(17_090_379)
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "steps"))
    get_settings.cache_clear()
    app = drawn("de")
    app.button("part-remove-speakers").click()
    shown = page_text(run_page(app)).replace("\\", "")
    question = MESSAGES["de"]["parts_remove_question_other"]
    assert question.format(name="resemblyzer 0.1.4", size="17 MB", other=REPOSITORY) in shown


def test_the_model_of_a_step_shows_its_size_and_is_removed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = tmp_path / "steps"
    steps.mkdir()
    monkeypatch.setenv("KB_STEP_MODELS", str(steps))
    get_settings.cache_clear()
    assert text("models_size", size="17 MB") in page_text(drawn())
    weights = steps / "resemblyzer-0.1.4.pt"
    with weights.open("wb") as file:
        file.truncate(17_090_379)
    app = drawn()
    assert text("models_on_disk", size="17 MB") in page_text(app)
    app.button("part-remove-speakers").click()
    run_page(app)
    assert weights.exists()  # it is asked about
    name, size = "resemblyzer 0.1.4", "17 MB"
    assert text("parts_remove_question", name=name, size=size) in page_text(app)
    app.button("part-remove-speakers-yes").click()
    run_page(app)
    assert not weights.exists()
    assert text("models_removed", name="resemblyzer 0.1.4", size="17 MB") in page_text(app)
    assert app.button("part-fetch-speakers")


def test_the_other_model_of_speakers_is_fetched_from_the_hub_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_STEP_MODELS", str(tmp_path / "steps"))
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({REPOSITORY: NEMOTRON})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        get_settings.cache_clear()
        app = drawn()
        app.button("part-fetch-nemotron").click()
        run_page(app)
        until(lambda: known_ready(REPOSITORY) is not None)
        until(lambda: (task := tasks.read(get_settings(), "add_part")) and not task.running)
        app = drawn()
        app.button("part-remove-nemotron").click()
        run_page(app)
        app.button("part-remove-nemotron-yes").click()
        run_page(app)
        assert known_ready(REPOSITORY) is None
        assert app.button("part-fetch-nemotron")
    get_settings.cache_clear()
