"""Texts as they are read aloud: words for numbers, no commands for an engine, pieces."""

from __future__ import annotations

import pytest

from kb.tts.language import language_of, letters_by_script
from kb.tts.reading import MOST_CHARS, pieces, readable

GERMAN = {
    "am 5.3.2024": "am fünften März zweitausendvierundzwanzig",
    "der 5.3.2024": "der fünfte März zweitausendvierundzwanzig",
    "am 3. Mai": "am dritten Mai",
    "um 14:30 Uhr": "um vierzehn Uhr dreißig",
    "um 1:00": "um ein Uhr",
    "3,5 %": "drei Komma fünf Prozent",
    "1.250 €": "eintausendzweihundertfünfzig Euro",
    "1 €": "ein Euro",
    "2,50 €": "zwei Euro fünfzig",
    "seit 1998": "seit neunzehnhundertachtundneunzig",
    "1998 Stück": "eintausendneunhundertachtundneunzig Stück",
    "21 °C": "einundzwanzig Grad Celsius",
    "1 h, 1 kg, 21 h": "eine Stunde, ein Kilogramm, einundzwanzig Stunden",
    "-5 Grad": "minus fünf Grad",
    "z. B. Dr. Meier": "zum Beispiel Doktor Meier",
    "Agent 007": "Agent null null sieben",
    "Version 1.2.3": "Version 1.2.3",
    "10-12 kg": "zehn-zwölf Kilogramm",
}
ENGLISH = {
    "on 2024-03-05": "on March fifth, twenty twenty-four",
    "on 2024-13-45": "on two thousand and twenty-four-thirteen-forty-five",
    "the 21st of May 1998": "the twenty-first of May nineteen ninety-eight",
    "at 9:05": "at nine oh five",
    "at 12:00": "at twelve o'clock",
    "3.5% of $1,250.50": "three point five percent of one thousand, two hundred and fifty dollars "
    "fifty",
    "e.g. 5kg & more": "for example five kilograms and more",
    "1,234 people": "one thousand, two hundred and thirty-four people",
    "see https://example.org/a?b=1": "see example dot org",
    "1 kg, 1 km/h, 1.1 kg": "one kilogram, one kilometre per hour, one point one kilograms",
    "in room 12b": "in room 12b",
}


@pytest.mark.parametrize(("written", "said"), GERMAN.items())
def test_german(written: str, said: str) -> None:
    assert readable(written, "de") == said


@pytest.mark.parametrize(("written", "said"), ENGLISH.items())
def test_english(written: str, said: str) -> None:
    assert readable(written, "en") == said


def test_other_languages_have_words_for_numbers_where_they_are_known() -> None:
    assert readable("Il y a 12 litres, 3,5", "fr") == "Il y a douze litres, trois virgule cinq"
    assert readable("12 3.5", "xx") == "12 3.5"


@pytest.mark.parametrize(
    ("hostile", "said"),
    [
        (
            "<speak><break time='1h'/>Hello</speak>",
            "speak break time equals 'one hour'/ Hello /speak",
        ),
        ("[[h@l'oU]] Hello", "h@l'oU Hello"),
        ("a\x00b\x1b[31m\r\nc", "ab[thirty-one metres\nc"),
        ("$(rm -rf ~) `id` '; DROP", "$(rm -rf ~) `id` '; DROP"),
        ("9" * 200, " ".join(["nine"] * 200)),
        ("...  !?", ""),
        ("", ""),
        ("<>{}", ""),
    ],
)
def test_an_engine_finds_no_command(hostile: str, said: str) -> None:
    assert readable(hostile, "en") == said


def test_pieces_are_bounded_and_complete() -> None:
    text = "One two. " * 200 + "x" * 1000 + " word" * 300 + "これは長い。" * 200
    found = list(pieces(text))
    assert max(map(len, found)) <= MOST_CHARS
    assert "".join("".join(found).split()) == "".join(text.split())
    assert list(pieces("One. Two! Three?")) == ["One. Two! Three?"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Das ist ein Test und nicht mehr", "de"), ("This is the test of it", "en"),
        ("Это тест", "ru"), ("これは漢字です", "ja"), ("这是一个", "zh"),
        ("C'est une maison", "fr"),
        ("12", "en"), ("", "en"),
    ],
)  # fmt: skip
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language


def test_letters_are_counted_by_script() -> None:
    found = letters_by_script("abc это これは漢字 12")
    assert found == {"Latin": 3, "Cyrillic": 3, "Hiragana": 3, "Han": 2}
