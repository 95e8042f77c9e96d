"""The dashboard under load: first paint, clicks, a large video's route, search while typing.

    python benchmarks/dashboard.py [--queue 5000] [--library 1000]

A library of 1,000 made-up items and a queue of 5,000, in the dashboard as users start it
(without a worker), in headless Chromium on this machine. First paint is the time from the
address to the tab's first control on the screen, with a server that has answered once before;
a click is the time from the mouse to the last change of the page that it causes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common import figure, median, p95  # noqa: E402

from kb.service import Service  # noqa: E402
from kb.settings import Settings  # noqa: E402
from kb.sinks.local import LocalSink  # noqa: E402
from kb.transcript import json_doc, render  # noqa: E402
from kb.transcript.passages import passages  # noqa: E402
from kb.types import (  # noqa: E402
    Coverage,
    MediaItem,
    MediaRef,
    Segment,
    Timing,
    Transcript,
    Word,
)
from tests import browser  # noqa: E402
from tests.app_server import dashboard  # noqa: E402

VIDEO_BYTES = 2 * 10**9
TIMES = 15
WORDS = [
    "harbour",
    "winter",
    "castle",
    "granite",
    "lantern",
    "river",
    "market",
    "window",
    "engine",
    "orchard",
]
PAINT_TARGET_S, CLICK_TARGET_MS = 3.0, 300.0


def main() -> None:
    """Make the library, look at it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--queue", type=int, default=5_000, help="items on the queue")
    parser.add_argument("--library", type=int, default=1_000, help="items in the library")
    wanted = parser.parse_args()
    figure("load average before", psutil.getloadavg()[0], f"on {psutil.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="kb-dashboard-") as folder:
        home = Path(folder) / "library"
        fill(home, wanted.library, wanted.queue)
        began = time.perf_counter()
        with (
            dashboard(home, Path(folder) / "log", KB_APP_WORKER="false") as address,
            browser.browser() as chromium,
        ):
            figure("start to health", time.perf_counter() - began, "s")
            paint(chromium, address)
            clicks(chromium, address)
            typing(chromium, address)
            video(address, home, chromium)


def fill(home: Path, library: int, queue: int) -> None:
    """Items with words in the folder, the index and the table; then a queue that waits."""
    service = Service(Settings(KB_HOME=str(home), KB_MODEL="demo", KB_SINKS="local"))
    service.library.prepare()
    ready = []
    for number in range(library):
        item = MediaItem(
            f"web:made:{number:06d}", "web", f"https://example.org/{number}", f"Talk {number}",
            f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}", 600.0, "Harbour talks",
        )  # fmt: skip
        transcript = made_up(number)
        stem = service.library.stem(item)
        service.library.write_text(stem, ".txt", render(transcript, "txt", item=item))
        service.library.write_text(stem, ".transcript.json", render(transcript, "json", item=item))
        document = json_doc.to_document(transcript)
        service.library.write_metadata(
            item,
            {
                "media": {"sha256": "", "duration_s": 600.0},
                "transcribed": {
                    "run": 1, "engine": "whisper", "model": "demo", "preset": "optimiert",
                    "language": "en", "words": len(transcript.words),
                    "coverage": document["coverage"], "timing": document["timing"],
                    "at": "2026-11-01T12:00:00Z",
                },
                "state": "done",
            },
        )  # fmt: skip
        ready.append((item, passages(transcript, item, path="")))
    LocalSink(service.settings).rebuild(iter(ready))
    service.jobs.adopt_folder()
    pattern = MediaItem("web:wait:0", "web", "https://example.org/w", "W", "2026-11-02", 900.0)
    waiting = [
        replace(pattern, id=f"web:wait:{n:06d}", title=f"Waiting talk {n}") for n in range(queue)
    ]
    service.jobs.items.submit(waiting, {}, lambda *_: None)
    service.close()


def made_up(number: int) -> Transcript:
    """Ten minutes of the same few words in another order."""
    words = [
        Word(2.0 * place, 2.0 * place + 0.5, WORDS[(number * 7 + place * place) % len(WORDS)], 0.9)
        for place in range(300)
    ]
    segments = tuple(
        Segment(part[0].start_s, part[-1].end_s, " ".join(w.text for w in part), tuple(part))
        for part in (words[start : start + 10] for start in range(0, 300, 10))
    )
    return Transcript(
        MediaRef("", "", 600.0), segments, "en", "whisper", "demo", "optimiert",
        Coverage(500.0, 500.0), Timing(total_s=10.0, media_s=600.0),
    )  # fmt: skip


def tell(name: str, taken: list[float], target_ms: float | None = None) -> None:
    """The median of times in milliseconds, and their 95th part in a hundred."""
    figure(name, median(taken), "ms", at_most=target_ms)
    figure(f"{name}, 95 %", p95(taken), "ms")


def paint(chromium: Any, address: str) -> None:
    """From the address to the first control, on a server that is warm."""
    marks = {
        "Ingest": '[data-testid="stTextArea"]',
        "Queue": '[data-testid="stMetric"]',
        "Library": '[data-testid="stMetric"]',
    }
    for tab in marks:
        first(chromium, f"{address}/?tab={tab}", marks[tab])
    for tab, mark in marks.items():
        taken = [first(chromium, f"{address}/?tab={tab}", mark) for _ in range(5)]
        figure(f"first paint, {tab}", median(taken), "s", at_most=PAINT_TARGET_S)


def first(chromium: Any, url: str, mark: str) -> float:
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(url)
    page.locator(mark).first.wait_for()
    taken = time.perf_counter() - began
    context.close()
    return taken


_UNTIL = """([selector, index, words]) => new Promise((resolve, reject) => {
  const began = performance.now();
  const look = () => {
    if (document.body.innerText.includes(words)) resolve(performance.now() - began);
    else if (performance.now() - began > 20000) reject(new Error(words));
    else requestAnimationFrame(look);
  };
  document.querySelectorAll(selector)[index].click();
  look();
})"""


def clicks(chromium: Any, address: str) -> None:
    """Clicks whose effect can be told: a page of the queue, a filter, a preset."""
    page = chromium.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.goto(f"{address}/?tab=Queue")
    page.get_by_text("1–100 of").wait_for()
    page.wait_for_timeout(2000)
    taken = []
    for number in range(TIMES):
        words = f"{100 * (number + 1) + 1:,}–"
        taken.append(page.evaluate(_UNTIL, [".st-key-queue-after button", 0, words]))
    tell("click, next page of the queue", taken, CLICK_TARGET_MS)
    radios = '.st-key-queue_state [role="radio"]'
    taken = []
    for number in range(TIMES):
        index, words = ((1, "Nothing of this kind."), (0, "1–100 of"))[number % 2]
        taken.append(page.evaluate(_UNTIL, [radios, index, words]))
    tell("click, filter of the queue", taken, CLICK_TARGET_MS)
    page.goto(f"{address}/?tab=Ingest")
    page.get_by_role("button", name="SCHNELL").first.wait_for()
    page.wait_for_timeout(2000)
    taken = []
    for number in range(TIMES):
        name, words = (("schnell", "SCHNELL ✓"), ("stabil", "STABIL ✓"))[number % 2]
        taken.append(page.evaluate(_UNTIL, [f".st-key-preset-{name} button", 0, words]))
    tell("click, a preset", taken, CLICK_TARGET_MS)
    tabs = '[role="tab"]'
    taken = []
    for number in range(TIMES):
        index, words = ((1, "1–100 of"), (2, "Click a row"))[number % 2]
        taken.append(page.evaluate(_UNTIL, [tabs, index, words]))
    tell("click, another tab", taken, CLICK_TARGET_MS)
    page.context.close()


def typing(chromium: Any, address: str) -> None:
    """A search answers while it is typed: from the last key to the answer."""
    page = chromium.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.goto(f"{address}/?tab=Library")
    box = page.locator(".st-key-q input")
    box.wait_for()
    taken = []
    for number in range(TIMES):
        word = f"{WORDS[number % len(WORDS)]} {WORDS[(number + 3) % len(WORDS)]}"
        box.fill("")
        page.locator(".st-key-hit-0").wait_for(state="detached")
        box.press_sequentially(word[:-1], delay=20)
        began = time.perf_counter()
        box.press(word[-1])
        page.locator(".st-key-hit-0").wait_for()
        taken.append((time.perf_counter() - began) * 1000)
    tell("search, last key to the answer", taken)
    page.context.close()


def video(address: str, home: Path, chromium: Any) -> None:
    """A video of 2 GB in ranges: what it costs the server's memory."""
    service = Service(Settings(KB_HOME=str(home), KB_MODEL="demo"))
    entry = next(iter(service.library.entries()))
    path = service.library.path(entry, ".mp4")
    with path.open("wb") as file:
        file.truncate(VIDEO_BYTES)
    service.close()
    page = chromium.new_page()
    page.goto(f"{address}/?tab=Library&item={entry.item.id}")
    page.locator(".lines").wait_for()
    source = page.evaluate(
        "() => [...document.querySelectorAll('*')].flatMap(e => e.shadowRoot"
        " ? [...e.shadowRoot.querySelectorAll('video')] : [])[0].src"
    )
    server = serving(address)
    before = server.memory_info().rss
    request = urllib.request.Request(source, headers={"Range": f"bytes={VIDEO_BYTES - 1000}-"})
    with urllib.request.urlopen(request) as answer:
        ranged = answer.status == 206 and len(answer.read()) == 1000
    peak, began, read = before, time.perf_counter(), 0
    with urllib.request.urlopen(source) as answer:
        while block := answer.read(1 << 22):
            read += len(block)
            peak = max(peak, server.memory_info().rss)
    taken = time.perf_counter() - began
    figure("media route answers ranges", float(ranged), "1 = yes", at_least=1)
    figure("2 GB video, memory of the server", (peak - before) / 1e6, "MB more", at_most=50)
    figure("2 GB video, speed", read / 1e6 / taken, "MB/s")


def serving(address: str) -> psutil.Process:
    """The process that listens there."""
    port = int(address.rsplit(":", 1)[1])
    for process in psutil.Process().children(recursive=True):
        if any(c.laddr.port == port and c.status == psutil.CONN_LISTEN
               for c in process.net_connections()):  # fmt: skip
            return process
    raise RuntimeError(f"Nobody listens on {port}.")


if __name__ == "__main__":
    main()
