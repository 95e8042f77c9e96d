"""German of the errors of `kb.media`, `kb.transcript` and `kb.pipeline`, by code."""

_PLAYS = (
    "Prüfen, ob es in einem Medienspieler läuft; wenn nicht, noch einmal herunterladen oder "
    "kopieren."
)

DE: dict[str, tuple[str, str]] = {
    "media.changed": (
        "{path} ist nicht mehr die Datei, die in die Bibliothek kam.",
        "Die ursprüngliche Datei zurücklegen, oder die geänderte von ihrem eigenen Ort aus "
        "aufnehmen.",
    ),
    "media.not_readable": (
        "{path} lässt sich nicht lesen: {reason}.",
        "Prüfen, ob die Datei da ist und gelesen werden darf.",
    ),
    "media.no_sound": (
        "{path} ist ein Video ohne Ton: es gibt nichts zu transkribieren.",
        "Eine Fassung des Mediums wählen, die Ton hat.",
    ),
    "media.no_track": (
        "{path} hat keine Tonspur {track}. Vorhanden: {tracks}.",
        "Eine ihrer Nummern angeben (--track), oder all.",
    ),
    "media.ffmpeg_killed": (
        "{path}: ffmpeg wurde bei {time} von außen beendet (Code {code}).",
        "Noch einmal versuchen; bleibt es dabei, den Arbeitsspeicher des Rechners prüfen.",
    ),
    "media.ffmpeg_silent": (
        "{path}: ffmpeg tat {seconds:g} s lang nichts und wurde beendet.",
        "Prüfen, ob Laufwerk oder Netzlaufwerk der Datei antworten, und noch einmal versuchen; "
        "geschieht es nur bei dieser Datei, sie noch einmal kopieren oder herunterladen.",
    ),
    "media.protected": (
        "{path} ist geschützt (DRM): der Ton ist verschlüsselt.",
        "Eine Fassung ohne Schutz nehmen, vom Verkäufer oder aus der eigenen Aufnahme.",
    ),
    "media.too_long": (
        "{path} ist länger als {hours:g} Stunden.",
        "In Teile schneiden oder KB_MAX_HOURS erhöhen; eine beschädigte Datei kann jede Länge "
        "behaupten.",
    ),
    "media.implausible": (
        "{path} behauptet {value} {unit}: so ist keine Sprachaufnahme.",
        "Die Datei ist beschädigt oder soll schaden; eine andere Kopie nehmen.",
    ),
    "media.not_decodable": (
        "Der Ton von {path} lässt sich nicht dekodieren: {cause}.",
        _PLAYS,
    ),
    "media.no_ffmpeg": (
        "Kein Programm ffmpeg gefunden.",
        "Installieren mit: pip install imageio-ffmpeg",
    ),
    "media.ffmpeg_not_started": (
        "ffmpeg lässt sich nicht starten: {cause}.",
        "Neu installieren mit: pip install --force-reinstall imageio-ffmpeg",
    ),
    "media.folder": (
        "{path} ist ein Ordner, keine Mediendatei.",
        "Eine Datei darin nennen, oder den Ordner hinzufügen, um alle zu nehmen.",
    ),
    "media.not_regular": (
        "{path} ist keine gewöhnliche Datei.",
        "Das Medium zuerst in eine Datei kopieren.",
    ),
    "media.missing": ("{path} gibt es nicht.", "Schreibweise und Ordner prüfen."),
    "media.not_opened": (
        "{path} lässt sich nicht öffnen: {reason}.",
        "Den Namen prüfen, und ob die Datei gelesen werden darf.",
    ),
    "media.empty": (
        "{path} ist leer (0 Byte).",
        "Die Datei noch einmal herunterladen oder kopieren.",
    ),
    "media.playlist": (
        "{path} ist eine Playlist ({kind}), die auf andere Dateien zeigt, kein Medium.",
        "Die Mediendateien selbst nennen.",
    ),
    "media.truncated_index": (
        "{path} lässt sich nicht lesen: der Index fehlt. Es sieht nach einer abgeschnittenen "
        "MP4-Datei aus.",
        "Die Datei noch einmal herunterladen oder kopieren; was da ist, lässt sich nicht "
        "dekodieren.",
    ),
    "media.unreadable": ("{path} lässt sich nicht als Medium lesen: {reason}.", _PLAYS),
    "media.text": (
        "{path} ist weder Ton noch Video, das sich lesen lässt. Die Datei enthält Text.",
        _PLAYS,
    ),
    "media.other_kind": (
        "{path} ist weder Ton noch Video, das sich lesen lässt. Die Datei ist von anderer Art "
        "oder beschädigt.",
        _PLAYS,
    ),
    "media.gone": (
        "Das Medium von {title!r} ist aus {folder} verschwunden.",
        "Vielleicht hat ein anderes Programm es entfernt; „Noch einmal“ auf dem Reiter "
        "Aktivität versuchen.",
    ),
    "clip.time": (
        "{text!r} ist keine Zeit.",
        "Sekunden (75.5), MM:SS (1:15) oder H:MM:SS (1:02:03) angeben.",
    ),
    "clip.long": (
        "Ein Ausschnitt von dieser Seite hat höchstens {minutes} Minuten.",
        "Eine kürzere Strecke wählen, oder sie schneiden mit: kb clip {item_id} --from --to",
    ),
    "clip.nothing": (
        "Von {start_s:g} s bis {end_s:g} s gibt es nichts zu schneiden.",
        "--from vor --to angeben.",
    ),
    "clip.outside": (
        "{name} endet bei {length}: von {start} bis {end} gibt es nichts.",
        "Zeiten innerhalb des Mediums angeben.",
    ),
    "clip.failed": (
        "{target} lässt sich nicht aus {name} schneiden: {cause}.",
        "Prüfen, ob das Medium läuft und der Ordner beschreibbar ist.",
    ),
    "clip.no_sound": ("{name} hat keinen Ton.", "Ein Video schneiden: -o clip.mp4"),
    "clip.unknown_kind": (
        "Unbekannte Art von Ausschnitt {name!r}.",
        "Die Endung darf sein: {known}",
    ),
    "clip.no_picture": (
        "{name} ist nur Ton und kann nicht {suffix} werden.",
        "Als Ton schneiden: -o {stem}.mp3",
    ),
    "format.unknown": ("Unbekanntes Format {format!r}.", "Bekannte Formate: {known}."),
    "captions.not_readable": (
        "Die Untertitel {path} lassen sich nicht lesen: {cause}.",
        "Das Medium noch einmal holen, oder die Datei zurücklegen.",
    ),
    "captions.unknown_kind": (
        "{path} ist keine bekannte Art von Untertiteln.",
        "Bekannt: {known}",
    ),
    "captions.damaged": (
        "Die Untertitel {path} sind beschädigt: {cause}",
        "Die Datei entfernen; ohne sie wird nichts verglichen.",
    ),
    "transcript.bad_time": (
        "Das Transkript von {path} hat eine Zeit, die keine Zahl ist: {cause}.",
        "Noch einmal transkribieren; bleibt es dabei, ein anderes Modell versuchen.",
    ),
    "transcript.segment_place": ("Segment {segment} ({text!r})", ""),
    "transcript.word_place": ("Segment {segment}, Wort {word} ({text!r})", ""),
    "transcript.end_before_start": (
        "{path}, {place}: das Ende bei {end_s:.3f} s liegt vor dem Anfang bei {start_s:.3f} s.",
        "Die Zeit in der Datei berichtigen oder das Medium noch einmal transkribieren.",
    ),
    "transcript.impossible_time": (
        "{path}, {place}: {start} bis {end} Sekunden sind keine Zeiten eines Mediums; sie gehen "
        "von 0 bis {longest:.0f}.",
        "Die Zeit in der Datei berichtigen oder das Medium noch einmal transkribieren.",
    ),
    "layout.unknown": ("Unbekanntes Untertitel-Layout {name!r}.", "Bekannt: {known}."),
    "layout.option": ("{option} {problem}.", "Ohne {option} gilt der Wert des Layouts."),
    "layout.durations": (
        "{shortest} {min_s:g} liegt über {longest} {max_s:g}.",
        "Eine kürzeste Dauer angeben, die nicht über der längsten liegt.",
    ),
    "item.no_transcript": (
        "{item_id} ({title}) hat noch kein Transkript.",
        "Im Reiter Hinzufügen nennen, oder „Noch einmal“ auf dem Reiter Aktivität.",
    ),
    "item.no_transcript_failed": ("{item_id} ({title}) hat noch kein Transkript.", "{cause}"),
    "vocabulary.damaged": (
        "{path}, Feld 'channels': erwartet werden Listen von Wörtern je Kanal.",
        "Die Datei reparieren oder entfernen.",
    ),
    "vocabulary.word_missing": (
        "{word!r} steht nicht im Vokabular von {name!r}.",
        "Ansehen mit: kb vocabulary {name!r}",
    ),
    "vocabulary.word": (
        "{word!r} ist kein Wort für ein Vokabular.",
        "Namen und Begriffe von 1 bis {longest} Zeichen angeben.",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
