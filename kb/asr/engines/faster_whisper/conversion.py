"""Whisper models in CTranslate2's format: converted once, cached and reused."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from gpu.manager import GPUManager
from kb import storage
from kb.asr.engines.model_lookup import ModelRef, model_folder, resolve
from kb.asr.engines.whisper.loader import load_whisper
from kb.errors import LibraryError, ModelUnavailable
from kb.hub import records
from kb.hub.cache import digests
from kb.settings import get_settings

log = logging.getLogger(__name__)

WEIGHTS = "model.bin"
_FINGERPRINT_PATTERNS = ("*.safetensors", "*.json")  # input files of a conversion


def converted_model_folder(name: str) -> Path:
    """Return the folder of a model in CTranslate2's format, with its processor's files.

    The model is converted at the first use, and again when the original has changed. Raises
    ModelUnavailable as `load_whisper` does, and if it cannot be converted or stored.
    """
    ref = resolve(name)
    source = model_folder(ref)
    folder = cache_folder() / f"{_plain(ref.target)}-{_fingerprint(source)}"
    if _is_intact(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not _is_intact(folder):
                _convert(ref, source, folder, _load_processor(name))
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


def _load_processor(name: str) -> Any:
    """Return the model's processor, after a check that the model is a complete Whisper model."""
    return load_whisper(name, GPUManager("cpu")).processor


def _is_intact(folder: Path) -> bool:
    """Return True for a converted model whose files are those of its conversion."""
    if not (folder / WEIGHTS).is_file():
        return False
    record = records.read(folder)
    if record is None:  # converted by an earlier version
        _record(folder)
        return True
    return not records.changed_files(record)


def _record(folder: Path) -> None:
    files = {
        path.relative_to(folder).as_posix(): records.recorded(path, "", digests(path)[0])
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    records.write(folder, records.ReadyRecord(folder.name, "", folder, files, time.time()))


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
            TransformersConverter(
                str(source), low_cpu_mem_usage=True, trust_remote_code=False
            ).convert(str(made), quantization="float16")
            processor.save_pretrained(made / "processor")
            GenerationConfig.from_pretrained(
                source, local_files_only=True, trust_remote_code=False
            ).save_pretrained(made / "processor")
            if folder.exists():  # left by an earlier attempt without the lock
                shutil.rmtree(folder)
            made.replace(folder)
        _record(folder)
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise ModelUnavailable(
            "model.not_converted",
            "Model {name} cannot be converted for CTranslate2: {cause}",
            hint="Use it as it is with: --engine whisper",
            name=ref.name,
            cause=error,
        ) from error
