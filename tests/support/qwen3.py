"""A Qwen3-ASR and its aligner of about ten thousand random weights, in the hub's layout."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import AddedToken, pre_tokenizers
from transformers import (
    GenerationConfig,
    Qwen3ASRConfig,
    Qwen3ASRFeatureExtractor,
    Qwen3ASRForConditionalGeneration,
    Qwen3ASRForTokenClassification,
    Qwen3ASRModel,
    Qwen3ASRProcessor,
)
from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer
from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

WORDS = (
    "winter", "harbour", "the", "lantern", "old", "stone", "road", "keeper", "river", "north",
    "seven", "letter", "garden", "silver", "bridge", "morning", "window", "mountain",
)  # fmt: skip
# As in the real vocabulary, every name except these is one token.
PIECES = {"Cantonese": ("Canton", "ese"), "Macedonian": ("Maced", "onian")}
CONTROL = ("<|im_start|>", "<|im_end|>", "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>")
MARKS = ("<asr_text>", "<timestamp>")  # the tokenizer treats them as text
STEPS = 350  # of 80 ms: the range of the aligner's answers

ASR_TEMPLATE = """\
{%- set ns = namespace(system='', sound='') -%}
{%- for m in messages -%}{%- for c in m.content -%}
{%- if m.role == 'system' -%}{%- set ns.system = ns.system + c.text -%}{%- endif -%}
{%- if c.type == 'audio' -%}
{%- set ns.sound = ns.sound + '<|audio_start|><|audio_pad|><|audio_end|>' -%}
{%- endif -%}
{%- endfor -%}{%- endfor -%}
{{- '<|im_start|>system\\n' + ns.system + '<|im_end|>\\n' -}}
{{- '<|im_start|>user\\n' + ns.sound + '<|im_end|>\\n' -}}
{%- for m in messages -%}{%- if m.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- for c in m.content -%}{{- c.text -}}{%- endfor -%}{{- '<|im_end|>\\n' -}}
{%- endif -%}{%- endfor -%}
"""
ALIGNER_TEMPLATE = """\
{%- set ns = namespace(words=[]) -%}
{%- for m in messages -%}{%- for c in m.content -%}
{%- if c.type == 'audio' -%}{{- '<|audio_start|><|audio_pad|><|audio_end|>' -}}{%- endif -%}
{%- if c.type == 'text' -%}{%- set ns.words = ns.words + [c.text] -%}{%- endif -%}
{%- endfor -%}{%- endfor -%}
{{- ns.words | join('<timestamp><timestamp>') + '<timestamp><timestamp>' -}}
"""


def _tokenizer() -> Qwen2Tokenizer:
    vocabulary = {sign: n for n, sign in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []

    def learn(word: str) -> None:
        whole = word[0]
        for sign in word[1:]:
            pair = (whole, sign)
            whole += sign
            if whole not in vocabulary:
                merges.append(pair)
                vocabulary[whole] = len(vocabulary)

    names = [*LANGUAGE_CODE_TO_NAME.values(), "None", *WORDS]
    for name in names:
        learn("Ġ" + PIECES.get(name, (name,))[0])
    learn("language")
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        eos_token="<|im_end|>",
        extra_special_tokens={
            "audio_token": "<|audio_pad|>",
            "audio_bos_token": "<|audio_start|>",
            "audio_eos_token": "<|audio_end|>",
        },
    )
    tokenizer.add_tokens([AddedToken(token, special=True) for token in CONTROL])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in MARKS])
    return tokenizer


def _randomize(model: Qwen3ASRModel) -> None:
    """Randomize the weights so that the audio affects the text and attention varies by position."""
    for name, weight in model.named_parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        elif name.endswith("q_norm.weight"):
            weight.fill_(6.0)
    torch.nn.init.normal_(model.language_model.embed_tokens.weight)


def write_qwen3(folder: Path, *, endless: bool = False) -> tuple[Path, Path]:
    """Write `folder`/asr and `folder`/aligner; return both. With `endless`, its texts never end."""
    tokenizer = _tokenizer()

    def number(token: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(token))

    ends = [number("<|endoftext|>"), number("<|im_end|>")]
    config = Qwen3ASRConfig(
        audio_config={
            "model_type": "qwen3_asr_encoder", "d_model": 32, "encoder_layers": 1,
            "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "output_dim": 32,
            "downsample_hidden_size": 8,
        },
        text_config={
            "model_type": "qwen3", "vocab_size": len(tokenizer), "hidden_size": 32,
            "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 4096,
        },
        audio_token_id=number("<|audio_pad|>"),
        timestamp_token_id=number("<timestamp>"),
        pad_token_id=ends[1],
        eos_token_id=ends,
        num_labels=STEPS,
        tie_word_embeddings=False,
    )  # fmt: skip
    extractor = Qwen3ASRFeatureExtractor()
    torch.manual_seed(7)
    model = Qwen3ASRForConditionalGeneration(config)
    with torch.no_grad():
        _randomize(model.model)
        # The audio decides the first word. After each word, the next word of the list is the
        # likeliest, by more than rounding; after the last word it is the end token.
        row = [number("Ġ" + word) for word in WORDS] + [number("."), ends[1]]
        table, head = model.get_input_embeddings().weight, model.lm_head.weight
        head.mul_(0.1)
        head[row[1:]] = table[row[:-1]]
        if endless:
            head[row[0]], head[ends[1]] = table[row[-2]], 0.0
        names = [
            tokenizer.encode(f" {name}")[0] for name in (*LANGUAGE_CODE_TO_NAME.values(), "None")
        ]
        torch.nn.init.normal_(head[names], std=0.5)
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[1])
    asr, aligner = folder / "asr", folder / "aligner"
    model.eval().save_pretrained(asr)
    Qwen3ASRProcessor(extractor, tokenizer, chat_template=ASR_TEMPLATE).save_pretrained(asr)
    torch.manual_seed(7)
    timing = Qwen3ASRForTokenClassification(config)
    with torch.no_grad():
        _randomize(timing.model)
        torch.nn.init.normal_(timing.score.weight)
    timing.eval().save_pretrained(aligner)
    Qwen3ASRProcessor(extractor, tokenizer, chat_template=ALIGNER_TEMPLATE).save_pretrained(aligner)
    return asr, aligner
