"""Redaction of foreign texts: keys, cookies and passwords are removed before a text is shown.

Every text of a library (an exception, a log line) passes through `redact` before it is shown,
because libraries put whole addresses and headers into their texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Each pattern keeps its first group and hides the rest of the match.
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(AIza)[0-9A-Za-z_-]{8,}",
        r"((?<![\w-])(?:[\w-]*[_-])?(?:(?:api)?key|token|passw(?:or)?d|pwd|secret|sig|signature"
        r"|session(?:id)?|credential|auth)=)[^&\s'\"<>]+",
        r"(\bx-goog-api-key['\"]?\s*[:=]\s*['\"]?)[^'\"\s,}]+",
        r"(\b(?:set-)?cookie['\"]?\s*[:=]\s*['\"]?)[^'\"\r\n}]+",
        r"(\b(?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?)[^'\"\r\n}]+",
        r"(\b[a-z][a-z0-9+.-]*://)[^/\s'\"<>?#]+(?=@)",
    )
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
HIDDEN = "…"


def redact(text: object, secrets: Iterable[str] = ()) -> str:
    """Return the text on one line without secrets: the given ones, and all with a known form.

    `secrets` shorter than four characters are not searched for: they would hide half the
    text, and no secret is that short.
    """
    shown = _COLOURS.sub("", str(text))
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= 4:
            shown = shown.replace(secret, HIDDEN)
    for pattern in _PATTERNS:
        shown = pattern.sub(rf"\g<1>{HIDDEN}", shown)
    return " ".join(shown.split())
