"""Text that users paste: without what other programs put around it."""

from __future__ import annotations

# Spaces, quotes, and characters that cannot be seen: direction marks, spaces without width.
_AROUND = r"[\s\p{Cf}\p{Pi}\p{Pf}\"'`„]+"


def pasted(text: str) -> str:
    """Return the text without spaces, quotes and invisible characters at its ends."""
    import regex  # type: ignore[import-untyped]  # slow to import

    return str(regex.sub(rf"^{_AROUND}|{_AROUND}$", "", text))
