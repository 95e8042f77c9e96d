"""File names `YYYY-MM-DD_Title_videoId`: made safe for every system, and parsed."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from pathvalidate import sanitize_filename

from kb.errors import LibraryError
from kb.types import MediaItem

# Windows allows 260 characters for a whole path, including the drive and a final NUL; other
# programs need some of them for their own names.
PATH_LIMIT = 240  # UTF-16 units, which Windows counts
NAME_LIMIT = 255  # bytes, which Linux counts
LONGEST_SUFFIX = ".transcript.json"
UNDATED = "0000-00-00"
UNTITLED = "Untitled"

_STEM = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})_(.+)", re.DOTALL)
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_FILE_ID = re.compile(r"[0-9a-f]{12}")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Invisible format characters (Cf) change the direction of text or hide in names; these few join
# emoji and letters into one sign, and their removal would change what is shown.
_JOINERS = {"\u200c", "\u200d", *map(chr, range(0xE0020, 0xE0080))}


@dataclass(frozen=True, slots=True)
class StemParts:
    """The parts of a file name of this project; `published` is empty for an undated item."""

    published: str
    title: str
    short_id: str

    @property
    def is_youtube(self) -> bool:
        """True if the id has the form of a YouTube video id."""
        return _YOUTUBE_ID.fullmatch(self.short_id) is not None

    @property
    def is_file(self) -> bool:
        """True if the id has the form of a local file's id (12 hexadecimal digits)."""
        return _FILE_ID.fullmatch(self.short_id) is not None


def split_stem(stem: str) -> StemParts | None:
    """Return the parts of a name without extension, or None if it does not have this form.

    Titles may contain underscores, and ids may contain or begin with `_` and `-`: the last 11
    characters are the id if an underscore precedes them and they all are characters of YouTube ids;
    otherwise the id is the text after the last underscore.
    """
    match = _STEM.fullmatch(stem)
    if not match:
        return None
    date, rest = match[1], match[2]
    published = "" if date == UNDATED else date
    if len(rest) > 12 and rest[-12] == "_" and _YOUTUBE_ID.fullmatch(rest[-11:]):
        return StemParts(published, rest[:-12], rest[-11:])
    title, underscore, short_id = rest.rpartition("_")
    return StemParts(published, title, short_id) if underscore and title and short_id else None


def make_stem(item: MediaItem, folder: Path, *, number: int = 1) -> str:
    """Return the name of an item's files in `folder`, without suffix.

    Only the title is shortened, at the border of a visible character, so that every path has at
    most 240 characters. A `number` > 1 distinguishes items that would have the same name. Raises
    LibraryError if the folder's path is too long.
    """
    date = item.published[:10]
    date = date if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", date) else UNDATED
    tail = f" ({number})" if number > 1 else ""
    frame = f"{date}_{{}}{tail}_{file_id(item)}".replace("{}", "\0")
    path_room = PATH_LIMIT - _utf16_length(f"{folder}/{LONGEST_SUFFIX}{frame}") + 1
    name_room = NAME_LIMIT - len(f"{LONGEST_SUFFIX}{frame}") + 1

    def fits(title: str) -> bool:
        return _utf16_length(title) <= path_room and len(title.encode()) <= name_room

    title = shorten(file_title(item.title), fits).rstrip(" .")
    for candidate in (title, UNTITLED, "_"):
        if candidate and fits(candidate):
            return frame.replace("\0", candidate)
    raise LibraryError(
        "library.path_too_long",
        "The path of the library folder is too long for file names: {folder}",
        hint="Set KB_HOME to a folder with a shorter path.",
        folder=folder,
    )


def file_title(title: str) -> str:
    """Return a title as part of a file name on any system; empty if no character is allowed."""
    # A title of megabytes would take long below and would be shortened anyway.
    text = tidy_title(title[:2000])
    text = "".join(
        letter for letter in text if unicodedata.category(letter) != "Cf" or letter in _JOINERS
    )
    # pathvalidate cuts a long name at bytes: the title is shortened before, at whole characters.
    text = shorten(text, lambda head: len(head.encode()) <= NAME_LIMIT - 10)
    text = str(sanitize_filename(text, replacement_text=" ", platform="universal"))
    return " ".join(text.split()).rstrip(" .")


def tidy_title(title: str) -> str:
    """Return a title on one line: composed letters, no control characters, no lone surrogates."""
    text = unicodedata.normalize("NFC", title)
    kept = (
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(letter) == "Cs"
        else " "
        if unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Zs")
        else letter
        for letter in text
    )
    return " ".join("".join(kept).split())


def file_id(item: MediaItem) -> str:
    """Return the whole id as part of a file name; an id with other characters gets a hash.

    The hash distinguishes ids that are equal without their special characters.
    """
    short_id = item.short_id
    if _PLAIN_ID.fullmatch(short_id):
        return short_id
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", short_id)[:40].strip("-")
    digest = hashlib.sha256(item.id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{readable}-{digest}" if readable else digest


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """Return the longest beginning of whole visible characters (grapheme clusters) that fits.

    If `fits` holds for a text, it must hold for every beginning of the text.
    """
    if fits(text):
        return text
    import regex  # type: ignore[import-untyped]  # slow to import, and most names fit

    ends = list(accumulate(len(cluster) for cluster in regex.findall(r"\X", text)))
    # Bisection: False sorts before True, so that "does not fit" marks the end.
    count = bisect_right(ends, False, key=lambda end: not fits(text[:end]))
    return text[: ends[count - 1]] if count else ""


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
