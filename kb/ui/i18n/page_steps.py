"""Next steps of errors on the page, in English, where the command line names a command.

They name a button, a tab or a setting instead. The German table of errors is the page's alone.
"""

_LISTEN = (
    "Listen to the doubtful seconds on the tab Review and accept or correct them; or choose "
    "“Transcribe again” on its page in the library."
)
_BETTER = (
    "Choose “Transcribe again” on its page in the library, with a larger model; or accept it as it "
    "is there."
)
_AGAIN = "Queue the item again: tab Add, “Transcribe again what is already in the library”."
_DRIVER = "Look at its driver: Settings, Health. To go on without it: KB_DEVICE=cpu."
_SEND = "Send it again on the tab Publish: the failed copy is replaced."
_CREDENTIALS = (
    "Check {key}, {secret} and ODIN_PROJECT_ID under Settings, then send again on the tab Publish."
)
_ODIN_CARD = "Set project, key and secret on the card of ODIN: tab Publish."
_MODELS = "under Settings, Models"
_MODEL_DAMAGED = f"“Remove” {_MODELS}; {{name}} is fetched again at its next use."
_EMBEDDER_DAMAGED = f"“Remove” at {{name}} {_MODELS}, then “Fetch” there."
_MODEL_STOPPED = f"“Resume fetching” {_MODELS}: {{name}}"
_MODEL_FETCH = f"“Fetch” {_MODELS}: {{name}}"

EN: dict[str, str] = {
    "check.model_damaged": _MODEL_DAMAGED,
    "check.model_stopped": _MODEL_STOPPED,
    "check.embedder_absent": _MODEL_FETCH,
    "check.embedder_damaged": _EMBEDDER_DAMAGED,
    "check.embedder_stopped": _MODEL_STOPPED,
    "check.odin_absent": (
        "Set API_KEY, API_SECRET and ODIN_PROJECT_ID: tab Publish, ODIN (they are in the settings "
        "of your ODIN project)."
    ),
    "speakers.bad_weights": f"“Remove” it {_MODELS}, then “Fetch” it there.",
    "check.downloads_rest": (
        "They go on by themselves; “Resume” on the tab Activity lifts the pause now."
    ),
    "hold.missing": _LISTEN,
    "hold.doubtful": _LISTEN,
    "hold.missing_and_doubtful": _LISTEN,
    "hold.wrong_words": _BETTER,
    "hold.most_words": _BETTER,
    "item.crashes": (
        "The file may crash a driver or need more memory than there is; try a smaller "
        "--batch-size or another model, then “Retry” on the tab Activity: {item_id}"
    ),
    "item.transcript_gone": (
        "Put it back and run kb reindex, or transcribe it again with “Retry” on the tab Activity: "
        "{item_id}"
    ),
    "item.unfinished": "Transcribe it with “Retry” on the tab Activity: {item_id}",
    "item.in_queue": "The tab Activity has its state and its next try: {item_id}",
    "item.no_transcript": (
        "Take it in on the tab Add, or try again with “Retry” on the tab Activity."
    ),
    "media.gone": "Another program may have removed it; use “Retry” on the tab Activity.",
    "options.asked": _AGAIN,
    "options.stored": _AGAIN,
    "recognizer.crashed": "Out of memory or a damaged driver? See Settings, Health.",
    "recognizer.reader_ended": "Out of memory or a damaged file? See Settings, Health.",
    "recognizer.not_started": "Check this machine: Settings, Health.",
    "device.failed": _DRIVER,
    "device.failed_loading": _DRIVER,
    "publish.awaits_steps": "After {hours} hours at the latest (KB_PUBLISH_WAIT_HOURS).",
    "publish.held": (
        "Accept it on its page in the library, or transcribe it again on the tab Add."
    ),
    "publish.not_ready": "It is published when it is finished; see the tab Activity.",
    "publish.removed_there": ("Send {item_id} again, or all that is missing, on the tab Publish."),
    "setting.value": "Correct {origin}.",
    "llm.no_address": (
        "Set KB_LLM_URL and KB_LLM_MODEL under Settings, Advanced. Transcripts are sent there."
    ),
    "speech.no_address": (
        "Set KB_SPEECH_URL and KB_SPEECH_MODEL under Settings, Advanced. Texts are sent there."
    ),
    "translation.no_model": (
        "Set KB_TRANSLATE_MODEL under Settings, Advanced, to the folder or hub name of an opus-mt "
        "or NLLB model in CTranslate2's format; mind the licence of the model."
    ),
    "voices.off": (
        "Switch on “Suggest names of speakers by their voice” under Settings, General, then choose "
        "“Run steps” on a page in the Library. Voices are biometric data: ask those who speak."
    ),
    "version.asked": (
        "Take the new version or keep this one on the page of {item_id} in the library."
    ),
    "odin.index_error": _SEND,
    "odin.not_indexed": _SEND,
    "odin.credential_missing": _ODIN_CARD,
    "odin.credentials_malformed": _CREDENTIALS,
    "odin.credentials_missing": _ODIN_CARD,
    "odin.credentials_refused": _CREDENTIALS,
}
