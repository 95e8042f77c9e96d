"""Texts of the library's health: the check of all files, and the backup."""

from __future__ import annotations

EN: dict[str, str] = {
    "care": "This library",
    "care_operator": "Others reach this dashboard: only the operator checks and backs up the "
    "library.",
    "care_verify": "Check the library",
    "care_verify_help": "Reads every file and compares it with its recorded hash. A missing text "
    "or index entry is made again from the transcript; no recording is changed.",
    "care_verified": "Checked {when}: {files:file|files} of {items:item|items}, {size}.",
    "care_mended": "{count} mended.",
    "care_mended_one": "1 mended.",
    "care_no_faults": "All are as they should be.",
    "care_faults": "{count} faults:",
    "care_faults_one": "1 fault:",
    "care_subject": "Item or file",
    "care_findings_alt": "What the check found",
    "care_is_mended": "mended",
    "care_is_note": "note",
    "care_is_fault": "fault",
    "care_backup": "Back up now",
    "care_backup_help": "Packs queue, subscriptions, metadata and transcripts into one file, "
    "without the media.",
    "care_backed_up": "Backed up {when}: {path} ({size}).",
    "care_left_out": "{count} media files ({size}) are not in it.",
    "care_left_out_one": "1 media file ({size}) is not in it.",
    "care_copy": "Copy it to another disk.",
    "task_verify": "Checking the library",
    "task_backup": "Backing up",
}

DE: dict[str, str] = {
    "care": "Diese Bibliothek",
    "care_operator": "Andere erreichen diese Oberfläche: Nur der Betreiber prüft und sichert die "
    "Bibliothek.",
    "care_verify": "Bibliothek prüfen",
    "care_verify_help": "Liest jede Datei und vergleicht sie mit ihrer Prüfsumme. Fehlende Texte "
    "und Indexeinträge werden aus dem Transkript neu gemacht; keine Aufnahme wird geändert.",
    "care_verified": "Geprüft {when}: {files:Datei|Dateien} von {items:Eintrag|Einträgen}, {size}.",
    "care_mended": "{count} repariert.",
    "care_mended_one": "1 repariert.",
    "care_no_faults": "Alles ist, wie es sein soll.",
    "care_faults": "{count} Fehler:",
    "care_faults_one": "1 Fehler:",
    "care_subject": "Eintrag oder Datei",
    "care_findings_alt": "Was die Prüfung fand",
    "care_is_mended": "repariert",
    "care_is_note": "Hinweis",
    "care_is_fault": "Fehler",
    "care_backup": "Jetzt sichern",
    "care_backup_help": "Packt Warteschlange, Abonnements, Metadaten und Transkripte in eine "
    "Datei, ohne die Medien.",
    "care_backed_up": "Gesichert {when}: {path} ({size}).",
    "care_left_out": "{count} Mediendateien ({size}) sind nicht darin.",
    "care_left_out_one": "1 Mediendatei ({size}) ist nicht darin.",
    "care_copy": "Kopieren Sie sie auf eine andere Platte.",
    "task_verify": "Bibliothek wird geprüft",
    "task_backup": "Wird gesichert",
}
