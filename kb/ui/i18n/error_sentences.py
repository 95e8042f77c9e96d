"""The error sentences of the core in English, as they are raised, and in German.

A sentence of `EN` must be the core's own: it is what is looked for (see
`kb.ui.i18n.error_messages`).
"""

EN: dict[str, str] = {
    "field": "“{name}”",
    "field_is": "“{name}”: {value}",
    # A run's own figures
    "problem_half": "must be less than half of the chunk ({half} s), not {value}.",
    "problem_whole": "must be a whole number from {low} to {high}, not {value}.",
    "problem_number": "must be a number from {low} to {high}, not {value}.",
    "problem_presets_hint": "kb presets shows the presets' own figures.",
    # What was named
    "problem_channel": "There is no YouTube channel {name}.",
    "problem_channel_hint": "Check the spelling, or give the channel's address from the browser.",
    "problem_playlist": "There is no playlist {name} that can be listed.",
    "problem_playlist_hint": "It may be private, removed, or a mix made for one viewer.",
    "problem_link": "{reference} is no link to a YouTube video, playlist or channel.",
    "problem_link_hint": "Give a link, a handle such as @name, or an id.",
    "problem_unknown": "Nothing here knows what {reference} is.",
    "problem_unknown_hint": "Give a path of a media file or folder, a YouTube link or handle, or "
    "the address of a page.",
    "problem_address": "{reference} is no web address.",
    "problem_no_path": "Cannot find {path}: No such file or directory.",
    "problem_no_path_hint": "Check the path; quote it if it has spaces.",
    "problem_no_media": "No media files in {path}.",
    "problem_no_media_hint": "These extensions count: ",
    "problem_empty": "{path} is empty (0 bytes).",
    "problem_empty_hint": "Download or copy the file again.",
    # Keys and allowances
    "problem_key": "{where} is not a YouTube Data API key.",
    "problem_key_hint": "One key a line, nothing else in it; # begins a comment.",
    "problem_odin_keys": "ODIN needs a key and a secret: {names} are not set.",
    "problem_odin_key": "ODIN needs a key and a secret: {name} is not set.",
    "problem_odin_hint": "Set API_KEY, API_SECRET and ODIN_PROJECT_ID in .env or the environment.",
    "problem_quota": "Every YouTube Data API key has used up its day ({spent} of {count}); the "
    "allowance comes back at {time}, midnight Pacific time.",
    "problem_quota_hint": "It goes on by itself then, where it stopped. A larger allowance can be "
    "requested from Google for the project.",
    # The disk
    "problem_disk_write": "Cannot write {path}: the disk is full.",
    "problem_disk_write_hint": "Free some space, or set KB_HOME to a folder on another disk, then "
    "run it again.",
    "problem_disk_fetch": "The disk is full; {name} cannot be fetched.",
    "problem_disk_fetch_hint": "Free some space; it goes on where it stopped.",
    "problem_not_writable": "Cannot write {path}: writing is not allowed there.",
    "problem_not_writable_hint": "Make the folder writable, or set KB_HOME to one that is.",
    # The recognizer
    "problem_no_model": "Model {name}: the hub knows no such model.",
    "problem_model_fetch": "Model {name} could not be fetched: ",
    "problem_model_fetch_hint": "Check the network and the space on the disk, and try again.",
    "problem_models_here": "On this machine now: ",
    "problem_models_none": "None is cached here.",
    "problem_demo": "(bundled: knows some 110 words)",
}

DE: dict[str, str] = {
    "field": "„{name}“",
    "field_is": "„{name}“: {value}",
    "problem_half": "muss kleiner sein als die Hälfte des Chunks ({half} s), nicht {value}.",
    "problem_whole": "muss eine ganze Zahl von {low} bis {high} sein, nicht {value}.",
    "problem_number": "muss eine Zahl von {low} bis {high} sein, nicht {value}.",
    "problem_presets_hint": "Die eigenen Werte der Presets stehen im Reiter GPU.",
    "problem_channel": "Einen YouTube-Kanal {name} gibt es nicht.",
    "problem_channel_hint": "Schreibweise prüfen, oder die Adresse des Kanals aus dem Browser "
    "angeben.",
    "problem_playlist": "Eine Playlist {name}, die sich auflisten ließe, gibt es nicht.",
    "problem_playlist_hint": "Sie ist vielleicht privat, entfernt oder ein persönlicher Mix.",
    "problem_link": "{reference} ist kein Link zu einem Video, einer Playlist oder einem Kanal von "
    "YouTube.",
    "problem_link_hint": "Einen Link, ein Handle wie @name oder eine Kennung angeben.",
    "problem_unknown": "Hier weiß niemand, was {reference} ist.",
    "problem_unknown_hint": "Den Pfad einer Mediendatei oder eines Ordners, einen Link oder ein "
    "Handle von YouTube oder die Adresse einer Seite angeben.",
    "problem_address": "{reference} ist keine Webadresse.",
    "problem_no_path": "{path} ist nicht da: keine solche Datei, kein solcher Ordner.",
    "problem_no_path_hint": "Den Pfad prüfen.",
    "problem_no_media": "Keine Mediendateien in {path}.",
    "problem_no_media_hint": "Es zählen diese Endungen: ",
    "problem_empty": "{path} ist leer (0 Byte).",
    "problem_empty_hint": "Die Datei noch einmal herunterladen oder kopieren.",
    "problem_key": "{where} ist kein Schlüssel der YouTube Data API.",
    "problem_key_hint": "Ein Schlüssel je Zeile, sonst nichts; # beginnt eine Bemerkung.",
    "problem_odin_keys": "ODIN braucht Schlüssel und Geheimnis: {names} sind nicht gesetzt.",
    "problem_odin_key": "ODIN braucht Schlüssel und Geheimnis: {name} ist nicht gesetzt.",
    "problem_odin_hint": "API_KEY, API_SECRET und ODIN_PROJECT_ID in .env, in der Umgebung oder im "
    "Reiter Einstellungen setzen.",
    "problem_quota": "Jeder Schlüssel der YouTube Data API hat seinen Tag verbraucht ({spent} von "
    "{count}); das Kontingent kommt wieder um {time}, Mitternacht pazifischer Zeit.",
    "problem_quota_hint": "Dann geht es von selbst weiter, wo es stehen blieb. Ein größeres "
    "Kontingent lässt sich bei Google für das Projekt beantragen.",
    "problem_disk_write": "{path} lässt sich nicht schreiben: die Platte ist voll.",
    "problem_disk_write_hint": "Platz schaffen, oder KB_HOME auf einen Ordner einer anderen Platte "
    "setzen; dann noch einmal.",
    "problem_disk_fetch": "Die Platte ist voll; {name} lässt sich nicht holen.",
    "problem_disk_fetch_hint": "Platz schaffen; es geht weiter, wo es stehen blieb.",
    "problem_not_writable": "{path} lässt sich nicht schreiben: das ist dort nicht erlaubt.",
    "problem_not_writable_hint": "Den Ordner beschreibbar machen, oder KB_HOME auf einen setzen, "
    "der es ist.",
    "problem_no_model": "Modell {name}: der Hub kennt es nicht.",
    "problem_model_fetch": "Modell {name} ließ sich nicht holen: ",
    "problem_model_fetch_hint": "Netz und Platz auf der Platte prüfen, dann noch einmal.",
    "problem_models_here": "Auf diesem Rechner gibt es: ",
    "problem_models_none": "Hier liegt keines.",
    "problem_demo": "(mitgeliefert: kennt rund 110 Wörter)",
}
