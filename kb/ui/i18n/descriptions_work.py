"""German descriptions of the settings of downloads, queue and digest, by field."""

from __future__ import annotations

DE: dict[str, str] = {
    # Downloads
    "prefetch_gb": "Geholte, noch nicht transkribierte Medien, höchstens, in GB.",
    "yt_api_endpoint": "Adresse der YouTube Data API; leer nimmt die von Google.",
    "yt_feed_url": "Feed der neuesten Videos eines Kanals, mit {id} für die Kennung des Kanals in "
    "seiner Adresse: ein Blick auf einen verfolgten Kanal liest ihn zuerst, ohne Kontingent. Leer "
    "nimmt den von YouTube (keinen mit einem anderen YT_API_ENDPOINT); none liest statt dessen die "
    "erste Seite der Liste.",
    "yt_watch_url": "Seite eines Videos, mit {id} in der Adresse; Downloads beginnen dort.",
    "yt_api_keys_file": "Datei mit Schlüsseln der YouTube Data API, einer je Zeile, # beginnt "
    "einen Kommentar. Ein relativer Pfad beginnt hier beim Ordner der .env, nie beim aktuellen "
    "Ordner.",
    "yt_api_keys": "Weitere Schlüssel, durch Kommas getrennt. Sie stehen nie in Protokollen oder "
    "der Datenbank.",
    "listing_reuse_s": "Alter in Sekunden, bis zu dem eine fertige Liste noch einmal genutzt wird, "
    "ohne Kontingent.",
    "keep": "Datei, die ein Download behält: audio (wie die Seite sie hat), mp3 oder mp4.",
    "download_pause_s": "Mindestzahl der Sekunden zwischen den Anfängen zweier Downloads auf "
    "diesem Rechner.",
    "download_pause_max_s": "Höchstzahl der Sekunden dazwischen; die Pause liegt zufällig zwischen "
    "beiden.",
    "download_cooldown_s": "Pause aller Downloads in Sekunden, wenn eine Seite sie begrenzt; sie "
    "verdoppelt sich jedes Mal in Folge.",
    "download_cooldown_max_s": "Längste solche Pause, in Sekunden.",
    "download_retries": "Zahl der neuen Verbindungen innerhalb eines Downloads.",
    "download_attempts": "Zahl der Versuche eines Downloads, bevor er als fehlgeschlagen gilt.",
    "download_rate": "Höchstzahl der Bytes je Sekunde eines Downloads; 0 für keine Grenze.",
    "proxy": "Proxy für Listen und Downloads, als http://benutzer:passwort@host:port; auch "
    "socks5:// und socks5h:// (dort schlägt der Proxy die Namen nach).",
    "cookies_file": "Cookies im Netscape-Format für Seiten, die eine Anmeldung verlangen. Sie "
    "gefährden das Konto: leer ist sicherer.",
    "captions": "Sprachen der Untertitel, die neben dem Medium geholt werden, etwa de,en.",
    "witness": "Untertitel von Menschen holen, wo ein Medium welche in seiner Sprache hat, und das "
    "Transkript mit ihnen vergleichen.",
    "captions_first": "Untertitel sofort suchbar machen, als solche gekennzeichnet, bis das "
    "Transkript da ist; wie mit „Untertitel zuerst“.",
    "thumbnail": "Das Vorschaubild neben dem Medium holen.",
    # Queue and workers
    "database_url": "postgresql://..., wenn mehrere Rechner sich die Warteschlange teilen; leer "
    "bleibt alles in kb.sqlite im Ordner der Bibliothek.",
    "executor_id": "Name des Arbeiters dieses Rechners; leer nimmt den Namen des Rechners. Geben "
    "Sie jeder GPU eines Rechners einen eigenen Namen.",
    "in_flight": "Einträge, die zugleich in Arbeit sind, damit die Fenster vieler kurzer einen "
    "Batch füllen; 0 nimmt den doppelten Batch des Presets.",
    "workers": "Einträge, die ein Arbeiter zugleich vorbereitet (holen, dekodieren, Sprache "
    "finden); 0 nimmt die Zahl des Presets.",
    "steps": "Schritte nach den Worten, durch Kommas getrennt: sound (Fingerabdrücke, an denen "
    "derselbe Ton erkannt wird), speakers (Sprecher), screen (Text auf dem Bildschirm), meaning "
    "(Suche nach Bedeutung), recurring (Wiederkehrendes wie Vorspänne); auto nimmt die, für die "
    "ein arbeitender Rechner alles hat (siehe Einstellungen, Zustand), none nimmt keinen.",
    "fetch_picture": "Für den Text auf dem Bildschirm von Einträgen, die als Ton bleiben: das Bild "
    "von der Quelle holen (das kleinste mit mindestens 360 Zeilen, etwa 90 MB je Stunde), lesen "
    "und löschen.",
    "step_models": "Ordner mit den Modellen dieser Schritte; leer nimmt den neben den "
    "installierten Paketen, den „Holen“ unter Einstellungen, Modelle füllt.",
    "speaker_model": "Ordner mit dem Modell Nemotron-3-Diarization für den Schritt speakers; leer "
    "nimmt nemotron-3-diarization im Ordner der Modelle der Schritte, oder was kb models add "
    "nemotron geholt hat; ohne es ist das Modell das von Resemblyzer. Mit einer Zahl der Sprecher "
    "und mit KB_VOICE_PROFILES ist es immer dieses.",
    "publish_wait_hours": "Stunden, die ein eingereihtes Senden an eine entfernte Wissensbasis auf "
    "die Schritte seines Eintrags wartet, damit der Eintrag einmal gesendet wird; 0 wartet nicht. "
    "Der Reiter Veröffentlichen sendet sofort.",
    "same_sound": "auto in KB_STEPS nimmt den Schritt sound, wo ffmpeg chromaprint hat.",
    "reuse_words": "Die Wörter einer vorhandenen Aufnahme in eine mit demselben Ton übernehmen, "
    "etwa eine erneut hochgeladene oder gekürzte; alle andere Sprache wird erkannt. Aus: nur die "
    "Verbindung zwischen beiden bleibt.",
    "sound_links": "Zeigen, wo der Ton eines Eintrags noch zu hören ist und wessen Wörter er hat: "
    "auf seiner Seite, auf der Kommandozeile, über HTTP und MCP, in Markdown und anderen "
    "Dokumenten und in den Metadaten für ODIN. Aus: nichts davon ist zu sehen; Gespeichertes "
    "bleibt.",
    "leave_out_recurring": "Was in einem Kanal wiederkehrt (Vorspänne, Werbung), aus der Suche und "
    "aus Dokumenten für ODIN lassen, und auto in KB_STEPS nimmt den Schritt recurring, der es "
    "findet. Nichts wird gelöscht: ausgeschaltet ist alles wieder zu finden.",
    "voice_profiles": "Die Stimmen von Sprechern in der Bibliothek behalten, damit in späteren "
    "Aufnahmen Namen vorgeschlagen werden. Stimmen sind biometrische Daten: fragen Sie die "
    "Sprecher. Sie werden nie veröffentlicht oder ausgegeben; kb voices zeigt und löscht sie.",
    "worker_timeout_s": "Ein Arbeiter ohne Lebenszeichen gilt nach so vielen Sekunden als beendet, "
    "und ein anderer übernimmt seine Einträge.",
    "keep_records_days": "Tage, die die Verzeichnisse der Aufträge beendeter Einträge bleiben.",
    "backups": "Tägliche Kopien der Datenbank (SQLite), die ein Arbeiter in backups/ im Ordner der "
    "Bibliothek behält; 0 macht keine.",
    "settle_s": "Ein Blick auf einen verfolgten Ordner lässt Dateien aus, die vor weniger Sekunden "
    "geändert wurden: sie werden vielleicht noch geschrieben. Der nächste Blick nimmt sie. Wer "
    "einen Ordner hinzufügt, lässt ihn zweimal ansehen, mit einer Sekunde dazwischen; was sich "
    "ändert, bleibt aus.",
    "retry_days": "Tage, die ein Eintrag nach einem Fehler, dessen Ursache vergehen kann, wieder "
    "versucht wird (nur für Mitglieder, Alter, Land, privat, ein Extraktor, der nicht geht): "
    "zuerst nach zwei Stunden, dann in wachsenden Abständen bis zu einer Woche, und sofort nach "
    "einer neuen Version von yt-dlp. 0 überlässt es „Noch einmal“ im Reiter Aktivität.",
    "log_level": "DEBUG, INFO, WARNING oder ERROR; Protokolle gehen an die Standardfehlerausgabe.",
    # Digest
    "digest": "Bericht über Neues, über Fehlgeschlagenes und seinen nächsten Versuch und über den "
    "Platz: off, day oder week. Solange etwas verfolgt wird, schreibt ihn ein Arbeiter nach "
    "logs/digests/ im Ordner der Bibliothek und sendet ihn wie folgt.",
    "digest_email": "Adressen, die den Bericht als E-Mail bekommen, durch Kommas getrennt; braucht "
    "KB_SMTP_HOST.",
    "digest_webhook": "Adresse, an die der Bericht als JSON geht (POST).",
    "smtp_host": "Server, der die E-Mail sendet.",
    "smtp_port": "Port dieses Servers: meist 587 für starttls, 465 für tls.",
    "smtp_security": "Verschlüsselung der Verbindung zu diesem Server: starttls, tls oder none.",
    "smtp_user": "Name für die Anmeldung an diesem Server; leer meldet sich nicht an.",
    "smtp_password": "Passwort für die Anmeldung am E-Mail-Server.",
    "smtp_from": "Absender der E-Mail; leer nimmt KB_SMTP_USER.",
    "run_email": "Adressen, die eine E-Mail bekommen, wenn ein Lauf endet, durch Kommas getrennt: "
    "was fertig ist, was fehlschlug und warum; braucht KB_SMTP_HOST.",
    "run_email_minutes": "Ein Lauf, der weniger Minuten dauerte, bekommt keine E-Mail.",
}
