"""Texts of the options of an export: the layout of its subtitles."""

from __future__ import annotations

EN: dict[str, str] = {
    "option_layout": "Subtitle layout",
    "option_layout_standard": "Standard",
    "option_layout_netflix": "Netflix",
    "option_layout_bbc": "BBC",
    "option_layout_one-word": "One word at a time",
    "option_layout_vertical": "Vertical video",
    "option_layout_help": "The figures of all fields that are left empty.",
    "option_max_line_width": "Columns a line",
    "option_max_line_width_help": "A Chinese, Japanese or Korean character takes two columns. "
    "A single longer word or address stays whole.",
    "option_max_line_count": "Lines a subtitle",
    "option_max_words_per_line": "Words a line",
    "option_highlight_words": "Highlight the spoken word",
    "option_max_chars_per_second": "Characters a second",
    "option_max_chars_per_second_help": "A subtitle stays longer where the speech leaves time. "
    "Empty: by script, 17 for Latin letters, 12 Korean, 9 Chinese, 4 Japanese.",
    "option_cue_gap": "Gap (s)",
    "option_cue_gap_help": "Seconds between two subtitles that follow each other.",
    "option_min_cue_duration": "Shortest (s)",
    "option_min_cue_duration_help": "Unless the next words come sooner.",
    "option_max_cue_duration": "Longest (s)",
}

DE: dict[str, str] = {
    "option_layout": "Untertitel-Layout",
    "option_layout_standard": "Standard",
    "option_layout_netflix": "Netflix",
    "option_layout_bbc": "BBC",
    "option_layout_one-word": "Wort für Wort",
    "option_layout_vertical": "Hochformat-Video",
    "option_layout_help": "Die Werte aller Felder, die leer bleiben.",
    "option_max_line_width": "Spalten je Zeile",
    "option_max_line_width_help": "Ein chinesisches, japanisches oder koreanisches Zeichen nimmt "
    "zwei Spalten ein. Ein einzelnes längeres Wort und eine Adresse bleiben ganz.",
    "option_max_line_count": "Zeilen je Untertitel",
    "option_max_words_per_line": "Wörter je Zeile",
    "option_highlight_words": "Gesprochenes Wort hervorheben",
    "option_max_chars_per_second": "Zeichen pro Sekunde",
    "option_max_chars_per_second_help": "Ein Untertitel bleibt länger stehen, wo die Rede Zeit "
    "lässt. Leer: je Schrift, 17 für lateinische Buchstaben, 12 koreanisch, 9 chinesisch, "
    "4 japanisch.",
    "option_cue_gap": "Lücke (s)",
    "option_cue_gap_help": "Sekunden zwischen zwei aufeinanderfolgenden Untertiteln.",
    "option_min_cue_duration": "Kürzeste Dauer (s)",
    "option_min_cue_duration_help": "Wenn die nächsten Wörter nicht früher kommen.",
    "option_max_cue_duration": "Längste Dauer (s)",
}
