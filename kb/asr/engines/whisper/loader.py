"""Loads a Whisper model and its processor."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.asr.engines.model_lookup import (
    ModelRef,
    check_weights,
    models_here,
    read_pretrained,
    resolve,
)
from kb.asr.engines.whisper.spec import FAMILY
from kb.errors import ModelUnavailable

if TYPE_CHECKING:
    from gpu.manager import GPUManager


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory: the transformers model, its processor, and the seconds it took."""

    model: Any
    processor: Any
    load_s: float


def load_whisper(name: str, manager: GPUManager) -> LoadedModel:
    """Load a Whisper model and its processor onto the manager's device.

    Raises ModelUnavailable (unknown name, no network and nothing cached, damaged folder, not a
    Whisper model) and GPUError if the model does not fit into the device's memory.
    """
    ref = resolve(name)
    began = time.perf_counter()
    if ref.local:
        _check_folder(Path(ref.target))
    model, processor = read_pretrained(ref, lambda folder: _read(ref, folder, manager), manager)
    return LoadedModel(model, processor, time.perf_counter() - began)


def _check_folder(folder: Path) -> None:
    """Raise ModelUnavailable for a folder without the files of a Whisper model."""
    required = ("config.json", "preprocessor_config.json", "generation_config.json")
    missing = [name for name in required if not (folder / name).is_file()]
    if (folder / "processor_config.json").is_file() and "preprocessor_config.json" in missing:
        missing.remove("preprocessor_config.json")  # transformers 5 saves it under this name
    if not any(folder.glob("*.safetensors")):
        missing.append("model.safetensors")
    if missing:
        raise ModelUnavailable(
            "model.folder_incomplete",
            "Model folder {folder}: {files} missing.",
            hint="Give a folder written by save_pretrained of a Whisper model and its processor.",
            folder=folder,
            files=", ".join(missing),
        )


def _read(ref: ModelRef, folder: Path, manager: GPUManager) -> tuple[Any, Any]:
    from transformers import AutoConfig, WhisperForConditionalGeneration, WhisperProcessor

    kind = AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    ).model_type
    if kind != "whisper":
        # transformers would load the matching weights and fill the others with random numbers.
        raise ModelUnavailable(
            "model.not_whisper",
            "Model {name} is not a Whisper model but one of the kind {kind!r}.",
            hint="Names of the Whisper family: {known}. On this machine now: {models_here}.",
            name=ref.name,
            kind=kind,
            known=", ".join(FAMILY),
            models_here=models_here(),
        )
    processor = WhisperProcessor.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    model, info = WhisperForConditionalGeneration.from_pretrained(
        folder,
        dtype=manager.dtype,
        attn_implementation=manager.attention,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    check_weights(ref, info)
    return model, processor
