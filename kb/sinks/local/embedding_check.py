"""The check of an embedding model against itself, and its first text.

The same figure is stated in several files: the size of the vocabulary, the width of the vectors
that one module gives to the next, the longest text. sentence-transformers takes each where it is
needed and fails at a later text, or encodes other tokens, where they differ. The check reads all
files as data and names file, field, expected and found value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kb.errors import ModelUnavailable
from kb.hub.model_documents import Contradiction, ModelDocuments, differs, is_id
from kb.hub.repository_code import LARGEST_SMALL_BYTES, refuse_code
from kb.hub.weights import missing_weights, tensors, weights_files

if TYPE_CHECKING:
    import numpy as np  # slow to import, and `kb status` needs none of it
    from numpy.typing import NDArray

MODULES, CONFIG, TOKENIZER = "modules.json", "config.json", "tokenizer.json"
_BERT = "sentence_bert_config.json"
_MOST = 10_000_000
_WIDEST = 65_536
_WIDTHS = ("hidden_size", "d_model", "dim", "n_embd")
# Families whose table of tokens is as wide as their vectors, and whose positions are a table.
_PLAIN = ("bert", "roberta", "xlm-roberta", "mpnet", "camembert")
_TOKEN_TABLES = ("embeddings.word_embeddings.weight", "embed_tokens.weight", "shared.weight")
# Fields that make transformers load other files or other arithmetic.
_OTHER_FILES = ("transformers_weights", "quantization_config", "base_model_name_or_path")
TRIAL = ("The harbour froze over in the winter.", "Invoices are paid within thirty days.")
_LEAST_DIFFERENCE = 1e-4  # of 1 - cosine; a sound model gives unrelated texts about 0.5


def check_embedder(name: str, folder: Path) -> None:
    """Raise ModelUnavailable for a folder whose files contradict each other or ask for code.

    A folder of descriptions without weights is checked as far as it goes.
    """
    refuse_code(name, folder)
    try:
        width: int | None = None
        for number, (module, path) in enumerate(_modules(folder)):
            own = folder / path if path else folder
            if number == 0:
                width = _check_transformer(own, path)
            elif module == "Pooling":
                width = _check_pooling(own, path, width)
            elif module == "Dense":
                width = _check_dense(own, path, width)
    except Contradiction as problem:
        raise ModelUnavailable(
            "embedding.contradicts_itself",
            "The embedding model {name}: in {file}, {field} is {found}, and {expected} is "
            "expected.",
            hint="Its files do not fit together or are damaged. Fetch it again: kb models pull "
            "{name} --again; or choose another model for KB_EMBEDDING_MODEL.",
            name=name,
            file=problem.file,
            field=problem.field,
            found=problem.found,
            expected=problem.expected,
        ) from problem


def try_embedder(
    name: str, encode: Callable[[Sequence[str]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return the vectors of two sentences, shape (2, dimension).

    Raises ModelUnavailable if they cannot be used.
    """
    import numpy as np

    vectors = encode([*TRIAL, TRIAL[0]])
    problem = ""
    if vectors.ndim != 2 or len(vectors) != 3 or not vectors.shape[1]:
        problem = f"vectors of the shape {list(vectors.shape)}"
    elif not np.isfinite(vectors).all():
        problem = "values that are not numbers"
    elif not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-2):
        problem = "vectors without a direction"
    elif not np.allclose(vectors[0], vectors[2], atol=1e-3):
        problem = "two vectors for one text"
    elif float(vectors[0] @ vectors[1]) > 1.0 - _LEAST_DIFFERENCE:
        problem = "one vector for two texts"
    if problem:
        raise _fails(name, problem)
    return vectors[:2]


def check_same_vectors(name: str, first: NDArray[np.float32], second: NDArray[np.float32]) -> None:
    """Raise ModelUnavailable if a model gives other vectors when it is loaded once more."""
    import numpy as np

    if first.shape != second.shape or not np.allclose(first, second, atol=1e-3):
        raise _fails(name, "other vectors each time it is loaded, so weights are missing,")


def _fails(name: str, problem: str) -> ModelUnavailable:
    return ModelUnavailable(
        "embedding.fails_itself",
        "The embedding model {name} gives {found} for two known sentences.",
        hint="Its weights or its tokenizer are damaged or of another model. Fetch it again: kb "
        "models pull {name} --again; or choose another model for KB_EMBEDDING_MODEL.",
        name=name,
        found=problem,
    )


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Return class and folder of each module, of which the first is the transformer."""
    found = _read(folder, "", MODULES)
    if found is None:
        return [("Transformer", "")]
    if not isinstance(found, list) or not found:
        raise differs(MODULES, "its text", type(found).__name__, "a list of modules")
    modules = []
    for number, row in enumerate(found):
        kind, path = (row.get("type"), row.get("path", "")) if isinstance(row, dict) else (None, "")
        if not isinstance(kind, str):
            raise differs(MODULES, f"the type of module {number}", kind, "the name of a class")
        if not isinstance(path, str) or not _is_inside(path):
            raise differs(MODULES, f"the path of module {number}", path, "a folder of the model")
        modules.append((kind.rpartition(".")[2], path))
    return modules


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return not path.startswith("/") and ".." not in parts and "\\" not in path and ":" not in path


def _check_transformer(folder: Path, path: str) -> int | None:
    """Check the model that reads the tokens; return the width of its vectors if it is stated."""
    config = _object(folder, path, CONFIG)
    if not config:
        return None  # another kind of first module; what is missing was named before
    documents = ModelDocuments(folder, {CONFIG: config})
    for field in _OTHER_FILES:
        if config.get(field) is not None:
            raise differs(_named(path, CONFIG), field, config[field], "no such field")
    width = next((config[field] for field in _WIDTHS if config.get(field) is not None), None)
    if width is not None and not is_id(width, _WIDEST, 1):
        raise differs(_named(path, CONFIG), "hidden_size", width, "a whole number")
    size = config.get("vocab_size")
    if size is not None:
        size = documents.integer(CONFIG, "vocab_size", 1, _MOST)
    heads = config.get("num_attention_heads")
    if heads is not None and (not is_id(heads, _WIDEST, 1) or (width and width % heads)):
        raise differs(_named(path, CONFIG), "num_attention_heads", heads, f"a divisor of {width}")
    if config.get("num_hidden_layers") is not None:
        documents.integer(CONFIG, "num_hidden_layers", 1, 1000)
    _check_length(folder, path, config)
    if size is not None:
        _check_vocabulary(folder, path, size)
    _check_weights(folder, path, config, size, width)
    return width


def _check_length(folder: Path, path: str, config: Mapping[str, Any]) -> None:
    longest = _object(folder, path, _BERT).get("max_seq_length")
    positions = config.get("max_position_embeddings")
    if longest is None:
        return
    if not is_id(longest, _MOST, 1):
        raise differs(_named(path, _BERT), "max_seq_length", longest, "a whole number")
    if config.get("model_type") in _PLAIN and is_id(positions, _MOST) and longest > positions:
        raise differs(_named(path, _BERT), "max_seq_length", longest, f"at most {positions}")


def _check_vocabulary(folder: Path, path: str, size: int) -> None:
    document = _object(folder, path, TOKENIZER)
    inner = document.get("model")
    words = inner.get("vocab") if isinstance(inner, dict) else None
    file = _named(path, TOKENIZER)
    if document and not isinstance(words, dict | list):
        raise differs(file, "model.vocab", type(words).__name__, "a vocabulary")
    if words is not None and not size / 2 <= len(words) <= 2 * size:
        raise differs(file, "its vocabulary", f"{len(words)} tokens", f"about {size}")
    if isinstance(words, list) and len(words) > size:
        raise differs(file, "its vocabulary", f"{len(words)} tokens", f"at most {size}")
    if isinstance(words, dict):
        odd = next((number for number in words.values() if not is_id(number, size - 1)), None)
        if odd is not None or not words:
            raise differs(file, "its vocabulary", odd, f"ids up to {size - 1}")
    table = folder / "vocab.txt"
    if not document and table.is_file():
        with table.open(encoding="utf-8", errors="replace") as lines:
            count = sum(1 for _ in lines)
        if not size / 2 <= count <= size:
            raise differs(_named(path, "vocab.txt"), "its lines", count, f"about {size}")


def _check_weights(
    folder: Path, path: str, config: Mapping[str, Any], size: int | None, width: int | None
) -> None:
    _check_whole(folder, path)
    for tensor, shape in tensors(folder):
        if not tensor.endswith(_TOKEN_TABLES) or size is None:
            continue
        plain = config.get("model_type") in _PLAIN
        if shape[:1] != (size,) or (plain and width and shape != (size, width)):
            expected = [size, width] if plain else [size]
            raise differs(
                _named(path, CONFIG), f"the shape of {tensor}", list(shape), str(expected)
            )


def _check_whole(folder: Path, path: str) -> None:
    for file in missing_weights(folder) if weights_files(folder) else ():
        found = "missing or other than its header says"
        raise differs(_named(path, file), "its length", found, "whole weights")


def _check_pooling(folder: Path, path: str, width: int | None) -> int | None:
    facts = _object(folder, path, CONFIG)
    stated = facts.get("word_embedding_dimension", facts.get("embedding_dimension"))
    if stated is None:
        return width
    if not is_id(stated, _WIDEST, 1) or (width is not None and stated != width):
        field = "word_embedding_dimension"
        raise differs(_named(path, CONFIG), field, stated, f"{width}, the width of the vectors")
    modes = [value for field, value in facts.items() if field.startswith("pooling_mode_")]
    if modes and not all(isinstance(mode, bool) for mode in modes):
        raise differs(_named(path, CONFIG), "pooling_mode", modes, "true or false")
    joined = sum(mode is True for mode in modes)
    return int(stated) * joined if joined else None


def _check_dense(folder: Path, path: str, width: int | None) -> int | None:
    facts = _object(folder, path, CONFIG)
    given, made = facts.get("in_features"), facts.get("out_features")
    if given is None or made is None:
        return None
    if not is_id(given, _WIDEST, 1) or (width is not None and given != width):
        raise differs(_named(path, CONFIG), "in_features", given, f"{width}, the width before it")
    if not is_id(made, _WIDEST, 1):
        raise differs(_named(path, CONFIG), "out_features", made, "a whole number")
    _check_whole(folder, path)
    for tensor, shape in tensors(folder):
        if tensor == "linear.weight" and shape != (made, given):
            raise differs(_named(path, CONFIG), f"the shape of {tensor}", list(shape),
                          str([made, given]))  # fmt: skip
    return int(made)


def _object(folder: Path, path: str, file: str) -> Mapping[str, Any]:
    found = _read(folder, path, file)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise differs(_named(path, file), "its text", type(found).__name__, "a JSON object")
    return found


def _read(folder: Path, path: str, file: str) -> Any:
    """Return a document, None if there is none. Raises Contradiction for a damaged one."""
    found = folder / file
    if not found.is_file():
        return None
    if found.stat().st_size > LARGEST_SMALL_BYTES:
        raise differs(_named(path, file), "its size", found.stat().st_size,
                      f"at most {LARGEST_SMALL_BYTES} bytes")  # fmt: skip
    try:
        return json.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise differs(_named(path, file), "its text", "damaged", "a JSON document") from error


def _named(path: str, file: str) -> str:
    return f"{path}/{file}" if path else file
