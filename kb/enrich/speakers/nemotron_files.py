"""The files of Nemotron-3-Diarization: their fetch from the hub, and what a folder lacks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from kb.enrich.speakers import weights
from kb.errors import ModelUnavailable
from kb.hub import errors
from kb.hub.client import HubFile
from kb.hub.kind import ModelKind
from kb.hub.models import known_ready, ready
from kb.hub.models import remove as remove_model
from kb.hub.repository_code import LARGEST_SMALL_BYTES
from kb.hub.weights import INDEX, missing_weights
from kb.settings import get_settings
from kb.storage.free_space import size_text

REPOSITORY = "nvidia/Nemotron-3-Diarization"
FOLDER = "nemotron-3-diarization"
NAME = "nemotron"
COMMAND = f"kb models add {NAME}"
_CONFIG = "config.json"
_FEATURES = ("preprocessor_config.json", "processor_config.json")
_SMALL = (_CONFIG, *_FEATURES, INDEX)
_TYPE = "nemotron3_diarization"


def find() -> Path | None:
    """Return the folder that has the model, or a part of it; None without its description."""
    chosen = get_settings().speaker_model
    if chosen:
        return Path(chosen) if describes_it(Path(chosen)) else None
    for folder in weights.folders():
        if describes_it(folder / FOLDER):
            return folder / FOLDER
    record = known_ready(REPOSITORY)
    return record.folder if record is not None and describes_it(record.folder) else None


def add() -> Path:
    """Return the folder of the model; what is missing is fetched from the hub.

    Raises ModelUnavailable.
    """
    here = find()
    if here is not None and not missing_files(here):
        return here
    if here is not None:  # a folder of the user's: nothing is written there
        raise ModelUnavailable(
            "speakers.bad_model",
            "{path} has no Nemotron-3-Diarization model: {cause}",
            hint="Put its files there again (config.json, preprocessor_config.json, "
            "model.safetensors), or leave KB_SPEAKER_MODEL empty.",
            path=here,
            cause=f"without {', '.join(missing_files(here))}",
        )
    return Path(ready(REPOSITORY, DIARIZER).folder)


def was_fetched() -> bool:
    """Return True if the model in use came from the hub, and not from a folder of the user's."""
    record = known_ready(REPOSITORY)
    return record is not None and record.fetched and record.folder == find()


def remove() -> int:
    """Remove what was fetched from the hub; return its bytes. Raises ModelUnavailable."""
    return remove_model(REPOSITORY).removed


def describes_it(folder: Path) -> bool:
    """Return True if the description in a folder says that it is this model."""
    try:
        about = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(about, dict) and about.get("model_type") == _TYPE


def missing_files(folder: Path) -> list[str]:
    """Return the files that a folder lacks, or that are shorter than they say."""
    lacking = [] if (folder / _CONFIG).is_file() else [_CONFIG]
    if not any((folder / name).is_file() for name in _FEATURES):
        lacking.append(_FEATURES[0])
    return lacking + missing_weights(folder)


def choose(name: str, listed: Sequence[HubFile]) -> list[HubFile]:
    """Return the listed files that loading needs. Raises ModelUnavailable."""
    named = {file.name for file in listed}
    tensors = [file for file in listed if "/" not in file.name and _is_tensors(file.name)]
    if _CONFIG not in named or not tensors:
        raise ModelUnavailable(
            "speakers.no_tensors",
            "{name} has no config.json with model.safetensors.",
            hint="The model for transformers is {repository}.",
            name=name,
            repository=REPOSITORY,
        )
    small = [file for file in listed if file.name in _SMALL]
    for file in small:
        if file.size > LARGEST_SMALL_BYTES:
            found = f"it has {size_text(file.size)}, more than {size_text(LARGEST_SMALL_BYTES)}"
            raise errors.odd_file(name, file.name, found)
    return [*small, *tensors]


def _is_tensors(name: str) -> bool:
    return name.startswith("model") and name.endswith(".safetensors")


DIARIZER = ModelKind("diarization", choose, missing_files)
