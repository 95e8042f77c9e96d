"""German of the errors of storage, database, library and settings, by code."""

DE: dict[str, tuple[str, str]] = {
    "database.refused": (
        "Die Datenbank {location} hat abgelehnt: {reason}.",
        "kb doctor ausführen, das die Datenbank prüft; die Datei behalten.",
    ),
    "database.unsupported": (
        "KB_DATABASE_URL nennt {backend}; nur postgresql wird unterstützt.",
        "Leer lassen, dann steht alles in kb.sqlite im Ordner der Bibliothek.",
    ),
    "database.locked": (
        "Die Datenbank {location} ist von einem anderen Programm gesperrt.",
        "Das Programm schließen, das sie offen hat (eine Sicherung oder ein "
        "Datenbank-Browser); es geht von selbst weiter.",
    ),
    "database.rolled_back": (
        "Die Datenbank {location} hat eine Änderung beendet, weil sie und eine andere aufeinander "
        "warteten: {reason}.",
        "Von der Änderung ist nichts geschehen: noch einmal versuchen. Kommt es oft vor, sperrt "
        "ein anderes Programm Tabellen dieser Datenbank.",
    ),
    "database.disk_full": (
        "Die Platte ist voll; die Datenbank {location} lässt sich nicht schreiben.",
        "Platz schaffen; es geht von selbst weiter.",
    ),
    "database.busy": (
        "Alle Verbindungen zur Datenbank {location} sind in Gebrauch.",
        "Es geht von selbst weiter; mit weniger Einträgen zugleich (KB_IN_FLIGHT) kommt es "
        "seltener vor.",
    ),
    "database.disk_error": (
        "Die Platte der Datenbank {location} antwortet nicht richtig: {reason}.",
        "Platte und Netzlaufwerk prüfen; die Datei behalten. Es geht von selbst weiter.",
    ),
    "database.no_memory": (
        "Für die Datenbank {location} ist kein Arbeitsspeicher mehr da.",
        "Andere Programme schließen; es geht von selbst weiter.",
    ),
    "database.login": (
        "Der Datenbankserver {location} weist die Anmeldung ab: {reason}",
        "Benutzer, Passwort und Datenbank in KB_DATABASE_URL berichtigen.",
    ),
    "database.damaged": (
        "Die Datenbank {location} ist beschädigt: {reason}.",
        "Die letzte Kopie an ihre Stelle setzen: kb restore. Ohne Kopie die Datei beiseitelegen "
        "und ausführen: kb reindex (Medien und Transkripte sind sicher).",
    ),
    "database.not_writable": (
        "Die Datenbank {location} lässt sich nicht zum Schreiben öffnen: {reason}.",
        "Den Ordner der Bibliothek beschreibbar machen, oder KB_HOME auf einen setzen, der es ist.",
    ),
    "database.unreachable": (
        "Der Datenbankserver {location} ist nicht zu erreichen oder hat abgelehnt: {reason}",
        "KB_DATABASE_URL prüfen, und ob der Server läuft; es geht von selbst weiter.",
    ),
    "database.rights": (
        "Der Rolle aus KB_DATABASE_URL fehlt ein Recht in der Datenbank {location}: {reason}.",
        "Das Skript aus docs/postgresql.md (Role and rights) als Eigentümer der Datenbank "
        "ausführen, dann noch einmal versuchen.",
    ),
    "database.read_only": (
        "Die Datenbank {location} lässt sich nur lesen: {reason}.",
        "KB_DATABASE_URL muss den primären Server nennen, und eine Rolle, die schreiben darf "
        "(ALTER ROLE … SET default_transaction_read_only = off).",
    ),
    "database.tls": (
        "Keine verschlüsselte Verbindung zum Datenbankserver {location}: {reason}",
        "sslmode und sslrootcert in KB_DATABASE_URL prüfen; docs/postgresql.md (TLS) hat "
        "Beispiele.",
    ),
    "database.pooler_mode": (
        "Der Pooler {location} gibt jeder Anweisung eine andere Verbindung: {reason}",
        "In PgBouncer pool_mode = transaction (oder session) setzen; docs/postgresql.md hat ein "
        "Beispiel.",
    ),
    "database.moved": (
        "Die Warteschlange dieser Bibliothek wurde von {location} nach {target} umgezogen.",
        "KB_DATABASE_URL auf diese Datenbank setzen. Zurück geht es mit: kb move-queue --to sqlite",
    ),
    "database.moved_to_file": (
        "Die Warteschlange dieser Bibliothek wurde von {location} in die Datei {target} umgezogen.",
        "KB_DATABASE_URL entfernen. Zurück geht es mit: kb move-queue --to ADRESSE",
    ),
    "move.worker_runs": (
        "Ein Arbeiter läuft: {names}. Die Warteschlange zieht nur um, während keiner läuft.",
        "kb worker --stop, dann noch einmal versuchen.",
    ),
    "move.target_in_use": (
        "{target} hat schon eine Warteschlange: {items} offene Einträge, {follows} abonnierte "
        "Quellen.",
        "Eine leere Datenbank nennen; oder diese Arbeit erst beenden oder abbrechen.",
    ),
    "move.nowhere": (
        "Die Warteschlange ist schon dort.",
        "Eine andere Datenbank nennen: kb move-queue --to postgresql://…, oder --to sqlite, "
        "während KB_DATABASE_URL gesetzt ist.",
    ),
    "move.incomplete": (
        "Die Tabelle {table} hat nach der Kopie {written} von {number} Zeilen; nichts wurde "
        "umgezogen.",
        "Das Protokoll des Servers ansehen, dann noch einmal versuchen.",
    ),
    "database.no_slots": (
        "Der Datenbankserver {location} hat keine freie Verbindung: {reason}",
        "max_connections erhöhen, oder PgBouncer vor den Server stellen; docs/postgresql.md sagt, "
        "was jeder Prozess braucht. Es geht von selbst weiter.",
    ),
    "database.lock_held": (
        "Die Datenbank {location} wartet auf eine Sperre, die eine andere Sitzung hält: {reason}.",
        "Diese Sitzung oder ihre Transaktion beenden (pg_terminate_backend); es geht von selbst "
        "weiter.",
    ),
    "database.slow": (
        "Der Datenbankserver {location} wurde mit einer Anweisung nicht rechtzeitig fertig: "
        "{reason}.",
        "Die Last des Servers ansehen, und ob die Rolle ein kleines statement_timeout hat; es geht "
        "von selbst weiter.",
    ),
    "database.newer_server": (
        "Die Datenbank {location} stammt von einer neueren Version von KB Ingest auf einer anderen "
        "Maschine (Schema {done}, diese kennt {known}).",
        "KB Ingest auf dieser Maschine aktualisieren.",
    ),
    "database.older_at_work": (
        "Die Datenbank {location} ist die einer älteren Version von KB Ingest, deren Arbeiter "
        "gerade arbeiten: {workers}.",
        "Sie auf ihren Maschinen anhalten (kb worker --stop) und KB Ingest auf allen "
        "aktualisieren; dann noch einmal. Unfertiges geht weiter.",
    ),
    "database.url": (
        "KB_DATABASE_URL ist keine Adresse einer Datenbank.",
        "Sie sieht so aus: postgresql://user:password@host:5432/name",
    ),
    "library.no_folder": (
        "Einen Bibliotheksordner {home} gibt es nicht.",
        "KB_HOME auf die Bibliothek setzen, oder eine beginnen mit: kb ingest DATEI",
    ),
    "library.none_here": (
        "In {home} ist keine Bibliothek.",
        "KB_HOME prüfen; eine neue beginnt mit: kb ingest DATEI",
    ),
    "database.newer": (
        "Die Datenbank {location} stammt von einer neueren Version von KB Ingest "
        "(Schema {done}, diese kennt {known}).",
        "KB Ingest aktualisieren, oder KB_HOME auf einen anderen Ordner setzen.",
    ),
    "library.folder_not_made": (
        "Der Bibliotheksordner {home} lässt sich nicht anlegen: {reason}.",
        "KB_HOME auf einen Ordner setzen, der sich beschreiben lässt.",
    ),
    "library.path_too_long": (
        "Der Pfad des Bibliotheksordners ist zu lang für Dateinamen: {folder}",
        "KB_HOME auf einen Ordner mit kürzerem Pfad setzen.",
    ),
    "library.file_name": (
        "{stem} in {folder} heißt nicht JJJJ-MM-TT_Titel_Videokennung.",
        "Umbenennen, oder hinzufügen mit: kb ingest DATEI",
    ),
    "library.same_item": (
        "{stem} in {folder} ist derselbe Eintrag wie {other} ({item_id}).",
        "Eines von beiden entfernen.",
    ),
    "transcript.not_read": (
        "{path} wird nicht als Transkript gelesen: {reason}.",
        "Gelesen werden diese Endungen: {known}",
    ),
    "transcript.foreign_time": (
        "{path} wird nicht als Transkript gelesen: {place} hat die Zeit {time}, die keine Aufnahme "
        "hat.",
        "Die Zeit in der Datei berichtigen, dann: kb reindex",
    ),
    "item.unfinished": (
        "{item_id} ({title}) hat Dateien und kein Transkript: Die Arbeit daran war nicht zu Ende, "
        "als die Datenbank verloren ging.",
        "Lesen lassen mit „Noch einmal“ auf dem Reiter Aktivität: {item_id}",
    ),
    "item.transcript_gone": (
        "Das Transkript von {item_id} ({title}) ist nicht mehr im Bibliotheksordner.",
        "Zurücklegen und kb reindex ausführen, oder neu lesen lassen mit „Noch einmal“ auf dem "
        "Reiter Aktivität: {item_id}",
    ),
    "library.newer": (
        "{path} ist von Version {version}, dieses Programm kennt {known}.",
        "KB Ingest aktualisieren, bevor in diese Bibliothek geschrieben wird.",
    ),
    "library.text_damaged": (
        "{path} ist beschädigt: {reason}.",
        "Die Datei entfernen.",
    ),
    "library.medium_unreadable": (
        "{path} lässt sich nicht lesen: {reason}.",
        "Pfad, Zugriffsrechte und Platte prüfen.",
    ),
    "setting.unknown": (
        "Eine Einstellung {name} gibt es nicht.",
        "Siehe .env.example.",
    ),
    "setting.line_breaks": (
        "Einstellung {name}: sie darf keine Zeilenumbrüche enthalten.",
        "In einer Zeile schreiben.",
    ),
    "setting.no_file": (
        "KB_ENV_FILE sagt, dass keine Datei mit Einstellungen gelesen wird; so wird auch keine "
        "geschrieben.",
        "KB_ENV_FILE auf eine Datei setzen oder weglassen, und das Programm neu starten.",
    ),
    "setting.environment": (
        "Die Einstellung {name} ist durch die Umgebung gegeben, die Vorrang vor .env hat.",
        "Dort ändern, wo das Programm gestartet wird.",
    ),
    "setting.file_unreadable": (
        "{path} lässt sich nicht lesen: {reason}.",
        "Die Datei in Ordnung bringen.",
    ),
    "setting.characters": (
        "Die Einstellung {name} enthält Zeichen, die .env nicht fassen kann (etwa ${{…}}).",
        "In der Umgebung setzen.",
    ),
    "setting.value": (
        "Einstellung {name}: {reason}.",
        "{origin} berichtigen.",
    ),
    "source.environment": ("{name} in der Umgebung", ""),
    "source.file": ("{name} in {path}, Zeile {line}", ""),
    "source.unset": ("{name} unter Einstellungen", ""),
    "setting.env_file": (
        "KB_ENV_FILE nennt {path}; die Datei lässt sich nicht lesen: {reason}.",
        "KB_ENV_FILE in der Umgebung berichtigen.",
    ),
    "setting.env_file_in_file": (
        "{path}, Zeile {line}: KB_ENV_FILE wirkt nur in der Umgebung.",
        "Die Zeile entfernen.",
    ),
    "setting.untrusted": (
        "{path}, Zeile {line}: {name} darf die .env des aktuellen Ordners nicht setzen.",
        "In die .env im Ordner des Projekts oder in die Umgebung schreiben, oder dieser Datei "
        "vertrauen, indem KB_ENV_FILE sie nennt. Ohne das darf sie setzen: {safe}.",
    ),
    "setting.untrusted_secrets": (
        "{path} liegt im aktuellen Ordner und darf keine Geheimnisse der Oberfläche setzen.",
        "Die Oberfläche mit kb app starten, oder die Datei nach {trusted} verschieben.",
    ),
    "setting.untrusted_folder": (
        "{path}, Zeile {line}: {name} darf in der .env des aktuellen Ordners keinen Ordner nennen.",
        "Ein Modell vom Hub nennen, oder die Zeile in die .env im Ordner des Projekts oder in die "
        "Umgebung schreiben.",
    ),
    "setting.choice": (
        "Einstellung {name}: eines von diesen wird erwartet: {known}.",
        "{origin} berichtigen.",
    ),
    "setting.typographic_quotes": (
        "{origin}: der Wert beginnt mit einem typografischen Anführungszeichen, das zu ihm "
        "gehören würde.",
        "' oder \" schreiben, oder keine Anführungszeichen.",
    ),
    "setting.control_character": (
        "{origin}: der Wert enthält einen Zeilenumbruch, einen Tabulator oder ein anderes "
        "Steuerzeichen.",
        'Backslashes in einfachen Anführungszeichen oder ohne schreiben: in doppelten sind "\\n" '
        'und "\\t" ein Zeilenumbruch und ein Tabulator.',
    ),
    "setting.line": (
        "{path}, Zeile {line}: das ist nicht NAME=Wert.",
        "Einen Namen, = und einen Wert schreiben, Anführungszeichen schließen, Kommentare mit # "
        "beginnen.",
    ),
    "setting.undefined_variable": (
        "{origin}: ${{…}} im Wert nennt eine Variable, die es hier nicht gibt.",
        "Den Namen berichtigen. Ein Wert, der selbst diese Zeichen hat, gehört in die Umgebung.",
    ),
    "setting.misspelt": (
        "{path}, Zeile {line}: eine Einstellung {name} gibt es nicht. Ist {meant} gemeint?",
        "Den Namen berichtigen oder die Zeile entfernen; siehe .env.example.",
    ),
    "setting.unknown_in_file": (
        "{path}, Zeile {line}: eine Einstellung {name} gibt es nicht.",
        "Den Namen berichtigen oder die Zeile entfernen; siehe .env.example.",
    ),
    "setting.other_file": (
        "{origin} hat Vorrang vor {path}.",
        "Dort ändern, oder das Programm in einem anderen Ordner starten.",
    ),
    "json.not_object": (
        "{path} ist beschädigt: kein JSON-Objekt.",
        "Die Datei in Ordnung bringen oder entfernen; `kb reindex` zieht nach.",
    ),
    "json.damaged": (
        "{path} ist beschädigt: {reason}.",
        "Die Datei in Ordnung bringen oder entfernen; `kb reindex` zieht nach.",
    ),
    "objects.away": (
        "{url} lässt sich nicht benutzen: {reason}.",
        "Adresse, Region, Schlüssel und Netz prüfen: kb doctor versucht sie. Es wird von selbst "
        "wieder versucht; bis dahin geht nichts verloren.",
    ),
    "objects.no_client": (
        "Objektspeicher braucht das Paket boto3, das nicht installiert ist.",
        "Ausführen: pip install boto3",
    ),
    "objects.differs": (
        "{url} fehlt oder ist nicht das Medium von {item_id}.",
        "Von der Quelle neu holen: kb ingest LINK --again",
    ),
    "storage.locked": (
        "Ein anderer Prozess hält {path} seit mehr als {wait_s:g} s.",
        "Den Prozess beenden, der hängt, dann noch einmal versuchen.",
    ),
    "text.folder": ("das ist ein Ordner, keine Datei", ""),
    "text.no_file": ("das ist eine Pipe oder ein Gerät, keine Datei", ""),
    "text.too_large": ("sie hat mehr als {mb:g} MB", ""),
    "text.binary": ("Zeile {line} enthält ein NUL-Zeichen: das ist keine Textdatei", ""),
    "text.encoding": ("Zeile {line} ist weder UTF-8 noch UTF-16 noch Windows-1252", ""),
    "text.nested": ("ihre Werte sind zu tief geschachtelt", ""),
    "action.write": ("schreiben", ""),
    "action.read": ("lesen", ""),
    "action.remove": ("entfernen", ""),
    "action.lock": ("sperren", ""),
    "action.use": ("benutzen", ""),
    "storage.below_floor": (
        "{folder} hat {free} frei, und {floor} sollen dort frei bleiben: es fehlen {need}.",
        "Platz schaffen; die Arbeit geht von selbst weiter. Die Grenze ist KB_MIN_FREE_GB.",
    ),
    "storage.no_room": (
        "{folder} braucht {need}, und {room} dürfen dort noch geschrieben werden.",
        "Platz schaffen; es geht von selbst weiter. {floor} bleiben frei (KB_MIN_FREE_GB).",
    ),
    "storage.disk_full": (
        "{path} lässt sich nicht {action}: die Platte ist voll.",
        "Platz schaffen, oder KB_HOME auf einen Ordner einer anderen Platte setzen; dann noch "
        "einmal.",
    ),
    "storage.not_allowed": (
        "{path} lässt sich nicht {action}: das ist dort nicht erlaubt.",
        "Den Ordner beschreibbar machen, oder KB_HOME auf einen setzen, der es ist.",
    ),
    "storage.of_another_account": (
        "{path} lässt sich nicht {action}: {obstacle} gehört dem Konto {owner}, und das erlaubt es "
        "diesem Konto nicht.",
        "{owner} oder die Verwaltung den ganzen Ordner der Bibliothek (KB_HOME) für eine Gruppe "
        "beider Konten öffnen lassen: chgrp -R GRUPPE KB_HOME, dann chmod -R g+rwXs KB_HOME.",
    ),
    "storage.not_readable": (
        "{path} lässt sich nicht lesen: dieses Konto darf es nicht.",
        "Die Rechte der Datei oder ihres Ordners ändern.",
    ),
    "storage.wrong_kind": (
        "{path} lässt sich nicht {action}: statt eines Ordners ist dort eine Datei, oder statt "
        "einer Datei ein Ordner.",
        "Beiseitelegen, oder KB_HOME auf einen anderen Ordner setzen.",
    ),
    "storage.path_too_long": (
        "{path} lässt sich nicht {action}: der Pfad ist zu lang.",
        "KB_HOME auf einen Ordner mit kürzerem Pfad setzen.",
    ),
    "storage.absent": (
        "{path} lässt sich nicht {action}: es ist nicht (mehr) da.",
        "Prüfen, ob es den Ordner der Bibliothek (KB_HOME) gibt und seine Platte angeschlossen "
        "ist.",
    ),
    "storage.refused": (
        "{path} lässt sich nicht {action}: {reason}.",
        "Die Platte des Bibliotheksordners (KB_HOME) prüfen.",
    ),
    "output.not_ours": (
        "{path} gibt es schon: dieses Programm hat die Datei nicht geschrieben, oder sie wurde "
        "seither geändert.",
        "Einen anderen Ort angeben, oder sie ersetzen mit: --overwrite",
    ),
    "output.is_input": (
        "{path} würde über die Datei geschrieben, aus der es entsteht.",
        "Einen anderen Ort angeben.",
    ),
    "output.is_folder": (
        "{path} lässt sich nicht schreiben: ein Ordner hat diesen Namen.",
        "Einen anderen Ordner angeben, oder diesen beiseitelegen.",
    ),
    "output.in_library": (
        "{path} ist in einem Ordner, den die Bibliothek {home} für sich behält.",
        "Einen anderen Ordner angeben. Nach media/ kommen nur Dateien, die die Bibliothek dort "
        "liest, unter dem Namen eines Eintrags, etwa STEM.srt oder STEM.en.vtt.",
    ),
    "output.disk_full": (
        "{path} lässt sich nicht schreiben: die Platte ist voll.",
        "Platz schaffen, oder einen Ort auf einer anderen Platte angeben.",
    ),
    "output.not_allowed": (
        "{path} lässt sich nicht schreiben: das ist dort nicht erlaubt.",
        "Einen anderen Ort angeben, oder den Ordner beschreibbar machen.",
    ),
    "output.wrong_kind": (
        "{path} lässt sich nicht schreiben: statt eines Ordners ist dort eine Datei, oder statt "
        "einer Datei ein Ordner.",
        "Einen anderen Ort angeben, oder beiseitelegen, was dort ist.",
    ),
    "output.path_too_long": (
        "{path} lässt sich nicht schreiben: der Pfad ist zu lang.",
        "Einen Ordner mit kürzerem Pfad angeben.",
    ),
    "output.refused": (
        "{path} lässt sich nicht schreiben: {reason}.",
        "Die Platte prüfen, oder einen anderen Ort angeben.",
    ),
    "input.absent": (
        "Die Datei {path} gibt es nicht.",
        "Schreibweise und Ordner prüfen.",
    ),
    "input.not_allowed": (
        "{path} lässt sich nicht lesen: dieses Konto hat kein Recht dazu.",
        "Die Rechte der Datei oder ihres Ordners ändern.",
    ),
    "input.wrong_kind": (
        "{path} lässt sich nicht lesen: dort ist ein Ordner statt einer Datei, oder eine Datei "
        "statt eines Ordners.",
        "Die Datei selbst angeben.",
    ),
    "input.refused": (
        "{path} lässt sich nicht lesen: {reason}.",
        "Den Pfad und die Platte prüfen, oder die Datei an einen anderen Ort kopieren.",
    ),
    "json.field": ("{where}, Feld {name!r}: {problem}.", "{next_step}"),
    "setting.not_saved": (
        "{cause}",
        "Den Ordner beschreibbar machen, oder die Einstellung in der Umgebung setzen.",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {"source.unset": ("{name} under Settings", "")}
