"""German of the clauses in which `gpu` gives reasons: for the CPU, a batch's size, a rest.

They are stored and sent in English without a code, so that a clause is known by its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

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
    "{left} GB are left for windows of {each} GB each": "{left} GB sind frei für Fenster von je "
    "{each} GB",
    "the card is at {now} °C, the limit is {limit} °C": "die Karte hat {now} °C, die Grenze ist "
    "{limit} °C",
    "another program draws on the screen with this card": "ein anderes Programm zeichnet mit "
    "dieser Karte auf den Bildschirm",
    "the card is kept below {share} of its time, so that the desktop does not stutter": "die Karte "
    "bleibt unter {share} ihrer Zeit, damit der Desktop nicht stockt",
}
_FIELD = re.compile(r"\\\{(\w+)\\\}")


def in_german(words: str) -> str:
    """Return a clause of these in German; any other text as it is."""
    return _german(words) or "; ".join(_german(each) or each for each in words.split("; "))


def _german(words: str) -> str:
    """Return one clause in German, empty for any other text."""
    for pattern, german in _patterns():
        if found := pattern.fullmatch(words):
            values = {name: in_german(value) for name, value in found.groupdict().items()}
            return german.format(**values)
    return ""


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(_compiled())


def _compiled() -> Iterator[tuple[re.Pattern[str], str]]:
    for english, german in DE.items():
        yield re.compile(_FIELD.sub(r"(?P<\1>.+)", re.escape(english))), german
