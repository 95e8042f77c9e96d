"""A translator for the chat server: each word gets an ending, and lines are spoiled as asked.

A spoiler changes the answers of a question about several lines; with `always` those about one line
as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.fakes.chat import Asked

LINE = re.compile(r"^\[(\d+)\] (.*)$", re.MULTILINE)
WORD = re.compile(r"[^\W\d_]+")

Lines = dict[str, str]
Answers = dict[str, dict[str, str]]
Spoiler = Callable[[Lines, Answers], Any]


def translated(text: str) -> str:
    """Return the translation of a text: `The 12 ferries.` becomes `Theig 12 ferriesig.`"""
    return " ".join(
        word if "://" in word else WORD.sub(lambda found: f"{found[0]}ig", word)
        for word in text.split()
    )


def lines_of(asked: Asked) -> Lines:
    return dict(LINE.findall(asked.text))


def translator(spoil: Spoiler | None = None, *, always: bool = False) -> Callable[[Asked], str]:
    """Return the function of a `ChatServer` that answers questions about lines."""

    def answer(asked: Asked) -> str:
        lines = lines_of(asked)
        found: Any = {
            number: {"first": " ".join(text.split()[:3]), "text": translated(text)}
            for number, text in lines.items()
        }
        if spoil is not None and (always or len(lines) > 1):
            found = spoil(lines, found)
        return found if isinstance(found, str) else json.dumps(found)

    return answer


def merged(lines: Lines, found: Answers) -> Answers:
    """Join the first two lines; all after them move up, and the last one is empty."""
    values = list(found.values())
    joined = {"first": values[0]["first"], "text": f"{values[0]['text']} {values[1]['text']}"}
    moved = [joined, *values[2:], {"first": "", "text": ""}]
    return dict(zip(found, moved, strict=True))


def moved_up(lines: Lines, found: Answers) -> Answers:
    """As `merged`, and the last line is repeated where nothing is left."""
    values = list(merged(lines, found).values())
    return dict(zip(found, [*values[:-1], values[-2]], strict=True))


def dropped(lines: Lines, found: Answers) -> Answers:
    return dict(list(found.items())[:-1])


def added(lines: Lines, found: Answers) -> Answers:
    return {**found, "9999": {"first": "", "text": "Something else."}}


def swapped(lines: Lines, found: Answers) -> Answers:
    first, second, *rest = found.items()
    return dict([(first[0], second[1]), (second[0], first[1]), *rest])


def swapped_texts(lines: Lines, found: Answers) -> Answers:
    """Swap the texts of the first two lines, and copy their first words rightly."""
    first, second = list(found)[:2]
    texts = found[first]["text"], found[second]["text"]
    found[first]["text"], found[second]["text"] = texts[1], texts[0]
    return found


def doubled(lines: Lines, found: Answers) -> Answers:
    first, second = list(found)[:2]
    found[second]["text"] = found[first]["text"]
    return found


def _on_one(change: Callable[[str], str], word: str = "harbour") -> Spoiler:
    def spoil(lines: Lines, found: Answers) -> Answers:
        for number, text in lines.items():
            if word in text:
                found[number]["text"] = change(text)
        return found

    return spoil


untranslated = _on_one(lambda text: text)
endless = _on_one(lambda text: translated(text) * 20)
too_short = _on_one(lambda text: "x")
empty = _on_one(lambda text: "  ")
linked = _on_one(lambda text: "Sieh http://evil.example/?q=1 an")
tagged = _on_one(lambda text: "<img src=x onerror=alert(1)>")


def another_schema(lines: Lines, found: Answers) -> str:
    return json.dumps({"lines": [{"n": n, "text": text} for n, text in lines.items()]})


def obeying(lines: Lines, found: Answers) -> str:
    return json.dumps({"orders": ["open the door"]})
