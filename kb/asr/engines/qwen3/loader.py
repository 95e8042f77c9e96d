"""Loading Qwen3-ASR and its aligner, with errors a person can act on."""

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
_SETTING = "The aligner times the words; its name is the setting KB_QWEN_ALIGNER"

Pair = tuple[Any, Any]


def load_pair(model: str, aligner: str, manager: GPUManager) -> tuple[Pair, Pair]:
    """A recognizer and an aligner on the manager's device, each with its processor.

    Names are hub names, folders, or those of `kb models`. Raises ModelUnavailable, GPUError
    where one does not fit into the device's memory, and DeviceLost.
    """
    recognizer = _load(resolve(model), RECOGNIZER, manager)
    try:
        return recognizer, _load(resolve(aligner), ALIGNER, manager)
    except ModelUnavailable as error:
        if not Path(aligner).expanduser().is_dir():
            step = f"{_SETTING}, a hub name or a folder. Fetch it with: kb models pull {aligner}"
        else:
            step = f"{_SETTING}. {error.hint}"
        raise ModelUnavailable(error.message, hint=step, retryable=error.retryable) from error


def _load(ref: ModelRef, kind: str, manager: GPUManager) -> Pair:
    if ref.local:
        _check_folder(Path(ref.target))
    return read_pretrained(ref, lambda offline: _read(ref, kind, manager, offline=offline), manager)


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(
            f"Model folder {folder}: config.json missing.",
            hint="Give a folder written by save_pretrained of a Qwen3-ASR model and its processor.",
        )


def _read(ref: ModelRef, kind: str, manager: GPUManager, *, offline: bool) -> Pair:
    import transformers
    from transformers import AutoConfig, Qwen3ASRProcessor

    config = AutoConfig.from_pretrained(ref.target, local_files_only=offline)
    _check_kind(ref, kind, config)
    processor = Qwen3ASRProcessor.from_pretrained(ref.target, local_files_only=offline)
    model, info = getattr(transformers, kind).from_pretrained(
        ref.target, dtype=manager.dtype, local_files_only=offline, output_loading_info=True
    )
    check_weights(ref, info)
    return model, processor


def _check_kind(ref: ModelRef, kind: str, config: Any) -> None:
    """Raises ModelUnavailable for another model: its weights would be filled up at random."""
    if config.model_type != KIND:
        raise ModelUnavailable(
            f"Model {ref.name} is not a Qwen3-ASR model but one of the kind {config.model_type!r}.",
            hint="The engine qwen3-asr reads Qwen/Qwen3-ASR-0.6B-hf and its like; "
            "for Whisper models: --engine whisper.",
        )
    if hasattr(config, "thinker_config"):
        raise ModelUnavailable(
            f"Model {ref.name} is in the form of Qwen's own program, which cannot be read here.",
            hint="Take the same model in the form of transformers: its name ends in -hf.",
        )
    built = config.architectures or [kind]
    if kind not in built:
        what = "an aligner" if ALIGNER in built else "a recognizer"
        raise ModelUnavailable(
            f"Model {ref.name} is {what}.",
            hint="The recognizer is --model or KB_MODEL (Qwen/Qwen3-ASR-0.6B-hf and its like), "
            "the aligner KB_QWEN_ALIGNER (Qwen/Qwen3-ForcedAligner-0.6B-hf).",
        )
