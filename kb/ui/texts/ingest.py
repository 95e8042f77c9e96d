"""The Ingest tab."""

EN: dict[str, str] = {
    "paths": "Files or folders on this machine",
    "paths_placeholder": "/data/talks\n/data/interview.mp4",
    "paths_help": "One path a line. Of a folder, all media files are taken, subfolders included.",
    "upload": "Or drop files here",
    "upload_help": "They are copied into the library; yours stay where they are.",
    "preset": "Performance preset",
    "preset_help": "Batch: windows a call. Chunk: seconds of sound cut at once. Workers: items "
    "prepared at the same time.",
    "preset_figures": "batch {batch} · chunk {chunk:g} s · overlap {overlap:g} s · {workers} workers · "
    "times by {timestamps}",
    "preset_figures_one": "batch {batch} · chunk {chunk:g} s · overlap {overlap:g} s · 1 worker · times by "
    "{timestamps}",
    "model": "Recognizer",
    "model_default": "This machine's default",
    "model_setting": "{model} (your setting)",
    "model_demo": "demo (bundled, for trying out)",
    "model_help": "A model of the Hugging Face hub or a folder; type to name another one. The "
    "bundled demo model knows 111 words and is there to see how things work.",
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
    "progress": "Progress",
    "progress_empty": "Nothing is running. Name a file, drop one or give a folder, then press **Start "
    "ingest**.",
    "progress_reading": "Reading what was named …",
    "progress_preparing": "On the queue; a worker starts and loads the model …",
    "progress_running": "Running for {elapsed} · {done} of {all} items ended",
    "progress_ended": "Ended after {elapsed} · {counts}",
    "progress_nothing": "Nothing to do: all of it is in the library already.",
    "others": "On the queue from elsewhere",
    "resume": "Go on with these",
    "resume_help": "Starts a worker where none is alive.",
    "skipped": "{title}: {reason}",
    "open_library": "Open the library",
    "open_item": "Open",
}

DE: dict[str, str] = {}
