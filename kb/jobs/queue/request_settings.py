"""The settings of a request: what decides about the words is stored where it is asked for.

A row's options have them under `asked`: {"settings": {…}, "preset": {…}, "row": {…}}, where `row`
are the facts of the model's row in models.yaml. The settings of a worker decide only about its
machine (device, folders, threads, limits of the card). Rows of the version before have no such key:
the worker's settings hold for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from gpu.preset_figures import Preset
from kb.errors import KBError, LibraryError
from kb.inference.transcription_options import RowFacts
from kb.options import RunOptions
from kb.settings import Settings
from kb.settings.repair import RepairSettings

ASKED = "asked"  # key of a row's options

# Returns given options with the settings of a request.
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]

# Settings of recognition that concern the machine and not the words.
OF_THE_MACHINE = frozenset((
    "presets_file", "models_file", "device", "cpu_threads", "gpu_reserve_gb",
    "gpu_max_temperature_c", "gpu_max_utilisation", "gpu_give_way", "cuda_graphs",
    "batches_on_card", "compile_encoder", "dtype", "compute_type", "model_cache", "readers",
))  # fmt: skip
# Settings of recognition that concern the words, beside those of checks and repair.
OF_THE_WORDS = (
    "preset", "model", "engine", "language", "normalize_loudness", "longest_pause_s", "max_hours",
    "prompt_tokens", "screen_names", "qwen_aligner", "sound_filters",
)  # fmt: skip
# What becomes of a transcript, beside its words.
_OF_THE_RUN = (
    "sinks", "hold_below", "hold_errors", "keep", "witness", "captions", "captions_first",
    "thumbnail", "steps", "fetch_picture", "reuse_words",
)  # fmt: skip
# Shown with an item, and stored even where they are the default.
SHOWN = ("preset", "model", "engine", "language")


def names_of_settings() -> tuple[str, ...]:
    """Return the names of the settings that a request carries."""
    return (*OF_THE_WORDS, *RepairSettings.model_fields, *_OF_THE_RUN)


@dataclass(frozen=True, slots=True)
class Asked:
    """The settings of one request: those for its work, and the preset with the run's figures.

    `row` are the facts of its model's row; None for a request of the version before.
    """

    settings: Settings
    preset: Preset
    row: RowFacts | None


def with_settings(
    options: Mapping[str, Any],
    settings: Settings,
    named: RunOptions | None = None,
    row: RowFacts | None = None,
) -> dict[str, Any]:
    """Return a row's options with the settings that they are asked with.

    `named` are the options with their model and engine as every machine knows them, and `row` the
    facts of the model's row. Raises SettingsError for an unknown preset.
    """
    run = named or RunOptions.from_dict(options)
    values = {name: getattr(settings, name) for name in names_of_settings()}
    chosen = {name: value for name in values if (value := getattr(run, name, None)) is not None} | {
        "model": run.model or settings.model
    }
    for name in ("sinks", "steps"):
        if name in chosen:
            chosen[name] = ",".join(chosen[name])
    defaults = Settings.model_fields
    kept = {
        name: value
        for name, value in {**values, **chosen}.items()
        if name in SHOWN or value != defaults[name].default
    }
    asked = {"settings": kept, "preset": asdict(run.resolve_preset(settings))}
    if row is not None:
        asked["row"] = {**asdict(row), "languages": list(row.languages)}
    return {**options, ASKED: asked}


def asked_of(options: Mapping[str, Any], settings: Settings) -> Asked | None:
    """Return the settings of a row's request, over those of this machine; None without them.

    Raises LibraryError for values that cannot be used.
    """
    stored = options.get(ASKED)
    if not isinstance(stored, Mapping):
        return None
    known = names_of_settings()
    defaults = {name: Settings.model_fields[name].default for name in known}
    given = stored.get("settings")
    own = {n: v for n, v in given.items() if n in known} if isinstance(given, Mapping) else {}
    row = stored.get("row")
    if row is None:  # the version before knew no aligner but the machine's
        del defaults["qwen_aligner"]
    try:
        return Asked(
            settings.replace(**{**defaults, **own}),
            _preset(stored.get("preset")),
            None if row is None else RowFacts.of(row),
        )
    except (KBError, AttributeError, TypeError, ValueError) as error:
        raise LibraryError(
            "options.asked",
            "The stored settings of a request cannot be used: {reason}.",
            hint="Queue the item again: kb ingest SOURCE --again",
            reason=error.message.rstrip(".") if isinstance(error, KBError) else error,
        ) from error


def completed(options: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
    """Return a row's options, with the settings of a new request where it has none of its own.

    Items that were found in the folder, and rows of the version before, have none.
    """
    return dict(options if ASKED in options else ask(options))


def settings_of(options: Mapping[str, Any], settings: Settings) -> Settings:
    """Return the settings of a row's request over `settings` of this machine.

    Those of this machine alone for a row without any. Raises LibraryError (`asked_of`).
    """
    asked = asked_of(options, settings)
    return asked.settings if asked else settings


def shown_settings(options: Mapping[str, Any]) -> dict[str, str]:
    """Return preset, model, engine and language of a row's request; empty without them."""
    stored = options.get(ASKED)
    given = stored.get("settings") if isinstance(stored, Mapping) else None
    if not isinstance(given, Mapping):
        return {}
    return {name: str(given[name]) for name in SHOWN if given.get(name)}


def _preset(stored: Any) -> Preset:
    names = {each.name for each in fields(Preset)}
    return Preset(**{name: value for name, value in dict(stored).items() if name in names})
