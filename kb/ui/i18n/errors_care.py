"""German of the errors of the care of a library, by code: lists, labels, backup, removal."""

DE: dict[str, tuple[str, str]] = {
    "tag.no_items": (
        "Es ist kein Medium genannt.",
        "Zum Beispiel: kb tag ID --add Interview",
    ),
    "searches.unknown": (
        "Unter {name!r} ist keine Suche gespeichert.",
        "Gespeichert: {known}.",
    ),
    "searches.gone": (
        "Die gespeicherte Suche {search_id} ist nicht mehr da.",
        "Sie wurde vielleicht entfernt: die Liste neu ansehen.",
    ),
    "searches.many": (
        "{count} Suchen sind gespeichert; für mehr ist kein Platz.",
        "Eine entfernen, die niemand mehr braucht.",
    ),
    "searches.name_taken": (
        "Unter {name!r} ist schon eine Suche gespeichert.",
        "Einen anderen Namen nehmen, oder die frühere entfernen.",
    ),
    "searches.name": (
        "Eine Suche braucht einen Namen mit 1 bis {most} Zeichen.",
        "Sie nach dem nennen, was sie findet.",
    ),
    "searches.query": (
        "Eine gespeicherte Suche braucht Wörter: 1 bis {most} Zeichen.",
        "Die Wörter schreiben, nach denen zu suchen ist.",
    ),
    "searches.mode": (
        "{mode!r} ist keine Art einer gespeicherten Suche.",
        "Bekannt: {known}.",
    ),
    "searches.alerts": (
        "{alerts!r} ist keine Art von Hinweisen.",
        "Bekannt: {known}.",
    ),
    "labels.tag": (
        "{tag!r} ist kein Schlagwort.",
        "Ein Schlagwort hat Buchstaben oder Ziffern und kein Komma.",
    ),
    "labels.many_tags": (
        "{item_id} hätte {count} Schlagwörter; höchstens {most} sind möglich.",
        "Zuerst einige davon entfernen.",
    ),
    "labels.long": (
        "Zu lang ({what}): {length} Zeichen; höchstens {most} sind möglich.",
        "Kürzer fassen.",
    ),
    "list.facet_unknown": (
        "Nach {name!r} lässt sich eine Liste nicht filtern.",
        "Bekannt: {known}.",
    ),
    "list.sort_unknown": (
        "Nach {sort!r} lässt sich eine Liste nicht sortieren.",
        "Bekannt: {known}.",
    ),
    "clock.future_times": (
        "{count:gespeicherte Zeit liegt|gespeicherte Zeiten liegen} in der Zukunft (in {tables}; "
        "die letzte ist {latest}): Eine Uhr ging falsch, als sie geschrieben wurden, oder geht "
        "jetzt falsch. Wann das war, gilt als unbekannt, und was danach an der Reihe wäre, ist es "
        "jetzt.",
        "Die Uhren aller Rechner dieser Bibliothek mit der wirklichen Zeit vergleichen.",
    ),
    "backup.disk_full": (
        "Die Platte ist voll: {path} lässt sich nicht kopieren.",
        "Platz schaffen, oder einen Ordner auf einer anderen Platte nennen.",
    ),
    "backup.locked": (
        "Ein anderes Programm sperrt die Datenbank {path}; sie lässt sich nicht lesen.",
        "Das Programm schließen, dann noch einmal versuchen.",
    ),
    "backup.database_damaged": (
        "Die Datenbank {path} ist beschädigt und lässt sich nicht kopieren: {reason}.",
        "Eine frühere Kopie an ihre Stelle setzen: kb restore",
    ),
    "backup.exists": (
        "{path} gibt es schon; eine Sicherung ersetzt nie eine Datei.",
        "Eine andere Datei nennen, oder einen Ordner: dann ist die Zeit der Name der Datei. Zum "
        "Ersetzen: --overwrite",
    ),
    "backup.damaged": (
        "Die Sicherung {path} ist beschädigt: {member}: {reason}.",
        "Eine andere Sicherung nehmen; es wurde nichts geändert.",
    ),
    "backup.no_program": (
        "{name} fehlt; ohne es lässt sich eine PostgreSQL-Datenbank nicht kopieren.",
        "Die Client-Programme von PostgreSQL in der Version des Servers installieren (Debian: "
        "postgresql-client; Windows: die Kommandozeilenprogramme des Installers), dann noch einmal "
        "versuchen.",
    ),
    "backup.program_failed": (
        "{name} ist fehlgeschlagen: {reason}.",
        "Prüfen, ob der Server läuft und ob {name} von der Version des Servers oder neuer ist.",
    ),
    "remove.active": (
        "{item_id} ist im Zustand „{state}“; entfernt wird erst, was keine Arbeit mehr macht.",
        "Erst abbrechen: kb cancel {item_id}",
    ),
    "remove.already": (
        "{item_id} ({title}) ist schon entfernt.",
        "Zurück kommt es mit: kb remove --undo {item_id}",
    ),
    "remove.listing": (
        "{item_id} ist eine Auflistung und kein Eintrag der Bibliothek.",
        "Sie endet mit: kb cancel {item_id}",
    ),
    "remove.no_ids": ("Es wurde kein Eintrag genannt.", "Die Einträge auflisten: kb status --all"),
    "remove.not_in_trash": (
        "Es gibt keinen entfernten Eintrag {item_id!r} in {folder}.",
        "Auflisten, was zurückkommen kann: kb remove --list",
    ),
    "remove.taken_again": (
        "{item_id} ({title}) ist wieder in der Bibliothek: es wurde nach dem Entfernen neu "
        "aufgenommen.",
        "Für den früheren Stand erst den neuen entfernen, dann die Dateien aus {folder} nehmen.",
    ),
    "remove.name_taken": (
        "{name} ist schon in der Bibliothek; {title} kann nicht daneben zurückkommen.",
        "{path} umbenennen oder verschieben, dann noch einmal versuchen.",
    ),
    "restore.missing": (
        "Eine Datei {path} gibt es nicht.",
        "Eine Sicherung nennen, oder eine Kopie der Datenbank (siehe: kb restore --list).",
    ),
    "restore.no_backup": (
        "{path} ist keine Sicherung von KB Ingest, oder beschädigt.",
        "Eine Datei nennen, die kb backup geschrieben hat, oder eine Kopie der Datenbank (siehe: "
        "kb restore --list).",
    ),
    "restore.newer": (
        "Die Sicherung {path} stammt von einer neueren Version von KB Ingest ({version}).",
        "KB Ingest aktualisieren, dann noch einmal versuchen.",
    ),
    "restore.newer_schema": (
        "{path} stammt von einer neueren Version von KB Ingest (Schema {version}, diese kennt "
        "{known}).",
        "KB Ingest aktualisieren, dann noch einmal versuchen.",
    ),
    "restore.no_copies": (
        "In {folder} ist keine Kopie der Datenbank.",
        "Eine Sicherung nennen: kb restore DATEI. Ohne eine die beschädigte kb.sqlite "
        "beiseitelegen und ausführen: kb reindex",
    ),
    "restore.worker_running": (
        "Ein Arbeiter namens {name!r} läuft an dieser Bibliothek.",
        "Ihn und die Oberfläche erst anhalten: kb worker --stop",
    ),
    "restore.damaged": (
        "{path} ist beschädigt: {reason}.",
        "Eine frühere Kopie nehmen (siehe: kb restore --list); es wurde nichts geändert.",
    ),
    "restore.foreign": (
        "{path} ist keine Datenbank von KB Ingest.",
        "Eine Kopie von kb.sqlite nennen (siehe: kb restore --list).",
    ),
    "restore.other_database": (
        "{source} hat eine Datenbank der Art {has}, und diese Bibliothek benutzt {wanted}.",
        "KB_DATABASE_URL setzen wie zur Zeit der Sicherung, oder in ein leeres KB_HOME "
        "zurückspielen.",
    ),
    "finding.row_missing": (
        "Es ist im Ordner und nicht in der Tabelle der Warteschlange.",
        "Aufnehmen: kb reindex",
    ),
    "finding.row_without_files": (
        "Es ist im Zustand „{state}“ und hat keine Dateien.",
        "Sie zurückholen (kb restore DATEI), oder es noch einmal aufnehmen: kb ingest --again",
    ),
    "finding.row_damaged": ("Sein Zustand ist {state!r}.", "kb restore"),
    "finding.medium_missing": (
        "Sein Medium {file} fehlt.",
        "Die Datei zurücklegen, oder sie noch einmal holen: {command}",
    ),
    "finding.stored_missing": (
        "Sein Medium {url} fehlt, oder Größe oder Prüfsumme sind andere.",
        "Es noch einmal aus seiner Quelle holen: {command}",
    ),
    "finding.medium_changed": (
        "{file} hat eine andere Prüfsumme (SHA-256) als vermerkt: beschädigt, oder an Ort und "
        "Stelle geändert.",
        "Die richtige Datei zurücklegen (kb verify --repair nimmt sie aus ihrer Quelle), oder sie "
        "beiseitelegen und noch einmal holen: {command}",
    ),
    "finding.transcript_missing": (
        "Es ist fertig und hat kein genaues Transkript.",
        "Noch einmal transkribieren: {command}; oder: kb restore DATEI",
    ),
    "finding.transcript_damaged": (
        "{cause}",
        "Noch einmal transkribieren: {command}; oder: kb restore DATEI",
    ),
    "finding.transcript_changed": (
        "{file} hat eine andere Prüfsumme (SHA-256) als vermerkt: beschädigt, oder von einem "
        "anderen Programm geändert.",
        "Noch einmal transkribieren: {command}; oder: kb restore DATEI",
    ),
    "finding.text_missing": (
        "Sein Text fehlt.",
        "Ihn aus dem genauen Transkript machen: kb verify",
    ),
    "finding.text_changed": (
        "{file} ist beschädigt, oder von einem anderen Programm geändert.",
        "Ihn aus dem genauen Transkript neu machen: kb verify --repair",
    ),
    "finding.index_differs": (
        "Seine Passagen im Index sind nicht die von Transkript und Bildschirmtext.",
        "Neu in den Index aufnehmen: kb verify",
    ),
    "finding.index_missing": (
        "Seine Passagen sind nicht im Index.",
        "Neu in den Index aufnehmen: kb verify",
    ),
    "finding.index_leftover": (
        "Der Index hat Passagen eines Eintrags ohne Dateien.",
        "Sie entfernen: kb verify",
    ),
    "finding.metadata_missing": (
        "Seine Dateien sind da, ihre Metadaten nicht.",
        "Sie zurückholen (kb restore DATEI), oder es unter seinem Namen aufnehmen: kb reindex",
    ),
    "finding.result_unknown": (
        "Die Ergebnisse gehören zu keinem Eintrag.",
        "Den Eintrag zurückholen (kb restore DATEI), oder den Ordner entfernen.",
    ),
    "finding.file_unknown": (
        "Die Datei gehört zu keinem Eintrag.",
        "Aufnehmen: kb reindex (unter ihrem Namen), oder kb ingest DATEI",
    ),
    "finding.folder_missing": (
        "Der Ordner aller Dateien fehlt.",
        "Seine Platte anschließen, oder ihn zurückholen: kb restore DATEI",
    ),
    "finding.database_damaged": (
        "{problem}",
        "Die letzte Kopie an ihre Stelle setzen: kb worker --stop; kb restore",
    ),
    "worker.hung": (
        "Der Arbeiter {name!r} (Prozess {pid}) antwortet nicht und lässt sich von diesem Konto "
        "nicht beenden.",
        "Den Prozess {pid} als sein Eigentümer oder als Administrator beenden, dann noch einmal "
        "versuchen.",
    ),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {}
