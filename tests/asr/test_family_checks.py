"""Parakeet and Qwen3-ASR against themselves: random weights are sound, each change is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb.asr.engines.model_check import check_model
from kb.errors import ModelUnavailable
from tests.support.engines import write_parakeet
from tests.support.qwen3 import write_qwen3

CONFIG, GENERATION, PROCESSOR = "config.json", "generation_config.json", "processor_config.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
SOUND = ("tdt", "ctc", "asr", "aligner")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sound")
    for kind in ("tdt", "ctc"):
        write_parakeet(made / kind, kind)
    write_qwen3(made)
    return made


@pytest.fixture
def copied(sound: Path, tmp_path: Path) -> Callable[[str], Path]:
    def copy(kind: str) -> Path:
        return Path(shutil.copytree(sound / kind, tmp_path / kind))

    return copy


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_model_passes(sound: Path, kind: str) -> None:
    check_model(kind, sound / kind)


@pytest.mark.parametrize("name", ("PreTrainedTokenizerFast", "TokenizersBackend"))
@pytest.mark.parametrize("kind", SOUND)
def test_a_tokenizer_without_a_family_passes(
    copied: Callable[[str], Path], kind: str, name: str
) -> None:
    folder = copied(kind)
    change(folder, TOKENIZER_CONFIG, "tokenizer_class", name)
    check_model(kind, folder)


@pytest.mark.parametrize("file", [GENERATION, TOKENIZER_CONFIG])
@pytest.mark.parametrize("kind", SOUND)
def test_a_missing_description_has_defaults(
    copied: Callable[[str], Path], kind: str, file: str
) -> None:
    folder = copied(kind)
    (folder / file).unlink(missing_ok=True)
    check_model(kind, folder)


def change(folder: Path, file: str, path: str, value: Any) -> None:
    """Set a field, named with its objects; None removes it."""
    path_of = folder / file
    document = json.loads(path_of.read_text()) if path_of.is_file() else {}
    *outer, field = path.split("/")
    inner = document
    for each in outer:
        inner = inner[each]
    if value is None:
        inner.pop(field, None)
    else:
        inner[field] = value
    path_of.write_text(json.dumps(document))


CASES: list[tuple[str, str, str, Any, str]] = [
    ("tdt", CONFIG, "vocab_size", 13, "blank_token_id"),
    ("ctc", TOKENIZER, "model/vocab/▁old", 14, "vocabulary"),
    ("tdt", CONFIG, "vocab_size", 20, "decoder.embedding.weight"),
    ("tdt", CONFIG, "vocab_size", -1, "vocab_size"),
    ("tdt", CONFIG, "vocab_size", "14", "vocab_size"),
    ("tdt", CONFIG, "vocab_size", True, "vocab_size"),
    ("tdt", CONFIG, "blank_token_id", 14, "blank_token_id"),
    ("tdt", CONFIG, "pad_token_id", -5, "pad_token_id"),
    ("tdt", CONFIG, "durations", [], "durations"),
    ("tdt", CONFIG, "durations", [0, -1], "durations"),
    ("tdt", CONFIG, "durations", [0, 1], "joint.head.weight"),
    ("tdt", CONFIG, "decoder_hidden_size", 32, "decoder.embedding.weight"),
    ("tdt", CONFIG, "encoder_config", "large", "encoder_config"),
    ("tdt", CONFIG, "encoder_config/num_mel_bins", 128, "feature_size"),
    ("tdt", CONFIG, "encoder_config/num_mel_bins", 0, "num_mel_bins"),
    ("tdt", CONFIG, "encoder_config/num_attention_heads", 3, "num_attention_heads"),
    ("tdt", CONFIG, "encoder_config/num_hidden_layers", 10**9, "num_hidden_layers"),
    ("tdt", CONFIG, "encoder_config/hidden_size", 64, "encoder.subsampling.linear.weight"),
    ("tdt", GENERATION, "decoder_start_token_id", 99, "decoder_start_token_id"),
    ("tdt", PROCESSOR, "feature_extractor", None, "feature_extractor"),
    ("tdt", PROCESSOR, "feature_extractor/feature_size", 128, "feature_size"),
    ("tdt", PROCESSOR, "feature_extractor/sampling_rate", 8000, "sampling_rate"),
    ("tdt", PROCESSOR, "feature_extractor/hop_length", 320, "hop_length"),
    ("tdt", PROCESSOR, "feature_extractor/feature_extractor_type", "WhisperFeatureExtractor",
     "feature_extractor_type"),
    ("tdt", TOKENIZER_CONFIG, "tokenizer_class", "WhisperTokenizer", "tokenizer_class"),
    ("tdt", TOKENIZER, "model/vocab", {}, "model.vocab"),
    ("tdt", TOKENIZER, "model/vocab/▁the", 14, "vocabulary"),
    ("ctc", CONFIG, "vocab_size", 15, "ctc_head.weight"),
    ("ctc", CONFIG, "pad_token_id", 14, "pad_token_id"),
    ("ctc", CONFIG, "encoder_config/hidden_size", 16, "encoder.subsampling.linear.weight"),
    ("ctc", TOKENIZER_CONFIG, "tokenizer_class", "Qwen2Tokenizer", "tokenizer_class"),
    ("asr", CONFIG, "text_config/vocab_size", 500, "an id up to 499"),
    ("asr", CONFIG, "text_config/vocab_size", 600, "embed_tokens.weight"),
    ("asr", CONFIG, "text_config/hidden_size", 64, "embed_tokens.weight"),
    ("asr", CONFIG, "text_config", [], "text_config"),
    ("asr", CONFIG, "audio_token_id", 9999, "audio_token_id"),
    ("asr", CONFIG, "audio_token_id", 5, "<|audio_pad|>"),
    ("asr", CONFIG, "eos_token_id", [1, 9999], "eos_token_id"),
    ("asr", CONFIG, "audio_config/num_mel_bins", 80, "feature_size"),
    ("asr", CONFIG, "audio_config/encoder_layers", 0, "encoder_layers"),
    ("asr", GENERATION, "eos_token_id", [9999], "eos_token_id"),
    ("asr", PROCESSOR, "feature_extractor/feature_size", 80, "feature_size"),
    ("asr", PROCESSOR, "feature_extractor/sampling_rate", 44_100, "sampling_rate"),
    ("asr", TOKENIZER_CONFIG, "tokenizer_class", "WhisperTokenizer", "tokenizer_class"),
    ("asr", TOKENIZER, "model/vocab/bad", 10**6, "vocabulary"),
    ("aligner", CONFIG, "timestamp_token_id", 3, "<timestamp>"),
    ("aligner", CONFIG, "text_config/vocab_size", 700, "embed_tokens.weight"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "file", "path", "value", "named"), CASES)
def test_a_contradiction_is_named(
    copied: Callable[[str], Path], kind: str, file: str, path: str, value: Any, named: str
) -> None:
    folder = copied(kind)
    change(folder, file, path, value)
    with pytest.raises(ModelUnavailable) as caught:
        check_model(kind, folder)
    assert caught.value.code == "model.contradicts_itself"
    assert named in caught.value.message


@pytest.mark.parametrize("kind", SOUND)
@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        (CONFIG, "auto_map", {"AutoConfig": "code.Config"}),
        (TOKENIZER_CONFIG, "auto_map", {"AutoTokenizer": ["code.Tokenizer", None]}),
        (PROCESSOR, "auto_map", {"AutoProcessor": "other/repository--code.Processor"}),
        (GENERATION, "custom_generate", "other/repository"),
        (CONFIG, "custom_pipelines", {"asr": {"impl": "code.Pipeline"}}),
        (CONFIG, "a", {"b": {"c": {"auto_map": {"AutoModel": "code.Model"}}}}),
    ],
)
def test_code_is_refused(
    copied: Callable[[str], Path], kind: str, file: str, field: str, value: Any
) -> None:
    folder = copied(kind)
    change(folder, file, field, value)
    with pytest.raises(ModelUnavailable) as caught:
        check_model(kind, folder)
    assert caught.value.code == "model.asks_for_code" and file in caught.value.message


@pytest.mark.parametrize("kind", ["tdt", "asr"])
def test_a_token_called_like_a_field_is_a_token(copied: Callable[[str], Path], kind: str) -> None:
    folder = copied(kind)
    change(folder, TOKENIZER, "model/vocab/auto_map", 3)
    check_model(kind, folder)
