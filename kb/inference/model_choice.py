"""The model of a request: its name, its row in the table of models, the options that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gpu.preset_figures import Preset
from kb.asr.engines.model_lookup import DEMO, identify
from kb.asr.engines.model_registry import find_model
from kb.asr.engines.model_table import DEFAULT, MachineKind, ModelRow, load_models
from kb.errors import SettingsError
from kb.inference.transcription_options import TranscriptionOptions
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
    options: RunOptions, settings: Settings, model: str, preset: Preset
) -> TranscriptionOptions:
    """Return the options of the transcription with a model, in what its row says.

    `model` is that of `model_name`. Raises SettingsError.
    """
    row = _asked_row(options, settings) or row_of(model, settings)
    if row is not None and row.batch and not options.batch_size:
        preset = replace(preset, batch_size=min(preset.batch_size, row.batch))
    return TranscriptionOptions(
        preset=preset,
        engine=options.engine or (_own_engine(row) if row else "") or settings.engine,
        model=model,
        language=options.language or settings.language,
        detect_speech=options.detect_speech,
        normalize=settings.normalize_loudness,
        track=options.sound_track(),
        languages=row.languages if row else (),
        dtype=row.dtype if row else "auto",
        device=row.device if row else "any",
        idle_s=row.idle_s if row else None,
    )


def _asked_row(options: RunOptions, settings: Settings) -> ModelRow | None:
    """Return the row that options or settings name; None where they leave it to the machine."""
    for name in (options.model, settings.model):
        row = row_of(name, settings) if name else None
        if name and (row is None or row.id != DEFAULT):
            return row
    return None


def _own_engine(row: ModelRow) -> str:
    """Return the engine of a row with a name of its own; others leave it to KB_ENGINE."""
    return (row.engine or identify(row.model)[0]) if row.id != row.model else ""


def with_model(options: RunOptions, settings: Settings) -> RunOptions:
    """Return options that name a row's model and engine: other machines have other tables.

    Raises SettingsError.
    """
    named = row_of(options.model, settings) if options.model else None
    if named is not None and named.id == DEFAULT:
        options = replace(options, model=None)
    requested, row = options.model or settings.model, _asked_row(options, settings)
    if row is None or _model_of(requested, row) == requested:
        return options
    return replace(
        options,
        model=row.model,
        engine=options.engine or _own_engine(row) or None,
        batch_size=options.batch_size or row.batch,
    )


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
