"""A text as it is read aloud: numbers, dates, times and abbreviations as words.

No engine finds markup or commands in it. Rules for German and English; of the other languages that
num2words knows, whole and decimal numbers alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal

from kb.tts.reading_words import ABBREVIATIONS, MONTHS, SIGNS, UNITS
from kb.types.safe_text import clean

MOST_CHARS = 400  # of a piece that an engine gets
_MOST_DIGITS = 15  # a longer number is read digit by digit
_COMMA = frozenset(("de", "fr", "es", "it", "pt", "nl", "pl", "sv", "tr", "ru", "da", "fi", "no"))
_MARKUP = re.compile(r"[<>{}\\]|\[\[|\]\]|[\ue000-\uf8ff]")
_URL = re.compile(r"\b(?:https?://|www\.)([^\s/]+)\S*", re.IGNORECASE)
_ISO_DATE = re.compile(r"(?<![\w-])(\d{4})-(\d{2})-(\d{2})(?![\w-])")
_DAY_FIRST = re.compile(r"(?<![\w.])(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})(?!\w)")
_TIME = re.compile(r"(?<![\w:])([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d)?(?: Uhr\b)?(?![\w:])")
_MONEY = re.compile(r"([€$£])\s?(\d[\d.,]*\d|\d)|(\d[\d.,]*\d|\d)\s?([€$£])")
_ORDINAL_EN = re.compile(r"(?<![\w.])(\d{1,6})(?:st|nd|rd|th)\b")
_ORDINAL_DE = re.compile(r"(?<![\w.,])(\d{1,3})\.(?= (?:%s)\b)")
_NUMBER = re.compile(r"(?<![\w.,])([-−]?)(\d+(?:[.,\u202f\u00a0']\d+)*)(?![\w])")
_ENDS = re.compile(r"(?<=[.!?…。！？])[\"'”’»)]*\s+|\n\s*\n|(?<=[。！？])")
_SOFT_ENDS = re.compile(r"(?<=[,;:–—，；、])\s*|\s+")


def readable(text: str, language: str) -> str:
    """Return a text with words for what is no word; empty if there is nothing to read."""
    text = unicodedata.normalize("NFC", clean(text)).replace("\u00ad", "")
    text = _MARKUP.sub(" ", text)
    text = _URL.sub(lambda m: m[1].replace(".", f" {SIGNS[language]['.']} "), text) if (
        language in SIGNS) else _URL.sub(lambda m: m[1], text)  # fmt: skip
    if language in ABBREVIATIONS:
        text = _with_words(text, language)
    text = _NUMBER.sub(lambda m: _number(m, language), text)
    text = re.sub(r"[ \t]+", " ", text).strip()
    return text if any(char.isalnum() for char in text) else ""


def pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces for an engine: sentences, or parts of long ones."""
    held = ""
    for sentence in filter(None, map(str.strip, _ENDS.split(text))):
        if held and len(held) + len(sentence) >= MOST_CHARS:
            yield held
            held = ""
        held = f"{held} {sentence}".strip()
        while len(held) > MOST_CHARS:
            cut = max(
                (m.end() for m in _SOFT_ENDS.finditer(held, 1, MOST_CHARS)), default=MOST_CHARS
            )
            yield held[:cut].strip()
            held = held[cut:].strip()
    if held:
        yield held


def _with_words(text: str, language: str) -> str:
    for short, long in ABBREVIATIONS[language].items():
        text = re.sub(rf"(?<!\w){re.escape(short)}(?!\w)", long, text)
    text = _MONEY.sub(lambda m: _money(m, language), text)
    text = _ISO_DATE.sub(lambda m: _date(m, language, m[1], m[2], m[3]), text)
    if language == "de":
        text = _DAY_FIRST.sub(lambda m: _date(m, language, m[3], m[2], m[1]), text)
        months = re.compile(_ORDINAL_DE.pattern % "|".join(MONTHS["de"]))
        text = months.sub(lambda m: _german_day(m, m[1]), text)
    text = _TIME.sub(lambda m: _clock(m, language), text)
    if language == "en":
        text = _ORDINAL_EN.sub(lambda m: _word(int(m[1]), "en", "ordinal"), text)
        text = re.sub(
            rf"\b(\d{{1,2}}) (?=(?:{'|'.join(MONTHS['en'])})\b)",
            lambda m: _word(int(m[1]), "en", "ordinal") + " of ", text,
        )  # fmt: skip
    units = "|".join(sorted(map(re.escape, UNITS[language]), key=len, reverse=True))
    text = re.sub(
        rf"(?<![\w.,])(1 ?)?(?<=\d)\s?({units})(?!\w)|(?<=\d)\s?({units})(?!\w)",
        lambda m: _unit(m, language), text,
    )  # fmt: skip
    for sign, word in SIGNS[language].items():
        if sign != ".":
            text = text.replace(sign, f" {word} ")
    return text


def _unit(match: re.Match[str], language: str) -> str:
    """Return the words of a unit, with those of a number 1 before it."""
    words = UNITS[language][match[2] or match[3]]
    if not match[1]:
        return f" {words}"
    first, space, rest = words.partition(" ")
    if language == "de":
        return f"eine {first[:-1]}" if first.endswith("en") else f"ein {words}"
    return f"one {first.removesuffix('s')}{space}{rest}"


def _number(match: re.Match[str], language: str) -> str:
    sign, digits = match[1], match[2]
    value = _parsed(digits, language)
    if value is None:
        return match[0]
    whole, decimals = value
    if len(whole) > _MOST_DIGITS or len(decimals) > _MOST_DIGITS or re.match("0[0-9]", whole):
        words = " ".join(_word(int(digit), language) for digit in whole + decimals)
    elif decimals:
        words = _word(Decimal(f"{whole}.{decimals}"), language)
    else:
        words = _word(int(whole), language, "year" if _is_year(match, language) else "cardinal")
    if words[:1].isdecimal():  # a language without words
        return match[0]
    # Between two numbers a dash is no minus.
    return f"{_MINUS[language]} {words}" if sign and language in _MINUS else f"{sign}{words}"


_MINUS = {"de": "minus", "en": "minus"}


def _is_year(match: re.Match[str], language: str) -> bool:
    digits = match[2]
    if language not in ("de", "en") or not (len(digits) == 4 and digits.isdecimal()):
        return False
    if match[1] or not 1100 <= int(digits) <= 2099:
        return False
    before = re.search(r"(\w+)[ ,]*$", _before(match))
    return before is not None and (
        before[1].lower() in _BEFORE_YEARS or before[1] in MONTHS[language]
    )


_BEFORE_YEARS = frozenset((
    "in", "since", "until", "from", "by", "year", "of", "im", "jahr", "jahre", "seit", "bis", "von",
    "ab", "um", "and", "und", "to",
))  # fmt: skip


def _before(match: re.Match[str]) -> str:
    """Return the characters before a match that may be the word before it."""
    return match.string[max(0, match.start() - 40) : match.start()]


def _parsed(digits: str, language: str) -> tuple[str, str] | None:
    """Return whole part and decimals of a number, None for one of another form (1.2.3)."""
    point = "," if language in _COMMA else "."
    groups = "." if point == "," else ","
    plain = re.sub(r"[\u202f\u00a0']", "", digits)
    whole, _, decimals = plain.partition(point)
    if groups in whole:
        if not re.fullmatch(rf"\d{{1,3}}(?:{re.escape(groups)}\d{{3}})+", whole):
            # Such as 3.5 in a German text: a single mark between other digits is the point.
            first, _, rest = plain.partition(groups)
            return (first, rest) if first.isdecimal() and rest.isdecimal() else None
        whole = whole.replace(groups, "")
    if not whole.isdecimal() or (decimals and not decimals.isdecimal()):
        return None
    return whole, decimals


def _word(number: int | Decimal, language: str, form: str = "cardinal") -> str:
    """Return the words of a number; its digits in a language without them."""
    from num2words import num2words

    try:
        return str(num2words(number, lang=language, to=form))
    except (NotImplementedError, OverflowError, ValueError, TypeError, KeyError, IndexError):
        return str(number)


def _date(match: re.Match[str], language: str, year: str, month: str, day: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return match[0]
    name = MONTHS[language][int(month) - 1]
    said_year = _word(int(year), language, "year")
    if language == "de":
        return f"{_german_day(match, day)} {name} {said_year}"
    return f"{name} {_word(int(day), language, 'ordinal')}, {said_year}"


def _german_day(match: re.Match[str], day: str) -> str:
    """Return the ordinal of a day with the ending that the word before it asks for."""
    before = re.search(r"(\w+) *$", _before(match))
    word = before[1].lower() if before else ""
    ending = "n" if word in _BEFORE_DAYS else "" if word == "der" else "r"
    return _word(int(day), "de", "ordinal") + ending


_BEFORE_DAYS = frozenset(("am", "vom", "zum", "dem", "den", "bis", "seit", "ab", "beim"))


def _clock(match: re.Match[str], language: str) -> str:
    hour, minute = int(match[1]), int(match[2])
    if language == "de":
        said = f"{_word(hour, 'de') if hour != 1 else 'ein'} Uhr"
        return f"{said} {_word(minute, 'de')}" if minute else said
    said = _word(hour, "en")
    if not minute:
        return f"{said} o'clock"
    return f"{said} {'oh ' if minute < 10 else ''}{_word(minute, 'en')}"


def _money(match: re.Match[str], language: str) -> str:
    sign, digits = match[1] or match[4], match[2] or match[3]
    one, many = _MONEY_WORDS[language][sign]
    whole, decimals = _parsed(digits, language) or ("", "")
    if not whole or len(whole) > _MOST_DIGITS:
        return match[0]
    if whole == "1" and not decimals:
        said = f"ein {one}" if language == "de" else f"one {one}"
    else:
        said = f"{_word(int(whole), language)} {many}"
    cents = decimals[:2].ljust(2, "0") if decimals else "00"
    return f"{said} {_word(int(cents), language)}" if int(cents) else said


_MONEY_WORDS: dict[str, dict[str, tuple[str, str]]] = {
    "de": {"€": ("Euro", "Euro"), "$": ("Dollar", "Dollar"), "£": ("Pfund", "Pfund")},
    "en": {"€": ("euro", "euros"), "$": ("dollar", "dollars"), "£": ("pound", "pounds")},
}
