"""The encoding of a transcript: as of every file of a user, and code pages of other scripts."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from kb.storage.user_text import UnreadableText, decode_user_text

# Texts in Latin letters have fewer bytes above 127; of Cyrillic, Greek, Chinese, Japanese and
# Korean texts in their own code pages, nearly all letters are above.
_FOREIGN_SCRIPT = 0.5
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # not those that a text may have


def decode(data: bytes) -> str:
    """Return the text of a file; line ends become `\\n`.

    UTF-8, UTF-16, UTF-32 and Windows-1252 as in `decode_user_text`; a text that is none of these
    and hardly has Latin letters is of the code page that fits best. Raises ValueError for bytes
    that are no text.
    """
    page = _code_page(data)
    try:
        text = data.decode(page, "replace") if page else decode_user_text(data)
    except UnreadableText as error:
        raise ValueError(error.message) from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROL.search(text):
        raise ValueError("it has control characters, so that it is no text")
    return text


def _code_page(data: bytes) -> str:
    """Return the code page of a script that is not Latin; empty for any other text."""
    marked = data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if marked or b"\0" in data:
        return ""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return ""
    high = sum(byte > 127 for byte in data)
    letters = sum(chr(byte).isalpha() for byte in data if byte < 128)
    if high >= _FOREIGN_SCRIPT * (letters + high):
        # A guess is made only here: for Latin letters it is wrong more often than Windows-1252.
        best = from_bytes(data).best()
        return best.encoding if best is not None else ""
    return ""
