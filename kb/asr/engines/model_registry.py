"""The models with a short name, collected from the specs of all engines.

Other names (`org/name`, a folder) are accepted too: the shape of such a model is read from its
`config.json`.
"""

from __future__ import annotations

from dataclasses import replace

from kb.asr.engines import ENGINES, engine_spec
from kb.asr.engines.spec import KnownModel


def known_models() -> list[KnownModel]:
    """Return the models of every engine, in the order of `kb models`."""
    return [replace(model, engine=name) for name in ENGINES for model in engine_spec(name).models]


def find_model(name: str) -> KnownModel | None:
    """Return the model with this short name or repository, None for another name.

    Case does not matter, and the owner of a repository may be left out.
    """
    wanted = name.casefold()
    for model in known_models():
        repository = model.repository.casefold()
        if wanted in (model.name.casefold(), repository, repository.partition("/")[2]):
            return model
    return None
