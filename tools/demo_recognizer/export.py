"""Write the trained model as a Hugging Face folder, exactly as a hub model is laid out."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from .model_init import ALIGNMENT_HEADS
from .tokens import TokenIds

KEPT = ("vocabulary.txt", "README.md")  # what the folder holds beside the saved model


def generation_config(ids: TokenIds) -> GenerationConfig:
    """Whisper's generation settings.

    The alignment heads are the two guided ones of the last layer. There is no
    ``max_initial_timestamp_index``: a window may begin with a long pause.
    """
    last = max(layer for layer, _ in ALIGNMENT_HEADS)
    suppressed = [ids.sot, *ids.languages.values(), ids.translate, ids.transcribe]
    suppressed += [ids.sot_lm, ids.previous, ids.no_speech]
    return GenerationConfig(
        alignment_heads=[[layer, head] for layer, head in ALIGNMENT_HEADS if layer == last],
        begin_suppress_tokens=None,
        bos_token_id=ids.eot,
        decoder_start_token_id=ids.sot,
        eos_token_id=ids.eot,
        pad_token_id=ids.eot,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": number for code, number in ids.languages.items()},
        task="transcribe",  # with a detected language, transformers writes no task token otherwise
        task_to_id={"transcribe": ids.transcribe, "translate": ids.translate},
        no_timestamps_token_id=ids.no_timestamps,
        prev_sot_token_id=ids.previous,
        suppress_tokens=sorted(suppressed),
        return_timestamps=False,
        max_length=448,
    )


def export(
    model: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer,
    ids: TokenIds,
    target: Path,
) -> None:
    """Save the model in half precision to ``target``, replacing what was there in one move.

    The vocabulary and the README beside the old model stay.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    fresh.chmod(0o755)
    half = WhisperForConditionalGeneration(model.config)
    half.load_state_dict(model.state_dict())
    half.generation_config = generation_config(ids)
    half.to(torch.float16).save_pretrained(fresh)
    features = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
    WhisperProcessor(features, tokenizer).save_pretrained(fresh)
    features.save_pretrained(fresh)  # older programs look for preprocessor_config.json
    for name in KEPT:
        if (target / name).exists():
            shutil.copy2(target / name, fresh / name)
    for path in fresh.iterdir():
        path.chmod(0o644)  # safetensors writes for its owner alone
    old = target.with_name(f".{target.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
