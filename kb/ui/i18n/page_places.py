"""Places of the page in the place of commands, in the next steps of errors.

The core's next steps name commands. Where the page has a button or a tab for the same, its name
stands there; a command without such a place stays what it is: it is to be typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

EN: dict[str, str] = {
    "place_reindex": "“Check the library” under Settings, Health",
    "place_verify": "“Check the library” under Settings, Health",
    "place_backup": "“Back up now” under Settings, Health",
    "place_doctor": "Settings, Health",
    "place_worker": "“Start the worker” in the sidebar",
    "place_status": "the tab Activity",
    "place_retry": "“Retry” on the tab Activity",
    "place_cancel": "“Cancel” on the tab Activity",
    "place_dismiss": "“Dismiss” on the tab Activity",
    "place_show": "its page in the Library",
    "place_open": "its page in the Library",
    "place_export": "“Export” on its page in the Library",
    "place_remove": "“Remove” on its page in the Library",
    "place_review": "the tab Review",
    "place_again": "tab Add, “Transcribe again what is already in the library”",
    "place_ingest": "the tab Add",
    "place_publish": "the tab Publish",
    "place_sync": "the tab Publish",
    "place_ask": "the tab Publish",
    "place_search": "the search of the tab Library",
    "place_follow": "Settings, Subscriptions",
    "place_unfollow": "“Unfollow” under Settings, Subscriptions",
    "place_presets": "Settings, This machine",
    "place_calibrate": "“Measure now” under Settings, This machine",
    "place_enrich": "“Run steps” on its page in the Library",
    "place_translate": "“Translate” on its page in the Library",
    "place_speakers": "“Speakers” on its page in the Library",
    "place_speak": "“Voice” of a dub, on a page in the Library",
    "place_dub": "“Films, dubs and evidence” on its page in the Library",
    "place_vocabulary": "“Vocabulary” on the page of its channel",
    "place_correct": "“Correct a wording everywhere” on the page of its channel",
    "place_keys": "Settings, Keys",
    "place_models": "Settings, Models",
    "place_models_fetch": "“Fetch” under Settings, Models",
    "place_models_go_on": "“Resume fetching” under Settings, Models",
    "place_models_remove": "“Remove” under Settings, Models",
    "place_config": "Settings, Advanced",
    "place_logs": "Settings, Log",
}

DE: dict[str, str] = {
    "place_reindex": "„Bibliothek prüfen“ unter Einstellungen, Zustand",
    "place_verify": "„Bibliothek prüfen“ unter Einstellungen, Zustand",
    "place_backup": "„Jetzt sichern“ unter Einstellungen, Zustand",
    "place_doctor": "Einstellungen, Zustand",
    "place_worker": "„Arbeiter starten“ in der Seitenleiste",
    "place_status": "der Reiter Aktivität",
    "place_retry": "„Noch einmal“ im Reiter Aktivität",
    "place_cancel": "„Abbrechen“ im Reiter Aktivität",
    "place_dismiss": "„Verwerfen“ im Reiter Aktivität",
    "place_show": "seine Seite in der Bibliothek",
    "place_open": "seine Seite in der Bibliothek",
    "place_export": "„Ausgeben“ auf seiner Seite in der Bibliothek",
    "place_remove": "„Entfernen“ auf seiner Seite in der Bibliothek",
    "place_review": "der Reiter Durchsicht",
    "place_again": "Reiter Hinzufügen, „Noch einmal transkribieren, was schon in der Bibliothek "
    "ist“",
    "place_ingest": "der Reiter Hinzufügen",
    "place_publish": "der Reiter Veröffentlichen",
    "place_sync": "der Reiter Veröffentlichen",
    "place_ask": "der Reiter Veröffentlichen",
    "place_search": "die Suche im Reiter Bibliothek",
    "place_follow": "Einstellungen, Abos",
    "place_unfollow": "„Nicht mehr verfolgen“ unter Einstellungen, Abos",
    "place_presets": "Einstellungen, Dieser Rechner",
    "place_calibrate": "„Jetzt messen“ unter Einstellungen, Dieser Rechner",
    "place_enrich": "„Schritte ausführen“ auf seiner Seite in der Bibliothek",
    "place_translate": "„Übersetzen“ auf seiner Seite in der Bibliothek",
    "place_speakers": "„Sprecher“ auf seiner Seite in der Bibliothek",
    "place_speak": "„Stimme“ einer Synchronfassung, auf einer Seite der Bibliothek",
    "place_dub": "„Filme, Synchronfassungen und Belege“ auf seiner Seite in der Bibliothek",
    "place_vocabulary": "„Vokabular“ auf der Seite seines Kanals",
    "place_correct": "„Eine Wendung überall berichtigen“ auf der Seite seines Kanals",
    "place_keys": "Einstellungen, Schlüssel",
    "place_models": "Einstellungen, Modelle",
    "place_models_fetch": "„Holen“ unter Einstellungen, Modelle",
    "place_models_go_on": "„Holen fortsetzen“ unter Einstellungen, Modelle",
    "place_models_remove": "„Entfernen“ unter Einstellungen, Modelle",
    "place_config": "Einstellungen, Erweitert",
    "place_logs": "Einstellungen, Protokoll",
}

# A command with a place, or with one for a part of it alone (`kb models pull`).
NAMES = frozenset(key.split("_")[1] for key in EN) - {"again"}
PARTS = ("speakers", "screen", "meaning", "nemotron")  # of steps: rows under Settings, Models
# Models that always have a row there, with Fetch while they are not on this disk.
MODELS = frozenset(
    [
        "Qwen/Qwen3-ASR-0.6B-hf",
        "Qwen/Qwen3-ASR-1.7B-hf",
        "base",
        "base.en",
        "distil-large-v2",
        "distil-large-v3",
        "distil-large-v3.5",
        "distil-medium.en",
        "distil-small.en",
        "distil-whisper/distil-large-v2",
        "distil-whisper/distil-large-v3",
        "distil-whisper/distil-large-v3.5",
        "distil-whisper/distil-medium.en",
        "distil-whisper/distil-small.en",
        "large",
        "large-v2",
        "large-v3",
        "large-v3-turbo",
        "medium",
        "medium.en",
        "nvidia/parakeet-tdt-0.6b-v3",
        "openai/whisper-base",
        "openai/whisper-base.en",
        "openai/whisper-large",
        "openai/whisper-large-v2",
        "openai/whisper-large-v3",
        "openai/whisper-large-v3-turbo",
        "openai/whisper-medium",
        "openai/whisper-medium.en",
        "openai/whisper-small",
        "openai/whisper-small.en",
        "openai/whisper-tiny",
        "openai/whisper-tiny.en",
        "parakeet-tdt-0.6b-v3",
        "qwen3-asr-0.6b",
        "qwen3-asr-1.7b",
        "small",
        "small.en",
        "tiny",
        "tiny.en",
    ]
)
# Errors of a fetch that was stopped, whose row has another button.
_STOPPED = ("model.fetch_stopped", "model.fetch_paused")
_NAMES = "|".join(sorted(NAMES))
# What can follow a command in a sentence: an option, with or without a value; a placeholder; an
# id, an address or a path; a quoted text.
_COMMAND = re.compile(
    r"(?P<before>KB_\w+=\S+ )?`?\bkb (?P<name>" + _NAMES + r")\b"
    r"(?P<rest>(?: (?:add NAME|list|check"
    r"|(?:pull|verify|pause|cancel) [\w./:{}-]*[\w}]|add [a-z]+|remove\b"
    r"|--(?:again|all|stop|accept|failed|undo|list|renew|send|help|versions|keep|retry|wait|voices|repair|shared)\b"
    r"|--[a-z-]+ \w+=(?:\"[^\"]*\"|'[^']*')"
    r"|--[a-z-]+ [^\s,;.)`]+(?:,[^\s,;.)`]+)*"
    r"|\[?[A-ZÄÖÜ]{2,}[A-ZÄÖÜ_|]*\]?…?|…|\.\.\."
    r"|[\w.-]*[:/@=\d][^\s,;)`]*"
    r"|\"[^\"]*\"|'[^']*'))*)`?"
)


def with_places(hint: str, text: Callable[[str], str], code: str = "") -> str:
    """Return a next step with places of the page instead of commands; `code` is the error's."""

    def place(found: re.Match[str]) -> str:
        name, rest = found["name"], found["rest"]
        # For another process or machine: no button of this page does it.
        if found["before"] or (name == "worker" and rest) or re.search("--(undo|repair)", rest):
            return found[0]
        if name == "models":
            return _models_place(found[0], text, code)
        again = name in ("ingest", "review") and ("--again" in rest or "--retry" in rest)
        return text("place_again" if again else f"place_{name}")

    return _COMMAND.sub(place, hint)


def _models_place(command: str, text: Callable[[str], str], code: str) -> str:
    """Return the place of a command about models, the command where no row has its button."""
    words = command.strip("`").split()[2:]
    if not words or words[0] in ("list", "check"):
        return text("place_models")
    act, name = words[0], words[-1]
    if act == "remove" and "--shared" not in words:
        return text("place_models_remove")
    if act == "add" and name in PARTS:
        return text("place_models_fetch")
    if act == "pull" and "--again" not in words:
        if code in _STOPPED:
            return text("place_models_go_on")
        if name in MODELS:
            return text("place_models_fetch")
    return command
