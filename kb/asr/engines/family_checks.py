"""The checks of Parakeet and Qwen3-ASR against themselves; a field that is missing has a default.

The same figure is compared wherever it is stated: mel bands of the spectrum, the encoder and its
first layer; the size of the vocabulary, its tokens, the special ids and the rows of the tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kb.hub.model_documents import ModelDocuments, check_shapes, differs, is_id

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
SAMPLE_RATE, HOP = 16_000, 160
MOST = 10_000_000
# Classes without a family of their own, which read tokenizer.json as it is.
_PLAIN_TOKENIZERS = ("PreTrainedTokenizerFast", "TokenizersBackend")
_SUBSAMPLING = 8


def check_parakeet(model: ModelDocuments) -> None:
    """Check Parakeet with either decoder, TDT or CTC. Raises Contradiction."""
    config = model.of(CONFIG)
    encoder = _inner(model, "encoder_config")
    mels = _number(encoder, "encoder_config.num_mel_bins", 1, 1024) or 80
    width = _number(encoder, "encoder_config.hidden_size", 1, 65_536)
    heads = _number(encoder, "encoder_config.num_attention_heads", 1, 65_536)
    _number(encoder, "encoder_config.num_hidden_layers", 1, 256)
    channels = _number(encoder, "encoder_config.subsampling_conv_channels", 1, 65_536)
    factor = _number(encoder, "encoder_config.subsampling_factor", 1, 64) or _SUBSAMPLING
    if width and heads and width % heads:
        raise differs(CONFIG, "encoder_config.num_attention_heads", heads, f"a divisor of {width}")
    _check_extractor(model, ("ParakeetFeatureExtractor",), {
        "feature_size": (mels, 80), "sampling_rate": (SAMPLE_RATE, SAMPLE_RATE),
        "hop_length": (HOP, HOP), "n_fft": (512, 512), "win_length": (400, 400),
    })  # fmt: skip
    size = _number(config, "vocab_size", 1, MOST)
    if size is None:
        return  # a repository of another form, which the engine names
    _check_ids(config, CONFIG, ("blank_token_id", "pad_token_id"), size)
    _check_ids(
        model.of("generation_config.json"), "generation_config.json",
        ("decoder_start_token_id", "pad_token_id", "eos_token_id"), size,
    )  # fmt: skip
    _check_tokenizer(model, "Parakeet", size)
    expected: dict[str, tuple[int, ...]] = {}
    if width and channels and factor == _SUBSAMPLING:
        bands = mels
        for _ in range(3):  # convolutions with a stride of two
            bands = (bands + 1) // 2
        expected["encoder.subsampling.linear.weight"] = (width, channels * bands)
    if config.get("model_type") == "parakeet_ctc":
        if width:
            expected["ctc_head.weight"] = (size, width, 1)
    else:
        inner = _number(config, "decoder_hidden_size", 1, 65_536)
        steps = config.get("durations", [0, 1, 2, 3, 4])
        if not isinstance(steps, list) or not steps or not all(is_id(n, 1000) for n in steps):
            raise differs(CONFIG, "durations", steps, "a list of steps in frames")
        if inner:
            expected["decoder.embedding.weight"] = (size, inner)
            expected["joint.head.weight"] = (size + len(steps), inner)
    check_shapes(model, expected)


def check_qwen3(model: ModelDocuments) -> None:
    """Check Qwen3-ASR or its aligner. Raises Contradiction."""
    config = model.of(CONFIG)
    audio, words = _inner(model, "audio_config"), _inner(model, "text_config")
    mels = _number(audio, "audio_config.num_mel_bins", 1, 1024) or 128
    _number(audio, "audio_config.encoder_layers", 1, 256)
    width = _number(words, "text_config.hidden_size", 1, 65_536)
    _number(words, "text_config.num_hidden_layers", 1, 256)
    size = _number(words, "text_config.vocab_size", 1, MOST)
    if size is None:
        return  # a repository of another form, which the engine names
    _check_extractor(model, ("Qwen3ASRFeatureExtractor", "WhisperFeatureExtractor"), {
        "feature_size": (mels, 128), "sampling_rate": (SAMPLE_RATE, SAMPLE_RATE),
        "hop_length": (HOP, HOP), "n_fft": (400, 400),
    })  # fmt: skip
    special = ("audio_token_id", "timestamp_token_id", "pad_token_id", "eos_token_id")
    _check_ids(config, CONFIG, special, size)
    _check_ids(
        model.of("generation_config.json"), "generation_config.json",
        ("eos_token_id", "pad_token_id", "bos_token_id"), size,
    )  # fmt: skip
    known = _check_tokenizer(model, "Qwen", size)
    for token, field in (
        ("<|audio_pad|>", "audio_token_id"), ("<timestamp>", "timestamp_token_id"),
    ):  # fmt: skip
        stated = config.get(field)
        if stated is not None and known.get(token, stated) != stated:
            raise differs(TOKENIZER, token, known[token], f"{stated}, {field} of {CONFIG}")
    if width:
        check_shapes(model, {
            "model.language_model.embed_tokens.weight": (size, width),
            "lm_head.weight": (size, width),
        })  # fmt: skip


FAMILIES: Mapping[str, Callable[[ModelDocuments], None]] = {
    "parakeet_tdt": check_parakeet,
    "parakeet_ctc": check_parakeet,
    "qwen3_asr": check_qwen3,
}


def _inner(model: ModelDocuments, field: str) -> Mapping[str, Any]:
    found = model.of(CONFIG).get(field, {})
    if not isinstance(found, dict):
        raise differs(CONFIG, field, type(found).__name__, "an object")
    return found


def _number(facts: Mapping[str, Any], field: str, low: int, high: int) -> int | None:
    """Return a whole number in its range, None if the field is missing. Raises Contradiction."""
    value = facts.get(field.rsplit(".", 1)[-1])
    if value is not None and not is_id(value, high, low):
        raise differs(CONFIG, field, value, f"a whole number from {low} to {high}")
    return value


def _check_ids(facts: Mapping[str, Any], file: str, fields: tuple[str, ...], size: int) -> None:
    """Check that special ids are those of tokens: a number, a list of them, or missing."""
    for field in fields:
        value = facts.get(field)
        for each in value if isinstance(value, list) else [value]:
            if each is not None and not is_id(each, size - 1):
                raise differs(file, field, each, f"an id up to {size - 1}")


def _check_extractor(
    model: ModelDocuments, kinds: tuple[str, ...], expected: Mapping[str, tuple[int, int]]
) -> None:
    """Compare the figures of the spectrum: field to expected value and default."""
    file = "preprocessor_config.json"
    facts: Any = model.of(file)
    if not facts:
        file = "processor_config.json"
        facts = model.of(file).get("feature_extractor")
    if not isinstance(facts, dict) or not facts:
        raise differs(file, "feature_extractor", "missing", kinds[0])
    kind = facts.get("feature_extractor_type", kinds[0])
    if kind not in kinds:
        raise differs(file, "feature_extractor_type", kind, kinds[0])
    for field, (value, default) in expected.items():
        if facts.get(field, default) != value:
            raise differs(file, field, facts.get(field, default), str(value))


def _check_tokenizer(model: ModelDocuments, family: str, size: int) -> dict[str, Any]:
    """Check family and ids of the tokenizer; return its tokens with their ids."""
    kind = str(model.of("tokenizer_config.json").get("tokenizer_class", family))
    if family not in kind and kind not in _PLAIN_TOKENIZERS:
        raise differs("tokenizer_config.json", "tokenizer_class", kind, f"{family}Tokenizer")
    document = model.of(TOKENIZER)
    if not document:
        if model.of("vocab.json"):
            return _checked(dict(model.of("vocab.json")), "vocab.json", size)
        return {}  # another form of tokenizer, which its library reads
    inner = document.get("model")
    words = inner.get("vocab") if isinstance(inner, dict) else None
    if isinstance(words, list):  # a unigram model: rows of token and score
        words = {str(row[0]): n for n, row in enumerate(words) if isinstance(row, list) and row}
    if not isinstance(words, dict) or not words:
        raise differs(TOKENIZER, "model.vocab", type(words).__name__, "a vocabulary")
    rows = document.get("added_tokens")
    added = {
        str(row.get("content")): row.get("id")
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    }
    return _checked({**words, **added}, TOKENIZER, size)


def _checked(known: dict[str, Any], file: str, size: int) -> dict[str, Any]:
    for number in known.values():
        if not is_id(number, size - 1):
            raise differs(file, "its vocabulary", number, f"ids up to {size - 1}")
    return known
