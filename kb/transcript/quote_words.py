"""Words that change what a sentence says: numbers, negations, opposites; English and German.

Two texts that differ in such a word say different things, however alike they are in letters.
"""

from __future__ import annotations

import re

NUMBERS = {
    "zero": "0", "null": "0", "one": "1", "eins": "1", "two": "2", "zwei": "2", "three": "3",
    "drei": "3", "four": "4", "vier": "4", "five": "5", "fünf": "5", "six": "6", "sechs": "6",
    "seven": "7", "sieben": "7", "eight": "8", "acht": "8", "nine": "9", "neun": "9", "ten": "10",
    "zehn": "10", "eleven": "11", "elf": "11", "twelve": "12", "zwölf": "12", "thirteen": "13",
    "dreizehn": "13", "fourteen": "14", "vierzehn": "14", "fifteen": "15", "fünfzehn": "15",
    "sixteen": "16", "sechzehn": "16", "seventeen": "17", "siebzehn": "17", "eighteen": "18",
    "achtzehn": "18", "nineteen": "19", "neunzehn": "19", "twenty": "20", "zwanzig": "20",
    "thirty": "30", "dreissig": "30", "forty": "40", "vierzig": "40", "fifty": "50",
    "fünfzig": "50", "sixty": "60", "sechzig": "60", "seventy": "70", "siebzig": "70",
    "eighty": "80", "achtzig": "80", "ninety": "90", "neunzig": "90",
}  # fmt: skip
"""A number's word and its digits; words are written as `str.casefold` does (ss for ß)."""

_QUANTITY_WORDS = """
    hundred thousand million millions billion billions trillion dozen half twice double triple
    quarter third percent per cent first second fourth fifth sixth seventh eighth ninth tenth
    dollar dollars euro euros pound pounds cent cents minute minutes hour hours day days week
    weeks month months year years decade century kilometre kilometres kilometer kilometers
    mile miles metre metres meter meters centimetre centimeter kilo kilos kilogram gram grams
    ton tons tonnes degree degrees monday tuesday wednesday thursday friday saturday sunday
    january february march april june july august september october november december hundert
    tausend million millionen milliarde milliarden billionen dutzend halb halbe doppelt
    dreifach viertel drittel prozent erste ersten erster zweite zweiten zweiter dritte dritten
    vierte fünfte sechste siebte achte neunte zehnte pfund stunde stunden tag tage tagen woche
    wochen monat monate monaten jahr jahre jahren jahrzehnt jahrhundert kilometer meilen meile
    minuten tonne tonnen grad montag dienstag mittwoch donnerstag freitag samstag sonntag
    januar februar märz mai juni juli oktober dezember
"""
_QUANTITIES = frozenset(_QUANTITY_WORDS.split())
_GERMAN_NUMBER = re.compile(
    r"(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|zwanzig|dreissig|vierzig"
    r"|fünfzig|sechzig|siebzig|achtzig|neunzig|hundert|tausend|zehn|und)+"
)

_NEGATING_WORDS = """
    not no never none nobody nothing nowhere neither nor without cannot hardly barely scarcely
    unless except lacks lacking fails failed refuses refused denies denied nicht nichts nie
    niemals niemand niemanden niemandem nirgends nirgendwo weder ohne kaum ausser kein keine
    keinen keinem keiner keines keinesfalls keineswegs verneint verweigert bestreitet
"""
NEGATIONS = frozenset(_NEGATING_WORDS.split())

_PAIRS = """
    rise fall; rises falls; rose fell; rising falling; rise drop; rises drops; rose dropped;
    increase decrease; increases decreases; increased decreased; increasing decreasing;
    grow shrink; grows shrinks; grew shrank; up down; upward downward; more less; more fewer;
    most least; many few; high low; higher lower; highest lowest; large small; larger smaller;
    big small; long short; longer shorter; fast slow; faster slower; early late; earlier later;
    before after; always never; always sometimes; all some; all none; every no; everyone nobody;
    everybody nobody; everything nothing; good bad; better worse; best worst; true false;
    right wrong; right left; open closed; opens closes; opened closed; begin end; begins ends;
    began ended; start stop; starts stops; started stopped; win lose; wins loses; won lost;
    buy sell; buys sells; bought sold; accept reject; accepts rejects; accepted rejected;
    allow forbid; allows forbids; allowed forbidden; allowed banned; safe dangerous; strong weak;
    stronger weaker; hot cold; warm cold; warmer colder; easy hard; easy difficult;
    cheap expensive; rich poor; old new; old young; full empty; with without; on off; in out;
    over under; above below; near far; public private; love hate; gain loss; profit loss;
    success failure; agree disagree; can cannot; will might; will may; must may; must might;
    should must; yes no; guilty innocent; alive dead; healthy sick; north south; east west;
    morning evening; enemy friend; war peace; first last; only also; support oppose;
    supports opposes; supported opposed; remember forget; push pull; add remove; adds removes;
    added removed; male female; man woman; he she; his her; steigen fallen; steigt fällt;
    stieg fiel; gestiegen gefallen; steigen sinken; steigt sinkt; stieg sank; gestiegen gesunken;
    zunehmen abnehmen; wächst schrumpft; wachsen schrumpfen; mehr weniger; meiste wenigste;
    meisten wenigsten; viel wenig; viele wenige; hoch niedrig; hoch tief; höher niedriger;
    höher tiefer; gross klein; grösser kleiner; lang kurz; länger kürzer; schnell langsam;
    schneller langsamer; früh spät; früher später; vor nach; vorher nachher; immer nie;
    immer manchmal; alle einige; alle keine; jeder niemand; alles nichts; gut schlecht;
    besser schlechter; beste schlechteste; gut böse; wahr falsch; richtig falsch; rechts links;
    offen geschlossen; öffnet schliesst; anfang ende; beginnt endet; begann endete;
    gewinnen verlieren; gewinnt verliert; gewann verlor; gewonnen verloren; kaufen verkaufen;
    kauft verkauft; gekauft verkauft; erlaubt verboten; sicher gefährlich; stark schwach;
    stärker schwächer; heiss kalt; warm kalt; wärmer kälter; leicht schwer; einfach schwierig;
    billig teuer; reich arm; alt neu; alt jung; voll leer; mit ohne; an aus; über unter;
    oben unten; nah fern; öffentlich privat; liebt hasst; gewinn verlust; erfolg misserfolg;
    ja nein; wird könnte; muss kann; muss darf; soll muss; schuldig unschuldig; lebendig tot;
    gesund krank; norden süden; osten westen; morgen abend; freund feind; krieg frieden;
    erste letzte; nur auch; für gegen; dafür dagegen; annehmen ablehnen; angenommen abgelehnt;
    er sie; mann frau
"""


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in _PAIRS.replace("\n", " ").split(";"):
        one, other = pair.casefold().split()
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


OPPOSITES = _opposites()
"""A word and those that say the opposite of it."""

_NEGATING_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "mis", "miss", "nicht")
_NEGATING_ENDS = (("ful", "less"), ("voll", "los"), ("haft", "los"))


def is_number(word: str) -> bool:
    """Return True for a number, an ordinal, a unit, a day and a month; `word` is case-folded."""
    return (
        any(each.isdigit() for each in word)
        or word in _QUANTITIES
        or word in NUMBERS
        or bool(_GERMAN_NUMBER.fullmatch(word) and word not in ("ein", "und"))
    )


def is_negation(word: str) -> bool:
    """Return True for a negation, also one that is contracted, such as won't."""
    return word in NEGATIONS or word.endswith("n't")


def are_opposites(one: str, other: str) -> bool:
    """Return True if a word says the opposite of another, by the table or by its syllables."""
    if any(each in OPPOSITES.get(stem, ()) for stem in _stems(one) for each in _stems(other)):
        return True
    short, long = sorted((one, other), key=len)
    if len(short) >= 4 and any(long == prefix + short for prefix in _NEGATING_PREFIXES):
        return True
    return any(
        {one, other} == {one.removesuffix(end) + end, one.removesuffix(end) + opposite}
        for with_it, without in _NEGATING_ENDS
        for end, opposite in ((with_it, without), (without, with_it))
        if one.endswith(end)
    )


def _stems(word: str) -> tuple[str, ...]:
    """Return a word, and without the ending of a German adjective: alte, alten, altes."""
    endings = ("en", "em", "er", "es", "e")
    cut = (word.removesuffix(each) for each in endings if word.endswith(each))
    return (word, *(stem for stem in cut if len(stem) >= 3))
