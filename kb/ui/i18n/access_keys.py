"""Texts of the keys of the HTTP API."""

from __future__ import annotations

EN: dict[str, str] = {
    "api_keys": "Keys of the HTTP API",
    "api_keys_help": "For programs and assistants that use this library through its HTTP API.",
    "api_keys_none": "No key yet.",
    "api_key_made": "The key for **{name}**. Copy it now: it cannot be shown again.",
    "api_key_taken": "I have copied it",
    "api_key_revoke": "Revoke",
    "api_key_revoke_sure": "Revoke the key of {name}? Its program is refused from then on.",
    "api_key_revoked": "The key of {name} is revoked.",
    "api_key_of": "{used} of {all}",
    "api_key_day": "today {used} of audio",
    "api_key_month": "this month {used}",
    "api_key_used": "last used {when}",
    "api_key_unused": "never used",
    "api_scope_speech": "transcribe",
    "api_scope_jobs": "add recordings",
    "api_scope_search": "search and read",
    "api_scope_paid": "paid requests",
    "api_scope_admin": "administer",
    "api_key_name": "Name of the program or person",
    "api_key_name_placeholder": "Notebook of Ada",
    "api_key_scopes": "It may",
    "api_key_hours": "Hours of audio a day",
    "api_key_any": "no limit",
    "api_key_add": "Make a key",
}

DE: dict[str, str] = {
    "api_keys": "Schlüssel der HTTP-API",
    "api_keys_help": "Für Programme und Assistenten, die diese Bibliothek über ihre HTTP-API "
    "nutzen.",
    "api_keys_none": "Noch kein Schlüssel.",
    "api_key_made": "Der Schlüssel für **{name}**. Kopieren Sie ihn jetzt: Er lässt sich nicht "
    "noch einmal anzeigen.",
    "api_key_taken": "Ich habe ihn kopiert",
    "api_key_revoke": "Sperren",
    "api_key_revoke_sure": "Den Schlüssel von {name} sperren? Sein Programm wird dann abgewiesen.",
    "api_key_revoked": "Der Schlüssel von {name} ist gesperrt.",
    "api_key_of": "{used} von {all}",
    "api_key_day": "heute {used} Ton",
    "api_key_month": "diesen Monat {used}",
    "api_key_used": "zuletzt benutzt {when}",
    "api_key_unused": "nie benutzt",
    "api_scope_speech": "transkribieren",
    "api_scope_jobs": "Aufnahmen hinzufügen",
    "api_scope_search": "suchen und lesen",
    "api_scope_paid": "bezahlte Anfragen",
    "api_scope_admin": "verwalten",
    "api_key_name": "Name des Programms oder der Person",
    "api_key_name_placeholder": "Notebook von Ada",
    "api_key_scopes": "Er darf",
    "api_key_hours": "Stunden Ton am Tag",
    "api_key_any": "unbegrenzt",
    "api_key_add": "Schlüssel erstellen",
}
