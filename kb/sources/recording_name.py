"""The day of a recording in its file's name, as people and devices write it.

A name states a day only where it can be read in one way: `05.03.2024` may be in March or May and
`24-03-05` on the 5th or the 24th; they are left alone, and so are digits of phone numbers and ids.
Months by name are read in English and German.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from kb.types.days import as_recorded, local_day

# Letters that devices write directly before a compact date.
_PREFIXES = (
    "GMT", "IMG", "VID", "AUD", "PTT", "PXL", "MVIMG", "MOV", "REC", "RECORD", "RECORDING",
    "AUDIO", "VIDEO", "VOICE", "CALL", "SCREEN", "SCREENRECORDING", "SVID", "WA",
)  # fmt: skip
_GLUED = "|".join(sorted(_PREFIXES, key=len, reverse=True))
_HOUR, _SIXTY = r"(?:[01]\d|2[0-3])", r"[0-5]\d"
_CLOCK = rf"{_HOUR}(?P<gap>[.:_h-]?){_SIXTY}(?:(?P=gap)[0-5]\d)?(?:[.,_-]?\d{{3}})?"
# A time behind the date: 140000, 14.00.00, at 2.00.00 PM, T14-00-00Z.
_TIME = (
    rf"(?:(?:,?\s+at\s+|,?\s+um\s+|[\sT_-])(?!(?:19|20)\d\d(?![0-9T]))"
    rf"(?:{_CLOCK}|\d{{1,2}}[.:]\d\d(?:[.:]\d\d)?|{_HOUR} {_SIXTY})"
    rf"(?:\s?[AP]M)?(?P<zone>Z|\s?(?:UTC|GMT)(?:[+-]\d{{1,2}})?)?(?![0-9A-Za-z]))?"
)
_YEAR, _MONTH, _DAY = r"(?P<y>(?:18|19|20)\d\d)", r"(?P<m>\d\d?)", r"(?P<d>\d\d?)"
_NAME = (
    r"(?P<name>jan(?:uary|uar)?|j(?:ä|a\u0308)n(?:ner)?|feb(?:ruary|ruar)?|mar(?:ch)?|mrz|maerz|"
    r"m(?:ä|a\u0308)rz?|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?|sept?(?:ember)?|"
    r"o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_DATE_NUMBER = r"(?P<d>\d\d?)(?:st|nd|rd|th)?"
_NAMED_YEAR = r"(?P<y>(?:19|20)\d\d)"
_FORMS = (
    # 2024-03-05, 2024_03_05, 2024.03.05, 2024 03 05; with single digits only between dashes
    rf"{_YEAR}(?P<s>[-_. ])(?P<m>\d\d)(?P=s)(?P<d>\d\d){_TIME}",
    rf"{_YEAR}-{_MONTH}-{_DAY}{_TIME}",
    rf"{_YEAR}[年년] ?{_MONTH}[月월] ?{_DAY}[日일]",
    # 20240305, 20240305_140000, 20240305140000
    rf"(?P<glued>{_GLUED})?(?P<compact>{_YEAR}(?P<m>\d\d)(?P<d>\d\d))"
    rf"(?:(?P<clock>{_HOUR}{_SIXTY}{_SIXTY})(?:\d{{3}})?|{_TIME})",
    # 25.03.2024, 03-25-2024: one number is no month, or both are the same
    r"(?P<a>\d\d?)(?P<s>[-_./])(?P<b>\d\d?)(?P=s)(?P<y>(?:19|20)\d\d)" + _TIME,
    # 5 March 2024, 5. März 2024, 05-Mar-2024; March 5, 2024; 2024 March 5, 2024-Mar-05
    rf"{_DATE_NUMBER}\.?[ _-]?(?:of )?{_NAME}\.?,?[ _-]?{_NAMED_YEAR}{_TIME}",
    rf"(?<![^\W_]){_NAME}\.?[ _-]{_DATE_NUMBER},?[ _-]{_NAMED_YEAR}{_TIME}",
    rf"{_NAMED_YEAR}[ _-]?{_NAME}\.?[ _-]?{_DATE_NUMBER}(?![A-Za-z]){_TIME}",
)
_IDS = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # UUID
    r"|\[(?=[^\]]*[A-Za-z])[A-Za-z0-9_-]{11}\]"  # a video's id in brackets
    r"|(?:\+|(?<!\d)00)\d{1,3}[\d ()/-]{5,}\d",  # a phone number with its country
    re.IGNORECASE,
)
# `5-7 March 2024` is no day.
_RANGE = re.compile(r"\d\.?\s*(?:[-–—/&+,]|und|and|bis|to)\s*$", re.IGNORECASE)
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "mrz": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6, "jul": 7,
    "aug": 8, "sep": 9, "oct": 10, "okt": 10, "nov": 11, "dec": 12, "dez": 12,
}  # fmt: skip
_EDGE = " _-–—.,;:|·"
# These name no content: a name of nothing else stays whole.
_DEVICE_WORD = re.compile(
    r"(?:GMT|IMG|VID|AUD|PTT|PXL|MVIMG|SVID|MOV|REC|WA\d*|\d+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class NamedDay:
    """A day in a name (ISO date), and the name without it; the whole name if nothing is left."""

    day: str
    title: str


@dataclass(frozen=True, slots=True)
class _Found:
    day: str
    start: int
    end: int


def day_in_name(stem: str) -> NamedDay | None:
    """Return the day that a file name without extension states, None if it states none for sure.

    Of several different days the one at the beginning counts; without one there, none.
    """
    ids = [match.span() for match in _IDS.finditer(stem)]
    found = [
        each
        for each in _days(stem)
        if not any(each.start < end and start < each.end for start, end in ids)
    ]
    if not found:
        return None
    first = min(found, key=lambda each: (each.start, -each.end))
    if any(each.day != first.day for each in found) and stem[: first.start].strip(_EDGE + "(["):
        return None
    return NamedDay(first.day, _without(stem, first))


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Return the forms, compiled at first use: every command would pay for them otherwise."""
    return tuple(re.compile(form, re.IGNORECASE) for form in _FORMS)


def _days(stem: str) -> Iterator[_Found]:
    taken: list[tuple[int, int]] = []
    for pattern in _patterns():
        for match in pattern.finditer(stem):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            if not _stands_alone(stem, match):
                continue
            taken.append(match.span())
            if day := _day(match):
                yield _Found(day, *match.span())


def _stands_alone(stem: str, match: re.Match[str]) -> bool:
    """Return True if the digits are no part of a longer number or word."""
    before, after = stem[: match.start()], stem[match.end() :]
    if match.groupdict().get("name") and _RANGE.search(before):
        return False
    compact = bool(match.groupdict().get("compact"))
    if re.search(r"[0-9A-Za-z]$" if compact else r"[0-9]$", before):
        return False
    if re.match(r"[0-9A-Za-z]" if compact else r"[0-9]", after):
        return False
    if re.search(r"(?:\b|_)v(?:er(?:sion)?)?\.? ?$", before, re.IGNORECASE):
        return False
    # Digits before: a number of the track (`01_`, `03 `) has at most two.
    if match.groupdict().get("glued") is None and (
        number := re.search(r"(\+?)(\d+)([-./ ]|\) ?)$", before)
    ):
        allowed = 2 if number[3] in "- ." else 0
        if number[1] or len(number[2]) > allowed or (compact and number[3] in "-/"):
            return False
    # Digits after: a counter has at most three, behind an underscore or a compact date four.
    number = re.match(r"([-./]| (?=\d))(\d+)", after)
    return not number or len(number[2]) <= (3 if number[1] != "." else 0)


def _day(match: re.Match[str]) -> str:
    groups = match.groupdict()
    year = int(groups["y"])
    if name := groups.get("name"):
        plain = name.lower().replace("\u0308", "").replace("ä", "a").replace("mae", "ma")
        return as_recorded(year, _MONTHS[plain[:3]], int(groups["d"]))
    if groups.get("a"):
        first, second = int(groups["a"]), int(groups["b"])
        if first > 12 or first == second:
            return as_recorded(year, second, first)
        return as_recorded(year, first, second) if second > 12 else ""
    day = as_recorded(year, int(groups["m"]), int(groups["d"]))
    zone = groups.get("zone") or ""
    is_utc = zone.strip().upper() in ("Z", "UTC", "GMT") or (
        (groups.get("glued") or "").upper() == "GMT"
    )
    if day and is_utc and (moment := _utc_moment(match.group(), day)):
        return local_day(moment)
    return day


def _utc_moment(text: str, day: str) -> datetime | None:
    digits = re.sub(r"\D", "", text)[8:14].ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{day}T{digits[:2]}:{digits[2:4]}:{digits[4:6]}").replace(
            tzinfo=UTC
        )
    except ValueError:
        return None


def _without(stem: str, found: _Found) -> str:
    before = stem[: found.start].rstrip(_EDGE + "([")
    after = stem[found.end :].lstrip(_EDGE + ")]")
    words = [word for word in re.split(r"[^\w]|_", f"{before} {after}") if word]
    if all(_DEVICE_WORD.fullmatch(word) for word in words):
        return stem
    return f"{before} {after}".strip() if before and after else before or after
