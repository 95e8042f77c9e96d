"""German texts of the errors of language models, by code: message and hint."""

DE: dict[str, tuple[str, str]] = {
    "llm.no_address": (
        "Kein Sprachmodell ist eingestellt.",
        "KB_LLM_URL und KB_LLM_MODEL unter Einstellungen, Erweitert setzen. Dorthin werden "
        "Transkripte gesendet.",
    ),
    "llm.no_package": (
        "Das Paket {package} ist nicht installiert.",
        "Installieren: pip install '{requirement}'",
    ),
    "llm.key_form": (
        "Der Schlüssel des Sprachmodells enthält Zeichen, die kein Schlüssel hat (Leerzeichen, "
        "Zeilenumbrüche, Buchstaben mit Akzenten).",
        "KB_LLM_KEY oder die eigene Variable des Anbieters prüfen.",
    ),
    "answers.question": (
        "Eine Frage hat 1 bis {most} Zeichen.",
        "Sie in einem Satz stellen.",
    ),
    "notes.no_channel": (
        "{item_id} hat keinen Kanal, dessen Wortliste die Namen aufnehmen könnte.",
        "Kanäle kommen mit Medien aus dem Netz und aus Angaben in Dateien.",
    ),
    "notes.no_names": (
        "Für {item_id} gibt es keine Namen zum Hinzufügen.",
        "Sie finden mit: kb enrich {item_id} --steps terms",
    ),
    "llm.table": (
        "Die Tabelle der Sprachmodelle {path} ist nicht zu gebrauchen: {reason}.",
        "Sie oder KB_LLM_TABLE berichtigen; kb/enrich/llm/models.yaml erklärt die Form.",
    ),
    "llm.prompt": (
        "Der Prompt {path} ist nicht zu gebrauchen: {reason}.",
        "Ihn berichtigen oder aus dem Ordner von KB_LLM_PROMPTS nehmen.",
    ),
    "llm.no_price": (
        "Der Preis von {model} ist nicht bekannt, und KB_LLM_PRICE_CAPS begrenzt ihn.",
        "Ihn in eine eigene Tabelle (KB_LLM_TABLE) eintragen, oder die Grenze entfernen.",
    ),
    "llm.cap": (
        "Die Grenze für {scope} ({limit:g} {unit}) würde überschritten: {wanted:g} mit dieser "
        "Anfrage.",
        "Nichts wurde gesendet. KB_LLM_TOKEN_CAPS oder KB_LLM_PRICE_CAPS erhöhen, oder den "
        "nächsten Monat abwarten.",
    ),
    "llm.page": (
        "{place} antwortet mit einer Webseite.",
        "KB_LLM_URL prüfen: Die Adresse endet meist auf /v1.",
    ),
    "llm.broken": (
        "Die Antwort von {place} bricht ab oder ist keine eines Sprachmodells.",
        "Es wird noch einmal gefragt.",
    ),
    "llm.busy": (
        "{place} hat jetzt keinen Platz für weitere Fragen.",
        "Es wird später noch einmal gefragt. Geschieht es oft, ist die Grenze des Kontos erreicht.",
    ),
    "llm.key": (
        "{place} weist den Schlüssel zurück.",
        "KB_LLM_KEY oder die Variable des Anbieters prüfen.",
    ),
    "llm.server": (
        "{place} meldet einen eigenen Fehler (HTTP {status}).",
        "Es wird noch einmal gefragt.",
    ),
    "llm.refused": (
        "{place} weist die Frage zurück (HTTP {status}): {reason}",
        "KB_LLM_URL und KB_LLM_MODEL prüfen, und die Zeile des Modells in KB_LLM_TABLE.",
    ),
    "llm.unreachable": (
        "{place} ist nicht zu erreichen: {reason}",
        "KB_LLM_URL und das Netz prüfen. Es wird noch einmal gefragt.",
    ),
    "llm.no_provider": (
        "litellm kennt den Anbieter von {model} nicht.",
        "Ihn vor den Namen setzen: KB_LLM_MODEL=openai/{model}, für jeden Dienst mit OpenAIs "
        "Protokoll.",
    ),
    "llm.no_answer": (
        "{place} hat in {seconds:g} s nicht geantwortet.",
        "Es wird noch einmal gefragt; KB_LLM_TIMEOUT_S gibt mehr Zeit.",
    ),
    "llm.cut": (
        "Die Antwort wurde an der Grenze ihrer Länge abgeschnitten.",
        "Nach einem kürzeren Teil wird gefragt.",
    ),
    "llm.too_long": (
        "Ein Teil des Transkripts passt nicht in eine Frage.",
        "Einen größeren `context` für das Modell in KB_LLM_TABLE eintragen.",
    ),
    "llm.declined": (
        "Das Sprachmodell wollte nicht antworten.",
        "Ein anderes Modell antwortet vielleicht: KB_LLM_MODEL.",
    ),
    "llm.form": (
        "Die Antwort hat eine andere Form als verlangt: {reason}.",
        "Nach einem kürzeren Teil wird gefragt; geschieht es oft, kann es ein anderes Modell "
        "vielleicht besser.",
    ),
}
EN_PAGE: dict[str, tuple[str, str]] = {}
