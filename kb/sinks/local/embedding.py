"""Sentence embeddings for semantic search.

A model is a hub name or a folder for the default engine, `engine:model`, or the name of an engine
that has one model. `embedding_choice` says which one KB_EMBEDDING_MODEL means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from kb.errors import ModelUnavailable
from kb.sinks.local.embedding_check import check_same_vectors, try_embedder
from kb.sinks.local.embedding_engines import DEFAULT_ENGINE, EMBEDDERS, INSTALL, OF_ONE_MODEL
from kb.sinks.local.embedding_files import (
    embedding_folder,
    has_passed,
    mark_passed,
    remember_refusal,
)
from kb.storage.model_names import check_no_folder_here

if TYPE_CHECKING:
    import numpy as np  # slow to import, and `kb status` needs none of it
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

# Models that were trained with these words before a text, and whose files do not say so.
_E5 = re.compile(r"intfloat/(multilingual-)?e5-(small|base|large)(-v2)?")
_E5_PROMPTS = {"query": "query: ", "document": "passage: "}


class Embedder(Protocol):
    """A model that encodes text as vectors of unit length, compared by their inner product.

    A class in `EMBEDDERS` is called with (model, device) and raises ModelUnavailable. A passage
    answers a query if its cosine is at most `most_behind` below that of the best passage.
    """

    dimension: int
    most_behind: float

    def passages(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text, shape (len(texts), dimension)."""
        ...

    def query(self, text: str) -> Vectors:
        """Return the vector of a query, shape (dimension,); some models encode it differently."""
        ...


@lru_cache(maxsize=2)
def load_embedder(model: str, device: str = "auto") -> Embedder:
    """Return the embedder for a model, kept for the life of the process.

    Raises ModelUnavailable with the cause and the next step.
    """
    engine, separator, rest = model.partition(":")
    if engine not in EMBEDDERS or not (separator or engine in OF_ONE_MODEL):
        engine, rest = DEFAULT_ENGINE, model  # a plain name, or a path like C:\models\x
    module, _, kind = EMBEDDERS[engine].partition(":")
    embedder: Embedder = getattr(import_module(module), kind)(rest, device)
    return embedder


class SentenceTransformerEmbedder:
    """Any model that sentence-transformers can load, with the model's own prompts.

    `auto` means the CPU: a query takes about 10 ms there, and the recognizer, another process,
    needs the accelerator's memory.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        prompts = _E5_PROMPTS if _E5.fullmatch(model) else None
        self.most_behind = 0.05 if "e5-" in model else 0.25
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise ModelUnavailable(
                "embedding.not_installed",
                "The embedding model {model!r} needs sentence-transformers, which is not "
                "installed ({reason}).",
                hint="{command}; or KB_EMBEDDING_MODEL=none for keyword search only.",
                model=model,
                reason=error,
                command=INSTALL,
            ) from error
        check_no_folder_here(model)
        check_no_folder_here(model, f"sentence-transformers/{model}")
        try:
            load = partial(
                SentenceTransformer,
                str(embedding_folder(model)),
                device="cpu" if device == "auto" else device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
                prompts=prompts,
            )
            self._model: Any = load()
            if has_passed(model):
                self.dimension = len(self.query("length"))
            else:
                first = try_embedder(model, self.passages)
                # transformers fills weights that are missing with other random values each time.
                self._model = load()
                check_same_vectors(model, first, try_embedder(model, self.passages))
                self.dimension = first.shape[1]
                mark_passed(model)
        except ModelUnavailable as error:
            remember_refusal(model, error)
            raise
        except Exception as error:  # any error of the library and torch
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelUnavailable(
                "embedding.load_failed",
                "The embedding model {model!r} cannot be loaded: {reason}",
                hint="Check the name in KB_EMBEDDING_MODEL and the network, or give the "
                "folder of a downloaded model.",
                model=model,
                reason=reason,
            ) from error

    def passages(self, texts: Sequence[str]) -> Vectors:
        return self._encoded(self._model.encode_document, list(texts))

    def query(self, text: str) -> Vectors:
        return self._encoded(self._model.encode_query, text)

    @staticmethod
    def _encoded(encode: Any, texts: list[str] | str) -> Vectors:
        import numpy as np

        vectors = encode(texts, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)
