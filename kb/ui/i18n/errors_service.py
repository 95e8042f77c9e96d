"""German texts of the errors of `kb.service`, `kb.cli` and `kb.ui`, by code: message and hint."""

DE: dict[str, tuple[str, str]] = {
    "search.query_long": (
        "Die Anfrage hat {length} Zeichen; gesucht wird nach höchstens {most}.",
        "Nach den wenigen Wörtern suchen, auf die es ankommt.",
    ),
    "reading.day": ("{name} {day!r} ist kein Tag.", "Einen Tag wie 2026-01-31 schreiben."),
    "reading.place": (
        "{place!r} ist keine Stelle in einem Eintrag.",
        "Die Kennung eines Suchergebnisses angeben, etwa youtube:VIDEO#83.",
    ),
    "reading.cursor": (
        "{cursor!r} führt diese Liste nicht fort.",
        "Ohne Fortsetzungsmarke von vorn beginnen.",
    ),
    "requests.link": (
        "{link!r} ist kein Link, der mit http:// oder https:// beginnt.",
        "Die Adresse eines Videos, eines Kanals oder einer Playlist angeben.",
    ),
    "mcp.not_installed": (
        "Das Paket mcp ist nicht installiert.",
        'Installieren: pip install "mcp>=2.3,<3"',
    ),
    "review.medium_deleted": (
        "Das Medium von {item_id} wurde am {day} nach den Regeln seiner Quelle gelöscht.",
        "Noch einmal holen: kb ingest {url} --again",
    ),
    "version.asked": (
        "Die Quelle hat jetzt ein anderes Medium, {now_s:.0f} s lang statt {before_s:.0f} s. Der "
        "Eintrag wurde von Hand korrigiert oder veröffentlicht und wird darum nicht von selbst "
        "ersetzt.",
        "Die neue Fassung nehmen oder diese behalten: auf der Seite von {item_id} in der "
        "Bibliothek.",
    ),
    "review.not_asked": (
        "Die Quelle von {item_id} hat kein anderes Medium, von dem bekannt ist.",
        "Ein Blick auf eine abonnierte Quelle bemerkt eines: kb follow --list",
    ),
    "item.no_version": (
        "{item_id} hat keine frühere Fassung {number}.",
        "Siehe: kb show {item_id} --versions",
    ),
    "options.hours": (
        "{option} {text!r} ist keine Tageszeit.",
        "Anfang und Ende schreiben: 22:00-06:00; mehrere mit Komma: 7-9, 12-13; mit Zeitzone: "
        "22:00-06:00@Europe/Berlin",
    ),
    "options.source_number": ("{option} {problem}.", "Siehe: kb follow --help"),
    "python.option": ("Es gibt keine Option {name!r}.", "Optionen: {known}."),
    "python.option_value": (
        "Die Option {name} geht so nicht: {problem}.",
        "Ihre Werte: help(kb.options.RunOptions), oder kb ingest --help.",
    ),
    "options.track": (
        "{option} {value!r} ist keine Tonspur.",
        "Die Nummer einer Tonspur angeben, von 1 an, oder all.",
    ),
    "options.metadata": (
        "{option} {pair!r} ist nicht key=value.",
        "So schreiben: {option} team=forschung",
    ),
    "options.stored": (
        "Gespeicherte Optionen eines Laufs, {name}: {problem}.",
        "Den Eintrag noch einmal einreihen: Reiter Hinzufügen, „Noch einmal transkribieren, was "
        "schon in der Bibliothek ist“.",
    ),
    "options.asked": (
        "Die gespeicherten Einstellungen einer Anfrage sind nicht brauchbar: {reason}.",
        "Den Eintrag noch einmal einreihen: Reiter Hinzufügen, „Noch einmal transkribieren, was "
        "schon in der Bibliothek ist“.",
    ),
    "task.lost": (
        "Der Vorgang {name} endete ohne Ergebnis: sein Prozess ist weg.",
        "Noch einmal beginnen; was er getan hat, bleibt. Siehe {log}.",
    ),
    "task.unexpected": (
        "Der Vorgang {name} ist fehlgeschlagen: ein unerwarteter Fehler ({kind}).",
        "Siehe {log}.",
    ),
    "worker.still_running": (
        "Es läuft noch: {names}.",
        "Warten und noch einmal versuchen.",
    ),
    "status.unknown_state": (
        "Unbekannter Zustand {state!r}.",
        "Bekannt: {known}.",
    ),
    "cancel.no_items": ("Welche Einträge?", "kb cancel ID…, oder --all"),
    "dismiss.no_items": ("Welche Einträge?", "kb dismiss ID…, oder --all"),
    "retry.no_items": (
        "Welche Einträge?",
        "kb retry KENNUNG…, oder kb retry --failed",
    ),
    "worker.json_here": (
        "Ein Arbeiter, der hier läuft, hat kein Ergebnis auszugeben.",
        "kb worker --detach --json, oder kb worker --stop --json",
    ),
    "worker.not_started": (
        "Der Arbeiter ist nicht gestartet.",
        "Siehe {log}",
    ),
    "publish.local": (
        "Der lokale Index folgt der Bibliothek von selbst.",
        "Neu aufbauen mit: kb reindex",
    ),
    "publish.no_items": (
        "Welche Einträge?",
        "kb publish KENNUNG…, oder kb publish --all",
    ),
    "ask.unsupported": (
        "{sink!r} lässt sich nicht fragen.",
        "odin oder local fragen.",
    ),
    "ask.limit_remote": (
        "{sink} wählt seine Stellen selbst.",
        "--limit weglassen, oder diese Bibliothek fragen: --to local",
    ),
    "compare.unknown": (
        "{item_id} hat kein anderes Transkript {key!r}.",
        "Die früheren Fassungen: kb show {item_id} --versions",
    ),
    "channel.unknown": (
        "Von einem Kanal {name!r} gibt es keine Aufnahme.",
        "Die Einträge mit ihren Kanälen: kb list",
    ),
    "review.one_option": (
        "Nur eines auf einmal.",
        "Eine der Optionen --export, --accept, --edit und --retry benutzen.",
    ),
    "review.edit_form": (
        "--edit {given!r} ist nicht WO=TEXT.",
        '--edit "12=der neue Text"',
    ),
    "review.edit_target": (
        "{target!r} ist weder die Nummer eines Segments noch ein Zeitabschnitt.",
        '--edit "12=…" oder --edit "1:05-1:12.5=…"',
    ),
    "review.no_item": (
        "Welcher Eintrag?",
        "Was auf Durchsicht wartet: kb review",
    ),
    "follow.no_source": (
        "Wem soll gefolgt werden?",
        "kb follow QUELLE, oder kb follow --list",
    ),
    "follow.other_channel": (
        "{reference} führt nicht zu dem Kanal, der verfolgt wird.",
        "Als eigene Quelle verfolgen.",
    ),
    "follow.unknown": (
        "{source!r} wird nicht verfolgt.",
        "Siehe: kb follow --list",
    ),
    "export.unknown_format": (
        "Unbekanntes Format {name!r}.",
        "Bekannte Formate: {known}.",
    ),
    "export.json_of_files": (
        "--json nennt die geschriebenen Dateien, und es wird keine geschrieben.",
        "-o ORDNER oder --zip DATEI dazugeben; das Transkript selbst als JSON: --format json",
    ),
    "export.no_items": (
        "Welche Einträge?",
        "kb export ID… oder kb export --all",
    ),
    "export.no_transcripts": (
        "Kein Eintrag in {home} hat ein Transkript.",
        "Die Zustände der Einträge ansehen: kb status --all",
    ),
    "export.two_places": (
        "Sowohl -o als auch --zip ist angegeben.",
        "Eines davon angeben.",
    ),
    "export.several_to_stdout": (
        "Mehrere Dokumente lassen sich nicht auf die Standardausgabe schreiben.",
        "Einen Ordner angeben (-o ORDNER) oder, für Einträge der Bibliothek, ein ZIP "
        "(--zip DATEI).",
    ),
    "export.no_text_for_terminal": (
        "Ein Dokument im Format {format!r} ist kein Text für ein Terminal.",
        "In einen Ordner schreiben: -o ORDNER",
    ),
    "export.no_word_times": (
        "{formats} hat keine Zeit je Wort: {option} word ändert nichts.",
        "Formate mit den Zeiten der Wörter: {known}.",
    ),
    "export.no_marked_words": (
        "{formats} kann das gesprochene Wort nicht hervorheben: {option} ändert nichts.",
        "Formate, die es können: {known}.",
    ),
    "export.no_subtitles": (
        "{formats} hat keine Untertitel: ihr Layout ändert nichts.",
        "Formate von Untertiteln: {known}.",
    ),
    "export.no_csv": (
        "--csv {form} ist eine Form des Formats csv, das nicht verlangt ist.",
        "Es hinzufügen: --format csv",
    ),
    "format.no_text": (
        "Ein Dokument im Format {format!r} ist kein Text.",
        "In einen Ordner schreiben: -o ORDNER",
    ),
    "format.no_chapters": (
        "Es gibt keine Kapitel, die sich als {format!r} schreiben ließen.",
        "Kapitel kommen von der Seite des Mediums oder aus seinen Angaben, oder von einem "
        "Sprachmodell: kb enrich ID --steps chapters",
    ),
    "format.no_notes": (
        "Kein Sprachmodell hat etwas notiert, das sich als {format!r} schreiben ließe.",
        "Zuerst Notizen machen: kb enrich ID --steps summary,chapters,highlights",
    ),
    "format.no_screen": (
        "Auf dem Bildschirm wurde kein Text gelesen, der sich als {format!r} schreiben ließe.",
        "Ihn zuerst lesen: kb enrich ID --steps screen",
    ),
    "format.no_speakers": (
        "Das Transkript nennt keine Sprecher, aus denen {format!r} besteht.",
        "Transkripte anderer Programme nennen sie oft (whisperX). Für Wörter und Zeiten: textgrid, "
        "json oder csv.",
    ),
    "transcribe.several": (
        "Die Texte mehrerer Dateien brauchen einen Ordner.",
        "Einen nennen: -o ORDNER",
    ),
    "transcribe.not_one": (
        "{address} nennt nicht genau eine Aufnahme ({count}).",
        "Alle zur Bibliothek hinzufügen: kb ingest ADRESSE --wait",
    ),
    "search.local_filters": (
        "--channel, --after, --tag und die anderen Filter wählen Medien der Bibliothek, nicht des "
        "ODIN-Projekts.",
        "Sie weglassen, oder --remote weglassen.",
    ),
    "app.port_taken": (
        "Ein anderes Programm benutzt den Port {port}.",
        "Ist es diese Seite: http://127.0.0.1:{port} öffnen. Sonst: kb app --port {free}",
    ),
    "doctor.bundle_name": (
        "{path} endet nicht auf .zip.",
        "kb doctor --bundle bericht.zip",
    ),
    "config.unknown": (
        "{name} ist keine Einstellung.",
        "Alle Einstellungen: kb config --all",
    ),
    "logs.unknown": (
        "Unbekanntes Protokoll {name!r}.",
        "Bekannt: {known}.",
    ),
    "open.no_medium": (
        "{item_id} hat auf diesem Rechner kein Medium.",
        "Sein Transkript: kb show {item_id}",
    ),
    "transcribe.no_input": (
        "An die Standardeingabe wird nichts geschickt.",
        "Zum Beispiel: kb transcribe - < vortrag.mp4",
    ),
    "transcribe.one_name": (
        "Aus {first} und {second} würde beides Mal {name}.",
        "Eine umbenennen, oder sie in zwei Ordner lesen.",
    ),
    "search.unknown_mode": (
        "Unbekannte Suchart {mode!r}.",
        "Bekannt: {known}.",
    ),
    "export.folder_is_file": (
        "{folder} lässt sich nicht beschreiben: {place} ist eine Datei, kein Ordner.",
        "Einen anderen Ordner angeben, oder die Datei beiseitelegen.",
    ),
    "correct.no_words": (
        "{wrong!r} ist nichts, wonach sich suchen ließe.",
        "kb correct KANAL FALSCH RICHTIG",
    ),
    "correct.several_channels": (
        "{count} Kanäle heißen {channel!r}.",
        "Die Id eines von ihnen angeben: {ids}.",
    ),
    "correct.no_items": (
        "Keine Einträge eines Kanals {channel!r} in {home}.",
        "Bekannte Kanäle: {known}; {everything!r} für alle Einträge.",
    ),
    "item.in_queue": (
        "{item_id} ({title}) hat noch kein Transkript.",
        "Den Zustand und den nächsten Versuch zeigt der Reiter Aktivität: {item_id}",
    ),
    "item.unknown": (
        "Einen Eintrag {item_id!r} gibt es nicht in {home}.",
        "Die Einträge auflisten: kb status --all",
    ),
    "item.ambiguous": (
        "{item_id!r} könnte jeder von diesen sein: {ids}.",
        "Mehr von der Kennung angeben.",
    ),
    "review.no_choice": (
        "Mit welchem Modell oder welcher Engine?",
        "kb review {item_id} --retry --model large-v3",
    ),
    "review.queued": (
        "{item_id} ist schon im Zustand „{state}“.",
        "Wo es steht: kb status",
    ),
    "review.medium_gone": (
        "Das Medium von {item_id} ist nicht in {folder}.",
        "Es neben seine Metadaten zurücklegen, oder noch einmal hinzufügen.",
    ),
    "edit.times_reversed": (
        "Von {start_s:g} s bis {end_s:g} s ist kein Zeitabschnitt.",
        "Den früheren Zeitpunkt zuerst angeben.",
    ),
    "edit.active": (
        "{item_id} ist im Zustand „{state}“: sein Transkript wird gerade neu erstellt.",
        "Das Ende abwarten, oder: kb cancel {item_id}",
    ),
    "edit.no_segment": (
        "{item_id} hat kein Segment {number}: es hat {count}.",
        "Ihre Nummern stehen in: kb review {item_id}",
    ),
    "edit.changed": (
        "Segment {number} von {item_id} wurde inzwischen geändert: {found!r}.",
        "Noch einmal ansehen, dann ändern.",
    ),
    "edit.locked": (
        "Ein anderer Prozess schreibt seit einer Minute eine Änderung.",
        "Noch einmal versuchen; bleibt es dabei, den anderen kb-Prozess beenden.",
    ),
    "upload.no_path": (
        "Eine Datei oder einen Ordner {path} gibt es nicht.",
        "Den Pfad prüfen.",
    ),
    "upload.gone": (
        "Von {total} abgelegten Dateien sind {count} nicht mehr da.",
        "Noch einmal ablegen.",
    ),
    "upload.no_files": (
        "{path} enthält nichts, was ODIN nimmt.",
        "Siehe die Liste der Dateiarten.",
    ),
    "task.unknown": (
        "Einen Vorgang {name!r} gibt es nicht.",
        "Bekannt: {known}.",
    ),
    "task.running": (
        "Derselbe Vorgang läuft schon.",
        "Sein Ende abwarten oder ihn anhalten, dann noch einmal versuchen.",
    ),
    "task.other_host": (
        "Der Vorgang läuft auf {host}.",
        "Ihn dort anhalten.",
    ),
    "worker.ends_at_once": (
        "Der Arbeiter endet, sobald er gestartet ist.",
        "Siehe {log}, oder im Vordergrund ausführen: kb worker",
    ),
    "page.replaced": (
        "Inzwischen wird etwas anderes angesehen.",
        "",
    ),
    "page.unguarded": (
        "Die Oberfläche wäre an {address} erreichbar, auch für andere, und verlangt "
        "keine Anmeldung.",
        "KB_PASSWORD setzen, oder einen Abschnitt [auth] (OIDC) in "
        ".streamlit/secrets.toml; oder auf diesem Rechner bleiben: --server.address "
        "127.0.0.1",
    ),
    "api.unguarded": (
        "Die API wäre an {host} erreichbar, auch für andere, und verlangt keinen Schlüssel.",
        "Einen Schlüssel machen: kb keys add NAME; oder KB_API_KEYS auf lange zufällige Wörter "
        "setzen; oder auf diesem Rechner bleiben: --host 127.0.0.1",
    ),
    "access.name": (
        "Ein Schlüssel braucht einen Namen von höchstens {most} Zeichen.",
        "Das Programm oder die Person nennen, die ihn bekommt.",
    ),
    "access.scope": ("{scope!r} ist kein Recht eines Schlüssels.", "Rechte: {known}."),
    "access.at_once": (
        "Ein Schlüssel darf mindestens eine Transkription gleichzeitig haben.",
        "Weglassen für einen Schlüssel ohne Grenze.",
    ),
    "access.quota": (
        "Ein Kontingent ist eine Zahl von Stunden über 0.",
        "Für einen Schlüssel ohne Kontingent weglassen.",
    ),
    "access.which": (
        "{count} gültige Schlüssel heißen {name!r}.",
        "Die Kennung von einem angeben: kb keys list",
    ),
    "access.quota_used_up": (
        "Das Kontingent des Schlüssels hat keinen Platz für diese Aufnahme.",
        "Ein Tag beginnt um 0:00 UTC; kb keys list zeigt Kontingente und Verbrauch.",
    ),
    "detection.stopped": ("Der Aufrufer ist gegangen.", ""),
    "api.weak_key": (
        "KB_API_KEYS, Schlüssel {number}: mindestens {least} ASCII-Zeichen ohne Leerzeichen werden "
        "erwartet.",
        "Einen machen: openssl rand -hex 32",
    ),
    "api.address": (
        "Die API kann an {address} nicht lauschen: {reason}.",
        "Eine andere Adresse angeben: --host, --port",
    ),
    "api.starting": ("Der Arbeiter der Erkennung startet.", "In ein paar Sekunden noch einmal."),
    "webhook.address": (
        "Der Webhook ist keine Adresse im Netz.",
        "Sie sieht aus wie https://hooks.example.org/kb",
    ),
    "webhook.no_secret": (
        "Hier lässt sich kein Webhook nennen: KB_WEBHOOK_SECRET ist nicht gesetzt oder hat eine "
        "andere Form.",
        "Auf whsec_ und 24 bis 64 zufällige Bytes in Base64 setzen.",
    ),
    "uploads.too_many": (
        "{most} Uploads sind offen.",
        "Einen davon beenden oder löschen; die Grenze ist KB_API_UPLOADS.",
    ),
    "uploads.no_room": (
        "Die Platte hat keinen Raum für {size} Bytes neben dem, was andere Uploads noch bringen.",
        "Platz schaffen oder einen Upload löschen.",
    ),
    "jobs.cursor": ("{cursor!r} ist kein Auftrag dieser Liste.", "Ohne Cursor von vorn beginnen."),
    "page.unexpected": ("{kind}: {reason}", "Einzelheiten stehen im Protokoll des Servers."),
    "page.preset_taken": (
        "Ein Preset {name} gibt es schon.",
        "In der Liste wählen, um es zu ändern, oder einen anderen Namen nehmen.",
    ),
    "page.preset_in_use": (
        "Das Preset {name} gilt gerade (KB_PRESET).",
        "Zuerst ein anderes wählen.",
    ),
    "page.nothing_given": (
        "Es ist nichts angegeben.",
        "Geben Sie einen Link, Kanalnamen oder Pfad an, oder legen Sie eine Datei ab.",
    ),
    "page.follow_nothing": (
        "Nichts wurde genannt.",
        "Einen Kanal, eine Playlist oder einen Ordner angeben.",
    ),
    "correct.same": (
        "{wrong!r} und die Berichtigung sind gleich.",
        "Die richtigen Wörter als zweites angeben: kb correct KANAL FALSCH RICHTIG",
    ),
    "review.accepted": (
        "{item_id} wurde schon angenommen.",
        "Was auf Durchsicht wartet: kb review",
    ),
    "review.nothing_doubtful": (
        "An {item_id} ist nichts zweifelhaft.",
        "Was auf Durchsicht wartet: kb review",
    ),
    "review.no_spans": (
        "{item_id} hat keine zweifelhaften Sekunden, die sich ausschneiden ließen.",
        "Einen beliebigen Abschnitt ausschneiden: kb clip {item_id} --from --to",
    ),
    "review.no_spans_held": (
        "{item_id} hat keine zweifelhaften Sekunden, die sich ausschneiden ließen.",
        "{cause}",
    ),
    "sync.unsupported": (
        "{sink!r} lässt sich nicht mit der Bibliothek vergleichen.",
        "Abgeglichen wird mit: kb publish --all --to {sink}",
    ),
    "upload.nothing": (
        "In dem, was angegeben ist, gibt es nichts zu senden.",
        "Dateien oder einen Ordner mit Dateien angeben, die ODIN nimmt.",
    ),
    "page.nothing_taken": ("Nichts wurde eingereiht: {reason}.", ""),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
