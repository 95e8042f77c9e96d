"""Settings of the queue and its workers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from kb.settings.choices import LOG_LEVELS, one_of
from kb.settings.part import SettingsPart


class JobSettings(SettingsPart):
    """Settings of the queue and its workers."""

    database_url: SecretStr = Field(
        SecretStr(""),
        alias="KB_DATABASE_URL",
        description="postgresql://... when several machines share the queue; empty keeps "
        "everything in kb.sqlite in the library folder.",
    )
    executor_id: str = Field(
        "",
        alias="KB_EXECUTOR_ID",
        description="Name of this machine's worker; empty takes the host's name. Give each "
        "GPU of one machine a name of its own.",
    )
    in_flight: int = Field(
        0,
        alias="KB_IN_FLIGHT",
        ge=0,
        le=64,
        description="Items under way at once, so that windows of many short ones fill a batch; "
        "0 takes twice the preset's batch.",
    )
    workers: int = Field(
        0,
        alias="KB_WORKERS",
        ge=0,
        le=32,
        description="Items that a worker prepares at once (download, decode, speech detection); "
        "0 takes the preset's.",
    )
    steps: str = Field(
        "auto",
        alias="KB_STEPS",
        description="Steps besides the words, separated by commas: sound (fingerprints, by which "
        "the same sound is found again), speakers (who speaks), screen (text on the screen), "
        "meaning (search by meaning), recurring (intros and the like); auto takes those whose "
        "parts a machine at work has (see kb doctor), none takes none.",
    )
    fetch_picture: bool = Field(
        True,
        alias="KB_FETCH_PICTURE",
        description="For the text on the screen of what is kept as sound: fetch its picture from "
        "its source (the smallest of at least 360 lines, about 90 MB an hour), read and delete it.",
    )
    step_models: str = Field(
        "",
        alias="KB_STEP_MODELS",
        description="Folder with the models of these steps; empty takes the one beside the "
        "installed packages, which kb models add fills.",
    )
    speaker_model: str = Field(
        "",
        alias="KB_SPEAKER_MODEL",
        description="Folder with the model Nemotron-3-Diarization, for the step speakers; empty "
        "takes nemotron-3-diarization in the folder of the steps' models, or what kb models add "
        "nemotron has fetched; without it the model is Resemblyzer's. With a number of speakers "
        "and with KB_VOICE_PROFILES it is always that one.",
    )
    publish_wait_hours: float = Field(
        24.0,
        alias="KB_PUBLISH_WAIT_HOURS",
        ge=0,
        allow_inf_nan=False,
        description="Hours for which a queued publication to a remote knowledge base waits for the "
        "steps of its item, so that the item is sent once; 0 does not wait. kb publish sends at "
        "once.",
    )
    same_sound: bool = Field(
        True,
        alias="KB_SAME_SOUND",
        description="Let auto in KB_STEPS take the step sound where ffmpeg has chromaprint.",
    )
    reuse_words: bool = Field(
        True,
        alias="KB_REUSE_WORDS",
        description="Take the words of a recording that is there already over into one with the "
        "same sound, such as an upload again or a cut; all other speech is recognized. Off: only "
        "the link between both is kept.",
    )
    sound_links: bool = Field(
        True,
        alias="KB_SOUND_LINKS",
        description="Show where the sound of an item is heard, too, and whose words it has: on its "
        "page, in kb show, over HTTP and MCP, in Markdown and other documents, and in the metadata "
        "for ODIN. Off: nothing of it is shown; what is stored stays.",
    )
    leave_out_recurring: bool = Field(
        False,
        alias="KB_LEAVE_OUT_RECURRING",
        description="Leave what recurs in a channel (intros, sponsor reads) out of searches and of "
        "documents for ODIN, and let auto in KB_STEPS take the step recurring, which finds it. "
        "Nothing is deleted: off, all of it is found again.",
    )
    voice_profiles: bool = Field(
        False,
        alias="KB_VOICE_PROFILES",
        description="Keep the voices of speakers in the library, so that names are suggested in "
        "later recordings. Voices are biometric data: ask those who speak. They are never "
        "published or exported; kb voices lists and deletes them.",
    )
    worker_timeout_s: float = Field(
        60.0,
        alias="KB_WORKER_TIMEOUT_S",
        ge=2,
        description="A worker without a heartbeat for so many seconds is declared dead, and "
        "another one takes over its items.",
    )
    keep_records_days: float = Field(
        30.0,
        alias="KB_KEEP_RECORDS_DAYS",
        gt=0,
        description="Days for which the job records of ended items are kept.",
    )
    backups: int = Field(
        7,
        alias="KB_BACKUPS",
        ge=0,
        le=1000,
        description="Daily copies of the database (SQLite) that a worker keeps in backups/ of the "
        "library folder; 0 makes none.",
    )
    settle_s: float = Field(
        60.0,
        alias="KB_SETTLE_S",
        ge=0,
        description="A look at a followed folder leaves out files that were changed within so many "
        "seconds: they may still be written. The next look takes them. kb ingest and the "
        "Add tab look twice at such files of a folder, a second apart, and leave out those that "
        "changed.",
    )
    retry_days: float = Field(
        90.0,
        alias="KB_RETRY_DAYS",
        ge=0,
        description="Days for which an item is tried again after a failure whose cause can pass "
        "(members only, age, country, private, an extractor out of order): first after two hours, "
        "then at growing intervals up to a week, and at once after an update of yt-dlp. 0 leaves "
        "it to kb retry.",
    )
    log_level: Annotated[str, one_of(*LOG_LEVELS)] = Field(
        "WARNING",
        alias="KB_LOG_LEVEL",
        description="DEBUG, INFO, WARNING or ERROR; logs go to standard error.",
    )
