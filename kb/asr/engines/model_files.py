"""The files of a recognizer: which of a repository are needed, and which a folder lacks.

Weights are read from safetensors only. A pickle (`pytorch_model.bin`) is a program that builds its
numbers, and no file of a repository is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kb.asr.engines.spec import read_json_object
from kb.errors import ModelUnavailable
from kb.hub import errors
from kb.hub.client import HubFile
from kb.hub.repository_code import LARGEST_SMALL_BYTES
from kb.storage.free_space import size_text

LARGEST_WEIGHTS_BYTES = 200_000_000_000
LARGEST_HEADER_BYTES = 100_000_000  # limit of the safetensors library

DESCRIBED = (".json", ".txt", ".model", ".jinja")
# Files that make transformers load something else than the weights beside them.
_REFUSED_NAMES = frozenset({"adapter_config.json"})
_WEIGHTS = (r"model\.safetensors", r"model-\d+-of-\d+\.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def files_to_fetch(names: Sequence[str]) -> list[str]:
    """Return the files of a repository that loading needs: the first format of its weights."""
    plain = [name for name in names if "/" not in name]
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
    wanted = set(files_to_fetch([file.name for file in listed]))
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


def missing_weights(folder: Path) -> list[str]:
    """Return the files of weights that a folder lacks, or that are shorter than they say."""
    names = weights_files(folder)
    if not names:
        return ["model.safetensors"]
    return [name for name in names if not _is_whole(folder / name)]


def weights_files(folder: Path) -> list[str]:
    """Return the names of a folder's weights: one file, or those of its index."""
    if (folder / "model.safetensors").is_file():
        return ["model.safetensors"]
    index = read_json_object(folder / "model.safetensors.index.json").get("weight_map")
    if not isinstance(index, dict):
        return []
    # A name outside of the folder is not one of the index's files.
    return sorted({Path(str(name)).name for name in index.values()})


def tensors(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor in a folder's weights, from the headers alone."""
    for name in weights_files(folder):
        header, _ = _header(folder / name)
        for tensor, facts in header.items():
            if tensor != "__metadata__":
                yield tensor, tuple(int(size) for size in facts["shape"])


def _is_whole(path: Path) -> bool:
    """Return True if a safetensors file has exactly the bytes that its header promises."""
    try:
        header, length = _header(path)
        ends = [
            int(facts["data_offsets"][1])
            for name, facts in header.items()
            if name != "__metadata__"
        ]
        return bool(ends) and path.stat().st_size == 8 + length + max(ends)
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError, AttributeError):
        return False


def _header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= LARGEST_HEADER_BYTES:
            raise ValueError("no header")
        header = json.loads(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header, length
