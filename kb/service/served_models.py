"""The recognizers that a request of another program may name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kb.asr.engines import ENGINES
from kb.asr.engines.model_lookup import DEMO, DEMO_FOLDER, cached_models, identify
from kb.asr.engines.model_registry import find_model
from kb.asr.engines.model_table import DEFAULT, ModelRow, load_models
from kb.inference.model_choice import row_of
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import Settings


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is served: the options that choose it, and its row in the table of models."""

    options: RunOptions
    row: ModelRow | None

    @property
    def may_translate(self) -> bool:
        """False if the model's row says that it was not trained to translate into English."""
        return self.row is None or self.row.translate


@dataclass
class ServedModels:
    """The default recognizer, and those whose files are on this machine. No model is loaded.

    A path is no name: it would tell a stranger which folders this machine has. A model in a folder
    is served under the name of its row in KB_MODELS_FILE.
    """

    session: InferenceSession
    settings: Settings

    def names(self) -> tuple[str, ...]:
        """Return the names without aliases, the default first. Raises SettingsError."""
        here = {*cached_models(), *([DEMO] if DEMO_FOLDER.is_dir() else [])}
        table = load_models(self.settings)
        other = {row.id for row in table if row.device not in ("any", self._kind(row))}
        rows = [row.id for row in table if row.model in here or _is_folder(row)]
        names = dict.fromkeys([self._default(), *sorted(here), *rows])
        return tuple(name for name in names if name not in other)

    def aliases(self) -> tuple[str, ...]:
        """Return the names that stand for the default, and those of rows of the user's own."""
        table = load_models(self.settings)
        served = self.names()
        more = [
            alias
            for row in table
            if row.id in served and row.id != row.model
            for alias in row.aliases
        ]
        return (*table.default_aliases, *more)

    def find(self, name: str) -> Served | None:
        """Return a model by its name or alias; None if it is not served. Raises SettingsError."""
        engine, separator, model = name.partition(":")
        if separator and engine not in ENGINES:
            return None
        wanted = model if separator else name
        row = row_of(wanted, self.settings)
        default = self._default()
        if not separator and row is not None and row.id == DEFAULT:
            return Served(RunOptions(), row_of(default, self.settings))
        known = find_model(wanted)
        repository = known.repository if known is not None else wanted
        if row is not None and row.id != row.model and wanted != row.model:
            repository = row.id
        if repository not in self.names():
            return None
        if not separator and repository == default:
            return Served(RunOptions(), row)
        own_engine = row.engine if row is not None and repository == row.id != row.model else ""
        chosen = engine if separator else own_engine or self._engine(repository, row)
        return Served(RunOptions(model=repository, engine=chosen), row)

    def translating(self) -> tuple[str, ...]:
        """Return the names of the served models that translate."""
        rows = {name: row_of(name, self.settings) for name in self.names()}
        return tuple(name for name, row in rows.items() if row is not None and row.translate)

    def _kind(self, row: ModelRow) -> str:
        return "any" if row.device == "any" else self.session.kind  # loads torch

    def _default(self) -> str:
        """Return the default's name: that of its row, if the setting names one."""
        chosen = self.settings.model
        row = row_of(chosen, self.settings) if chosen else None
        if row is not None and row.id not in (DEFAULT, row.model) and chosen != row.model:
            return row.id
        name = self.session.model_name()
        known = find_model(name)
        return known.repository if known is not None else name

    def _engine(self, name: str, row: ModelRow | None) -> str:
        model = row.model if row is not None else name
        return identify(model)[0] or self.settings.engine


def _is_folder(row: ModelRow) -> bool:
    """Return True for a row of the user's own whose model is a folder of this machine."""
    return bool(row.model) and row.id != row.model and Path(row.model).expanduser().is_dir()
