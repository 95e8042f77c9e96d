"""An hour of composed talk with quotes from it: true, altered in one word, and invented."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kb.types import Segment, Word

WORD_S = 0.4  # 9,000 words an hour

_SUBJECTS = "the harbour|a small company|the old council|our research group|the night train|"
_SUBJECTS += "every second farmer|the museum|a new committee|the water board|the northern region"
_VERBS = "has repaired|will probably study|wanted to measure|had to replace|tried to describe|"
_VERBS += "is planning to publish|has carefully collected|could not explain|decided to move"
_OBJECTS = "the wooden bridges|a collection of letters|the quality of drinking water|"
_OBJECTS += "a long series of interviews|the timetable of the ferries|the roofs of the houses|"
_OBJECTS += "a report about migrating birds|the machines in the workshop|the songs of the valley"
_ENDS = "because nobody had written it down|while the weather was changing|"
_ENDS += "although the money was needed elsewhere|and the neighbours were grateful for it|"
_ENDS += "so that visitors can understand it|which surprised most people in the room"
_NAME_WORDS = "Hamburg Lisbon Olsen Marseille Ruiz Tallinn Weber Kiruna Novak Palermo"
_NAMES = _NAME_WORDS.split()
_PLAIN_WORDS = "gladly quietly partly simply mostly openly"
_PLAIN = _PLAIN_WORDS.split()


@dataclass(frozen=True, slots=True)
class Case:
    """A quote, the segment that it is from, and the time of its first word; None if nobody said it.

    `kind`: exact, near (one ordinary word differs), altered (one negation, number or name), or
    invented.
    """

    kind: str
    quote: str
    segment: int
    start_s: float | None


def talk(words: int = 9_000, seed: int = 7) -> tuple[Segment, ...]:
    """Return the segments of a talk of so many words, each a sentence with a name and a number."""
    chance, segments, at, count = random.Random(seed), [], 0.0, 0
    while count < words:
        texts = _sentence(chance).split()
        spoken = tuple(
            Word(at + n * WORD_S, at + (n + 0.9) * WORD_S, text, 0.9)
            for n, text in enumerate(texts)
        )
        segments.append(Segment(spoken[0].start_s, spoken[-1].end_s, " ".join(texts), spoken))
        at, count = at + len(texts) * WORD_S, count + len(texts)
    return tuple(segments)


def cases(segments: tuple[Segment, ...], each: int = 50, seed: int = 11) -> list[Case]:
    """Return `each` true quotes, half of them exact, and as many altered and invented ones."""
    chance = random.Random(seed)
    found = []
    for number in range(each):
        index = chance.randrange(len(segments))
        texts = [word.text for word in segments[index].words]
        first = chance.randrange(max(1, len(texts) - 14))
        part = texts[first : first + 14]
        start_s = segments[index].words[first].start_s
        if number % 2:
            part = _replaced(part, chance)
        found.append(Case("near" if number % 2 else "exact", " ".join(part), index, start_s))
        index = chance.randrange(len(segments))
        altered = _altered([word.text for word in segments[index].words], number, chance)
        found.append(Case("altered", " ".join(altered), index, None))
        invented = " ".join(_invented(chance))
        found.append(Case("invented", invented, chance.randrange(len(segments)), None))
    return found


def _sentence(chance: random.Random) -> str:
    def one(choices: str) -> str:
        return chance.choice(choices.split("|"))

    name, count = chance.choice(_NAMES), chance.randrange(13, 990)
    return (
        f"In {name} {one(_SUBJECTS)} {one(_VERBS)} {one(_OBJECTS)} on {count} occasions "
        f"{one(_ENDS)}."
    )


def _replaced(texts: list[str], chance: random.Random) -> list[str]:
    """Return words of which one short, ordinary one is another."""
    places = [n for n, text in enumerate(texts[1:-1], 1) if text.islower() and len(text) <= 5
              and text not in ("not", "on", "could", "will", "new", "old")]  # fmt: skip
    place = chance.choice(places)
    return [*texts[:place], "this" if texts[place] != "this" else "that", *texts[place + 1 :]]


def _altered(texts: list[str], number: int, chance: random.Random) -> list[str]:
    """Return a sentence in which a negation, a number or a name is not what was said."""
    if number % 3 == 0:
        verb = next(n for n, text in enumerate(texts) if text in _AUXILIARIES)
        if texts[verb + 1] == "not":
            return [*texts[: verb + 1], *texts[verb + 2 :]]
        return [*texts[: verb + 1], "not", *texts[verb + 1 :]]
    if number % 3 == 1:
        place = next(n for n, text in enumerate(texts) if text.isdigit())
        return [*texts[:place], str(int(texts[place]) + 1), *texts[place + 1 :]]
    others = [name for name in _NAMES if name != texts[1]]
    return [texts[0], chance.choice(others), *texts[2:]]


_AUXILIARIES = frozenset(["has", "will", "wanted", "had", "tried", "is", "could", "decided"])


def _invented(chance: random.Random) -> list[str]:
    words = "moonlight trumpets were never painted under frozen rivers by seven honest sailors"
    texts = words.split()
    chance.shuffle(texts)
    return [chance.choice(_PLAIN), *texts]
