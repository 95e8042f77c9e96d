"""The language of a short text: by its script, else by words that each text has."""

from __future__ import annotations

from collections import Counter

import regex  # type: ignore[import-untyped]

# Scripts, each with the language that is taken for it.
SCRIPTS = {
    "Latin": "en", "Cyrillic": "ru", "Greek": "el", "Hiragana": "ja", "Katakana": "ja",
    "Han": "zh", "Hangul": "ko", "Arabic": "ar", "Hebrew": "he", "Devanagari": "hi",
    "Thai": "th", "Bengali": "bn", "Tamil": "ta", "Telugu": "te", "Gujarati": "gu",
    "Kannada": "kn", "Malayalam": "ml", "Georgian": "ka", "Armenian": "hy", "Ethiopic": "am",
    "Khmer": "km", "Lao": "lo", "Myanmar": "my", "Sinhala": "si", "Gurmukhi": "pa",
}  # fmt: skip
# Languages that are written in another script than Latin.
_OF_LANGUAGE: dict[str, tuple[str, ...]] = {
    **{code: (script,) for script, code in SCRIPTS.items() if script != "Latin"},
    "ja": ("Hiragana", "Katakana", "Han"),
    "ko": ("Hangul", "Han"),
    "yue": ("Han",),
    **dict.fromkeys(("uk", "bg", "be", "mk", "mn", "kk", "tg", "tt", "ba"), ("Cyrillic",)),
    **dict.fromkeys(("sr", "bs", "uz", "az"), ("Cyrillic", "Latin")),
    **dict.fromkeys(("fa", "ur", "ps", "sd"), ("Arabic",)),
    "yi": ("Hebrew",),
    **dict.fromkeys(("mr", "ne", "sa"), ("Devanagari",)),
    "as": ("Bengali",),
}

_WORDS = {
    "en": "the and of to is in that it for was you with are this have not be on they we",
    "de": "der die und das ist nicht ein eine zu den mit auf für von dem sich auch wird es wir",
    "fr": "le la les et est une dans pour que qui pas vous nous avec sur des du ce il elle",
    "es": "el los las y es una en que por para con no se del está pero como más su al",
    "it": "il gli e è una che di per non con sono della nel anche questo ma come più si alla",
    "pt": "o os e é uma que de para com não em do da se mais por como mas foi ao",
    "nl": "de het een en is niet van dat op te zijn met voor ook aan er maar wij naar bij",
    "pl": "i w na nie się że jest to z do jak po ale od tak przez są już być tym",
    "sv": "och att det är en som på för med inte av till den har ett om men vi jag så",
    "tr": "ve bir bu için ile da de çok ne var daha gibi ama olarak kadar değil o en mi",
}
_COUNTED = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_MOST_CHARS = 20_000


def scripts_of(language: str) -> tuple[str, ...]:
    """Return the scripts in which a language is written."""
    return _OF_LANGUAGE.get(language, ("Latin",))


def letters_by_script(text: str) -> Counter[str]:
    """Return the number of letters of each script; those of others are under an empty name."""
    found: Counter[str] = Counter()
    letters = regex.findall(r"\p{L}", text[:_MOST_CHARS])
    rest = "".join(letters)
    for script in SCRIPTS:
        if not rest:
            break
        kept = regex.sub(rf"\p{{{script}}}", "", rest)
        if len(kept) < len(rest):
            found[script] = len(rest) - len(kept)
            rest = kept
    # Letters of no script, such as the sign of a long vowel, are everywhere.
    if other := len(regex.sub(r"[\p{Common}\p{Inherited}]", "", rest)):
        found[""] = other
    return found


def language_of(text: str) -> str:
    """Return the code of a text's language; English where nothing tells."""
    letters = letters_by_script(text)
    if letters["Hiragana"] + letters["Katakana"]:
        return "ja"
    script = max(letters, key=letters.__getitem__, default="Latin")
    if script != "Latin":
        return SCRIPTS.get(script, "en")
    words = Counter(regex.findall(r"\p{L}+", text[:_MOST_CHARS].lower()))
    hits = {code: sum(words[word] for word in known) for code, known in _COUNTED.items()}
    best = max(hits, key=hits.__getitem__)
    return best if hits[best] else "en"
