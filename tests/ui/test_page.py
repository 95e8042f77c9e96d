"""The logic of the dashboard's frame and of its Ingest and Queue tabs, without a browser."""

from __future__ import annotations

import re
import string
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kb.jobs.queue.heartbeat import Heartbeat
from kb.jobs.queue.item_states import FIRST, SkipCode
from kb.jobs.queue.lanes import LaneStore
from kb.service import Service
from kb.settings import get_settings
from kb.ui import i18n, session
from kb.ui.i18n import MESSAGES, TABLES, plural_text, text
from kb.ui.tabs.ingest import scan_thread
from kb.ui.tabs.queue import acts
from kb.ui.widgets import messages
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.error_source import sentence
from tests.support.keys import fake_key
from tests.support.library_pages import (
    HARBOUR,
    ROOT,
    add_item,
    page,
    page_text,
    rows_of,
    run_page,
)
from tests.support.page_library import SAMPLES, name, queued
from tests.support.waiting import WAIT_S


def until(app: AppTest, words: str) -> AppTest:
    """Run the page repeatedly until it shows the words."""
    ends = time.monotonic() + WAIT_S
    while words not in page_text(app):
        assert time.monotonic() < ends, page_text(app)
        time.sleep(0.05)
        run_page(app)
    return app


def start(app: AppTest) -> None:
    """Press the start button and wait until the page shows the Activity tab."""
    app.button("start").click()
    ends = time.monotonic() + WAIT_S
    while run_page(app).session_state["tab"] != "Activity":
        assert time.monotonic() < ends, page_text(app)
        time.sleep(0.05)


# The frame


@pytest.mark.slow
def test_tabs_open_by_link_in_either_language(home: Path) -> None:
    for tab in list(session.TABS)[1:4]:
        english, german = MESSAGES["en"][tab], MESSAGES["de"][tab]
        assert page(tab=english).session_state["tab"] == english
        assert page(tab=english.lower(), lang="de").session_state["tab"] == german
    assert page(tab="Nonsense").session_state["tab"] == "Library"


def test_only_the_open_tab_is_drawn(home: Path) -> None:
    assert not page(tab="Library").text_area
    assert not [box for box in page(tab="Add").text_input if box.key == "q"]


def test_language_is_switched_and_kept_in_the_address(home: Path) -> None:
    app = page(tab="Activity")
    assert MESSAGES["en"]["queue_empty"] in page_text(app)
    app.button_group("language-switch").set_value("de")
    run_page(app)
    assert MESSAGES["de"]["queue_empty"] in page_text(app)
    assert app.query_params["lang"] == "de"
    assert app.session_state["tab"] == "Aktivität"
    assert i18n.language() == "en"  # the default outside of a page


@pytest.mark.parametrize("sent", ["tab", "language-switch"])
def test_a_language_that_was_switched_half_way_is_the_whole_page_s(home: Path, sent: str) -> None:
    # Another press ends the callback of the switch, or brings the label of the language before.
    app = page(tab="Activity", lang="de")
    assert app.session_state["tab"] == "Aktivität"
    app.session_state[sent] = {"tab": "Activity", "language-switch": "en"}[sent]
    run_page(app)
    lang = {"tab": "de", "language-switch": "en"}[sent]
    assert MESSAGES[lang]["queue_empty"] in page_text(app)
    assert app.session_state["tab"] == MESSAGES[lang]["tab_activity"]


@pytest.mark.parametrize(
    ("link", "tab"),
    [
        ("Ingest", "tab_add"),
        ("Aufnehmen", "tab_add"),
        ("Queue", "tab_activity"),
        ("Knowledge base", "tab_publish"),
        ("wissensbasis", "tab_publish"),
        ("GPU", "tab_settings"),
        ("Library", "tab_library"),
    ],
)
def test_links_of_earlier_versions_lead_to_the_present_tabs(
    home: Path, link: str, tab: str
) -> None:
    app = page(tab=link)
    assert app.session_state["tab"] == text(tab)
    if link == "GPU":
        assert app.session_state["part"] == "machine"
        assert text("gpu_presets") in page_text(app)


def test_a_link_can_name_a_part_of_the_settings(home: Path) -> None:
    assert page(tab="Settings", part="about").session_state["part"] == "about"
    assert page(tab="Settings", part="nonsense").session_state["part"] == "general"


@pytest.mark.slow
def test_counts_stand_beside_the_tabs_and_the_worker_above_them(home: Path) -> None:
    item_id = add_item(covered_s=20.0)  # half of its speech is missing: it waits for review
    queued().close()
    for tab in ("tab_activity", "tab_review"):
        app = page(tab=MESSAGES["en"][tab])
        assert text("worker_stopped") in page_text(app)
        places = {name: number for number, name in enumerate(session.TABS, start=1)}
        (badges,) = (each for each in styles(app) if "nth-of-type" in each)
        found = dict(re.findall(r'nth-of-type\((\d)\)::after { content: "(\d+)"', badges))
        # The third sample is in the library.
        assert found == {str(places["tab_activity"]): "2", str(places["tab_review"]): "1"}
        assert [each.label for each in app.tabs] == [text(name) for name in session.TABS]
    assert "The harbour in winter" in " ".join(each.label for each in app.button)
    app.button(f"review-open-{item_id}").click()
    run_page(app)
    assert app.session_state["tab"] == "Library"
    assert app.query_params["item"] == item_id


def styles(app: AppTest) -> list[str]:
    return [str(each.proto.body) for each in app.get("html")]


def test_nothing_to_review_is_said(home: Path) -> None:
    assert text("review_empty") in page_text(page(tab="Review"))


def test_defaults_of_new_recordings_are_set_in_the_sidebar(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "settings.env"
    stored.write_text("# mine\n", encoding="utf-8")
    monkeypatch.setenv("KB_ENV_FILE", str(stored))
    for given in ("KB_PRESET", "KB_LANGUAGE"):
        monkeypatch.delenv(given, raising=False)
    get_settings.cache_clear()
    app = page(tab="Add")
    model, preset, language = (
        next(box for box in app.selectbox if str(box.key).startswith(f"default-{name}"))
        for name in ("model", "preset", "language")
    )
    assert model.disabled  # the environment sets it
    assert [model.value, preset.value, language.value] == ["demo", "optimiert", "auto"]
    preset.select("schnell")
    run_page(app)
    assert get_settings().preset == "schnell"
    assert "🚀 SCHNELL ✓" in [button.label for button in app.button]  # the form on Add follows
    language = next(box for box in app.selectbox if str(box.key).startswith("default-language"))
    language.select("de")
    run_page(app)
    assert get_settings().language == "de"
    assert "KB_LANGUAGE" in stored.read_text(encoding="utf-8")


def test_broken_presets_file_is_reported_and_the_rest_works(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "presets.yaml"
    broken.write_text("stabil: [1, 2]\n", encoding="utf-8")
    monkeypatch.setenv("KB_PRESETS_FILE", str(broken))
    get_settings.cache_clear()
    app = page(tab="Add")
    assert "presets.yaml, line 1" in page_text(app)
    assert text("queue_empty") in page_text(page(tab="Activity"))


# Ingest


@pytest.mark.slow
def test_presets_show_their_figures_and_the_setting_is_chosen(home: Path) -> None:
    app = page(tab="Add")
    labels = [button.label for button in app.button if button.key.startswith("preset-")]
    assert labels == ["🛡️ STABIL", "⚡ OPTIMIERT ✓", "🚀 SCHNELL", "🔥 MAX. SCHNELL"]
    assert text("preset_trade_optimiert") in page_text(app)
    figures = [
        each.proto.help for each in app.caption if each.value == text("preset_trade_optimiert")
    ]
    assert figures and "batch 16 · chunk 30 s · overlap 3 s · 2 workers" in figures[0]
    assert text("speed_unknown") in page_text(app)
    app.button("preset-schnell").click()
    run_page(app)
    assert app.button("preset-schnell").label.endswith("✓")
    assert app.number_input("run_batch_size_schnell").value == 32


def test_nothing_named_nothing_to_start(home: Path) -> None:
    app = page(tab="Add")
    assert app.button("start").disabled
    assert text("plan_nothing") in page_text(app)


@pytest.mark.slow
def test_a_folder_is_looked_at_planned_and_queued(home: Path) -> None:
    app = name(page(tab="Add"), str(SAMPLES))
    until(app, "3 new of 3")
    said = page_text(app)
    assert text("plan_unknown") in said
    assert re.search(r"\d min audio", said)
    assert "free" in said
    start(app)

    service = Service()
    found = service.queue.page()
    assert [row.state for row in found.rows] == ["queued"] * 3
    assert all(row.duration_s and row.duration_s > 30 for row in found.rows)
    service.close()


@pytest.mark.slow
def test_ticked_rows_alone_are_taken_with_the_figures_of_the_run(home: Path) -> None:
    app = name(page(tab="Add"), str(SAMPLES))
    until(app, "3 new of 3")
    titles = [row["title"] for row in rows_of(app)]
    wanted = titles.index("The harbour in winter")
    app.session_state["rows_found"]["selected"] = {rows_of(app)[wanted]["id"]: True}
    run_page(app)
    assert "1 new of 3" in page_text(app)
    app.number_input("run_batch_size_optimiert").set_value(4)
    app.selectbox("run_language").set_value("en")
    app.text_input("run_metadata").input("team=research")
    run_page(app)
    start(app)
    service = Service()
    (row,) = service.queue.page().rows
    options = service.queue.rows([row.id])[0].options
    service.close()
    assert row.title == "The harbour in winter"
    assert (options["batch_size"], options["language"]) == (4, "en")
    assert options["chunk_s"] is None  # an unchanged value comes from the preset
    assert options["metadata"] == {"team": "research"}


@pytest.mark.slow
def test_wrong_choices_are_reported_before_anything_is_queued(home: Path) -> None:
    app = name(page(tab="Add"), str(HARBOUR))
    until(app, "1 new of 1")
    app.number_input("run_overlap_s_optimiert").set_value(25.0)
    run_page(app)
    app.button("start").click()
    run_page(app)
    mistake = sentence("preset.overlap", half=15.0, value=25.0)
    assert f"“{text('option_overlap_s')}” {mistake}" in page_text(app).replace("\\", "")
    app.number_input("run_overlap_s_optimiert").set_value(3.0)
    app.text_input("run_metadata").input("nonsense")
    run_page(app)
    app.button("start").click()
    run_page(app)
    mistake = sentence("options.metadata", option=f"“{text('option_metadata')}”", pair="nonsense")
    assert mistake in page_text(app)
    service = Service()
    assert service.queue.page().total == 0
    service.close()


def test_a_reference_that_leads_nowhere_is_reported_and_the_rest_is_queued(home: Path) -> None:
    app = name(page(tab="Add"), "/no/such/file.mp4", str(HARBOUR))
    until(app, "1 new of 1")
    assert "/no/such/file.mp4" in page_text(app)
    assert "What to do" in page_text(app)


@pytest.mark.slow
def test_what_is_in_the_library_is_marked_and_taken_again_when_asked(home: Path) -> None:
    add_item()
    app = name(page(tab="Add"), str(HARBOUR))
    until(app, "0 new of 1")
    assert app.button("start").disabled
    assert [row["state"] for row in rows_of(app)] == ["✓ done"]
    app.checkbox("run_again").check()
    run_page(app)
    assert not app.button("start").disabled


@pytest.mark.slow
def test_filters_narrow_and_say_what_is_wrong_with_them(home: Path) -> None:
    app = name(page(tab="Add"), str(SAMPLES))
    until(app, "3 new of 3")
    app.text_input("filter_title").input("harbour")
    run_page(app)
    until(app, "1 new of 1")
    app.text_input("filter_title").input("(")
    run_page(app)
    shown = page_text(app).replace("\\", "")
    assert sentence("filters.title_pattern", pattern="(", reason="").rstrip(".") in shown
    app.text_input("filter_title").input("")
    app.text_input("filter_min").input("soon")
    run_page(app)
    assert sentence("filters.duration", text="soon") in page_text(app)
    app.text_input("filter_min").input("2h")
    run_page(app)
    until(app, "0 new of 0")


@pytest.mark.slow
def test_a_channel_shows_its_picture_counts_and_cost(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = fake_key("p")
    channel = Channel("UC" + "x" * 22, "@talks", 60, "Harbour talks", private=frozenset({3}))
    with FakeYouTube([channel], quota={key: 1000}) as fake:
        monkeypatch.setenv("YT_API_ENDPOINT", fake.url)
        monkeypatch.setenv("YT_API_KEYS", key)
        get_settings.cache_clear()
        app = name(page(tab="Add"), "@talks")
        until(app, "59 new of 59")
        said = page_text(app)
        assert "Harbour talks" in said
        assert "59 of 60" in said
        assert plural_text("found_gone", 1) in said
        assert plural_text("plan_units", fake.units()) in said
        (picture,) = app.get("image")
        assert picture.value[0].startswith(f"{fake.url}picture.png?px=240")
        assert key not in said


@pytest.mark.slow
def test_a_listing_without_quota_can_be_queued_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = fake_key("q")
    channel = Channel("UC" + "x" * 22, "@talks", 60)
    with FakeYouTube([channel], quota={key: 0}) as fake:
        monkeypatch.setenv("YT_API_ENDPOINT", fake.url)
        monkeypatch.setenv("YT_API_KEYS", key)
        get_settings.cache_clear()
        app = name(page(tab="Add"), "@talks")
        until(app, text("found_later"))
        start(app)
    service = Service()
    (row,) = service.queue.page(listings=True).rows
    service.close()
    assert (row.id.split(":")[0], row.state) == ("listing", "queued")


def test_a_look_that_nobody_waits_for_ends(home: Path) -> None:
    seen = scan_thread.ScanThread(get_settings(), scan_thread.ScanRequest((str(SAMPLES),)))
    seen.cancel()
    seen._thread.join(WAIT_S)
    assert not seen._thread.is_alive()


# Queue


def test_queue_lists_what_waits_and_says_that_nobody_works(home: Path) -> None:
    queued().close()
    app = page(tab="Activity")
    assert text("queue_no_worker") in page_text(app)
    assert text("run_finished", done="0", total="3") in page_text(app)
    assert text("run_waits") in page_text(app)
    assert [row["state"].split()[-1] for row in rows_of(app)] == ["queued"] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("lasting_signs")
@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ((), []),
        (("one",), ["running"]),
        (("one", "two"), ["running on one", "running on two"]),
        (("one", "two", "idle"), ["running on one", "running on two"]),
    ],
)
def test_a_running_item_names_its_machine_where_there_are_several(
    home: Path, names: tuple[str, ...], shown: list[str]
) -> None:
    service = queued()
    beats = []
    for worker, row in zip(names, service.queue.page().rows, strict=False):
        beats.append(Heartbeat(get_settings().replace(executor_id=worker), service.queue.database))
        beats[-1].acquire()
        if worker != "idle":
            assert service.queue.items.claim(row.id, 1, worker)

    def states() -> list[str]:
        return sorted(row["state"][2:] for row in rows_of(page(tab="Activity")))

    assert states() == sorted([*shown, *["queued"] * (3 - len(shown))])
    for beat in beats:
        beat.release()
        beat.close()
    assert states() == ["queued"] * 3  # without its worker an item waits for another one
    service.close()


@pytest.mark.slow
def test_selected_items_are_changed_by_id(home: Path) -> None:
    service = queued()
    ids = [row.id for row in service.queue.page().rows]
    app = page(tab="Activity")
    assert not offered(app)
    app.session_state["rows_queue"]["selected"] = {ids[1]: True}
    run_page(app)
    assert offered(app) == ["first", "pause", "cancel"]  # what changes a queued item
    assert plural_text("queue_selected", 1) in page_text(app)
    app.button("queue_first").click()
    run_page(app)
    first = service.queue.page().rows[0]
    assert (first.id, first.priority) == (ids[1], FIRST)
    # The row has moved to the top, and it is still selected.
    assert plural_text("queue_selected", 1) in page_text(app)
    assert "(first)" in rows_of(app)[0]["state"]
    app.button("queue_pause").click()
    run_page(app)
    assert service.items.status(ids[1]).state == "paused"
    assert offered(app) == ["first", "resume", "cancel"]
    app.button("queue-undo-button").click()
    run_page(app)
    assert service.items.status(ids[1]).state == "queued"
    app.button("queue_cancel").click()
    run_page(app)
    assert service.items.status(ids[1]).state == "cancelled"
    app.button("queue_retry").click()
    run_page(app)
    assert service.items.status(ids[1]).state == "queued"
    assert [service.items.status(item_id).state for item_id in (ids[0], ids[2])] == ["queued"] * 2
    service.close()


def offered(app: AppTest) -> list[str]:
    """Return the names of the actions for the selected items."""
    keys = {each.key for each in app.button}
    return [name for name in acts.ACTS if f"queue_{name}" in keys]


@pytest.mark.slow
def test_all_of_a_filter_are_selected_and_searched(home: Path) -> None:
    service = queued()
    app = page(tab="Activity")
    app.text_input("queue_find").input("harbour")
    run_page(app)
    assert [row["title"] for row in rows_of(app)] == ["The harbour in winter"]
    app.text_input("queue_find").input("")
    run_page(app)
    app.button("queue-select-all").click()
    run_page(app)
    app.button("queue_cancel").click()
    run_page(app)
    assert service.queue.counts()["cancelled"] == 0  # asked first: it is about several
    assert text("queue_sure_cancel", count="3") in page_text(app)
    app.button("queue-sure-yes").click()
    run_page(app)
    assert service.queue.counts()["cancelled"] == 3
    app.button("queue-undo-button").click()
    run_page(app)
    assert service.queue.counts()["queued"] == 3
    app.button_group("queue_state").set_value("queue_failed")
    run_page(app)
    assert text("queue_none") in page_text(app)
    service.close()


@pytest.mark.slow
def test_a_failure_is_shown_with_its_hint(home: Path) -> None:
    service = queued(1)
    (row,) = service.queue.page().rows
    store = service.queue.items
    assert store.claim(row.id, 1, "me")
    store.finish(row.id, 1, "me", "failed", error="It *broke* down.", hint="Mend <it>.", attempts=2)
    app = page(tab="Activity")
    assert [each["note"] for each in rows_of(app)] == ["It *broke* down."]
    app.session_state["rows_queue"]["selected"] = {row.id: True}
    run_page(app)
    said = page_text(app)
    assert "It *broke* down." in said
    assert "Mend <it>." in said
    assert plural_text("queue_tries", 2) in said
    app.button("queue-clear").click()
    run_page(app)
    app.button("queue-retry-failed").click()
    run_page(app)
    assert service.items.status(row.id).state == "queued"
    service.close()


@pytest.mark.slow
def test_a_paused_lane_says_why_and_until_when(home: Path) -> None:
    service, ends_at = queued(1), time.time() + 7200
    LaneStore(service.queue.database).pause("download", ends_at, "the site said 429")
    app = page(tab="Activity")
    said = page_text(app)
    assert text("lane_download") in said
    assert "the site said 429" in said
    assert messages.format_datetime(ends_at)[:2] in said
    app.button("lane-resume-download").click()
    run_page(app)
    assert service.queue.lanes() == []
    app.button("queue-pause-all").click()
    run_page(app)
    assert text("lane_items") in page_text(app)
    app.button("lane-resume-items").click()
    run_page(app)
    assert service.queue.lanes() == []
    service.close()


@pytest.mark.slow
def test_thousands_come_in_windows(home: Path) -> None:
    service = queued(1)
    (row,) = service.queue.page().rows
    item = service.queue.rows([row.id])[0].item
    many = [replace(item, id=f"file:{n:012x}", title=f"Talk {n}") for n in range(250)]
    service.queue.items.submit(many, {}, lambda *_: None)
    app = page(tab="Activity")
    assert len(rows_of(app)) == 100
    app.session_state["rows_queue"]["offset"] = 200
    run_page(app)
    assert len(rows_of(app)) == 51
    # The window no longer exists: the list begins again.
    app.text_input("queue_find").input("Talk 249")
    run_page(app)
    assert [each["title"] for each in rows_of(app)] == ["Talk 249"]
    service.close()


# Parts


def test_every_sentence_is_there_and_used() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "kb" / "ui").rglob("*.py"))
    known = set(MESSAGES["en"])
    asked = set(re.findall(r"""\btext\(\s*["'](\w+)["']""", sources))
    numbers = set(re.findall(r"""\bcounted\(\s*["'](\w+)["']""", sources))
    asked |= numbers | {f"{key}_one" for key in numbers}
    assert asked - known == set()
    named = set(re.findall(r"""["'](\w+)["']""", sources))
    prefixes = tuple(re.findall(r"""f["'](\w+_)\{""", sources))
    made = {key for key in known if key.startswith(prefixes)}
    ones = {key for key in known if key.endswith("_one") and key.removesuffix("_one") in named}
    # `_run_action` builds these keys from a button's key, and the help from its label's key.
    ones |= {key for key in known if key.startswith("queue_did_") or key.endswith("_help")}
    assert known - asked - named - made - ones == set()


def test_both_languages_say_the_same_with_the_same_values() -> None:
    seen: set[str] = set()
    for table in TABLES:
        assert not seen & set(table.EN), table.__name__
        seen |= set(table.EN)
        assert set(table.EN) == set(table.DE), table.__name__
        for key, words in table.EN.items():
            assert fields(words) == fields(table.DE[key]), key


def test_the_page_has_words_for_every_reason_to_skip_an_item() -> None:
    for language in MESSAGES.values():
        assert {f"skipped_{code}" for code in SkipCode} <= set(language)


def fields(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}


def test_counted_has_a_singular() -> None:
    assert plural_text("taken", 1) == "1 item is on the queue."
    assert plural_text("taken", 2000) == "2,000 items are on the queue."


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "–"), (0.4, "0:00"), (59.6, "0:59"), (3725, "1:02:05")]
)
def test_lengths(seconds: float | None, shown: str) -> None:
    assert messages.format_length(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (40, "40 s"), (720, "12 min"), (11_400, "3 h 10 min"), (90_000, "25 h"),
     (500_000, "5.8 days")],
)  # fmt: skip
def test_spans(seconds: float | None, shown: str) -> None:
    assert messages.format_timedelta(seconds) == shown


@pytest.mark.parametrize(
    ("octets", "shown"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (18e9, "18 GB"),
     (4.1e12, "4.1 TB")],
)  # fmt: skip
def test_sizes(octets: float | None, shown: str) -> None:
    assert messages.format_size(octets) == shown


def test_titles_cannot_write_markdown() -> None:
    assert messages.escape_markdown("a [link](http://x) *b*\n# c") == (
        "a \\[link\\]\\(http\\:\u2060//x\\) \\*b\\* \\# c"  # the joiner stops a bare link
    )


def test_marked_words_stay_plain_text() -> None:
    assert messages.highlight_markdown("see **[x](y)** $now$") == (
        r"see :orange-background[\[x\]\(y\)] \$now\$"
    )


def test_the_tab_that_a_press_opens_counts_until_it_is_drawn() -> None:
    """A part of the page that is drawn again meanwhile sends the tab that the browser shows."""
    app = page(tab="Library")
    app.session_state["goes-to"], app.session_state["tab"] = "tab_activity", "Add"
    run_page(app)
    assert app.session_state["tab"] == "Activity"
    assert "goes-to" not in app.session_state
    app.session_state["tab"] = "Add"
    assert run_page(app).session_state["tab"] == "Add"
