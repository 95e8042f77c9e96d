"""The models that a run fetches first, and if they fit the disk and the memory of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from kb.asr.engines import engine_spec
from kb.asr.engines.model_lookup import resolve, shape_of
from kb.asr.engines.model_registry import find_model
from kb.asr.engines.spec import ModelShape, batch_bytes
from kb.errors import ModelUnavailable
from kb.hub import cache
from kb.hub.client import endpoint, is_offline
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

    The size is that of the known models, 0 for others: the hub is not asked.
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
    known = [each for each in map(find_model, wanted) if each is not None]
    shapes = [shape_of(ref.name) for ref in needs]
    size = sum(each.download_bytes for each in known)
    folder = cache.cache_folder()
    return NeededFetch(
        ", ".join(wanted), size, hide_credentials(endpoint()), str(folder), cache.room(folder),
        tuple(wanted), _memory(shapes, room.number_bytes), room,
        is_least=len(known) < len(wanted) or None in shapes,
    )  # fmt: skip


def _memory(shapes: Sequence[ModelShape | None], number_bytes: int) -> int:
    """Return the memory of models, the first of them with a window; 0 if its shape is unknown."""
    main, *others = shapes or (None,)
    if main is None:
        return 0
    rest = sum(shape.weights_bytes(number_bytes) for shape in others if shape is not None)
    return batch_bytes(main, 1, number_bytes) + rest
