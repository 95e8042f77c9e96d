"""Texts of the lists of rows (`kb.ui.widgets.rows`)."""

from __future__ import annotations

EN: dict[str, str] = {
    "rows_select": "Select",
    "rows_select_all": "Select all rows shown",
    "rows_menu": "Actions",
    "rows_loading": "Loading …",
}

DE: dict[str, str] = {
    "rows_select": "Auswählen",
    "rows_select_all": "Alle gezeigten Zeilen auswählen",
    "rows_menu": "Aktionen",
    "rows_loading": "Wird geladen …",
}
