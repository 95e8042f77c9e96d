"""Loads Qwen3-ASR and its aligner; errors name the next step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.asr.engines.model_lookup import ModelRef, check_weights, read_pretrained, resolve
from kb.errors import ModelUnavailable

if TYPE_CHECKING:
    from gpu.manager import GPUManager

RECOGNIZER = "Qwen3ASRForConditionalGeneration"
ALIGNER = "Qwen3ASRForTokenClassification"
KIND = "qwen3_asr"

Pair = tuple[Any, Any]


def load_pair(model: str, aligner: str, manager: GPUManager) -> tuple[Pair, Pair]:
    """Return a recognizer and an aligner on the manager's device, each with its processor.

    Names are hub names, folders, or those of `kb models`. Raises ModelUnavailable, GPUError
    if one does not fit into the device's memory, and DeviceLost.
    """
    recognizer = _load(resolve(model), RECOGNIZER, manager)
    try:
        return recognizer, _load(resolve(aligner), ALIGNER, manager)
    except ModelUnavailable as error:
        if not Path(aligner).expanduser().is_dir():
            raise ModelUnavailable(
                "model.aligner_missing",
                "{cause}",
                hint="The aligner times the words; its name is the setting KB_QWEN_ALIGNER, a "
                "hub name "
                "or a folder. Fetch it with: kb models pull {aligner}",
                retryable=error.retryable,
                cause=error,
                aligner=aligner,
            ) from error
        raise ModelUnavailable(
            "model.aligner_damaged",
            "{cause}",
            hint="The aligner times the words; its name is the setting KB_QWEN_ALIGNER. "
            "{cause.hint}",
            retryable=error.retryable,
            cause=error,
        ) from error


def _load(ref: ModelRef, kind: str, manager: GPUManager) -> Pair:
    if ref.local:
        _check_folder(Path(ref.target))
    return read_pretrained(ref, lambda folder: _read(ref, kind, folder, manager), manager)


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(
            "model.no_config_qwen3",
            "Model folder {folder}: config.json missing.",
            hint="Give a folder written by save_pretrained of a Qwen3-ASR model and its processor.",
            folder=folder,
        )


def _read(ref: ModelRef, kind: str, folder: Path, manager: GPUManager) -> Pair:
    import transformers
    from transformers import AutoConfig, Qwen3ASRProcessor

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    _check_kind(ref, kind, config)
    processor = Qwen3ASRProcessor.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    model, info = getattr(transformers, kind).from_pretrained(
        folder,
        dtype=manager.dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    check_weights(ref, info)
    return model, processor


def _check_kind(ref: ModelRef, kind: str, config: Any) -> None:
    """Raise ModelUnavailable for another model: transformers would fill its weights at random."""
    if config.model_type != KIND:
        raise ModelUnavailable(
            "model.not_qwen3",
            "Model {name} is not a Qwen3-ASR model but one of the kind {kind!r}.",
            hint="The engine qwen3-asr reads Qwen/Qwen3-ASR-0.6B-hf and its like; for Whisper "
            "models: --engine whisper.",
            name=ref.name,
            kind=config.model_type,
        )
    if hasattr(config, "thinker_config"):
        raise ModelUnavailable(
            "model.qwen3_original_form",
            "Model {name} is in the form of Qwen's own program, which cannot be read here.",
            hint="Take the same model in the form of transformers: its name ends in -hf.",
            name=ref.name,
        )
    built = config.architectures or [kind]
    if kind not in built:
        if ALIGNER in built:
            raise ModelUnavailable(
                "model.aligner_as_recognizer",
                "Model {name} is an aligner.",
                hint="The recognizer is --model or KB_MODEL (Qwen/Qwen3-ASR-0.6B-hf and its like), "
                "the aligner KB_QWEN_ALIGNER (Qwen/Qwen3-ForcedAligner-0.6B-hf).",
                name=ref.name,
            )
        raise ModelUnavailable(
            "model.recognizer_as_aligner",
            "Model {name} is a recognizer.",
            hint="The recognizer is --model or KB_MODEL (Qwen/Qwen3-ASR-0.6B-hf and its like), "
            "the aligner KB_QWEN_ALIGNER (Qwen/Qwen3-ForcedAligner-0.6B-hf).",
            name=ref.name,
        )
