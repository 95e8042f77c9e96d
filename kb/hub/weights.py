"""Weights in safetensors: their files, their headers, and files that are shorter than they say."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INDEX = "model.safetensors.index.json"
# Of the usual types; a file with another type is taken as it is.
_NUMBER_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip
LARGEST_HEADER_BYTES = 100_000_000  # limit of the safetensors library


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
    try:
        text = (folder / INDEX).read_text(encoding="utf-8")
        index = json.loads(text).get("weight_map")
    except (OSError, ValueError, RecursionError, AttributeError):
        return []
    if not isinstance(index, dict):
        return []
    # A name outside of the folder is not one of the index's files.
    return sorted({Path(str(name)).name for name in index.values()})


def index_faults(folder: Path) -> str:
    """Return the fault of the index of weights in several files, empty if it is sound.

    transformers needs the index's `metadata` and takes a tensor from the file that it names.
    """
    try:
        text = (folder / INDEX).read_text(encoding="utf-8")
        document = json.loads(text)
        named = document["weight_map"]
        if not isinstance(document.get("metadata"), dict):
            return "no metadata"
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return "damaged"
    if not isinstance(named, dict) or not all(isinstance(n, str) for n in named.values()):
        return "no map of tensors"
    for file in sorted(set(named.values())):
        if "/" in file or "\\" in file or not file.endswith(".safetensors"):
            return f"the file {file}"
    if weights_files(folder) == ["model.safetensors"]:
        return ""
    lost = set(named) - {tensor for tensor, _ in tensors(folder)}
    return f"the tensor {min(lost)}, which no file has" if lost else ""


def tensors(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of each tensor in a folder's weights, from the headers alone."""
    for name in weights_files(folder):
        header, _ = _header(folder / name)
        for tensor, facts in header.items():
            if tensor != "__metadata__":
                yield tensor, tuple(int(size) for size in facts["shape"])


def _is_whole(path: Path) -> bool:
    """Return True if a safetensors file has exactly the bytes that its header promises.

    The tensors follow each other without a gap, each with the bytes of its shape.
    """
    try:
        header, length = _header(path)
        spans = sorted(_span(facts) for name, facts in header.items() if name != "__metadata__")
        end = 0
        for first, last in spans:
            if first != end:
                return False
            end = last
        return bool(spans) and path.stat().st_size == 8 + length + end
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError, AttributeError):
        return False


def _span(facts: dict[str, Any]) -> tuple[int, int]:
    """Return first and last place of a tensor. Raises ValueError and its kin for a foreign one."""
    first, last = facts["data_offsets"]
    shape = facts["shape"]
    if not all(type(size) is int and size >= 0 for size in (first, last, *shape)):
        raise ValueError("no tensor")
    number_bytes = _NUMBER_BYTES.get(facts["dtype"])
    if last < first or (number_bytes and last - first != number_bytes * math.prod(shape)):
        raise ValueError("no tensor")
    return first, last


def _header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= LARGEST_HEADER_BYTES:
            raise ValueError("no header")
        header = json.loads(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header, length
