"""German of the checks of this machine, by code, and of the clauses that they are made of."""

_HOLD_ON = "Zum Abstellen dieser Warnung: KB_DEVICE=cpu."
_REMOVE = "„Entfernen“ unter Einstellungen, Modelle; beim nächsten Gebrauch wird {name} neu geholt."
_REMOVE_FETCH = "„Entfernen“ bei {name} unter Einstellungen, Modelle; danach dort „Holen“."
_GO_ON = "„Holen fortsetzen“ unter Einstellungen, Modelle: {name}"
_FETCH = "„Holen“ unter Einstellungen, Modelle: {name}"
_YTDLP = "Ausführen: pip install -U yt-dlp yt-dlp-ejs"
_ONE_MODEL = "Die Rechner einer Bibliothek brauchen dasselbe Modell: überall KB_EMBEDDING_MODEL"

DE: dict[str, tuple[str, str]] = {
    "check.python": ("{version} auf {system}", ""),
    "check.settings": ("{places}", ""),
    "check.settings_ignored": ("{places}; nicht von hier, übergangen: {names}", ""),
    "check.settings_misspelt": (
        "Die Umgebung hat Namen, die keine Einstellungen sind: {wrong}; {places}",
        "Die Namen in der Umgebung berichtigen.",
    ),
    "check.presets": ("{names}", ""),
    "check.library": ("{home}: {count:Eintrag|Einträge}", ""),
    "check.library_absent": (
        "{home}: noch nicht angelegt; das erste Hinzufügen legt sie an",
        "",
    ),
    "check.library_problem": ("{home}: {count:Eintrag|Einträge}; {cause}", "{cause.hint}"),
    "check.rights": (
        "{found} kann von anderen Konten dieses Rechners gelesen werden",
        "Ausführen: chmod -R go= {folder}; oder für eine Bibliothek, die eine Gruppe teilt, "
        "KB_GROUP_ACCESS=true setzen.",
    ),
    "check.rights_group": (
        "{found} kann von anderen Konten dieses Rechners gelesen werden",
        "Ausführen: chmod -R o= {folder}",
    ),
    "check.products": (
        "{count:Film|Filme}, {size} von höchstens {most:g} GB, nach dem letzten Gebrauch noch "
        "{days:g} Tage da",
        "",
    ),
    "check.database": ("{read}", ""),
    "check.database_copies": ("{read}; {count:Kopie|Kopien}, die letzte vom {day}", ""),
    "check.database_damaged": (
        "{path} ist beschädigt: {problem}",
        "Die Kopie vom {day} an ihre Stelle setzen: kb worker --stop; kb restore",
    ),
    "check.database_lost": (
        "{path} ist beschädigt: {problem}",
        "Es gibt keine Kopie: {file} beiseitelegen und ausführen: kb reindex",
    ),
    "check.database_hidden": (
        "{path} enthält noch Arbeit ({work}), die KB_DATABASE_URL verdeckt",
        'Sie herüberholen: kb move-queue --to "$KB_DATABASE_URL"; oder die Datei beiseitelegen',
    ),
    "check.server": ("{server}", ""),
    "check.server_clock": (
        "{server}; die Uhr dieses Rechners weicht um {seconds} s von der des Servers ab",
        "",
    ),
    "check.server_full": (
        "{server}; für einen weiteren Arbeiter ist kein Platz",
        "max_connections erhöhen, oder PgBouncer vor den Server setzen (docs/postgresql.md)",
    ),
    "check.server_rights": (
        "{server}; die Rolle {role} darf nicht {lacking}, was die nächste Version braucht",
        "Das Skript aus docs/postgresql.md (Role and rights) als Eigentümer von {name} ausführen",
    ),
    "check.disk": ("{free:,.0f} GB frei in {folder}", ""),
    "check.disk_low": (
        "{free:,.0f} GB frei in {folder}",
        "Platz schaffen, oder KB_HOME auf eine andere Platte legen.",
    ),
    "check.disk_full": (
        "{free:,.0f} GB frei in {folder}; die Arbeit wartet, bis {floor:,.1f} GB frei sind",
        "Platz schaffen, oder KB_MIN_FREE_GB senken.",
    ),
    "check.worker": ("{facts}", ""),
    "check.worker_trouble": (
        "{facts}",
        "Nach dem Treiber sehen, dann neu starten: kb worker --stop; kb worker --detach",
    ),
    "check.worker_crashes": (
        "wurde {count:Mal|Mal} in {minutes} min ohne Abmeldung beendet; in dieser Zeit fertig: "
        "{finished:Eintrag|Einträge}",
        "Herausfinden, was ihn beendet: {log}, oder sichtbar laufen lassen: kb worker",
    ),
    "check.worker_ytdlp": (
        "Arbeiter {worker} läuft mit {version}, und {newer} ist installiert",
        "Ihn neu starten: kb worker --stop, dann kb worker. Was mit der älteren Version "
        "fehlgeschlagen ist, wird dann gleich noch einmal versucht.",
    ),
    "check.keys": ("{ready} von {count} bereit: {keys}", ""),
    "check.keys_unready": (
        "{ready} von {count} bereit: {keys}",
        "Ungültige ersetzen; verbrauchte sind um Mitternacht pazifischer Zeit wieder da.",
    ),
    "check.keys_absent": (
        "keine: Kanäle werden langsamer und mit weniger Angaben aufgelistet",
        "Einen Schlüssel in {path} legen. Er entsteht in der Google Cloud Console: APIs, YouTube "
        "Data API v3, Anmeldedaten.",
    ),
    "check.keys_unread": (
        "keine: {here} wird nicht gelesen, weil eine Datei des aktuellen Ordners von jedem stammen "
        "kann",
        "Sie nach {path} verschieben, oder YT_API_KEYS_FILE auf sie setzen.",
    ),
    "check.ytdlp": ("{age:Tag|Tage} alt", ""),
    "check.ytdlp_old": ("{age:Tag|Tage} alt; die Seiten haben sich seither geändert", _YTDLP),
    "check.ytdlp_absent": ("nicht installiert, oder die Version ist nicht lesbar", _YTDLP),
    "check.no_javascript": (
        "nicht gefunden",
        "Ohne sie lässt sich von YouTube nichts holen: pip install deno",
    ),
    "check.no_ffmpeg": ("nicht gefunden", "Ausführen: pip install imageio-ffmpeg"),
    "check.program": ("{path}", ""),
    "check.cookies": ("{path}", ""),
    "check.cookies_damaged": (
        "{path}: beschädigte Zeilen sind ausgelassen: Zeile {lines}",
        "Die Cookies noch einmal im Format von Netscape ausgeben (cookies.txt): sieben Spalten mit "
        "Tabulatoren dazwischen.",
    ),
    "check.downloads": ("nichts wird zurückgehalten", ""),
    "check.downloads_rest": (
        "in Ruhe bis {end}: {reason}",
        "Sie gehen von selbst weiter; „Fortsetzen“ im Reiter Aktivität beendet die Pause jetzt.",
    ),
    "check.odin": ("{host} antwortet, und der Schlüssel passt zum Projekt {project}", ""),
    "check.odin_unused": (
        "{host} antwortet, und der Schlüssel passt zum Projekt {project}; nicht in KB_SINKS, also "
        "wird nur von Hand gesendet",
        "",
    ),
    "check.odin_absent": (
        "nicht eingerichtet: ohne {names} wird dort nichts veröffentlicht",
        "API_KEY, API_SECRET und ODIN_PROJECT_ID setzen: Reiter Veröffentlichen, ODIN (sie stehen "
        "in den Einstellungen des ODIN-Projekts).",
    ),
    "check.media_stored": (
        "{url}: {count:Medium|Medien} gespeichert, {waiting} von fertigen Einträgen noch nicht",
        "",
    ),
    "check.index_stored": ("{url}: {count:Passage|Passagen}", ""),
    "check.llm": ("{facts}", ""),
    "check.llm_plain": (
        "{facts}; unterwegs ist nichts verschlüsselt",
        "Eine Adresse mit https nehmen.",
    ),
    "check.llm_absent": (
        "Keines ist eingerichtet (KB_LLM_URL): Kein Text verlässt diesen Rechner.",
        "",
    ),
    "check.voices": ("{here}", ""),
    "check.voices_elsewhere": (
        "{here}; Texte gehen an {names}, wo eine Stimme von dort genannt ist",
        "",
    ),
    "check.voices_absent": ("Keine; Texte lassen sich nicht vorlesen. {cause.hint}", ""),
    "check.model_folder": ("{name} in {folder}", ""),
    "check.model_lacks": (
        "{name} in {folder} ist nicht vollständig, ohne {files}",
        "Den Ordner noch einmal kopieren.",
    ),
    "check.model_ready": ("{repository}, hier und geprüft", ""),
    "check.model_unverified": (
        "{repository}, hier; die Prüfsummen werden beim ersten Gebrauch verglichen",
        "",
    ),
    "check.model_damaged": ("{repository} hat sich seit der Prüfung geändert", _REMOVE),
    "check.model_running": ("{state}", "Siehe Einstellungen, Modelle"),
    "check.model_stopped": ("{state}", _GO_ON),
    "check.model_absent": (
        "{repository} ist noch nicht auf diesem Rechner; der erste Lauf holt es.{others}",
        "Ohne Netz das mitgelieferte versuchen: --model demo",
    ),
    "check.embedder_absent": ("{repository} ist noch nicht auf diesem Rechner", _FETCH),
    "check.embedder_damaged": ("{repository} hat sich seit der Prüfung geändert", _REMOVE_FETCH),
    "check.embedder_stopped": ("{state}", _GO_ON),
    "check.detector": ("Silero VAD ({file})", ""),
    "check.step_on": ("{about}", ""),
    "check.step_off": ("{about}; aus (KB_STEPS)", ""),
    "check.step_lacks": ("{cause} Bis dahin entfällt der Schritt.", "{cause.hint}"),
    "check.meaning": ("{have}", ""),
    "check.meaning_lacking": (
        "{have}",
        "Die übrigen mit: kb enrich --all --steps meaning",
    ),
    "check.meaning_models": ("{have}; andere haben Vektoren von {models}", _ONE_MODEL),
    "check.meaning_models_lacking": (
        "{have}; andere haben Vektoren von {models}",
        f"Die übrigen mit: kb enrich --all --steps meaning. {_ONE_MODEL}",
    ),
    "check.dtype_ignored": ("{reason}", "KB_DTYPE=auto setzen."),
    "check.hardware": ("{facts}", ""),
    "check.hardware_reason": ("{facts}: {reason}", ""),
    "check.hardware_fault": ("{facts}: {reason}", "{step}"),
    "check.card_memory": (
        "{device} hat {room:.1f} GB für den Erkenner, und {model} braucht {needed:.1f} GB",
        "Ein kleineres wählen: KB_MODEL={smaller}",
    ),
    "check.card_too_small": (
        "{device} hat {room:.1f} GB für den Erkenner, und {model} braucht {needed:.1f} GB",
        "KB_DEVICE=cpu setzen.",
    ),
    "check.no_desktop": (
        "KB_GPU_GIVE_WAY wirkt nicht: Der Treiber sagt nicht, welche Programme die Karte benutzen",
        "Dem Desktop Zeit lassen: KB_GPU_MAX_UTILISATION=80. Zum Abstellen dieser Warnung: "
        "KB_GPU_GIVE_WAY=false.",
    ),
    "check.cublas": ("CUDA 12", ""),
    "device_step.device_auto": ("KB_DEVICE=auto setzen.", ""),
    "device_step.no_driver": (f"Kein NVIDIA-Treiber gefunden. {{install}} {_HOLD_ON}", ""),
    "device_step.restart": (
        "Der Treiber wurde im Gebrauch aktualisiert: Den Rechner neu starten.",
        "",
    ),
    "device_step.driver_silent": (
        f"Der Treiber antwortet nicht ({{problem}}). {{install}} {_HOLD_ON}",
        "",
    ),
    "device_step.card_without_driver": (
        f"Eine Karte ist da, und kein Treiber. {{install}} {_HOLD_ON}",
        "",
    ),
    "device_step.old_driver": (
        "CUDA {cuda} braucht Treiber {oldest} oder neuer, nicht {version}. {install}",
        "",
    ),
    "device_step.and_torch": ("{first} Und ausführen: {command}", ""),
    "device_step.torch": ("Ausführen: {command}", ""),
    "device_step.torch_for_amd": (
        "Dieses PyTorch ist für Karten von AMD gebaut. Ausführen: {command}",
        "",
    ),
    "device_step.old_card": (
        f"CUDA 12.6 kann ältere Karten: {{command}}. {_HOLD_ON}",
        "",
    ),
    "device_step.cards_hidden": ("{setting} aus der Umgebung nehmen.", ""),
    "device_step.device_unknown": (
        "KB_DEVICE berichtigen; auto nimmt die erste Karte, die geht.",
        "",
    ),
    "device_step.restart_then_driver": (
        f"Den Rechner neu starten; wenn es bleibt: {{install}} {_HOLD_ON}",
        "",
    ),
    "clause.comma": ("{parts:, }", ""),
    "clause.semicolon": ("{parts:; }", ""),
    "clause.and": ("{first} und {then}", ""),
    "clause.in_brackets": (" ({reason})", ""),
    "clause.settings_file": ("{path} ({count:Einstellung|Einstellungen})", ""),
    "clause.no_env_file": ("keine .env-Datei wird gelesen", ""),
    "clause.setting_meant": ("{name} (gemeint: {meant}?)", ""),
    "clause.database_read": ("{file}: jede Seite ist lesbar", ""),
    "clause.database_part": (
        "{file}: kein Schaden in dem Teil, der in {seconds} s gelesen wurde",
        "",
    ),
    "clause.items": ("{count:Eintrag|Einträge}", ""),
    "clause.publications": ("{count:Veröffentlichung|Veröffentlichungen}", ""),
    "clause.steps": ("{count:Schritt|Schritte}", ""),
    "clause.follows": ("{count:Abo|Abos}", ""),
    "clause.to_do": ("{work} offen", ""),
    "clause.server": (
        "{place}: PostgreSQL {version}, {way}; {used} von {most} Verbindungen in Gebrauch, {ours} "
        "davon von hier; ein Arbeiter nimmt bis zu {worker}, eine Seite {page}, ein Befehl 2",
        "",
    ),
    "clause.pooled": ("über einen Pooler", ""),
    "clause.direct": ("direkt", ""),
    "clause.no_tables": ("Tabellen anlegen", ""),
    "clause.no_schema": ("das Schema dbos anlegen", ""),
    "clause.no_recognizer": ("noch kein Erkenner geladen", ""),
    "clause.batch": ("Batch {size}: {reason}", ""),
    "clause.rests": ("ruht {percent:.0f} % der Zeit: {reason}", ""),
    "clause.speed_hour": ("{speed:,.0f}× Echtzeit in der letzten Stunde", ""),
    "clause.on_cpu": ("auf dem Prozessor: {reason}", ""),
    "clause.reason": ("{reason}", ""),
    "clause.budget": (
        "höchstens {used:.1f} von {budget:.0f} GB des Speicherbudgets belegt ({percent:.0f} %)",
        "",
    ),
    "clause.budget_work": ("{figures}: für einen vollen Batch warten zu wenige Fenster", ""),
    "clause.budget_device": ("{figures}: {reason}", ""),
    "clause.budget_preset": ("{figures}: das Preset endet bei {ceiling} Fenstern{more}", ""),
    "clause.more_either": (" (mehr mit: --preset {name} oder --batch-size {count})", ""),
    "clause.more_preset": (" (mehr mit: --preset {name})", ""),
    "clause.more_batch": (" (mehr mit: --batch-size {count})", ""),
    "clause.key_used": ("{key} {state}, {units:,} Einheiten des heutigen Kontingents{reason}", ""),
    "clause.key_used_of": (
        "{key} {state}, {units:,} von {allowance:,} Einheiten des heutigen Kontingents{reason}",
        "",
    ),
    "clause.device": ("{name} ({address}, {number}, {threads} Threads)", ""),
    "clause.card_memory": ("{total:.1f} GB Speicher, {reserve:g} GB als Reserve", ""),
    "clause.attention": ("Attention {name}", ""),
    "clause.allocator": ("Speicherverwaltung {settings}", ""),
    "clause.allocator_default": ("Speicherverwaltung wie vorgegeben", ""),
    "clause.driver": ("Treiber {version}", ""),
    "clause.torch_cuda": ("PyTorch {version} für CUDA {cuda}", ""),
    "clause.torch_rocm": ("PyTorch {version} für ROCm {rocm}", ""),
    "clause.torch_cpu": ("PyTorch {version}, ohne CUDA", ""),
    "clause.cached": (" Hier sind: {names}.", ""),
    "clause.fetched": ("{repository} ist jetzt vollständig", ""),
    "clause.fetch_share": (" ({done} von {size})", ""),
    "clause.fetch_paused": ("{repository}: Das Holen ist angehalten{share}", ""),
    "clause.fetch_stopped": ("{repository} ist nicht vollständig angekommen{share}", ""),
    "clause.fetch_failed": ("{repository} ließ sich nicht holen: {cause}{share}", ""),
    "clause.fetching": ("{repository} wird geholt{share}", ""),
    "clause.meaning": (
        "{have} von {items:Eintrag|Einträgen} lassen sich nach Bedeutung finden ({model})",
        "",
    ),
    "clause.engine_lacks": ("{engine}. {cause} {cause.hint}", ""),
    "clause.engine_more": (
        "{engine}; für bis zu acht Sprecher, auch zwei zugleich: „Holen“ bei {part} unter "
        "Einstellungen, Modelle",
        "",
    ),
    "clause.llm": (
        "{model} auf {place}, {where}: Es bekommt die Transkripte der Einträge, deren Schritte "
        "danach fragen{key}; {price}",
        "",
    ),
    "clause.this_machine": ("also auf diesem Rechner", ""),
    "clause.elsewhere": ("also anderswo", ""),
    "clause.without_key": (", ohne Schlüssel", ""),
    "clause.no_price": ("der Preis steht nicht in der Tabelle", ""),
    "clause.free": ("kostenlos", ""),
    "clause.price": (
        "{sent:g} USD für eine Million gesendete und {received:g} USD für eine Million empfangene "
        "Tokens (Tabelle vom {day})",
        "",
    ),
    "clause.voices": ("{engines}; {count:Stimme|Stimmen} auf diesem Rechner", ""),
}

# English of the page where it must differ from the command line's.
EN_PAGE: dict[str, tuple[str, str]] = {
    "check.step_on": ("{about}", ""),
    "check.step_off": ("{about}; off (KB_STEPS)", ""),
    "clause.engine_more": (
        "{engine}; for up to eight speakers, two at once: “Fetch” at {part} under Settings, Models",
        "",
    ),
}
