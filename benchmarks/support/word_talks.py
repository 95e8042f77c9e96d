"""Talk of six kinds, in which every word and its time are known, for `trust.py`.

The voices are held out: the demo recognizer was not trained on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tests.support.compose import Composition, compose
from tests.support.speech import bank

WORD_S = 0.45  # a word with the gap behind it
ITEM_WORDS = 230  # about 110 s of talk
LONG_ITEM_WORDS = 300
REPEATED = 0.3  # share of the words that are said two to four times in a row

Plan = list["str | float"]
Range = tuple[float, float]


def _words(count: int, rng: np.random.Generator) -> list[str]:
    return [str(word) for word in rng.choice(bank().words("en"), count)]


def continuous(count: int, rng: np.random.Generator) -> Plan:
    """Return a plan without a pause."""
    return [*_words(count, rng)]


def paused(
    count: int,
    rng: np.random.Generator,
    *,
    speech_s: Range = (2.0, 14.0),
    pause_s: Range = (0.35, 3.0),
    repeated: float = 0.0,
) -> Plan:
    """Return a plan of stretches of speech with pauses between them, both of random length.

    `repeated`: the share of the words that are said two to four times in a row.
    """
    plan: Plan = []
    spoken = 0
    while spoken < count:
        for word in _words(max(1, round(rng.uniform(*speech_s) / WORD_S)), rng):
            times = int(rng.integers(2, 5)) if rng.random() < repeated else 1
            plan += [word] * times
            spoken += times
        plan.append(float(rng.uniform(*pause_s)))
    return plan


def _kind(
    plan: Callable[..., Plan], item_words: int = ITEM_WORDS, noise_db: float | None = None,
    gap: Range = (0.03, 0.15), **options: object,
) -> Callable[..., Iterator[Composition]]:  # fmt: skip
    def items(
        count: int, rng: np.random.Generator, item_words: int = item_words
    ) -> Iterator[Composition]:
        voices = bank().voices("en", known=False)
        first = int(rng.integers(len(voices)))
        spoken = number = 0
        while spoken < count:
            voice = voices[(first + number) % len(voices)]
            chosen = plan(min(item_words, count - spoken), rng, **options)
            item = compose(bank(), chosen, voice, rng, gap=gap, noise_db=noise_db)
            yield item
            spoken, number = spoken + len(item.words), number + 1

    return items


KINDS = {
    "without pauses": _kind(continuous, gap=(0.03, 0.06)),
    "with pauses": _kind(paused),
    "noise": _kind(paused, noise_db=14.0),
    "bursts": _kind(paused, speech_s=(0.3, 2.5)),
    "long pauses": _kind(paused, LONG_ITEM_WORDS, speech_s=(20, 60), pause_s=(8, 30)),
    "repeats": _kind(paused, repeated=REPEATED),
}


def talk_items(kind: str, count: int, seed: int) -> Iterator[Composition]:
    """Return items of one kind with at least `count` words together; each is made when it is read.

    The same kind and seed always give the same items.
    """
    return KINDS[kind](count, np.random.default_rng([seed, list(KINDS).index(kind)]))
