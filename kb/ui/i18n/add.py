"""Texts of the Add tab: how a run is made in one line, what a preset trades, and following."""

from __future__ import annotations

EN: dict[str, str] = {
    "how": "{choices} · **Change**",
    "how_language": "detect language",
    "preset_trade_stabil": "Safe: least memory, for small cards and long nights",
    "preset_trade_optimiert": "Balanced: quality and speed for every day",
    "preset_trade_schnell": "Fast: larger batches, needs more memory",
    "preset_trade_max": "Fastest: all of the card, nothing else beside it",
    "how_stabil": "Safe",
    "how_optimiert": "Balanced",
    "how_schnell": "Fast",
    "how_max": "Fastest",
    "plan_range": "~{range} on this machine",
    "follow_here": "Follow {name}",
    "follow_here_help": "New recordings of it are taken in by themselves, with the choices below: "
    "preset, recognizer, language, knowledge bases and filters.",
    "follow_here_past": "Recordings that are there already",
    "follow_here_all": "take in all",
    "follow_here_newest": "take in the newest …",
    "follow_here_none": "only new ones from now on",
    "follow_here_count": "How many",
    "follow_here_button": "Follow",
    "follow_here_done": "{name} is followed. Its state: Settings, Subscriptions.",
}

DE: dict[str, str] = {
    "how": "{choices} · **Ändern**",
    "how_language": "Sprache erkennen",
    "preset_trade_stabil": "Sicher: wenig Speicher, für kleine Karten und lange Nächte",
    "preset_trade_optimiert": "Ausgewogen: Qualität und Tempo für jeden Tag",
    "preset_trade_schnell": "Schnell: größere Batches, braucht mehr Speicher",
    "preset_trade_max": "Am schnellsten: die ganze Karte, nichts daneben",
    "how_stabil": "Sicher",
    "how_optimiert": "Ausgewogen",
    "how_schnell": "Schnell",
    "how_max": "Am schnellsten",
    "plan_range": "~{range} auf diesem Rechner",
    "follow_here": "{name} abonnieren",
    "follow_here_help": "Neue Aufnahmen werden von selbst aufgenommen, mit der Auswahl unten: "
    "Preset, Erkenner, Sprache, Wissensbasen und Filter.",
    "follow_here_past": "Aufnahmen, die es schon gibt",
    "follow_here_all": "alle hinzufügen",
    "follow_here_newest": "die neuesten hinzufügen …",
    "follow_here_none": "nur neue ab jetzt",
    "follow_here_count": "Wie viele",
    "follow_here_button": "Abonnieren",
    "follow_here_done": "{name} ist abonniert. Der Stand: Einstellungen, Abos.",
}
