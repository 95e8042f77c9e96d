"""The fallback engine: a second recognizer for windows that remain suspect."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from gpu.throttle import Throttle
from kb.asr.batching.batcher import Batcher
from kb.asr.engines import load_engine
from kb.asr.engines.model_lookup import shape_of
from kb.asr.engines.spec import WORKSPACE_BYTES
from kb.errors import DeviceLost, KBError

if TYPE_CHECKING:
    from gpu.manager import GPUManager

log = logging.getLogger(__name__)


class FallbackEngine:
    """A second engine, loaded at its first use and kept. Thread-safe.

    An engine that cannot be loaded is not tried again: the first engine's words are kept.
    """

    def __init__(
        self,
        setting: str,
        manager: Callable[[], GPUManager],
        batch_size: int,
        *,
        throttle: Callable[[], Throttle] = Throttle,
    ) -> None:
        """`setting`: `engine:model`, as in `KB_REPAIR_ENGINE`; `throttle`: the share of the
        time that the device rests, as for the first engine's batcher.
        """
        self.name = setting
        self._engine, _, self._model = setting.partition(":")
        self._manager = manager
        self._batch_size = batch_size
        self._throttle = throttle
        self._lock = threading.Lock()
        self._batcher: Batcher | None = None
        self._failed = False

    def open(self) -> Batcher | None:
        """Return the engine's batcher, None if it cannot be loaded. Raises DeviceLost."""
        with self._lock:
            if self._batcher is None and not self._failed:
                manager = self._manager()
                before = manager.memory().used
                try:
                    engine = load_engine(self._engine, self._model, manager)
                except DeviceLost:
                    raise  # the device is lost for the first engine as well
                except KBError as error:
                    self._failed = True
                    log.warning("No second reading by %s: %s", self.name, error.message)
                    return None
                # Memory of the first engine's windows may be freed meanwhile: count at least the
                # weights.
                grown = manager.memory().used - before
                shape = shape_of(self._model)
                weights = shape.weights_bytes(manager.dtype.itemsize) if shape else 0
                manager.add_permanent(max(grown, weights))
                each = shape.window_bytes(manager.dtype.itemsize) if shape else 0
                spare = WORKSPACE_BYTES if manager.on_gpu else 0
                self._batcher = Batcher(
                    engine,
                    manager,
                    self._batch_size,
                    # Memory that the first engine's windows hold now is not available.
                    max_batch=lambda: manager.batch_ceiling(weights_bytes=spare, window_bytes=each),
                    throttle=self._throttle,
                    window_bytes=each,
                )
            return self._batcher

    def cancel(self, owner: Hashable) -> None:
        """Remove the waiting windows of `owner`."""
        if self._batcher is not None:
            self._batcher.cancel(owner)

    def close(self) -> None:
        """Free the model, if it was loaded."""
        with self._lock:
            if self._batcher is not None:
                self._batcher.close()
                self._batcher.engine.close()
                self._batcher = None
