"""Words that belong to the word behind them: articles, prepositions and conjunctions by language.

The subtitle guides of Netflix and the BBC end a line before such a word and not after it.
"""

from __future__ import annotations

from collections.abc import Mapping

_EN = (
    "a an the and or but of in on at to for with from by as if that than because my your his her "
    "its our their this these"
)
_DE = (
    "der die das den dem des ein eine einen einem einer und oder aber von in im an am auf aus bei "
    "mit nach zu zum zur für über unter vor dass wenn weil mein dein sein ihr unser"
)
_FR = "le la les un une des du de et ou mais à au aux en dans sur pour par avec que qui ce cette"
_ES = "el la los las un una unos unas y o pero de del al a en con por para que como"
_IT = "il lo la i gli le un uno una e o ma di a da in con su per che del nel"
_NL = "de het een en of maar van in op te aan bij met naar voor uit dat als"
_PT = "o a os as um uma e ou mas de do da em no na com por para que"

LEADING_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": _EN, "de": _DE, "fr": _FR, "es": _ES, "it": _IT, "nl": _NL, "pt": _PT,
    }.items()
}  # fmt: skip
