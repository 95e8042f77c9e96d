"""The files of a recognizer: which of a repository are needed, and which a folder lacks.

Weights are read from safetensors only. A pickle (`pytorch_model.bin`) is a program that builds its
numbers, and no file of a repository is run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from kb.asr.engines.spec import read_json_object
from kb.errors import ModelUnavailable
from kb.hub import errors
from kb.hub.client import HubFile
from kb.hub.repository_code import LARGEST_SMALL_BYTES
from kb.hub.weights import missing_weights
from kb.storage.free_space import size_text

LARGEST_WEIGHTS_BYTES = 200_000_000_000

DESCRIBED = (".json", ".txt", ".model", ".jinja")
WEIGHTS = ".safetensors"
KNOWN = frozenset({
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "normalizer.json", "vocab.txt", "tokenizer.model",
    "chat_template.jinja", "chat_template.json", "model.safetensors.index.json",
})  # fmt: skip
_OTHER = 2_000_000  # bytes of a description with another name
_MOST_OTHERS = 100
# Files that make transformers load something else than the weights beside them.
_REFUSED_NAMES = frozenset({"adapter_config.json"})
_WEIGHTS = (r"model\.safetensors", r"model-\d+-of-\d+\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def files_to_fetch(names: Sequence[str]) -> list[str]:
    """Return the files of a repository that loading needs: the first format of its weights."""
    plain = [name for name in dict.fromkeys(names) if "/" not in name]
    described = [n for n in plain if n.endswith(DESCRIBED) and n not in _REFUSED_NAMES]
    for pattern in _WEIGHTS:
        found = [name for name in plain if re.fullmatch(pattern, name)]
        if found:
            other = [n for n in described if ".index." in n]
            stem = re.sub(r"-\d+-of-\d+", "", found[0])
            own = [n for n in other if n == f"{stem}.index.json" and "-of-" in found[0]]
            return sorted({*found, *own, *(n for n in described if n not in other)})
    return sorted(n for n in described if ".index." not in n)


def choose(name: str, listed: Sequence[HubFile]) -> list[HubFile]:
    """Return the listed files that loading needs.

    Raises ModelUnavailable: no weights that can be used, a weights file too few, a file too large.
    """
    # Logs and results of a training are no part of a model, whatever they are called.
    own = [f for f in listed if f.name in KNOWN or f.name.endswith(WEIGHTS) or f.size <= _OTHER]
    if len({file.name for file in listed}) < len(listed):
        twice = next(f.name for n, f in enumerate(listed) if f.name in {g.name for g in listed[:n]})
        raise errors.odd_file(name, twice, "it is listed twice")
    wanted = set(files_to_fetch([file.name for file in own]))
    if sum(1 for name in wanted if name not in KNOWN) > _MOST_OTHERS:
        wanted = {name for name in wanted if name in KNOWN or name.endswith(WEIGHTS)}
    files = [file for file in listed if file.name in wanted]
    weights = [file.name for file in files if file.name.endswith(".safetensors")]
    if not weights:
        pickles = [file.name for file in listed if file.name.endswith(_PICKLES)]
        if pickles:
            raise ModelUnavailable(
                "model.pickle_only",
                "Model {name} has its weights in {file} only, a program that is not run here.",
                hint="Take a repository with model.safetensors; the page of the model may offer "
                "one (a pull request of SFconvertbot).",
                name=name,
                file=pickles[0],
            )
        raise ModelUnavailable(
            "model.no_weights",
            "Model {name}: the hub holds no weights that can be used here.",
            hint="Choose another model. See what is on this machine: kb models",
            name=name,
        )
    parts = re.fullmatch(r"model-\d+-of-(\d+)\.safetensors", weights[0])
    if parts is not None and len(weights) != int(parts[1]):
        raise ModelUnavailable(
            "model.parts_missing",
            "Model {name}: the hub has {found} of {expected} files of its weights.",
            hint="The repository is incomplete; choose another model.",
            name=name,
            found=len(weights),
            expected=int(parts[1]),
        )
    for file in files:
        most = LARGEST_WEIGHTS_BYTES if file.name in weights else LARGEST_SMALL_BYTES
        if file.size > most:
            raise errors.odd_file(
                name, file.name, f"it has {size_text(file.size)}, more than {size_text(most)}"
            )
    return files


def missing_files(folder: Path) -> list[str]:
    """Return what a model's folder lacks: the names of files that are missing or too short."""
    missing = [] if read_json_object(folder / "config.json") else ["config.json"]
    if not any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS):
        missing.append("tokenizer.json")
    if not any((folder / name).is_file() for name in _PROCESSORS):
        missing.append(_PROCESSORS[0])
    return missing + missing_weights(folder)


_TOKENIZERS = (
    ("tokenizer.json",), ("vocab.json", "merges.txt"), ("tokenizer.model",), ("vocab.txt",),
)  # fmt: skip
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
