"""Every sentence of the page, by language and key."""

from __future__ import annotations

DEFAULT_LANGUAGE = "en"

# The labels of tabs are also the values of `?tab=`, to which links in search results point.
MESSAGES: dict[str, dict[str, str]] = {
    "en": {
        "app": "KB Ingest",
        "folder": "Library: {folder}",
        "hint": "**What to do:** {hint}",
        # Tabs
        "tab_ingest": "Ingest",
        "tab_library": "Library",
        "tab_settings": "Settings",
        # Ingest: what
        "paths": "Files or folders on this machine",
        "paths_placeholder": "/data/talks\n/data/interview.mp4",
        "paths_help": "One path a line. Of a folder, all media files are taken, subfolders "
        "included.",
        "upload": "Or drop files here",
        "upload_help": "They are copied into the library; yours stay where they are.",
        # Ingest: how
        "preset": "Performance preset",
        "preset_help": "Batch: windows a call. Chunk: seconds of sound cut at once. Workers: "
        "items prepared at the same time.",
        "preset_figures": "batch {batch} · chunk {chunk:g} s · overlap {overlap:g} s · "
        "{workers} workers · times by {timestamps}",
        "preset_figures_one": "batch {batch} · chunk {chunk:g} s · overlap {overlap:g} s · "
        "1 worker · times by {timestamps}",
        "model": "Recognizer",
        "model_default": "This machine's default",
        "model_setting": "{model} (your setting)",
        "model_demo": "demo (bundled, for trying out)",
        "model_help": "A model of the Hugging Face hub or a folder; type to name another one. "
        "The bundled demo model knows 111 words and is there to see how things work.",
        "language": "Spoken language",
        "language_auto": "Found by itself",
        "language_help": "Type a two-letter code for a language that is not in the list.",
        "again": "Transcribe again what is already in the library",
        "start": "Start ingest",
        "nothing_given": "Nothing was named.",
        "nothing_given_hint": "Give the path of a file or folder, or drop a file.",
        "busy": "An ingest is running already; one runs at a time.",
        "busy_hint": "Wait until it has ended, then start this one.",
        "upload_failed": "The upload cannot be kept: {reason}.",
        "upload_failed_hint": "Free some space on the disk, or give the file's path instead.",
        # Ingest: how it goes
        "progress": "Progress",
        "progress_empty": "Nothing is running. Name a file, drop one or give a folder, then "
        "press **Start ingest**.",
        "progress_reading": "Reading what was named …",
        "progress_preparing": "On the queue; a worker starts and loads the model …",
        "progress_running": "Running for {elapsed} · {done} of {all} items ended",
        "progress_ended": "Ended after {elapsed} · {counts}",
        "progress_nothing": "Nothing to do: all of it is in the library already.",
        "others": "On the queue from elsewhere",
        "resume": "Go on with these",
        "resume_help": "Starts a worker where none is alive.",
        "see_log": "The server's log has the details.",
        "skipped": "{title}: {reason}",
        "open_library": "Open the library",
        "open_item": "Open",
        "stage_fetch": "reading",
        "stage_transcribe": "transcribing",
        "stage_write": "writing",
        "stage_publish": "indexing",
        # States
        "state_queued": "queued",
        "state_running": "running",
        "state_paused": "paused",
        "state_waiting": "waiting",
        "state_done": "done",
        "state_failed": "failed",
        "state_cancelled": "cancelled",
        "state_held": "held",
        # Library
        "search": "Search",
        "search_placeholder": 'Words that were said, or "a phrase in quotes"',
        "search_found": "{count} passages in {took:.0f} ms",
        "search_found_one": "1 passage in {took:.0f} ms",
        "search_none": "Nothing found for “{query}”.",
        "search_none_hint": "Try fewer or other words; a phrase in quotes must stand exactly so.",
        "library_empty": "The library is empty.",
        "library_empty_hint": "Take in your first file: its words will be listed and searchable "
        "here.",
        "go_ingest": "Go to Ingest",
        "items": "Items",
        "hours": "Sound",
        "words": "Words",
        "held": "To review",
        "failed": "Failed",
        "items_help": "Click a row to open the item.",
        "column_title": "Title",
        "column_date": "Date",
        "column_length": "Length",
        "column_language": "Language",
        "column_words": "Words",
        "column_coverage": "Speech covered",
        "column_state": "State",
        "items_alt": "Items of the library, newest first, with date, length, words and state",
        # One item
        "back_items": "All items",
        "back_hits": "Results for “{query}”",
        "unknown_item": "Item {item} is not in this library.",
        "unknown_item_hint": "It may have been removed, or the link is from another library: "
        "see the folder named on top.",
        "no_media": "The media file is not in the library folder.",
        "fact_length": "Length",
        "fact_language": "Language",
        "fact_words": "Words",
        "fact_coverage": "Speech covered",
        "fact_coverage_help": "Share of the detected speech that carries words. {gaps} stretches "
        "without words, {repaired} windows read twice.",
        "fact_model": "Recognizer",
        "fact_model_help": "Preset {preset}, {speed:.0f}× real time.",
        "export": "Export",
        "export_help": "Download the transcript as {format}",
        "details": "Details",
        "detail_id": "Id",
        "detail_file": "File",
        "detail_sha": "SHA-256",
        "detail_source": "Source",
        "player_alt": "{title}: picture and sound",
        "player_lines": "Transcript; a line jumps to its time",
        "player_gaps": "Speech without words",
        "player_gap": "Listen to {start}: speech without words",
        "player_no_words": "No words were found.",
        # Settings and health
        "health": "This machine",
        "health_checking": "Looking at this machine …",
        "health_again": "Check again",
        "health_ok": "Everything works.",
        "health_warn": "It works; {count} remarks below.",
        "health_warn_one": "It works; one remark below.",
        "health_fail": "Something is missing: see below.",
        "settings": "Settings",
        "settings_help": "Change them in `.env` or in the environment, then start again. "
        "`.env.example` explains each.",
        "setting_default": "default",
        "setting_name": "Setting",
        "setting_value": "Value",
    },
}


def text(key: str, **values: object) -> str:
    """The sentence of this key with its values put in. Raises KeyError for an unknown key."""
    message = MESSAGES[DEFAULT_LANGUAGE][key]
    return message.format(**values) if values else message


def counted(key: str, count: int, **values: object) -> str:
    """The sentence for a number: its `_one` form for one of it."""
    return text(f"{key}_one" if count == 1 else key, count=count, **values)
