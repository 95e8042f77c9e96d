"""The models that a run fetches first, and if they fit the disk and the memory of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from kb.asr.engines import engine_spec
from kb.asr.engines.model_check import RECOGNIZER
from kb.asr.engines.model_lookup import resolve, shape_of
from kb.asr.engines.model_registry import find_model
from kb.asr.engines.spec import ModelShape, batch_bytes
from kb.errors import ModelUnavailable
from kb.hub import cache, fetch_state
from kb.hub.client import endpoint, is_offline
from kb.hub.models import listed_size
from kb.inference.downloads import READY, REFUSED, UNVERIFIED, model_state
from kb.inference.memory_fit import MemoryRoom
from kb.types.safe_text import hide_credentials


@dataclass(frozen=True, slots=True)
class NeededFetch:
    """The models `targets` that a run fetches first: about `size` bytes (0 if unknown).

    `name`: all of them; `source`: the address of the hub.
    `free`: free bytes of the disk that holds `folder`. `memory_bytes`: memory that they take with
    one window (0 if unknown), of the budget in `room`. `is_least`: the figures of one of several
    models are unknown.
    """

    name: str
    size: int
    source: str
    folder: str
    free: int
    targets: tuple[str, ...]
    memory_bytes: int
    room: MemoryRoom
    is_least: bool = False

    @property
    def fits_disk(self) -> bool:
        return self.size <= self.free

    @property
    def fits_memory(self) -> bool:
        return self.room.fits(self.memory_bytes)


def needed_fetch(engine: str, model: str, room: MemoryRoom) -> NeededFetch | None:
    """Return what a run with this model fetches first, None if it fetches nothing.

    The size of a model that is not a known one is that of its fetch so far, or of the hub's list,
    for which the hub is asked once and briefly.
    """
    needs = []
    for name in engine_spec(engine).needs(model):
        with suppress(ModelUnavailable):
            needs.append(resolve(name))
    wanted = [
        ref.target
        for ref in needs
        if not ref.local and model_state(ref.target) not in (READY, UNVERIFIED, REFUSED)
    ]
    if not wanted or is_offline():  # nothing is fetched where it is forbidden
        return None
    sizes = [_size(target) for target in wanted]
    shapes = [shape_of(ref.name) for ref in needs]
    memory = _memory(shapes, room.number_bytes)
    folder = cache.cache_folder()
    return NeededFetch(
        ", ".join(wanted), sum(sizes), hide_credentials(endpoint()), str(folder),
        cache.room(folder), tuple(wanted), memory, room,
        is_least=0 in sizes or (memory > 0 and None in shapes),
    )  # fmt: skip


def _size(target: str) -> int:
    """Return the bytes of a model's fetch, 0 if the hub does not say it in time."""
    known = find_model(target)
    if known is not None:
        return known.download_bytes
    fetch = fetch_state.read_state(cache.repository_folder(target))
    return fetch.size if fetch is not None and fetch.size else listed_size(target, RECOGNIZER)


def _memory(shapes: Sequence[ModelShape | None], number_bytes: int) -> int:
    """Return the memory of models, the first of them with a window; 0 if its shape is unknown."""
    main, *others = shapes or (None,)
    if main is None:
        return 0
    rest = sum(shape.weights_bytes(number_bytes) for shape in others if shape is not None)
    return batch_bytes(main, 1, number_bytes) + rest
