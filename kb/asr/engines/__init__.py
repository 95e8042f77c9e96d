"""Recognizer engines by name. A new engine is one folder and one line in `ENGINES`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kb.asr.engines import errors
from kb.asr.engines.spec import EngineSpec
from kb.errors import SettingsError

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.engines.base import Engine

# "module:attribute" of each engine's EngineSpec. The order is that of `kb models`.
ENGINES: dict[str, str] = {
    "whisper": "kb.asr.engines.whisper.spec:SPEC",
    "faster-whisper": "kb.asr.engines.faster_whisper.spec:SPEC",
    "parakeet": "kb.asr.engines.parakeet.spec:SPEC",
    "qwen3-asr": "kb.asr.engines.qwen3.spec:SPEC",
}


def engine_spec(name: str) -> EngineSpec:
    """Return the description of an engine. Raises SettingsError for an unknown name."""
    if name not in ENGINES:
        raise SettingsError(
            "engine.unknown",
            "Unknown engine {name!r}.",
            hint="Known engines: {known}.",
            name=name,
            known=", ".join(sorted(ENGINES)),
        )
    module, _, attribute = ENGINES[name].partition(":")
    spec: EngineSpec = getattr(import_module(module), attribute)
    return spec


def load_engine(name: str, model: str, manager: GPUManager) -> Engine:
    """Load a model into an engine, on the manager's device.

    Raises SettingsError for an unknown engine or one whose package is missing,
    ModelUnavailable for the model, GPUError if it does not fit into the device's memory, and
    DeviceLost if the device fails at any point of loading.
    """
    check_engine(name)
    try:
        return engine_spec(name).load(model, manager)
    except Exception as error:
        found = errors.loading_error(error, model, manager)
        if found is None or found is error:
            raise
        raise found from error


def check_engine(name: str) -> None:
    """Raise SettingsError for an unknown engine, or one whose package is missing."""
    spec = engine_spec(name)
    if spec.package and not _is_installed(spec.package):
        raise SettingsError(
            "engine.not_installed",
            "The engine {name} needs {package}, which is not installed.",
            hint="Run: {command}",
            name=name,
            package=spec.package,
            command=spec.install_hint,
        )


def _is_installed(package: str) -> bool:
    """Return whether a package or subpackage can be found; the subpackage is not imported."""
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False
