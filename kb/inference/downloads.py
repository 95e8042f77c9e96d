"""The models on this machine: their list, fetch, verification and removal."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kb.asr.engines.model_check import RECOGNIZER, check_model
from kb.asr.engines.model_lookup import (
    DEMO,
    DEMO_FOLDER,
    ModelRef,
    cached_models,
    identify,
    model_folder,
    resolve,
)
from kb.asr.engines.model_registry import find_model, known_models
from kb.asr.engines.spec import ModelShape, batch_bytes
from kb.errors import ModelUnavailable, UsageError
from kb.hub import cache, fetch_state, records, refusals
from kb.hub.conduct import Conduct
from kb.hub.fetch_progress import Report
from kb.hub.kind import ModelKind
from kb.hub.models import Removal, adopt, ready, remove, verify
from kb.inference.memory_fit import MemoryRoom
from kb.inference.model_kinds import find
from kb.sinks.local.embedding_check import check_embedder
from kb.sinks.local.embedding_files import EMBEDDER, repository_of

READY, UNVERIFIED, DAMAGED, REFUSED = "ready", "unverified", "damaged", "refused"


def list_models(default: str, room: MemoryRoom, embedder: str = "") -> list[ModelFacts]:
    """Return all known models, the bundled model, and others in the cache; `default` is marked.

    The model in KB_EMBEDDING_MODEL is the last one.
    """
    free = cache.room(cache.cache_folder())
    cached = {name: _size(name) for name in cached_models()}
    standard = find_model(default)
    chosen = standard.repository if standard else default
    rows: list[ModelFacts] = []
    for model in known_models():
        here = model.repository in cached
        size = cached.pop(model.repository, 0)
        rows.append(
            ModelFacts(
                name=model.name,
                repository=model.repository,
                engine=model.engine,
                languages=model.languages,
                parameters=model.parameters,
                download_bytes=model.download_bytes,
                memory_bytes=_memory(model.shape, 1, room),
                memory_bytes_16=_memory(model.shape, 16, room),
                where="cached" if here else "",
                disk_bytes=size,
                default=model.repository == chosen,
                state=model_state(model.repository),
                fits_disk=here or model.download_bytes <= free,
                fits_memory=room.fits(_memory(model.shape, 1, room)),
            )
        )
    for name, size in sorted(cached.items()):
        row = _describe_model(name, size, name == default, room)
        rows.append(replace(row, state=model_state(name)))
    if DEMO_FOLDER.is_dir():
        size = sum(file.stat().st_size for file in DEMO_FOLDER.iterdir())
        demo = _describe_model(DEMO, size, default == DEMO, room)
        rows.append(replace(demo, where="bundled", languages=2, download_bytes=0, state=READY))
    if embedder and (repository := repository_of(embedder)):
        rows = [row for row in rows if row.repository != repository]
        state, size = model_state(repository, EMBEDDER), _size(repository)
        where = "cached" if state in (READY, UNVERIFIED, DAMAGED, REFUSED) else ""
        rows.append(
            ModelFacts(
                embedder, repository, "embedding", 0, 0, size, 0, 0, where, size, state=state,
                problem=model_refusal(repository, EMBEDDER),
            )
        )  # fmt: skip
    return [
        replace(row, problem=model_refusal(row.repository))
        if row.state == REFUSED and not row.problem
        else row
        for row in rows
    ]


def _describe_model(name: str, size: int, default: bool, room: MemoryRoom) -> ModelFacts:
    engine, shape = identify(name)
    return ModelFacts(
        name=name,
        repository=name,
        engine=engine,
        languages=0,
        parameters=shape.parameters if shape else 0,
        download_bytes=size,
        memory_bytes=_memory(shape, 1, room),
        memory_bytes_16=_memory(shape, 16, room),
        where="cached",
        disk_bytes=size,
        default=default,
        fits_memory=room.fits(_memory(shape, 1, room)),
    )


def folder_facts(path: str, room: MemoryRoom) -> ModelFacts:
    """Return the facts of a model in a folder of this machine."""
    size = sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
    found = _describe_model(path, size, False, room)
    return replace(found, where="folder", download_bytes=0, state=READY)


def _memory(shape: ModelShape | None, windows: int, room: MemoryRoom) -> int:
    return batch_bytes(shape, windows, room.number_bytes) if shape else 0


def _size(repository: str) -> int:
    folder = cache.current_snapshot(repository)
    if folder is None:
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def model_state(repository: str, kind: ModelKind = RECOGNIZER) -> str:
    """Return the state of a hub model on this machine, without reading its weights.

    `ready`: sizes and digests were compared; `unverified`: complete, compared at the first use;
    `damaged`: a file has changed; `refused`: complete, and a check speaks against it (see
    `model_refusal`); the state of a fetch (see FetchState); empty if it is not here.
    """
    place = cache.repository_folder(repository)
    fetch = fetch_state.read_state(place)
    if fetch is not None:
        return fetch.state
    record = records.read(place)
    if record is not None:
        if not records.is_current(record):
            return DAMAGED
        return REFUSED if refusals.refusal(place, record, kind) else READY
    snapshot = cache.current_snapshot(repository)
    return UNVERIFIED if snapshot is not None and not kind.missing(snapshot) else ""


def model_refusal(repository: str, kind: ModelKind = RECOGNIZER) -> dict[str, Any]:
    """Return the record of the error that refuses a complete model, empty for others."""
    place = cache.repository_folder(repository)
    record = records.read(place)
    if record is None or not records.is_current(record):
        return {}
    return refusals.refusal(place, record, kind)


def pull(
    name: str,
    *,
    embedder: str = "",
    again: bool = False,
    report: Report = lambda state: None,
    cancelled: Callable[[], bool] = lambda: False,
    conduct: Conduct | None = None,
) -> ModelRef:
    """Fetch a model's files into the hub's cache; complete and verified files are kept.

    With `again`, files are replaced where the hub has others. `embedder` is KB_EMBEDDING_MODEL.
    Raises ModelUnavailable: unknown name, no network, access refused, files that contradict each
    other; and Cancelled.
    """
    ref, kind = find(name, embedder)
    try:
        if kind is RECOGNIZER:
            folder = model_folder(
                ref, again=again, report=report, cancelled=cancelled, conduct=conduct
            )
            check_model(ref.name, folder)
        elif not ref.local:
            folder = ready(
                ref.target, kind, again=again, report=report, cancelled=cancelled, conduct=conduct
            ).folder
            check_embedder(ref.name, folder)
    except ModelUnavailable:
        # The caller shows the error; there is nothing to continue where nothing has arrived.
        state = fetch_state.last_state(cache.repository_folder(ref.target))
        if not ref.local and state is not None and not state.done:
            fetch_state.forget_state(cache.repository_folder(ref.target))
        raise
    return ref


def verify_model(
    name: str,
    moved: Callable[[int, int], None] = lambda done, size: None,
    embedder: str = "",
) -> Verification:
    """Compare all files of a model with their digests; a folder with its headers and index.

    Raises ModelUnavailable if the model is not on this machine.
    """
    ref, kind = find(name, embedder)
    if ref.local:
        return Verification(name, ref.target, tuple(kind.missing(Path(ref.target))))
    known = records.read(cache.repository_folder(ref.target)) or adopt(ref.target, kind)
    if known is None:
        snapshot = cache.current_snapshot(ref.target)
        if snapshot is None:
            raise not_here(name)
        lacking = [*kind.missing(snapshot)] or _other_bytes(snapshot)
        return Verification(name, str(snapshot), tuple(lacking))
    record, damaged = verify(ref.target, moved)
    if record is None:
        raise not_here(name)
    return Verification(name, str(record.folder), damaged, record.size)


def _other_bytes(snapshot: Path) -> list[str]:
    """Return the files whose blob has another digest than its name says."""
    return [
        path.name
        for path in sorted(snapshot.rglob("*"))
        if path.is_symlink()
        and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", path.readlink().name)
        and not (path.is_file() and cache.has_digest(path, path.readlink().name))
    ]


def not_here(name: str) -> ModelUnavailable:
    """Return the error of a model that is not on this machine."""
    return ModelUnavailable(
        "model.not_here",
        "Model {name} is not on this machine.",
        hint="See what is: kb models. Fetch it with: kb models pull {name}",
        name=name,
    )


def remove_model(name: str, *, shared: bool = False, embedder: str = "") -> Removal:
    """Remove a hub model and the parts of its fetch; `shared`: also if others have fetched it.

    Raises UsageError for a folder or the bundled model, ModelUnavailable if it is not here or
    another program's.
    """
    ref, _ = find(name, embedder)
    if ref.local:
        raise UsageError(
            "model.not_removable",
            "{name} is a folder, which is not removed here.",
            hint="kb models remove takes models that were fetched from the hub.",
            name=name,
        )
    if not cache.repository_folder(ref.target).is_dir():
        raise not_here(name)
    return remove(ref.target, shared=shared)


def stop_fetch(name: str, what: fetch_state.Request) -> None:
    """Ask the process that fetches a model to pause or to cancel.

    A fetch that no process works on is paused or cancelled here. Raises ModelUnavailable.
    """
    known = {state.name.casefold(): state.name for state in fetch_state.all_states()}
    target = known.get(name.casefold()) or resolve(name).target
    place = cache.repository_folder(target)
    state = fetch_state.read_state(place)
    if state is None:
        raise ModelUnavailable(
            "model.no_fetch",
            "Model {name} is not being fetched.",
            hint="See what is: kb models",
            name=name,
        )
    if state.is_running:
        fetch_state.request(place, what)
    elif what == "cancel":
        cache.discard_parts(target)
        cache.remove_empty(target)
        fetch_state.forget_state(place)
    else:
        fetch_state.write_state(place, replace(state, state="paused", problem={}))


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification: `damaged` files of the model in `folder`; `size` in bytes."""

    name: str
    folder: str
    damaged: tuple[str, ...]
    size: int = 0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A recognizer that can be chosen. Sizes in bytes, 0 if unknown.

    `languages`: number of languages that it supports; `memory_bytes` and `memory_bytes_16`: device
    memory with one window and with 16, in the number format of this device; `where`: `bundled`,
    `cached`, `folder` or empty; `disk_bytes`: size on this machine's disk; `state`: see
    `model_state`; `fits_disk`: it is here, or the disk has room for it; `fits_memory`: with one
    window, as far as its shape is known; `problem`: the record of the error that refuses it.
    """

    name: str
    repository: str
    engine: str
    languages: int
    parameters: int
    download_bytes: int
    memory_bytes: int
    memory_bytes_16: int
    where: str = ""
    disk_bytes: int = 0
    default: bool = False
    state: str = ""
    fits_disk: bool = True
    fits_memory: bool = True
    problem: dict[str, Any] = field(default_factory=dict)
