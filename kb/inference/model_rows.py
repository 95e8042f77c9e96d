"""The rows of KB_MODELS_FILE in the list of models, under their own names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kb.asr.engines.model_lookup import DEMO, DEMO_FOLDER, resolve
from kb.asr.engines.model_table import ModelRow, load_models
from kb.errors import ModelUnavailable
from kb.inference.downloads import ModelFacts, folder_facts
from kb.inference.memory_fit import MemoryRoom
from kb.settings import Settings

MISSING = "missing"  # state of a folder that is not there


def model_of(name: str, settings: Settings) -> str:
    """Return the model of a row of the user's own; any other name unchanged. Raises SettingsError.

    Names of the rows that come with the program are known wherever a model is named.
    """
    row = load_models(settings).find(name)
    return row.model if row is not None and row.is_own and row.model else name


def with_own_rows(
    found: Sequence[ModelFacts], settings: Settings, room: MemoryRoom
) -> list[ModelFacts]:
    """Return a list of models with the rows of KB_MODELS_FILE before it. Raises SettingsError.

    A row that only has the name of its model changes the entry of that model.
    """
    table = load_models(settings)
    rows = [row for row in table if row.is_own and row.model]
    chosen = table.find(settings.model) if settings.model else None
    own: list[ModelFacts] = []
    for row in rows:
        facts = _facts(row, found, room)
        languages = len(row.languages) or facts.languages
        engine = row.engine or facts.engine
        own.append(replace(facts, name=row.id, engine=engine, languages=languages,
                           default=row is chosen if chosen else facts.default))  # fmt: skip
    named = {row.model for row in rows if row.id == row.model}
    others = [each for each in found if each.repository not in named]
    if chosen in rows:
        others = [replace(each, default=False) for each in others]
    return [*own, *others]


def _facts(row: ModelRow, found: Sequence[ModelFacts], room: MemoryRoom) -> ModelFacts:
    try:
        ref = resolve(row.model)
    except ModelUnavailable:  # a folder that is not there
        return ModelFacts(row.id, row.model, row.engine, 0, 0, 0, 0, 0, state=MISSING)
    name = DEMO if ref.target == str(DEMO_FOLDER) else ref.target
    known = next((each for each in found if each.repository == name), None)
    if known is not None:
        return known
    if ref.local:
        return folder_facts(ref.target, room)
    return ModelFacts(row.id, ref.target, row.engine, 0, 0, 0, 0, 0)
