"""Suggested values for run options that accept any text."""

from __future__ import annotations

from kb.asr.engines import ENGINES
from kb.asr.engines.model_lookup import DEMO
from kb.asr.engines.model_registry import known_models
from kb.options import OPTIONS
from kb.sinks import SINKS


def option_suggestions(name: str) -> dict[str, str]:
    """Return the suggested values of an option, each with a note for its label ("" for none).

    The note of a model is its engine, unless that is the first one of `ENGINES`.
    """
    if name == "model":
        first = next(iter(ENGINES))
        models = {
            model.name: "" if model.engine == first else model.engine for model in known_models()
        }
        return {DEMO: "", **models}
    if name == "engine":
        return dict.fromkeys(ENGINES, "")
    if name == "sinks":
        return dict.fromkeys(SINKS, "")
    return dict.fromkeys(OPTIONS[name].suggestions, "")
