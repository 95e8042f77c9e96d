"""The files of an embedding model: which of a repository are needed, and which a folder lacks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from kb.errors import ModelUnavailable
from kb.hub import errors
from kb.hub.client import HubFile
from kb.hub.kind import ModelKind
from kb.hub.models import ready
from kb.hub.repository_code import LARGEST_SMALL_BYTES, refuse_code
from kb.storage.free_space import size_text
from kb.storage.model_names import is_path

OWNER = "sentence-transformers"  # of a name without an owner
_NEEDED = (".json", ".txt", ".model", ".safetensors")
_OTHER_FORMATS = ("onnx/", "openvino/")


def embedding_folder(model: str) -> Path:
    """Return the folder of a complete embedding model; one of the hub is fetched if needed.

    Raises ModelUnavailable, also for a model that names code to run.
    """
    folder = Path(model).expanduser()
    if not (is_path(model) or folder.is_dir()):
        folder = ready(model if "/" in model else f"{OWNER}/{model}", EMBEDDER).folder
    refuse_code(model, folder)
    return folder


def choose(name: str, listed: Sequence[HubFile]) -> list[HubFile]:
    """Return the listed files that loading needs. Raises ModelUnavailable."""
    files = [
        file
        for file in listed
        if file.name.endswith(_NEEDED)
        and not file.name.startswith(_OTHER_FORMATS)
        and Path(file.name).name != "adapter_config.json"
    ]
    if not any(file.name.endswith(".safetensors") for file in files):
        raise ModelUnavailable(
            "embedding.no_weights",
            "The embedding model {name} has no weights in safetensors on the hub.",
            hint="Choose another model for KB_EMBEDDING_MODEL.",
            name=name,
        )
    for file in files:
        if not file.name.endswith(".safetensors") and file.size > LARGEST_SMALL_BYTES:
            found = f"it has {size_text(file.size)}, more than {size_text(LARGEST_SMALL_BYTES)}"
            raise errors.odd_file(name, file.name, found)
    return files


def missing(folder: Path) -> list[str]:
    """Return what a folder lacks: the list of its modules, its description or its weights."""
    lacking = [name for name in ("modules.json", "config.json") if not _is_json(folder / name)]
    if not any(folder.rglob("*.safetensors")):
        lacking.append("model.safetensors")
    return lacking


def _is_json(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return False


EMBEDDER = ModelKind("embedding", choose, missing)
