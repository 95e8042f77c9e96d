"""Recognizer engines by name. A new engine is one file and one line in `ENGINES`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kb.asr.engines import errors
from kb.errors import SettingsError

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.engines.base import Engine

ENGINES: dict[str, str] = {
    "whisper": "kb.asr.engines.whisper.engine:WhisperEngine",
    "faster-whisper": "kb.asr.engines.faster_whisper.engine:FasterWhisperEngine",
    "parakeet": "kb.asr.engines.parakeet.engine:ParakeetEngine",
    "qwen3-asr": "kb.asr.engines.qwen3.engine:Qwen3AsrEngine",
}

# What an engine needs beyond what the package itself needs, and how it is had.
INSTALL: dict[str, tuple[str, str]] = {
    "faster-whisper": ("ctranslate2", "pip install 'faster-whisper==1.2.*'"),
    "parakeet": ("transformers.models.parakeet", "pip install 'transformers>=5.20,<6'"),
    "qwen3-asr": ("transformers.models.qwen3_asr", "pip install 'transformers>=5.20,<6'"),
}

# Engines whose memory torch knows nothing of: its peak says nothing about a window's need.
MEMORY_OUTSIDE_TORCH = frozenset({"faster-whisper"})


def load_engine(name: str, model: str, manager: GPUManager) -> Engine:
    """Loads a model into an engine, on the manager's device.

    Raises SettingsError for an unknown engine or one whose package is missing,
    ModelUnavailable for the model, GPUError where it does not fit into the device's memory, and
    DeviceLost where the device fails, wherever in loading that happens.
    """
    check_engine(name)
    module, _, attribute = ENGINES[name].partition(":")
    try:
        engine: Engine = getattr(import_module(module), attribute).load(model, manager)
    except Exception as error:
        found = errors.loading_error(error, model, manager)
        if found is None or found is error:
            raise
        raise found from error
    return engine


def check_engine(name: str) -> None:
    """Raises SettingsError for a name that is not in the table, or whose package is missing."""
    if name not in ENGINES:
        raise SettingsError(
            f"Unknown engine {name!r}.", hint=f"Known engines: {', '.join(sorted(ENGINES))}."
        )
    package, command = INSTALL.get(name, ("", ""))
    if package and not _is_installed(package):
        raise SettingsError(
            f"The engine {name} needs {package}, which is not installed.", hint=f"Run: {command}"
        )


def _is_installed(package: str) -> bool:
    """Whether a package, or a package inside one, can be imported; the inner one is not."""
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
