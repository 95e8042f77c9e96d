"""Library, Publish and this machine in a browser: the controls that no other test uses."""

from __future__ import annotations

import json
import re
import shutil
import socket
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from gpu.presets import load_presets
from kb.errors import KBError
from kb.jobs.queue.telemetry import record_throughput
from kb.service import Service
from kb.settings import PROJECT_ROOT, Settings, get_settings
from kb.sinks.odin.documents import PRODUCER
from kb.transcript.caption_parser import AUTOMATIC_CAPTIONS
from kb.types import (
    Chapter,
    Coverage,
    QualityFlag,
    SpeechSpan,
    Transcript,
    WindowReport,
)
from kb.types.transcript import CAPTIONS
from kb.ui.i18n import plural_text, text
from kb.ui.widgets.asked_button import ASKED_FROM
from tests.fakes.odin import FakeOdin
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.browser import (
    button,
    click,
    confirm,
    enter,
    pick,
    press,
    wait_page_ready,
)  # fmt: skip
from tests.support.error_source import sentence
from tests.support.hostile import unpacked
from tests.support.library_pages import HARBOUR, add_item
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

GAPS = (SpeechSpan(20.0, 21.5), SpeechSpan(41.0, 42.2))
DOUBTS = 14
APPLY = re.compile("^" + text("knowledge_apply", count="").partition("(")[0].rstrip())
STRANGE = "file:000000000000"  # in the project, not in the library


@dataclass(frozen=True, slots=True)
class Site:
    """The running dashboard with its library, its fake ODIN and its presets file."""

    address: str
    home: Path
    odin: FakeOdin
    presets: Path
    harbour: str
    failed: str
    chromium: Any

    def opened(self, path: str) -> Any:
        page = self.chromium.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        page.set_default_timeout(browser.STEP_MS)
        browser.watch_player(page)
        page.goto(f"{self.address}/{path}")
        return page

    def service(self) -> Service:
        return Service(Settings(KB_HOME=str(self.home), KB_MODEL="demo"))


def doubted(transcript: Transcript) -> Transcript:
    """Return the transcript with two gaps, and with more doubtful places than fit on the page."""
    windows = tuple(
        WindowReport(
            3.0 * n, 3.0 * n + 3.0, 3.0, 3.0,
            flags=(QualityFlag("compression", 3.0 * n + 0.5, 3.0 * n + 1.5, 3.0, 2.4),),
        )
        for n in range(DOUBTS)
    )  # fmt: skip
    return replace(transcript, coverage=Coverage(50.0, 49.5, GAPS), windows=windows)


def captioned(transcript: Transcript) -> Transcript:
    return replace(transcript, engine=CAPTIONS, model=AUTOMATIC_CAPTIONS)


def filled(folder: Path, home: Path) -> tuple[str, str]:
    """Add five items, one held, one from captions; return the ids of the harbour and the failed."""
    (furnace,) = HARBOUR.parent.glob("Measuring*.mp4")
    (railway,) = HARBOUR.parent.glob("Midnight*.mp4")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("KB_HOME", str(home)), ("KB_MODEL", "demo"), ("KB_SINKS", "local")):
            patch.setenv(name, value)
        get_settings.cache_clear()
        chapters = (Chapter(0.0, "Begin"), Chapter(26.0, "Castle"))
        harbour = add_item(change=doubted, chapters=chapters)
        add_item(railway, covered_s=30.0)
        add_item(furnace, change=captioned)
        copies = []
        for name in ("Another night", "One more night"):
            copy = folder / f"{name}.mp4"
            copy.write_bytes(railway.read_bytes() + b"\0" * (8 + len(copies)))
            shutil.copy(railway.with_suffix(".truth.json"), copy.with_suffix(".truth.json"))
            copies.append(add_item(copy))
        service = Service()
        service.queue.outbox.record_error("odin", copies[0], KBError("It broke.", hint="Mend it."))
        transcript = service.items.transcript(harbour)
        transcript = replace(transcript, timing=replace(transcript.timing, asr_s=2.0))
        record_throughput(service.queue.database, socket.gethostname(), harbour, 1, transcript)
        service.close()
    get_settings.cache_clear()
    return harbour, copies[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    browser.require_browser()
    folder = tmp_path_factory.mktemp("controls")
    home, presets = folder / "library", folder / "presets.yaml"
    presets.write_bytes((PROJECT_ROOT / "presets.yaml").read_bytes())
    harbour, failed = filled(folder, home)
    fields = Settings.model_fields
    with FakeOdin(folder / "odin") as odin:
        asked = odin.settings(odin_poll_wait_s=600.0)
        there = {str(fields[name].alias): str(value) for name, value in asked.items()}
        with (
            dashboard(
                home, folder / "log", KB_APP_WORKER="false", KB_PRESETS_FILE=str(presets),
                KB_CPU_THREADS="1", **there,
            ) as address,
            browser.browser() as chromium,
        ):  # fmt: skip
            yield Site(address, home, odin, presets, harbour, failed, chromium)


@pytest.mark.long
def test_the_list_the_bar_the_finder_the_editor_and_the_exports(site: Site) -> None:
    tab = site.opened("?tab=Library")
    # By its attribute: an open menu may hide the rest of the page from the tree of roles.
    table = tab.locator('[role="grid"]')
    until(lambda: table.get_attribute("aria-rowcount") == "6", "five items")
    click(tab.locator(".st-key-facet-state button"))
    click(tab.locator(".st-key-pick-state-held button"))
    until(lambda: table.get_attribute("aria-rowcount") == "2", "the held item")
    tab.keyboard.press("Escape")
    press(tab, text("filter_clear"))
    until(lambda: table.get_attribute("aria-rowcount") == "6", "all items")

    # The selected item as a ZIP: its documents, and no other item's
    table.locator(".row input").first.click()
    tab.locator(".st-key-bulk-clear").wait_for()
    wait_page_ready(tab)
    menu = tab.locator(".st-key-export-many button", has_text=plural_text("export_many", 1))
    click(menu)
    tab.get_by_text(text("export_many_selected")).wait_for()
    packed = browser.download(tab, tab.get_by_role("link", name=text("export_many_get")))
    with zipfile.ZipFile(packed.path()) as archive:
        (name,) = archive.namelist()
        assert name.endswith(".txt") and archive.read(name).startswith(b"[00:")
    tab.keyboard.press("Escape")

    click(table.locator(".title button").first)
    lines = tab.locator(".lines .go")
    lines.first.wait_for()
    expect(tab).to_have_url(re.compile("item="), timeout=browser.STEP_MS)
    press(tab, f"← {text('back_items')}")
    table.wait_for()

    # A hit from captions is marked
    tab.goto(f"{site.address}/?tab=Library&q=furnace")
    tab.get_by_text(text("tier_machine")).first.wait_for()

    # The bar over the time: a click plays a gap, or moves to any other place
    tab.goto(f"{site.address}/?tab=Library&item={site.harbour}")
    lines.first.wait_for()
    click(tab.locator(".bar .gap").last)  # drawn from the last to the first
    browser.wait_player_at(tab, 19.5, 22.5)
    width = tab.locator(".bar").bounding_box()["width"]
    tab.locator(".bar").click(position={"x": 0.9 * width, "y": 4})
    browser.wait_player_at(tab, 48.0, 60.0)
    doubts = tab.locator(".doubts .chips li")
    shown = doubts.count()
    click(tab.locator(".doubts .chips").get_by_label(text("player_more")))
    until(lambda: doubts.count() > shown, "all doubts")
    click(doubts.first.get_by_role("button"))
    browser.wait_player_at(tab, 0.0, 2.5)

    # Find: the next match, the previous match, and from the first to the last
    count = tab.locator(".find output")
    enter(tab.get_by_label(text("player_find")), "the")
    count.filter(has_text=re.compile(r"^1 / ")).wait_for()
    every = int(count.inner_text().split(" / ")[1])
    assert every > 2
    for direction, place in (("after", 2), ("before", 1), ("before", every)):
        click(tab.locator(f".find .{direction}"))
        count.filter(has_text=re.compile(rf"^{place} / {every}$")).wait_for()
    enter(tab.get_by_label(text("player_find")), "")

    # The editor's buttons: play the line, cancel, save; then the revision is undone
    before = lines.nth(2).locator("span").inner_text()
    starts = seconds(lines.nth(2).locator("time").inner_text())
    editor = tab.locator(".editor")
    pen = tab.locator(".lines li").nth(2).locator(".pen")
    click(pen)
    click(editor.get_by_role("button", name="▶"))
    browser.wait_player_at(tab, starts, starts + 9.0)
    click(editor.get_by_role("button", name=text("player_cancel"), exact=True))
    editor.wait_for(state="detached")
    click(pen)
    enter(editor.locator("textarea"), f"{before} corrected")
    click(editor.get_by_role("button", name=text("player_save"), exact=True))
    changed = tab.locator(".lines .edited", has_text=f"{before} corrected")
    changed.wait_for()
    service = site.service()
    assert service.items.transcript(site.harbour).segments[2].text == f"{before} corrected"
    click(tab.locator("summary", has_text=text("revisions")))
    press(tab, text("revision_undo"))
    tab.get_by_text(text("revision_undone")).wait_for()
    changed.wait_for(state="detached")
    assert service.items.transcript(site.harbour).segments[2].text == before

    # Every export format
    transcript, entry = service.items.transcript(site.harbour), service.items.entry(site.harbour)
    for number, name in enumerate(service.exports.available(transcript, entry.item), 1):
        if number % 5 == 0:  # Chromium asks before the eleventh download of a page
            tab.reload()
            lines.first.wait_for()
        browser.wait_page_ready(tab)  # Streamlit drops files that it makes during a drawing
        button = tab.get_by_role("button", name=name.upper(), exact=True)
        with tab.expect_download() as download:
            click(button)
        made = service.exports.format(name)
        assert download.value.suggested_filename == f"{entry.stem}.{made.suffix}"
        data = Path(download.value.path()).read_bytes()
        text_of = unpacked(data) if data.startswith(b"PK") else data.decode()
        assert ("Castle" if name == "chapters" else "granite") in text_of, name

    # The folded sections, and a publication
    for key, inside in (("ledger", text("ledger_help")), ("details", site.harbour)):
        click(tab.locator("summary", has_text=text(key)))
        tab.get_by_text(inside).first.wait_for()
    press(tab, text("published_publish"))
    tab.get_by_text(f"{text('published_odin')}: {text('published_queued')}").wait_for()
    until(lambda: delivery(service, site.harbour) == "queued", "the publication")
    # One goes with the mouse; one of a button that is gone would stay.
    expect(tab.get_by_role("tooltip")).to_have_count(0, timeout=browser.STEP_MS)
    service.close()
    tab.context.close()


@pytest.mark.long
def test_retry_send_stop_sync_and_mistakes_of_an_upload(site: Site, tmp_path: Path) -> None:
    odin, service = site.odin, site.service()
    tab = site.opened("?tab=Publish")
    table = tab.locator(".st-key-rows-published")
    rows(table, 5)
    choose(tab, text("knowledge_failed"))
    rows(table, 1)
    assert delivery(service, site.failed) == "failed"
    press(tab, text("knowledge_retry", count="1"))
    button(tab, text("knowledge_retry", count="1")).wait_for(state="detached")
    until(lambda: delivery(service, site.failed) == "queued", "the retry")
    rows(table, 5)

    # Send one selected item, then all other items that were not sent
    choose(tab, text("knowledge_unsent"))
    unsent = [row for row in ids(service) if not delivery(service, row)]
    held = 1
    rows(table, len(unsent) - held)
    click(table.get_by_role("checkbox").nth(1))
    press(tab, text("knowledge_send", count="1"))
    tab.get_by_text(text("knowledge_sent_one")).wait_for()
    button(tab, text("knowledge_send", count="1")).wait_for(state="detached")
    left = len(unsent) - held - 1
    send_all = text("knowledge_send_all", count=str(left))
    if left >= ASKED_FROM:  # (the page has sent one by itself, or not yet)
        confirm(tab, send_all, text("knowledge_send_now"))
    else:
        press(tab, send_all)
    button(tab, text("knowledge_send_all", count=str(left))).wait_for(state="detached")
    until(lambda: sum(not delivery(service, row) for row in ids(service)) == held, "all sent")

    # A sync is stopped; the next one ends, and deletes documents that are only in the project
    there = {"id": STRANGE, "producer": PRODUCER}
    name = odin.put("strange.md", b"Nobody's words.", json.dumps(there))
    odin.index_s = 600.0
    press(tab, text("knowledge_plan"))
    prune = tab.get_by_role("checkbox", name=text("knowledge_prune", count="1"))
    prune.wait_for(state="attached")
    button(tab, text("knowledge_apply", count="4")).wait_for()
    click(tab.get_by_text(text("knowledge_prune", count="1")))
    press(tab, text("knowledge_apply", count="5"))
    press(tab, text("task_stop"))
    tab.get_by_text(text("task_stopped")).wait_for()
    odin.index_s = 0.0
    odin.finish_indexing()
    press(tab, text("knowledge_plan"))
    apply = tab.get_by_role("button", name=APPLY)
    apply.wait_for()
    box = tab.get_by_role("checkbox", name=text("knowledge_prune", count="1"))

    def steps() -> int:
        """The number of steps that the button would take, as the server has counted them."""
        return int(re.findall(r"\d+", apply.inner_text())[-1])

    for ticked in (False, True) if box.is_checked() else (True,):
        expected = steps() + (1 if ticked else -1)
        click(tab.get_by_text(text("knowledge_prune", count="1")))
        until(lambda n=expected: steps() == n, "the steps counted with the tick")
    click(apply)
    tab.get_by_text(re.compile(r"^Done .* 0 failed")).wait_for()
    assert name not in odin.documents()
    apply.wait_for(state="detached")

    # A missing folder and invalid metadata
    folder = tab.get_by_label(text("knowledge_folder"))
    enter(folder, str(tmp_path / "nowhere"), "Enter")
    tab.get_by_text(text("knowledge_no_folder")).wait_for()
    (tmp_path / "report.txt").write_text("Figures of the quarter.")
    enter(folder, str(tmp_path), "Enter")
    tab.get_by_text(plural_text("knowledge_files", 1, size="").split(",")[0]).wait_for()
    metadata = tab.get_by_label(re.compile(re.escape(text("knowledge_meta").split(" `")[0])))
    enter(metadata, "nonsense", "Control+Enter")
    press(tab, text("knowledge_send_files"))
    mistake = sentence("options.metadata", option="", pair="nonsense").strip()
    tab.get_by_text(mistake).wait_for()
    service.close()
    tab.context.close()


@pytest.mark.long
def test_presets_history_and_a_measurement(site: Site) -> None:
    tab = site.opened("?tab=GPU")
    click(tab.locator(".st-key-gpu-history summary"))
    tab.locator('.st-key-gpu-history [data-testid="stVegaLiteChart"]').first.wait_for()
    tab.get_by_label(text("gpu_speeds_table_alt")).first.wait_for()

    # A new preset is saved and removed
    pick(tab, text("gpu_preset_choose"), text("gpu_preset_new"))
    named = tab.get_by_label(text("gpu_preset_name"), exact=True)
    enter(named.and_(tab.locator(":enabled")), "nacht", "Tab")
    enter(tab.get_by_label(text("gpu_preset_workers"), exact=True), "2", "Tab")
    press(tab, text("gpu_preset_save"))
    tab.get_by_text(text("gpu_preset_saved", name="nacht")).wait_for()
    assert load_presets(site.presets)["nacht"].workers == 2
    confirm(tab, text("gpu_preset_remove"))
    tab.get_by_text(text("gpu_preset_removed", name="nacht")).wait_for()
    assert "nacht" not in load_presets(site.presets)

    # The presets file as text: an error is shown and nothing is written; then it is saved
    click(tab.locator(".st-key-preset-as-text summary"))
    content = tab.get_by_label(text("gpu_preset_text_label"), exact=True)
    content.wait_for()
    wait_page_ready(tab)
    good = content.input_value()
    assert "workers: 6" in good
    enter(content, good.replace("workers: 6", "workers: 99"), "Tab")
    press(tab, text("gpu_preset_text_save"))
    mistake = sentence("preset.whole", low=1, high=32, value=99)
    tab.get_by_text(re.compile(re.escape(f"workers {mistake}"))).first.wait_for()
    assert load_presets(site.presets)["max"].workers == 6
    wait_page_ready(tab)
    enter(content, good.replace("workers: 6", "workers: 5"), "Tab")
    press(tab, text("gpu_preset_text_save"))
    tab.get_by_text(
        re.compile(re.escape(text("gpu_preset_text_saved", path="presets.yaml")))
    ).wait_for()
    assert load_presets(site.presets)["max"].workers == 5

    press(tab, text("gpu_calibrate_start"))
    press(tab, text("task_stop"))
    tab.get_by_text(text("task_stopped")).wait_for()
    button(tab, text("gpu_calibrate_start")).and_(tab.locator(":enabled")).wait_for()
    tab.context.close()


def choose(tab: Any, name: str) -> None:
    """Select one of a row of choices by the start of its name."""
    choice = tab.get_by_role("radio", name=re.compile(rf"^\W*{re.escape(name)}"))
    click(choice)


def rows(table: Any, count: int) -> None:
    """Wait until a table has `count` rows by its accessibility attributes."""
    marked = table.locator(f'[aria-rowcount="{count + 1}"]')
    marked.first.wait_for(state="attached")


def seconds(shown: str) -> int:
    minutes, second = shown.split(":")
    return 60 * int(minutes) + int(second)


def ids(service: Service) -> list[str]:
    return [entry.item.id for entry in service.library.entries()]


def delivery(service: Service, item_id: str) -> str:
    """Return the state of an item at ODIN; empty without a publication."""
    found = service.queue.outbox.for_items([item_id]).get(item_id, ())
    return next((each.status for each in found if each.sink == "odin"), "")
