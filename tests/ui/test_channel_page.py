"""The page of a channel: its numbers, following, speakers, vocabulary, corrections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from kb.errors import UsageError
from kb.service import Service
from kb.ui.i18n import plural_text, text
from tests.support.library_pages import HARBOUR, add_item, listed, page, page_text, run_page

pytestmark = pytest.mark.slow
CHANNEL = "Harbour talks"
ID = "UC0123456789abcdefghijkl"


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


@pytest.fixture
def items(home: Path) -> list[str]:
    samples = HARBOUR.parent
    extra = {"channel_id": ID}
    return [
        add_item(channel=CHANNEL, published="2026-03-05", extra=extra, covered_s=20.0),
        add_item(samples / "Midnight on the railway.mp4", channel=CHANNEL, published="2026-05-01",
                 extra=extra),
        add_item(samples / "Measuring the old furnace.mp4", channel="Other talks"),
    ]  # fmt: skip


def metrics(app: AppTest) -> dict[str, str]:
    return {each.label: each.value for each in app.metric}


def opened(app: AppTest, part: str) -> AppTest:
    app.session_state[part] = True
    return run_page(app)


def test_a_channel_is_shown_in_numbers_with_its_months(items: list[str], service: Service) -> None:
    view = service.channels.view(CHANNEL)
    assert [row.id for row in view.rows] == [items[1], items[0]]
    assert [(month.name, month.items) for month in view.months] == [("2026-03", 1), ("2026-05", 1)]
    assert view.seconds == pytest.approx(sum(month.seconds for month in view.months))
    assert (view.with_words, view.to_review, view.known, view.taken_in) == (2, 1, None, 2)
    assert view.address == f"https://www.youtube.com/channel/{ID}"
    with pytest.raises(UsageError) as caught:
        service.channels.view("Nobody")
    assert caught.value.code == "channel.unknown"

    app = page(tab="Library", channel=CHANNEL)
    found = metrics(app)
    assert (found[text("channel_items")], found[text("channel_review")]) == ("2", "1")
    assert text("channel_not_followed") in page_text(app)
    app.button("channel-list").click()
    run_page(app)
    assert {row["channel"] for row in listed(app)} == {CHANNEL}
    app.button("filter-channel").click()
    run_page(app)
    assert app.query_params["channel"] in (CHANNEL, [CHANNEL])
    app.button("channel-follow").click()
    run_page(app)
    assert app.session_state["tab"] == "Add"
    assert app.session_state["sources"] == f"https://www.youtube.com/channel/{ID}"
    assert text("channel_unknown") in page_text(page(tab="Library", channel="Nobody"))


def test_a_followed_channel_says_how_many_of_its_recordings_are_taken_in(
    items: list[str], service: Service
) -> None:
    service.subscriptions.follow(f"https://www.youtube.com/channel/{ID}")
    view = service.channels.view(CHANNEL)
    assert view.followed is not None
    some: Any = replace(view.followed, counts={"done": 2, "held": 1, "filtered": 5, "closed": 2})
    assert (replace(view, followed=some).known, replace(view, followed=some).taken_in) == (10, 3)
    app = page(tab="Library", channel=CHANNEL)
    assert text("channel_not_followed") not in page_text(app)
    app.button("channel-follow-settings").click()
    run_page(app)
    assert (app.session_state["tab"], app.session_state["part"]) == ("Settings", "follow")


def test_the_vocabulary_is_changed(items: list[str], service: Service) -> None:
    service.vocabulary.change(CHANNEL, ["Ahab", "Pequod"])
    app = opened(page(tab="Library", channel=CHANNEL), "channel-vocabulary")
    (field,) = (each for each in app.multiselect if str(each.key).startswith("channel-words-"))
    assert field.value == ["Ahab", "Pequod"]
    field.set_value(["Pequod", "Ishmael"])
    (button,) = (each for each in app.button if each.label == text("channel_vocabulary_save"))
    button.click()
    run_page(app)
    assert text("channel_vocabulary_saved") in page_text(app)
    assert service.vocabulary.channels()[CHANNEL] == ("Pequod", "Ishmael")


def test_a_wording_is_corrected_after_its_changes_were_seen(
    items: list[str], service: Service
) -> None:
    said = service.items.transcript(items[0]).text.count("harbour")
    assert said > 0
    app = opened(page(tab="Library", channel=CHANNEL), "channel-correct")
    app.text_input("channel-wrong").input("harbour")
    app.text_input("channel-right").input("haven")
    (button,) = (each for each in app.button if each.label == text("channel_preview"))
    button.click()
    run_page(app)
    assert "haven" in page_text(app)
    assert "haven" not in service.items.transcript(items[0]).text  # seen, not made
    other = service.items.transcript(items[2])
    app.button("channel-apply").click()
    run_page(app)
    changed = service.items.transcript(items[0])
    assert changed.text.count("haven") == said and "harbour" not in changed.text
    assert changed.revisions[-1].kind == "correct"
    assert service.items.transcript(items[2]) == other
    assert plural_text("channel_applied", 1)[-40:] in page_text(app) or "corrected" in page_text(
        app
    )


def test_recurring_parts_of_the_newest_items_are_listed_or_said_to_be_none(
    items: list[str],
) -> None:
    app = opened(page(tab="Library", channel=CHANNEL), "channel-recurring")
    assert text("channel_recurring_none") in page_text(app)


def test_the_page_of_an_item_leads_to_its_channel(items: list[str]) -> None:
    app = page(tab="Library", item=items[0])
    app.button("item-channel").click()
    run_page(app)
    assert "item" not in app.query_params
    assert f"### {CHANNEL}" in page_text(app)
    app.button("channel-back").click()
    run_page(app)
    assert len(listed(app)) == 3
