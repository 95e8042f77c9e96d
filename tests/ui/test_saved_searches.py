"""Saved searches on the page: saved, run, changed, removed, and what is new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.database import search_alerts
from kb.pipeline.list_filter import ListFilter
from kb.service import Service
from kb.settings import get_settings
from kb.ui.i18n import plural_text, text
from tests.support.library_pages import ROOT, add_item, page, page_text, run_page


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Make a library with three talks; return their ids, by name of the file."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    samples = sorted((ROOT / "samples").glob("*.mp4"))
    yield [
        add_item(sample, channel="Hills" if number else "Bay Talks")
        for number, sample in enumerate(samples)
    ]
    get_settings.cache_clear()


def saved() -> list[tuple[str, str, str, dict[str, object]]]:
    service = Service()
    found = [
        (each.search.name, each.search.query, each.search.alerts, each.search.filters.as_dict())
        for each in service.saved_searches.all()
    ]
    service.close()
    return found


def test_a_search_is_saved_with_its_filters_and_run(ids: list[str]) -> None:
    app = page(tab="Library")
    assert text("searches_none") in page_text(app)
    app.button("pick-channel-Hills").click()
    app.session_state["q"] = "harbour"
    run_page(app)
    app.text_input("search-name-harbour").set_value("Harbours")
    app.selectbox("search-alerts").set_value("new")
    app.button("search-save-button").click()
    run_page(app)
    assert text("searches_saved", name="Harbours") in page_text(app)
    assert saved() == [("Harbours", "harbour", "new", {"channel": ["Hills"]})]
    app.button("search-save-button").click()  # the same name again
    run_page(app)
    assert "Harbours" in page_text(app) and len(saved()) == 1

    other = page(tab="Library")
    assert text("searches_save_words") in page_text(other)
    (run,) = [each for each in other.button if str(each.key).startswith("search-run-")]
    run.click()
    run_page(other)
    assert other.session_state["q"] == "harbour"
    assert other.session_state["list_filter"] == ListFilter(channel=("Hills",))


def test_a_search_is_changed_and_removed(ids: list[str]) -> None:
    service = Service()
    made = service.saved_searches.save("Harbours", "harbour")
    service.saved_searches.save("Ports", "port")
    service.close()
    app = page(tab="Library")
    app.button(f"search-edit-{made.id}").click()
    run_page(app)
    app.text_input(f"search-name-{made.id}").set_value("ports")
    app.button(f"search-change-{made.id}").click()
    run_page(app)
    assert [each[0] for each in saved()] == ["Harbours", "Ports"]  # the name is taken
    app.text_input(f"search-name-{made.id}").set_value("Bays")
    app.selectbox(f"search-alerts-{made.id}").set_value("followed")
    app.button(f"search-change-{made.id}").click()
    run_page(app)
    assert saved()[0] == ("Bays", "harbour", "followed", {})
    app.button(f"search-edit-{made.id}").click()
    run_page(app)
    app.button(f"search-remove-{made.id}").click()
    run_page(app)
    assert len(saved()) == 2  # it is asked about
    app.button(f"search-remove-{made.id}-yes").click()
    run_page(app)
    assert [each[0] for each in saved()] == ["Ports"]


def test_new_recordings_are_shown_until_they_are_seen(ids: list[str]) -> None:
    service = Service()
    made = service.saved_searches.save("Harbours", "harbour", alerts="new")
    database = service.queue.database
    with database.begin() as connection:
        for number, item_id in enumerate(ids):
            database.insert_if_missing(
                connection, search_alerts, search=made.id, item_id=item_id, at=1.0 + number,
                hits=2, at_s=7.0,
            )  # fmt: skip
    app = page(tab="Library")
    shown = page_text(app)
    assert plural_text("searches_notice", 3, name="Harbours") in shown
    assert 'content: "3"' in shown  # beside the tab's name
    app.button(f"new-open-{made.id}-{ids[0]}").click()
    run_page(app)
    assert (app.query_params["item"], app.query_params["t"]) == (ids[0], "7")
    again = page(tab="Library")
    again.button(f"new-seen-{made.id}").click()
    run_page(again)
    assert plural_text("searches_notice", 3, name="Harbours") not in page_text(again)
    assert service.saved_searches.unseen() == 0
    service.close()
