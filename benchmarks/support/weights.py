"""The models of the throughput measurements, in the formats of transformers and CTranslate2."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from benchmarks.support.peers import TOKENS, Model
from kb.asr.engines.model_lookup import DEMO_FOLDER

WORDS = 50_257  # text tokens of the multilingual family; the end token comes after them
ALIGNMENT_HEADS = [[2, 2], [3, 0], [3, 2], [3, 3], [3, 4], [3, 5]]  # whisper-tiny's own


def demo_model(folder: Path) -> Model:
    """Write the bundled recognizer in both formats; return the model."""
    copy = folder / "demo"
    shutil.copytree(DEMO_FOLDER, copy)
    title = "**The demo recognizer** (real words, a width of 128)"
    return Model("demo", title, copy, _converted(copy), random=False)


def random_tiny(folder: Path) -> Model:
    """Write a random model in whisper-tiny's shape whose texts have at least `TOKENS` tokens."""
    import kb.asr.engines.faster_whisper.engine as ours_ctranslate2
    import kb.asr.engines.whisper.greedy_search as ours

    made = folder / "random-tiny"
    write_random(made, width=384, heads=6, layers=4, seed=0)
    ours.MAX_NEW_TOKENS = ours_ctranslate2.MAX_NEW_TOKENS = TOKENS
    title = f"**Random weights in whisper-tiny's shape**, {TOKENS} tokens a window"
    return Model("random", title, made, _converted(made), random=True)


def make_tokenizer(words: int) -> Any:
    """Return a Whisper tokenizer over `words` meaningless text tokens, at least 256.

    The end token has the number `words`; all other special tokens follow it.
    """
    from tokenizers import AddedToken, pre_tokenizers
    from transformers import WhisperTokenizer
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    vocabulary = {s: n for n, s in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    while len(vocabulary) < words:
        vocabulary[f"Ġw{len(vocabulary)}"] = len(vocabulary)
    vocabulary["<|endoftext|>"] = words
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], pad_token="<|endoftext|>")
    rest = ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    rest += ["<|nospeech|>", "<|notimestamps|>"]
    specials = ["<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES), *rest]
    tokenizer.add_special_tokens({"additional_special_tokens": specials})
    stamps = [f"<|{frame * 0.02:.2f}|>" for frame in range(1501)]
    tokenizer.add_tokens([AddedToken(stamp, normalized=False, special=False) for stamp in stamps])
    return tokenizer


def write_random(
    folder: Path,
    *,
    width: int,
    heads: int,
    layers: int,
    seed: int,
    encoder_layers: int | None = None,
    mels: int = 80,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a random Whisper with the full multilingual vocabulary, in the hub's layout.

    `layers`: of the decoder, and of the encoder without `encoder_layers`.
    """
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
    )
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    tokenizer = make_tokenizer(WORDS)
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(seed)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer), d_model=width, num_mel_bins=mels,
            encoder_layers=encoder_layers or layers,
            decoder_layers=layers, encoder_attention_heads=heads, decoder_attention_heads=heads,
            encoder_ffn_dim=4 * width, decoder_ffn_dim=4 * width, suppress_tokens=None,
            begin_suppress_tokens=None, bos_token_id=WORDS, eos_token_id=WORDS,
            pad_token_id=WORDS, decoder_start_token_id=WORDS + 1,
        )
    ).to(dtype)  # fmt: skip
    named = [pair for pair in ALIGNMENT_HEADS if pair[0] < layers and pair[1] < heads]
    model.generation_config = GenerationConfig(
        alignment_heads=named or [[layers - 1, 0]], bos_token_id=WORDS, eos_token_id=WORDS,
        pad_token_id=WORDS, decoder_start_token_id=WORDS + 1, is_multilingual=True,
        lang_to_id={f"<|{code}|>": number(f"<|{code}|>") for code in LANGUAGES},
        task_to_id={t: number(f"<|{t}|>") for t in ("transcribe", "translate")},
        no_timestamps_token_id=number("<|notimestamps|>"),
        prev_sot_token_id=number("<|startofprev|>"), max_length=448,
        suppress_tokens=[WORDS],  # the model never writes the end token
    )  # fmt: skip
    model.save_pretrained(folder)
    extractor = WhisperFeatureExtractor(feature_size=mels)
    WhisperProcessor(extractor, tokenizer).save_pretrained(folder)
    extractor.save_pretrained(folder)


def _converted(folder: Path) -> Path:
    """Convert a model to CTranslate2 in float32, with the files that faster-whisper needs."""
    from ctranslate2.converters import TransformersConverter

    target = folder.with_name(f"{folder.name}-ctranslate2")
    TransformersConverter(
        str(folder), copy_files=["tokenizer.json", "preprocessor_config.json"]
    ).convert(str(target), quantization="float32")
    return target
