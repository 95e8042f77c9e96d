"""Models on this machine: which there are, what they need, and how one is fetched."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from kb.asr.engines import ENGINES
from kb.asr.memory import ModelShape
from kb.asr.models import (
    DEMO,
    DEMO_FOLDER,
    ModelRef,
    fetch,
    resolve,
    shape_of,
)
from kb.asr.parakeet_memory import ParakeetShape
from kb.asr.qwen3_memory import QwenShape
from kb.asr.zoo import MODELS, find
from kb.reports import ModelFacts

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo


def list_models(default: str, number_bytes: int) -> list[ModelFacts]:
    """Every known model, the bundled one, and what else the cache holds; `default` is marked.

    `number_bytes`: bytes a number takes on the device here.
    """
    cached = _cached()
    standard = find(default)
    chosen = standard.repository if standard else default
    rows = []
    for model in MODELS:
        if model.engine not in ENGINES:
            continue
        here = cached.pop(model.repository, None)
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
                where="cached" if here else "",
                disk_bytes=here.size_on_disk if here else 0,
                default=model.repository == chosen,
            )
        )
    for name, repository in sorted(cached.items()):
        rows.append(_other(name, repository.size_on_disk, name == default, number_bytes))
    if DEMO_FOLDER.is_dir():
        size = sum(file.stat().st_size for file in DEMO_FOLDER.iterdir())
        demo = _other(DEMO, size, default == DEMO, number_bytes)
        rows.append(replace(demo, where="bundled", languages=2, download_bytes=0))
    return rows


def _other(name: str, size: int, default: bool, number_bytes: int) -> ModelFacts:
    shape = shape_of(name)
    engine = "parakeet" if isinstance(shape, ParakeetShape) else "whisper" if shape else ""
    if isinstance(shape, QwenShape):
        engine = "qwen3-asr"
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


def _memory(
    shape: ModelShape | ParakeetShape | QwenShape | None, windows: int, number_bytes: int
) -> int:
    return shape.batch_bytes(windows, number_bytes) if shape else 0


def _cached() -> dict[str, CachedRepoInfo]:
    """Repositories of the hub's cache that hold a recognizer with its weights."""
    from huggingface_hub import scan_cache_dir

    from kb.asr.models import cached_models

    names = set(cached_models())
    names |= {model.repository for model in MODELS if model.engine != "whisper"}
    with contextlib.suppress(Exception):  # no cache yet, or one of another layout
        return {repo.repo_id: repo for repo in scan_cache_dir().repos if repo.repo_id in names}
    return {}


def pull(name: str) -> ModelRef:
    """Fetches a model's files into the hub's cache; what is there already is kept.

    Raises ModelUnavailable: unknown name, no network, refused, or not enough space.
    """
    ref = resolve(name)
    if not ref.local:
        fetch(ref)
    return ref
