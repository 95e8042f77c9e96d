"""The number of open runs in the title, in a real browser, with the component drawn anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.ui import widgets
from tests.support import browser

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SCRIPT = Path(widgets.__file__).with_name("run_notice.js")
PAGE = "<title>Library</title>" + 2 * "<div><button></button><small></small></div>"
DRAW = """async ([code, draws]) => {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const first = (await import(url)).default;
  // A browser evaluates a script of another address once more.
  const again = (await import(url + "#again")).default;
  const roots = [...document.querySelectorAll("div")];
  let changes = 0;
  new MutationObserver(() => { changes += 1; }).observe(
    document.querySelector("title"), { childList: true, subtree: true });
  const titles = [];
  for (const [place, open, title] of draws) {
    if (title) document.title = title;
    const going = Array.from({ length: open }, (_, n) => `run-${n}`);
    const data = { going, ended: [], offer: false, texts: {} };
    if (place !== null) [first, again][place]({ data: [data], parentElement: roots[place] });
    await new Promise((resolve) => setTimeout(resolve, 50));
    titles.push(document.title);
  }
  return [titles, changes];
}"""


def test_the_title_has_the_number_that_was_drawn_last() -> None:
    browser.require_browser()
    draws = [
        # Where it is drawn (None: nowhere), the open runs, a title that Streamlit sets before
        [0, 2, ""],
        [None, 0, "Activity"],
        [1, 1, ""],  # the component is drawn anew elsewhere, and the old place stays for a while
        [None, 0, "Review"],
        [1, 0, ""],
        [0, 3, ""],
    ]
    with browser.browser() as chromium:
        page = chromium.new_page()
        page.set_content(PAGE)
        code = SCRIPT.read_text(encoding="utf-8")
        titles, changes = page.evaluate(DRAW, [code, draws])
    assert titles == [
        "(2) Library", "(2) Activity", "(1) Activity", "(1) Review", "Review", "(3) Review",
    ]  # fmt: skip
    assert changes <= 2 * len(draws)  # two observers that differ would go on for ever
