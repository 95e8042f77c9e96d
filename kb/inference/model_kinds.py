"""The kinds of models that are fetched, by their names."""

from __future__ import annotations

from kb.asr.engines.model_check import RECOGNIZER
from kb.hub.kind import ModelKind
from kb.sinks.local.embedding_files import EMBEDDER

KINDS: dict[str, ModelKind] = {kind.name: kind for kind in (RECOGNIZER, EMBEDDER)}
