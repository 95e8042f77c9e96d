"""The Knowledge base tab."""

EN: dict[str, str] = {
    "knowledge_project": "ODIN project",
    "knowledge_ready": "Key and secret are set.",
    "knowledge_no_key": "No key is set.",
    "knowledge_no_key_hint": "Put `API_KEY` and `API_SECRET` into `.env`, then start again.",
}

DE: dict[str, str] = {
    "knowledge_project": "ODIN-Projekt",
    "knowledge_ready": "Schlüssel und Geheimnis sind gesetzt.",
    "knowledge_no_key": "Es ist kein Schlüssel gesetzt.",
    "knowledge_no_key_hint": "`API_KEY` und `API_SECRET` in `.env` eintragen und neu starten.",
}
