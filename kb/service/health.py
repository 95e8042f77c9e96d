"""Checks of this machine: the state of each part, and the command that repairs it."""

from __future__ import annotations

import platform
import shlex
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from gpu.preset_figures import Preset
from gpu.presets import load_presets
from gpu.status import Machine
from kb import storage
from kb.database import DATABASE_NAME, Database
from kb.database.snapshots import check_file, snapshots
from kb.errors import KBError, StoredProblem, restored
from kb.inference.session import InferenceSession
from kb.jobs.clock_check import clock_problem
from kb.jobs.queue.heartbeat import list_workers
from kb.jobs.queue.hung_worker import CrashLoop, crash_loops
from kb.jobs.queue.library_tie import LibraryTie
from kb.jobs.queue.telemetry import read_machines
from kb.jobs.worker.spawn import worker_log_file
from kb.library import Library
from kb.library.products import Products
from kb.options import parse_names
from kb.service.existing import has_library
from kb.service.health_database import check_server
from kb.service.health_hardware import check_hardware
from kb.service.health_odin import check_odin
from kb.service.health_sources import check_sources
from kb.service.health_storage import check_storage
from kb.service.language_model import NO_ADDRESS, check_language_model
from kb.service.presets import Presets
from kb.service.setting_choices import choice_mistakes
from kb.service.speech import check_speech
from kb.settings import Settings, current_sources, tolerated_mistakes
from kb.storage import permissions
from kb.storage.free_space import size_text
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.hub.kind import ModelKind

LOW_DISK_BYTES = 10 * 2**30
DATABASE_CHECK_S = 10.0


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One finding; `fix` is the next step where `state` is not ok."""

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""
    problem: StoredProblem | None = None


def check_all(settings: Settings, session: InferenceSession) -> list[HealthCheck]:
    """Run all checks and return their results, in the order of display. Raises nothing."""
    return [
        _python(),
        _settings(),
        *_faulty_settings(settings),
        *_hardware(settings, session),
        _model(settings, session),
        *_embedder(settings),
        _detector(),
        *_steps(settings),
        *check_meaning(settings),
        *_language_model(settings),
        *_voices(settings),
        _presets(settings),
        _library(settings),
        *_rights(settings),
        *_products(settings),
        *_storage(settings),
        *_database(settings),
        *(server := _server(settings)),
        _disk(settings),
        *_workers(settings, server),
        *_sources(settings, server),
        *_odin(settings),
    ]


def _failed(name: str, error: KBError) -> HealthCheck:
    return HealthCheck(name, "fail", error.message, error.hint, error.problem)


def _python() -> HealthCheck:
    return HealthCheck("Python", "ok", f"{platform.python_version()} on {platform.system()}")


def _settings() -> HealthCheck:
    """Return the files that were read and the place of each value, without the values."""
    sources = current_sources()
    files = [f"{file.path} ({len(file.values)} settings)" for file in sources.files]
    named = [origin.clause().message for origin in sources.origins.values()]
    detail = "; ".join([", ".join(files) or "no .env file is read", *named])
    if sources.misspelt:
        wrong = ", ".join(f"{name} (meant: {meant}?)" for name, meant in sources.misspelt.items())
        return HealthCheck(
            "Settings",
            "warn",
            f"The environment has names that are no settings: {wrong}; {detail}",
            "Correct the names in the environment.",
        )
    ignored = [name for file in sources.files for name in file.ignored]
    if ignored:
        detail += f"; not ours, passed over: {', '.join(ignored)}"
    return HealthCheck("Settings", "ok", detail)


def _faulty_settings(settings: Settings) -> list[HealthCheck]:
    """Return a check for each setting that the other commands refuse."""
    mistakes = [*tolerated_mistakes(), *choice_mistakes(settings)]
    return [_failed("Settings", mistake) for mistake in mistakes]


def _hardware(settings: Settings, session: InferenceSession) -> list[HealthCheck]:
    try:
        found = check_hardware(settings, session.manager, session.model_name())
    except KBError as error:
        return [_failed("Hardware", error)]
    states: dict[str, Literal["ok", "warn", "fail"]] = {"warn": "warn", "fail": "fail"}
    return [
        HealthCheck(c.name, states.get(c.state, "ok"), c.detail, c.fix, c.problem) for c in found
    ]


def _model(settings: Settings, session: InferenceSession) -> HealthCheck:
    from kb.asr.engines.model_check import RECOGNIZER
    from kb.asr.engines.model_files import missing_files
    from kb.asr.engines.model_lookup import cached_models, resolve
    from kb.hub.fetch_state import RUNNING
    from kb.inference.downloads import DAMAGED, READY, REFUSED, UNVERIFIED, model_state

    try:
        name = session.model_name()
        ref = resolve(name)
    except KBError as error:
        return _failed("Model", error)
    if ref.local:
        # An engine without needs of this kind has files of its own.
        lacking = missing_files(Path(ref.target)) if _has_hub_files(settings, name) else []
        if lacking:
            detail = f"{name} in {ref.target} lacks {', '.join(lacking)}"
            return HealthCheck("Model", "fail", detail, "Copy the folder again.")
        return HealthCheck("Model", "ok", f"{name} in {ref.target}")
    state = model_state(ref.target)
    if state == READY:
        return HealthCheck("Model", "ok", f"{ref.target}, cached and verified")
    if state == UNVERIFIED:
        detail = f"{ref.target}, cached; its digests are compared at the first use"
        return HealthCheck("Model", "ok", detail)
    if state == REFUSED:
        return _refused("Model", ref.target, RECOGNIZER)
    fetch_again = f"It is fetched at the next use; now: kb models pull {name}"
    if state == DAMAGED:
        detail = f"{ref.target} has changed since it was verified"
        return HealthCheck("Model", "warn", detail, f"kb models verify {name}. {fetch_again}")
    if state:
        fix = "See: kb models" if state in RUNNING else fetch_again
        return HealthCheck("Model", "warn", f"{ref.target}{_progress(ref.target)}", fix)
    cached = cached_models()
    others = f" Cached here: {', '.join(cached)}." if cached else ""
    return HealthCheck(
        "Model",
        "warn",
        f"{ref.target} is not on this machine yet; the first run fetches it.{others}",
        "Without network try the bundled one: --model demo",
    )


def _embedder(settings: Settings) -> list[HealthCheck]:
    """Check the embedding model, if it is one of the hub."""
    from kb.inference.downloads import DAMAGED, READY, REFUSED, UNVERIFIED, model_state
    from kb.sinks.local.embedding_choice import chosen_model
    from kb.sinks.local.embedding_files import EMBEDDER, repository_of

    name = chosen_model(settings.embedding_model)
    repository = repository_of(name)
    if not repository:
        return []
    state = model_state(repository, EMBEDDER)
    if state == REFUSED:
        return [_refused("Embedding model", repository, EMBEDDER)]
    words = {
        READY: ", cached and verified",
        UNVERIFIED: ", cached; its digests are compared at the first use",
        DAMAGED: " has changed since it was verified",
        "": " is not on this machine yet",
    }
    found = words[state] if state in words else _progress(repository)
    fix = "" if state in (READY, UNVERIFIED) else f"Fetch it now: kb models pull {name}"
    return [HealthCheck("Embedding model", "warn" if fix else "ok", repository + found, fix)]


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
    have = found.items - len(found.lacking)
    detail = f"{have} of {counted(found.items, 'item')} can be found by meaning ({found.model})"
    fix = "The others by: kb enrich --all --steps meaning" if found.lacking else ""
    if found.others:  # an item has vectors of one model: two machines would replace each other's
        detail += f"; others have vectors of {' and '.join(found.others)}"
        fix += ". Machines of one library need one model: KB_EMBEDDING_MODEL, the same on each"
    return [HealthCheck("Meaning", "warn" if fix else "ok", detail, fix)]


def _refused(check: str, repository: str, kind: ModelKind) -> HealthCheck:
    """Return the failed check of a complete model that contradicts itself or failed its trial."""
    from kb.inference.downloads import model_refusal

    record = model_refusal(repository, kind)
    return _failed(check, restored(record["error"], record["hint"], record["problem"]))


def _progress(repository: str) -> str:
    """Return the rest of a sentence about a model that is being fetched, or is not complete."""
    from kb.hub.cache import repository_folder
    from kb.hub.fetch_state import read_state

    fetch = read_state(repository_folder(repository))
    if fetch is None:
        return " is complete now"
    words = {
        "paused": ": its fetch is paused",
        "stopped": " has not arrived completely",
        "failed": f" could not be fetched: {fetch.problem.get('error', '')}",
    }.get(fetch.state, " is being fetched")
    share = f" ({size_text(fetch.done)} of {size_text(fetch.size)})" if fetch.size else ""
    return words + share


def _has_hub_files(settings: Settings, model: str) -> bool:
    from kb.asr.engines import engine_spec

    try:
        return bool(engine_spec(settings.engine).needs(model))
    except KBError:
        return False


def _detector() -> HealthCheck:
    from kb.asr.audio.vad import model_path

    try:
        return HealthCheck("Speech detection", "ok", f"Silero VAD ({model_path().name})")
    except KBError as error:
        return _failed("Speech detection", error)


def _steps(settings: Settings) -> list[HealthCheck]:
    """Check what the steps after the words need; a step that is not named is no warning."""
    from kb.pipeline.enrichment import step_states

    asked = parse_names(settings.steps)
    found = []
    for step in step_states():
        if step.lacking is None:
            is_on = step.name in asked or ("auto" in asked and step.is_default)
            detail = step.about if is_on else f"{step.about}; off (KB_STEPS)"
            found.append(HealthCheck(f"Step {step.name}", "ok", detail))
            continue
        if step.lacking.code == NO_ADDRESS and step.name not in asked:
            continue  # one line says it for all of them: see `_language_model`
        state: Literal["ok", "warn"] = "warn" if step.name in asked else "ok"
        words = f"{step.lacking.message} The step is left out until then."
        found.append(HealthCheck(f"Step {step.name}", state, words, step.lacking.hint))
    return found


def _language_model(settings: Settings) -> list[HealthCheck]:
    """Check the language model: where texts go, and at what price. Nothing is asked."""
    return _found("Language model", check_language_model(settings))


def _odin(settings: Settings) -> list[HealthCheck]:
    """Check the credentials of ODIN, and that it answers; nothing is sent but them."""
    return _found("ODIN", check_odin(settings))


def _voices(settings: Settings) -> list[HealthCheck]:
    """Check the engines of voices; those of this machine are asked for their voices."""
    return _found("Voices", check_speech(settings))


def _found(name: str, results: Iterable[tuple[str, str, str] | KBError]) -> list[HealthCheck]:
    """Return a check for each state with its finding and next step, or error."""
    found = []
    for each in results:
        if isinstance(each, KBError):
            found.append(_failed(name, each))
        else:
            state: Literal["ok", "warn"] = "ok" if each[0] == "ok" else "warn"
            found.append(HealthCheck(name, state, each[1], each[2]))
    return found


def _presets(settings: Settings) -> HealthCheck:
    try:
        presets = _load_presets(settings)
    except KBError as error:
        return _failed("Presets", error)
    return HealthCheck("Presets", "ok", ", ".join(presets))


def _load_presets(settings: Settings) -> dict[str, Preset]:
    return load_presets(settings.presets_path)


def _library(settings: Settings) -> HealthCheck:
    library = Library(settings.home)
    try:
        if not has_library(settings.home):
            # A check must not create the folder.
            return HealthCheck(
                "Library", "ok", f"{settings.home}: not created yet; the first ingest creates it"
            )
        library.prepare()
        listing = library.scan()
    except KBError as error:
        return _failed("Library", error)
    detail = f"{settings.home}: {counted(len(listing.entries), 'item')}"
    if listing.problems:
        first = listing.problems[0]
        return HealthCheck("Library", "warn", f"{detail}; {first.message}", first.hint)
    return HealthCheck("Library", "ok", detail)


def _rights(settings: Settings) -> list[HealthCheck]:
    """Return a warning for a library of an earlier version that other accounts can read."""
    found = permissions.open_to_others(settings.home, group=settings.group_access)
    if found is None:
        return []
    whose = "o=" if settings.group_access else "go="
    fix = f"Run: chmod -R {whose} {shlex.quote(str(settings.home))}"
    if not settings.group_access:
        fix += "; or, for a library that a group shares, set KB_GROUP_ACCESS=true."
    detail = f"{found} can be read by other accounts of this machine"
    return [HealthCheck("Rights", "warn", detail, fix)]


def _products(settings: Settings) -> list[HealthCheck]:
    """Return the number and size of kept films; none without a film."""
    found = Products(settings.home, settings.products_gb, settings.products_days).use()
    if not found.count:
        return []
    detail = (
        f"{counted(found.count, 'film')}, {size_text(found.size_bytes)} of at most "
        f"{settings.products_gb:g} GB, kept for {settings.products_days:g} days after its last use"
    )
    return [HealthCheck("Products", "ok", detail)]


def _storage(settings: Settings) -> list[HealthCheck]:
    name = "Object storage"
    return [
        HealthCheck(name, "ok", found) if isinstance(found, str) else _failed(name, found)
        for found in check_storage(settings)
    ]


def _database(settings: Settings) -> list[HealthCheck]:
    """Return the check of every page of the database file; none without a file.

    A damaged page is not noticed by opening the database.
    """
    path = settings.home / DATABASE_NAME
    if settings.database_url.get_secret_value() or not path.is_file():
        return []
    kept = snapshots(settings.home)
    try:
        found = check_file(path, DATABASE_CHECK_S)
    except KBError as error:
        return [HealthCheck("Database", "warn", error.message, error.hint, error.problem)]
    if found.problems:
        if kept:
            day = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept[0].made_at))
            fix = f"Put the copy of {day} in its place: kb worker --stop; kb restore"
        else:
            fix = f"There is no copy of it: move {path.name} away and run: kb reindex"
        return [HealthCheck("Database", "fail", f"{path} is damaged: {found.problems[0]}", fix)]
    detail = f"{path.name}: every page is readable"
    if not found.complete:
        detail = f"{path.name}: no damage in the part that was read within {DATABASE_CHECK_S:g} s"
    if kept:
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept[0].made_at))
        copies = "1 copy" if len(kept) == 1 else f"{len(kept)} copies"
        detail += f"; {copies}, the last of {day}"
    return [HealthCheck("Database", "ok", detail)]


def _server(settings: Settings) -> list[HealthCheck]:
    """Return the checks of a PostgreSQL server; none for a library with a file."""
    return [
        HealthCheck("Database", c.state, c.detail, c.fix, c.problem) for c in check_server(settings)
    ]


def _disk(settings: Settings) -> HealthCheck:
    folder = settings.home
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / 2**30:.0f} GB free at {folder}"
    floor = settings.free_space.floor_bytes
    if free < floor:
        return HealthCheck(
            "Disk", "fail", f"{detail}; work waits until {floor / 1e9:.1f} GB are free",
            "Free some space, or lower KB_MIN_FREE_GB.",
        )  # fmt: skip
    if free < LOW_DISK_BYTES:
        return HealthCheck(
            "Disk", "warn", detail, "Free some space, or set KB_HOME to another disk."
        )
    return HealthCheck("Disk", "ok", detail)


def _workers(settings: Settings, server: Sequence[HealthCheck]) -> list[HealthCheck]:
    """Return one check for each machine that a live worker reports on."""
    is_shared = bool(settings.database_url.get_secret_value())
    if _is_away(server) or not (is_shared or has_library(settings.home)):
        return []
    try:
        database = Database.open(settings)
    except KBError:
        return []  # the check of the database reports the error
    try:
        problem = LibraryTie(database, Library(settings.home)).problem()
        found = read_machines(database)
        loops = crash_loops(database, list_workers(database))
        clock = clock_problem(database)
    except KBError as error:
        return [_failed("Workers", error)]
    finally:
        database.close()
    presets = Presets(settings).readable()
    times = (
        [HealthCheck("Clock", "warn", clock.message, clock.hint, clock.problem)] if clock else []
    )
    return [
        *([_failed("Library", problem)] if problem is not None else []),
        *(_worker(machine, presets) for machine in found),
        *(_crash_loop(loop, settings) for loop in loops),
        *times,
    ]


def _crash_loop(loop: CrashLoop, settings: Settings) -> HealthCheck:
    minutes = max(1, round(loop.lasts_s / 60))
    detail = (
        f"ended {counted(loop.count, 'time')} in {minutes} min without signing off; "
        f"finished in this time: {counted(loop.finished, 'item')}"
    )
    fix = f"Find out what kills it: {worker_log_file(settings)}, or run in the foreground: kb "
    return HealthCheck(f"Worker {loop.executor_id}", "fail", detail, f"{fix}worker")


def _worker(machine: Machine, presets: Sequence[Preset]) -> HealthCheck:
    name, snapshot, batch = f"Worker {machine.executor_id}", machine.snapshot, machine.batch
    words = [machine.device.name or "no recognizer loaded yet", snapshot.model]
    if batch is not None:
        words.append(f"batch {batch.size}: {batch.reason}")
    if machine.budget is not None:
        words.append(machine.budget.describe(presets))
    if machine.throttle.reason:
        words.append(f"rests {machine.throttle.rest:.0%} of the time: {machine.throttle.reason}")
    if machine.rtfx_hour:
        words.append(f"{machine.rtfx_hour:.0f}× real time in the last hour")
    reason = machine.trouble or machine.device.reason
    if reason:
        words.append(f"on the CPU: {reason}" if machine.device.kind == "CPU" else reason)
    detail = ", ".join(word for word in words if word)
    if machine.trouble:
        fix = "Look at the driver, then restart: kb worker --stop; kb worker --detach"
        return HealthCheck(name, "warn", detail, fix)
    return HealthCheck(name, "ok", detail)


def _is_away(server: Sequence[HealthCheck]) -> bool:
    """Return True if the server was asked in vain: every further wait takes seconds."""
    return any(check.state == "fail" for check in server)


def _sources(settings: Settings, server: Sequence[HealthCheck]) -> list[HealthCheck]:
    """Return the checks of the API keys, of yt-dlp and its programs, and of the download lane."""
    with storage.scratch_folder() as scratch:
        # A check must not create the library.
        chosen = settings if has_library(settings.home) else settings.replace(home=scratch)
        if _is_away(server):
            chosen = settings.replace(home=scratch, database_url=SecretStr(""))
        try:
            database = Database.open(chosen)
        except KBError as error:
            return [_failed("Database", error)]
        try:
            found = check_sources(settings, database)
        finally:
            database.close()
    states: dict[str, Literal["ok", "warn", "fail"]] = {"warning": "warn", "failed": "fail"}
    return [
        HealthCheck(c.name, states.get(c.state, "ok"), c.detail, c.hint, c.problem) for c in found
    ]
