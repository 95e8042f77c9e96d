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
    "player_clip": "Clip",
    "player_clip_from": "Begin of the clip",
    "player_clip_to": "End of the clip",
    "player_clip_here_from": "From here",
    "player_clip_here_to": "To here",
    "player_clip_get": "Download clip",
    "player_clip_hear": "Hear it",
    "player_clip_help": "Drag over the waveform, or press Shift and click a line, to choose a "
    "stretch.",
    "player_clip_times": "Write two times, such as 1:05.5 and 1:12, the later one last.",
    "player_clip_busy": "Cutting …",
    "player_clip_done": "The clip is downloaded.",
    "player_clip_failed": "The clip was not made. Try again.",
    "player_clip_waits": "Other clips are being cut. Try again in a minute.",
    "player_speed": "Speed",
    "player_back": "10 s back",
    "player_forward": "10 s forward",
    "player_undock": "Pause and close",
    "compare_title": "Compare with another transcript",
    "compare_with": "Compare with",
    "compare_people": "Captions made by people, {name}",
    "compare_machine": "Automatic captions, {name}",
    "compare_version": "Earlier version, replaced on {name}",
    "compare_same": "Both have the same words.",
    "compare_rows": "{count} stretches differ.",
    "compare_rows_one": "1 stretch differs.",
    "compare_help": "Struck out: in the other one alone. Bold: in this transcript alone.",
    "compare_more": "{count} more stretches differ.",
    "compare_more_one": "1 more stretch differs.",
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
    "player_clip": "Ausschnitt",
    "player_clip_from": "Anfang des Ausschnitts",
    "player_clip_to": "Ende des Ausschnitts",
    "player_clip_here_from": "Ab hier",
    "player_clip_here_to": "Bis hier",
    "player_clip_get": "Ausschnitt herunterladen",
    "player_clip_hear": "Anhören",
    "player_clip_help": "Eine Strecke wählen: über die Wellenform ziehen, oder mit der "
    "Umschalttaste auf eine Zeile klicken.",
    "player_clip_times": "Zwei Zeiten schreiben, etwa 1:05,5 und 1:12, die spätere zuletzt.",
    "player_clip_busy": "Wird geschnitten …",
    "player_clip_done": "Der Ausschnitt ist heruntergeladen.",
    "player_clip_failed": "Der Ausschnitt wurde nicht gemacht. Noch einmal versuchen.",
    "player_clip_waits": "Andere Ausschnitte werden geschnitten. In einer Minute noch einmal "
    "versuchen.",
    "player_speed": "Tempo",
    "player_back": "10 s zurück",
    "player_forward": "10 s vor",
    "player_undock": "Anhalten und schließen",
    "compare_title": "Mit einem anderen Transkript vergleichen",
    "compare_with": "Vergleichen mit",
    "compare_people": "Untertitel von Menschen, {name}",
    "compare_machine": "Automatische Untertitel, {name}",
    "compare_version": "Frühere Fassung, ersetzt am {name}",
    "compare_same": "Beide haben dieselben Wörter.",
    "compare_rows": "{count} Abschnitte sind verschieden.",
    "compare_rows_one": "1 Abschnitt ist verschieden.",
    "compare_help": "Durchgestrichen: nur im anderen. Fett: nur in diesem Transkript.",
    "compare_more": "{count} weitere Abschnitte sind verschieden.",
    "compare_more_one": "1 weiterer Abschnitt ist verschieden.",
}
