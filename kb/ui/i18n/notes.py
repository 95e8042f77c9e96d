"""Texts about the notes of a language model."""

EN: dict[str, str] = {
    "notes_listen": "Listen",
    "notes_listen_help": "Reads the summary aloud on this machine.",
    "notes_title": "Noted by a language model",
    "notes_origin": "Written by {model} at {place}. The quotes are the transcript's own words.",
    "notes_old": "The transcript has changed since. Quotes may be of its earlier words until the "
    "notes are made again.",
    "notes_dropped": "{count} statements were dropped: the transcript does not prove them, or "
    "they had links or markup.",
    "notes_dropped_one": "1 statement was dropped: the transcript does not prove it, or it had "
    "links or markup.",
    "notes_unread": "{count} of {parts} parts got no usable answer.",
    "notes_short": "In one sentence",
    "notes_medium": "In a paragraph",
    "notes_long": "In detail",
    "notes_at": "Play from {start}",
}

DE: dict[str, str] = {
    "notes_listen": "Anhören",
    "notes_listen_help": "Liest die Zusammenfassung auf diesem Rechner vor.",
    "notes_title": "Von einem Sprachmodell notiert",
    "notes_origin": "Geschrieben von {model} auf {place}. Die Zitate sind die Worte des "
    "Transkripts.",
    "notes_old": "Das Transkript hat sich seither geändert. Zitate können von den früheren Worten "
    "sein, bis die Notizen neu gemacht sind.",
    "notes_dropped": "{count} Aussagen fielen weg: Das Transkript belegt sie nicht, oder "
    "sie hatten Links oder Auszeichnungen.",
    "notes_dropped_one": "1 Aussage fiel weg: Das Transkript belegt sie nicht, oder sie "
    "hatte Links oder Auszeichnungen.",
    "notes_unread": "{count} von {parts} Teilen bekamen keine brauchbare Antwort.",
    "notes_short": "In einem Satz",
    "notes_medium": "In einem Absatz",
    "notes_long": "Ausführlich",
    "notes_at": "Ab {start} abspielen",
}
