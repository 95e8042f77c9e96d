"""The model of a request: its name, its row in the table of models, the options that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpu.preset_figures import Preset
from kb.asr.engines.model_lookup import DEMO, identify
from kb.asr.engines.model_registry import find_model
from kb.asr.engines.model_table import DEFAULT, MachineKind, ModelRow, load_models
from kb.errors import KBError, SettingsError
from kb.inference.transcription_options import RowFacts, TranscriptionOptions
from kb.options import RunOptions
from kb.settings import Settings
from kb.storage.model_names import check_no_folder_here


def row_of(name: str, settings: Settings) -> ModelRow | None:
    """Return the row of a model, by any of its names. Raises SettingsError."""
    table = load_models(settings)
    found = table.find(name)
    if found is None and (known := find_model(name)) is not None:
        found = table.find(known.repository)
    return found


def model_name(requested: str, settings: Settings, kind: Callable[[], MachineKind]) -> str:
    """Return the model of a name; without one, that of the setting or the machine's default.

    `kind` tells the kind of this machine. Raises SettingsError, and ModelUnavailable if the
    setting has a plain name and the current folder a folder of that name, which a setting must
    name as a path.
    """
    row = row_of(requested, settings) if requested else None
    if requested and (row is None or row.id != DEFAULT):
        return _model_of(requested, row)
    chosen = settings.model
    if not chosen:
        return load_models(settings).default(kind()).model
    own = row_of(chosen, settings)
    if own is not None and own.id == DEFAULT:
        return load_models(settings).default(kind()).model
    if chosen != DEMO and own is None and find_model(chosen) is None:
        check_no_folder_here(chosen)
    return _model_of(chosen, own)


def _model_of(name: str, row: ModelRow | None) -> str:
    """Return the model of a row; a name that is a model's own is kept as it is."""
    return name if row is None or find_model(name) is not None else row.model


def transcription_options(
    options: RunOptions,
    settings: Settings,
    model: str,
    preset: Preset,
    facts: RowFacts | None = None,
) -> TranscriptionOptions:
    """Return the options of the transcription with a model, in what its row says.

    `model` is that of `model_name`. `facts` are those of a request from elsewhere, whose settings
    name engine and model: this machine's row says only what it bears. Raises SettingsError.
    """
    row = row_of(model, settings) if facts else _asked(options, settings, model)[1]
    if row is not None and row.batch and not options.batch_size:
        preset = replace(preset, batch_size=min(preset.batch_size, row.batch))
    found = facts or _facts_of(row)
    return TranscriptionOptions(
        preset=preset,
        engine=settings.engine if facts else _engine(options, settings, row),
        model=model,
        language=options.language or settings.language,
        detect_speech=options.detect_speech,
        normalize=settings.normalize_loudness,
        filters=tuple(settings.sound_filters.split(",")) if settings.sound_filters else (),
        track=options.sound_track(),
        languages=found.languages,
        dtype=found.dtype,
        device=found.device,
        idle_s=row.idle_s if row else None,
    )


def _asked(
    options: RunOptions, settings: Settings, default: str = ""
) -> tuple[str, ModelRow | None]:
    """Return the name that options or settings ask for, else the default, and its row."""
    for name in (options.model, settings.model):
        row = row_of(name, settings) if name else None
        if name and (row is None or row.id != DEFAULT):
            return name, row or (row_of(default, settings) if default else None)
    return default, row_of(default, settings) if default else None


def _facts_of(row: ModelRow | None) -> RowFacts:
    return RowFacts(row.languages, row.dtype, row.device) if row else RowFacts()


def _engine(options: RunOptions, settings: Settings, row: ModelRow | None) -> str:
    return options.engine or (_own_engine(row) if row else "") or settings.engine


def _own_engine(row: ModelRow) -> str:
    """Return the engine of a row with a name of its own; others leave it to KB_ENGINE."""
    return (row.engine or identify(row.model)[0]) if row.id != row.model else ""


def for_other_machines(
    options: RunOptions, settings: Settings, default_model: Callable[[], str]
) -> tuple[RunOptions, RowFacts]:
    """Return options that name model, engine and batch, and the facts of the model's row.

    Other machines have other tables of models. `default_model` names the model of a request that
    names none. Raises SettingsError.
    """
    name, row = _asked(options, settings)
    model = _model_of(name, row) if name else default_model()
    if row is None and model:
        row = row_of(model, settings)
    batch = options.batch_size
    if row is not None and row.batch and not batch:
        batch = min(row.batch, options.resolve_preset(settings).batch_size)
    engine = _engine(options, settings, row)
    named = replace(options, model=model or None, engine=engine, batch_size=batch)
    return named, _facts_of(row)


def check_machine(options: TranscriptionOptions, kind: MachineKind) -> None:
    """Raise SettingsError if the model's row is meant for another kind of machine."""
    if options.device not in ("any", kind):
        raise SettingsError(
            "models.other_machine",
            "The model {model} is for machines of the kind {wanted}; this one is of the kind "
            "{kind}.",
            hint="Choose another model, or change device in its row (KB_MODELS_FILE).",
            model=options.model,
            wanted=options.device,
            kind=kind,
        )


def check_translates(name: str, settings: Settings) -> None:
    """Raise SettingsError for a model whose row says that it was not trained to translate."""
    row = row_of(name, settings)
    if row is not None and not row.translate:
        raise SettingsError(
            "translation.not_trained",
            "The model {model} was not trained to translate.",
            hint="Set KB_TRANSLATE_MODEL to a multilingual Whisper model that was, such as small "
            "or large-v3.",
            model=name,
        )


def check_aligner(options: TranscriptionOptions, settings: Settings) -> None:
    """Raise KBError if a request wants its words timed by another model than this machine's."""
    asked = options.settings.qwen_aligner if options.settings else settings.qwen_aligner
    if options.engine == "qwen3-asr" and asked != settings.qwen_aligner:
        raise KBError(
            "models.other_aligner",
            "The request wants words timed by {wanted}; this machine times them by {own}.",
            hint="Set KB_QWEN_ALIGNER alike on all machines.",
            wanted=asked,
            own=settings.qwen_aligner,
        )
