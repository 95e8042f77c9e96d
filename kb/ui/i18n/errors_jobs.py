"""German texts of the errors of `kb.jobs` and `kb.pipeline`, by code: message and hint."""

_LISTEN = (
    "Die zweifelhaften Sekunden anhören und im Reiter Bibliothek entscheiden, oder mit einem "
    "anderen Modell noch einmal aufnehmen: kb ingest --again --model ..."
)
_BRING_WHOLE_FILE = (
    "Die ganze Datei besorgen und noch einmal aufnehmen; was an Text da ist, lässt sich suchen."
)

DE: dict[str, tuple[str, str]] = {
    "hold.truncated": ("Die Datei sieht abgeschnitten aus.", _BRING_WHOLE_FILE),
    "hold.truncated_because": ("Die Datei sieht abgeschnitten aus: {warning}", _BRING_WHOLE_FILE),
    "hold.missing": (
        "Note {grade}: {missing_s:.1f} s erkannter Sprache sind ohne Text ({ratio:.0%} haben "
        "einen).",
        _LISTEN,
    ),
    "hold.doubtful": (
        "Note {grade}: {suspect_s:.1f} s des Textes sind zweifelhaft{why}.",
        _LISTEN,
    ),
    "hold.missing_and_doubtful": (
        "Note {grade}: {missing_s:.1f} s erkannter Sprache sind ohne Text ({ratio:.0%} haben "
        "einen); {suspect_s:.1f} s des Textes sind zweifelhaft{why}.",
        _LISTEN,
    ),
    "lane.paused_by_hand": ("von Hand angehalten", ""),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
