"""How values look on the page: times, marked snippets, states, errors."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

from kb.errors import KBError
from kb.ui.texts import text

_MARKED = re.compile(r"\*\*(.+?)\*\*")
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
}
_STATE_COLORS = {"done": "green", "failed": "red", "held": "orange", "running": "blue"}


def plain(words: str) -> str:
    """Text of others as Markdown shows it letter by letter: titles and transcripts."""
    return _MARKDOWN.sub(r"\\\1", words.replace("\n", " "))


def marked(snippet: str) -> str:
    """A search's snippet as Markdown, its hit words (`**word**`) on a coloured ground."""
    parts = _MARKED.split(snippet)
    return "".join(
        f":orange-background[{plain(part)}]" if number % 2 else plain(part)
        for number, part in enumerate(parts)
    )


def state(name: str) -> str:
    """A state with its sign, for tables."""
    return f"{STATE_SIGNS.get(name, '')} {text(f'state_{name}')}".strip()


def colored_state(name: str) -> str:
    """A state with its sign and colour, as Markdown."""
    return f":{_STATE_COLORS.get(name, 'gray')}[{plain(state(name))}]"


def error(problem: KBError) -> None:
    """An error with its next step."""
    trouble(problem.message, problem.hint)


def trouble(message: str, hint: str = "", *, severe: bool = True) -> None:
    """What is wrong and what to do about it."""
    body = plain(message)
    if hint:
        body += "\n\n" + text("hint", hint=plain(hint))
    (st.error if severe else st.warning)(body)


def folder(path: Path) -> str:
    """A folder as people write it, `~` for their own."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


def length(seconds: float | None) -> str:
    """A length as `M:SS` or `H:MM:SS`; a dash when it is not known."""
    if seconds is None:
        return "–"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
