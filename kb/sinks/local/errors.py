"""The errors of the local index: refusals by LanceDB, and vectors of another model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from kb.errors import KnowledgeBaseError

Action = Literal["read", "write", "rebuild"]


def index_error(folder: Path, action: Action, reason: str) -> KnowledgeBaseError:
    """Return the error for an action on the index that LanceDB refused with `reason`."""
    if "No space left" in reason or "os error 112" in reason:
        return KnowledgeBaseError(
            "index.disk_full",
            "The index {folder} cannot be written: {reason}",
            hint="Free disk space, then try again.",
            folder=folder,
            reason=reason,
        )
    if action == "read":
        return KnowledgeBaseError(
            "index.unreadable",
            "The index {folder} cannot be read: {reason}",
            hint="Run `kb reindex`: it rebuilds the index from the library folder; nothing is "
            "lost.",
            folder=folder,
            reason=reason,
        )
    if action == "write":
        return KnowledgeBaseError(
            "index.unwritable",
            "The index {folder} cannot be written: {reason}",
            hint="Run `kb reindex`: it rebuilds the index from the library folder; nothing is "
            "lost.",
            folder=folder,
            reason=reason,
        )
    return KnowledgeBaseError(
        "index.not_rebuilt",
        "The index {folder} cannot be rebuilt: {reason}",
        hint="Run `kb reindex`: it rebuilds the index from the library folder; nothing is lost.",
        folder=folder,
        reason=reason,
    )


def model_error(folder: Path, made_with: str, model: str) -> KnowledgeBaseError:
    """Return the error for an index made with another model than `model`.

    `made_with` is the model of the index, empty if it has none.
    """
    if not made_with:
        return KnowledgeBaseError(
            "index.without_model",
            "The index {folder} was made with no embedding model, not {model}.",
            hint="Run `kb reindex`: it rebuilds the index from the library folder; nothing is "
            "lost.",
            folder=folder,
            model=model,
        )
    return KnowledgeBaseError(
        "index.other_model",
        "The index {folder} was made with {made_with}, not {model}.",
        hint="Run `kb reindex`: it rebuilds the index from the library folder; nothing is lost.",
        folder=folder,
        made_with=made_with,
        model=model,
    )


def vectors_error(folder: Path, count: int) -> KnowledgeBaseError:
    """Return the error for an index with `count` items without vectors."""
    return KnowledgeBaseError(
        "index.vectors_missing",
        "The index {folder} lacks the embeddings of {count} items.",
        hint="Run `kb reindex`: it rebuilds the index from the library folder; nothing is lost.",
        folder=folder,
        count=count,
    )
