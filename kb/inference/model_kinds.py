"""The kinds of models that are fetched, and the model that a name means."""

from __future__ import annotations

from kb.asr.engines.model_check import RECOGNIZER
from kb.asr.engines.model_lookup import ModelRef, resolve
from kb.hub.kind import ModelKind
from kb.sinks.local.embedding_files import EMBEDDER, repository_of

KINDS: dict[str, ModelKind] = {kind.name: kind for kind in (RECOGNIZER, EMBEDDER)}


def find(name: str, embedder: str) -> tuple[ModelRef, ModelKind]:
    """Return the model with a name, and its kind; `embedder` is KB_EMBEDDING_MODEL.

    Raises ModelUnavailable.
    """
    if embedder and name.casefold() in (embedder.casefold(), repository_of(embedder).casefold()):
        repository = repository_of(embedder)
        return ModelRef(name, repository or embedder, local=not repository), EMBEDDER
    return resolve(name), RECOGNIZER
