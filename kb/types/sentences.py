"""Small rules of English sentences: numbers with their noun, full stops, titles before errors."""

from __future__ import annotations

_ENDS = (".", "!", "?", "…")


def counted(number: float, noun: str, plural: str = "", digits: int = 0) -> str:
    """Return a number with its noun: `1 unit`, `1,204 units`; `plural` as far as it is irregular.

    A number that is shown as 1 has the singular.
    """
    shown = f"{number:,.{digits}f}"
    return f"{shown} {noun if shown == '1' else plural or noun + 's'}"


def sentence(text: str) -> str:
    """Return a text with its full stop; empty for an empty one."""
    return text if not text or text.endswith(_ENDS) else f"{text}."


def with_title(title: str, error: str) -> str:
    """Return `title: error`; the title once where the error begins with it, or has no text."""
    if not error or error.startswith(title):
        return error or title
    return f"{title}: {error}" if title else error
