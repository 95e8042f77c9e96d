"""German descriptions of the settings of knowledge bases, servers and storage, by field."""

from __future__ import annotations

DE: dict[str, str] = {
    # ODIN and other knowledge bases
    "odin_api_key": "ODIN: Schlüssel der API, nur als Kopfzeile gesendet. ODIN_API_KEY ist "
    "dieselbe Einstellung und geht vor: auch andere Programme nutzen diesen Namen.",
    "odin_api_secret": "ODIN: Geheimnis der API, nur als Kopfzeile gesendet. ODIN_API_SECRET ist "
    "dieselbe Einstellung und geht vor.",
    "odin_project_id": "ODIN: das Projekt, in das Dokumente gehen.",
    "odin_base_url": "ODIN: Adresse der API.",
    "odin_api_version": "ODIN: Version des Aufrufs zum Hochladen; ältere Projekte brauchen v2.",
    "odin_listing": "ODIN: der Aufruf, der die Dokumente des Projekts auflistet, plain oder paged.",
    "odin_document_bytes": "ODIN: längere Transkripte werden in Teile unter so vielen Bytes "
    "geteilt.",
    "odin_poll_s": "ODIN: Sekunden zwischen zwei Prüfungen, ob ein Dokument im Index ist.",
    "odin_poll_wait_s": "ODIN: Sekunden, die auf den Index gewartet wird, bevor der Eintrag "
    "wartend bleibt und später wieder geprüft wird.",
    "odin_concurrency": "ODIN: Anfragen, die höchstens zugleich laufen.",
    "odin_rate": "ODIN: Anfragen je Sekunde, höchstens; 0 für keine Grenze.",
    "odin_timeout_s": "ODIN: Sekunden ohne Antwort, nach denen eine Anfrage aufgegeben wird.",
    "odin_retries": "ODIN: Wiederholungen einer Anfrage, wenn der Dienst ausgelastet oder nicht "
    "erreichbar ist.",
    "odin_backoff_s": "ODIN: erste Pause vor einer Wiederholung, in Sekunden; sie verdoppelt sich "
    "jedes Mal.",
    "odin_settle_s": "ODIN: Sekunden, bis ein Dokument, dessen Antwort verloren ging, in der Liste "
    "steht.",
    "odin_credits_per_10k_words": "ODIN: Credits, die 10.000 Wörter kosten, für Schätzungen (siehe "
    "Ihren Tarif).",
    "folder_sink": "Ordner der Wissensbasis `folder` (Markdown für Obsidian und ähnliche); leer "
    "nimmt markdown/ im Ordner der Bibliothek.",
    # Dashboard
    "password": "Passwort der Oberfläche. Nötig (oder OIDC), wo sie über diesen Rechner hinaus "
    "erreichbar ist; dort einen Proxy mit TLS davorsetzen.",
    "users": "E-Mail-Adressen, die über OIDC hineindürfen, durch Kommas getrennt; leer lässt jeden "
    "hinein, den der Anbieter anmeldet.",
    "app_worker": "Die Oberfläche startet auf ihrem Rechner einen Arbeiter, wenn keiner läuft: bei "
    "ihrem Start, wenn etwas eingereiht wird, nach dem Absturz eines anderen. Aus: nur mit dem "
    "Knopf.",
    "trusted_proxies": "Proxys vor der Oberfläche, deren Kopfzeile X-Forwarded-For geglaubt wird: "
    "Adressen oder Netze, durch Kommas getrennt, etwa 127.0.0.1. Leer glaubt keinem, und alle "
    "hinter einem Proxy teilen sich eine Grenze für Versuche der Anmeldung.",
    "public_url": "Adresse, unter der andere die Oberfläche erreichen. Links zu den Sekunden "
    "lokaler Aufnahmen führen dorthin, auch in veröffentlichten Dokumenten; nach einer "
    "Änderung kb reindex ausführen.",
    "upload_max_gb": "Größte Datei in GB, die die Oberfläche aus einem Browser annimmt, und die "
    "HTTP-API als fortsetzbaren Upload.",
    "uploads_at_once": "Uploads, die höchstens zugleich laufen.",
    "upload_idle_s": "Ein Upload, der so viele Sekunden nichts sendet, wird beendet.",
    "shared": "Nur aus KB_INGEST_FOLDERS und dem öffentlichen Netz hinzufügen und Einstellungen "
    "des Rechners nicht ändern. Eine Oberfläche, die andere erreichen (KB_PASSWORD, OIDC oder eine "
    "Adresse über diesen Rechner hinaus), tut das immer.",
    "ingest_folders": "Ordner dieses Rechners, aus denen eine Oberfläche, die andere erreichen, "
    "Medien nehmen darf, durch Kommas getrennt. Leer erlaubt nur Uploads und das Netz.",
    "private_hosts": "Rechner in privaten Netzen, von denen eine solche Oberfläche nehmen darf: "
    "Namen, Adressen oder Netze, durch Kommas getrennt.",
    # Assistants
    "paid_requests": "Assistenten (kb mcp) und jeder Schlüssel der HTTP-API dürfen verlangen, was "
    "Geld kosten kann: Antworten und Schritte eines Sprachmodells, von Google gelesenen Text auf "
    "dem Bildschirm. Aus: ein Schlüssel braucht das Recht paid, und Assistenten bekommen nur die "
    "Stellen der Bibliothek.",
    "mcp_write": "Assistenten dürfen Medien über Links einreihen, wieder versuchen und abbrechen "
    "(kb mcp): nur aus dem öffentlichen Netz und KB_PRIVATE_HOSTS. Aus: sie lesen nur.",
    # HTTP API
    "api_keys": "Schlüssel der HTTP-API, durch Kommas getrennt, jeder aus mindestens 20 Zeichen. "
    "Sie haben jedes Recht und kein Kontingent; Schlüssel mit Rechten und Kontingenten entstehen "
    "oben. Ein Schlüssel ist nötig, wo kb serve über diesen Rechner hinaus lauscht; ohne einen "
    "darf jedes Programm dieses Rechners sie aufrufen.",
    "api_max_mb": "Größter Inhalt einer Anfrage an die HTTP-API, in MB.",
    "api_waiting": "Transkriptionen der HTTP-API, die zugleich laufen oder warten; weitere "
    "Anfragen werden mit 429 und der Zeit für den nächsten Versuch abgelehnt.",
    "api_uploads": "Fortsetzbare Uploads, die ein Schlüssel der HTTP-API zugleich offen haben "
    "darf. Jeder hat höchstens KB_UPLOAD_MAX_GB und wird einen Tag nach seinem letzten Teil "
    "entfernt.",
    "metrics_keys": "Den Ton jedes Schlüssels der Bibliothek in /metrics nennen, mit der Kennung "
    "des Schlüssels (kb_key_seconds_total).",
    "webhook_secret": "Geheimnis, mit dem Nachrichten über beendete Aufträge unterschrieben werden "
    "(Standard Webhooks): whsec_ und 24 bis 64 Bytes in Base64. Ein Auftrag darf einen Webhook nur "
    "nennen, wo es gesetzt ist.",
    "search_webhook": "Adresse, an die Hinweise zu gespeicherten Suchen gehen (POST, Ereignis "
    "search.hits), unterschrieben mit KB_WEBHOOK_SECRET. Sie darf in einem privaten Netz liegen.",
    # Object storage
    "index_url": "Objektspeicher des Suchindexes: s3://bucket/ordner. Leer bleibt er im Ordner der "
    "Bibliothek. Nach einer Änderung „Bibliothek prüfen“ unter Einstellungen, Zustand.",
    "media_url": "Objektspeicher der Medien beendeter Einträge: s3://bucket/ordner. Sie werden "
    "wieder geholt und mit ihrem Hash verglichen, wo sie gebraucht werden. Braucht boto3.",
    "media_cache_gb": "Platz in GB, den lokale Medien belegen dürfen, wo KB_MEDIA_URL gesetzt ist: "
    "gespeicherte, die am längsten ungenutzt sind, gehen zuerst. Was noch nicht gespeichert ist, "
    "bleibt.",
    "s3_endpoint": "Adresse des S3-Dienstes; leer für AWS oder AWS_ENDPOINT_URL.",
    "s3_region": "Region der Buckets; leer für AWS_REGION.",
    "s3_key_id": "Kennung des Schlüssels für den Objektspeicher. Leer für die Orte von AWS: "
    "AWS_ACCESS_KEY_ID, die Rolle des Rechners.",
    "s3_secret": "Geheimnis zu KB_S3_KEY_ID.",
}
