"""The Settings tab: hidden keys and secrets, saved defaults, subscriptions, health, log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from streamlit.testing.v1 import AppTest

from kb.database import subscriptions
from kb.errors import UsageError
from kb.options import OPTIONS, RunOptions
from kb.service import Service, logs
from kb.settings import Settings, get_settings
from kb.sources.listing.filters import VideoFilters
from kb.ui.i18n import text
from kb.ui.tabs.settings import defaults
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.library_pages import page, page_text, run_page

KEY = "AIzaSyC-PROBE_0123456789abcdefghijklmn"
SECRET = "odin-secret-PROBE-77e1"
PATIENCE_S = 240.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set an empty library, a separate key file and the folder of `.env`; yield the library."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("YT_API_KEYS_FILE", str(tmp_path / "keys.txt"))
    (tmp_path / ".env").write_text("# mine\n")
    get_settings.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()


def part(app: AppTest, name: str) -> AppTest:
    app.button_group("part").set_value(name)
    return run_page(app)


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == text(label)).click()
    return run_page(app)


def everything(app: AppTest) -> str:
    """Return all data that the server sends to the browser."""
    return str([element.proto for element in app.main]) + page_text(app)


def test_a_key_is_added_shown_by_its_ends_and_removed(home: Path, tmp_path: Path) -> None:
    app = page(tab="Settings", part="keys")
    app.text_input("keys_new").set_value("not a key")
    press(app, "keys_add")
    assert app.error
    app.text_input("keys_new").set_value(KEY)
    press(app, "keys_add")
    assert f"{KEY[:4]}…{KEY[-4:]}" in page_text(app)
    assert KEY not in everything(app)
    assert (tmp_path / "keys.txt").read_text() == f"{KEY}\n"
    press(app, "keys_remove")
    assert (tmp_path / "keys.txt").read_text(), "removed before the answer"
    press(app, "sure_no")
    press(app, "keys_remove")
    press(app, "keys_remove")
    assert (tmp_path / "keys.txt").read_text() == ""
    assert text("keys_none") in page_text(app)


@pytest.mark.slow
def test_a_key_is_tested_by_a_process_of_its_own(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys.txt").write_text(f"{KEY}\n")
    channel = Channel("UCaaaaaaaaaaaaaaaaaaaaaa", "@talks", 3)
    with FakeYouTube([channel], quota={KEY: 1}) as fake:
        monkeypatch.setenv("YT_API_ENDPOINT", fake.url)
        get_settings.cache_clear()
        app = page(tab="Settings", part="keys")
        for state in ("ready", "exhausted"):
            press(app, "keys_test")
            wanted = text(f"keys_{state}", until="").strip()
            until(app, lambda: re.search(rf"Key `AIza….{{4}}`: {wanted}", page_text(app)))  # noqa: B023
    assert KEY not in everything(app)


def until(app: AppTest, condition: object) -> None:
    """Run the page repeatedly until the condition is true."""
    assert callable(condition)
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, page_text(app)[-2000:]
        time.sleep(0.3)
        run_page(app)


def test_a_secret_is_written_and_never_sent_back(home: Path, tmp_path: Path) -> None:
    app = page(tab="Settings", part="keys")
    app.text_input("secret-value-API_SECRET").set_value(SECRET)
    buttons = [b for b in app.button if b.label == text("secret_save")]
    place = [e.key for e in app.text_input if str(e.key).startswith("secret-value-")]
    buttons[place.index("secret-value-API_SECRET")].click()
    run_page(app)
    assert get_settings().odin_api_secret.get_secret_value() == SECRET
    assert SECRET in (tmp_path / ".env").read_text()
    assert SECRET not in everything(app)
    for step in ("secret-remove-API_SECRET", "secret-remove-API_SECRET-yes"):
        assert get_settings().odin_api_secret.get_secret_value() == SECRET, "before the answer"
        app.button(step).click()
        run_page(app)
    assert SECRET not in (tmp_path / ".env").read_text()
    assert not get_settings().odin_api_secret.get_secret_value()


@pytest.mark.parametrize("part_name", ["keys", "defaults"])
def test_the_file_that_is_written_and_the_one_beside_it_are_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_name: str
) -> None:
    written = tmp_path / "mine" / ".env"
    written.parent.mkdir()
    written.write_text(f"KB_HOME={home}\n")
    monkeypatch.setattr("kb.settings.settings.ENV_FOLDER", written.parent)
    monkeypatch.delenv("KB_ENV_FILE", raising=False)
    beside = Path.cwd() / ".env"
    beside.unlink()
    for is_there in (False, True):
        if is_there:
            beside.write_text("KB_LANGUAGE=de\n")
        get_settings.cache_clear()
        said = everything(part(page(tab="Settings"), part_name))
        assert str(written) in said
        assert (f"KB_ENV_FILE={beside}" in said and "KB_LANGUAGE" in said) is is_there


def test_defaults_are_written_and_mistakes_named(home: Path, tmp_path: Path) -> None:
    app = part(page(tab="Settings"), "defaults")
    fields = {str(e.key): e for e in app.text_input if e.key}
    language = next(key for key in fields if key.startswith("setting-language-"))
    share = next(key for key in fields if key.startswith("setting-longest_pause_s-"))
    app.text_input(language).set_value("de")
    app.text_input(share).set_value("-7")
    app.button("save-recognition").click()
    run_page(app)
    assert "KB_LONGEST_PAUSE_S" in app.error[0].value.replace("\\", "")
    assert get_settings().language == "auto"
    app.text_input(share).set_value("0.9")
    app.button("save-recognition").click()
    run_page(app)
    assert (get_settings().language, get_settings().longest_pause_s) == ("de", 0.9)
    written = (tmp_path / ".env").read_text()
    assert written.startswith("# mine\n")
    assert "KB_LANGUAGE='de'" in written
    assert "KB_HOME" not in written  # the environment sets it


def test_every_setting_that_is_no_secret_can_be_set() -> None:
    names = [name for group in defaults.grouped().values() for name in group]
    secrets = {n for n, f in Settings.model_fields.items() if defaults._secret(f)}
    assert set(names) | secrets == set(Settings.model_fields)
    assert len(names) == len(set(names))
    assert "keep" in defaults.grouped()["downloads"]
    assert "keep_records_days" in defaults.grouped()["jobs"]


def test_following_and_no_longer(home: Path) -> None:
    app = part(page(tab="Settings"), "follow")
    press(app, "follow_add")
    assert "Give a channel, a playlist or a folder." in page_text(app)
    app.text_input("follow_new").set_value("@talks")
    app.selectbox("follow_every").select(24)
    press(app, "follow_add")
    service = Service()
    (followed,) = service.subscriptions.list()
    assert (followed.reference, followed.every_s) == ("@talks", 86_400.0)
    assert RunOptions.from_dict(followed.options) == RunOptions()
    press(app, "follow_remove")
    press(app, "follow_remove")
    assert service.subscriptions.list() == ()
    service.close()


@pytest.mark.slow
def test_what_needs_attention_is_in_sight_and_the_others_are_folded(home: Path) -> None:
    service = Service()
    for name in ("one", "two", "three", "four", "gone"):
        made = service.subscriptions.follow(f"@{name}", channel_id=f"UC{name:x<22}")
    gone = UsageError(
        "youtube.channel_deleted", "{channel} {id}", hint="-", channel="@gone", id="UC1"
    )
    service.subscriptions.record_result(made.key, error=gone.message, problem=gone.problem)
    with service.queue.database.begin() as connection:
        ahead = {"last_at": time.time() + 4e7, "next_at": time.time() + 4e7}
        connection.execute(sa.update(subscriptions).values(**ahead))
    app = part(page(tab="Settings"), "follow")
    said = page_text(app)
    # The card of the closed channel has the button that ends it.
    assert "Unfollow ends the subscription." in said and "Settings → Subscriptions" not in said
    assert "lie in the future" in said and "Times are in UTC." in said
    (folded,) = [each for each in app.expander if each.label.startswith("4 ")]
    inside = "\n".join(each.value for each in folded.markdown)
    assert "@four" in inside and "@gone" not in inside and "@gone" in said
    assert not folded.proto.expanded
    # A time that cannot be believed is due now: it has no year to come.
    year = str(time.gmtime(time.time() + 4e7).tm_year)
    assert year not in "\n".join(each.value for each in folded.caption)
    app.text_input("follow_find").set_value("THREE")
    run_page(app)
    found = [each.value for each in app.markdown if each.value.startswith("**@")]
    assert [each[2:].split("**")[0] for each in found] == ["@gone", "@three"]
    service.close()


def test_a_renamed_channel_gets_its_new_name_by_a_button_and_a_closed_one_names_no_command(
    home: Path,
) -> None:
    service = Service()
    gone = f"UC{'g' * 22}"
    for reference, channel_id, error in (
        ("@renamed", "", UsageError(
            "youtube.name_gone", "{name} {title} {id} {handle}", hint="-", name="@renamed",
            title="Talks", id=gone, handle=f"youtube.com/channel/{gone}",
        )),
        ("@closed", f"UC{'c' * 22}", UsageError(
            "youtube.channel_deleted", "{channel} {id}", hint="-", channel="@closed", id="UC1",
        )),
    ):  # fmt: skip
        made = service.subscriptions.follow(reference, channel_id=channel_id or gone)
        service.subscriptions.record_result(made.key, error=error.message, problem=error.problem)
    app = part(page(tab="Settings"), "follow")
    said = everything(app)
    assert "kb unfollow" not in said and "Unfollow" in said
    assert text("follow_finds_nothing") in said
    (button,) = [each for each in app.button if str(each.key).startswith("follow-rename-")]
    assert gone in button.label
    button.click()
    run_page(app)
    renamed = service.subscriptions.find(f"youtube:channel:{gone}")
    assert renamed is not None and renamed.reference == f"youtube.com/channel/{gone}"
    service.close()


def test_the_options_of_a_subscription_are_changed(home: Path) -> None:
    service = Service()
    service.subscriptions.follow(
        "@talks", every_s=7 * 3600, filters=VideoFilters(title="rivers"),
        options={"preset": "stabil", "captions_first": False, "metadata": {"team": "a"},
                 "window": "22:00-06:00", "shared": True},
    )  # fmt: skip
    app = part(page(tab="Settings"), "follow")
    assert "stabil" in page_text(app)
    press(app, "follow_change")
    prefix = f"follow_change_{service.subscriptions.list()[0].key}"
    # The form shows what is stored, and nothing is lost that is not touched.
    assert app.selectbox(f"{prefix}_preset").value == "stabil"
    assert app.selectbox(f"{prefix}_captions_first").value is False
    assert app.text_input(f"{prefix}_metadata").value == "team=a"
    assert app.text_input(f"{prefix}_window").value == "22:00-06:00"
    app.selectbox(f"{prefix}_priority").set_value("urgent")
    app.number_input(f"{prefix}_keep_days").set_value(30)
    app.text_input(f"{prefix}_window").set_value("25-6")
    press(app, "follow_save")
    assert "25-6" in page_text(app)
    app.text_input(f"{prefix}_window").set_value("")
    press(app, "follow_save")
    (changed,) = service.subscriptions.list()
    assert (changed.every_s, changed.filters.title) == (7 * 3600, "rivers")
    asked = changed.options["asked"]  # the settings that decide about the words, at this request
    assert asked["settings"]["preset"] == asked["preset"]["name"] == "stabil"
    assert asked["settings"].keys() >= {"preset", "model", "engine", "language"}
    assert changed.options == {
        "preset": "stabil", "captions_first": False, "metadata": {"team": "a"},
        "priority": "urgent", "keep_days": 30, "shared": True, "asked": asked,
    }  # fmt: skip
    press(app, "follow_change")
    assert app.number_input(f"{prefix}_keep_days").value == 30
    app.number_input(f"{prefix}_keep_days").set_value(None)
    press(app, "follow_leave")
    assert service.subscriptions.list()[0].options["keep_days"] == 30
    service.close()


PLAYLIST = f"PL{'p' * 32}"
FILTERS = VideoFilters(
    after="30d", before="2030-01-31", playlist=PLAYLIST, min_duration_s=300.0,
    max_duration_s=7200.0, title="rivers", no_shorts=True, limit=20, captions=False,
)  # fmt: skip


def _fill_filters(app: AppTest, prefix: str, **texts: str) -> None:
    for name, value in texts.items():
        app.text_input(f"{prefix}_{name}").set_value(value)
    app.number_input(f"{prefix}_limit").set_value(FILTERS.limit)
    app.selectbox(f"{prefix}_captions").set_value("without")
    app.checkbox(f"{prefix}_no_shorts").set_value(FILTERS.no_shorts)


def test_a_subscription_gets_every_filter_of_its_form_and_keeps_what_is_not_given(
    home: Path,
) -> None:
    app = part(page(tab="Settings"), "follow")
    app.text_input("follow_new").set_value("@talks")
    texts = {"after": "30D", "before": "2030-01", "playlist": f" {PLAYLIST} ", "min": "5m",
             "max": "2h", "title": "rivers"}  # fmt: skip
    _fill_filters(app, "follow_filter", **{**texts, "min": "soon"})
    press(app, "follow_add")
    assert "is not a length of time" in page_text(app)
    app.text_input("follow_filter_min").set_value("5m")
    press(app, "follow_add")
    service = Service()
    (followed,) = service.subscriptions.list()
    assert followed.filters == FILTERS
    terms = f"{text('filter_captions')}: {text('filter_captions_without')}"
    assert terms in page_text(app) and "--" not in terms_of(app)
    # The next source does not get them, and this one keeps them when it is followed again.
    for name in ("@others", f"https://www.youtube.com/playlist?list={PLAYLIST}", "@talks"):
        app.text_input("follow_new").set_value(name)
        press(app, "follow_add")
    found = [each.filters for each in service.subscriptions.list()]
    assert found == [FILTERS, VideoFilters(), VideoFilters()]
    service.close()


def terms_of(app: AppTest) -> str:
    """Return the line of a card about filters and options."""
    (found,) = [each.value for each in app.caption if text("filter_captions") in each.value]
    return str(found)


def test_the_filters_of_a_subscription_are_shown_and_changed(home: Path) -> None:
    service = Service()
    service.subscriptions.follow("@talks", filters=FILTERS)
    app = part(page(tab="Settings"), "follow")
    press(app, "follow_change")
    prefix = f"follow_change_{service.subscriptions.list()[0].key}_filter"
    press(app, "follow_save")
    assert service.subscriptions.list()[0].filters == FILTERS  # nothing is lost
    press(app, "follow_change")
    assert app.text_input(f"{prefix}_after").value == "30d"
    assert app.selectbox(f"{prefix}_captions").value == "without"
    app.text_input(f"{prefix}_title").set_value("(")
    press(app, "follow_save")
    assert "no regular expression" in page_text(app)
    for name in ("after", "before", "playlist", "min", "max", "title"):
        app.text_input(f"{prefix}_{name}").set_value("")
    app.number_input(f"{prefix}_limit").set_value(0)
    app.selectbox(f"{prefix}_captions").set_value("")
    app.checkbox(f"{prefix}_no_shorts").uncheck()
    press(app, "follow_save")
    assert service.subscriptions.list()[0].filters == VideoFilters()
    service.close()


def test_a_subscription_gets_every_option_of_its_form(home: Path) -> None:
    chosen = RunOptions(
        preset="stabil", batch_size=4, chunk_s=40.0, overlap_s=2.5, workers=3, timestamps="word",
        model="parakeet-tdt-0.6b-v3", engine="parakeet", language="de", sinks=("local", "folder"),
        keep="mp4", detect_speech=False, metadata={"team": "research"},
        captions_first=True, track="all", priority="backlog", steps=("speakers",),
        speaker_count=2, sample_rate=30, fetch_picture=False,
    )  # fmt: skip
    app = part(page(tab="Settings"), "follow")
    app.text_input("follow_new").set_value("@talks")
    for name, option in OPTIONS.items():
        value, key = getattr(chosen, name), f"follow_run_{name}"
        if option.single_run:
            assert key not in {each.key for each in app.checkbox}
            continue
        assert value != option.default, name
        if option.kind == "number":
            app.number_input(key).set_value(value)
        elif option.kind == "switch" and option.default is not None:
            app.checkbox(key).set_value(value)
        elif option.kind == "list":
            app.multiselect(key).set_value(list(value))
        elif option.kind == "pairs":
            app.text_input(key).set_value(" team = research ")
        else:
            app.selectbox(key).set_value(value)
    press(app, "follow_add")
    service = Service()
    (followed,) = service.subscriptions.list()
    service.close()
    assert RunOptions.from_dict(followed.options) == chosen


@pytest.mark.slow
def test_health_begins_by_itself_and_shows_every_check(home: Path) -> None:
    app = part(page(tab="Settings"), "health")
    until(app, lambda: "ffmpeg" in page_text(app))
    assert "Silero" in page_text(app)


def test_the_log_hides_what_is_secret(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", SECRET)
    get_settings.cache_clear()
    log = home / "logs" / "worker.log"
    log.parent.mkdir(parents=True)
    lines = [f"line {n}" for n in range(9000)]
    log.write_text("\n".join([*lines, f"asked with {SECRET}", f"  key={KEY}"]))
    app = part(page(tab="Settings"), "log")
    shown = app.code[0].value
    assert SECRET not in shown
    assert KEY not in shown
    log.unlink()  # test_secrets.py permits no file with a secret
    assert "  key=…" in shown
    assert len(shown.splitlines()) <= logs.TAIL_LINES
    about = page_text(part(app, "about"))
    assert "streamlit" in about
    assert str(home) in about
