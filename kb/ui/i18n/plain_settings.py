"""Texts of General and Advanced in the Settings tab: settings in plain language, their search.

Each choice of a setting has a text `plain_NAME_VALUE`.
"""

from __future__ import annotations

EN: dict[str, str] = {
    "settings_find": "Find a setting",
    "settings_find_placeholder": "A word, such as pause or e-mail",
    "settings_find_none": "No setting has “{words}”.",
    "settings_changed": "{count} changed",
    "settings_changed_one": "1 changed",
    "settings_default": "Default: {value}",
    "settings_not_default": "**Changed.** Default: {value}",
    "settings_empty": "empty",
    "general_help": "Written to {path}. This page uses changes at once, a worker after its next "
    "start. All other settings: Advanced.",
    "plain_hold_below": "Hold for review: less speech in words than (%)",
    "plain_hold_below_help": "A recording waits for you when less than this share of its speech "
    "has words that are free of doubt.",
    "plain_hold_errors": "Hold for review: wrong words from (%)",
    "plain_hold_errors_help": "A recording waits for you when this share of its words or more is "
    "likely wrong.",
    "plain_sinks": "Send finished transcripts to",
    "plain_sinks_help": "Without this library they cannot be searched here.",
    "plain_keep": "Keep of a download",
    "plain_keep_help": "Video takes about ten times the space of sound.",
    "plain_keep_audio": "Original audio",
    "plain_keep_mp3": "MP3",
    "plain_keep_mp4": "MP4 video",
    "plain_steps": "After the transcript",
    "plain_steps_help": "Speakers, text on the screen, search by meaning and the like.",
    "plain_steps_auto": "Everything this machine can do",
    "plain_steps_none": "Nothing",
    "plain_voice_profiles": "Suggest names of speakers by their voice",
    "plain_voice_profiles_help": "Voices are kept in the library. Ask the people for their "
    "consent.",
    "plain_min_free_gb": "Keep free on the disk (GB)",
    "plain_min_free_gb_help": "Downloads wait when less space is left.",
    "plain_run_email": "E-mail when a run ends",
    "plain_run_email_help": "Addresses, separated by commas. The mail server is set under "
    "Advanced, Digest.",
    "plain_digest": "Report of what is new",
    "plain_digest_help": "What came in, what failed, and how much room is left.",
    "plain_digest_off": "Never",
    "plain_digest_day": "Every day",
    "plain_digest_week": "Every week",
    "plain_public_url": "Address of this dashboard",
    "plain_public_url_help": "Links to the seconds of local recordings begin with it: set one that "
    "your colleagues can open.",
}

DE: dict[str, str] = {
    "settings_find": "Einstellung suchen",
    "settings_find_placeholder": "Ein Wort, etwa pause oder e-mail",
    "settings_find_none": "Keine Einstellung enthält „{words}“.",
    "settings_changed": "{count} geändert",
    "settings_changed_one": "1 geändert",
    "settings_default": "Vorgabe: {value}",
    "settings_not_default": "**Geändert.** Vorgabe: {value}",
    "settings_empty": "leer",
    "general_help": "Gespeichert in {path}. Diese Seite nutzt Änderungen sofort, ein Arbeiter nach "
    "seinem nächsten Start. Alle anderen: Erweitert.",
    "plain_hold_below": "Zur Durchsicht, wenn weniger Sprache Wörter hat als (%)",
    "plain_hold_below_help": "Eine Aufnahme wartet auf Sie, wenn ein kleinerer Anteil ihrer "
    "Sprache Wörter ohne Zweifel hat.",
    "plain_hold_errors": "Zur Durchsicht bei falschen Wörtern ab (%)",
    "plain_hold_errors_help": "Eine Aufnahme wartet auf Sie, wenn wahrscheinlich dieser Anteil "
    "ihrer Wörter oder mehr falsch ist.",
    "plain_sinks": "Fertige Transkripte gehen an",
    "plain_sinks_help": "Ohne diese Bibliothek sind sie hier nicht suchbar.",
    "plain_keep": "Von einem Download bleibt",
    "plain_keep_help": "Video braucht etwa zehnmal so viel Platz wie Ton.",
    "plain_keep_audio": "Originalton",
    "plain_keep_mp3": "MP3",
    "plain_keep_mp4": "MP4-Video",
    "plain_steps": "Nach dem Transkript",
    "plain_steps_help": "Sprecher, Text im Bild, Suche nach Bedeutung und Ähnliches.",
    "plain_steps_auto": "Alles, was dieser Rechner kann",
    "plain_steps_none": "Nichts",
    "plain_voice_profiles": "Namen von Sprechern nach ihrer Stimme vorschlagen",
    "plain_voice_profiles_help": "Stimmen werden in der Bibliothek aufbewahrt. Bitten Sie die "
    "Personen um ihr Einverständnis.",
    "plain_min_free_gb": "Auf der Platte frei lassen (GB)",
    "plain_min_free_gb_help": "Downloads warten, wenn weniger Platz bleibt.",
    "plain_run_email": "E-Mail, wenn ein Lauf endet",
    "plain_run_email_help": "Adressen, durch Kommas getrennt. Der Mailserver steht unter "
    "Erweitert, Bericht.",
    "plain_digest": "Bericht über Neues",
    "plain_digest_help": "Was dazukam, was fehlschlug und wie viel Platz bleibt.",
    "plain_digest_off": "Nie",
    "plain_digest_day": "Jeden Tag",
    "plain_digest_week": "Jede Woche",
    "plain_public_url": "Adresse dieser Oberfläche",
    "plain_public_url_help": "Links zu den Sekunden lokaler Aufnahmen beginnen damit: eine "
    "Adresse, die auch Kollegen öffnen können.",
}
