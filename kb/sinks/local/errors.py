"""The errors of the local index: refusals by LanceDB, and vectors of another model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pyarrow as pa

from kb.errors import KnowledgeBaseError
from kb.storage.permissions import Foreign, foreign_obstacle

# LanceDB has no error classes: its core raises RuntimeError, its Python part raises the others.
STORE_ERRORS = (OSError, RuntimeError, ValueError, pa.ArrowException)

Action = Literal["read", "write", "rebuild"]

# LanceDB's words where other processes committed first. It tries for half a minute, which on a busy
# machine is one try.
_LOST_RACE = ("conflict", "too many concurrent writers")


def is_lost_race(reason: str) -> bool:
    """Return True if LanceDB refused a change because others were faster; it can be repeated."""
    return any(words in reason.lower() for words in _LOST_RACE)


def index_error(folder: Path | str, action: Action, reason: str) -> KnowledgeBaseError:
    """Return the error for an action on the index that LanceDB refused with `reason`."""
    if action == "write" and is_lost_race(reason):
        return KnowledgeBaseError(
            "index.busy",
            "Other processes write the index {folder} all the time: {reason}",
            hint="Try again; what is in the queue goes on by itself.",
            retryable=True,
            folder=folder,
            reason=reason,
        )
    if isinstance(folder, str):
        return KnowledgeBaseError(
            "index.bucket",
            "The index {folder} cannot be used: {reason}",
            hint="Check KB_INDEX_URL, KB_S3_ENDPOINT, the region, the key and the network; `kb "
            "doctor` tries them. Work that needs it goes on by itself.",
            retryable=True,
            folder=folder,
            reason=reason,
        )
    if "No space left" in reason or "os error 112" in reason:
        return KnowledgeBaseError(
            "index.disk_full",
            "The index {folder} cannot be written: {reason}",
            hint="Free disk space, then try again.",
            folder=folder,
            reason=reason,
        )
    if ("Permission denied" in reason or "os error 13" in reason) and (
        foreign := _foreign_obstacle(Path(folder), action)
    ):
        return KnowledgeBaseError(
            "index.of_another_account",
            "The index {folder} cannot be used: {obstacle} belongs to the account {owner}, which "
            "does not let this account do so.",
            hint="Let {owner} or the administrator open the whole library folder (KB_HOME) to a "
            "group of both accounts: chgrp -R GROUP KB_HOME, then chmod -R g+rwXs KB_HOME.",
            folder=folder,
            obstacle=foreign.path,
            owner=foreign.owner,
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


def _foreign_obstacle(folder: Path, action: Action) -> Foreign | None:
    """Return the first file or folder of another account in the index that keeps this one out."""
    for place, _, names in os.walk(folder):
        files = (Path(place, name) for name in names)
        if action == "read":
            found = next(filter(None, (foreign_obstacle(each, os.R_OK) for each in files)), None)
        else:  # the index writes new files and never changes one
            found = foreign_obstacle(Path(place, "new"))
        if found:
            return found
    return foreign_obstacle(folder / "new")


def no_vectors_error(model: str) -> KnowledgeBaseError:
    """Return the error for an index without vectors of a model."""
    return KnowledgeBaseError(
        "meaning.no_vectors",
        "No recording has vectors of {model} yet.",
        hint="A worker makes them: kb enrich --all --steps meaning",
        model=model,
    )
