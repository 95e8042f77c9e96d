"""The available recognizers: list, fetch, verification and removal of their files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kb.errors import ModelUnavailable
from kb.options import RunOptions
from kb.settings import Settings

if TYPE_CHECKING:
    from kb.asr.engines.model_lookup import ModelRef
    from kb.asr.engines.model_table import MachineKind
    from kb.hub.fetch_progress import Report
    from kb.hub.fetch_state import FetchState, Request
    from kb.hub.models import Removal
    from kb.inference.downloads import ModelFacts, Verification
    from kb.inference.memory_fit import MemoryRoom
    from kb.inference.needed_fetch import NeededFetch
    from kb.inference.session import InferenceSession
    from kb.jobs.queue.client import JobQueue


@dataclass
class Models:
    """The models that this machine can run."""

    find_session: Callable[[], InferenceSession]
    settings: Settings
    queue: JobQueue

    @property
    def session(self) -> InferenceSession:
        """The session of this process, made when it is needed."""
        return self.find_session()

    def list(self) -> Sequence[ModelFacts]:
        """Return the available recognizers, their requirements, and which are on disk.

        Those of KB_MODELS_FILE are the first. Raises SettingsError.
        """
        from kb.inference.downloads import list_models
        from kb.inference.model_rows import with_own_rows

        room = self.memory_room()
        found = list_models(self.session.model_name(), room, self._embedder())
        return with_own_rows(found, self.settings, room)

    def _model(self, name: str) -> str:
        from kb.inference.model_rows import model_of

        return model_of(name, self.settings)

    def memory_room(self) -> MemoryRoom:
        """Return the memory that models may use on this machine."""
        from kb.inference.memory_fit import memory_room

        return memory_room(self.session.manager)

    def disk_room(self) -> tuple[str, int]:
        """Return the folder of fetched models and the free bytes of its disk."""
        from kb.hub import cache

        folder = cache.cache_folder()
        return str(folder), cache.room(folder)

    def needed_fetch(self, options: RunOptions) -> NeededFetch | None:
        """Return what a run with these options fetches first, None if all is here.

        Raises SettingsError.
        """
        from kb.inference.memory_fit import memory_room
        from kb.inference.needed_fetch import needed_fetch

        chosen = self.session.transcription_options(options)
        room = memory_room(self.session.manager, chosen.preset)
        return needed_fetch(chosen.engine, chosen.model, room)

    def engines(self) -> tuple[str, ...]:
        """Return the names of the available engines."""
        from kb.asr.engines import ENGINES

        return tuple(ENGINES)

    def pull(
        self,
        name: str,
        *,
        again: bool = False,
        report: Report = lambda state: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> ModelRef:
        """Fetch a model's files. Raises ModelUnavailable and Cancelled."""
        from kb.inference.downloads import pull
        from kb.inference.model_fetch import within_floor

        conduct = within_floor(self.settings)
        return pull(
            self._model(name),
            embedder=self._embedder(),
            again=again,
            report=report,
            cancelled=cancelled,
            conduct=conduct,
        )

    def verify(
        self, name: str, moved: Callable[[int, int], None] = lambda done, size: None
    ) -> Verification:
        """Compare all files of a model with their digests. Raises ModelUnavailable."""
        from kb.inference.downloads import verify_model

        return verify_model(self._model(name), moved, self._embedder())

    def remove(self, name: str, *, shared: bool = False) -> Removal:
        """Remove a fetched model, with `shared` also one that another program has fetched.

        Raises UsageError and ModelUnavailable.
        """
        from kb.inference.downloads import remove_model

        return remove_model(self._model(name), shared=shared, embedder=self._embedder())

    def fetches(self) -> Sequence[FetchState]:
        """Return the fetches that are not complete, sorted by name."""
        from kb.hub.fetch_state import all_states

        return all_states()

    def unneeded(self, states: Sequence[FetchState]) -> frozenset[str]:
        """Return the names of failed fetches that no item and no setting of this library needs.

        An item without a model of its own needs the default of either kind of machine: to ask for
        the kind of this one loads PyTorch, which takes seconds. Raises LibraryError.
        """
        failed = {state.name for state in states if state.state == "failed"}
        if not failed:
            return frozenset()
        from kb.asr.engines.model_table import KINDS
        from kb.inference.model_choice import model_name
        from kb.inference.model_fetch import targets
        from kb.jobs.queue.wanted_models import wanted_models
        from kb.service.existing import has_library
        from kb.sinks.local.embedding_files import repository_of

        needed = {repository_of(self._embedder())}
        if has_library(self.settings.home):
            for engine, model in wanted_models(self.queue.database):
                for kind in KINDS[:1] if model else KINDS:
                    with suppress(ModelUnavailable):  # a setting that the item refuses itself
                        name = model or model_name("", self.settings, _constant(kind))
                        needed |= targets(engine or self.settings.engine, name)
        return frozenset(failed - needed)

    def _embedder(self) -> str:
        """Return the model that KB_EMBEDDING_MODEL means here, empty for one without files."""
        from kb.sinks.local.embedding_choice import NANO, chosen_model

        chosen = chosen_model(self.settings.embedding_model)
        return "" if chosen == NANO else chosen

    def stop_fetch(self, name: str, what: Request) -> None:
        """Ask the process that fetches a model to pause or to cancel. Raises ModelUnavailable."""
        from kb.inference.downloads import stop_fetch

        stop_fetch(name, what)

    def start_fetch(self, names: Sequence[str]) -> None:
        """Start or continue fetches in a process of their own, with or without a worker.

        Raises ModelUnavailable for an unknown name, LibraryError if no process can be started.
        """
        from kb.inference.model_kinds import find
        from kb.service import background_fetch

        states = {state.name: state for state in self.fetches()}
        kinds: dict[str, list[str]] = {}
        for name in names:
            known = states.get(name)
            if known is not None:
                kinds.setdefault(known.kind, []).append(known.name)
                continue
            ref, kind = find(self._model(name), self._embedder())
            if not ref.local:
                kinds.setdefault(kind.name, []).append(ref.target)
        for kind_name, targets in kinds.items():
            background_fetch.start(self.settings, kind_name, targets)


def _constant(kind: MachineKind) -> Callable[[], MachineKind]:
    return lambda: kind
