"""German texts of the errors of `kb.service`, `kb.cli` and `kb.ui`, by code: message and hint."""

DE: dict[str, tuple[str, str]] = {
    "options.metadata": (
        "{option} {pair!r} ist nicht key=value.",
        "So schreiben: {option} team=forschung",
    ),
    "options.stored": (
        "Gespeicherte Optionen eines Laufs, {name}: {problem}.",
        "Den Eintrag noch einmal einreihen: kb ingest QUELLE --again",
    ),
    "task.lost": (
        "Der Vorgang {name} endete ohne Ergebnis: sein Prozess ist weg.",
        "Noch einmal beginnen; was er getan hat, bleibt. Siehe {log}.",
    ),
    "task.unexpected": (
        "Der Vorgang {name} ist gescheitert: ein unerwarteter Fehler ({kind}).",
        "Siehe {log}.",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
