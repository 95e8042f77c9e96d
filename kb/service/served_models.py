"""The recognizers that a request of another program may name."""

from __future__ import annotations

from dataclasses import dataclass

from kb.asr.engines import ENGINES
from kb.asr.engines.model_lookup import DEMO, DEMO_FOLDER, cached_models, identify
from kb.asr.engines.model_registry import find_model
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import Settings

# Names of OpenAI's transcribers: programs that ask for one of them get the served default.
ALIASES = ("whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")


@dataclass
class ServedModels:
    """The default recognizer, and those whose files are on this machine. No model is loaded.

    A path is no name: it would tell a stranger which folders this machine has.
    """

    session: InferenceSession
    settings: Settings

    def names(self) -> tuple[str, ...]:
        """Return the names without aliases, the default first."""
        here = [*cached_models(), *([DEMO] if DEMO_FOLDER.is_dir() else [])]
        return tuple(dict.fromkeys([self._default(), *here]))

    def options(self, name: str) -> RunOptions | None:
        """Return the options that choose a model by its name or alias; None if it is not served."""
        engine, separator, model = name.partition(":")
        if separator and engine not in ENGINES:
            return None
        wanted = model if separator else name
        if not separator and wanted in ALIASES:
            return RunOptions()
        known = find_model(wanted)
        repository = known.repository if known is not None else wanted
        served = self.names()
        if repository not in served:
            return None
        if not separator and repository == served[0]:
            return RunOptions()
        return RunOptions(
            model=repository, engine=engine if separator else self._engine(repository)
        )

    def _default(self) -> str:
        name = self.session.model_name()
        known = find_model(name)
        return known.repository if known is not None else name

    def _engine(self, name: str) -> str:
        return identify(name)[0] or self.settings.engine
