"""The dashboard: its logic without a browser, its media route, and the whole of it in one."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from kb.jobs import pipeline
from kb.jobs.options import RunOptions
from kb.service import Service
from kb.settings import get_settings
from kb.sources import source_for
from kb.types import Coverage, MediaRef, Segment, SpeechSpan, Timing, Transcript, Word
from kb.ui import media, player, runner, show, uploads
from kb.ui.texts import MESSAGES, counted, text
from tests.app_server import dashboard

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
HARBOUR = SAMPLES / "The harbour in winter.mp4"
APP_TIMEOUT_S = 60


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty library of its own, and nothing left of what other tests did."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    runner.runner.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()
    runner.runner.cache_clear()


@pytest.fixture
def shelf(home: Path) -> str:
    """A library with one sample and its true words; gives the item's id."""
    return put_in(HARBOUR)


def put_in(sample: Path, *, covered_s: float = 50.0) -> str:
    """Lay a sample into the library with its true words, as if it had been transcribed."""
    service = Service()
    service.library.prepare()
    (item,) = source_for(str(sample)).items(str(sample))
    local = pipeline.ensure_media(service.library, item, lambda stage, done: None)
    segments = tuple(true_segments(sample))
    transcript = Transcript(
        media=MediaRef(local.path.name, local.sha256, segments[-1].end_s + 1.5),
        segments=segments,
        language="en",
        engine="whisper",
        model="demo",
        preset="optimiert",
        coverage=Coverage(50.0, covered_s, (SpeechSpan(20.0, 70.0 - covered_s),)),
        timing=Timing(total_s=2.0, media_s=57.0),
    )
    pipeline.write(service.library, local.item, transcript, service.settings.hold_below)
    pipeline.publish(service.library, service.settings, local.item, transcript, "local")
    service.jobs.adopt_folder()
    service.close()
    return item.id


def true_segments(sample: Path) -> Iterator[Segment]:
    truth = json.loads(sample.with_suffix(".truth.json").read_text(encoding="utf-8"))
    words = [Word(w["start"], w["end"], w["text"], 0.9) for w in truth["words"]]
    phrase: list[Word] = []
    for word in words:
        if phrase and word.start_s - phrase[-1].end_s > 0.35:
            yield as_segment(phrase)
            phrase = []
        phrase.append(word)
    yield as_segment(phrase)


def as_segment(words: list[Word]) -> Segment:
    spoken = " ".join(word.text for word in words)
    return Segment(words[0].start_s, words[-1].end_s, spoken, tuple(words))


def page(**query: str) -> AppTest:
    """The page at an address, drawn once."""
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=APP_TIMEOUT_S)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def words_of(app: AppTest) -> str:
    """All that the page says."""
    kinds: list[Any] = [app.markdown, app.caption, app.error, app.warning, app.info, app.success]
    said = "\n".join(str(element.value) for kind in kinds for element in kind)
    return re.sub(r"\\([^\w\s])", r"\1", said)  # as a reader sees it


# Logic


def test_empty_library_says_what_to_do(home: Path) -> None:
    app = page(tab="Library")
    assert text("library_empty") in words_of(app)
    app.button("go-ingest").click().run()
    assert not app.exception
    assert app.text_area("ingest_paths")
    assert text("progress_empty") in words_of(app)


def test_presets_show_their_figures_and_the_setting_is_chosen(home: Path) -> None:
    app = page()
    choice = app.radio("preset")
    assert choice.value == "optimiert"
    assert len(choice.options) == 4
    assert "batch 16 · chunk 30 s · overlap 3 s · 2 workers" in str(choice.proto.captions)


def test_start_without_anything_named(home: Path) -> None:
    app = page()
    start_button(app).click().run()
    assert text("nothing_given") in words_of(app)
    assert text("nothing_given_hint") in words_of(app)


def test_wrong_path_is_told_with_a_hint(home: Path) -> None:
    app = page()
    app.text_area("ingest_paths").input("/no/such/file.mp4")
    start_button(app).click().run()
    assert not app.exception
    runner.runner().wait(30)
    app.run()
    assert "/no/such/file.mp4" in words_of(app)
    assert "What to do" in words_of(app)
    assert not runner.runner().running


def test_what_others_put_on_the_queue_is_shown(home: Path) -> None:
    service = Service()
    service.ingest([str(HARBOUR)], RunOptions())  # and no worker is there to take it
    service.close()
    app = page()
    assert text("others") in words_of(app)
    assert "The harbour in winter" in words_of(app)
    assert app.button("resume")


def test_items_are_listed_with_their_figures(shelf: str) -> None:
    app = page(tab="Library")
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures[text("items")] == "1"
    assert figures[text("words")] == "89"
    (row,) = app.dataframe[0].value.to_dict("records")
    assert row["title"] == "The harbour in winter"
    assert row["length"] == "0:57"
    assert row["state"].endswith("done")


def test_search_marks_the_words_and_opens_at_the_second(shelf: str) -> None:
    app = page(tab="Library", q="granite castle")
    assert ":orange-background[granite]" in words_of(app)
    app.button("open-0").click().run()
    assert not app.exception
    assert app.query_params["item"] == shelf
    castle = next(s for s in true_segments(HARBOUR) if "granite castle" in s.text)
    assert castle.start_s - 1 <= int(app.query_params["t"]) <= castle.end_s
    assert "The harbour in winter" in words_of(app)
    app.button("back").click().run()
    assert "item" not in app.query_params
    assert app.button("open-0")


def test_search_without_an_answer(shelf: str) -> None:
    assert text("search_none_hint") in words_of(page(tab="Library", q="submarine"))


def test_unknown_item_in_a_link(shelf: str) -> None:
    app = page(tab="Library", item="file:000000000000", t="12")
    assert "file:000000000000" in words_of(app)
    assert text("unknown_item_hint") in words_of(app)


def test_held_item_says_why(home: Path) -> None:
    item_id = put_in(HARBOUR, covered_s=40.0)
    app = page(tab="Library", item=item_id)
    assert "80%" in app.warning[0].value
    assert "What to do" in app.warning[0].value


def test_settings_tab_has_the_checks_and_no_secrets(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YT_API_KEYS", "not-for-the-page")
    get_settings.cache_clear()
    app = page(tab="Settings")
    assert "ffmpeg" in words_of(app)
    assert "KB_HOME" in words_of(app)
    assert "not-for-the-page" not in words_of(app)


def start_button(app: AppTest) -> Any:
    return next(button for button in app.button if button.label == text("start"))


# Parts


def test_every_sentence_is_there_and_used() -> None:
    files = [path for path in (ROOT / "kb" / "ui").glob("*.py") if path.name != "texts.py"]
    sources = "\n".join(path.read_text("utf-8") for path in files)
    known = set(MESSAGES["en"])
    asked = set(re.findall(r"""\btext\(\s*["'](\w+)["']""", sources))
    numbers = set(re.findall(r"""\bcounted\(\s*["'](\w+)["']""", sources))
    asked |= numbers | {f"{key}_one" for key in numbers}
    assert asked <= known
    named = set(re.findall(r"""["'](\w+)["']""", sources))
    made = {key for key in known if key.startswith(("state_", "stage_"))}
    assert known - asked - named - made == set()


def test_counted_has_a_singular() -> None:
    assert counted("search_found", 1, took=3.0) == "1 passage in 3 ms"
    assert counted("search_found", 2, took=3.0) == "2 passages in 3 ms"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "–"), (0.4, "0:00"), (59.6, "1:00"), (3725, "1:02:05")]
)
def test_lengths(seconds: float | None, shown: str) -> None:
    assert show.length(seconds) == shown


def test_titles_cannot_write_markdown() -> None:
    assert show.plain("a [link](http://x) *b*\n# c") == (r"a \[link\]\(http\://x\) \*b\* \# c")


def test_marked_words_stay_plain_text() -> None:
    assert show.marked("see **[x](y)** $now$") == (r"see :orange-background[\[x\]\(y\)] \$now\$")


def test_player_data_is_plain_json() -> None:
    segment = Segment(61.2, 62.0, "<b>bold</b>", ())
    scene = player.Scene("r", "T", "kb-media/x", True, 90.0, [segment], [SpeechSpan(3, 5)])
    data = player.as_data(scene)
    assert data["lines"] == [[61.2, "1:01", "<b>bold</b>"]]
    assert json.loads(json.dumps(data)) == data
    assert "innerHTML" not in player._JS


def test_uploads_are_written_in_pieces_under_safe_names() -> None:
    class Dropped(io.BytesIO):
        def __init__(self, name: str, content: bytes) -> None:
            super().__init__(content)
            self.name = name

    big = bytes(range(256)) * 10_000
    folder, paths = uploads.keep(
        [Dropped("../../talk.mp4", big), Dropped("C:\\x\\talk.mp4", b"b"), Dropped("", b"c")]
    )
    try:
        assert all(Path(path).is_relative_to(folder) for path in paths)
        assert [Path(path).name for path in paths] == ["talk.mp4", "talk.mp4", "upload"]
        assert Path(paths[0]).read_bytes() == big
    finally:
        uploads.discard(folder)
    assert not folder.exists()
    told = uploads.without_place(f"{paths[0]} is not audio or video.")
    assert told == "talk.mp4 is not audio or video."


# The media route


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=media.routes(), middleware=media.middleware("127.0.0.1"))
    return TestClient(app)


def test_media_comes_in_ranges(shelf: str, client: TestClient) -> None:
    answer = client.get(media.address(shelf), headers={"Range": "bytes=100-199"})
    assert answer.status_code == 206
    assert answer.content == HARBOUR.read_bytes()[100:200]
    assert answer.headers["content-type"] == "video/mp4"
    assert client.get(media.address(shelf)).headers["accept-ranges"] == "bytes"


def test_media_needs_the_page_s_own_link(shelf: str, client: TestClient) -> None:
    good = media.address(shelf)
    assert client.get(good.split("?")[0]).status_code == 403
    assert client.get(f"{good.split('?')[0]}?key=wrong").status_code == 403
    other = media.address("file:ffffffffffff").split("?")[1]
    assert client.get(f"{good.split('?')[0]}?{other}").status_code == 403
    assert client.get(media.address("file:ffffffffffff")).status_code == 404
    assert client.get(good, headers={"Host": "evil.example"}).status_code == 400


def test_media_leads_out_of_the_folder_by_no_way(shelf: str, client: TestClient) -> None:
    service = Service()
    entry = service.entry(shelf)
    assert entry.media_path is not None
    outside = service.settings.home.parent / "secret.mp4"
    outside.write_bytes(b"secret")
    entry.media_path.unlink()
    try:
        entry.media_path.symlink_to(outside)
    except OSError:
        pytest.skip("no symbolic links here")
    assert client.get(media.address(shelf)).status_code == 404
    for name in ("../secret.mp4", "..%2fsecret.mp4", "..\\secret.mp4"):
        assert client.get(media.address(name)).status_code == 404


# In a browser


@pytest.mark.browser
@pytest.mark.slow
def test_from_a_file_to_its_words_in_a_browser(tmp_path: Path) -> None:
    from tests import browser

    browser.require()
    with dashboard(tmp_path / "library", tmp_path / "server.log") as address, \
            browser.browser() as chromium:  # fmt: skip
        tab = chromium.new_page(viewport={"width": 1440, "height": 1000})
        tab.set_default_timeout(60_000)
        tab.goto(address)
        named = tab.get_by_role("textbox", name=text("paths"))
        named.fill(str(HARBOUR))
        named.press("Tab")
        tab.get_by_role("button", name=text("start")).click()
        seen = watch(tab)
        # A short file may be through a stage between two looks of the page.
        under_way = [text("progress_preparing"), "reading", "transcribing", "writing", "indexing"]
        assert any(word in words for words in seen for word in under_way), seen
        assert "1 done" in seen[-1], seen[-1]

        # The item, from the list of what was done
        tab.locator('[class*="st-key-run-open-"] button').click()
        tab.locator(".lines button").first.wait_for()
        spoken = " ".join(tab.locator(".lines button span").all_inner_texts()).split()
        truth = [word.text for segment in true_segments(HARBOUR) for word in segment.words]
        assert len(set(truth) & set(spoken)) >= 0.9 * len(set(truth))

        # A line sends the player to its second
        line = tab.locator(".lines button", has_text="castle").first
        shown = line.locator("time").inner_text()
        line.click()
        wait_for_time(tab, seconds(shown))
        assert line.get_attribute("aria-current") == "true"

        # Search as one types, then a hit
        tab.get_by_role("searchbox").or_(tab.get_by_placeholder("Words that were said")).first.fill(
            "grandmother repair"
        )
        hit = tab.locator('[class*="st-key-hit-0"]')
        hit.wait_for()
        assert "grandmother" in hit.inner_text()
        opens = hit.get_by_role("button")
        at = re.search(r"\d+:\d\d", opens.inner_text())
        assert at
        opens.click()
        tab.locator("video").wait_for()
        wait_for_time(tab, seconds(at.group()))
        assert "t=" in tab.url

        # The link alone leads a new visitor to the same second
        other = chromium.new_page()
        other.goto(tab.url)
        other.locator("video").wait_for()
        wait_for_time(other, seconds(at.group()))


def watch(tab: Any) -> list[str]:
    """What the progress said from start to end."""
    seen: list[str] = []
    ends = time.monotonic() + 240
    while time.monotonic() < ends:
        words = tab.locator('[data-testid="stMain"]').inner_text()
        if not seen or seen[-1] != words:
            seen.append(words)
        assert not tab.locator('[data-testid="stException"]').count(), words
        if text("open_library") in words:
            return seen
        tab.wait_for_timeout(100)
    raise AssertionError(f"The ingest did not end: {seen[-1]}")


def wait_for_time(tab: Any, second: float) -> None:
    """Wait until the player stands at a second or plays on from it."""
    tab.wait_for_function(
        "([second]) => { const video = [...document.querySelectorAll('*')]"
        ".flatMap(e => e.shadowRoot ? [...e.shadowRoot.querySelectorAll('video')] : [])[0];"
        " return video && video.currentTime >= second - 0.1 && video.currentTime < second + 8; }",
        arg=[second],
    )


def seconds(shown: str) -> int:
    minutes, second = shown.split(":")
    return 60 * int(minutes) + int(second)
