"""Relative paths in settings: they begin at the folder of the file that sets them.

The current folder is used only for the environment of the process, which the user of that folder
has typed or exported.
"""

from __future__ import annotations

import re
from pathlib import Path

from kb.storage.model_names import is_path

_PATHS = frozenset(
    (
        *("KB_HOME", "KB_PRESETS_FILE", "KB_MODEL_CACHE", "KB_COOKIES_FILE", "KB_FOLDER_SINK"),
        "YT_API_KEYS_FILE",
        "KB_STEP_MODELS",
        *("HF_HOME", "HF_HUB_CACHE", "HF_XET_CACHE", "HF_ASSETS_CACHE", "HF_DATASETS_CACHE"),
        *("HF_MODULES_CACHE", "HF_TOKEN_PATH", "HUGGINGFACE_HUB_CACHE", "HUGGINGFACE_ASSETS_CACHE"),
        *("TRANSFORMERS_CACHE", "SENTENCE_TRANSFORMERS_HOME", "TORCH_HOME", "CUDA_CACHE_PATH"),
        *("TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR"),
    )
)
_PATH_LISTS = frozenset({"KB_INGEST_FOLDERS"})
# Names of models: a folder only where it is written as a path, also behind `engine:`.
_MODELS = frozenset({"KB_MODEL", "KB_QWEN_ALIGNER", "KB_EMBEDDING_MODEL", "KB_REPAIR_ENGINE"})
_MODEL = re.compile(r"((?:[A-Za-z0-9_-]{2,}:)?)(.*)", re.DOTALL)


def absolute_paths(name: str, value: str, folder: Path) -> str:
    """Return a setting's value with its relative paths made absolute; other values unchanged."""
    if name in _PATHS:
        return _absolute(value, folder)
    if name in _PATH_LISTS:
        return ",".join(_absolute(part.strip(), folder) for part in value.split(","))
    if names_model_folder(name, value):
        engine, model = _engine_and_model(value)
        return engine + _absolute(model, folder)
    return value


def names_model_folder(name: str, value: str) -> bool:
    """Return True for the setting of a model whose value is written as the path of a folder."""
    return name in _MODELS and is_path(_engine_and_model(value)[1])


def _engine_and_model(value: str) -> tuple[str, str]:
    match = _MODEL.fullmatch(value)
    return (match[1], match[2]) if match else ("", value)


def _absolute(value: str, folder: Path) -> str:
    if not value or value.startswith("~") or Path(value).is_absolute():
        return value
    return str(folder / value)
