"""Texts of the open item: its acts, its player, and two transcripts beside each other."""

EN: dict[str, str] = {
    "item_edit": "Title, tags, note",
    "item_title": "Title",
    "item_title_help": "Empty gives back the title of its source: {title}",
    "item_tags": "Tags",
    "item_note": "Note",
    "item_save": "Save",
    "item_saved": "Saved.",
    "item_busy": "It is in the queue.",
    "player_keys_title": "Keys",
    "player_keys_list": "K: play, pause\n"
    "J L: 10 s back, 10 s forward\n"
    "← →: 5 s back, 5 s forward\n"
    "< >: slower, faster\n"
    "/: find in the transcript\n"
    "↑ ↓: line before, next line\n"
    "Enter: play the line\n"
    "E: correct the line\n"
    "?: show this list",
    "player_speed": "Speed",
    "player_back": "10 s back",
    "player_forward": "10 s forward",
}

DE: dict[str, str] = {
    "item_edit": "Titel, Schlagwörter, Notiz",
    "item_title": "Titel",
    "item_title_help": "Leer gibt den Titel der Quelle zurück: {title}",
    "item_tags": "Schlagwörter",
    "item_note": "Notiz",
    "item_save": "Speichern",
    "item_saved": "Gespeichert.",
    "item_busy": "Der Eintrag ist in der Warteschlange.",
    "player_keys_title": "Tasten",
    "player_keys_list": "K: abspielen, anhalten\n"
    "J L: 10 s zurück, 10 s vor\n"
    "← →: 5 s zurück, 5 s vor\n"
    "< >: langsamer, schneller\n"
    "/: im Transkript suchen\n"
    "↑ ↓: vorige Zeile, nächste Zeile\n"
    "Enter: die Zeile abspielen\n"
    "E: die Zeile berichtigen\n"
    "?: diese Liste zeigen",
    "player_speed": "Tempo",
    "player_back": "10 s zurück",
    "player_forward": "10 s vor",
}
