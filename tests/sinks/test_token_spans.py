"""The quick way to the places of tokens is the same as the one character by character."""

from __future__ import annotations

import random

from kb.sinks.local import tokenizer

LETTERS = [chr(code) for code in range(128)] + list(
    "äöüßÄéÅøŁ½²ﬁ…—“”’٣ั漢字가나ひらİıΣς🙂㍿\u00ad\u200d\u0301\u0308\u0323\u00a0\u2003\u3000"
)
TEXTS = {
    "one to two": ("Grüße, Łódź!", [("grusse", 0, 5), ("lodz", 7, 11)]),
    "ASCII": ("R2-D2 said: go", [("r2", 0, 2), ("d2", 3, 5), ("said", 6, 10), ("go", 12, 14)]),
    "an accent of its own": ("cafe\u0301 x", [("cafe", 0, 5), ("x", 6, 7)]),
}


def test_places_of_known_texts() -> None:
    for name, (text, expected) in TEXTS.items():
        assert tokenizer.spans(text) == expected, name


def test_random_texts() -> None:
    rng = random.Random(1)
    for _ in range(4000):
        size = rng.randrange(30)
        text = "".join(rng.choice(LETTERS) if rng.random() < 0.7 else " " for _ in range(size))
        assert tokenizer.spans(text) == tokenizer._other_spans(text, 0), repr(text)
