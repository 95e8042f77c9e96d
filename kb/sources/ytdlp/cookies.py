"""The cookies file: its good rows for yt-dlp, the numbers of its damaged rows, its secrets.

yt-dlp writes the text of a damaged row to standard error, past the logger that it is given, and
the values are secrets. So the file is read here first, and yt-dlp gets only what is well formed.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from kb import storage
from kb.errors import SettingsError
from kb.settings import Settings

HEADER = "# Netscape HTTP Cookie File\n"
_HTTP_ONLY = "#HttpOnly_"
_EXPIRES = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{1,9})?)?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_DOMAIN = re.compile(r"\.?[a-z0-9-]+(?:\.[a-z0-9-]+)+")
_SECRET_LENGTH = 6  # a shorter value in a message hides nothing and would hide plain words

log = logging.getLogger(__name__)
_reported: set[tuple[str, tuple[int, ...]]] = set()


@dataclass(frozen=True, slots=True)
class CookieFile:
    """The content of a cookies file.

    `text` has the good rows only and is empty without any; `damaged` has the numbers of the
    other rows, from 1; `secrets` are the values of all rows.
    """

    text: str = ""
    damaged: tuple[int, ...] = ()
    secrets: tuple[str, ...] = ()


def read_cookies(settings: Settings) -> CookieFile:
    """Return the content of the cookies file of the settings; empty if none is set.

    Damaged rows are named once in the log, by their numbers. Raises SettingsError when the file
    cannot be read and when it has no good row.
    """
    if not settings.cookies_file:
        return CookieFile()
    path = Path(settings.cookies_file).expanduser()
    found = parse_cookies(_read(path))
    if found.damaged and not found.text:
        raise SettingsError(
            "cookies.no_rows",
            "The cookies file {path} has no row that can be used; line {line} is the first damaged "
            "one.",
            hint="Export the cookies again in Netscape format (cookies.txt): seven columns, parted "
            "by tabs.",
            path=path,
            line=found.damaged[0],
        )
    if found.damaged and (str(path), found.damaged) not in _reported:
        _reported.add((str(path), found.damaged))
        log.warning(
            "%s: %s cannot be used and %s left out: no cookie has the form of seven columns "
            "parted by tabs there.",
            path,
            _lines(found.damaged),
            "is" if len(found.damaged) == 1 else "are",
        )
    return found


def cookie_secrets(settings: Settings) -> tuple[str, ...]:
    """Return the texts of the cookies file that must never be shown; empty if it is unreadable."""
    if not settings.cookies_file:
        return ()
    try:
        return parse_cookies(_read(Path(settings.cookies_file).expanduser())).secrets
    except SettingsError:
        return ()  # other code reports the error; an unreadable file has no text to hide


def parse_cookies(text: str) -> CookieFile:
    """Return the rows of a cookies file in Netscape format."""
    good: list[str] = []
    damaged: list[int] = []
    secrets: set[str] = set()
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        row = line.removeprefix(_HTTP_ONLY)
        if not row.strip() or row.startswith("#"):
            continue
        fields = row.split("\t")
        if _is_good(fields):
            good.append(line)
            secrets.add(fields[6].strip())
        else:
            damaged.append(number)
            secrets.update(_words(row))
    return CookieFile(
        HEADER + "".join(f"{line}\n" for line in good) if good else "",
        tuple(damaged),
        tuple(sorted(each for each in secrets if len(each) >= _SECRET_LENGTH)),
    )


def _read(path: Path) -> str:
    try:
        return storage.read_user_text(path)
    except (OSError, storage.UnreadableText) as error:
        raise SettingsError(
            "cookies.unreadable",
            "Cannot read the cookies file {path}: {reason}.",
            hint="Correct KB_COOKIES_FILE.",
            path=path,
            reason=storage.unreadable_reason(error),
        ) from None


def _is_good(fields: list[str]) -> bool:
    """Return True if Python's cookie jar accepts the row: its own error would have the text."""
    if len(fields) != 7 or any(map(_CONTROL.search, fields)):
        return False
    domain, with_subdomains, path, secure, expires, name, value = fields
    return (
        bool(domain.strip(". "))
        and domain == domain.strip()
        and with_subdomains in ("TRUE", "FALSE")
        and domain.startswith(".") == (with_subdomains == "TRUE")
        and path.startswith("/")
        and secure in ("TRUE", "FALSE")
        and _EXPIRES.fullmatch(expires) is not None
        and bool(name.strip() or value.strip())
    )


def _words(row: str) -> list[str]:
    """Return the words of a damaged row that may be secrets: all but domains and numbers."""
    words = re.split(r"[\s\"',;{}\[\]]+", row)
    values = [word.partition("=")[2] for word in words if "=" in word.strip("=")]
    return [
        word
        for word in (*words, *values)
        if not word.isdigit() and not _DOMAIN.fullmatch(word) and word not in ("FALSE", "TRUE")
    ]


def _lines(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")
    return f"line {shown}" if len(numbers) == 1 else f"lines {shown}"
