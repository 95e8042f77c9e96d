"""Text that users paste: without what other programs put around it."""

from __future__ import annotations

import regex  # type: ignore[import-untyped]

# Spaces, quotes, and characters that cannot be seen: direction marks, spaces without width.
_AROUND = r"[\s\p{Cf}\p{Pi}\p{Pf}\"'`„]+"
_EDGES = regex.compile(rf"^{_AROUND}|{_AROUND}$")


def pasted(text: str) -> str:
    """Return the text without spaces, quotes and invisible characters at its ends."""
    return str(_EDGES.sub("", text))
