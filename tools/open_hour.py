"""Keep two browsers open for an hour over a queue that never ends; say what was stale or grew.

    python tools/open_hour.py [--minutes 60] [--records FILE]

Starts the dashboard as users do, with its worker and the demo recognizer, over a temporary library
of 1,000 items with 200 that are paused, and queues a new short recording every 25 s. Two visitors
have it open in headless Chromium, one at Activity and one at Library; they go to other tabs and
back, search, filter and open items. Once a minute, what both pages show is compared with the truth
of the queue and the library: a value is stale if for 10 s no look at the page agrees with a truth
of these seconds. Half-way the worker is killed, a page is reloaded, and browsers are closed and
opened again all the time.

Prints what was stale, the errors of browsers and server, and memory, threads and files over time.
`--records` also keeps each minute as a line of JSON. Ends with exit code 1 if something was stale,
was not transcribed, or was an error.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.dashboard import process_at  # noqa: E402
from benchmarks.support.large_library import fill, name_of  # noqa: E402
from kb.options import RunOptions  # noqa: E402
from kb.service import STATES, Service  # noqa: E402
from kb.settings import Settings  # noqa: E402
from kb.ui.i18n import text  # noqa: E402
from kb.ui.widgets.messages import STATE_SIGNS  # noqa: E402
from tests.support import browser  # noqa: E402
from tests.support.app_server import dashboard, worker_pids  # noqa: E402
from tests.support.compose import WordBank, compose, random_plan, write_wav  # noqa: E402

LIBRARY, QUEUE = 1_000, 200
NEW_EVERY_S = 25.0
LOOK_FOR_S, LOOK_EVERY_S = 12.0, 0.5
STALE_S = 10.0
ROWS = 8  # compared from the top of a list
BUSY_S = 60.0  # a step of a visitor takes less
LOG_LINES = 200  # printed of a log with errors
_BAD_WORDS = re.compile(r"error|warning|traceback|exception", re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
SETTINGS = {"KB_CPU_THREADS": "1", "KB_HOLD_BELOW": "0", "KB_STEPS": "none"}
VIEW = {"width": 1440, "height": 1000}

# Runs in the server beside the dashboard: counts its visitors' sessions, those that wait for a
# browser to come back, and the memory blocks in use. Streamlit has no route for them that the
# dashboard lets through. (`gc.get_objects` breaks a tuple that another thread is making.)
_COUNTER = """
import json, os, sys, threading, time

def count(target):
    from streamlit.runtime import Runtime
    while True:
        time.sleep(15)
        if not Runtime.exists():
            continue
        found = Runtime.instance()._session_mgr
        line = {"sessions": len(found._active_session_info_by_id),
                "sessions kept": len(found._session_storage.list()),
                "blocks": sys.getallocatedblocks()}
        with open(target + ".new", "w") as file:
            json.dump(line, file)
        os.replace(target + ".new", target)

if "streamlit" in sys.orig_argv:
    threading.Thread(target=count, args=(os.environ["HOUR_COUNTS"],), daemon=True).start()
"""

# What a page shows, in one go: the texts of the filters, the runs, the rows of the list with their
# cells, the line above the tabs, and the counts beside the tabs, which are no text of the page.
_SHOWN = """() => {
  const roots = [document, ...[...document.querySelectorAll(
    '[data-testid="stBidiComponentIsolated"]')].map(each => each.shadowRoot).filter(Boolean)];
  const words = mark => [...document.querySelectorAll(mark)].map(each => each.innerText);
  const rows = roots.flatMap(root => [...root.querySelectorAll('[role="row"][aria-rowindex]')]);
  return {
    filters: words('.st-key-queue_state [role="radio"]'),
    runs: words('[class*="st-key-run-"] p').filter(each => / of .* finished/.test(each)),
    rows: rows.map(row => [Number(row.getAttribute('aria-rowindex')),
      [...row.querySelectorAll('[role="gridcell"]')].map(cell => cell.textContent.trim())])
      .filter(([, cells]) => cells.length).sort((a, b) => a[0] - b[0]).map(([, cells]) => cells),
    worker: words('.st-key-status p').join(' '),
    badges: [...document.querySelectorAll('[class*="st-key-tab"] [role="tab"]')].map(tab =>
      [tab.innerText, getComputedStyle(tab, '::after').content.replaceAll('"', '')]),
    total: words('p').filter(each => /^[\\d,.]+ items ·/.test(each)),
    exceptions: words('[data-testid="stException"]'),
  };
}"""


def main() -> int:
    """Keep the pages open, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long they stay open")
    parser.add_argument("--records", type=Path, metavar="FILE", help="a line of JSON a minute")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kb-hour-") as folder, browser.browser() as chromium:
        home, log = Path(folder) / "library", Path(folder) / "server.log"
        fill(home, LIBRARY, QUEUE)
        own = Path(folder) / "own"
        own.mkdir()
        (own / "sitecustomize.py").write_text(_COUNTER, "utf-8")
        counts = Path(folder) / "counts.json"
        more = {"PYTHONPATH": f"{own}{os.pathsep}{ROOT}", "HOUR_COUNTS": str(counts)}
        with dashboard(home, log, **SETTINGS, **more) as address:
            hour = Hour(chromium, address, home, counts, chosen.records)
            try:
                hour.run(chosen.minutes * 60)
            finally:
                good = hour.report(log)
                hour.close()
    return 0 if good else 1


# The truth


@dataclass(frozen=True)
class Truth:
    """What the queue and the library hold at a time, in the words of the pages."""

    at: float
    values: Mapping[str, str]
    shares: Mapping[str, float]  # of running items in percent, by title


class Library:
    """The library as another program sees it, and what that program adds to it."""

    def __init__(self, home: Path, sounds: Path) -> None:
        self.home, self.sounds = home, sounds
        self.service = Service(
            Settings.model_validate(
                {"KB_HOME": str(home), "KB_MODEL": "demo", "KB_SINKS": "local", **SETTINGS}
            )
        )
        self.bank = WordBank.load()
        self.added: list[str] = []
        waiting = self.service.queue.page(states=("queued",), limit=QUEUE)
        self.service.queue.pause([row.id for row in waiting.rows])
        sounds.mkdir()

    def add(self, words: int = 0) -> str:
        """Queue a new recording; the newest is the first by its title. Return its id."""
        number = len(self.added)
        rng = np.random.default_rng((7, number))
        said = compose(
            self.bank, random_plan(self.bank, words or int(rng.integers(6, 40)), rng), rng=rng
        )
        path = write_wav(self.sounds / f"A {9999 - number} recording.wav", said)
        report = self.service.ingest.run([str(path)], RunOptions())
        (item_id,) = report.enqueued
        self.added.append(item_id)
        return str(item_id)

    def states(self) -> dict[str, str]:
        """Return the states of all added recordings."""
        return self.service.queue.states_of(self.added)

    def truth(self) -> Truth:
        """Read queue and library."""
        queue, at = self.service.queue, time.monotonic()
        figures = queue.figures(0.0)
        counts = figures.counts
        page = queue.page(limit=ROWS)
        runs = [run for run in queue.list_runs() if not run.ended]
        self.service.items.listing()
        listed = self.service.catalogue.rows()
        first = min(listed, key=lambda row: row.entry.item.title).entry.item.title
        active = counts["running"] + figures.pending
        values = {
            "counts": f"All {sum(counts[state] for state in STATES):,}"
            f", Running {counts['running']:,}, Waiting {figures.pending:,}"
            f", Failed {counts['failed']:,}, Done {counts['done']:,}",
            "rows": "; ".join(f"{row.title} {STATE_SIGNS[row.state]}" for row in page.rows),
            "runs": "; ".join(sorted(f"{run.finished:,} of {run.total:,}" for run in runs)),
            "badge": f"{active:,}",
            "newest": first,
            "total": f"{len(listed):,}",
            "worker": text("worker_running" if counts["running"] else "worker_ready"),
        }
        running = {row.title: 100 * row.share for row in page.rows if row.state == "running"}
        return Truth(at, values, running)


# What a page shows


def shown_values(page: Page) -> tuple[dict[str, str], dict[str, float]]:
    """Return what a page shows of the values of a truth, and its progress by title."""
    seen = page.evaluate(_SHOWN)
    if seen["exceptions"]:
        raise AssertionError(f"the page shows an exception: {seen['exceptions'][0][:300]}")
    values = {"worker": seen["worker"].rpartition("●")[2].strip()}
    values["badge"] = next((count for name, count in seen["badges"] if name == "Activity"), "")
    shares: dict[str, float] = {}
    if seen["filters"]:
        wanted = ("All", "Running", "Waiting", "Failed", "Done")
        states = [each for each in seen["filters"] if each.split()[0] in wanted]
        values["counts"] = ", ".join(states)
        found = [re.search(r"([\d,]+ of [\d,]+) finished", run) for run in seen["runs"]]
        values["runs"] = "; ".join(sorted(each[1] for each in found if each))
        rows = []
        for cells in seen["rows"][:ROWS]:
            words = [cell for cell in cells if cell]
            sign = next((each[0] for each in words[1:] if each[0] in STATE_SIGNS.values()), "?")
            rows.append(f"{words[0]} {sign}")
            share = next((each for each in words if re.fullmatch(r"\d+ %", each)), "")
            if share:
                shares[words[0]] = float(share.split()[0])
        values["rows"] = "; ".join(rows)
    elif seen["total"]:
        values["total"] = seen["total"][0].split()[0]
        first = next((cells for cells in seen["rows"] if any(cells)), [])
        values["newest"] = next(filter(None, first), "")
    return values, shares


@dataclass
class Compared:
    """How old what a page showed was, in seconds, by the value's name; and what stayed old."""

    ages: dict[str, float] = field(default_factory=dict)
    lags: dict[str, float] = field(default_factory=dict)  # the most of any look
    stale: list[dict[str, Any]] = field(default_factory=list)


def compare(library: Library, pages: Mapping[str, Page]) -> Compared:
    """Look at the pages for some seconds, and compare each look with the truths of these seconds.

    A recording is added first, so that something changes. A value agrees with the newest truth that
    is equal; its age is that of the newest truth that any look agreed with, at the end.
    """
    truths: deque[Truth] = deque()
    newest: dict[str, float] = {}
    last: dict[str, str] = {}
    wrong_shares: dict[str, str] = {}
    lags: dict[str, float] = {}
    truths.append(library.truth())
    library.add()
    began = time.monotonic()
    while time.monotonic() - began < LOOK_FOR_S:
        truths.append(library.truth())
        for name, page in pages.items():
            values, shares = shown_values(page)
            for key, value in values.items():
                place = f"{name} {key}"
                newest.setdefault(place, began - STALE_S)
                last[place] = value
                same = [truth.at for truth in truths if truth.values[key] == value]
                newest[place] = max(newest[place], *same, 0.0)
                if same:
                    lags[place] = max(lags.get(place, 0.0), truths[-1].at - same[-1])
            wrong_shares |= _wrong_shares(name, shares, truths)
        next(iter(pages.values())).wait_for_timeout(1000 * LOOK_EVERY_S)
    ends = truths[-1].at
    found = Compared({place: max(0.0, ends - at) for place, at in newest.items()}, lags)
    for place, age in found.ages.items():
        if age > STALE_S:
            key = place.partition(" ")[2]
            was = list(dict.fromkeys(truth.values[key] for truth in truths))
            found.stale.append({"what": place, "shown": last[place], "true": was})
    for place, said in wrong_shares.items():
        found.stale.append({"what": place, "shown": said, "true": ["see shown"]})
    return found


def _wrong_shares(name: str, shares: Mapping[str, float], truths: deque[Truth]) -> dict[str, str]:
    """Return the progress of rows that was true at none of the last seconds."""
    wrong = {}
    now = truths[-1].at
    if now - truths[0].at < STALE_S:
        return wrong
    for title, share in shares.items():
        held = [t.shares[title] for t in truths if title in t.shares and now - t.at <= STALE_S]
        if held and not min(held) - 1.5 <= share <= max(held) + 1.5:
            wrong[f"{name} progress"] = f"{title}: {share:.0f} %, true {min(held)}–{max(held)} %"
    return wrong


# The hour


@dataclass
class Visitor:
    """One browser context with one page, at a tab of its own."""

    chromium: Browser
    address: str
    tab: str
    errors: list[str]

    def __post_init__(self) -> None:
        self.opened = 0
        self.open()

    def open(self) -> None:
        """Open the page in a new context, at home."""
        self.opened += 1
        self.context = self.chromium.new_context(viewport=VIEW)
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * BUSY_S)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._error(f"error: {error}"))
        self.page.on("response", self._response)
        self.cdp = self.context.new_cdp_session(self.page)
        self.cdp.send("Performance.enable")
        self.cdp.send("HeapProfiler.enable")
        self.page.goto(f"{self.address}/?tab={self.tab}")
        self.home()

    def _error(self, words: str) -> None:
        self.errors.append(f"{time.strftime('%H:%M:%S')} {self.tab}: {words[:300]}")

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self._error(f"console {message.type}: {message.text}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self._error(f"{response.status} {response.url.partition('?')[0]}")

    def home(self) -> None:
        """Wait for the list of the tab; that of Library is sorted by title."""
        self.page.get_by_role("grid").wait_for()
        if self.tab == "Library":
            heading = self.page.locator('[role="columnheader"]').filter(has_text="Title")
            if heading.get_attribute("aria-sort") in (None, "none"):
                browser.wait_page_ready(self.page)
                browser.click(heading.get_by_role("button"))

    def reopen(self) -> None:
        """Close the browser, and come back in another one."""
        self.context.close()
        self.open()

    def reload(self) -> None:
        """Load the page again."""
        self.page.reload()
        self.home()

    def go(self, tab: str) -> None:
        """Go to a tab."""
        browser.wait_page_ready(self.page)
        browser.click(self.page.get_by_role("tab", name=tab))
        self.page.wait_for_timeout(1500)
        browser.wait_page_ready(self.page)

    def memory(self) -> dict[str, float]:
        """Return heap in MB and nodes after a collection of garbage."""
        self.cdp.send("HeapProfiler.collectGarbage")
        found = {each["name"]: each["value"] for each in
                 self.cdp.send("Performance.getMetrics")["metrics"]}  # fmt: skip
        return {
            f"{self.tab} heap MB": round(found["JSHeapUsedSize"] / 1e6, 1),
            f"{self.tab} nodes": found["Nodes"],
            f"{self.tab} listeners": found["JSEventListeners"],
        }


class Hour:
    """The pages, the library, and what was seen of them."""

    def __init__(
        self, chromium: Browser, address: str, home: Path, counts: Path, records: Path | None
    ) -> None:
        self.chromium, self.address, self.records = chromium, address, records
        self.errors: list[str] = []
        self.stale: list[dict[str, Any]] = []
        self.lags: dict[str, list[float]] = {}
        self.minutes: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.failures: list[str] = []
        self.visits = 0
        self.counts = counts
        self.library = Library(home, counts.parent / "sounds")
        self.server = process_at(address)
        self.queue = Visitor(chromium, address, "Activity", self.errors)
        self.list = Visitor(chromium, address, "Library", self.errors)
        self.began = time.monotonic()
        self._next_new = 0.0

    @property
    def now(self) -> float:
        """Minutes since the beginning."""
        return (time.monotonic() - self.began) / 60

    def say(self, words: str) -> None:
        """Print what happens, with its minute."""
        self.events.append(f"{self.now:5.1f} {words}")
        print(self.events[-1], flush=True)

    def run(self, seconds: float) -> None:
        """Let the minutes go by."""
        half, killed = seconds / 120, False
        minute = 0
        while time.monotonic() - self.began < seconds:
            minute += 1
            self._step(self._acts(minute))
            self._step(self._measure)
            if not killed and self.now >= half:
                killed = True
                self._step(self._kill)
            self._wait(until=minute)
        self._finish()

    def _step(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (PlaywrightError, AssertionError) as error:
            self.failures.append(f"{self.now:.1f} {act.__name__}: {str(error)[:400]}")
            self.say(f"NOT DONE: {self.failures[-1]}")
            for visitor in (self.queue, self.list):
                with suppress(PlaywrightError):
                    visitor.reopen()
        self._feed()

    def _feed(self) -> None:
        if time.monotonic() >= self._next_new:
            self.library.add()
            self._next_new = time.monotonic() + NEW_EVERY_S

    def _wait(self, until: float) -> None:
        while self.now < until:
            self._feed()
            self.queue.page.wait_for_timeout(500)
            self.list.page.wait_for_timeout(500)

    # What the visitors do

    def _acts(self, minute: int) -> Callable[[], None]:
        acts = (self._search, self._walk, self._filter, self._open_newest, self._visits)
        if minute % 15 == 7:
            return self._reload
        return acts[minute % len(acts)]

    def _search(self) -> None:
        """Search one word that a single item has, open it, and come back."""
        page, number = self.list.page, (37 * len(self.minutes)) % LIBRARY
        browser.enter(page.locator(".st-key-q input"), name_of(number), commit="Enter")
        page.locator(".st-key-hit-0").get_by_text(f"Talk {number}:").first.wait_for()
        browser.click(page.locator(".st-key-hit-0 button").first)
        page.locator(".lines").wait_for()
        browser.wait_page_ready(page)
        browser.click(page.locator(".st-key-back button"))
        page.locator(".st-key-hit-0 button").first.wait_for()
        browser.enter(page.locator(".st-key-q input"), "", commit="Enter")
        self.list.home()

    def _walk(self) -> None:
        """Go through the tabs and back."""
        for visitor, tabs in (
            (self.queue, ("Settings", "Publish")),
            (self.list, ("Add", "Review")),
        ):
            for tab in tabs:
                visitor.go(tab)
            visitor.go(visitor.tab)
            visitor.home()

    def _filter(self) -> None:
        """Filter the queue by state, and by words."""
        page = self.queue.page
        radios = page.locator('.st-key-queue_state [role="radio"]')
        for name in ("Failed", "Done"):
            browser.click(radios.filter(has_text=name))
            page.wait_for_timeout(1500)
        browser.click(radios.filter(has_text="All"))
        browser.enter(page.locator(".st-key-queue_find input"), "Talk 11", commit="Enter")
        page.wait_for_timeout(1500)
        browser.enter(page.locator(".st-key-queue_find input"), "", commit="Enter")
        page.wait_for_timeout(1500)

    def _open_newest(self) -> None:
        """Open the newest recording in the library, and come back."""
        page = self.list.page
        browser.wait_page_ready(page)
        browser.click(page.get_by_role("grid").get_by_role("button", name="recording").first)
        page.locator(".lines").wait_for()
        page.wait_for_timeout(1500)
        browser.wait_page_ready(page)
        browser.click(page.locator(".st-key-back button"))
        self.list.home()

    def _visits(self) -> None:
        """Three more visitors come and go, and one browser is closed and opened again."""
        for tab in ("Library", "Activity", "Publish"):
            context = self.chromium.new_context(viewport=VIEW)
            page = context.new_page()
            page.set_default_timeout(1000 * BUSY_S)
            page.goto(f"{self.address}/?tab={tab}")
            page.locator('[data-testid="stTabs"]').wait_for()
            browser.wait_page_ready(page)
            context.close()
            self.visits += 1
        if len(self.minutes) % 2:
            self.list.reopen()
            self.visits += 1

    def _reload(self) -> None:
        """Load both pages again."""
        self.queue.reload()
        self.list.reload()

    # The killed worker

    def _kill(self) -> None:
        """Kill the worker while it transcribes; measure when the pages say so and it is back."""
        item_id = self.library.add(words=200)
        queue, home = self.library.service.queue, self.library.home

        def rows(state: str, stage: str = "") -> bool:
            (row,) = queue.page_rows([item_id])
            return row.state == state and (not stage or row.stage == stage)

        self._until(lambda: rows("running", "transcribe"), "an item that is transcribed")
        (pid,) = worker_pids(home)
        model = [each.pid for each in psutil.Process(pid).children(recursive=True)]
        os.kill(pid, signal.SIGKILL)
        killed_at = time.monotonic()
        self.say(f"the worker was killed while it transcribed; it had {len(model)} processes")
        working = (text("worker_running"), text("worker_ready"))
        pages = {"Activity": self.queue.page, "Library": self.list.page}
        said: dict[str, list[str]] = {name: [] for name in pages}
        seen_rows: list[str] = []
        while time.monotonic() - killed_at < 120:
            for name, page in pages.items():
                values, _ = shown_values(page)
                if not said[name] or said[name][-1].partition(" after ")[0] != values["worker"]:
                    taken = time.monotonic() - killed_at
                    said[name].append(f"{values['worker']} after {taken:.1f} s")
                row = values.get("rows", "").partition(";")[0]
                if row and (not seen_rows or seen_rows[-1].partition(" after ")[0] != row):
                    seen_rows.append(f"{row} after {time.monotonic() - killed_at:.1f} s")
            if rows("done"):
                break
            self.queue.page.wait_for_timeout(300)
        for name, words in said.items():
            self.say(f"{name} said of the worker: {'; '.join(words)}")
        # A page looks every 3 s: it may miss the worker's absence, but not both pages.
        shown = [each.partition(" after ")[0] for words in said.values() for each in words]
        if set(shown) <= set(working):
            self.failures.append("no page said that no worker runs")
        self.say(f"the first row was: {'; '.join(seen_rows)}")
        taken = time.monotonic() - killed_at
        self.say(f"the interrupted item was {self.library.states()[item_id]} after {taken:.0f} s")
        left = [each for each in model if psutil.pid_exists(each)]
        self.say(f"{len(left)} processes of the killed worker are left")
        if left:
            self.failures.append(f"processes of the killed worker are left: {left}")

    def _until(self, true: Callable[[], bool], what: str, limit_s: float = 120.0) -> None:
        ends = time.monotonic() + limit_s
        while not true():
            assert time.monotonic() < ends, f"{what} did not come"
            self.queue.page.wait_for_timeout(100)

    # Figures

    def _measure(self) -> None:
        """Compare the pages with the truth, and note memory, threads, files and sessions."""
        pages = {"Activity": self.queue.page, "Library": self.list.page}
        found = compare(self.library, pages)
        self._next_new = time.monotonic() + NEW_EVERY_S
        for place, lag in found.lags.items():
            self.lags.setdefault(place, []).append(lag)
        for each in found.stale:
            self.stale.append({"minute": round(self.now, 1), **each})
            self.say(f"STALE: {json.dumps(each, ensure_ascii=False)}")
        line = {"minute": round(self.now, 1), **self._processes(), **self._sessions()}
        line |= self.queue.memory() | self.list.memory()
        states = list(self.library.states().values())
        line |= {"added": len(states), "done": states.count("done")}
        line["latest s"] = round(max(found.lags.values(), default=0.0), 1)
        self.minutes.append(line)
        print(json.dumps(line), flush=True)
        if self.records:
            with self.records.open("a", encoding="utf-8") as file:
                file.write(
                    json.dumps(
                        {**line, "ages": found.ages, "lags": found.lags, "stale": found.stale}
                    )
                    + "\n"
                )

    def _processes(self) -> dict[str, float]:
        line: dict[str, float] = {
            "server MB": round(self.server.memory_info().rss / 1e6, 1),
            "threads": self.server.num_threads(),
            "files": self.server.num_fds(),
            "server CPU s": round(sum(self.server.cpu_times()[:2]), 1),
        }
        for pid in worker_pids(self.library.home)[:1]:
            with suppress(psutil.Error):
                worker = psutil.Process(pid)
                line["worker MB"] = round(worker.memory_info().rss / 1e6, 1)
                line["worker threads"] = worker.num_threads()
                line["worker files"] = worker.num_fds()
                children = [
                    each.memory_info().rss / 1e6 for each in worker.children(recursive=True)
                ]
                line["model MB"] = round(max(children, default=0.0), 1)
        return line

    def _sessions(self) -> dict[str, float]:
        """Return the numbers of the counter in the server, and its open connections."""
        connections = sum(each.status == psutil.CONN_ESTABLISHED
                          for each in self.server.net_connections())  # fmt: skip
        line: dict[str, float] = {"connections": connections}
        with suppress(OSError):
            line |= json.loads(self.counts.read_text("utf-8"))
        return line

    def _finish(self) -> None:
        """Wait until all that was added has ended."""
        ended = ("done", "held", "failed")
        try:
            self._until(
                lambda: all(state in ended for state in self.library.states().values()),
                "the end of all items", 240.0,
            )  # fmt: skip
        except AssertionError as error:
            self.failures.append(str(error))

    def report(self, log: Path) -> bool:
        """Print the summary; return True if nothing was wrong."""
        states = list(self.library.states().values())
        print(f"\n{self.now:.1f} minutes, {len(states)} recordings added:",
              {name: states.count(name) for name in sorted(set(states))})  # fmt: skip
        print(f"{self.visits} browsers came and went")
        for event in self.events:
            print("  ", event)
        print(f"stale: {len(self.stale)}")
        for each in self.stale:
            print("  ", json.dumps(each, ensure_ascii=False))
        print("how late a change was shown in s, the latest look of each minute (median, most):")
        for place, lags in sorted(self.lags.items()):
            print(f"   {place}: {statistics.median(lags):.1f}, {max(lags):.1f}")
        print("figures at every tenth minute, and the slope an hour from the tenth minute on:")
        for name in dict.fromkeys(name for line in self.minutes for name in line):
            if name != "minute":
                print(f"   {name}: {self._series(name)}")
        for title, lines in (("not done", self.failures), ("errors of browsers", self.errors)):
            print(f"{title}: {len(lines)}")
            for line in lines[:30]:
                print("  ", line)
        wrong: list[str] = []
        for path in (log, self.library.service.workers.log_file):
            if path.exists():
                lines = _COLOURS.sub("", path.read_text("utf-8", errors="replace")).splitlines()
                wrong += [each for each in lines if _BAD_WORDS.search(each)]
                print(f"{path.name}: {len(lines)} lines")
                if wrong:
                    print("\n".join(lines[:LOG_LINES]))
        return not (self.stale or self.failures or self.errors or wrong or set(states) - {"done"})

    def _series(self, name: str) -> str:
        points = [(line["minute"], line[name]) for line in self.minutes if name in line]
        tenth = [min(points, key=lambda each: abs(each[0] - at))
                 for at in range(10, int(points[-1][0]) + 2, 10)] if points else []  # fmt: skip
        said = ", ".join(f"{value:g}" for _, value in [points[0], *tenth])
        late = [each for each in points if each[0] >= 10]
        if len(late) < 3:
            return said
        slope = float(np.polyfit(*zip(*late, strict=True), 1)[0]) * 60
        return f"{said}; {slope:+.1f} an hour"

    def close(self) -> None:
        """Close the browsers and the library."""
        for visitor in (self.queue, self.list):
            with suppress(PlaywrightError):
                visitor.context.close()
        self.library.service.close()


if __name__ == "__main__":
    sys.exit(main())
