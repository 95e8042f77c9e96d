"""Make the pictures in `docs/images/` from the running dashboard with the sample channel.

    python tools/screenshots.py [--all FOLDER]

Takes the samples into a library of its own (with the demo recognizer), starts the dashboard
over it and writes `dashboard-light.png` and `dashboard-dark.png`. With `--all`, every screen
also goes to FOLDER, light and dark, 1440 and 390 pixels wide, for looking at.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, urlencode

from PIL import Image
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import browser  # noqa: E402
from tests.app_server import dashboard  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SAMPLES = ROOT / "samples"
MAX_BYTES = 300_000
WIDTHS = {1440: 1000, 390: 844}
THEMES = ("light", "dark")
QUERY = "granite castle"


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every screen, for looking at")
    everything = parser.parse_args().all
    with tempfile.TemporaryDirectory(prefix="kb-screenshots-") as folder:
        home = Path(folder) / "KB-Ingest"
        opened = fill(home)
        with (
            # With this folder as somebody's own, the page shows a short `~/KB-Ingest`.
            dashboard(
                home, Path(folder) / "server.log", HOME=folder, USERPROFILE=folder
            ) as address,
            browser.browser() as chromium,
        ):
            for theme in THEMES:
                target = IMAGES / f"dashboard-{theme}.png"
                shoot(chromium, address + opened, theme, 1440, 900, target)
                squeeze(target)
                print(f"{target.relative_to(ROOT)}: {target.stat().st_size:,} bytes")
            if everything:
                every_screen(chromium, address, opened, everything)
        with tempfile.TemporaryDirectory() as bare:
            if everything:
                empty = Path(bare) / "KB-Ingest"
                with (
                    dashboard(empty, Path(bare) / "server.log") as address,
                    browser.browser() as chromium,
                ):
                    screens = {"empty-library": "/?tab=Library"}
                    each(chromium, address, screens, everything)


def fill(home: Path) -> str:
    """Take the samples into a library; returns the address of one of them, at a hit."""
    os.environ.update(KB_HOME=str(home), KB_MODEL="demo", KB_SINKS="local")
    from kb.jobs.options import RunOptions
    from kb.service import Service

    service = Service()
    report = service.ingest([str(SAMPLES)], RunOptions())
    ended = service.follow(report.enqueued)
    assert all(status.state in ("done", "held") for status in ended), ended
    hit = service.search(QUERY, limit=1).hits[0]
    service.close()
    query = {"tab": "Library", "q": QUERY, "item": hit.item_id, "t": int(hit.at_s)}
    return f"/?{urlencode(query, quote_via=quote)}"


def every_screen(chromium: Browser, address: str, opened: str, folder: Path) -> None:
    """All screens of a filled library."""
    screens = {
        "ingest": "/",
        "library": "/?tab=Library",
        "search": f"/?{urlencode({'tab': 'Library', 'q': QUERY}, quote_via=quote)}",
        "nothing-found": "/?tab=Library&q=submarine",
        "item": opened,
        "unknown-item": "/?tab=Library&item=file%3A000000000000",
        "settings": "/?tab=Settings",
    }
    each(chromium, address, screens, folder)


def each(chromium: Browser, address: str, screens: dict[str, str], folder: Path) -> None:
    """Every screen in both themes and widths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in screens.items():
        for theme in THEMES:
            for width, height in WIDTHS.items():
                target = folder / f"{name}-{theme}-{width}.png"
                shoot(chromium, address + path, theme, width, height, target)


def shoot(chromium: Browser, url: str, theme: str, width: int, height: int, target: Path) -> None:
    """One picture of one address, when it has come to rest."""
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(url)
    rest(page)
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=target)
    context.close()


def rest(page: Page) -> None:
    """Wait until the script has run and the player shows its picture."""
    page.locator('[data-testid="stTabs"]').wait_for()
    page.wait_for_timeout(1000)
    page.locator('[data-testid="stStatusWidget"]').wait_for(state="detached", timeout=60_000)
    if "item=file" in page.url and page.locator("video").count():
        page.wait_for_function(
            "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot &&"
            " [...e.shadowRoot.querySelectorAll('video')].some(v => v.readyState >= 2 &&"
            " !v.seeking))"
        )
    page.wait_for_timeout(1200)


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
