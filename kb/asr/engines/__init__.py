"""Recognizer engines by name. A new engine is one file and one line in `ENGINES`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kb.errors import SettingsError

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.engines.base import Engine

ENGINES: dict[str, str] = {
    "whisper": "kb.asr.engines.whisper:WhisperEngine",
}


def load_engine(name: str, model: str, manager: GPUManager) -> Engine:
    """Loads a model into an engine, on the manager's device.

    Raises SettingsError for an unknown engine and ModelUnavailable for the model.
    """
    check_engine(name)
    module, _, attribute = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), attribute).load(model, manager)
    return engine


def check_engine(name: str) -> None:
    """Raises SettingsError for a name that is not in the table."""
    if name not in ENGINES:
        raise SettingsError(
            f"Unknown engine {name!r}.", hint=f"Known engines: {', '.join(sorted(ENGINES))}."
        )
