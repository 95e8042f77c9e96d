"""The acts on an open item: title, tags, note, another transcription."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kb.options import RunOptions
from kb.pipeline import stages
from kb.service import Service
from kb.ui.i18n import plural_text, text
from tests.support.library_pages import add_item, page, page_text, run_page

pytestmark = pytest.mark.slow


@pytest.fixture
def item_id(home: Path) -> str:
    return add_item(covered_s=20.0)


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


def key(app: AppTest, name: str) -> str:
    """Return the key of a field of the form."""
    fields = (*app.text_input, *app.multiselect, *app.text_area)
    (found,) = (each.key for each in fields if str(each.key).startswith(f"item-{name}-"))
    return str(found)


def save(app: AppTest) -> AppTest:
    (button,) = (each for each in app.button if each.label == text("item_save"))
    button.click()
    return run_page(app)


def test_title_tags_and_note_are_changed_and_shown(item_id: str, service: Service) -> None:
    app = page(tab="Library", item=item_id)
    app.text_input(key(app, "title")).input("The harbour, read again")
    app.multiselect(key(app, "tags")).set_value(["Sea", "Winter"])
    app.text_area(key(app, "note")).input("Ask *Anna* about it.")
    save(app)
    assert text("item_saved") in page_text(app)
    assert "### The harbour, read again" in page_text(app)
    assert ":gray-badge[Sea] :gray-badge[Winter]" in page_text(app)
    assert "Ask *Anna* about it." in [each.value for each in app.text]
    entry = service.items.entry(item_id)
    assert (entry.user_tags, entry.user_note) == (("Sea", "Winter"), "Ask *Anna* about it.")

    # An empty title gives back the source's, no tag and no note remove them.
    app.text_input(key(app, "title")).input("")
    app.multiselect(key(app, "tags")).set_value(["Winter"])
    app.text_area(key(app, "note")).input("")
    save(app)
    entry = service.items.entry(item_id)
    assert (entry.item.title, entry.user_tags, entry.user_note) == (
        "The harbour in winter", ("Winter",), ""
    )  # fmt: skip


def test_an_item_in_the_queue_keeps_its_title_and_what_was_typed(
    item_id: str, service: Service
) -> None:
    app = page(tab="Library", item=item_id)
    service.ingest.enqueue([service.items.entry(item_id).item], RunOptions(again=True))
    app.text_input(key(app, "title")).input("Another title")
    save(app)
    assert service.items.entry(item_id).item.title == "The harbour in winter"
    assert app.text_input(key(app, "title")).value == "Another title"
    assert text("place_cancel") in page_text(app)


def test_it_is_transcribed_again_with_another_model(item_id: str, service: Service) -> None:
    app = page(tab="Library", item=item_id)
    app.session_state["item-again"] = True
    run_page(app)
    app.selectbox("item_again_model").set_value("demo")
    run_page(app)
    app.button("item-again-now").click()
    run_page(app)
    assert plural_text("bulk_again_done", 1) in page_text(app)
    assert service.items.status(item_id).state == "queued"
    app.session_state["item-again"] = True
    assert text("item_busy") in page_text(run_page(app))
    assert app.button("item-again-now").disabled
    plan = service.bulk.plan([item_id, "file:unknown"])
    assert (plan.ready, plan.busy) == ((), 1)


def test_a_plan_for_many_items_says_what_would_change(item_id: str, service: Service) -> None:
    plan = service.bulk.plan([item_id])
    assert (plan.ready, plan.held, plan.without_words, plan.published) == ((item_id,), 1, 0, 0)
    service.review.accept(item_id)
    service.library.amend(item_id, {"published": {"odin": {"status": "synced"}}})
    plan = service.bulk.plan([item_id])
    assert (plan.held, plan.published) == (0, 1)
    assert plan.credits > 0


def test_steps_are_run_from_the_page(item_id: str, service: Service) -> None:
    app = page(tab="Library", item=item_id)
    app.multiselect(f"steps-chosen|{item_id}").set_value(["sound"])
    run_page(app)
    app.button("steps-run-now").click()
    run_page(app)
    assert "1 step is queued" in page_text(app)
    (status,) = service.items.statuses(ids=[item_id])
    assert [(step.step, step.status) for step in status.steps] == [("sound", "queued")]


def test_the_transcript_of_an_earlier_run_is_kept(item_id: str, service: Service) -> None:
    entry, earlier = service.items.entry(item_id), service.items.transcript(item_id)
    again = replace(earlier, model="another", segments=earlier.segments[:-1])
    for run in (2, 2):  # the second is the same run, which went on after a crash
        stages.write(service.library, entry.item, again, 0.0, run=run)
    (version,) = service.items.versions(item_id)
    assert version.transcribed["model"] == "demo" and version.media_path is None
    assert service.items.version(item_id, 1)[1].segments == earlier.segments
    (other,) = service.comparisons.others(service.items.entry(item_id))
    assert other.key == "version:1"
