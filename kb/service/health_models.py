"""Checks of the models: recognizer, embedding model, speech detection, and what steps need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kb.errors import KBError, restored
from kb.inference.session import InferenceSession
from kb.options import parse_names
from kb.service.existing import has_library
from kb.service.health_check import HealthCheck, State
from kb.service.language_model import NO_ADDRESS
from kb.settings import Settings
from kb.storage.free_space import size_text

if TYPE_CHECKING:
    from kb.hub.kind import ModelKind

_MODEL, _EMBEDDER, _DETECTOR = "Model", "Embedding model", "Speech detection"


def check_models(settings: Settings, session: InferenceSession) -> list[HealthCheck]:
    """Return the checks of all models, in the order of display. Raises nothing."""
    return [
        _model(settings, session),
        *_embedder(settings),
        _detector(),
        *_steps(settings),
        *check_meaning(settings),
    ]


def _model(settings: Settings, session: InferenceSession) -> HealthCheck:
    from kb.asr.engines.model_check import RECOGNIZER
    from kb.asr.engines.model_files import missing_files
    from kb.asr.engines.model_lookup import cached_models, resolve
    from kb.inference.downloads import REFUSED, model_state

    try:
        name = session.model_name()
        ref = resolve(name)
    except KBError as error:
        return HealthCheck.of(_MODEL, "fail", error)
    if ref.local:
        # An engine without needs of this kind has files of its own.
        lacking = missing_files(Path(ref.target)) if _has_hub_files(settings, name) else []
        if lacking:
            problem = KBError(
                "check.model_lacks",
                "{name} in {folder} lacks {files}",
                hint="Copy the folder again.",
                name=name,
                folder=ref.target,
                files=", ".join(lacking),
            )
            return HealthCheck.of(_MODEL, "fail", problem)
        here = KBError("check.model_folder", "{name} in {folder}", name=name, folder=ref.target)
        return HealthCheck.of(_MODEL, "ok", here)
    state = model_state(ref.target)
    if state == REFUSED:
        return _refused(_MODEL, ref.target, RECOGNIZER)
    if state:
        return _known(_MODEL, ref.target, state, name)
    cached = cached_models()
    others: KBError | str = ""
    if cached:
        others = KBError("clause.cached", " Cached here: {names}.", names=", ".join(cached))
    absent = KBError(
        "check.model_absent",
        "{repository} is not on this machine yet; the first run fetches it.{others}",
        hint="Without network try the bundled one: --model demo",
        repository=ref.target,
        others=others,
    )
    return HealthCheck.of(_MODEL, "warn", absent)


def _embedder(settings: Settings) -> list[HealthCheck]:
    """Check the embedding model, if it is one of the hub."""
    from kb.inference.downloads import REFUSED, model_state
    from kb.sinks.local.embedding_choice import chosen_model
    from kb.sinks.local.embedding_files import EMBEDDER, repository_of

    name = chosen_model(settings.embedding_model)
    repository = repository_of(name)
    if not repository:
        return []
    state = model_state(repository, EMBEDDER)
    if state == REFUSED:
        return [_refused(_EMBEDDER, repository, EMBEDDER)]
    if state:
        return [_known(_EMBEDDER, repository, state, name)]
    absent = KBError(
        "check.embedder_absent",
        "{repository} is not on this machine yet",
        hint="Fetch it now: kb models pull {name}",
        repository=repository,
        name=name,
    )
    return [HealthCheck.of(_EMBEDDER, "warn", absent)]


def _known(check: str, repository: str, state: str, name: str) -> HealthCheck:
    """Return the check of a model that is here, or whose fetch was started."""
    from kb.hub.fetch_state import RUNNING
    from kb.inference.downloads import DAMAGED, READY, UNVERIFIED

    if state == READY:
        ready = KBError(
            "check.model_ready", "{repository}, cached and verified", repository=repository
        )
        return HealthCheck.of(check, "ok", ready)
    if state == UNVERIFIED:
        unverified = KBError(
            "check.model_unverified",
            "{repository}, cached; its digests are compared at the first use",
            repository=repository,
        )
        return HealthCheck.of(check, "ok", unverified)
    is_embedder = check == _EMBEDDER
    if state == DAMAGED:
        return HealthCheck.of(check, "warn", _damaged(repository, name, is_embedder=is_embedder))
    found = _progress(repository)
    if state in RUNNING:
        running = KBError("check.model_running", "{state}", hint="See: kb models", state=found)
        return HealthCheck.of(check, "warn", running)
    return HealthCheck.of(check, "warn", _stopped(found, name, is_embedder=is_embedder))


def _damaged(repository: str, name: str, *, is_embedder: bool) -> KBError:
    if is_embedder:
        return KBError(
            "check.embedder_damaged",
            "{repository} has changed since it was verified",
            hint="Fetch it now: kb models pull {name}",
            repository=repository,
            name=name,
        )
    return KBError(
        "check.model_damaged",
        "{repository} has changed since it was verified",
        hint="kb models verify {name}. It is fetched at the next use; now: kb models pull {name}",
        repository=repository,
        name=name,
    )


def _stopped(found: KBError, name: str, *, is_embedder: bool) -> KBError:
    if is_embedder:
        return KBError(
            "check.embedder_stopped",
            "{state}",
            hint="Fetch it now: kb models pull {name}",
            state=found,
            name=name,
        )
    return KBError(
        "check.model_stopped",
        "{state}",
        hint="It is fetched at the next use; now: kb models pull {name}",
        state=found,
        name=name,
    )


def _progress(repository: str) -> KBError:
    """Return a clause about a model that is being fetched, or is not complete."""
    from kb.hub.cache import repository_folder
    from kb.hub.fetch_state import read_state

    fetch = read_state(repository_folder(repository))
    if fetch is None:
        return KBError("clause.fetched", "{repository} is complete now", repository=repository)
    share: KBError | str = ""
    if fetch.size:
        share = KBError(
            "clause.fetch_share",
            " ({done} of {size})",
            done=size_text(fetch.done),
            size=size_text(fetch.size),
        )
    if fetch.state == "paused":
        return KBError(
            "clause.fetch_paused",
            "{repository}: its fetch is paused{share}",
            repository=repository,
            share=share,
        )
    if fetch.state == "stopped":
        return KBError(
            "clause.fetch_stopped",
            "{repository} has not arrived completely{share}",
            repository=repository,
            share=share,
        )
    if fetch.state == "failed":
        problem = fetch.problem
        cause = restored(problem.get("error", ""), problem.get("hint", ""), problem.get("problem"))
        return KBError(
            "clause.fetch_failed",
            "{repository} could not be fetched: {cause}{share}",
            repository=repository,
            cause=cause,
            share=share,
        )
    return KBError(
        "clause.fetching",
        "{repository} is being fetched{share}",
        repository=repository,
        share=share,
    )


def _refused(check: str, repository: str, kind: ModelKind) -> HealthCheck:
    """Return the failed check of a complete model that contradicts itself or failed its trial."""
    from kb.inference.downloads import model_refusal

    record = model_refusal(repository, kind)
    refusal = restored(record["error"], record["hint"], record["problem"])
    return HealthCheck.of(check, "fail", refusal)


def _has_hub_files(settings: Settings, model: str) -> bool:
    from kb.asr.engines import engine_spec

    try:
        return bool(engine_spec(settings.engine).needs(model))
    except KBError:
        return False


def _detector() -> HealthCheck:
    from kb.asr.audio.vad import model_path

    try:
        path = model_path()
    except KBError as error:
        return HealthCheck.of(_DETECTOR, "fail", error)
    return HealthCheck.of(
        _DETECTOR, "ok", KBError("check.detector", "Silero VAD ({file})", file=path.name)
    )


def _steps(settings: Settings) -> list[HealthCheck]:
    """Check what the steps after the words need; a step that is not named is no warning."""
    from kb.pipeline.enrichment import step_states

    asked = parse_names(settings.steps)
    found = []
    for step in step_states():
        name = f"Step {step.name}"
        if step.lacking is None:
            is_on = step.name in asked or ("auto" in asked and step.is_default)
            if is_on:
                about = KBError("check.step_on", "{about}", about=step.about)
            else:
                about = KBError("check.step_off", "{about}; off (KB_STEPS)", about=step.about)
            found.append(HealthCheck.of(name, "ok", about))
            continue
        if step.lacking.code == NO_ADDRESS and step.name not in asked:
            continue  # one line says it for all of them: see `check_language_model`
        state: State = "warn" if step.name in asked else "ok"
        lacking = KBError(
            "check.step_lacks",
            "{cause} The step is left out until then.",
            hint="{cause.hint}",
            cause=step.lacking,
        )
        found.append(HealthCheck.of(name, state, lacking))
    return found


def check_meaning(settings: Settings) -> list[HealthCheck]:
    """Check that the index has vectors of all items, of the model that is here."""
    from kb.sinks.local.sink import LocalSink

    if not has_library(settings.home):
        return []
    try:
        found = LocalSink(settings).vector_states()
    except KBError:
        return []  # the check of the library reports the error
    if not found.model or not found.items:
        return []  # the step `meaning` says what is missing
    have = KBError(
        "clause.meaning",
        "{have} of {items:item|items} can be found by meaning ({model})",
        have=found.items - len(found.lacking),
        items=found.items,
        model=found.model,
    )
    if not found.lacking and not found.others:
        return [HealthCheck.of("Meaning", "ok", KBError("check.meaning", "{have}", have=have))]
    return [HealthCheck.of("Meaning", "warn", _incomplete(have, found.lacking, found.others))]


def _incomplete(have: KBError, lacking: Sequence[str], others: Sequence[str]) -> KBError:
    if not others:
        return KBError(
            "check.meaning_lacking",
            "{have}",
            hint="The others by: kb enrich --all --steps meaning",
            have=have,
        )
    # An item has vectors of one model: two machines would replace each other's.
    models = " and ".join(others)
    if lacking:
        return KBError(
            "check.meaning_models_lacking",
            "{have}; others have vectors of {models}",
            hint="The others by: kb enrich --all --steps meaning. Machines of one library need "
            "one model: KB_EMBEDDING_MODEL, the same on each",
            have=have,
            models=models,
        )
    return KBError(
        "check.meaning_models",
        "{have}; others have vectors of {models}",
        hint="Machines of one library need one model: KB_EMBEDDING_MODEL, the same on each",
        have=have,
        models=models,
    )
