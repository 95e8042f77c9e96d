"""German texts of the errors of `kb.sources`, by code: message and hint."""

DE: dict[str, tuple[str, str]] = {
    # Remarks of a listing, and the clauses in them
    "note.without_key": (
        "Ohne Schlüssel der YouTube Data API gelistet: langsamer, mit ungefähren Tagen und ohne "
        "Beschreibungen und Schlagwörter.",
        "Einen Schlüssel in die Datei schreiben, die YT_API_KEYS_FILE nennt.",
    ),
    "scan.disk_too_small": (
        "Die Platte ist zu klein: {needed_gb:.1f} GB werden gebraucht, {missing_gb:.1f} GB mehr "
        "als die {free_gb:.1f} GB, die frei sind.",
        "Weniger nehmen („Höchstens“ unter Filter), MP3 behalten („Behalten“ unter Ändern), oder "
        "Platz schaffen. Eine andere Platte braucht eine Bibliothek dort (KB_HOME).",
    ),
    "note.details_later": (
        "Ohne Schlüssel der YouTube Data API kommen die Angaben mit dem Download.",
        "",
    ),
    "note.keys_used_up": (
        "Die Schlüssel haben ihr Tageskontingent verbraucht; die Angaben kommen mit dem Download.",
        "",
    ),
    "note.one_video": (
        "Nur dieses Video wurde genommen; für die Wiedergabeliste deren Link angeben.",
        "",
    ),
    "note.newest_uploads": (
        "YouTube listet nur etwa die neuesten {limit:,} Uploads eines Kanals; ältere sind über "
        "seine Wiedergabelisten zu erreichen.",
        "",
    ),
    "note.page_ignored": (
        "Die Seite {page!r} eines Kanals lässt sich nicht listen: alle Uploads des Kanals werden "
        "genommen.",
        "Für eine Wiedergabeliste deren Link oder --playlist angeben, für eine Suche --title.",
    ),
    "note.early_end": (
        "{listed:,} von {reported:,} Videos wurden angesehen: das Listen endete bei {place}.",
        "",
    ),
    "note.missing": (
        "YouTube zählt {reported:,} Videos und hat {listed:,} gelistet: {missing:,} fehlen "
        "vielleicht, etwa eines, das rückte, während andere entfernt wurden.",
        "Der nächste Blick auf Neues geht wieder durch die ganze Liste.",
    ),
    "note.being_written": (
        "Wird noch geschrieben und ist ausgelassen: {names}.",
        "Später noch einmal hinzufügen.",
    ),
    "note.being_written_followed": (
        "Wird noch geschrieben und ist bis zum nächsten Blick ausgelassen: {names}.",
        "",
    ),
    "clause.and_more": ("{names} und {more} weitere", ""),
    "clause.no_new_video": ("der ersten Seite ohne neues Video", ""),
    "clause.before_day": ("der ersten Seite vor dem {day}", ""),
    "filters.stored": (
        "Gespeicherte Filter, {name}: {problem}.",
        "Der Quelle noch einmal mit anderen Filtern folgen, oder sie so hinzufügen.",
    ),
    # Filters
    "filters.days_reversed": (
        "Kein Tag liegt zugleich nach {after} und vor {before}.",
        "Einen früheren ersten oder einen späteren letzten Tag wählen.",
    ),
    "filters.title_pattern": (
        "Das Titelmuster „{pattern}“ ist kein regulärer Ausdruck: {reason}.",
        "Vor Zeichen wie ( [ + ? einen Backslash setzen, wenn sie sich selbst bedeuten sollen.",
    ),
    "filters.durations_reversed": (
        "Keine Dauer liegt über {low:g} s und unter {high:g} s.",
        "Eine kürzere Mindestdauer oder eine längere Höchstdauer wählen.",
    ),
    "filters.limit": (
        "Die Höchstzahl muss 0 (alle) oder größer sein, nicht {limit}.",
        "Die größte Zahl von Medien angeben, oder 0 für alle.",
    ),
    "filters.date": (
        "„{text}“ ist kein Datum.",
        "2024-03-05, 2024-03, 2024, yesterday oder 30d schreiben.",
    ),
    "filters.duration": (
        "„{text}“ ist keine Dauer.",
        "90s, 10m, 1h30m, 6h, 1d oder 1:02:03 schreiben.",
    ),
    # References, sources and subscriptions
    "reference.unknown": (
        "Hier weiß niemand, was {reference!r} ist.",
        "Den Pfad einer Mediendatei oder eines Ordners, einen Link oder ein Handle von YouTube "
        "oder die Adresse einer Seite angeben.",
    ),
    "web.address": ("{reference!r} ist keine Webadresse.", "Sie beginnt mit https://"),
    "source.unknown": ("Unbekannte Quelle „{name}“.", "Bekannte Quellen: {known}."),
    "subscription.single_video": (
        "{reference} ist ein einzelnes Video, das nichts Neues bringt.",
        "Seinen Kanal oder eine Playlist abonnieren.",
    ),
    "subscription.interval": (
        "Der Abstand eines Abonnements muss mindestens {least:g} s sein, nicht {given} s.",
        "Eine Zahl allein sind Sekunden: 30m, 6h oder 1d schreiben; üblich ist alle 6 h.",
    ),
    "listing.nothing_found": (
        "Unter {address} wurde nichts gefunden.",
        "Die Adresse im Browser prüfen.",
    ),
    # Files
    "file.missing": (
        "{path} ist nicht da: keine solche Datei, kein solcher Ordner.",
        "Den Pfad prüfen.",
    ),
    "file.not_found": ("{path} ist nicht zu finden: {reason}.", "Den Pfad prüfen."),
    "file.no_media": (
        "Keine Mediendateien in {path}.",
        "Es zählen diese Endungen: {extensions}",
    ),
    "file.empty": (
        "{path} ist leer (0 Byte).",
        "Die Datei noch einmal herunterladen oder kopieren.",
    ),
    "file.transcript_alone": (
        "{path} ist ein Transkript, und seine Aufnahme ist weder genannt noch in der Bibliothek.",
        "Die Aufnahme mit angeben, unter demselben Namen: vortrag.mp4 vortrag.srt",
    ),
    "note.brought_transcript": (
        "{names} wird als Transkript übernommen: Der Ton wird nicht erkannt.",
        "Damit er erkannt wird, die Aufnahme allein angeben.",
    ),
    "note.subtitles_beside": (
        "Nicht verwendet, da der Ton erkannt wird: {count:Untertiteldatei|Untertiteldateien} neben "
        "den Aufnahmen, etwa {name}.",
        "Damit sie das Transkript wird, beide angeben: {medium} {name}",
    ),
    "note.transcript_not_taken": (
        "{names} wird nicht übernommen: Die Aufnahme ist mit einem Transkript in der Bibliothek.",
        "Um es zu ersetzen: --again",
    ),
    "file.special": (
        "{path} ist weder eine Datei noch ein Ordner.",
        "Den Pfad einer Mediendatei oder eines Ordners angeben.",
    ),
    "file.unreadable": (
        "{path} lässt sich nicht lesen: {reason}.",
        "Die Rechte der Datei und ihre Platte prüfen.",
    ),
    "file.not_there": (
        "{path} lässt sich nicht lesen: {reason}.",
        "Prüfen, ob die Datei noch da und ihre Platte angeschlossen ist.",
    ),
    "file.changed": (
        "{path} hat sich seit dem Auflisten verändert.",
        "Die Datei noch einmal einlesen.",
    ),
    "file.address": (
        "{reference} ist keine Adresse einer Datei: {reason}.",
        "Den Pfad selbst angeben.",
    ),
    "file.unknown_home": (
        "{path} ist nicht zu finden: {reason}.",
        "Den Pfad des Benutzerordners ausschreiben.",
    ),
    "file.folder_refused": (
        "{path} liegt in keinem Ordner, aus dem diese Oberfläche Medien nehmen darf.",
        "Die Datei hochladen, oder den Betreiber bitten, ihren Ordner in KB_INGEST_FOLDERS zu "
        "nennen.",
    ),
    "address.private": (
        "{address} führt zu {host}, das in einem privaten Netz ist.",
        "Dieser Server nimmt Medien nur aus dem öffentlichen Netz; sein Betreiber kann einen "
        "Rechner mit KB_PRIVATE_HOSTS erlauben.",
    ),
    "file.folder_unreadable": (
        "Der Ordner {path} lässt sich nicht lesen: {reason}.",
        "Die Rechte des Ordners und seine Platte prüfen.",
    ),
    # API keys
    "key.file_unreadable": (
        "{path} lässt sich nicht lesen: {reason}.",
        "Die Datei berichtigen oder YT_API_KEYS_FILE ändern.",
    ),
    "key.line_malformed": (
        "{where} ist kein Schlüssel der YouTube Data API.",
        "Ein Schlüssel je Zeile, sonst nichts; # beginnt eine Bemerkung.",
    ),
    "key.malformed": (
        "Das ist kein Schlüssel der YouTube Data API.",
        "Ihn ganz aus der Google Cloud Console kopieren: nur Buchstaben, Ziffern, - und _.",
    ),
    "key.duplicate": ("Den Schlüssel {key} gibt es schon.", "Einen anderen hinzufügen."),
    "key.removed": (
        "Diesen Schlüssel der YouTube Data API gibt es nicht mehr.",
        "Die Liste noch einmal ansehen.",
    ),
    # YouTube
    "youtube.link": (
        "{reference!r} ist kein Link zu einem Video, einer Playlist oder einem Kanal von YouTube.",
        "Einen Link, ein Handle wie @name oder eine Kennung angeben.",
    ),
    "youtube.channel_missing": (
        "Einen YouTube-Kanal {channel} gibt es nicht.",
        "Schreibweise prüfen, oder die Adresse des Kanals aus dem Browser angeben. Findet ihn auch "
        "der Browser nicht, wurde er geschlossen oder umbenannt.",
    ),
    "cookies.no_rows": (
        "Die Cookies-Datei {path} hat keine brauchbare Zeile; Zeile {line} ist die erste "
        "beschädigte.",
        "Die Cookies noch einmal im Netscape-Format (cookies.txt) ausgeben: sieben Spalten, durch "
        "Tabulatoren getrennt.",
    ),
    "youtube.cannot_ask": (
        "Die YouTube Data API kann nicht gefragt werden: {reason}",
        "KB_PROXY (und YT_API_ENDPOINT) berichtigen; ein neuer Versuch hilft nicht.",
    ),
    "download.no_picture": ("Die Quelle hat kein Bild.", ""),
    "download.cannot_ask": (
        "{what} kann nicht geholt werden: {reason}",
        "Die Adresse oder KB_PROXY berichtigen; ein neuer Versuch hilft nicht.",
    ),
    "youtube.channel_deleted": (
        "Den YouTube-Kanal {channel} ({id}) gibt es nicht mehr: er wurde gelöscht oder "
        "geschlossen.",
        "Seine Medien bleiben in der Bibliothek. Führt {channel} jetzt zu einem anderen Kanal, so "
        "kann man diesem mit seiner Id folgen. Das Abonnement beendet der Knopf „Nicht mehr "
        "verfolgen“ (Einstellungen → Abos).",
    ),
    "youtube.name_gone": (
        "{name} führt zu keinem Kanal mehr; der Kanal {title!r} ({id}) wird über seine Id "
        "aufgelistet.",
        "Vielleicht heißt er jetzt: {handle}",
    ),
    "youtube.name_moved": (
        "{name} führt jetzt zu einem anderen Kanal, {other!r} ({other_id}); der Kanal {title!r} "
        "({id}) wird über seine Id aufgelistet.",
        "Für den anderen Kanal dessen Adresse angeben: youtube.com/channel/{other_id}",
    ),
    "youtube.playlist_missing": (
        "Eine Playlist {playlist}, die sich auflisten ließe, gibt es nicht.",
        "Sie ist vielleicht privat, entfernt oder ein persönlicher Mix.",
    ),
    "youtube.quota_exhausted": (
        "Jeder Schlüssel der YouTube Data API hat seinen Tag verbraucht ({spent} von {count}); "
        "das Kontingent kommt wieder um {time}, Mitternacht pazifischer Zeit.",
        "Dann geht es von selbst weiter, wo es stehen blieb. Ein größeres Kontingent lässt sich "
        "bei Google für das Projekt beantragen.",
    ),
    "youtube.no_answer": (
        "Die YouTube Data API antwortet nicht: {reason}",
        "Das Netz (und KB_PROXY) prüfen; ein neuer Versuch geht weiter, wo es stehen blieb.",
    ),
    "youtube.answer_unknown": (
        "Die YouTube Data API hat {call} in einer Form beantwortet, die nicht verstanden wird: "
        "{cause}.",
        "Noch einmal versuchen; bleibt es dabei, KB Ingest aktualisieren (und YT_API_ENDPOINT und "
        "KB_PROXY prüfen).",
    ),
    "youtube.another_answered": (
        "Statt der YouTube Data API hat etwas anderes geantwortet (HTTP {status}).",
        "Das Netz in einem Browser prüfen: Eine Anmeldeseite oder ein Proxy antwortet womöglich. "
        "Auch KB_PROXY und YT_API_ENDPOINT prüfen.",
    ),
    "youtube.refused": (
        "YouTube hat abgelehnt: {reason}",
        "Den Link prüfen; private und entfernte Playlists lassen sich nicht auflisten.",
    ),
    "youtube.no_playlists": (
        "{channel} hat keine öffentlichen Playlists; verlangt war „{playlist}“.",
        "Die Playlist weglassen, um alle Uploads des Kanals zu nehmen.",
    ),
    "youtube.playlist_title": (
        "{channel} hat keine öffentliche Playlist „{playlist}“.",
        "Es gibt: {titles}.",
    ),
    "youtube.playlist_without_key": (
        "Ohne einen Schlüssel der YouTube Data API lässt sich die Playlist „{playlist}“ nicht "
        "über ihren Titel finden.",
        "Den Link der Playlist selbst angeben.",
    ),
    # Downloads
    "downloads.paused": (
        "Downloads ruhen bis {time}: {reason}",
        "Sie gehen von selbst weiter, und langsamer, wenn es wieder geschieht; das Erkennen des "
        "schon Geholten läuft unterdessen weiter. Ein längeres KB_DOWNLOAD_PAUSE_S vermeidet es.",
    ),
    "downloads.forbidden_series": (
        "{count} Medien nacheinander wurden verweigert: {reason}",
        "Die Seite verlangt vielleicht eine Pause oder eine Anmeldung.",
    ),
    "cookies.unreadable": (
        "Die Cookie-Datei {path} lässt sich nicht lesen: {reason}.",
        "KB_COOKIES_FILE berichtigen.",
    ),
    "download.disk_full": (
        "Die Platte ist voll; {what} lässt sich nicht holen.",
        "Platz schaffen; es geht weiter, wo es stehen blieb.",
    ),
    "download.missing": (
        "{what} lässt sich nicht holen: privat oder entfernt, oder es gab es nie.",
        "Das kann nur der Eigentümer ändern.",
    ),
    "download.unavailable": (
        "{what} lässt sich nicht holen: der Zustand ist „{state}“.",
        "Das kann nur der Eigentümer ändern.",
    ),
    "download.scheduled": (
        "{what} ist noch nicht erschienen.",
        "Es wird von selbst geholt, sobald es erschienen ist.",
    ),
    "download.still_live": (
        "{what} ist noch nicht erschienen: es läuft noch live oder steht bevor.",
        "Es wird von selbst geholt, sobald es erschienen ist.",
    ),
    "download.not_out_yet": (
        "{what} ist noch nicht erschienen: {reason}",
        "Es wird von selbst geholt, sobald es erschienen ist.",
    ),
    "download.members_only": (
        "{what} lässt sich nicht holen: {reason}",
        "Es ist nur für Mitglieder; die Cookies eines Kontos könnten es öffnen: Einstellungen → "
        "Vorgaben → Downloads → KB_COOKIES_FILE.",
    ),
    "download.age_restricted": (
        "{what} lässt sich nicht holen: {reason}",
        "Es verlangt eine Anmeldung mit Altersnachweis; die Cookies eines Kontos könnten es "
        "öffnen: Einstellungen → Vorgaben → Downloads → KB_COOKIES_FILE.",
    ),
    "download.country_blocked": (
        "{what} lässt sich nicht holen: {reason}",
        "In diesem Land wird es nicht gezeigt; ein Proxy anderswo könnte es holen: Einstellungen → "
        "Schlüssel → KB_PROXY.",
    ),
    "download.private_or_removed": (
        "{what} lässt sich nicht holen: {reason}",
        "Das kann nur der Eigentümer ändern.",
    ),
    "download.address_unsupported": (
        "{what} lässt sich nicht holen: {reason}",
        "Von dieser Adresse lassen sich keine Medien holen.",
    ),
    "download.not_found": (
        "{what} lässt sich nicht holen: {reason}",
        "Die Adresse im Browser prüfen.",
    ),
    "download.extractor_failed": (
        "{what} lässt sich nicht holen: {reason}",
        "yt-dlp ist vielleicht zu alt für diese Seite; Einstellungen → Zustand zeigt sein Alter.",
    ),
    "download.forbidden": (
        "{what} lässt sich nicht holen: {reason}",
        "Die Seite verlangt vielleicht eine Pause oder eine Anmeldung.",
    ),
    "download.disk": (
        "{what} lässt sich nicht holen: {reason}",
        "Platz schaffen. Eingereihtes wird von selbst wieder versucht.",
    ),
    "download.no_file": (
        "{what} lässt sich nicht holen: es kam keine Datei an.",
        "Das Netz prüfen. Eingereihtes wird von selbst wieder versucht.",
    ),
    "download.damaged": (
        "{what} lässt sich nicht holen: was ankam, ist beschädigt: {reason}",
        "Das Netz prüfen. Eingereihtes wird von selbst wieder versucht.",
    ),
    "download.too_short": (
        "{what} lässt sich nicht holen: nur {measured:.1f} s von {declared:.1f} s kamen an.",
        "Das Netz prüfen. Eingereihtes wird von selbst wieder versucht.",
    ),
    "download.failed": (
        "{what} lässt sich nicht holen: {reason}",
        "Das Netz prüfen. Eingereihtes wird von selbst wieder versucht.",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {
    "scan.disk_too_small": (
        "The disk is too small: {needed_gb:.1f} GB are needed, {missing_gb:.1f} GB more than the "
        "{free_gb:.1f} GB that are free.",
        "Take fewer (“At most” under Filters), keep MP3 (“Keep” under Change), or free some space. "
        "Another disk needs a library there (KB_HOME).",
    ),
    "youtube.channel_deleted": (
        "The YouTube channel {channel} ({id}) does not exist any more: it was deleted or closed.",
        "Its media stay in the library. If {channel} leads to another channel now, that one can be "
        "followed by its id. The button Unfollow ends the subscription (Settings → "
        "Subscriptions).",
    ),
    "download.members_only": (
        "{what} cannot be fetched: {reason}",
        "It is for members only; an account's cookies could open it: Settings → Defaults → "
        "Downloads → KB_COOKIES_FILE.",
    ),
    "download.age_restricted": (
        "{what} cannot be fetched: {reason}",
        "It asks for a login to prove an age; an account's cookies could open it: Settings → "
        "Defaults → Downloads → KB_COOKIES_FILE.",
    ),
    "download.country_blocked": (
        "{what} cannot be fetched: {reason}",
        "It is not shown in this country; a proxy elsewhere could fetch it: Settings → Keys → "
        "KB_PROXY.",
    ),
    "download.extractor_failed": (
        "{what} cannot be fetched: {reason}",
        "yt-dlp may be too old for this site; Settings → Health shows its age.",
    ),
}
