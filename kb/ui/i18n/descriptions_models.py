"""German descriptions of the settings of language models, screen, voices and translation."""

from __future__ import annotations

DE: dict[str, str] = {
    # Language models
    "llm_url": "Sprachmodell: Adresse eines Dienstes mit dem Chat-Protokoll von OpenAI, bis /v1, "
    "etwa http://localhost:11434/v1 (Ollama), https://api.openai.com/v1 oder "
    "https://generativelanguage.googleapis.com/v1beta/openai (Gemini). Schritte, die verlangt "
    "werden, senden Transkripte dorthin; leer sendet nichts.",
    "llm_model": "Sprachmodell: sein Name bei diesem Dienst.",
    "llm_key": "Sprachmodell: Schlüssel, nur als Kopfzeile gesendet. Ist er leer, gilt "
    "OPENAI_API_KEY oder GEMINI_API_KEY der Umgebung, wenn die Adresse die dieses Anbieters ist.",
    "llm_adapter": "Sprachmodell: das Paket, das fragt, openai oder litellm (das installiert sein "
    "muss).",
    "llm_table": "Sprachmodell: eigene Tabelle von Modellen und Preisen, in der Form von "
    "kb/enrich/llm/models.yaml; ihre Zeilen gehen jenen vor.",
    "llm_prompts": "Sprachmodell: Ordner mit eigenen Prompts, benannt wie die in "
    "kb/enrich/llm/prompts/.",
    "llm_token_caps": "Sprachmodell: Tokens (gesendet und empfangen), höchstens, für einen Aufruf, "
    "einen Eintrag, einen Lauf und einen Monat. Vor einem Aufruf zählen die Bytes seines Textes, "
    "danach die Angabe des Dienstes.",
    "llm_price_caps": "Sprachmodell: höchster Preis in der Währung der Tabelle, in derselben Form, "
    "etwa item=0.5,month=20. Ein Modell ohne Preis in der Tabelle wird dann nicht gefragt.",
    "llm_timeout_s": "Sprachmodell: Sekunden, bis die ganze Antwort da sein muss.",
    "llm_cache_mb": "Sprachmodell: Größe der Antworten, die in der Datenbank der Bibliothek "
    "bleiben, damit dieselbe Frage nicht zweimal bezahlt wird.",
    "llm_cache_days": "Sprachmodell: Tage nach dem letzten Gebrauch, bis eine solche Antwort "
    "gelöscht wird.",
    "llm_doubtful": "Sprachmodell: zweifelhafte Stellen werden für das Modell gekennzeichnet "
    "(mark) oder ausgelassen (leave_out).",
    # Text on the screen
    "screen_reader": "Leser des Textes auf dem Bildschirm: rapidocr (auf diesem Rechner) oder "
    "google (Google Vision: jedes gelesene Bild geht an KB_VISION_URL und kostet).",
    "vision_url": "Adresse von Google Vision, bis /v1.",
    "vision_key": "Google Vision: API-Schlüssel, nur als Kopfzeile gesendet. Ist er leer, gilt das "
    "Dienstkonto aus KB_VISION_ACCOUNT.",
    "vision_account": "Google Vision: Datei eines Dienstkontos (JSON mit seinem privaten "
    "Schlüssel).",
    # Voices
    "voice_dir": "Ordner mit Stimmen von piper: NAME.onnx und NAME.onnx.json.",
    "voice": "Stimme, wo keine genannt ist, etwa piper:de_DE-thorsten-medium. Leer, und für Texte "
    "in einer anderen Sprache als der der Stimme, gilt eine dieses Rechners: piper, sonst "
    "espeak-ng.",
    "speech_url": "Dienst mit Stimmen und dem Protokoll von OpenAI, bis /v1, etwa "
    "https://api.openai.com/v1. Texte gehen dorthin, wo eine seiner Stimmen genannt ist.",
    "speech_model": "Dienst mit Stimmen: sein Modell.",
    "speech_key": "Dienst mit Stimmen: Schlüssel, nur als Kopfzeile gesendet. Ist er leer, gilt "
    "OPENAI_API_KEY der Umgebung, wenn die Adresse die von OpenAI ist.",
    "speech_voices": "Dienst mit Stimmen: die Namen seiner Stimmen, durch Kommas getrennt, wo er "
    "sie nicht auflistet, etwa alloy,nova.",
    "kokoro_url": "Adresse eines Servers von Kokoro, bis /v1, etwa http://localhost:8880/v1.",
    "speech_timeout_s": "Sekunden, bis eine Stimme ein Stück Text (ein, zwei Sätze) gesprochen "
    "haben muss.",
    # Translation
    "translate_into": "Übersetzung: Sprachen, die der Schritt translate schreibt, etwa de oder "
    "de,fr.",
    "translate_via": "Übersetzung: mit dem Sprachmodell aus KB_LLM_URL (llm, es bekommt das "
    "Transkript), mit einem Modell auf diesem Rechner (local, KB_TRANSLATE_MODEL) oder mit der "
    "Übersetzung des Tons durch Whisper (whisper, nur ins Englische).",
    "translate_model": "Übersetzung auf diesem Rechner: Ordner oder Name des Hubs eines Modells in "
    "der Form von CTranslate2: opus-mt (ein Paar von Sprachen) oder NLLB (200 Sprachen). Beachten "
    "Sie die Lizenz: NLLB ist CC-BY-NC 4.0, was gewerblichen Gebrauch verbietet, opus-mt CC-BY "
    "4.0.",
    "publish_translations": "Übersetzung: Sprachen, deren Übersetzungen auch in die Dokumente für "
    "entfernte Wissensbasen gehen, etwa de; leer veröffentlicht keine.",
}
