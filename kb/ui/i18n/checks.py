"""Names of the checks of this machine, and the uses of secrets."""

EN: dict[str, str] = {
    "check_arithmetic": "Arithmetic",
    "check_card_memory": "Card memory",
    "check_clock": "Clock",
    "check_database": "Database",
    "check_disk": "Disk",
    "check_downloads": "Downloads",
    "check_embedding_model": "Embedding model",
    "check_hardware": "Hardware",
    "check_javascript_runtime": "JavaScript runtime",
    "check_language_model": "Language model",
    "check_library": "Library",
    "check_model": "Model",
    "check_object_storage": "Object storage",
    "check_presets": "Presets",
    "check_products": "Products",
    "check_rights": "Rights",
    "check_settings": "Settings",
    "check_speech_detection": "Speech detection",
    "check_voices": "Voices",
    "check_worker": "Worker",
    "check_workers": "Workers",
    "check_youtube_data_api_keys": "YouTube Data API keys",
    "secret_use_kb_password": "Password of the dashboard. Needed (or OIDC) where it listens "
    "beyond this machine; put a proxy with TLS before it there.",
    "secret_use_kb_api_keys": "Keys of the HTTP API, separated by commas, each of at least 20 "
    "characters. They have every scope and no quota; kb keys add makes keys with scopes and "
    "quotas. One or the other is needed where kb serve listens beyond this machine; without any "
    "key every program of this machine may call it.",
    "secret_use_kb_webhook_secret": "Secret with which notices of ended jobs are signed (Standard "
    "Webhooks): whsec_ and 24 to 64 bytes in base64. A job may name a webhook only where it is "
    "set.",
    "secret_use_kb_search_webhook": "Address that alerts of saved searches are sent to (POST, "
    "event search.hits), signed with KB_WEBHOOK_SECRET. It may be in a private network.",
    "secret_use_kb_s3_secret": "Secret of KB_S3_KEY_ID.",
    "secret_use_kb_vision_key": "Google Vision: API key, sent as a header only. Empty takes the "
    "service account of KB_VISION_ACCOUNT.",
    "secret_use_kb_llm_key": "Language model: key, sent as a header only. Where it is empty, "
    "OPENAI_API_KEY or GEMINI_API_KEY of the environment is taken, if the address is that "
    "provider's.",
    "secret_use_kb_speech_key": "Service of voices: key, sent as a header only. Where it is empty, "
    "OPENAI_API_KEY of the environment is taken, if the address is OpenAI's.",
    "secret_use_kb_digest_webhook": "Address that the digest is sent to as JSON (POST).",
    "secret_use_kb_smtp_password": "Password for the sign-in at the e-mail server.",
    "secret_use_api_key": "ODIN: key of the API, sent as a header only. ODIN_API_KEY is the same "
    "setting and wins: other programs use this name too.",
    "secret_use_api_secret": "ODIN: secret of the API, sent as a header only. ODIN_API_SECRET is "
    "the same setting and wins.",
    "secret_use_kb_database_url": "postgresql://... when several machines share the queue; empty "
    "keeps everything in kb.sqlite in the library folder.",
    "secret_use_kb_proxy": "Proxy for listings and downloads, as http://user:password@host:port; "
    "socks5:// and socks5h:// (names are looked up by the proxy) too.",
}

DE: dict[str, str] = {
    "check_arithmetic": "Rechenart",
    "check_card_memory": "Kartenspeicher",
    "check_clock": "Uhr",
    "check_database": "Datenbank",
    "check_disk": "Platte",
    "check_downloads": "Downloads",
    "check_embedding_model": "Modell für Bedeutungen",
    "check_hardware": "Hardware",
    "check_javascript_runtime": "JavaScript-Laufzeit",
    "check_language_model": "Sprachmodell",
    "check_library": "Bibliothek",
    "check_model": "Modell",
    "check_object_storage": "Objektspeicher",
    "check_presets": "Presets",
    "check_products": "Erzeugnisse",
    "check_rights": "Zugriffsrechte",
    "check_settings": "Einstellungen",
    "check_speech_detection": "Finden von Sprache",
    "check_voices": "Stimmen",
    "check_worker": "Arbeiter",
    "check_workers": "Arbeiter",
    "check_youtube_data_api_keys": "Schlüssel der YouTube Data API",
    "secret_use_kb_password": "Passwort der Seite. Nötig (oder OIDC), wo sie über diesen Rechner "
    "hinaus erreichbar ist; dort einen Proxy mit TLS davorsetzen.",
    "secret_use_kb_api_keys": "Schlüssel der HTTP-API, durch Kommas getrennt, jeder aus mindestens "
    "20 Zeichen. Sie haben jedes Recht und kein Kontingent; kb keys add macht Schlüssel mit "
    "Rechten und Kontingenten. Ein Schlüssel ist nötig, wo kb serve über diesen Rechner hinaus "
    "lauscht; ohne einen darf jedes Programm dieses Rechners sie aufrufen.",
    "secret_use_kb_s3_secret": "Geheimnis zu KB_S3_KEY_ID.",
    "secret_use_kb_vision_key": "Google Vision: API-Schlüssel, nur als Kopfzeile gesendet. Ist er "
    "leer, gilt das Dienstkonto aus KB_VISION_ACCOUNT.",
    "secret_use_kb_llm_key": "Sprachmodell: Schlüssel, nur als Kopfzeile gesendet. Ist er leer, "
    "gilt OPENAI_API_KEY oder GEMINI_API_KEY der Umgebung, wenn die Adresse die dieses Anbieters "
    "ist.",
    "secret_use_kb_speech_key": "Dienst mit Stimmen: Schlüssel, nur als Kopfzeile gesendet. Ist er "
    "leer, gilt OPENAI_API_KEY der Umgebung, wenn die Adresse die von OpenAI ist.",
    "secret_use_kb_webhook_secret": "Geheimnis, mit dem Nachrichten über beendete Aufträge "
    "unterschrieben werden (Standard Webhooks): whsec_ und 24 bis 64 Bytes in Base64. Ein Auftrag "
    "darf einen Webhook nur nennen, wo es gesetzt ist.",
    "secret_use_kb_search_webhook": "Adresse, an die Hinweise zu gespeicherten Suchen gehen (POST, "
    "Ereignis search.hits), unterschrieben mit KB_WEBHOOK_SECRET. Sie darf in einem privaten Netz "
    "liegen.",
    "secret_use_kb_digest_webhook": "Adresse, an die die Zusammenfassung als JSON geht (POST).",
    "secret_use_kb_smtp_password": "Passwort für die Anmeldung am E-Mail-Server.",
    "secret_use_api_key": "ODIN: Schlüssel der API, nur als Kopfzeile gesendet. ODIN_API_KEY ist "
    "dieselbe Einstellung und geht vor: auch andere Programme nutzen diesen Namen.",
    "secret_use_api_secret": "ODIN: Geheimnis der API, nur als Kopfzeile gesendet. "
    "ODIN_API_SECRET ist dieselbe Einstellung und geht vor.",
    "secret_use_kb_database_url": "postgresql://..., wenn mehrere Rechner sich die Warteschlange "
    "teilen; leer bleibt alles in kb.sqlite im Ordner der Bibliothek.",
    "secret_use_kb_proxy": "Proxy für Listen und Downloads, als "
    "http://benutzer:passwort@host:port; auch socks5:// und socks5h:// (dort schlägt der Proxy "
    "die Namen nach).",
}
