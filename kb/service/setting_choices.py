"""Checks of settings that name an engine, a knowledge base or a preset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import gpu
from kb.asr.engines import ENGINES
from kb.errors import KBError, SettingsError
from kb.settings import Settings, current_sources, origin
from kb.sinks import SINKS


def check_choices(settings: Settings) -> None:
    """Raise SettingsError with the place of the first setting that names nothing known."""
    for mistake in choice_mistakes(settings):
        raise mistake


def choice_mistakes(settings: Settings) -> Iterator[SettingsError]:
    """Yield an error for each setting of the environment or a file that names nothing known.

    A default is not checked: a file of presets may have others.
    """
    for name, (names, known) in _choices(settings).items():
        if name not in current_sources().values:
            continue
        accepted = known()
        if accepted is not None and any(each not in accepted for each in names):
            yield SettingsError(
                "setting.choice",
                "Setting {name}: one of these is expected: {known}.",
                hint="Correct {origin}.",
                name=name,
                known=", ".join(accepted),
                origin=origin(name),
            )


def _choices(
    settings: Settings,
) -> Mapping[str, tuple[Iterable[str], Callable[[], Sequence[str] | None]]]:
    """Return the names that a setting has, and those that are known, by the setting's name."""
    repair = settings.repair_engine.partition(":")[0]
    return {
        "KB_ENGINE": ([settings.engine], lambda: tuple(ENGINES)),
        "KB_REPAIR_ENGINE": ([repair] if repair else [], lambda: tuple(ENGINES)),
        "KB_SINKS": (settings.sink_names, lambda: tuple(SINKS)),
        "KB_PRESET": ([settings.preset], lambda: _presets(settings)),
    }


def _presets(settings: Settings) -> Sequence[str] | None:
    """Return the names of the presets with the setting's own, which may be a label.

    None if the file cannot be read: whatever uses it reports the error.
    """
    try:
        presets = gpu.load_presets(settings.presets_path)
    except KBError:
        return None
    try:
        gpu.find_preset(settings.preset, presets)
    except KBError:
        return tuple(presets)
    return (*presets, settings.preset)
