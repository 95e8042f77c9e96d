"""Make the pictures in `docs/images/` from the running dashboard with the sample talks.

    python tools/screenshots.py [--all FOLDER] [--notes FOLDER]

Takes the samples into a library of its own (with the demo recognizer), starts the dashboard
over it and writes `dashboard-light.png` and `dashboard-dark.png`; then a made-up channel on
loopback is looked at and taken in, for `ingest.png` and `queue.png`. With `--all`, every screen
also goes to FOLDER, light and dark, 1440 and 390 pixels wide, empty, busy, with errors and with
5,000 items, for looking at. `--notes` makes only the pages that show notes and an answer of a
language model, whose replies are stored (`tests/data/sample_replies.json`). The signs of the
presets need a font with emoji.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tests.fakes.media import FakeMedia  # noqa: E402
from tests.fakes.youtube import Channel, FakeYouTube  # noqa: E402
from tests.support import browser  # noqa: E402
from tests.support.app_server import dashboard  # noqa: E402
from tests.support.compose import WordBank, compose, random_plan, write_wav  # noqa: E402
from tests.support.library_pages import add_item  # noqa: E402
from tests.support.stored_replies import QUESTION, make_notes, sample_model  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SAMPLES = ROOT / "samples"
MAX_BYTES = 300_000
WIDTHS = {1440: 1000, 390: 844}
THEMES = ("light", "dark")
TABS = ("Library", "Add", "Activity", "Review", "Publish", "Settings")
QUERY = "granite castle"
TALKS, TALK_S = 48, 20
WAIT_S = 300.0
Prepare = Callable[[Page], None]


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every screen, for looking at")
    parser.add_argument("--notes", type=Path, metavar="FOLDER", help="a language model's alone")
    chosen = parser.parse_args()
    everything = chosen.all
    if chosen.notes:
        with tempfile.TemporaryDirectory(prefix="kb-notes-") as folder, browser.browser() as b:
            shoot_notes(b, Path(folder), chosen.notes)
        return
    with tempfile.TemporaryDirectory(prefix="kb-screenshots-") as folder, browser.browser() as b:
        home = Path(folder) / "KB-Ingest"
        opened = fill(home)
        # With this folder as the user's home, the page shows a short `~/KB-Ingest`.
        own = {"HOME": folder, "USERPROFILE": folder}
        log = Path(folder) / "server.log"
        with dashboard(home, log, KB_APP_WORKER="false", **own) as address:
            for theme in THEMES:
                shoot_for_docs(b, address + opened, IMAGES / f"dashboard-{theme}.png", theme)
            if everything:
                screens = {tab.split()[0].lower(): f"/?tab={quote(tab)}" for tab in TABS}
                screens |= {
                    "search": f"/?{urlencode({'tab': 'Library', 'q': QUERY}, quote_via=quote)}",
                    "nothing-found": "/?tab=Library&q=submarine",
                    "item": opened,
                    "unknown-item": "/?tab=Library&item=file%3A000000000000",
                    "machine": "/?tab=Settings&part=machine",
                    "german": "/?tab=Add&lang=de",
                }
                shoot_all(b, address, screens, everything)
        with channel(Path(folder)) as settings, dashboard(home, log, **own, **settings) as address:
            shoot_for_docs(
                b, f"{address}/?tab=Add", IMAGES / "ingest.png", "light", open_channel, 1320
            )
            if everything:
                shoot_all(b, address, {"found": "/?tab=Add"}, everything, open_channel)
            page = b.new_page()
            page.goto(f"{address}/?tab=Add")
            open_channel(page)
            page.get_by_role("button", name=f"Ingest {TALKS} recordings").click()
            wait_until_done(page, 6)
            shoot_for_docs(b, f"{address}/?tab=Activity", IMAGES / "queue.png", "light")
            if everything:
                shoot_all(b, address, {"busy": "/?tab=Activity"}, everything)
        if everything:
            shoot_edge_cases(b, Path(folder), everything)
            shoot_notes(b, Path(folder), everything)


def shoot_notes(b: Browser, folder: Path, everything: Path) -> None:
    """The notes of a sample talk, and an answered question, by a model with stored replies."""
    home = folder / "noted"
    with sample_model() as settings:
        os.environ.update(KB_HOME=str(home), KB_MODEL="demo", KB_SINKS="local", **settings)
        from kb.service import Service
        from kb.settings import get_settings

        get_settings.cache_clear()
        ids = [add_item(path) for path in sorted(SAMPLES.glob("*.mp4"))]
        service = Service()
        for item_id in ids:
            make_notes(service, item_id)
        service.close()
        log = folder / "notes.log"
        with dashboard(home, log, KB_APP_WORKER="false", **settings) as address:
            item = {f"notes{end}": f"/?{urlencode({'tab': 'Library', 'item': ids[1], **more})}"
                    for end, more in (("", {}), ("-german", {"lang": "de"}))}  # fmt: skip
            shoot_all(b, address, item, everything, open_notes)
            asked = {"answer": "/?tab=Publish"}
            shoot_all(b, address, asked, everything, ask_library)
            done = {"answer-german": "/?tab=Publish&lang=de"}
            shoot_all(b, address, done, everything, ask_library)
    for name in settings:
        os.environ.pop(name, None)


def open_notes(page: Page) -> None:
    """Open the notes of an item, and bring them into view."""
    page.set_viewport_size({"width": page.viewport_size["width"], "height": 2400})  # type: ignore[index]
    page.locator('[data-testid="stExpander"] summary').last.wait_for()
    wait_until_idle(page)
    for place in page.locator('[data-testid="stExpander"] summary').all():
        if not place.locator("xpath=..").get_attribute("open"):
            place.click()
    page.wait_for_timeout(1500)


def ask_library(page: Page) -> None:
    """Ask the question whose answer is stored."""
    box = page.locator(".st-key-library_question input")
    box.fill(QUESTION)
    box.press("Enter")
    page.locator(".st-key-library-answer").wait_for()


def shoot_edge_cases(b: Browser, folder: Path, everything: Path) -> None:
    """The screens of an empty library, and of a queue of 5,000 with trouble."""
    with dashboard(folder / "empty", folder / "e.log", KB_APP_WORKER="false") as address:
        screens = {f"empty-{tab.split()[0].lower()}": f"/?tab={quote(tab)}" for tab in TABS}
        shoot_all(b, address, screens, everything)
    fill_with_failures(folder / "many")
    with dashboard(folder / "many", folder / "m.log", KB_APP_WORKER="false") as address:
        shoot_all(b, address, {"many": "/?tab=Activity"}, everything)
        shoot_all(b, address, {"wrong": "/?tab=Add"}, everything, open_invalid_source)


def fill(home: Path) -> str:
    """Take the samples into a library; returns the address of one of them, at a hit."""
    os.environ.update(KB_HOME=str(home), KB_MODEL="demo", KB_SINKS="local")
    from kb.options import RunOptions
    from kb.service import Service

    service = Service()
    report = service.ingest.run([str(SAMPLES)], RunOptions())
    ended = service.follow.run(report.enqueued)
    assert all(status.state in ("done", "held") for status in ended), ended
    hit = service.search.run(QUERY, limit=1).hits[0]
    service.close()
    query = {"tab": "Library", "q": QUERY, "item": hit.item_id, "t": int(hit.at_s)}
    return f"/?{urlencode(query, quote_via=quote)}"


@contextmanager
def channel(folder: Path) -> Iterator[dict[str, str]]:
    """A channel of talks on loopback; gives the settings that lead there."""
    made = Channel(
        "UC" + "x" * 22, "@harbour-talks", TALKS, "Harbour talks", duration=f"PT{TALK_S}S"
    )
    bank = WordBank.load()
    bodies: dict[str, bytes] = {}
    for number in range(TALKS):
        rng = np.random.default_rng(number)
        said = compose(bank, random_plan(bank, 26, rng), rng=rng)
        audio = np.zeros(16_000 * TALK_S, np.float32)
        audio[: min(said.audio.size, audio.size)] = said.audio[: audio.size]
        path = write_wav(folder / "talk.wav", audio)
        bodies[made.video_id(number)] = path.read_bytes()
    key = "AI" + "za" + "Sy" + "p" * 33
    with (
        FakeYouTube([made], quota={key: 10_000}) as api,
        FakeMedia(b"", bodies=bodies, content_type="audio/wav") as media,
    ):
        yield {
            "YT_API_ENDPOINT": api.url,
            "YT_WATCH_URL": media.watch_url,
            "YT_API_KEYS": key,
            "KB_DOWNLOAD_PAUSE_S": "0",
            "KB_DOWNLOAD_PAUSE_MAX_S": "0",
            "KB_HOLD_BELOW": "0",
        }


def fill_with_failures(home: Path) -> None:
    """A queue of 5,000: most wait, some failed, downloads rest."""
    from kb.jobs.queue.lanes import LaneStore
    from kb.options import RunOptions
    from kb.service import Service
    from kb.settings import Settings

    service = Service(Settings(KB_HOME=str(home), KB_MODEL="demo"))
    store = service.queue.items
    service.ingest.run([str(next(SAMPLES.glob("*.mp4")))], RunOptions())
    (row,) = service.queue.page().rows
    item = service.queue.rows([row.id])[0].item
    many = [replace(item, id=f"web:t:{n:06d}", title=f"Talk {n} on water") for n in range(5000)]
    store.submit(many, {}, lambda *_: None)
    for number in range(12):
        store.claim(f"web:t:{number:06d}", 1, "me")
        store.finish(
            f"web:t:{number:06d}", 1, "me", "failed", attempts=3,
            error="The connection broke 3 times while talk.webm was fetched.",
            hint="Check the network, then: kb retry --failed",
        )  # fmt: skip
    lanes = LaneStore(service.queue.database)
    lanes.pause("download", time.time() + 5400, "the site answered 429 (too many requests)")
    service.close()


def open_channel(page: Page) -> None:
    """Name the channel, and wait for what is found."""
    fill_sources(page, "@harbour-talks")
    page.get_by_role("grid").wait_for()


def open_invalid_source(page: Page) -> None:
    """Name what leads nowhere."""
    fill_sources(page, "/no/such/talk.mp4\nhttps://www.youtube.com/")
    page.locator('[data-testid="stAlert"]').first.wait_for()


def fill_sources(page: Page, words: str) -> None:
    """Type into the box for what is to be taken in."""
    box = page.locator(".st-key-sources textarea")
    box.fill(words)
    box.press("Control+Enter")


def wait_until_done(page: Page, count: int) -> None:
    """Wait until so many items of the newest run are finished."""
    ends = time.monotonic() + WAIT_S
    while time.monotonic() < ends:
        card = page.get_by_text(re.compile(r"\d+ of \d+ finished")).first
        if card.count():
            found = re.search(r"(\d+) of \d+ finished", card.inner_text())
            if found and int(found[1]) >= count:
                return
        page.wait_for_timeout(500)
    sys.exit("The queue does not get on.")


def shoot_all(
    b: Browser, address: str, screens: dict[str, str], folder: Path, prepare: Prepare | None = None
) -> None:
    """Every screen in both themes and widths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in screens.items():
        for theme in THEMES:
            for width, height in WIDTHS.items():
                target = folder / f"{name}-{theme}-{width}.png"
                shoot(b, address + path, theme, (width, height), target, prepare)


def shoot_for_docs(
    b: Browser,
    url: str,
    target: Path,
    theme: str,
    prepare: Prepare | None = None,
    height: int = 900,
) -> None:
    """One picture for the repository."""
    shoot(b, url, theme, (1440, height), target, prepare)
    squeeze(target)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size:,} bytes")


def shoot(
    b: Browser,
    url: str,
    theme: str,
    size: tuple[int, int],
    target: Path,
    prepare: Prepare | None = None,
) -> None:
    """One picture of one address, when it has come to rest."""
    context = b.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
    )
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    wait_until_idle(page)
    if prepare:
        prepare(page)
        page.wait_for_timeout(1500)
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=target)
    context.close()


def wait_until_idle(page: Page) -> None:
    """Wait until the script has run and the player shows its picture."""
    page.locator('[data-testid="stTabs"]').wait_for()
    page.wait_for_timeout(1000)
    for shown in ("stSpinner", "stSkeleton"):
        page.wait_for_function(
            f"() => !document.querySelector('[data-testid=\"{shown}\"]')", timeout=120_000
        )
    if "item=file" in page.url and page.locator("video").count():
        page.wait_for_function(
            "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot &&"
            " [...e.shadowRoot.querySelectorAll('video')].some(v => v.readyState >= 2 &&"
            " !v.seeking))"
        )
        page.wait_for_timeout(1500)  # until the frame is on the screen, too
    page.wait_for_timeout(1500)


def squeeze(path: Path) -> None:
    """Make a picture small enough for a repository; flat colours lose nothing to see."""
    picture = Image.open(path).convert("RGB")
    picture.save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        sys.exit(f"{path} is larger than {MAX_BYTES:,} bytes.")


if __name__ == "__main__":
    main()
