"""Settings: one table of name, default and meaning, read once from the environment and `.env`.

The environment wins over `.env`; `.env` is looked for in the working directory and then
beside this package. `.env.example` is rendered from this table (a test compares them).
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from kb.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
ENV_FOLDER = PROJECT_ROOT  # where a `.env` is looked for beside the working directory


def _expand(path: Path) -> Path:
    return path.expanduser().absolute()


FolderPath = Annotated[Path, AfterValidator(_expand)]


class Settings(BaseModel):
    """Every setting with its default; the field's alias is its name in the environment."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, validate_default=True
    )

    home: FolderPath = Field(
        Path("~/KB-Ingest"),
        alias="KB_HOME",
        description="Library folder: media, transcripts, catalogue and index.",
    )
    preset: str = Field(
        "optimiert",
        alias="KB_PRESET",
        description="Performance preset, a name from presets.yaml.",
    )
    presets_file: str = Field(
        "",
        alias="KB_PRESETS_FILE",
        description="Another presets.yaml; empty takes the one in the project.",
    )
    model: str = Field(
        "",
        alias="KB_MODEL",
        description="Recognizer: a hub name, a folder or `demo` (the bundled one). Empty picks "
        "openai/whisper-large-v3-turbo on a GPU and openai/whisper-base on a CPU.",
    )
    engine: str = Field(
        "whisper",
        alias="KB_ENGINE",
        description="Recognizer engine, a name from the engine table.",
    )
    language: str = Field(
        "auto",
        alias="KB_LANGUAGE",
        description="Spoken language as a two-letter code, or auto.",
    )
    sinks: str = Field(
        "local",
        alias="KB_SINKS",
        description="Knowledge bases to fill, separated by commas.",
    )
    hold_below: float = Field(
        0.95,
        alias="KB_HOLD_BELOW",
        ge=0,
        le=1,
        description="An item is held for review where a smaller share of its speech is covered "
        "and free of doubt.",
    )
    embedding_model: str = Field(
        "",
        alias="KB_EMBEDDING_MODEL",
        description="Sentence-embedding model (hub name or folder) for semantic and hybrid "
        "search; empty leaves keyword search.",
    )
    normalize_loudness: bool = Field(
        False,
        alias="KB_NORMALIZE_LOUDNESS",
        description="Bring the sound to an even loudness before recognition.",
    )
    longest_pause_s: float = Field(
        1.0,
        alias="KB_LONGEST_PAUSE_S",
        ge=0,
        description="Longer pauses are shortened to this many seconds in what the recognizer "
        "hears; times in the text stay the medium's. 0: pauses are heard as they are.",
    )
    device: str = Field(
        "auto",
        alias="KB_DEVICE",
        description="auto, cuda, cuda:N, mps or cpu.",
    )
    cpu_threads: int = Field(
        0,
        alias="KB_CPU_THREADS",
        ge=0,
        description="Threads for recognition on the CPU; 0 takes the physical cores.",
    )
    gpu_reserve_gb: float = Field(
        0.5,
        alias="KB_GPU_RESERVE_GB",
        ge=0,
        description="Graphics memory, in GB, that is left to the desktop and other programs.",
    )
    gpu_max_temperature_c: float = Field(
        85.0,
        alias="KB_GPU_MAX_TEMPERATURE_C",
        ge=0,
        description="The card rests between batches while it is hotter than this, in degrees "
        "Celsius; 0 leaves that to its driver.",
    )
    gpu_max_utilisation: float = Field(
        95.0,
        alias="KB_GPU_MAX_UTILISATION",
        ge=10,
        le=100,
        description="Share of the time, in percent, that the card is kept busy at most, so that "
        "the desktop does not stutter; 100 takes all of it.",
    )
    gpu_give_way: bool = Field(
        True,
        alias="KB_GPU_GIVE_WAY",
        description="Take half of the card's time only, while a program with a window uses it.",
    )
    cuda_graphs: bool = Field(
        False,
        alias="KB_CUDA_GRAPHS",
        description="Record the decoder's step once and play it back (NVIDIA; takes memory for "
        "full batches).",
    )
    compile_encoder: bool = Field(
        False,
        alias="KB_COMPILE_ENCODER",
        description="Compile Whisper's encoder for this machine; the first batches then take "
        "minutes.",
    )
    compute_type: str = Field(
        "auto",
        alias="KB_COMPUTE_TYPE",
        description="Arithmetic of the faster-whisper engine: float32, float16, bfloat16, int8, "
        "int8_float16 ...; auto takes float16 on a card that has it, else float32.",
    )
    model_cache: str = Field(
        "",
        alias="KB_MODEL_CACHE",
        description="Folder for converted models (engine faster-whisper); empty takes the user's "
        "cache folder.",
    )
    qwen_aligner: str = Field(
        "Qwen/Qwen3-ForcedAligner-0.6B-hf",
        alias="KB_QWEN_ALIGNER",
        description="Model that times the words of the qwen3-asr engine: a hub name or a folder.",
    )
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
    prefetch_gb: float = Field(
        20.0,
        alias="KB_PREFETCH_GB",
        gt=0,
        description="Media fetched but not yet transcribed, in GB, at most.",
    )
    worker_timeout_s: float = Field(
        60.0,
        alias="KB_WORKER_TIMEOUT_S",
        ge=2,
        description="A worker that gives no sign of life for so long is taken for dead, and "
        "another one takes over its items.",
    )
    keep_records_days: float = Field(
        30.0,
        alias="KB_KEEP_RECORDS_DAYS",
        gt=0,
        description="How long the job records of ended items are kept.",
    )
    log_level: str = Field(
        "WARNING",
        alias="KB_LOG_LEVEL",
        description="DEBUG, INFO, WARNING or ERROR; logs go to standard error.",
    )

    # Doubt: what makes a window suspect (kb/asr/quality/signs.py), and its second reading.
    suspect_uncovered_s: float = Field(
        0.8,
        alias="KB_SUSPECT_UNCOVERED_S",
        gt=0,
        description="Suspect: more seconds of detected speech in a row without a word.",
    )
    suspect_compression: float = Field(
        2.4,
        alias="KB_SUSPECT_COMPRESSION",
        gt=1,
        description="Suspect: text that zlib shrinks by more than this factor.",
    )
    suspect_repeats: int = Field(
        3,
        alias="KB_SUSPECT_REPEATS",
        ge=2,
        description="Suspect: a phrase so many times in a row (a single word two more).",
    )
    suspect_words_per_s: float = Field(
        6.0,
        alias="KB_SUSPECT_WORDS_PER_S",
        gt=0,
        description="Suspect: more words a second of speech (four in a row: twice as many).",
    )
    suspect_words_per_s_least: float = Field(
        0.3,
        alias="KB_SUSPECT_WORDS_PER_S_LEAST",
        ge=0,
        description="Suspect: fewer words a second, where there are 5 s of speech or more.",
    )
    suspect_logprob: float = Field(
        -1.0,
        alias="KB_SUSPECT_LOGPROB",
        le=0,
        description="Suspect: a lower mean log-probability of the window's tokens.",
    )
    suspect_no_speech: float = Field(
        0.6,
        alias="KB_SUSPECT_NO_SPEECH",
        ge=0,
        le=1,
        description="Suspect: a higher no-speech probability where speech was detected.",
    )
    suspect_silent_s: float = Field(
        0.3,
        alias="KB_SUSPECT_SILENT_S",
        gt=0,
        description="Suspect: more seconds of words in a row where no speech was detected.",
    )
    suspect_language: float = Field(
        0.9,
        alias="KB_SUSPECT_LANGUAGE",
        ge=0,
        le=1,
        description="Suspect: a window as likely as this in another language than the item's.",
    )
    suspect_backwards_s: float = Field(
        0.1,
        alias="KB_SUSPECT_BACKWARDS_S",
        gt=0,
        description="Suspect: times that run back, or past the window, by more seconds.",
    )
    repair_share: float = Field(
        0.3,
        alias="KB_REPAIR_SHARE",
        ge=0,
        le=10,
        description="Reading suspect windows again may cost this share of the first reading; "
        "0 reads nothing again. Over a run; its first six windows' worth are an advance.",
    )
    repair_temperatures: str = Field(
        "0.2,0.6",
        alias="KB_REPAIR_TEMPERATURES",
        pattern=r"^\s*(\d+(\.\d+)?(\s*,\s*\d+(\.\d+)?)*)?\s*$",
        description="Temperatures at which a suspect window is read again, one after another.",
    )
    repair_beams: int = Field(
        5,
        alias="KB_REPAIR_BEAMS",
        ge=1,
        le=20,
        description="Beams with which a suspect window is read again; 1 leaves that out.",
    )
    repair_engine: str = Field(
        "",
        alias="KB_REPAIR_ENGINE",
        pattern=r"^(|[^\s:]+:\S+)$",
        description="Another recognizer for windows that stay suspect, as engine:model, such as "
        "whisper:openai/whisper-large-v3; empty takes none. It stays loaded beside the first.",
    )

    # Sources: the YouTube Data API, downloads and their pace.
    yt_api_endpoint: str = Field(
        "",
        alias="YT_API_ENDPOINT",
        description="Address of the YouTube Data API; empty takes Google's.",
    )
    yt_watch_url: str = Field(
        "https://www.youtube.com/watch?v={id}",
        alias="YT_WATCH_URL",
        pattern=r"^https?://.*\{id\}",
        description="Page of a video, with {id} in its address; downloads start there.",
    )
    yt_api_keys_file: str = Field(
        "YT_API_keys.txt",
        alias="YT_API_KEYS_FILE",
        description="File with YouTube Data API keys, one a line, # begins a comment; looked "
        "for in the working directory and then beside the package.",
    )
    yt_api_keys: SecretStr = Field(
        SecretStr(""),
        alias="YT_API_KEYS",
        description="Further keys, separated by commas. Never written to logs or the database.",
    )
    listing_reuse_s: float = Field(
        900.0,
        alias="KB_LISTING_REUSE_S",
        ge=0,
        description="A finished listing this young, in seconds, answers again without quota.",
    )
    keep: Literal["audio", "mp3", "mp4"] = Field(
        "audio",
        alias="KB_KEEP",
        description="What a download leaves: audio (as the site has it), mp3 or mp4.",
    )
    download_pause_s: float = Field(
        10.0,
        alias="KB_DOWNLOAD_PAUSE_S",
        ge=0,
        description="Least seconds between the starts of two downloads on this machine.",
    )
    download_pause_max_s: float = Field(
        20.0,
        alias="KB_DOWNLOAD_PAUSE_MAX_S",
        ge=0,
        description="Most seconds between them; the pause is drawn between the two.",
    )
    download_cooldown_s: float = Field(
        900.0,
        alias="KB_DOWNLOAD_COOLDOWN_S",
        ge=0,
        description="Rest of all downloads, in seconds, when a site says that it is too much; "
        "it doubles each time in a row.",
    )
    download_cooldown_max_s: float = Field(
        21_600.0,
        alias="KB_DOWNLOAD_COOLDOWN_MAX_S",
        ge=0,
        description="Longest such rest, in seconds.",
    )
    download_retries: int = Field(
        10,
        alias="KB_DOWNLOAD_RETRIES",
        ge=0,
        description="How often a broken connection is taken up again within one download.",
    )
    download_attempts: int = Field(
        3,
        alias="KB_DOWNLOAD_ATTEMPTS",
        ge=1,
        description="How often one download is begun before it counts as failed.",
    )
    download_rate: int = Field(
        0,
        alias="KB_DOWNLOAD_RATE",
        ge=0,
        description="Most bytes a second for one download; 0 for no limit.",
    )
    proxy: SecretStr = Field(
        SecretStr(""),
        alias="KB_PROXY",
        description="Proxy for listings and downloads, as http://user:password@host:port.",
    )
    cookies_file: str = Field(
        "",
        alias="KB_COOKIES_FILE",
        description="Cookies in Netscape format for sites that ask for a login. They put the "
        "account at risk: empty is safer.",
    )
    captions: str = Field(
        "",
        alias="KB_CAPTIONS",
        description="Languages of captions to fetch beside the medium, such as de,en.",
    )
    witness: bool = Field(
        True,
        alias="KB_WITNESS",
        description="Fetch captions that people made, where a medium has any in its language, "
        "and hold the transcript against them.",
    )
    witness_below: float = Field(
        0.5,
        alias="KB_WITNESS_BELOW",
        ge=0,
        le=1,
        description="A minute in which transcript and people's captions share less of their "
        "words is doubtful; 0 for never.",
    )
    captions_first: bool = Field(
        False,
        alias="KB_CAPTIONS_FIRST",
        description="Make captions searchable at once, marked as such, until the transcript is "
        "there; as with --captions-first.",
    )
    prompt_tokens: int = Field(
        100,
        alias="KB_PROMPT_TOKENS",
        ge=0,
        le=223,
        description="Tokens, at most, that the recognizer is told beforehand: your list for a "
        "channel (kb vocabulary) and names from its titles; 0 for none. Channels without a list "
        "are told nothing.",
    )
    thumbnail: bool = Field(
        False,
        alias="KB_THUMBNAIL",
        description="Fetch the preview picture beside the medium.",
    )

    # Remote knowledge bases: ODIN, and a folder of Markdown files.
    odin_api_key: SecretStr = Field(
        SecretStr(""),
        alias="API_KEY",
        description="ODIN: key of the API, sent as a header only.",
    )
    odin_api_secret: SecretStr = Field(
        SecretStr(""),
        alias="API_SECRET",
        description="ODIN: secret of the API, sent as a header only.",
    )
    odin_project_id: str = Field(
        "vc0lgCl8YHKTHQ9ByzYt",
        alias="ODIN_PROJECT_ID",
        pattern=r"^[A-Za-z0-9_-]+$",
        description="ODIN: the project that documents go to.",
    )
    odin_base_url: str = Field(
        "https://api.getodin.ai",
        alias="ODIN_BASE_URL",
        pattern=r"^https?://[^\s@]+$",
        description="ODIN: address of the API.",
    )
    odin_api_version: str = Field(
        "v3",
        alias="ODIN_API_VERSION",
        pattern=r"^v\d+$",
        description="ODIN: version of the upload call; older projects need v2.",
    )
    odin_listing: Literal["plain", "paged"] = Field(
        "plain",
        alias="ODIN_LISTING",
        description="ODIN: which call lists the project's documents, plain or paged.",
    )
    odin_document_bytes: int = Field(
        400_000,
        alias="ODIN_DOCUMENT_BYTES",
        ge=4_000,
        le=200_000_000,
        description="ODIN: longer transcripts are split into parts below so many bytes.",
    )
    odin_poll_s: float = Field(
        5.0,
        alias="ODIN_POLL_S",
        gt=0,
        description="ODIN: seconds between two looks at whether a document is indexed.",
    )
    odin_poll_wait_s: float = Field(
        300.0,
        alias="ODIN_POLL_WAIT_S",
        ge=0,
        description="ODIN: how long to wait for indexing, in seconds, before the item is left "
        "waiting and looked at again later.",
    )
    odin_concurrency: int = Field(
        4,
        alias="ODIN_CONCURRENCY",
        ge=1,
        le=32,
        description="ODIN: requests under way at once, at most.",
    )
    odin_rate: float = Field(
        5.0,
        alias="ODIN_RATE",
        ge=0,
        description="ODIN: requests a second, at most; 0 for no limit.",
    )
    odin_timeout_s: float = Field(
        120.0,
        alias="ODIN_TIMEOUT_S",
        gt=0,
        description="ODIN: seconds without an answer after which a request is given up.",
    )
    odin_retries: int = Field(
        6,
        alias="ODIN_RETRIES",
        ge=0,
        description="ODIN: how often a request is repeated when the service is busy or away.",
    )
    odin_backoff_s: float = Field(
        1.0,
        alias="ODIN_BACKOFF_S",
        gt=0,
        description="ODIN: first pause before a repetition, in seconds; it doubles each time.",
    )
    odin_settle_s: float = Field(
        3.0,
        alias="ODIN_SETTLE_S",
        ge=0,
        description="ODIN: seconds until an upload whose answer was lost shows in the list.",
    )
    odin_credits_per_10k_words: float = Field(
        1.0,
        alias="ODIN_CREDITS_PER_10K_WORDS",
        ge=0,
        description="ODIN: credits that 10,000 words cost, for estimates (see your plan).",
    )
    folder_sink: str = Field(
        "",
        alias="KB_FOLDER_SINK",
        description="Folder for the sink `folder` (Markdown for Obsidian and the like); empty "
        "takes markdown/ in the library folder.",
    )

    # The dashboard.
    password: SecretStr = Field(
        SecretStr(""),
        alias="KB_PASSWORD",
        description="Password of the dashboard. Needed (or OIDC) where it listens beyond this "
        "machine; put a proxy with TLS before it there.",
    )
    users: str = Field(
        "",
        alias="KB_USERS",
        description="E-mail addresses that may come in through OIDC, separated by commas; empty "
        "lets in everybody whom the provider signs in.",
    )
    app_worker: bool = Field(
        True,
        alias="KB_APP_WORKER",
        description="The dashboard starts a worker on its machine when none is alive: with "
        "itself, for what is taken in, and after one was killed. Off: by its button alone.",
    )

    @property
    def sink_names(self) -> tuple[str, ...]:
        """`sinks` as a tuple of names, empty ones dropped."""
        return tuple(name.strip() for name in self.sinks.split(",") if name.strip())

    def replace(self, **changes: object) -> Settings:
        """A copy with validated changes, by field name.

        Raises SettingsError naming the setting.
        """
        values = {field: getattr(self, field) for field in type(self).model_fields}
        return _validated({**values, **changes})


# Set before torch and transformers are imported, unless the environment says otherwise.
LIBRARY_ENVIRONMENT = {
    "PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:512",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@cache
def get_settings() -> Settings:
    """The settings of this process, read once; `get_settings.cache_clear()` reads again.

    Raises SettingsError naming the variable and the accepted values.
    """
    values: dict[str, str] = {}
    for folder in (ENV_FOLDER, Path.cwd()):
        env_file = folder / ".env"
        if env_file.is_file():
            found = dotenv_values(env_file, encoding="utf-8")
            values.update({name: value for name, value in found.items() if value is not None})
    values.update(os.environ)
    for name, default in LIBRARY_ENVIRONMENT.items():
        os.environ.setdefault(name, values.get(name, default))
    known = {str(field.alias) for field in Settings.model_fields.values()}
    # An empty value in .env means "the default", as in .env.example.
    return _validated({name: value for name, value in values.items() if name in known and value})


def _validated(values: dict[str, object] | dict[str, str]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        field = Settings.model_fields.get(where)
        name = str(field.alias) if field else where
        raise SettingsError(
            f"Setting {name}: {first['msg']}.",
            hint=f"Correct {name} in the environment or in .env; see .env.example.",
        ) from None


def example_lines() -> Iterator[str]:
    """The lines of `.env.example`, from the table above."""
    yield "# KB Ingest: copy to .env and change what you need. An empty value takes the default."
    for field in Settings.model_fields.values():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, SecretStr):
            default = default.get_secret_value()
        elif isinstance(default, bool):
            default = str(default).lower()
        yield ""
        yield from textwrap.wrap(
            str(field.description), 98, initial_indent="# ", subsequent_indent="# "
        )
        yield f"{field.alias}={default}"
    yield ""
    yield "# PyTorch and transformers; set before they are imported."
    for name, value in LIBRARY_ENVIRONMENT.items():
        yield f"{name}={value}"
    yield "# For debugging only: it waits for every kernel, which makes a GPU many times slower."
    yield "# CUDA_LAUNCH_BLOCKING=1"
    yield "# Named in older guides; numpy no longer knows it."
    yield "# NUMPY_EXPERIMENTAL_ARRAY_FUNCTION=0"
