"""German of the recognizer's errors (`kb.asr`, `kb.inference`, `gpu`, `kb.options`), by code."""

_HERE = "Auf diesem Rechner gibt es: {models_here}."
_DRIVER = (
    "Den Treiber prüfen: Einstellungen, Zustand. Ohne das Gerät weiterarbeiten: KB_DEVICE=cpu."
)
_WHISPER_INSTEAD = "Unverändert benutzen mit: --engine whisper"
_QWEN_PARTS = (
    "Die Erkennung ist --model oder KB_MODEL (Qwen/Qwen3-ASR-0.6B-hf und seinesgleichen), der "
    "Aligner KB_QWEN_ALIGNER (Qwen/Qwen3-ForcedAligner-0.6B-hf)."
)
_DAMAGED = "Die Dateien sind beschädigt oder von anderer Bauart; das Modell noch einmal holen."

DE: dict[str, tuple[str, str]] = {
    "engine.unknown": ("Unbekannte Engine {name!r}.", "Bekannte Engines: {known}."),
    "engine.not_installed": (
        "Die Engine {name} braucht {package}, das nicht installiert ist.",
        "Ausführen: {command}",
    ),
    "engine.compute_type": (
        "KB_COMPUTE_TYPE: {value!r} gibt es auf diesem Gerät nicht.",
        "Eines davon wählen: auto, {known}.",
    ),
    "engine.no_cublas": (
        "Die Engine faster-whisper braucht auf einer Karte {library} aus CUDA 12, das fehlt; die "
        "Bibliotheken von PyTorch sind von einem anderen CUDA.",
        "Ausführen: {command}, oder --engine whisper benutzen.",
    ),
    "engine.no_compiler": (
        "KB_COMPILE_ENCODER braucht {part}, das fehlt.",
        "Ausführen: {command}, oder KB_COMPILE_ENCODER=false setzen.",
    ),
    "recognizer.closed": (
        "Die Erkennung wurde geschlossen, bevor sie alles gelesen hatte.",
        "Noch einmal versuchen.",
    ),
    "recognizer.failed": (
        "Die Erkennung ist fehlgeschlagen: {kind}: {cause}",
        "Noch einmal versuchen; bei gleichem Ergebnis ein anderes Modell oder einen kleineren "
        "Batch versuchen.",
    ),
    "recognizer.unexpected": (
        "{kind}: {cause}",
        "Noch einmal versuchen; bei gleichem Ergebnis die Einzelheiten in logs/worker.log ansehen.",
    ),
    "recognizer.language": (
        "Das Modell {model} kennt die Sprache {language!r} nicht.",
        "Einen Code aus zwei Buchstaben angeben, den es kennt (KB_LANGUAGE), oder auto.",
    ),
    "recognizer.translate": (
        "Das Modell {model} übersetzt nicht.",
        "Ein mehrsprachiges Modell der Whisper-Familie nennen, etwa small.",
    ),
    "recognizer.temperature": ("Das Modell {model} kennt keine Temperatur.", "Bei 0 lassen."),
    "recognizer.stopped": ("Vor dem Ende abgebrochen; nichts wurde geschrieben.", ""),
    "recognizer.stopped_waiting": ("Vor dem Beginn abgebrochen.", ""),
    "recognizer.worker_stopping": ("Der Arbeiter hält an.", ""),
    "line.not_opened": (
        "Die Leitung zu diesem Arbeiter lässt sich nicht öffnen: {cause}.",
        "Programme können diesem Arbeiter keine Clips schicken; seine Warteschlange geht weiter.",
    ),
    "line.worker_ended": (
        "Der Arbeiter ist zu Ende gegangen, bevor der Text da war.",
        "Versuchen Sie es wieder; siehe logs/worker.log.",
    ),
    "line.no_worker": (
        "Auf diesem Rechner läuft kein Arbeiter dieser Bibliothek.",
        "Starten Sie einen mit: kb worker",
    ),
    "recognizer.other_model": (
        "Das Modell {model} ist nicht geladen, und {loaded} arbeitet.",
        "Versuchen Sie es später wieder, oder nehmen Sie das geladene Modell.",
    ),
    "recognizer.busy_alone": (
        "Eine Datei, die die Erkennung früher beendet hat, wird gerade allein versucht.",
        "Versuchen Sie es in einigen Sekunden wieder.",
    ),
    "recognizer.not_started": (
        "Die Erkennung lässt sich nicht starten: {cause}.",
        "Den Rechner prüfen: Einstellungen, Zustand.",
    ),
    "recognizer.crashed": (
        "Der Prozess der Erkennung ist zu Ende gegangen ({cause}).",
        "Zu wenig Speicher oder ein beschädigter Treiber? Siehe Einstellungen, Zustand.",
    ),
    "recognizer.reader_ended": (
        "Der Prozess, der diese Aufnahme las, ist zu Ende gegangen ({cause}).",
        "Zu wenig Speicher oder eine beschädigte Datei? Siehe Einstellungen, Zustand.",
    ),
    "device.window_too_large": (
        "Nicht einmal ein Fenster passt in den Speicher des Geräts: {cause}",
        "Andere Programme schließen, die die GPU benutzen, ein kleineres Modell wählen, oder "
        "KB_DEVICE=cpu.",
    ),
    "device.failed": ("Das Gerät ist ausgefallen: {cause}", _DRIVER),
    "device.failed_loading": (
        "{device} ist beim Laden des Modells ausgefallen: {cause}",
        _DRIVER,
    ),
    "device.refused": (
        "Die Bibliotheken des Geräts haben keinen Code für diese Rechnung: {cause}",
        "Eine andere Arithmetik wählen (KB_DTYPE für whisper, KB_COMPUTE_TYPE für "
        "faster-whisper), oder KB_DEVICE=cpu.",
    ),
    "device.model_too_large": (
        "Das Modell {model} passt nicht in den Speicher von {device}.",
        "Ein kleineres Modell wählen, andere Programme schließen, oder KB_DEVICE=cpu setzen.",
    ),
    "device.unknown": (
        "Unbekanntes Gerät „{request}“. Erlaubt: auto, cuda, cuda:N, rocm, rocm:N, mps, cpu.",
        "KB_DEVICE berichtigen; auto nimmt, was geht.",
    ),
    "device.no_pytorch": (
        "PyTorch lässt sich nicht laden: {cause}.",
        "Neu installieren: {command}",
    ),
    "model.no_speech_detector": (
        "Die Spracherkennung im Ton fehlt: das Paket faster-whisper enthält kein silero_vad*.onnx.",
        "Neu installieren: pip install 'faster-whisper==1.2.*'",
    ),
    "model.other_speech_detector": (
        "Die Spracherkennung im Ton, {file}, ist nicht Silero VAD Version 6: {cause}",
        "Neu installieren: pip install 'faster-whisper==1.2.*'",
    ),
    "model.unknown": (
        "Unbekanntes Modell {name!r}: weder ein Ordner, noch ein Modell der Whisper-Familie, "
        "noch ein Name des Hubs wie openai/whisper-base.",
        _HERE + " Bekannte Namen: {known}.",
    ),
    "model.folder_here": (
        "Modell {name} ist nicht als Pfad geschrieben, und der aktuelle Ordner hat {path}; das "
        "würde stattdessen geladen.",
        "Aus einem anderen Ordner starten; oder den Ordner selbst nennen: {explicit}.",
    ),
    "model.weights_missing": (
        "Modell {name}: den Gewichten fehlen {count:Tensor|Tensoren}, etwa {tensor}.",
        _DAMAGED,
    ),
    "model.offline": (
        "Modell {name} ist nicht auf diesem Rechner, und der Hub ist nicht erreichbar.",
        "Einmal mit dem Netz verbinden, um es zu holen. " + _HERE,
    ),
    "model.folder_incomplete": (
        "Modellordner {folder}: es fehlt: {files}.",
        "Einen Ordner angeben, den save_pretrained von einem Whisper-Modell und seinem Prozessor "
        "geschrieben hat.",
    ),
    "model.folder_damaged": (
        "Modellordner {folder} lässt sich nicht laden: {cause}",
        "Die Dateien sind beschädigt oder kein Whisper-Modell; den Ordner noch einmal kopieren, "
        "oder mit --model demo den Rest ausprobieren.",
    ),
    "model.not_loaded": (
        "Modell {name} lässt sich nicht laden: {cause}",
        "Es ist vielleicht kein Whisper-Modell. " + _HERE,
    ),
    "model.not_whisper": (
        "Modell {name} ist kein Whisper-Modell, sondern eines der Art {kind!r}.",
        "Namen der Whisper-Familie: {known}. " + _HERE,
    ),
    "model.not_converted_into": (
        "Modell {name} lässt sich nicht nach {folder} umwandeln: {cause}",
        "Dort Platz schaffen, oder in KB_MODEL_CACHE einen anderen Ordner nennen.",
    ),
    "model.not_converted": (
        "Modell {name} lässt sich nicht für CTranslate2 umwandeln: {cause}",
        _WHISPER_INSTEAD,
    ),
    "model.not_loaded_ctranslate2": (
        "Modell {name} lässt sich von CTranslate2 nicht laden: {cause}",
        _WHISPER_INSTEAD,
    ),
    "model.no_config_parakeet": (
        "Modellordner {folder}: config.json fehlt.",
        "Einen Ordner angeben, den save_pretrained von einem Parakeet-Modell und seinem "
        "Prozessor geschrieben hat.",
    ),
    "model.not_parakeet": (
        "Modell {name} ist kein Parakeet-Modell, sondern eines der Art {kind!r}.",
        "Die Engine parakeet liest nvidia/parakeet-tdt-0.6b-v3 und seinesgleichen; für "
        "Whisper-Modelle: --engine whisper.",
    ),
    "model.no_config_qwen3": (
        "Modellordner {folder}: config.json fehlt.",
        "Einen Ordner angeben, den save_pretrained von einem Qwen3-ASR-Modell und seinem "
        "Prozessor geschrieben hat.",
    ),
    "model.not_qwen3": (
        "Modell {name} ist kein Qwen3-ASR-Modell, sondern eines der Art {kind!r}.",
        "Die Engine qwen3-asr liest Qwen/Qwen3-ASR-0.6B-hf und seinesgleichen; für "
        "Whisper-Modelle: --engine whisper.",
    ),
    "model.qwen3_original_form": (
        "Modell {name} hat die Form von Qwens eigenem Programm, die hier nicht lesbar ist.",
        "Dasselbe Modell in der Form von transformers nehmen: sein Name endet auf -hf.",
    ),
    "model.aligner_as_recognizer": (
        "Modell {name} ist ein Aligner.",
        _QWEN_PARTS,
    ),
    "model.recognizer_as_aligner": (
        "Modell {name} ist eine Erkennung.",
        _QWEN_PARTS,
    ),
    "model.aligner_missing": (
        "{cause}",
        "Der Aligner bestimmt die Zeiten der Wörter; sein Name ist die Einstellung "
        "KB_QWEN_ALIGNER, ein Name des Hubs oder ein Ordner. Holen mit: kb models pull {aligner}",
    ),
    "model.aligner_damaged": (
        "{cause}",
        "Der Aligner bestimmt die Zeiten der Wörter; sein Name ist die Einstellung "
        "KB_QWEN_ALIGNER. {cause.hint}",
    ),
    "calibration.no_samples": (
        "In {folder} gibt es keine Aufnahmen, mit denen sich messen lässt.",
        "Den Ordner samples des Projekts zurücklegen.",
    ),
    "models.not_readable": (
        "Die Modelltabelle {path} lässt sich nicht lesen: {reason}.",
        "KB_MODELS_FILE berichtigen, oder models.yaml wiederherstellen.",
    ),
    "models.yaml": ("{path}, Zeile {line}: {cause}.", "Siehe models.yaml des Projekts."),
    "models.no_rows": (
        "{path}: hier werden Zeilen von Modellen erwartet.",
        "Siehe models.yaml des Projekts.",
    ),
    "models.row": (
        "{path}, Zeile {row}, Feld {field}: {problem}.",
        "models.yaml des Projekts erklärt die Felder.",
    ),
    "models.no_default": (
        "Die Modelltabelle nennt kein Modell für Maschinen der Art {kind}.",
        "Einer Zeile default_on: {kind} geben, oder KB_MODEL setzen.",
    ),
    "models.other_aligner": (
        "Der Auftrag will die Wörter mit {wanted} gezeitet haben; dieser Rechner nimmt {own}.",
        "KB_QWEN_ALIGNER auf allen Rechnern gleich setzen.",
    ),
    "models.other_machine": (
        "Das Modell {model} ist für Maschinen der Art {wanted}; diese ist von der Art {kind}.",
        "Ein anderes Modell wählen, oder device in seiner Zeile ändern (KB_MODELS_FILE).",
    ),
    "presets.not_readable": (
        "Die Presetdatei {path} lässt sich nicht lesen: {reason}.",
        "KB_PRESETS_FILE berichtigen, oder presets.yaml wiederherstellen.",
    ),
    "presets.name": (
        "„{name}“ ist kein Name für ein Preset.",
        "Buchstaben, Ziffern und _ benutzen, keine Leerzeichen.",
    ),
    "presets.missing": ("In {path} gibt es kein Preset {name}.", "Ansehen mit: kb presets"),
    "presets.last": ("{name} ist das einzige Preset.", "Zuerst ein weiteres hinzufügen."),
    "presets.changed": (
        "{path} wurde inzwischen geändert.",
        "Noch einmal ansehen, dann ändern.",
    ),
    "preset.whole": (
        "muss eine ganze Zahl von {low:g} bis {high:g} sein, nicht {value}",
        "",
    ),
    "preset.number": ("muss eine Zahl von {low:g} bis {high:g} sein, nicht {value}", ""),
    "preset.timestamps": ("muss segment oder word sein, nicht {value}", ""),
    "preset.overlap": (
        "muss kleiner sein als die Hälfte des Chunks ({half:g} s), nicht {value}",
        "",
    ),
    "preset.value": ("Preset {name}: {key} {problem}.", "Siehe presets.yaml."),
    "preset.option": (
        "{option} {problem}.",
        "Die eigenen Werte der Presets stehen unter Einstellungen, Dieser Rechner.",
    ),
    "preset.unknown": (
        "Unbekanntes Preset {name}. Bekannte Presets: {known}.",
        "kb presets zeigt, was jedes tut.",
    ),
    "preset.unknown_close": (
        "Unbekanntes Preset {name}. Bekannte Presets: {known}.",
        "War {close} gemeint?",
    ),
    "presets.no_name": (
        "{path}, Zeile {line}: {name} ist kein Name eines Presets.",
        "Ein Wort benutzen.",
    ),
    "presets.same_name": (
        "{path}, Zeile {line}: Preset {name} hört auf denselben Namen wie Preset {other}.",
        "Einem davon einen anderen Namen oder Titel geben; Groß- und Kleinschreibung und Zeichen "
        "machen keinen Unterschied.",
    ),
    "presets.yaml_mark": (
        "{path}, Zeile {line}: {cause}.",
        "Ein Schlüssel darf einmal vorkommen; mit Leerzeichen einrücken.",
    ),
    "presets.nested": (
        "{path}: die Werte sind zu tief geschachtelt.",
        "Siehe presets.yaml.",
    ),
    "presets.yaml": ("{path}, Zeile 1: {cause}.", "Siehe presets.yaml."),
    "presets.no_presets": (
        "{path}, Zeile 1: hier werden Presets erwartet, nicht {value}.",
        "Siehe presets.yaml.",
    ),
    "presets.no_figures": (
        "{path}, Zeile {line}: Preset {name} hat keine Werte.",
        "Nötig sind: {keys}.",
    ),
    "presets.unknown_key": (
        "{path}, Zeile {line}: Preset {name}: unbekannter Schlüssel {key}.",
        "Bekannte Schlüssel: {keys}, label.",
    ),
    "presets.unknown_key_close": (
        "{path}, Zeile {line}: Preset {name}: unbekannter Schlüssel {key}.",
        "War {close} gemeint? Bekannte Schlüssel: {keys}, label.",
    ),
    "presets.key_missing": (
        "{path}, Zeile {line}: Preset {name}: {key} fehlt.",
        "Nötig sind: {keys}.",
    ),
    "presets.label": (
        "{path}, Zeile {line}: Preset {name}: label muss ein Text mit Buchstaben sein, nicht "
        "{value}.",
        "Den Text in Anführungszeichen setzen.",
    ),
    "presets.value": (
        "{path}, Zeile {line}: Preset {name}: {key} {problem}.",
        "Den Wert in dieser Zeile berichtigen.",
    ),
    "presets.not_writable": (
        "{cause}",
        "Die Datei beschreibbar machen, oder KB_PRESETS_FILE auf eine Kopie von ihr setzen.",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
