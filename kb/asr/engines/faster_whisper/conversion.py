"""Whisper models in CTranslate2's format: converted once, cached and reused."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock

from gpu.manager import GPUManager
from kb import storage
from kb.asr.engines.model_lookup import ModelRef, resolve
from kb.asr.engines.whisper.loader import load_whisper
from kb.errors import LibraryError, ModelUnavailable
from kb.settings import get_settings

log = logging.getLogger(__name__)

WEIGHTS = "model.bin"
_FINGERPRINT_PATTERNS = ("*.safetensors", "*.bin", "*.json")  # input files of a conversion


def converted_model_folder(name: str) -> Path:
    """Return the folder of a model in CTranslate2's format, with its processor's files.

    The model is converted at the first use, and again when the original has changed. Raises
    ModelUnavailable as `load_whisper` does, and if it cannot be converted or stored.
    """
    ref = resolve(name)
    source = _source(ref)
    processor = None
    if source is None:
        processor = _load_processor(name)
        source = _source(ref)
    if source is None:
        raise ModelUnavailable(
            "model.files_elsewhere",
            "Model {name} was fetched, but its files are not where the hub keeps them.",
            hint="Give a folder instead: --model FOLDER, or use --engine whisper.",
            name=ref.target,
        )
    folder = cache_folder() / f"{_plain(ref.target)}-{_fingerprint(source)}"
    if (folder / WEIGHTS).is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / WEIGHTS).is_file():
                _convert(ref, source, folder, processor or _load_processor(name))
    except (OSError, LibraryError) as error:
        raise ModelUnavailable(
            "model.not_converted_into",
            "Model {name} cannot be converted into {folder}: {cause}",
            hint="Make room there, or name another folder in KB_MODEL_CACHE.",
            name=ref.name,
            folder=folder.parent,
            cause=error,
        ) from error
    return folder


def cache_folder() -> Path:
    """Return the folder of converted models: KB_MODEL_CACHE or the user's cache folder."""
    chosen = get_settings().model_cache
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "kb-ingest" / "ctranslate2"


def _source(ref: ModelRef) -> Path | None:
    """Return the folder of the original; None for a hub model that is not on this machine."""
    if ref.local:
        return Path(ref.target)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(ref.target, "config.json")
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return folder if any(folder.glob("*.safetensors")) or any(folder.glob("*.bin")) else None


def _load_processor(name: str) -> Any:
    """Return the model's processor, after a check that the model is a complete Whisper model."""
    return load_whisper(name, GPUManager("cpu")).processor


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for pattern in _FINGERPRINT_PATTERNS:
        for path in sorted(folder.glob(pattern)):
            state = path.stat()
            digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _plain(target: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in Path(target).name)[:60]


def _convert(ref: ModelRef, source: Path, folder: Path, processor: Any) -> None:
    from ctranslate2.converters import TransformersConverter
    from transformers import GenerationConfig

    log.info("Converting %s for CTranslate2, once", ref.name)
    try:
        with storage.scratch_folder(folder.parent) as work:
            made = work / "model"
            # The weights of the family are published in float16: no precision is lost.
            TransformersConverter(str(source), low_cpu_mem_usage=True).convert(
                str(made), quantization="float16"
            )
            processor.save_pretrained(made / "processor")
            GenerationConfig.from_pretrained(source).save_pretrained(made / "processor")
            if folder.exists():  # left by an earlier attempt without the lock
                shutil.rmtree(folder)
            made.replace(folder)
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise ModelUnavailable(
            "model.not_converted",
            "Model {name} cannot be converted for CTranslate2: {cause}",
            hint="Use it as it is with: --engine whisper",
            name=ref.name,
            cause=error,
        ) from error
