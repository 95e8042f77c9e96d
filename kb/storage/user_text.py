"""Reading of text files that a user or another program wrote.

Every file of a user is read here: `.env`, keys, cookies, presets, metadata, transcripts. Editors
on Windows write UTF-8 with a byte order mark, UTF-16 or the Windows code page. A path may name a
folder, a pipe or a device, and a file may be endless or no text at all. No reason that is given
here contains text of the file: it may be a secret.
"""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from kb.errors import KBError

MAX_SETTINGS_BYTES = 2**20  # of `.env`, keys, cookies and presets
MAX_DOCUMENT_BYTES = 2**29  # of transcripts and metadata; a day of speech has about 50 MB

# UTF-32 is compared first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class UnreadableText(KBError):
    """A file that is not read as text; the message is a clause, for use as a `reason`."""


def read_user_text(path: Path, max_bytes: int = MAX_SETTINGS_BYTES) -> str:
    """Return the text of a file in UTF-8, UTF-16, UTF-32 or Windows-1252.

    The byte order mark is removed; line ends stay as they are.

    Raises OSError as the system gives it, and UnreadableText for a folder, pipe or device, for a
    file of more than `max_bytes`, and for content that is no text.
    """
    return decode_user_text(read_user_bytes(path, max_bytes))


def read_user_bytes(path: Path, max_bytes: int = MAX_SETTINGS_BYTES) -> bytes:
    """Return the content of a regular file; raises as `read_user_text`."""
    # A pipe without a writer would block the opening for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if path.is_dir():  # Windows refuses to open a folder with a misleading error
            raise UnreadableText("text.folder", "it is a folder, not a file") from error
        raise
    try:
        about = os.fstat(handle)
        if stat.S_ISDIR(about.st_mode):
            raise UnreadableText("text.folder", "it is a folder, not a file")
        if not stat.S_ISREG(about.st_mode):
            raise UnreadableText("text.no_file", "it is a pipe or a device, not a file")
        # The size that the system gives may be 0 or grow meanwhile: the end is where nothing more
        # comes. To ask for `max_bytes` at once would make a buffer of that size.
        parts: list[bytes] = []
        left, ask = max_bytes + 1, about.st_size + 1
        while left > 0 and (part := os.read(handle, min(left, ask))):
            parts.append(part)
            left, ask = left - len(part), 2**20
    finally:
        os.close(handle)
    data = b"".join(parts)
    if len(data) > max_bytes:
        raise UnreadableText(
            "text.too_large", "it has more than {mb:g} MB", mb=round(max_bytes / 2**20, 3)
        )
    return data


def decode_user_text(data: bytes) -> str:
    """Return bytes as text; raises UnreadableText if they are no text.

    A byte order mark decides. Without one it is UTF-16 where every other byte is NUL, else UTF-8
    where that is valid, else Windows-1252.
    """
    data_without_mark = data.removeprefix(codecs.BOM_UTF8)
    if data_without_mark != data:
        return _decoded(data_without_mark, "utf-8")
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decoded(data, encoding)
    if b"\0" in data:
        encoding = _utf16_without_mark(data)
        if not encoding:
            line = data[: data.index(b"\0")].count(b"\n") + 1
            raise UnreadableText(
                "text.binary", "line {line} has a NUL character: it is no text file", line=line
            )
        return _decoded(data, encoding)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _decoded(data, "cp1252")


def reason(error: OSError | UnreadableText) -> KBError | str:
    """Return the error of `read_user_text` as a clause for the message of another error."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return error


def _utf16_without_mark(data: bytes) -> str:
    """Return the byte order of UTF-16 without a mark, empty if the bytes are not UTF-16.

    Line ends, blanks and Latin letters have a NUL as their high byte, so that nearly all NULs
    are at odd places (little-endian) or at even ones (big-endian), and there are many.
    """
    if len(data) % 2:
        return ""
    even, odd = data[::2].count(0), data[1::2].count(0)
    if min(even, odd) * 20 > max(even, odd) or max(even, odd) * 8 < len(data):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _decoded(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        width = {"utf-16": 2, "utf-32": 4}.get(encoding[:6], 1)
        before = data[: error.start - error.start % width]
        line = before.decode(encoding, "replace").count("\n") + 1
        raise UnreadableText(
            "text.encoding",
            "line {line} is neither UTF-8, UTF-16 nor Windows-1252",
            line=line,
        ) from None
    if "\0" in text:
        raise UnreadableText(
            "text.binary",
            "line {line} has a NUL character: it is no text file",
            line=text[: text.index("\0")].count("\n") + 1,
        )
    return text
