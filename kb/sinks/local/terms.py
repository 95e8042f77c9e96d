"""The words of a query, and the other forms in which a passage may have them.

A query is parsed without the index (`parse_query`); `expand` adds to each word the forms that occur
in the index:

* `haus*`, `*haus`, `h*s`: words that fit the pattern;
* `covid19` and `COVID-19`, `dont` and `don't`, `email` and `e-mail`, `1000` and `1,000`: words
  that are written apart or together;
* `mueller` and `Müller`: umlauts written with two letters;
* `schifffahrt` in `Donaudampfschifffahrt`: words inside compounds, in languages that write
  compounds as one word, and in every language if the word is nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from unicodedata import category

from rapidfuzz import fuzz, process

from kb.sinks.local.tokenizer import tokens
from kb.sinks.local.vocabulary import Vocabulary

MAX_TERMS = 48
"""A long query is cut to this many different words; more cost time and add nothing."""
MAX_FORMS = 500
"""Forms of one word; of more, the shortest are used."""

_QUOTES = '"“”„‟«»‹›「」『』＂'
_QUOTED = re.compile(f"[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]")
# Names that differ from a letter only by signs: C++, C#, F#.
_SIGNED = re.compile(r"^(\w+)(\+\+|#)[.,;:!?)]*$")
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "å": "aa", "ø": "oe"}
)
_DIGITS_OR_LETTERS = re.compile(r"\d+|\D+")
_MIN_PATTERN_LETTERS = 2
_MIN_PART_LETTERS = 4  # of a compound, at its start or end; in its middle one more
_MIN_REST_LETTERS = 3
_MIN_PART_ANYWHERE = 6  # of a compound in a language that does not write compounds as one word
_MIN_SIMILARITY = 75.0  # of 100; `harbor` and `harbour` have 92
_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class Form:
    """Words that stand for a term when they are adjacent in a passage.

    `joined` forms count only where no space separates the words, `umlaut` forms only where the
    passage has an umlaut there (the index has none).
    """

    tokens: tuple[str, ...]
    joined: bool = False
    umlaut: bool = False

    @property
    def is_certain(self) -> bool:
        """True if the folded words alone decide that the form is there."""
        return not (self.joined or self.umlaut)


@dataclass(frozen=True, slots=True)
class Term:
    """One unit of a query: a word, or several that must be adjacent.

    `required` terms (quoted ones) must occur even when too few passages are found. `text` is the
    term as it was typed. `signs` must follow the word directly in the passage. `pattern` is a
    regular expression for the last token, from a word with `*`. `others` are the forms that
    `expand` has found.
    """

    tokens: tuple[str, ...]
    required: bool = False
    text: str = field(default="", compare=False)
    signs: str = ""
    pattern: str = ""
    others: tuple[Form, ...] = ()

    @property
    def is_certain(self) -> bool:
        """True if the folded words alone decide that the term is there."""
        return not self.signs and all(form.is_certain for form in self.others)

    @property
    def forms(self) -> tuple[Form, ...]:
        """All forms; a word with `*` has only those that fit."""
        return self.others if self.pattern else (Form(self.tokens), *self.others)


def parse_query(query: str) -> tuple[Term, ...]:
    """Return the terms of a query, in order, each once; none if it has no letter or digit.

    Text in quotation marks of any style is a phrase; an unmatched mark is punctuation.
    A word that folds to several (`e-mail`, a run of Han) is a phrase too. Never raises.
    """
    phrases = [
        Term(tuple(tokens(found)), required=True, text=found.strip())
        for found in _QUOTED.findall(query)
    ]
    words = [_word(word) for word in _QUOTED.sub(" ", query).split()]
    unique = dict.fromkeys(term for term in (*phrases, *words) if term.tokens)
    return tuple(unique)[:MAX_TERMS]


def _word(word: str) -> Term:
    if signed := _SIGNED.match(word):
        return Term(tuple(tokens(signed[1])), text=signed[1] + signed[2], signs=signed[2])
    word = _without_punctuation(word)
    pieces = [tokens(piece) for piece in word.split("*")]
    letters = sum(len(part) for piece in pieces for part in piece)
    folded = tuple(tokens(word))
    if len(pieces) < 2 or letters < _MIN_PATTERN_LETTERS:
        return Term(folded, text=word)
    if all(len(piece) <= 1 for piece in pieces):
        pattern = ".*".join(re.escape("".join(piece)) for piece in pieces)
        return Term(folded, text=word, pattern=pattern)
    if word.endswith("*") and "*" not in word[:-1]:  # e-ma*: the last word is a beginning
        return Term(folded, text=word, pattern=re.escape(folded[-1]) + ".*")
    return Term(folded, text=word)


def _without_punctuation(word: str) -> str:
    """Return a word without the signs around it, which are not shown among missing words."""
    kept = [at for at, sign in enumerate(word) if sign == "*" or category(sign)[0] not in "PS"]
    return word[kept[0] : kept[-1] + 1] if kept else ""


def expand(terms: Sequence[Term], words: Vocabulary) -> tuple[Term, ...]:
    """Return the terms with the other forms that occur in the index."""
    return tuple(term if term.required else _expanded(term, words) for term in terms)


def _expanded(term: Term, words: Vocabulary) -> Term:
    if term.signs:
        return term
    if term.pattern:
        # The pieces around a star inside a word are one token of the passage.
        before = () if term.text.count("*") > 1 or not term.text.endswith("*") else term.tokens[:-1]
        fitting = sorted(words.fitting(term.pattern), key=lambda word: (len(word), word))
        return replace(term, others=tuple(Form((*before, word)) for word in fitting[:MAX_FORMS]))
    found = dict.fromkeys(
        form
        for form in (*_joined(term), *_split(term, words), *_umlauts(term))
        if form.tokens != term.tokens and all(word in words for word in form.tokens)
    )
    if len(term.tokens) == 1:
        found |= dict.fromkeys(_compounds(term.tokens[0], words, is_known=bool(found)))
    return replace(term, others=tuple(found)[:MAX_FORMS])


def _joined(term: Term) -> Iterator[Form]:
    """Yield `covid19` for `COVID-19`, and `1000` for `1,000` (but not `35` for `3,5`)."""
    if len(term.tokens) < 2 or any(len(word) == 1 and ord(word) > 0x0E00 for word in term.tokens):
        return
    first, *rest = term.tokens
    is_number = all(word.isdigit() for word in term.tokens)
    if is_number and (len(first) > 3 or any(len(word) != 3 for word in rest)):
        return
    yield Form(("".join(term.tokens),))


def _split(term: Term, words: Vocabulary) -> Iterator[Form]:
    """Yield `covid 19` for `covid19`, `don t` for `dont`, `e mail` for `email`."""
    if len(term.tokens) != 1:
        return
    (word,) = term.tokens
    if word.isdigit():
        if len(word) > 3:
            first = len(word) % 3 or 3
            rest = [word[at : at + 3] for at in range(first, len(word), 3)]
            yield Form((word[:first], *rest))
        return
    is_known = word in words
    runs = _DIGITS_OR_LETTERS.findall(word)
    if len(runs) > 1:
        yield Form(tuple(runs), joined=is_known)
    for at in range(1, len(word)):
        parts = (word[:at], word[at:])
        if not all(part in words for part in parts):
            continue
        # "were" must not find "we're", but "dont" may find "don't" although it occurs itself.
        is_short_form = len(parts[1]) <= 2 and parts[1].isalpha() and len(parts[0]) > 1
        if is_known and is_short_form and not word.endswith("nt"):
            continue
        yield Form(parts, joined=is_known)
    if len(runs) > 2:
        for at in range(1, len(runs)):  # gpt4o: gpt 4o
            yield Form(("".join(runs[:at]), "".join(runs[at:])), joined=is_known)


def _umlauts(term: Term) -> Iterator[Form]:
    """Yield `mueller` for `Müller`, and `muller` (how the index has `Müller`) for `mueller`."""
    if (typed := term.text.translate(_UMLAUTS)) != term.text:
        yield Form(tuple(tokens(typed)))
    folded = tuple(re.sub("ae|oe|ue|aa", lambda two: two[0][0], word) for word in term.tokens)
    # å is a, and aa is how it is written without it; the others lose their e.
    if folded != term.tokens:
        yield Form(folded, umlaut=True)


def _compounds(word: str, words: Vocabulary, *, is_known: bool) -> Iterator[Form]:
    if len(word) < _MIN_PART_LETTERS or not word.isalpha():
        return
    is_known = is_known or word in words
    anywhere = not is_known and len(word) >= _MIN_PART_ANYWHERE
    fitting = words.containing(word, compounding_only=not anywhere)
    for compound in sorted(fitting, key=lambda found: (len(found), found)):
        before, _, after = compound.partition(word)
        rests = [part for part in (before, after) if part]
        short = any(len(part) < _MIN_REST_LETTERS for part in rests)
        inside = len(rests) == 2 and len(word) <= _MIN_PART_LETTERS
        if rests and not short and not inside:
            yield Form((compound,))


def suggestions(term: Term, words: Vocabulary) -> tuple[str, ...]:
    """Return the words of the index that are most like a term, best first."""
    found: list[str] = []
    for word in term.tokens:
        if word in words or len(word) < 3:
            continue
        near = process.extract(
            word, words.all, scorer=fuzz.ratio, score_cutoff=_MIN_SIMILARITY, limit=_SUGGESTIONS
        )
        longer = sorted(
            words.fitting(re.escape(word) + ".*"), key=lambda other: (len(other), other)
        )
        found += [str(other) for other, _, _ in near] + longer[:_SUGGESTIONS]
    return tuple(dict.fromkeys(found))[:_SUGGESTIONS]
