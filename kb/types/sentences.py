"""Small rules of English sentences: numbers with their noun or unit, full stops, titles."""

from __future__ import annotations

_ENDS = (".", "!", "?", "…")


def counted(number: float, noun: str, plural: str = "", digits: int = 0) -> str:
    """Return a number with its noun: `1 unit`, `1,204 units`; `plural` as far as it is irregular.

    A number that is shown as 1 has the singular.
    """
    shown = f"{number:,.{digits}f}"
    return f"{shown} {noun if shown == '1' else plural or noun + 's'}"


def decimal_size(octets: float) -> str:
    """Return a size in bytes in decimal units, as on disk labels: `18 GB`, `4.0 MB`, `120 B`."""
    for unit in ("B", "kB", "MB", "GB"):
        if octets < 999.5:
            return f"{octets:.{int(0 < octets < 9.95 and unit != 'B')}f} {unit}"
        octets /= 1000
    return f"{octets:,.1f} TB"


def sentence(text: str) -> str:
    """Return a text with its full stop; empty for an empty one."""
    return text if not text or text.endswith(_ENDS) else f"{text}."


def with_title(title: str, error: str) -> str:
    """Return `title: error`; the title once where the error begins with it, or has no text."""
    if not error or error.startswith(title):
        return error or title
    return f"{title}: {error}" if title else error
