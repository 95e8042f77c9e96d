"""Settings of recognition: model, engine, device and limits of the card."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kb.settings.choices import COMPUTE_TYPES, DEVICE, LANGUAGES, READERS, one_of
from kb.settings.part import SettingsPart


class RecognitionSettings(SettingsPart):
    """Settings of recognition: model, engine, device and limits of the card."""

    preset: str = Field(
        "optimiert",
        alias="KB_PRESET",
        description="Performance preset, a name from presets.yaml.",
    )
    presets_file: str = Field(
        "",
        alias="KB_PRESETS_FILE",
        description="Another presets.yaml. Empty: presets.yaml in the library folder, where the "
        "dashboard writes changes; if there is none, the one of the program.",
    )
    model: str = Field(
        "",
        alias="KB_MODEL",
        description="Recognizer: a name of models.yaml, a hub name, a folder or `demo` (the "
        "bundled one). Empty picks openai/whisper-large-v3-turbo on a GPU and openai/whisper-base "
        "on a CPU (`default_on` in models.yaml).",
    )
    models_file: str = Field(
        "",
        alias="KB_MODELS_FILE",
        description="Table of models of your own, in the form of the project's models.yaml; its "
        "rows come before those there.",
    )
    engine: str = Field(
        "whisper",
        alias="KB_ENGINE",
        description="Recognizer engine, a name from the engine table.",
    )
    language: Annotated[str, one_of("auto", *LANGUAGES)] = Field(
        "auto",
        alias="KB_LANGUAGE",
        description="Spoken language as a two-letter code, or auto.",
    )
    normalize_loudness: bool = Field(
        False,
        alias="KB_NORMALIZE_LOUDNESS",
        description="Bring the sound to an even loudness before recognition.",
    )
    sound_filters: Annotated[str, one_of("", "highpass", "afftdn", "highpass,afftdn")] = Field(
        "",
        alias="KB_SOUND_FILTERS",
        description="Filters of ffmpeg before recognition: highpass (no rumble below 80 Hz), "
        "afftdn (less steady noise), or highpass,afftdn; empty takes none.",
    )
    longest_pause_s: float = Field(
        1.0,
        alias="KB_LONGEST_PAUSE_S",
        ge=0,
        description="Longer pauses are shortened to this many seconds in the recognizer's "
        "input; times in the text stay the medium's. 0 keeps pauses as they are.",
    )
    max_hours: float = Field(
        48.0,
        alias="KB_MAX_HOURS",
        gt=0,
        le=10_000,
        description="Longest medium, in hours; a longer one is refused. A damaged or hostile "
        "file may claim any length.",
    )
    prompt_tokens: int = Field(
        100,
        alias="KB_PROMPT_TOKENS",
        ge=0,
        le=223,
        description="Tokens, at most, of the recognizer's prompt: your list for a channel "
        "(kb vocabulary) and names from its titles; 0 for none. Channels without a list get "
        "no prompt.",
    )
    screen_names: bool = Field(
        True,
        alias="KB_SCREEN_NAMES",
        description="Names on the slides of a channel that has a list (kb vocabulary) go behind it "
        "in the recognizer's prompt.",
    )
    device: Annotated[str, DEVICE] = Field(
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
    readers: Annotated[str, READERS] = Field(
        "auto",
        alias="KB_READERS",
        description="Processes that read media (ffmpeg, speech detection, checks of the text) for "
        "the process of the model, each with about 130 MB: auto takes half of the cores with a "
        "GPU, 8 at most, and none without; 0 reads in the process of the model.",
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
        description="The card pauses between batches while it is hotter than this, in degrees "
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
        True,
        alias="KB_CUDA_GRAPHS",
        description="Record the decoder's step once as a CUDA graph and replay it (NVIDIA).",
    )
    batches_on_card: int = Field(
        2,
        alias="KB_BATCHES_ON_CARD",
        ge=1,
        le=3,
        description="Batches on the card at once, at most (NVIDIA): with 2 the next one is encoded "
        "while one is decoded, with 3 another one where memory has room; 1 one after the other.",
    )
    compile_encoder: bool = Field(
        False,
        alias="KB_COMPILE_ENCODER",
        description="Compile Whisper's encoder for this machine; the first batches then take "
        "minutes.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        alias="KB_DTYPE",
        description="Arithmetic of the engines whisper, parakeet and qwen3-asr on a GPU: "
        "bfloat16, float16 or float32; auto takes bfloat16 on a card that has it, else float16. "
        "A CPU computes in float32.",
    )
    compute_type: Annotated[str, one_of("auto", *COMPUTE_TYPES)] = Field(
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
