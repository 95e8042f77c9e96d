"""German texts of the errors of translations, by code: message and hint."""

DE: dict[str, tuple[str, str]] = {
    "translation.language": (
        "{name!r} ist keine bekannte Sprache.",
        "Einen Code aus zwei Buchstaben angeben, etwa de, fr oder es.",
    ),
    "translation.no_language": (
        "Keine Sprache ist genannt, in die übersetzt werden soll.",
        "kb translate ID --into de, oder KB_TRANSLATE_INTO für den Schritt.",
    ),
    "translation.way": (
        "Es gibt keinen Weg {way!r} zu übersetzen.",
        "Bekannt: {known}.",
    ),
    "translation.only_english": (
        "Whisper übersetzt nur ins Englische.",
        "kb translate ID --into en --via whisper; in andere Sprachen: --via llm oder local.",
    ),
    "translation.no_recognizer": (
        "Whisper übersetzt nur in einem Arbeiter.",
        "kb translate ID --into en --via whisper --wait",
    ),
    "translation.not_trained": (
        "Das Modell {model} wurde nicht zum Übersetzen trainiert.",
        "KB_TRANSLATE_MODEL auf ein mehrsprachiges Whisper-Modell setzen, das es wurde, etwa "
        "small oder large-v3.",
    ),
    "translation.none": (
        "{model} gab keine brauchbare Übersetzung ({language}).",
        "Ein anderes Modell kann es besser: KB_LLM_MODEL, oder KB_TRANSLATE_MODEL auf diesem "
        "Rechner.",
    ),
    "translation.none_here": (
        "{item_id} hat keine Übersetzung ({language}).",
        "Sie machen: kb translate {item_id} --into {code}",
    ),
    "translation.earlier_words": (
        "Die Worte von {item_id} haben sich seit der Übersetzung ({language}) geändert.",
        "Sie neu machen: kb translate {item_id} --into {code}",
    ),
    "translation.no_model": (
        "Kein Modell ist für Übersetzungen auf diesem Rechner genannt.",
        "KB_TRANSLATE_MODEL unter Einstellungen, Erweitert auf den Ordner oder Hub-Namen eines "
        "Modells opus-mt oder NLLB in CTranslate2s Format setzen; auf die Lizenz des Modells "
        "achten.",
    ),
    "translation.no_package": (
        "Das Paket {package} ist nicht installiert.",
        "Installieren: pip install {package}",
    ),
    "translation.incomplete": (
        "Dem Modell in {folder} fehlt: {files}.",
        "Es muss in CTranslate2s Format sein: ct2-transformers-converter --model NAME "
        "--output_dir FOLDER --copy_files source.spm target.spm (bei NLLB tokenizer.json).",
    ),
    "translation.other_format": (
        "{name} ist kein Modell in CTranslate2s Format.",
        "Ein umgewandeltes wählen (model.bin neben config.json), oder es umwandeln: "
        "ct2-transformers-converter --model {name} --output_dir FOLDER",
    ),
    "translation.not_loaded": (
        "Das Modell {model} lässt sich nicht laden: {reason}",
        "Es mit dem installierten CTranslate2 neu umwandeln, oder ein anderes wählen.",
    ),
    "translation.not_its_language": (
        "Das Modell {model} übersetzt nicht zwischen diesen Sprachen: {language} gehört nicht "
        "dazu.",
        "Ein anderes Modell in KB_TRANSLATE_MODEL nennen, oder mit --via llm übersetzen.",
    ),
    "translate.no_items": (
        "Welche Aufnahmen?",
        "kb translate ID…, oder --all",
    ),
}

EN_PAGE: dict[str, tuple[str, str]] = {}
