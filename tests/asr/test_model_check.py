"""Hostile and damaged repositories: each is named by file and field, none runs code."""

from __future__ import annotations

import ast
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kb.asr.engines.model_check import check_model
from kb.asr.engines.model_files import missing_files
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.errors import ModelUnavailable
from kb.settings import PROJECT_ROOT

CONFIG, GENERATION = "config.json", "generation_config.json"
EXTRACTOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"

INDEX = "model.safetensors.index.json"

CODE = "import pathlib; pathlib.Path('ran').write_text('code')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled recognizer; its weights are a link."""
    made = tmp_path / "model"
    made.mkdir()
    for path in DEMO_FOLDER.iterdir():
        if path.suffix == ".safetensors":
            (made / path.name).symlink_to(path)
        else:
            shutil.copyfile(path, made / path.name)
    return made


def change(file: str, **values: Any) -> Callable[[Path], None]:
    """Return a change of fields; None removes one."""

    def act(folder: Path) -> None:
        document = json.loads((folder / file).read_text())
        for name, value in values.items():
            if value is None:
                document.pop(name, None)
            else:
                document[name] = value
        (folder / file).write_text(json.dumps(document))

    return act


def write(file: str, text: str | bytes) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        (folder / file).write_bytes(text.encode() if isinstance(text, str) else text)

    return act


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def both(*acts: Callable[[Path], None]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for each in acts:
            each(folder)

    return act


def language(number: int) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        document = json.loads((folder / GENERATION).read_text())
        document["lang_to_id"]["<|de|>"] = number
        (folder / GENERATION).write_text(json.dumps(document))

    return act


def extractor(**values: Any) -> Callable[[Path], None]:
    return change(EXTRACTOR, **values)


def words(count: int) -> Callable[[Path], None]:
    """Keep this many words of the vocabulary."""

    def act(folder: Path) -> None:
        document = json.loads((folder / TOKENIZER).read_text())
        document["model"]["vocab"] = dict(list(document["model"]["vocab"].items())[:count])
        (folder / TOKENIZER).write_text(json.dumps(document))

    return act


def added(**ids: int) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        document = json.loads((folder / TOKENIZER).read_text())
        for row in document["added_tokens"]:
            row["id"] = ids.get(row["content"].strip("<|>"), row["id"])
        (folder / TOKENIZER).write_text(json.dumps(document))

    return act


def tokenizer_of(**values: Any) -> Callable[[Path], None]:
    """Return a change of the tokenizer's model."""

    def act(folder: Path) -> None:
        document = json.loads((folder / TOKENIZER).read_text())
        document["model"].update(values)
        (folder / TOKENIZER).write_text(json.dumps(document))

    return act


def pattern(text: str) -> Callable[[Path], None]:
    split = {"type": "Split", "pattern": {"Regex": text}, "behavior": "Isolated", "invert": False}
    return change(TOKENIZER, pre_tokenizer=split)


def header(change_header: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Rewrite the header of the weights."""

    def act(folder: Path) -> None:
        data = (folder / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        document = json.loads(data[8 : 8 + length])
        change_header(document)
        text = json.dumps(document).encode()
        new = struct.pack("<Q", len(text)) + text + data[8 + length :]
        write("model.safetensors", new)(folder)

    return act


def reshape(document: dict[str, Any]) -> None:
    shape = document["model.encoder.conv1.weight"]["shape"]
    document["model.encoder.conv1.weight"]["shape"] = [shape[1], shape[0], shape[2]]


def first_of(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(v for k, v in document.items() if k != "__metadata__")
    return found


def overlap(document: dict[str, Any]) -> None:
    """Let a tensor begin where another one begins."""
    facts = max(
        (v for k, v in document.items() if k != "__metadata__"), key=lambda v: v["data_offsets"]
    )
    size = facts["data_offsets"][1] - facts["data_offsets"][0]
    facts["data_offsets"] = [0, size]


def enlarge(document: dict[str, Any]) -> None:
    first_of(document)["shape"] = [10**12]


SHARD = "model-00001-of-00001.safetensors"


def index(document: Any) -> Callable[[Path], None]:
    return write(INDEX, json.dumps(document))


def rename_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / SHARD)


def cut_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    write("model.safetensors", data[: len(data) // 3])(folder)


CONTRADICTIONS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "empty config": (write(CONFIG, ""), CONFIG, "its text"),
    "config is a list": (write(CONFIG, "[]"), CONFIG, "its text"),
    "config is bytes": (write(CONFIG, b"\xff\xfe\x00"), CONFIG, "its text"),
    "config is nested": (write(CONFIG, "[" * 100_000), CONFIG, "its text"),
    "generation config cut": (write(GENERATION, '{"eos'), GENERATION, "its text"),
    "generation config missing": (remove(GENERATION), GENERATION, "the file"),
    "generation config bare": (write(GENERATION, "{}"), GENERATION, "the file"),
    "tokenizer empty": (write(TOKENIZER, ""), TOKENIZER, "its text"),
    "tokenizer of nothing": (write(TOKENIZER, "{}"), TOKENIZER, "the file"),
    "tokenizer without a vocabulary": (write(TOKENIZER, '{"model": {}}'), TOKENIZER, "model.vocab"),
    "tokenizer missing": (remove(TOKENIZER), TOKENIZER, "the file"),
    "tokenizer of few words": (words(3), TOKENIZER, "its vocabulary"),
    "tokenizer of another family": (
        change(TOKENIZER_CONFIG, tokenizer_class="LlamaTokenizer"),
        TOKENIZER_CONFIG, "tokenizer_class",
    ),
    "a tokenizer of an unknown kind": (tokenizer_of(type="Evil"), TOKENIZER, "its text"),
    "merges of other words": (tokenizer_of(merges=["zz yy"]), TOKENIZER, "its text"),
    "a pattern that is none": (pattern("(a+"), TOKENIZER, "its text"),
    "start token elsewhere": (added(startoftranscript=900), TOKENIZER, "<|startoftranscript|>"),
    "token beyond the vocabulary": (added(de=99_999), TOKENIZER, "its vocabulary"),
    "token below the vocabulary": (added(de=-4), TOKENIZER, "its vocabulary"),
    "language elsewhere": (added(de=900), TOKENIZER, "<|de|>"),
    "end beyond the vocabulary": (change(CONFIG, eos_token_id=9999), CONFIG, "eos_token_id"),
    "end as text": (change(CONFIG, eos_token_id="854"), CONFIG, "eos_token_id"),
    "start beyond": (change(CONFIG, decoder_start_token_id=5000), CONFIG, "decoder_start_token_id"),
    "start missing": (change(CONFIG, decoder_start_token_id=None), CONFIG,
                      "decoder_start_token_id"),
    "two ends": (change(GENERATION, eos_token_id=12), GENERATION, "eos_token_id"),
    "no timestamps beyond": (change(GENERATION, no_timestamps_token_id=99_999), GENERATION,
                             "no_timestamps_token_id"),
    "no timestamps missing": (change(GENERATION, no_timestamps_token_id=None), GENERATION,
                              "no_timestamps_token_id"),
    "language beyond": (language(99_999), GENERATION, "lang_to_id"),
    "languages are a list": (change(GENERATION, lang_to_id=["<|de|>"]), GENERATION, "lang_to_id"),
    "no task": (change(GENERATION, task_to_id={"translate": 3}), GENERATION, "task_to_id"),
    "no tasks": (change(GENERATION, task_to_id=None), GENERATION, "task_to_id"),
    "suppressed beyond": (change(GENERATION, suppress_tokens=[1, 99_999]), GENERATION,
                          "suppress_tokens"),
    "suppressed is text": (change(GENERATION, suppress_tokens="all"), GENERATION,
                           "suppress_tokens"),
    "head of no layer": (change(GENERATION, alignment_heads=[[9, 0]]), GENERATION,
                         "alignment_heads"),
    "head beyond": (change(GENERATION, alignment_heads=[[1, 99]]), GENERATION, "alignment_heads"),
    "heads are numbers": (change(GENERATION, alignment_heads=[1, 2]), GENERATION,
                          "alignment_heads"),
    "no heads": (change(GENERATION, alignment_heads=[]), GENERATION, "alignment_heads"),
    "other extractor": (extractor(feature_extractor_type="Wav2Vec2FeatureExtractor"), EXTRACTOR,
                        "feature_extractor_type"),
    "chunk of 0 s": (extractor(chunk_length=0), EXTRACTOR, "chunk_length"),
    "chunk of an hour": (extractor(chunk_length=3600), EXTRACTOR, "chunk_length"),
    "other rate": (extractor(sampling_rate=44_100), EXTRACTOR, "sampling_rate"),
    "other hop": (extractor(hop_length=1), EXTRACTOR, "hop_length"),
    "other transform": (extractor(n_fft=8), EXTRACTOR, "n_fft"),
    "mel bands of the extractor": (extractor(feature_size=128), EXTRACTOR, "feature_size"),
    "mel bands of the config": (change(CONFIG, num_mel_bins=128), EXTRACTOR, "feature_size"),
    "no extractor": (both(remove(EXTRACTOR), remove(PROCESSOR)), PROCESSOR, "feature_extractor"),
    "extractor is a list": (both(remove(EXTRACTOR), change(PROCESSOR, feature_extractor=[])),
                            PROCESSOR, "feature_extractor"),
    "positions": (change(CONFIG, max_source_positions=99), EXTRACTOR, "chunk_length"),
    "no positions": (change(CONFIG, max_source_positions=0), CONFIG, "max_source_positions"),
    "width": (change(CONFIG, d_model=64), CONFIG, "the shape of model.encoder.conv1.weight"),
    "width is huge": (change(CONFIG, d_model=10**9), CONFIG, "d_model"),
    "width is text": (change(CONFIG, d_model="wide"), CONFIG, "d_model"),
    "width is true": (change(CONFIG, d_model=True), CONFIG, "d_model"),
    "layers are huge": (change(CONFIG, decoder_layers=10**6), CONFIG, "decoder_layers"),
    "heads do not divide": (change(CONFIG, decoder_attention_heads=3), CONFIG,
                            "decoder_attention_heads"),
    "vocabulary of the weights": (change(CONFIG, vocab_size=2464), CONFIG,
                                  "the shape of model.decoder.embed_tokens.weight"),
    "targets of the weights": (change(CONFIG, max_target_positions=100), CONFIG,
                               "the shape of model.decoder.embed_positions.weight"),
    "reshaped weights": (header(reshape), CONFIG, "the shape of model.encoder.conv1.weight"),
    "cut weights": (cut_weights, "model.safetensors", "its length"),
    "weights are text": (write("model.safetensors", "PK"), "model.safetensors", "its length"),
    "weights are a page": (write("model.safetensors", "<html>" * 100), "model.safetensors",
                           "its length"),
    "weights are empty": (write("model.safetensors", ""), "model.safetensors", "its length"),
    "a header of a terabyte": (write("model.safetensors", struct.pack("<Q", 2**40) + b"{}"),
                               "model.safetensors", "its length"),
    "other weights named": (change(CONFIG, transformers_weights="pytorch_model.bin"), CONFIG,
                            "transformers_weights"),
    "another arithmetic": (change(CONFIG, quantization_config={"quant_method": "awq"}), CONFIG,
                           "quantization_config"),
    "a kernel of the hub": (change(CONFIG, attn_implementation="someone/kernel"), CONFIG,
                            "attn_implementation"),
    "a type that is a function": (change(CONFIG, torch_dtype="load"), CONFIG, "torch_dtype"),
    "padding beyond": (change(CONFIG, pad_token_id=10**7), CONFIG, "pad_token_id"),
    "dropout of five": (change(CONFIG, dropout=5), CONFIG, "dropout"),
    "dropout as text": (change(CONFIG, attention_dropout="x"), CONFIG, "attention_dropout"),
    "scaling as text": (change(CONFIG, scale_embedding="yes"), CONFIG, "scale_embedding"),
    "an unknown type": (change(CONFIG, dtype="float3"), CONFIG, "dtype"),
    "an unknown activation": (change(CONFIG, activation_function="nonsense"), CONFIG,
                              "activation_function"),
    "all text suppressed": (change(GENERATION, suppress_tokens=list(range(854))), GENERATION,
                            "suppress_tokens"),
    "overlapping tensors": (header(overlap), "model.safetensors", "its length"),
    "a tensor of a terabyte": (header(enlarge), "model.safetensors", "its length"),
    "a tensor without a shape": (header(lambda h: first_of(h).pop("shape")), "model.safetensors",
                                 "its length"),
    "a negative shape": (header(lambda h: first_of(h).update(shape=[-1, -1])),
                         "model.safetensors", "its length"),
    "an index without metadata": (index({"weight_map": {}}), INDEX, "its text"),
    "an index that is a list": (index([]), INDEX, "its text"),
    "an index of numbers": (index({"metadata": {}, "weight_map": {"a": 1}}), INDEX, "its text"),
    "an index that leaves the folder": (
        index({"metadata": {}, "weight_map": {"a": "../../x.safetensors"}}), INDEX, "its text",
    ),
    "an index of no weights": (
        index({"metadata": {}, "weight_map": {"a": "/etc/passwd"}}), INDEX, "its text",
    ),
    "an index of other tensors": (
        both(rename_weights, index({"metadata": {}, "weight_map": {"a": SHARD}})), INDEX,
        "its text",
    ),
    "an adapter": (write("adapter_config.json", '{"base_model_name_or_path": "x/y"}'),
                   "adapter_config.json", "the file"),
}  # fmt: skip


@pytest.mark.parametrize(("act", "file", "field"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_named_by_file_and_field(
    folder: Path, act: Callable[[Path], None], file: str, field: str
) -> None:
    act(folder)
    with pytest.raises(ModelUnavailable) as caught:
        check_model("some/model", folder)
    error = caught.value
    assert error.code == "model.contradicts_itself", error
    assert (error.values["file"], error.values["field"]) == (file, field)
    assert error.values["expected"] and "--again" in error.hint


ASKING: dict[str, Callable[[Path], None]] = {
    "config": change(CONFIG, auto_map={"AutoConfig": "code.Config"}, model_type="unheard"),
    "config of a known type": change(CONFIG, auto_map={"AutoModel": "code.Model"}),
    "tokenizer": change(TOKENIZER_CONFIG, auto_map={"AutoTokenizer": ["code.T", None]}),
    "extractor": change(EXTRACTOR, auto_map={"AutoFeatureExtractor": "code.E"}),
    "processor": change(PROCESSOR, auto_map={"AutoProcessor": "code.P"}),
    "extractor in the processor": change(PROCESSOR, feature_extractor={"auto_map": {"A": "c.E"}}),
    "generation": change(GENERATION, auto_map={"AutoModel": "code.G"}),
    "another repository's code": change(CONFIG, auto_map={"AutoConfig": "evil/repo--code.Config"}),
}


@pytest.mark.parametrize("act", ASKING.values(), ids=ASKING)
def test_a_wish_to_run_code_is_named(folder: Path, act: Callable[[Path], None]) -> None:
    (folder / "code.py").write_text(CODE)
    act(folder)
    with pytest.raises(ModelUnavailable) as caught:
        check_model("some/model", folder)
    assert caught.value.code == "model.asks_for_code" and "auto_map" in caught.value.values["field"]
    assert not list(folder.rglob("ran"))


def test_the_bundled_recognizer_agrees_with_itself(folder: Path) -> None:
    check_model("demo", folder)
    assert missing_files(folder) == []
    (folder / EXTRACTOR).unlink()  # transformers 5 saves the extractor in the processor only
    check_model("demo", folder)


def test_a_family_without_rules_is_checked_for_code_and_weights(folder: Path) -> None:
    change(CONFIG, model_type="another")(folder)
    check_model("some/model", folder)
    cut_weights(folder)
    with pytest.raises(ModelUnavailable):
        check_model("some/model", folder)


LOADERS = {"from_pretrained", "SentenceTransformer", "TransformersConverter"}


@pytest.mark.slow
def test_every_loader_refuses_code_of_a_repository() -> None:
    found = []
    for path in sorted((PROJECT_ROOT / "kb").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name not in LOADERS:
                continue
            given = {word.arg: word.value for word in node.keywords}
            refuses = isinstance(given.get("trust_remote_code"), ast.Constant) and (
                given["trust_remote_code"].value is False  # type: ignore[attr-defined]
            )
            found.append((path.name, name))
            assert refuses, f"{path}:{node.lineno}: {name} without trust_remote_code=False"
            if name == "from_pretrained":
                assert "local_files_only" in given, f"{path}:{node.lineno}: {name} asks the hub"
    assert len(found) >= 10
    assert not any(
        "pickle.load" in path.read_text(encoding="utf-8") or "torch.load(" in
        path.read_text(encoding="utf-8")
        for path in (PROJECT_ROOT / "kb" / "asr").rglob("*.py")
    )  # fmt: skip
