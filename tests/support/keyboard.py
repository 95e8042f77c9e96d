"""A person with a keyboard and no mouse: goes to elements with Tab, and must see where they are."""

from __future__ import annotations

import re
from typing import Any

from tests.support.browser import wait_page_ready
from tests.support.waiting import until

MOST_STOPS = 90  # of the Tab key, on the way to an element
MOST_TABS = 8
PACE_MS = 120  # between two keys: a person sees where the focus is before pressing the next

# The focused element through all shadow roots: its name, and if the one before it looked the same
# with and without the focus.
_HERE = """() => {
  const look = (element) => {
    const found = [];
    for (let e = element, n = 0; e && n < 5; n++, e = e.parentElement || e.getRootNode().host)
      for (const part of n ? [""] : ["", "::before", "::after"]) {
        const s = getComputedStyle(e, part || null);
        found.push(s.outlineStyle === "none" ? "" : `${s.outlineWidth} ${s.outlineColor}`,
          s.boxShadow, s.borderColor, s.backgroundColor, s.color, s.textDecorationLine, s.opacity);
      }
    return JSON.stringify(found);
  };
  let e = document.activeElement;
  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
  const before = window.kbStop;
  // The border of a field stays while the focus moves within the field: its caret has gone.
  const field = before?.element.matches("input:not([type=checkbox]):not([type=radio])")
    && before.element.closest(".stElementContainer")?.contains(e);
  const unseen = before && before.element !== e && before.element.isConnected && !field
    && before.look === look(before.element) ? before.element.outerHTML.slice(0, 200) : "";
  if (!e || e === document.body) {
    window.kbStop = null;
    return { name: "", role: "", unseen, nothing: true, away: "" };
  }
  // The parts of a player that the browser draws are further stops on the same element.
  window.kbStop = { element: e, look: before?.element === e ? before.look : look(e) };
  const box = e.getBoundingClientRect();
  const x = Math.min(innerWidth - 1, Math.max(0, box.x + box.width / 2));
  const y = box.y + Math.min(box.height, 40) / 2;
  const top = document.elementFromPoint(x, y);
  const sticky = top?.closest(".st-key-ingest-plan");
  const away = box.bottom < 0 || box.top > innerHeight || box.right <= 0 || box.left >= innerWidth
    ? "out of view"
    : sticky && !sticky.contains(e) ? "below the bar" : "";
  const named = e.getAttribute("aria-labelledby");
  const words = e.getAttribute("aria-label")
    || (named && e.getRootNode().getElementById(named)?.textContent)
    || e.labels?.[0]?.innerText || e.innerText || e.getAttribute("placeholder") || e.title || "";
  return { name: words.trim(), role: e.getAttribute("role") || e.tagName.toLowerCase(), unseen,
    nothing: false, away: away && `${away}: ${e.outerHTML.slice(0, 200)}` };
}"""


class Keyboard:
    """The keys of one page. `faults` has each stop that could not be seen."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.faults: list[str] = []
        self.stops = 0

    def here(self) -> dict[str, Any]:
        """Return name and role of the focused element; note a stop that cannot be seen."""
        found: dict[str, Any] = self.tab.evaluate(_HERE)
        if found["unseen"]:
            self.faults.append(f"no sign of the focus: {found['unseen']}")
        if found["away"]:
            self.faults.append(found["away"])
        return found

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)
            self.tab.wait_for_timeout(PACE_MS)

    def type(self, words: str) -> None:
        self.tab.keyboard.type(words)

    def to(self, name: str | re.Pattern[str], role: str = "", *, back: bool = False) -> int:
        """Press Tab (with `back` Shift+Tab) until an element of this name has the focus.

        Return the number of stops. A text is the whole name, a pattern a part of it.
        """
        wait_page_ready(self.tab)
        seen: list[str] = []
        for count in range(1, MOST_STOPS + 1):
            self.press("Shift+Tab" if back else "Tab")
            found = self.here()
            seen.append(f"{found['role']} {found['name'][:40]!r}")
            wanted = found["name"] == name if isinstance(name, str) else name.search(found["name"])
            if wanted and role in ("", found["role"]):
                self.stops += count
                return count
        raise AssertionError(f"Tab does not lead to {name!r}: {seen}")

    def tab_named(self, name: str) -> None:
        """Open a tab of the page: by arrows in their row. A count may follow the name."""
        wait_page_ready(self.tab)
        row = self.tab.get_by_role("tab", name=re.compile(f"^{re.escape(name)}\\b"))
        for _ in range(MOST_STOPS):
            if self.here()["role"] == "tab":
                break
            self.press("Shift+Tab")
        else:
            raise AssertionError("Shift+Tab does not lead to the tabs")
        seen = []
        while not (found := self.here()["name"]).startswith(name):
            seen.append(found)
            assert len(seen) <= MOST_TABS, f"the arrow keys do not lead to {name!r}: {seen}"
            self.press("ArrowRight")
        self.press("Enter")
        until(lambda: row.get_attribute("aria-selected") == "true", f"the tab {name}")
        wait_page_ready(self.tab)
