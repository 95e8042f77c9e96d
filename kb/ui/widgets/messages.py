"""Display of values on the page: times, highlighted snippets, states, errors."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kb.errors import KBError
from kb.types.clock import is_future
from kb.types.quality import one_word_in
from kb.types.safe_text import printable
from kb.ui.i18n import error_messages, format_date, format_number, has_text, text

FLASH_S = 20.0
FLASH_ERROR_S = 300.0

_MARKED = re.compile(r"\*\*(.+?)\*\*")
# Markdown makes links of bare addresses, also of escaped ones: an invisible joiner stops it.
_BARE_LINK = re.compile(r"(\bwww)(?=\.)|(\bhttps?:)(?=//)|(?<=[\w.+-])(?=@[\w-]+\.)", re.IGNORECASE)
_JOINER = "\u2060"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])")

STATE_SIGNS = {
    "queued": "○",
    "running": "▶",
    "paused": "‖",
    "waiting": "…",
    "done": "✓",
    "failed": "✕",
    "cancelled": "–",
    "held": "!",
    "dismissed": "–",
}
PUBLISHED_SIGNS = {"synced": "✓", "failed": "✕", "missing": "–", "held": "!", "cancelled": "–",
                   "changed": "!"}  # fmt: skip
_PUBLISHED_COLORS = {"synced": "green", "failed": "red", "held": "orange",
                     "changed": "orange"}  # fmt: skip
_FACTS = """<style>
.stApp .kb-facts { display: grid; grid-template-columns: max-content 1fr; gap: 0.3rem 1.2rem;
  margin: 0; padding: 0; font-size: 0.9rem; }
.stApp .kb-facts dt { margin: 0; opacity: 0.8; }
.stApp .kb-facts dd { margin: 0; padding: 0; overflow-wrap: anywhere; min-width: 0; }
@media (max-width: 640px) {
  .stApp .kb-facts { grid-template-columns: 1fr; gap: 0; }
  .stApp .kb-facts dd { margin-bottom: 0.4rem; }
}
</style>"""
_STATE_COLORS = {"done": "green", "failed": "red", "held": "orange", "running": "blue"}


def escape_markdown(words: str) -> str:
    """Return external text (titles, transcripts) escaped, so that Markdown shows it literally."""
    one_line = printable(words.replace("\n", " "))
    return _MARKDOWN.sub(r"\\\1", _BARE_LINK.sub(rf"\g<0>{_JOINER}", one_line))


def highlight_markdown(snippet: str) -> str:
    """Return a search snippet as Markdown, its hits (`**word**`) with a coloured background."""
    parts = _MARKED.split(snippet)
    return "".join(
        f":orange-background[{escape_markdown(part)}]" if number % 2 else escape_markdown(part)
        for number, part in enumerate(parts)
    )


def state(name: str) -> str:
    """Return the text of a state with its sign, for tables."""
    return f"{STATE_SIGNS.get(name, '')} {text(f'state_{name}')}".strip()


def colored_state(name: str) -> str:
    """Return the text of a state with its sign and colour, as Markdown."""
    return f":{_STATE_COLORS.get(name, 'gray')}[{escape_markdown(state(name))}]"


def likely_wrong(share: float) -> str:
    """Return the share of words that are likely wrong as a sentence, in the page's language."""
    if share < 0.01:
        return text("wrong_words_few")
    one_in = one_word_in(share)
    if one_in == 1:
        return text("wrong_words_most")
    return text("wrong_words", one_in=format_number(one_in))


def format_share(share: float) -> str:
    """Return a share of words in percent: `24 %`, `< 1 %`."""
    return "< 1 %" if share < 0.01 else f"{format_number(100 * share)} %"


def error(problem: KBError, *, severe: bool = True) -> None:
    """Show an error of the core with its next step, in the page's language."""
    show_error(*error_messages.translate_error(problem), severe=severe)


def stored_error(row: error_messages.StoredError, *, severe: bool = True) -> None:
    """Show the error of a row or record with its next step, in the page's language."""
    show_error(*error_messages.translate_stored(row), severe=severe)


def show_error(message: str, hint: str = "", *, severe: bool = True) -> None:
    """Show a message and its next step; both are already in the page's language."""
    body = escape_markdown(message)
    if hint:
        body += "\n\n" + text("hint", hint=escape_markdown(hint))
    (st.error if severe else st.warning)(body)


def flash(place: str, words: str) -> None:
    """Keep the result of a callback to be shown at this place of the page; see `show_flash`."""
    st.session_state[f"news-{place}"] = (words, None)


def flash_toast(place: str, words: str) -> None:
    """Keep the result of a callback to be shown once in a corner: it moves nothing on the page."""
    st.session_state[f"toast-{place}"] = words


def flash_error(place: str, problem: KBError) -> None:
    """Keep an error of a callback to be shown at this place of the page; see `show_flash`."""
    st.session_state[f"news-{place}"] = (problem, None)


def forget_shown() -> None:
    """Remove the messages that were drawn: what they speak of is no longer in view."""
    shown = [
        key
        for key in map(str, st.session_state)
        if key.startswith("news-") and st.session_state[key][1] is not None
    ]
    for key in shown:
        del st.session_state[key]


def clear_flash(place: str) -> None:
    """Remove the message of this place. For callbacks."""
    st.session_state.pop(f"news-{place}", None)


def show_flash(place: str) -> None:
    """Draw the last message of this place.

    It is shown for `FLASH_S` (errors: `FLASH_ERROR_S`) seconds from when it was first drawn,
    because the page may be redrawn before the user has read it, and a busy machine may draw late.
    """
    if said := st.session_state.pop(f"toast-{place}", ""):
        st.toast(said, duration="long")  # a busy machine draws late
    words, until = st.session_state.get(f"news-{place}", (None, None))
    with steady():
        if words is None:
            return
        if until is None:
            shown_s = FLASH_ERROR_S if isinstance(words, KBError) else FLASH_S
            until = time.monotonic() + shown_s
            st.session_state[f"news-{place}"] = (words, until)
        if time.monotonic() > until:
            return
        if isinstance(words, KBError):
            error(words)
        else:
            st.success(words)


def steady() -> DeltaGenerator:
    """Return a container for elements of changing number above a form.

    Streamlit tells forms apart by their position. Where a message moves a form, the browser makes
    the form once more, and a text that is being typed is lost.
    """
    return st.container()


def display_path(path: Path) -> str:
    """Return a path as text, with `~` for the home folder."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


def format_length(seconds: float | None) -> str:
    """Return a duration, rounded down to seconds like a player's; a dash if unknown.

    The form is `M:SS` or `H:MM:SS`.
    """
    if seconds is None:
        return "–"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def format_datetime(epoch_s: float | None) -> str:
    """Return a time as `14:32` for today, else with its date; a dash if unknown."""
    if epoch_s is None:
        return "–"
    zone = _zone()
    when = datetime.fromtimestamp(epoch_s, zone)
    today = datetime.now(zone).date()
    if when.date() == today:
        return when.strftime("%H:%M")
    day = format_date(when.date(), with_year=when.year != today.year)
    return f"{day} {when:%H:%M}"


def format_past(epoch_s: float) -> str:
    """Return the time of what has happened; one in the future says nothing (`kb.types.clock`)."""
    return text("time_unknown") if is_future(epoch_s) else format_datetime(epoch_s)


def format_timedelta(seconds: float | None) -> str:
    """Return a rounded duration: `3 h 10 min`, `12 min`, `40 s`; a dash if unknown."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minute = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minute} min" if minute and hours < 10 else f"{round(minutes / 60)} h"
    return text("days", count=format_number(minutes / 1440, 1 if minutes % 1440 else 0))


def format_size(octets: float | None) -> str:
    """Return a size in bytes in decimal units, as on disk labels: `18 GB`; a dash if unknown."""
    if octets is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if octets < 999.5:
            return f"{format_number(octets, 1 if 0 < octets < 9.95 and unit != 'B' else 0)} {unit}"
        octets /= 1000
    return f"{format_number(octets, 1)} TB"


def published(status: str) -> str:
    """Return the state of an item in a knowledge base, in words."""
    key = f"published_{status}"
    return text(key) if has_text(key) else status


def publish_sign(status: str) -> str:
    """Return the state of an item in a knowledge base as a coloured sign."""
    sign, color = PUBLISHED_SIGNS.get(status, "…"), _PUBLISHED_COLORS.get(status, "gray")
    return f":{color}[{sign}]"


def facts(rows: Sequence[tuple[str, str]]) -> None:
    """Draw a list of names and values; external text is escaped."""
    body = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(printable(value))}</dd>"
        for name, value in rows
    )
    st.html(f"{_FACTS}<dl class='kb-facts'>{body}</dl>")


def zone_name() -> str:
    """Return the zone of the times that are shown: `CET (Europe/Berlin)`, or `UTC`."""
    zone = _zone()
    short = datetime.now(zone).astimezone(zone).tzname() or ""
    name = getattr(zone, "key", "")
    return f"{short} ({name})" if name and name != short else short


def _zone() -> tzinfo | None:
    """Return the time zone of the visitor's browser; None (this machine's) if unknown."""
    try:
        name = st.context.timezone
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):
        return None
