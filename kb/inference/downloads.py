"""Lists the models on this machine with their memory needs, and downloads models."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kb.asr.engines import engine_spec
from kb.asr.engines.model_lookup import DEMO, DEMO_FOLDER, ModelRef, fetch, identify, resolve
from kb.asr.engines.model_registry import find_model, known_models
from kb.asr.engines.spec import ModelShape, batch_bytes

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo


def list_models(default: str, number_bytes: int) -> list[ModelFacts]:
    """Return all known models, the bundled model, and others in the cache; `default` is marked.

    `number_bytes`: bytes of one number on this device.
    """
    cached = _cached_repositories()
    standard = find_model(default)
    chosen = standard.repository if standard else default
    rows = []
    for model in known_models():
        cached_repo = cached.pop(model.repository, None)
        rows.append(
            ModelFacts(
                name=model.name,
                repository=model.repository,
                engine=model.engine,
                languages=model.languages,
                parameters=model.parameters,
                download_bytes=model.download_bytes,
                memory_bytes=_memory(model.shape, 1, number_bytes),
                memory_bytes_16=_memory(model.shape, 16, number_bytes),
                where="cached" if cached_repo else "",
                disk_bytes=cached_repo.size_on_disk if cached_repo else 0,
                default=model.repository == chosen,
            )
        )
    for name, repository in sorted(cached.items()):
        rows.append(_describe_model(name, repository.size_on_disk, name == default, number_bytes))
    if DEMO_FOLDER.is_dir():
        size = sum(file.stat().st_size for file in DEMO_FOLDER.iterdir())
        demo = _describe_model(DEMO, size, default == DEMO, number_bytes)
        rows.append(replace(demo, where="bundled", languages=2, download_bytes=0))
    return rows


def _describe_model(name: str, size: int, default: bool, number_bytes: int) -> ModelFacts:
    engine, shape = identify(name)
    return ModelFacts(
        name=name,
        repository=name,
        engine=engine,
        languages=0,
        parameters=shape.parameters if shape else 0,
        download_bytes=size,
        memory_bytes=_memory(shape, 1, number_bytes),
        memory_bytes_16=_memory(shape, 16, number_bytes),
        where="cached",
        disk_bytes=size,
        default=default,
    )


def _memory(shape: ModelShape | None, windows: int, number_bytes: int) -> int:
    return batch_bytes(shape, windows, number_bytes) if shape else 0


def _cached_repositories() -> dict[str, CachedRepoInfo]:
    """Return repositories of the hub's cache that hold a recognizer with its weights."""
    from huggingface_hub import scan_cache_dir

    from kb.asr.engines.model_lookup import cached_models

    names = set(cached_models())
    names |= {
        model.repository for model in known_models() if not engine_spec(model.engine).processor_file
    }
    with contextlib.suppress(Exception):  # no cache yet, or a cache of another layout
        return {repo.repo_id: repo for repo in scan_cache_dir().repos if repo.repo_id in names}
    return {}


def pull(name: str) -> ModelRef:
    """Download a model's files into the hub's cache; existing files are kept.

    Raises ModelUnavailable: unknown name, no network, access refused, or not enough space.
    """
    ref = resolve(name)
    if not ref.local:
        fetch(ref)
    return ref


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A recognizer that can be chosen. Sizes in bytes, 0 if unknown.

    `languages`: number of languages that it supports; `memory_bytes` and `memory_bytes_16`: device
    memory with one window and with 16, in the number format of this device; `where`: `bundled`,
    `cached` or empty; `disk_bytes`: size on this machine's disk.
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
