"""Texts of the models in the Settings tab."""

from __future__ import annotations

EN: dict[str, str] = {
    "part_models": "Models",
    "parts": "Steps after the transcript",
    "parts_help": "Fetched from PyPI or the model hub when the button is pressed.",
    "parts_step": "step: {step}",
    "parts_package": "in the Python package {package}",
    "parts_remove_question": "Remove {name} from this disk ({size})? Its step is left out until it "
    "is fetched again.",
    "parts_remove_question_other": "Remove {name} from this disk ({size})? Its step then uses "
    "{other}; what {other} cannot do is left out until {name} is fetched again.",
    "parts_fetched": "It is here: {path}. The steps of new recordings use it.",
    "task_add_part": "Fetching a model of a step",
    "models": "Recognizers",
    "models_about": "Nothing is fetched before a button is pressed, or a run needs it. Memory for "
    "models: {memory} ({device}). Fetched to {folder}, {free} free.",
    "models_unknown_memory": "unknown",
    "models_default": "used where none is chosen",
    "models_languages_one": "English only",
    "models_languages": "{count} languages",
    "models_size": "{size} to fetch",
    "models_on_disk": "{size} on this disk",
    "models_memory": "{least} to {most} of memory",
    "models_no_memory": "does not fit into the memory",
    "models_no_disk": "no room on the disk",
    "models_fetch": "Fetch",
    "models_fetch_of": "Fetch {name}",
    "models_remove": "Remove",
    "models_remove_question": "Remove {name} from this disk ({size})? A run that needs it fetches "
    "it again.",
    "models_removed": "{name} is removed: {size} are free again.",
    "models_removed_partly": "{name} is removed: {size} are free again; {left} of another program "
    "stay.",
    "models_bundled": "comes with the program",
    "models_folder": "a folder of yours",
    "models_state_ready": "here",
    "models_state_unverified": "here, compared at its first use",
    "models_state_damaged": "damaged",
    "models_state_refused": "refused",
    "models_state_missing": "its folder is not there",
    "models_state_": "not here",
    "models_operator": "Fetching and removing are left to the operator of this shared dashboard.",
}

DE: dict[str, str] = {
    "part_models": "Modelle",
    "parts": "Schritte nach den Worten",
    "parts_help": "Sie werden auf Knopfdruck von PyPI oder vom Modell-Hub geholt.",
    "parts_step": "Schritt: {step}",
    "parts_package": "im Python-Paket {package}",
    "parts_remove_question": "{name} von dieser Platte entfernen ({size})? Der Schritt entfällt, "
    "bis es wieder geholt ist.",
    "parts_remove_question_other": "{name} von dieser Platte entfernen ({size})? Der Schritt geht "
    "mit {other} weiter; was {other} nicht kann, entfällt, bis {name} wieder geholt ist.",
    "parts_fetched": "Es ist hier: {path}. Die Schritte neuer Aufnahmen nutzen es.",
    "task_add_part": "Ein Modell eines Schritts wird geholt",
    "models": "Erkenner",
    "models_about": "Nichts wird geholt, bevor ein Knopf gedrückt ist oder ein Lauf es braucht. "
    "Speicher für Modelle: {memory} ({device}). Geholt nach {folder}, {free} frei.",
    "models_unknown_memory": "unbekannt",
    "models_default": "gilt, wo keines gewählt ist",
    "models_languages_one": "nur Englisch",
    "models_languages": "{count} Sprachen",
    "models_size": "{size} zu holen",
    "models_on_disk": "{size} auf dieser Platte",
    "models_memory": "{least} bis {most} Speicher",
    "models_no_memory": "passt nicht in den Speicher",
    "models_no_disk": "kein Platz auf der Platte",
    "models_fetch": "Holen",
    "models_fetch_of": "{name} holen",
    "models_remove": "Entfernen",
    "models_remove_question": "{name} von dieser Platte entfernen ({size})? Ein Lauf, der es "
    "braucht, holt es wieder.",
    "models_removed": "{name} ist entfernt: {size} sind wieder frei.",
    "models_removed_partly": "{name} ist entfernt: {size} sind wieder frei; {left} eines anderen "
    "Programms bleiben.",
    "models_bundled": "gehört zum Programm",
    "models_folder": "ein eigener Ordner",
    "models_state_ready": "hier",
    "models_state_unverified": "hier, wird beim ersten Gebrauch verglichen",
    "models_state_damaged": "beschädigt",
    "models_state_refused": "abgelehnt",
    "models_state_missing": "sein Ordner ist nicht da",
    "models_state_": "nicht hier",
    "models_operator": "Holen und Entfernen bleibt dem Betreiber dieser geteilten Seite.",
}
