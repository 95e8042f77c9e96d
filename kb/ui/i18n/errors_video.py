"""German of the errors of `kb.video` and of its command, by code."""

DE: dict[str, tuple[str, str]] = {
    "video.which": (
        "Was soll gezeichnet werden?",
        "Eines von --captions und --karaoke angeben, oder --reel mit einem davon oder keinem.",
    ),
    "video.soft_karaoke": (
        "Nur Untertitel eines ganzen Mediums können eine Spur sein, die ein Abspieler einschaltet.",
        "--soft weglassen, oder --captions --soft nehmen.",
    ),
    "video.not_of_file": (
        "--fetch und --no-wait sind für Einträge der Bibliothek.",
        "Sie weglassen.",
    ),
    "video.no_transcript_yet": (
        "{item_id} hat kein fertiges Transkript.",
        "Warten, bis es fertig ist: kb status",
    ),
    "video.cancelled": (
        "Das Erzeugnis von {item_id} wurde abgebrochen.",
        "Es noch einmal bestellen.",
    ),
    "video.not_fetched": (
        "Das Bild von {title!r} lässt sich nicht holen: {reason}",
        "Ohne --fetch stehen die Wörter über einer Welle des Tons.",
    ),
    "video.unknown_order": (
        "Dieses Erzeugnis ist hier nicht bekannt: {kind!r}.",
        "Bekannt sind: {known}. Eine neuere Fassung des Programms kann es eingereiht haben.",
    ),
    "evidence.queued_folder": (
        "Ein Arbeiter macht ein Paket als ZIP, nicht als Ordner.",
        "--no-wait weglassen, oder eine Datei nennen, die auf .zip endet.",
    ),
    "verify.pack_options": (
        "--repair und --dry-run sind für die Bibliothek: ein Paket wird verglichen, nie geändert.",
        "kb verify FILE.zip allein; ein beschädigtes Paket macht kb evidence noch einmal.",
    ),
    "produce.times": ("Eine Zeit fehlt.", "Beide angeben, etwa 1:05 und 1:20."),
    "verify.key_without_pack": (
        "--key ist für ein Belegpaket.",
        "kb verify FILE.zip --key FINGERABDRUCK",
    ),
    "evidence.key_form": (
        "{text!r} ist kein Fingerabdruck eines Schlüssels.",
        "Seine 64 Stellen (0-9, a-f) angeben, oder mindestens die ersten 16.",
    ),
    "evidence.key_open": (
        "Andere dürfen den Schlüssel {path} lesen.",
        "chmod 600 {path}. Wenn er kopiert worden sein kann, ihn löschen: die nächste "
        "Unterschrift macht einen anderen.",
    ),
    "evidence.key_damaged": (
        "{path} ist kein lesbarer Ed25519-Schlüssel.",
        "Seine Kopie zurücklegen, oder ihn löschen: die nächste Unterschrift macht einen anderen.",
    ),
    "evidence.no_words": (
        "Von {start} bis {end} wird nichts gesagt.",
        "Die Zeiten ansehen: kb show {item_id}",
    ),
    "evidence.no_pack": (
        "{path} ist kein Belegpaket, das sich lesen lässt: {reason}.",
        "Das ZIP oder den Ordner nennen, den kb evidence schrieb.",
    ),
    "video.take_without_reel": (
        "--take und --length sind für eine Zusammenstellung.",
        "--reel dazunehmen.",
    ),
    "reel.take": (
        "{text!r} ist kein Abschnitt.",
        'So angeben: --take "1:05-1:20=Titel".',
    ),
    "reel.number": (
        "Eine Zusammenstellung hat 1 bis {most} Abschnitte, nicht {number}.",
        'Sie nennen: --take "1:05-1:20=Titel", für jeden einmal.',
    ),
    "reel.short": (
        "Von {start_s:g} s bis {end_s:g} s ist zu kurz für eine Zusammenstellung.",
        "Ein Abschnitt dauert mindestens eine Sekunde.",
    ),
    "reel.outside": (
        "{name} endet bei {length:.1f} s: von {start_s:g} bis {end_s:g} s ist nichts.",
        "Zeiten innerhalb des Mediums angeben.",
    ),
    "reel.picture": (
        "Eine Zusammenstellung hat das Bild ihres Mediums.",
        "--picture weglassen.",
    ),
    "reel.length": (
        "Eine Zusammenstellung von {seconds:g} s ist zu kurz.",
        "--length in Sekunden angeben, etwa 60.",
    ),
    "reel.no_highlights": (
        "Von {item_id} sind keine Höhepunkte bekannt.",
        'Abschnitte nennen (--take "1:05-1:20=Titel"), oder sie finden lassen: '
        "kb enrich {item_id} --steps highlights",
    ),
    "note.reel_left_out": (
        "{number:Abschnitt fehlt|Abschnitte fehlen}: die volle Länge ist erreicht.",
        "Eine längere: --length SECONDS",
    ),
    "video.no_transcript": (
        "Das Transkript von {file} ist nicht genannt.",
        "Mit --transcript T angeben. Eines herstellen: kb transcribe FILE --format json -o FOLDER",
    ),
    "video.soft_looks": (
        "Eine zuschaltbare Spur zeichnet der Abspieler: Stil, Bild und Größe haben daran keinen "
        "Teil.",
        "Diese weglassen, oder --soft weglassen.",
    ),
    "video.size": (
        "{size!r} ist keine Größe eines Bildes.",
        "Breite und Höhe in Bildpunkten angeben: 1280x720",
    ),
    "video.unknown_kind": ("Unbekannte Art von Video: {name!r}.", "Möglich sind: {known}"),
    "video.unknown_style": (
        "Unbekannter Stil: {name!r}.",
        "Bekannt: {known}; oder eine eigene Datei nennen, die auf .yaml endet.",
    ),
    "video.style_mistake": (
        "{path} ist kein Stil: {reason}.",
        "Einen mitgelieferten kopieren und ändern: {example}",
    ),
    "video.no_font": (
        "Keine Schrift dieses Rechners hat die Buchstaben {characters}.",
        "Eine installieren, die sie hat, etwa eine der Noto-Schriften (Debian: fonts-noto, "
        "fonts-noto-cjk), oder Untertitel nehmen, die der Abspieler zeichnet: --soft",
    ),
    "video.no_filter": (
        "Das ffmpeg dieses Rechners kann das nicht zeichnen: ihm fehlt {names}.",
        "Das mitgelieferte nehmen: pip install --upgrade imageio-ffmpeg, ohne "
        "IMAGEIO_FFMPEG_EXE. Untertitel als Datei brauchen keines: kb export ID --format ass",
    ),
    "video.failed": (
        "{name} lässt sich nicht zeichnen: {cause}.",
        "Prüfen, ob es in einem Medienspieler läuft; wenn nicht, noch einmal herunterladen oder "
        "kopieren.",
    ),
    "video.no_still": (
        "{path} ist kein Standbild, das sich lesen lässt: {reason}.",
        "Eine PNG- oder JPEG-Datei angeben.",
    ),
    "video.no_words": (
        "Das Transkript von {name} hat keine Wörter: es gibt nichts zu zeichnen.",
        "Das Medium anhören; ein Video ohne Sprache braucht keine Untertitel.",
    ),
    "video.no_picture_no_sound": (
        "{name} hat weder ein Bild, das sich lesen lässt, noch Ton.",
        "Prüfen, ob es in einem Medienspieler läuft.",
    ),
    "note.video_other_font": (
        "{family} hat keine Buchstaben für {characters}: sie sind in {other} gezeichnet.",
        "Ein Stil darf eine andere Schrift nennen.",
    ),
    "note.video_left_out": (
        "Keine Schrift hat die Zeichen {characters}: sie fehlen im Bild.",
        "Das Transkript behält sie.",
    ),
    "note.video_font_absent": (
        "Dieser Rechner hat keine Schrift {family!r}: es ist {other} genommen.",
        "Die Schrift installieren, oder im Stil eine andere nennen.",
    ),
    "note.video_estimated_words": (
        "Das Transkript hat keine Zeiten der Wörter: sie sind aus seinen Zeilen geschätzt.",
        "Mit einem Transkript von hier: kb transcribe FILE --format json",
    ),
    "note.video_no_picture": (
        "{name} hat kein Bild: die Wörter stehen über der Welle seines Tons.",
        "Ein Standbild angeben mit --picture FILE.png, oder --fetch, wo die Quelle ein Bild hat.",
    ),
    "note.video_ends_early": (
        "Der Film endet bei {made:.1f} s, aber {name} sagt, dass es {length:.1f} s dauert.",
        "Das Medium ist vielleicht beschädigt oder abgeschnitten; die Enden vergleichen.",
    ),
}
EN_PAGE: dict[str, tuple[str, str]] = {}
