"""German texts of the errors of `kb.jobs` and `kb.pipeline`, by code: message and hint."""

_LISTEN = (
    "Die zweifelhaften Sekunden im Reiter Durchsicht anhören und annehmen oder berichtigen; oder "
    "auf der Seite des Eintrags in der Bibliothek „Neu transkribieren“ wählen."
)
_BRING_WHOLE_FILE = (
    "Die ganze Datei besorgen und noch einmal aufnehmen; ein Download wird neu geladen nach: "
    "kb remove ID. Was an Text da ist, lässt sich suchen."
)
_READ_BETTER = (
    "Auf der Seite des Eintrags in der Bibliothek „Neu transkribieren“ mit einem größeren Modell "
    "wählen; oder ihn dort annehmen, wie er ist."
)

DE: dict[str, tuple[str, str]] = {
    "steps.unknown": (
        "Einen Schritt {name!r} gibt es nicht.",
        "Bekannt: {known}; oder auto (wofür alles da ist), oder none.",
    ),
    "step.crashed": (
        "Der Prozess von {step} endete (Exit-Code {code}).",
        "Es wird noch einmal versucht. Geschieht es jedes Mal, fehlt vielleicht Speicher.",
    ),
    "step.cancelled": ("Abgebrochen; nichts Halbes bleibt zurück.", ""),
    "step.superseded": (
        "Das Ergebnis von {step} für {item_id} wird verworfen: inzwischen abgebrochen, noch einmal "
        "verlangt oder entfernt.",
        "Nichts ist zu tun.",
    ),
    "step.no_medium": (
        "Das Medium von {title!r} ist nicht in der Bibliothek, nur sein Transkript.",
        "Noch einmal holen, dann den Schritt wiederholen: kb ingest {item_id} --again",
    ),
    "step.no_picture": (
        "Das Bild von {title!r} lässt sich nicht holen: {reason}",
        "Der Text auf seinem Bildschirm wird nicht gelesen. Noch einmal: "
        "kb enrich {item_id} --steps screen",
    ),
    "enrich.speakers": (
        "{number} ist keine Zahl von Sprechern.",
        "Eine Zahl von 1 bis {most} angeben.",
    ),
    "enrich.sample_rate": (
        "{number} ist keine Zahl von Bildern.",
        "Eine Zahl von 1 bis {most} angeben: jedes so vielte Bild wird gelesen.",
    ),
    "speakers.unknown": (
        "{item_id} hat keinen Sprecher {speaker!r}.",
        "Seine Sprecher: {known}.",
    ),
    "speakers.none": (
        "Wer in {item_id} spricht, ist noch nicht bekannt.",
        "Sprecher finden: kb enrich {item_id} --steps speakers",
    ),
    "speakers.no_name": (
        "{name!r} ist kein Name.",
        'Zum Beispiel: kb speakers ID --name S1="Anna Weber"',
    ),
    "speakers.name_long": (
        "Der Name hat {length} Zeichen; höchstens {most} werden behalten.",
        "Einen kürzeren angeben.",
    ),
    "speakers.label": (
        "So, {name!r}, heißt ein Sprecher ohne Namen.",
        "Einen Namen angeben. Zwei Sprecher werden einer mit: kb speakers ID --merge S2=S1",
    ),
    "speakers.no_suggestion": (
        "Für {speaker!r} wird kein Name vorgeschlagen.",
        "Einen angeben: kb speakers {item_id} --name {speaker!r}=NAME",
    ),
    "voices.off": (
        "Stimmprofile sind aus.",
        "„Namen von Sprechern nach ihrer Stimme vorschlagen“ unter Einstellungen, Allgemein "
        "einschalten, dann „Schritte ausführen“ auf einer Seite der Bibliothek. Stimmen sind "
        "biometrische Daten: die fragen, die sprechen.",
    ),
    "voices.unconfirmed": (
        "Die Stimme von {name!r} ist noch nicht bestätigt.",
        "Einen ihrer Vorschläge bestätigen: kb speakers ID --confirm WER",
    ),
    "voices.unknown": ("Eine Stimme von {name!r} gibt es nicht.", "Bekannt: {known}."),
    "speakers.no_pair": (
        "In {text!r} fehlt ein Gleichheitszeichen mit etwas davor.",
        "Zum Beispiel: {example}",
    ),
    "enrich.paid": (
        "Diese Schritte können Geld kosten, und Assistenten dürfen sie nicht anfordern: {steps}.",
        "Mit kb enrich anfordern, oder es erlauben: KB_PAID_REQUESTS=true",
    ),
    "enrich.no_steps": ("Kein Schritt ist genannt.", "Bekannt: {known}"),
    "enrich.no_items": ("Welche Einträge?", "kb enrich ID…, oder --all"),
    "extras.other_item": ("{path} gehört nicht zu {item_id}.", "Die Datei wegbewegen."),
    "source.outside_hours": (
        "{source} wird nur zwischen {window} geholt.",
        "Es geht um {time} von selbst weiter. Andere Zeiten für {source}: Einstellungen → Abos → "
        "Ändern.",
    ),
    "source.pace": (
        "{source} wird um höchstens {per_hour} Medien je Stunde gebeten.",
        "Es geht von selbst weiter. Anders für {source}: Einstellungen → Abos → Ändern.",
    ),
    "digest.no_server": (
        "Der Bericht kann nicht als E-Mail gesendet werden: es ist kein Server gesetzt.",
        "KB_SMTP_HOST setzen, oder KB_DIGEST_EMAIL leer lassen.",
    ),
    "digest.no_way": (
        "Die Einstellungen nennen keinen Weg, einen Bericht zu senden.",
        "KB_DIGEST_EMAIL und KB_SMTP_HOST setzen, oder KB_DIGEST_WEBHOOK.",
    ),
    "digest.email_refused": (
        "Der Bericht konnte von {host} nicht als E-Mail gesendet werden: {reason}",
        "KB_SMTP_HOST, KB_SMTP_PORT, KB_SMTP_SECURITY, KB_SMTP_USER und KB_SMTP_PASSWORD prüfen; "
        "ausprobieren mit: kb digest --send",
    ),
    "run.email_refused": (
        "Die E-Mail über einen Lauf konnte von {host} nicht gesendet werden: {reason}",
        "KB_SMTP_HOST, KB_SMTP_PORT, KB_SMTP_SECURITY, KB_SMTP_USER und KB_SMTP_PASSWORD prüfen.",
    ),
    "digest.webhook_address": (
        "KB_DIGEST_WEBHOOK ist keine Web-Adresse.",
        "Sie sieht so aus: https://hooks.example.org/kb",
    ),
    "digest.webhook_refused": (
        "Der Webhook hat den Bericht nicht angenommen: {reason}.",
        "KB_DIGEST_WEBHOOK prüfen; ausprobieren mit: kb digest --send",
    ),
    "hold.truncated": ("Die Datei sieht abgeschnitten aus.", _BRING_WHOLE_FILE),
    "hold.truncated_because": ("Die Datei sieht abgeschnitten aus: {warning}", _BRING_WHOLE_FILE),
    "hold.lost": (
        "Dem Medium fehlen {lost_s:.0f} s von {whole_s:.0f} s Ton, zuerst bei {start_s:.0f} s.",
        _BRING_WHOLE_FILE,
    ),
    "hold.missing": (
        "Note {grade}: {missing_s:.1f} s erkannter Sprache sind ohne Text ({ratio:.0%} haben "
        "einen).",
        _LISTEN,
    ),
    "hold.doubtful": (
        "Note {grade}: {suspect_s:.1f} s des Textes sind zweifelhaft{why}.",
        _LISTEN,
    ),
    "hold.missing_and_doubtful": (
        "Note {grade}: {missing_s:.1f} s erkannter Sprache sind ohne Text ({ratio:.0%} haben "
        "einen); {suspect_s:.1f} s des Textes sind zweifelhaft{why}.",
        _LISTEN,
    ),
    "hold.wrong_words": (
        "Note {grade}: etwa 1 Wort von {one_in} kann falsch sein ({share:.0%} sind es "
        "voraussichtlich).",
        _READ_BETTER,
    ),
    "hold.most_words": (
        "Note {grade}: die meisten Wörter können falsch sein ({share:.0%} sind es "
        "voraussichtlich).",
        _READ_BETTER,
    ),
    "lane.paused_by_hand": ("von Hand angehalten", ""),
    "publish.not_ready": (
        "{item_id} ist noch nicht im Ordner der Bibliothek.",
        "Es wird veröffentlicht, sobald es fertig ist; siehe Reiter Aktivität.",
    ),
    "worker.running": (
        "Ein Arbeiter namens {name!r} läuft schon an dieser Bibliothek{holder}.",
        "Je GPU genügt einer. Für eine zweite GPU einen anderen Namen geben: "
        "KB_EXECUTOR_ID=second kb worker. Den ersten anhalten: kb worker --stop",
    ),
    "worker.name_taken": (
        "Ein Arbeiter namens {name!r} arbeitet auf einer anderen Maschine: {host}, Prozess {pid}, "
        "letztes Lebenszeichen vor {silent_s} s.",
        "Diesem einen anderen Namen geben: KB_EXECUTOR_ID=second kb worker. Oder den anderen "
        "anhalten: kb worker --stop",
    ),
    "worker.silent_elsewhere": (
        "Der Arbeiter {name!r} auf {host} (Prozess {pid}) hat diesen Namen und antwortet seit "
        "{silent_s} s nicht; von dieser Maschine aus lässt er sich nicht beenden.",
        "Auf {host}: kb worker --stop, und wenn er bleibt, den Prozess {pid} beenden. Oder hier "
        "einen mit anderem Namen starten: KB_EXECUTOR_ID=second kb worker",
    ),
    "worker.stopping": (
        "Der Arbeiter hält an.",
        "",
    ),
    "item.superseded": (
        "{item_id}: die Arbeit des Versuchs {number} auf {executor} wird verworfen: der Eintrag "
        "ist jetzt im Zustand „{state}“, durch einen späteren Versuch oder eine Änderung von Hand "
        "(Nummer {newer}{owner}).",
        "Nichts ist zu tun: die spätere Arbeit bleibt.",
    ),
    "publish.superseded": (
        "{item_id} wurde inzwischen noch einmal für {sink} eingereiht: das ältere Ergebnis wird "
        "verworfen.",
        "Nichts ist zu tun: die neuere Anfrage wird ausgeführt.",
    ),
    "edit.superseded": (
        "{item_id} wurde inzwischen von einem anderen Prozess geändert.",
        "Noch einmal ansehen, dann die Änderung wiederholen.",
    ),
    "item.cancelled": (
        "Abgebrochen; nichts Halbes bleibt zurück.",
        "",
    ),
    "item.cancelled_publish": (
        "Abgebrochen; nichts davon wird veröffentlicht.",
        "",
    ),
    "item.files_gone": (
        "Die Dateien von {title!r} sind nicht mehr in {home}.",
        "Zurücklegen, oder noch einmal hinzufügen.",
    ),
    "item.crashes": (
        "Der Prozess der Erkennung ist {crashes} Mal abgestürzt, während er diesen Eintrag las.",
        "Die Datei bringt vielleicht einen Treiber zum Absturz oder braucht mehr "
        "Speicher, als da ist; ein kleineres --batch-size oder ein anderes Modell "
        "versuchen, dann „Noch einmal“ auf dem Reiter Aktivität: {item_id}",
    ),
    "library.folder_missing": (
        "Der Ordner aller Dateien fehlt: {folder}. Der Index wurde nicht verändert.",
        "Schließe seine Platte an, oder hole ihn zurück: kb restore DATEI",
    ),
    "library.database_older": (
        "Die Dateien der Bibliothek in {home} sind neuer als ihre Datenbank: sie kennen Versuch "
        "{mark}, die Datenbank {number}. Sie stammt vielleicht aus einer Sicherung.",
        "Die Datenbank auf den Stand der Dateien bringen: kb reindex",
    ),
    "library.other": (
        "Der Ordner {home} und die Datenbank gehören zu zwei Bibliotheken.",
        "KB_HOME und KB_DATABASE_URL auf die einer Bibliothek setzen. Um diese Datenbank mit dem "
        "Inhalt dieses Ordners zu füllen: kb reindex",
    ),
    "library.identity_damaged": (
        "{path} ist beschädigt: es hat keine id.",
        "Aus einer Sicherung nehmen, oder entfernen und: kb reindex",
    ),
    "library.record_busy": (
        "Andere Prozesse ändern {path} immer wieder.",
        "Noch einmal versuchen.",
    ),
    "library.missing": (
        "Der Bibliotheksordner {home} ist nicht mehr da.",
        "Ihn bald zurückbringen (oder seine Platte anschließen): es geht von selbst "
        "weiter. Ist er für immer umgezogen, diesen Arbeiter beenden und einen mit "
        "KB_HOME auf dem neuen Ort starten.",
    ),
    "library.missing_too_long": (
        "Der Bibliotheksordner {home} ist seit {waited_s:.0f} s nicht da: dieser Arbeiter endet.",
        "Ihn zurückbringen, oder KB_HOME auf seinen jetzigen Ort setzen; dann neu "
        "starten: kb worker",
    ),
    "item.unexpected": (
        "{kind}: {reason}",
        "Das sollte nicht vorkommen; Näheres steht im Protokoll des Arbeiters.",
    ),
    "publish.awaits_steps": (
        "Wird gesendet, wenn die Schritte des Eintrags zu Ende sind: {steps}.",
        "Spätestens nach {hours} Stunden (KB_PUBLISH_WAIT_HOURS).",
    ),
    "publish.many_changed": (
        "{count} veröffentlichte Einträge würden sich ändern; sie neu zu senden kostet höchstens "
        "{credits} Credits.",
        "Es wurde nichts geändert. Auf der Befehlszeile mit --yes.",
    ),
    "publish.held": (
        "{item_id} ist zur Durchsicht zurückgehalten: {cause}",
        "Auf seiner Seite in der Bibliothek annehmen, oder im Reiter Hinzufügen neu lesen lassen.",
    ),
    "publish.held_because": (
        "{item_id} ist zur Durchsicht zurückgehalten: {cause}",
        "{cause.hint}",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {
    "source.outside_hours": (
        "{source} is fetched between {window} only.",
        "It goes on by itself at {time}. Other hours for {source}: Settings → Subscriptions → "
        "Change.",
    ),
    "source.pace": (
        "{source} is asked for {per_hour} media an hour, at most.",
        "It goes on by itself. Another pace for {source}: Settings → Subscriptions → Change.",
    ),
}
