"""The notes of the plan: what is done again, the credits of ODIN, a paused queue, no worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.service import Service
from kb.settings import get_settings
from kb.ui.i18n import plural_text, text
from tests.support.library_pages import (
    HARBOUR,
    add_item,
    page,
    page_text,
    rows_of,
    run_page,
)
from tests.support.page_library import home as home  # a fixture
from tests.support.page_library import name
from tests.ui.test_plan import until


def test_what_is_transcribed_again_is_not_counted_as_new(home: Path) -> None:
    add_item()
    app = name(page(tab="Add"), str(HARBOUR))
    until(app, "0 new of 1")
    more = text("found_help_more", option=text("option_again"))
    assert f"{text('found_help_known')} {more}" in page_text(app)
    assert text("found_help") not in page_text(app)
    app.checkbox("run_again").check()
    run_page(app)
    assert "1 transcribed again of 1" in page_text(app)
    assert text("found_help_again") in page_text(app)


def test_the_plan_names_credits_only_where_odin_is_chosen(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "credits" not in until(name(page(tab="Add"), str(HARBOUR)), "1 new of 1")
    monkeypatch.setenv("KB_SINKS", "local,odin")
    monkeypatch.setenv("ODIN_CREDITS_PER_10K_WORDS", "100")
    get_settings.cache_clear()
    # 56 seconds at 150 words a minute
    assert "ODIN: about 1.4" in until(name(page(tab="Add"), str(HARBOUR)), "1 new of 1")


def test_a_paused_queue_and_a_missing_worker_are_named_with_a_button(home: Path) -> None:
    service = Service()
    service.library.prepare()
    service.queue.pause()
    app = name(page(tab="Add"), str(HARBOUR))
    said = until(app, "1 new of 1")
    assert text("plan_no_worker") in said and app.button("plan-worker")
    app.button("plan-resume").click()
    run_page(app)
    assert not [lane for lane in service.queue.lanes() if lane.holds_items]
    assert "plan-resume" not in [button.key for button in app.button]
    service.close()


def test_a_source_that_failed_is_looked_at_again(home: Path, tmp_path: Path) -> None:
    missing = tmp_path / "talk.mp4"
    app = name(page(tab="Add"), str(missing))
    until(app, "None of these can be ingested")
    missing.write_bytes(HARBOUR.read_bytes())
    app.button("look-again").click()
    run_page(app)
    until(app, "1 new of 1")
    assert "look-again" not in [button.key for button in app.button]


def test_selected_rows_that_are_not_new_are_left_out(home: Path) -> None:
    add_item()
    app = name(page(tab="Add"), str(HARBOUR.parent))
    until(app, "2 new of 3")
    rows = rows_of(app)
    known = next(row["id"] for row in rows if row["title"] == HARBOUR.stem)
    new = next(row["id"] for row in rows if row["id"] != known)

    def select(*ids: str) -> str:
        app.session_state["rows_found"]["selected"] = dict.fromkeys(ids, True)
        return page_text(run_page(app))

    assert "0 new of 3" in (words := select(known))
    assert text("found_help_known") in words
    assert app.button("start").disabled
    words = select(known, new)
    assert "1 new of 3" in words
    assert plural_text("found_picked_known", 1) in words
    app.checkbox("run_again").check()
    run_page(app)
    assert "1 new, 1 transcribed again of 3" in page_text(app)
