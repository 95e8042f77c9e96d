"""The description of an engine: its loader, its requirements, its models.

Specs are read without torch: `load` imports the engine itself on its first call.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kb.storage import MAX_DOCUMENT_BYTES, UnreadableText, read_user_text

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.engines.base import Engine

WORKSPACE_BYTES = 256 * 2**20  # work areas of the libraries on the device, for any batch size


class ModelShape(Protocol):
    """A model's dimensions, from which its need of device memory is computed."""

    @property
    def parameters(self) -> int:
        """The count of numbers in the weights."""
        ...

    def weights_bytes(self, number_bytes: int = 2) -> int:
        """Return the bytes of the weights on the device, with `number_bytes` a number."""
        ...

    def window_bytes(self, number_bytes: int = 2) -> int:
        """Return the bytes that one more window of the greatest length takes in a batch."""
        ...


def batch_bytes(shape: ModelShape, windows: int, number_bytes: int = 2) -> int:
    """Return the device memory of weights, work areas and a batch of `windows`, in bytes."""
    return (
        shape.weights_bytes(number_bytes)
        + WORKSPACE_BYTES
        + windows * shape.window_bytes(number_bytes)
    )


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model on the hub that has a short name.

    `stored_bytes`: bytes of one number in its files; `languages`: count of its languages;
    `engine`: the name of its engine, filled in by the model registry.
    """

    name: str
    repository: str
    shape: ModelShape
    stored_bytes: int
    languages: int
    engine: str = ""

    @property
    def parameters(self) -> int:
        """The count of numbers in the weights."""
        return self.shape.parameters

    @property
    def download_bytes(self) -> int:
        """Approximate size of the download, in bytes."""
        return self.parameters * self.stored_bytes


def _no_shape(folder: Path) -> ModelShape | None:
    return None


def _needs_nothing(model: str) -> tuple[str, ...]:
    return ()


def needs_itself(model: str) -> tuple[str, ...]:
    """Return the model alone, for an engine that loads no other one."""
    return (model,)


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine's description, named by one line of `kb.asr.engines.ENGINES`.

    `load(model, manager)` loads a model onto the manager's device. `package` has to be
    importable, else `install_hint` is the command that installs it. `shape_from_folder` returns
    the shape of a saved model, None for a model of another engine. `models` are the known models,
    largest first. `needs(model)`: the models that are fetched before `load`, which are named like
    `model`. `memory_outside_torch`: torch does not count the engine's device memory.
    """

    load: Callable[[str, GPUManager], Engine]
    package: str = ""
    install_hint: str = ""
    shape_from_folder: Callable[[Path], ModelShape | None] = _no_shape
    models: tuple[KnownModel, ...] = ()
    needs: Callable[[str], tuple[str, ...]] = _needs_nothing
    memory_outside_torch: bool = False


def read_json_object(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if it is missing, damaged or not an object."""
    try:
        found = json.loads(read_user_text(file, MAX_DOCUMENT_BYTES))
    except (OSError, ValueError, RecursionError, UnreadableText):
        return {}
    return found if isinstance(found, dict) else {}
