"""Texts about translations of an item."""

EN: dict[str, str] = {
    "translation_title": "Translation",
    "translation_language": "Language",
    "translation_by": "Translated into {language} by {model}.",
    "translation_by_at": "Translated into {language} by {model} at {place}.",
    "translation_licence": "Licence of the model: {licence}.",
    "translation_machine": "Made by a machine, and not checked by a person.",
    "translation_old": "The words have changed since. This translation is neither found by "
    "searches nor exported until it is made again.",
    "translation_missing": "{count} segments have no translation: {marks}.",
    "translation_missing_one": "1 segment has no translation: {marks}.",
    "translation_other_medium": "It is of an earlier version of the medium.",
    "translation_show": "Side by side with the original",
    "translation_more": "More",
    "translation_at": "Play from {start}",
    "mark_failed": "no usable answer",
    "mark_untranslated": "came back untranslated",
    "mark_swapped": "answer of another line",
    "mark_length": "implausible length",
    "mark_markup": "link or markup",
    "mark_left_out": "doubtful, left out",
}

DE: dict[str, str] = {
    "translation_title": "Übersetzung",
    "translation_language": "Sprache",
    "translation_by": "Übersetzt ({language}) von {model}.",
    "translation_by_at": "Übersetzt ({language}) von {model} auf {place}.",
    "translation_licence": "Lizenz des Modells: {licence}.",
    "translation_machine": "Von einer Maschine gemacht und von keinem Menschen geprüft.",
    "translation_old": "Die Worte haben sich seitdem geändert. Diese Übersetzung wird weder "
    "gefunden noch exportiert, bis sie neu gemacht ist.",
    "translation_missing": "{count} Abschnitte haben keine Übersetzung: {marks}.",
    "translation_missing_one": "1 Abschnitt hat keine Übersetzung: {marks}.",
    "translation_other_medium": "Sie gehört zu einer früheren Fassung des Mediums.",
    "translation_show": "Neben dem Original",
    "translation_more": "Mehr",
    "translation_at": "Ab {start} abspielen",
    "mark_failed": "keine brauchbare Antwort",
    "mark_untranslated": "unübersetzt zurückgekommen",
    "mark_swapped": "Antwort zu einer anderen Zeile",
    "mark_length": "unwahrscheinliche Länge",
    "mark_markup": "Link oder Auszeichnung",
    "mark_left_out": "zweifelhaft, ausgelassen",
}
