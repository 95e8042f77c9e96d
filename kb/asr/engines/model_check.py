"""One check of a model against itself, before its first window.

A repository states the same figure in several files: the size of the vocabulary, the numbers of
special tokens, the bands of the spectrum, the length of a window. transformers takes each where it
is needed and fails, or writes other words, where they differ. The check reads all files as data and
names file, field, expected and found value. It passes once for a set of files (see
`kb.hub.records`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kb.asr.engines.family_checks import FAMILIES
from kb.asr.engines.model_files import choose, missing_files
from kb.errors import ModelUnavailable
from kb.hub.kind import ModelKind
from kb.hub.model_documents import (
    Contradiction,
    ModelDocuments,
    check_shapes,
    differs,
    is_id,
)
from kb.hub.repository_code import LARGEST_SMALL_BYTES, refuse_code
from kb.hub.weights import INDEX, index_faults, missing_weights, weights_files
from kb.types.safe_text import printable

ITSELF = "itself-2"  # the check of a model against itself, recorded where it has passed
SAMPLE_RATE = 16_000
HOP = 160  # samples of a frame of the spectrum
FRAMES_PER_POSITION = 2  # the encoder's convolution has a stride of two

# Fields that make transformers load other files or other arithmetic.
_OTHER_FILES = (
    "transformers_weights", "quantization_config", "kernel_config", "base_model_name_or_path",
)  # fmt: skip
_TYPES = ("float32", "float16", "bfloat16", "float64", "auto")
_ACTIVATIONS = (
    "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python",
    "gelu_pytorch_tanh", "gelu_python_tanh", "quick_gelu", "relu", "relu2", "relu6", "sigmoid",
    "silu", "swish", "tanh", "mish", "elu", "leaky_relu", "linear", "laplace", "prelu", "swiglu",
)  # fmt: skip
_DESCRIPTIONS = (
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json",
    "vocab.json",
)  # fmt: skip
_FAMILY_TOKENIZERS = {
    "whisper": ("WhisperTokenizer", "WhisperTokenizerFast", "PreTrainedTokenizerFast"),
}
_MOST_LAYERS = 256
_MOST_WIDTH = 65_536


def check_model(name: str, folder: Path) -> None:
    """Raise ModelUnavailable for a folder whose files contradict each other or ask for code.

    Models of a family without rules here are checked for code, unreadable files and cut weights.
    """
    try:
        model = _read(name, folder)
        family = str(model.of("config.json").get("model_type"))
        if family == "whisper":
            _check_whisper(model)
        elif family in FAMILIES:
            FAMILIES[family](model)
        if family == "whisper" or family in FAMILIES:
            _check_tokens(folder)
    except Contradiction as problem:
        raise ModelUnavailable(
            "model.contradicts_itself",
            "Model {name}: in {file}, {field} is {found}, and {expected} is expected.",
            hint="Its files do not fit together or are damaged. Fetch it again: kb models pull "
            "{name} --again; or choose another model.",
            name=name,
            file=problem.file,
            field=problem.field,
            found=problem.found,
            expected=problem.expected,
        ) from problem


def _read(name: str, folder: Path) -> ModelDocuments:
    refuse_code(name, folder)
    documents: dict[str, Mapping[str, Any]] = {}
    for file in _DESCRIPTIONS:
        path = folder / file
        if not path.is_file():
            continue
        size = path.stat().st_size
        if size > LARGEST_SMALL_BYTES:
            raise differs(file, "its size", size, f"at most {LARGEST_SMALL_BYTES} bytes")
        documents[file] = _document(path)
    for field in _OTHER_FILES:
        if documents.get("config.json", {}).get(field) is not None:
            raise differs("config.json", field, documents["config.json"][field], "no such field")
    for field in ("attn_implementation", "_attn_implementation"):
        value = documents.get("config.json", {}).get(field)
        if isinstance(value, str) and "/" in value:  # a kernel from the hub
            raise differs("config.json", field, value, "an attention of transformers")
    if (folder / "adapter_config.json").is_file():
        raise differs("adapter_config.json", "the file", "there", "no adapter")
    # A folder without any weights is named by the engine, which knows its kind.
    for file in missing_weights(folder) if weights_files(folder) else ():
        raise differs(file, "its length", "missing or other than its header says", "whole weights")
    fault = index_faults(folder)
    if fault:
        raise differs(INDEX, "its text", fault, "the tensors of its files")
    _check_names(documents.get("config.json", {}))
    return ModelDocuments(folder, documents)


def _check_tokens(folder: Path) -> None:
    """Check that the library of the tokenizers reads the vocabulary."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        found = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise differs("tokenizer.json", "its text", found, "a tokenizer") from error


def _check_names(config: Mapping[str, Any]) -> None:
    """Check names that a library looks up in torch and in its own tables."""
    for field in ("dtype", "torch_dtype"):
        value = config.get(field)
        if value is not None and str(value).removeprefix("torch.") not in _TYPES:
            raise differs("config.json", field, value, f"one of {', '.join(_TYPES)}")
    value = config.get("activation_function")
    if value is not None and value not in _ACTIVATIONS:
        raise differs("config.json", "activation_function", value, "a function of transformers")
    for field in ("dropout", "attention_dropout", "activation_dropout"):
        value = config.get(field)
        if value is not None and not (type(value) in (int, float) and 0 <= value < 1):
            raise differs("config.json", field, value, "a number from 0 to 1")
    if not isinstance(config.get("scale_embedding", False), bool):
        raise differs("config.json", "scale_embedding", config["scale_embedding"], "true or false")


def _document(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise differs(path.name, "its text", "damaged", "a JSON document") from error
    if not isinstance(found, dict):
        raise differs(path.name, "its text", type(found).__name__, "a JSON object")
    return found


def _check_whisper(model: ModelDocuments) -> None:
    config, generation = "config.json", "generation_config.json"
    if not model.of(generation):
        raise differs(generation, "the file", "missing", "the ids of languages and timestamps")
    width = model.integer(config, "d_model", 1, _MOST_WIDTH)
    vocabulary = model.integer(config, "vocab_size", 1, 10_000_000)
    mels = model.integer(config, "num_mel_bins", 1, 1024, 80)
    positions = model.integer(config, "max_source_positions", 1, 100_000, 1500)
    targets = model.integer(config, "max_target_positions", 4, 100_000, 448)
    layers = model.integer(config, "decoder_layers", 1, _MOST_LAYERS)
    model.integer(config, "encoder_layers", 1, _MOST_LAYERS)
    heads = model.integer(config, "decoder_attention_heads", 1, _MOST_WIDTH)
    own = model.integer(config, "encoder_attention_heads", 1, _MOST_WIDTH)
    for field, count in (("decoder_attention_heads", heads), ("encoder_attention_heads", own)):
        if width % count:
            raise differs(config, field, count, f"a divisor of d_model {width}")
    _check_extractor(model, mels, positions)
    _check_ids(model, vocabulary)
    _check_alignment(model, layers, heads)
    _check_tokenizer(model, vocabulary)
    check_shapes(model, {
        "model.encoder.conv1.weight": (width, mels, 3),
        "model.encoder.embed_positions.weight": (positions, width),
        "model.decoder.embed_positions.weight": (targets, width),
        "model.decoder.embed_tokens.weight": (vocabulary, width),
    })  # fmt: skip


def _check_extractor(model: ModelDocuments, mels: int, positions: int) -> None:
    file = "preprocessor_config.json"
    facts = model.of(file)
    if not facts:
        file = "processor_config.json"
        facts = model.of(file).get("feature_extractor", {})
        if not isinstance(facts, dict) or not facts:
            raise differs(file, "feature_extractor", "missing", "WhisperFeatureExtractor")
    kind = facts.get("feature_extractor_type", "WhisperFeatureExtractor")
    if kind != "WhisperFeatureExtractor":
        raise differs(file, "feature_extractor_type", kind, "WhisperFeatureExtractor")
    expected = {
        "feature_size": (mels, 80),
        "sampling_rate": (SAMPLE_RATE, SAMPLE_RATE),
        "hop_length": (HOP, HOP),
        "chunk_length": (positions * FRAMES_PER_POSITION * HOP // SAMPLE_RATE, 30),
        "n_fft": (400, 400),
    }
    for field, (value, default) in expected.items():
        if facts.get(field, default) != value:
            raise differs(file, field, facts.get(field, default), str(value))


def _check_ids(model: ModelDocuments, vocabulary: int) -> None:
    """Check that every token id of the two configurations is one of the vocabulary."""
    config, generation = "config.json", "generation_config.json"
    last = vocabulary - 1
    for field in ("eos_token_id", "decoder_start_token_id"):
        stated = model.integer(config, field, 0, last)
        other = model.of(generation).get(field, stated)
        if other not in (stated, [stated]):
            raise differs(generation, field, other, f"{stated}, as in {config}")
    for field in ("pad_token_id", "bos_token_id"):
        if model.of(config).get(field) is not None:
            model.integer(config, field, 0, last)
    model.integer(generation, "no_timestamps_token_id", 1, last)
    facts = model.of(generation)
    if facts.get("is_multilingual", True) and facts.get("lang_to_id"):
        _check_id_map(generation, "lang_to_id", facts["lang_to_id"], last)
        _check_id_map(generation, "task_to_id", facts.get("task_to_id"), last)
        if "transcribe" not in facts["task_to_id"]:
            raise differs(generation, "task_to_id", facts["task_to_id"], "the task transcribe")
    for field in ("suppress_tokens", "begin_suppress_tokens"):
        ids = facts.get(field)
        if ids is None:
            continue
        if not isinstance(ids, list) or not all(is_id(each, last, low=-1) for each in ids):
            raise differs(generation, field, ids, f"ids up to {last}")
        text = model.of(config)["eos_token_id"]  # the tokens of text come before it
        if field == "suppress_tokens" and len({n for n in ids if 0 <= n < text}) > text // 2:
            raise differs(generation, field, f"{len(ids)} ids", "less than half of the text")


def _check_id_map(file: str, field: str, ids: Any, last: int) -> None:
    if not isinstance(ids, dict) or not ids or not all(is_id(each, last) for each in ids.values()):
        raise differs(file, field, ids, f"ids up to {last}")


def _check_alignment(model: ModelDocuments, layers: int, heads: int) -> None:
    pairs = model.of("generation_config.json").get("alignment_heads")
    if pairs is None:
        return
    expected = f"pairs of layer (up to {layers - 1}) and head (up to {heads - 1})"
    if not isinstance(pairs, list) or not pairs:
        raise differs("generation_config.json", "alignment_heads", pairs, expected)
    for pair in pairs:
        if (
            not isinstance(pair, list)
            or len(pair) != 2
            or not is_id(pair[0], layers - 1)
            or not is_id(pair[1], heads - 1)
        ):
            raise differs("generation_config.json", "alignment_heads", pair, expected)


def _check_tokenizer(model: ModelDocuments, vocabulary: int) -> None:
    facts = model.of("tokenizer_config.json")
    kind = str(facts.get("tokenizer_class", "WhisperTokenizer"))
    if kind not in _FAMILY_TOKENIZERS["whisper"]:
        raise differs("tokenizer_config.json", "tokenizer_class", kind, "WhisperTokenizer")
    file, words, added = _vocabulary(model)
    ids = [*words.values(), *added.values()]
    if not ids or not all(is_id(each, vocabulary - 1) for each in ids):
        beyond = next((each for each in ids if not is_id(each, vocabulary - 1)), None)
        raise differs(file, "its vocabulary", beyond, f"ids up to {vocabulary - 1}")
    known = {**words, **added}
    config = model.of("config.json")
    for token, field in (
        ("<|startoftranscript|>", "decoder_start_token_id"),
        ("<|endoftext|>", "eos_token_id"),
    ):
        if known.get(token, config[field]) != config[field]:
            raise differs(file, token, known[token], f"{config[field]}, {field} of config.json")
    no_times = model.of("generation_config.json")["no_timestamps_token_id"]
    if known.get("<|notimestamps|>", no_times) != no_times:
        raise differs(file, "<|notimestamps|>", known["<|notimestamps|>"], str(no_times))
    for token, number in (model.of("generation_config.json").get("lang_to_id") or {}).items():
        if known.get(token, number) != number:
            raise differs(file, token, known[token], f"{number}, lang_to_id")
    # Text tokens come before the special ones in every vocabulary of the family.
    if len(words) < min(256, int(config["eos_token_id"])):
        raise differs(file, "its vocabulary", f"{len(words)} tokens", "the tokens of its text")


def _vocabulary(model: ModelDocuments) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return file, tokens of text and added tokens with their ids."""
    document = model.of("tokenizer.json")
    if document:
        inner = document.get("model")
        words = inner.get("vocab") if isinstance(inner, dict) else None
        if not isinstance(words, dict):
            raise differs("tokenizer.json", "model.vocab", type(words).__name__, "a vocabulary")
        rows = document.get("added_tokens")
        added = {
            str(row.get("content")): row.get("id")
            for row in (rows if isinstance(rows, list) else [])
            if isinstance(row, dict)
        }
        return "tokenizer.json", words, added
    words = dict(model.of("vocab.json"))
    if not words or not (model.folder / "merges.txt").is_file():
        raise differs("tokenizer.json", "the file", "missing", "the vocabulary")
    return "vocab.json", words, dict(model.of("added_tokens.json"))


def check_finite(name: str, model: Any) -> None:
    """Raise ModelUnavailable if a tensor of the loaded model has values that are no numbers."""
    import torch

    for tensor, values in model.named_parameters():
        if not bool(torch.isfinite(values.detach()).all()):
            raise ModelUnavailable(
                "model.not_finite",
                "Model {name}: {tensor} of the weights has values that are not numbers.",
                hint="The weights are damaged. Fetch them again: kb models pull {name} --again",
                name=name,
                tensor=tensor,
            )


RECOGNIZER = ModelKind("recognizer", choose, missing_files, check_model, ITSELF)
