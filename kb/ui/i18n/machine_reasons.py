"""Reasons that are stored and sent in English without a code, in the page's languages.

They are those of `gpu` and the recognizer for the CPU, a batch's size and a rest, the bases of a
forecast, and those for which a key of YouTube is not used. A clause is known by its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from kb.ui.i18n import with_marks

DE: dict[str, str] = {
    "this PyTorch is built without CUDA and ROCm": "dieses PyTorch ist ohne CUDA und ROCm gebaut",
    "an NVIDIA driver is installed": "ein NVIDIA-Treiber ist installiert",
    "no GPU was found (no device, or no driver)": "keine GPU gefunden (kein Gerät, oder kein "
    "Treiber)",
    "cuda:{index} does not exist (there is {available})": "cuda:{index} gibt es nicht (da ist "
    "{available})",
    "{card} is older than this PyTorch was built for ({first}.{then} and newer)": "{card} ist "
    "älter, als dieses PyTorch unterstützt (ab {first}.{then})",
    "this PyTorch holds no code for {card}": "dieses PyTorch hat keinen Code für {card}",
    "this PyTorch is built without MPS": "dieses PyTorch ist ohne MPS gebaut",
    "MPS is not available (it needs an Apple GPU and macOS 12.3)": "MPS ist nicht verfügbar (es "
    "braucht eine Apple-GPU und macOS 12.3)",
    "{name} fails at a first small computation: {failure}": "{name} scheitert an einer ersten "
    "kleinen Rechnung: {failure}",
    "KB_DEVICE={request} cannot be used: {reason}": "KB_DEVICE={request} geht nicht: {reason}",
    "KB_DTYPE={chosen} has no effect: {name} computes in {number}": "KB_DTYPE={chosen} wirkt "
    "nicht: {name} rechnet in {number}",
    "a CPU gains nothing from more than {count} windows at a time": "mehr als {count} Fenster "
    "zugleich machen einen Prozessor nicht schneller",
    "more at a time was no faster on this machine (kb calibrate, {day})": "mehr zugleich war auf "
    "diesem Rechner nicht schneller (gemessen am {day})",
    "{count} at a time did not fit into this machine's memory (kb calibrate, {day})": "{count} "
    "zugleich passten nicht in den Speicher dieses Rechners (gemessen am {day})",
    "measured (kb calibrate, {day})": "gemessen am {day}",
    "not measured yet (kb calibrate)": "noch nicht gemessen",
    "the last {count} items": "die letzten {count} Einträge",
    "the last item": "der letzte Eintrag",
    "{left} GB are left for windows of {each} GB each": "{left} GB sind frei für Fenster von je "
    "{each} GB",
    "the card is at {now} °C, the limit is {limit} °C": "die Karte hat {now} °C, die Grenze ist "
    "{limit} °C",
    "another program draws on the screen with this card": "ein anderes Programm zeichnet mit "
    "dieser Karte auf den Bildschirm",
    "the card is kept below {share} of its time, so that the desktop does not stutter": "die Karte "
    "bleibt unter {share} ihrer Zeit, damit der Desktop nicht stockt",
    "the GPU failed {count} times in a row, last with: {reason}": "die GPU ist {count}-mal in "
    "Folge ausgefallen, zuletzt so: {reason}",
    "memory ran out with {count} windows": "der Speicher reichte nicht für {count} Fenster",
    "the device's libraries refused {count} windows at once": "die Bibliotheken des Geräts haben "
    "{count} Fenster auf einmal abgelehnt",
    "growing again, to {count} windows": "er wächst wieder, auf {count} Fenster",
    "the device allows no more": "mehr lässt das Gerät nicht zu",
    "the preset's most is {count}": "das Preset endet bei {count}",
    "short requests are expected": "kurze Anfragen werden erwartet",
    "its daily allowance is used up": "sein Kontingent für heute ist verbraucht",
    "the service does not know it (wrong, expired or deleted)": "der Dienst kennt ihn nicht "
    "(falsch, abgelaufen oder gelöscht)",
    "the YouTube Data API is not enabled in its project": "die YouTube Data API ist in seinem "
    "Projekt nicht eingeschaltet",
    "it is not allowed to use the YouTube Data API": "er darf die YouTube Data API nicht benutzen",
    "it is restricted to certain websites": "er gilt nur für bestimmte Websites",
    "it is restricted to other network addresses": "er gilt nur für andere Netzadressen",
    "it is restricted to Android apps": "er gilt nur für Apps von Android",
    "it is restricted to iOS apps": "er gilt nur für Apps von iOS",
    "it is restricted to other addresses or websites": "er gilt nur für andere Adressen oder "
    "Websites",
    "billing is disabled in its project": "in seinem Projekt ist die Abrechnung ausgeschaltet",
    "its project is suspended": "sein Projekt ist gesperrt",
    "the service does not accept it": "der Dienst nimmt ihn nicht an",
}
# English is the words themselves, but for the command where the page has its own.
EN: dict[str, str] = {
    "more at a time was no faster on this machine (kb calibrate, {day})": "more at a time was no "
    "faster on this machine (measured on {day})",
    "{count} at a time did not fit into this machine's memory (kb calibrate, {day})": "{count} at "
    "a time did not fit into this machine's memory (measured on {day})",
    "measured (kb calibrate, {day})": "measured on {day}",
}
BY_LANGUAGE: dict[str, dict[str, str]] = {"en": EN, "de": DE}
_FIELD = re.compile(r"\\\{(\w+)\\\}")
_NESTED = frozenset(["reason", "failure"])  # fields that may have a reason again
_FIGURES = frozenset(["left", "each"])  # fields with a fraction


def translated(words: str, language: str) -> str:
    """Return a reason of these in a language; any other text as it is."""
    if language not in BY_LANGUAGE:
        return words
    return _clause(words, language) or "; ".join(
        _clause(each, language) or each for each in words.split("; ")
    )


def _clause(words: str, language: str) -> str:
    """Return one clause in a language, empty for any other text."""
    for pattern, template in _patterns(language):
        if found := pattern.fullmatch(words):
            values = {
                name: _value(name, value, language) for name, value in found.groupdict().items()
            }
            return template.format(**values)
    return ""


def _value(name: str, value: str, language: str) -> str:
    if name in _NESTED:
        return translated(value, language)
    return with_marks(value, language) if name in _FIGURES else value


@cache
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(_compiled(BY_LANGUAGE[language]))


def _compiled(table: Mapping[str, str]) -> Iterator[tuple[re.Pattern[str], str]]:
    for english, template in table.items():
        yield re.compile(_FIELD.sub(r"(?P<\1>.+)", re.escape(english))), template
