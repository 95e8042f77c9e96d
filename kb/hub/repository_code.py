"""Fields of a repository's descriptions that make a library run code. None is ever run.

transformers loads classes that `auto_map` names; sentence-transformers imports the classes that
`modules.json` and `router_config.json` name, from a local folder even without trust, and calls the
activation function of a layer by its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kb.errors import ModelUnavailable
from kb.types.safe_text import printable

LARGEST_SMALL_BYTES = 64_000_000  # the largest vocabulary of a recognizer has about 12 MB
_DEEPEST = 8

_CODE_FIELDS = ("auto_map", "custom_pipelines", "custom_generate")
# Their keys are tokens, which may be called like such a field.
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")
_MODULE_LISTS = ("modules.json", "router_config.json")
_MODULE_OWNER = "sentence_transformers."
_FUNCTION_FIELDS = ("activation_function", "activation_fn")
_FUNCTION_OWNER = "torch.nn."


def refuse_code(name: str, folder: Path) -> None:
    """Raise ModelUnavailable if a JSON file of a model's folder names code to run."""
    for path in sorted(folder.rglob("*.json")):
        if path.name in _VOCABULARIES:
            continue
        try:
            if path.stat().st_size > LARGEST_SMALL_BYTES:
                continue  # refused by its size before, or not read
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # a damaged description is named where it is needed
        file = path.relative_to(folder).as_posix()
        for field, code in code_fields(path.name, document):
            raise ModelUnavailable(
                "model.asks_for_code",
                "Model {name}: {file} asks with {field} to run code of the repository.",
                hint="That never happens here; choose another model.",
                name=name,
                file=file,
                field=f"{field}: {code}"[:80],
            )


def code_fields(file: str, document: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the fields of a document and of the objects in it that name code, with their values."""
    if isinstance(document, list) and depth < _DEEPEST:
        for each in document:
            if isinstance(each, dict | list):
                yield from code_fields(file, each, depth + 1)
        return
    if not isinstance(document, dict):
        return
    for field, value in document.items():
        if field in _CODE_FIELDS and value:
            yield field, printable(str(value))
        elif field in _FUNCTION_FIELDS and isinstance(value, str):
            # The name of a function alone ("gelu") is looked up in a table.
            if "." in value and not value.startswith(_FUNCTION_OWNER):
                yield field, printable(value)
        elif field in ("type", "types") and file in _MODULE_LISTS:
            named = value.values() if isinstance(value, dict) else [value]
            for each in named:
                if not str(each).startswith(_MODULE_OWNER):
                    yield field, printable(str(each))
        elif isinstance(value, dict | list) and depth < _DEEPEST:
            yield from code_fields(file, value, depth + 1)
