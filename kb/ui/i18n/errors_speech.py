"""German of the errors of voices and dubs, by code."""

DE: dict[str, tuple[str, str]] = {
    "speech.which": (
        "Was soll gelesen werden?",
        'Einen Text, die ID eines Eintrags oder --file FILE angeben: kb speak "Ein Text"',
    ),
    "speech.no_espeak": (
        "espeak-ng ist nicht installiert, also gibt es auf diesem Rechner keine Stimme.",
        "Installieren: pip install 'kb-ingest[say]', oder apt install espeak-ng. Beide stehen "
        "unter der GPL und laufen in einem eigenen Prozess.",
    ),
    "speech.no_piper": (
        "piper ist nicht installiert.",
        "Installieren: pip install 'kb-ingest[say]'. Es steht unter der GPL und läuft in einem "
        "eigenen Prozess.",
    ),
    "speech.no_piper_voice": (
        "Es gibt keine Stimme von piper: Dateien NAME.onnx und NAME.onnx.json.",
        "Sie in einen Ordner legen und ihn in KB_VOICE_DIR nennen. Die Lizenz einer Stimme "
        "ansehen, bevor veröffentlicht wird, was sie sagt.",
    ),
    "speech.no_kokoro": (
        "Es ist kein Server von Kokoro eingerichtet.",
        "Einen starten und KB_KOKORO_URL setzen, etwa http://localhost:8880/v1.",
    ),
    "speech.no_address": (
        "Es ist kein Dienst mit Stimmen eingerichtet.",
        "KB_SPEECH_URL und KB_SPEECH_MODEL unter Einstellungen, Erweitert setzen. Texte werden "
        "dorthin gesendet.",
    ),
    "speech.key_form": (
        "Der Schlüssel des Dienstes mit Stimmen enthält Zeichen, die kein Schlüssel hat "
        "(Leerzeichen, Zeilenumbrüche, Buchstaben mit Akzenten).",
        "KB_SPEECH_KEY oder die Variable des Anbieters prüfen.",
    ),
    "speech.key": (
        "{place} weist den Schlüssel ab.",
        "KB_SPEECH_KEY oder die Variable des Anbieters prüfen.",
    ),
    "speech.unreachable": (
        "{place} ist nicht erreichbar: {cause}.",
        "Die Adresse des Dienstes mit Stimmen und das Netz prüfen.",
    ),
    "speech.service": (
        "{place} kann das nicht sprechen (HTTP {status}): {reason}",
        "KB_SPEECH_MODEL und den Namen der Stimme prüfen: kb speak --voices",
    ),
    "speech.silent": (
        "Die Engine {engine} hat in {seconds:g} s nicht geantwortet und wurde beendet.",
        "Noch einmal versuchen; KB_SPEECH_TIMEOUT_S gibt mehr Zeit.",
    ),
    "speech.ended": (
        "Die Engine {engine} hat sich beendet: {reason}",
        "Noch einmal versuchen, oder eine andere Stimme nehmen: kb speak --voices",
    ),
    "speech.garbage": (
        "Die Engine {engine} gibt eine Antwort, die kein Ton ist.",
        "Sie neu installieren, oder eine andere Stimme nehmen: kb speak --voices",
    ),
    "speech.refused": (
        "Die Engine {engine} kann das nicht sprechen: {reason}",
        "Eine andere Stimme nehmen: kb speak --voices",
    ),
    "speech.rate": (
        "Die Engine {engine} wechselt ihre Abtastrate von {before} auf {after} Hz.",
        "Eine andere Stimme nehmen: kb speak --voices",
    ),
    "speech.not_encoded": (
        "Der Ton lässt sich nicht schreiben: {reason}",
        "Den freien Platz und den Ordner prüfen.",
    ),
    "speech.unknown_engine": (
        "{voice!r} nennt keine Engine mit Stimmen.",
        "ENGINE:VOICE angeben, etwa espeak:de; Engines: {known}. Stimmen: kb speak --voices",
    ),
    "speech.no_voice": (
        "Auf diesem Rechner gibt es keine Stimme für {language}.",
        "Stimmen: kb speak --voices. Eine Stimme von piper kommt in KB_VOICE_DIR; die eines "
        "Dienstes wird mit --voice genannt.",
    ),
    "speech.script": (
        "Die Stimme {voice} kann diesen Text nicht lesen: seine Buchstaben sind {scripts}.",
        "Eine Stimme in der Sprache des Textes nehmen: kb speak --voices",
    ),
    "note.speech_letters": (
        "Die Stimme {voice} liest {count:Buchstaben|Buchstaben} des Textes nicht ({scripts}).",
        "Diese Stellen anhören, oder eine andere Stimme nehmen: kb speak --voices",
    ),
    "speech.empty": (
        "Es gibt nichts zu lesen: der Text hat kein Wort.",
        "Einen Text mit Buchstaben oder Zahlen angeben.",
    ),
    "speech.long": (
        "Der Text hat {count} Zeichen, mehr als {most}.",
        "Ihn in Teilen angeben.",
    ),
    "speech.speed": (
        "Ein Tempo von {speed:g} liegt nicht zwischen {slowest:g} und {fastest:g}.",
        "1 ist das eigene Tempo der Stimme.",
    ),
    "speech.language": (
        "{language!r} ist keine Sprache.",
        "Ein Kürzel oder einen Namen angeben, etwa de oder German.",
    ),
    "speech.unknown_kind": (
        "Unbekannte Art von Ton {name!r}.",
        "Der Name darf enden auf: {known}",
    ),
    "speech.no_text": (
        "{path} lässt sich nicht als Text lesen: {reason}.",
        "Eine Datei mit einfachem Text angeben.",
    ),
    "dub.no_transcript": (
        "Das Transkript von {file} auf {language} ist nicht genannt.",
        "Mit --transcript T angeben.",
    ),
    "dub.not_of_transcript": (
        "--fetch und --no-wait gelten der gespeicherten Übersetzung eines Eintrags der Bibliothek.",
        "Sie weglassen, oder --transcript weglassen.",
    ),
    "dub.fetch_sound": (
        "Der Ton einer Synchronfassung braucht kein Bild.",
        "--fetch weglassen, oder eine Datei nennen, die endet auf: {known}.",
    ),
    "produce.no_translation": (
        "Es gibt keine Übersetzung, die gesprochen werden könnte.",
        "Eine erstellen: kb translate {item_id} --into de",
    ),
    "dub.other_language": (
        "Die Sprache von {path} ist {known}, nicht {language}.",
        "Eine Übersetzung angeben: {language}.",
    ),
    "dub.unknown_kind": (
        "Unbekannte Art einer Synchronfassung {name!r}.",
        "Der Name darf enden auf: {known}",
    ),
    "dub.no_picture": (
        "{name} ist nur Ton und kann nicht {suffix} werden.",
        "Seinen Ton schreiben: -o {stem}.m4a",
    ),
    "dub.no_words": (
        "Das Transkript hat keine Wörter: es gibt nichts zu sprechen.",
        "Es ansehen, oder ein anderes mit --transcript T angeben.",
    ),
    "dub.outside": (
        "{name} endet bei {length:.1f} s, und eine Zeile beginnt bei {start:.1f} s.",
        "Ist es das Transkript dieses Mediums?",
    ),
    "dub.unknown_speaker": (
        "{name!r} spricht in diesem Transkript nicht.",
        "Sprecher: {known}",
    ),
    "dub.tempo": (
        "Eine Zeile lässt sich nicht kürzer machen: {cause}.",
        "Das mitgelieferte ffmpeg nehmen: pip install --upgrade imageio-ffmpeg, ohne "
        "IMAGEIO_FFMPEG_EXE.",
    ),
    "dub.not_measured": (
        "Die Lautheit von {name} lässt sich nicht messen: {cause}.",
        "Prüfen, ob es in einem Medienspieler läuft; sonst neu herunterladen oder kopieren.",
    ),
    "note.dub_voices": (
        "{speakers} Sprecher teilen sich {voices:Stimme|Stimmen}.",
        "Einem Sprecher eine Stimme geben: --voice NAME=ENGINE:VOICE (kb speak --voices)",
    ),
    "note.dub_untranslated": (
        "Ohne Übersetzung, also nicht gesprochen: {count:Segment|Segmente}.",
        "Die Übersetzung ergänzen, dann neu synchronisieren.",
    ),
    "note.dub_too_long": (
        "Die Zeile bei {start:.1f} s ist zu lang für ihre Zeit: {seconds:.1f} s sind "
        "abgeschnitten: {text}",
        "Sie in der Übersetzung kürzen, dann neu synchronisieren.",
    ),
    "note.dub_more_too_long": (
        "{number:weitere Zeile ist|weitere Zeilen sind} zu lang.",
        "Sie in der Übersetzung kürzen, dann neu synchronisieren.",
    ),
}
EN_PAGE: dict[str, tuple[str, str]] = {}
