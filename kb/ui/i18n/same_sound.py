"""Texts about the same sound in several items."""

EN: dict[str, str] = {
    "sound_title": "The same sound",
    "sound_from": "From {title}",
    "sound_again": "Heard again in {title}",
    "sound_contains": "Contains parts of {title}",
    "sound_doubtful": "Perhaps the sound of {title}, at another speed or changed",
    "sound_unnamed": "an item without a title",
    "sound_gone": "{title} is gone from the library; its words stay here.",
    "sound_taken": "Length of the words that are taken from there: {time}.",
    "sound_place": "Here {start}–{end}, there from {there}.",
    "sound_places_more": "{count} more stretches",
    "sound_places_more_one": "1 more stretch",
    "sound_open": "Open",
    "sound_left": "The index of fingerprints is being made: {count} items are not compared yet. "
    "Open this page again, or make it at once: “Check the library” under Settings, Health.",
    "sound_left_one": "The index of fingerprints is being made: 1 item is not compared yet. "
    "Open this page again, or make it at once: “Check the library” under Settings, Health.",
    "recurring_title": "Recurs in the channel",
    "recurring_place": "{start}–{end}, in {count} items, found by {way}",
    "recurring_sound": "its sound",
    "recurring_text": "its words",
    "recurring_both": "its sound and its words",
    "recurring_more": "{count} more stretches",
    "recurring_more_one": "1 more stretch",
}
DE: dict[str, str] = {
    "sound_title": "Derselbe Ton",
    "sound_from": "Aus {title}",
    "sound_again": "Noch einmal zu hören in {title}",
    "sound_contains": "Enthält Teile von {title}",
    "sound_doubtful": "Vielleicht der Ton von {title}, in anderem Tempo oder verändert",
    "sound_unnamed": "einem Eintrag ohne Titel",
    "sound_gone": "{title} ist nicht mehr in der Bibliothek; die Worte bleiben hier.",
    "sound_taken": "Länge der von dort übernommenen Worte: {time}.",
    "sound_place": "Hier {start}–{end}, dort ab {there}.",
    "sound_places_more": "{count} weitere Abschnitte",
    "sound_places_more_one": "1 weiterer Abschnitt",
    "sound_open": "Öffnen",
    "sound_left": "Das Verzeichnis der Fingerabdrücke entsteht: {count} Einträge sind noch nicht "
    "verglichen. Diese Seite noch einmal öffnen oder es gleich anlegen: „Bibliothek prüfen“ unter "
    "Einstellungen, Zustand.",
    "sound_left_one": "Das Verzeichnis der Fingerabdrücke entsteht: 1 Eintrag ist noch nicht "
    "verglichen. Diese Seite noch einmal öffnen oder es gleich anlegen: „Bibliothek prüfen“ unter "
    "Einstellungen, Zustand.",
    "recurring_title": "Kehrt im Kanal wieder",
    "recurring_place": "{start}–{end}, in {count} Einträgen, gefunden am {way}",
    "recurring_sound": "Ton",
    "recurring_text": "Wortlaut",
    "recurring_both": "Ton und am Wortlaut",
    "recurring_more": "{count} weitere Abschnitte",
    "recurring_more_one": "1 weiterer Abschnitt",
}
