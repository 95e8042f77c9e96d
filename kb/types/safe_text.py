"""Guards for text of strangers on its way out: terminals, files, links, addresses.

Titles, channels, descriptions, transcripts, file names and error messages of sites come from
strangers. Each way out has one function here, and every face and exporter uses it. Cells of
spreadsheets have theirs in `spreadsheet_cells`; markup of a format is escaped in
`kb/transcript/formats/markup.py`.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from urllib.parse import urlsplit

# Controls of terminals (C0 without tab and line feed, DEL, C1) and lone surrogates.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Marks that change the order in which text is shown, and the invisible alphabet of tags.
# The flags of England, Scotland and Wales are written with it.
_FLAG = "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,8}\U000e007f)"
_HIDDEN = re.compile(f"{_FLAG}|[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_JSON_RAW = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]")
_CREDENTIALS = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/?#\s'\"<>]*@", re.IGNORECASE)
_UNSAFE = re.compile(
    r"weights_only|trust_remote_code|allow_pickle|safe_globals|verify\s*=\s*false|"
    r"no.?check.?certificates?|pickle_load|dangerous",
    re.IGNORECASE,
)
_HEADER_VALUE = re.compile("[!-~]*")  # printable ASCII without the space
BYTE_ORDER_MARK = "\ufeff"
HIDDEN = "…"

# Characters in an exported text: white space that some programs take for the end of a line, those
# that no program shows, and those that no file can hold.
_ODD_SPACE = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_UNSHOWN = re.compile(
    f"{_FLAG}|[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufffe\uffff]")
_TO_CLEAN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Return text without power over a terminal or over the order of its own letters.

    Controls are shown as escapes (`\\x1b`), marks of direction are removed; tabs and line feeds
    stay.
    """
    return _HIDDEN.sub(_flag, _CONTROLS.sub(_escaped, text))


def printable_json(text: str) -> str:
    """Return a JSON text with the same values in which those characters are escaped."""
    return _JSON_RAW.sub(_json_escaped, text)


def shown(text: str) -> str:
    """Return text for a terminal or a log: printable, and without passwords in addresses."""
    return hide_credentials(printable(text))


def hide_credentials(text: str) -> str:
    """Return text in which user name and password of every address are hidden."""
    return _CREDENTIALS.sub(rf"\1{HIDDEN}@", text)


def without_unsafe_advice(text: str) -> str:
    """Return the error text of a library without sentences that advise to give up a protection.

    PyTorch advises to load a file that it refused with `weights_only=False`, which runs code of the
    file.
    """
    sentences = re.split(r"(?<=[.!?])\s+", text)
    return " ".join(each for each in sentences if not _UNSAFE.search(each))


def command_argument(text: str) -> str:
    """Return text as one argument of a command that a user may copy into a shell.

    A shell runs what stands in `$(…)` or behind `;` of an address or a name.
    """
    safe = printable(text)
    if os.name == "nt":  # neither cmd nor PowerShell takes a quote or these signs inside quotes
        safe = re.sub(r'["`$%]', "", safe)
        return safe if re.fullmatch(r"[\w@+=:,./\\-]+", safe) else f'"{safe}"'
    return shlex.quote(safe)


def is_header_value(text: str) -> bool:
    """Return True if a secret can be sent in an HTTP header; the empty text can.

    The error that an HTTP library raises for another one contains the text.
    """
    return _HEADER_VALUE.fullmatch(text) is not None


def clean(text: str) -> str:
    """Return text for a file: without what programs drop, refuse or take for the end of a file.

    Line ends become `\\n`, other line and page separators a space. Controls and marks that change
    the order of letters are left out. Half characters (lone surrogates) and U+FFFE and U+FFFF,
    which are none, become U+FFFD. White space between words and all that is shown stay.
    """
    if not _TO_CLEAN.search(text):
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _NO_CHARACTER.search(text):
        # Two halves that stand together are one character.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        text = _NO_CHARACTER.sub("\ufffd", text)
    return _UNSHOWN.sub(_flag, _ODD_SPACE.sub(" ", text))


def spreadsheet_file(text: str) -> str:
    """Return CSV as a file has it: with a byte order mark, without which Excel reads no UTF-8.

    Text on stdout gets none, because the next program would read it as part of the first name.
    """
    return text if text.startswith(BYTE_ORDER_MARK) else BYTE_ORDER_MARK + text


def web_address(address: str) -> str:
    """Return an address that may become a link: http or https, without a password; else empty.

    `javascript:`, `data:`, `file:` and everything else that is not a page of the web gives an empty
    text.
    """
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in address):
        return ""
    address = address.strip()
    try:
        parts = urlsplit(address)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return ""
    except ValueError:
        return ""
    return without_credentials(address)


def without_credentials(address: str) -> str:
    """Return an address without user name and password."""
    return _CREDENTIALS.sub(r"\1", address)


def _flag(match: re.Match[str]) -> str:
    """Return the flag that was found; nothing for any other character."""
    return match[1] or ""


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode()


def _json_escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
