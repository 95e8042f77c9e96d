"""German of the errors of backup, restore, verification and removal, by code."""

DE: dict[str, tuple[str, str]] = {
    "backup.disk_full": (
        "Die Platte ist voll: {path} lässt sich nicht kopieren.",
        "Platz schaffen, oder einen Ordner auf einer anderen Platte nennen.",
    ),
    "backup.locked": (
        "Ein anderes Programm sperrt die Datenbank {path}; sie lässt sich nicht lesen.",
        "Das Programm schließen, dann noch einmal versuchen.",
    ),
    "backup.database_damaged": (
        "Die Datenbank {path} ist beschädigt und lässt sich nicht kopieren: {reason}.",
        "Eine frühere Kopie an ihre Stelle setzen: kb restore",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
