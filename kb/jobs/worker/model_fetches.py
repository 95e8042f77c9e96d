"""The fetches of models for the items of one worker, one thread for each model.

An item whose model is not complete here ends its workflow and waits in the table, so that it uses
no slot of the queue and items with another model go on. The end of the fetch queues it again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from kb.errors import Cancelled, KBError, ModelUnavailable, RetryLater
from kb.hub.conduct import Conduct
from kb.inference import model_fetch

log = logging.getLogger(__name__)

# Trouble that lasts longer than this is the items': they wait, with the reason and the next try.
MODEL_CONDUCT = Conduct(patience_s=60.0, respect_pause=True)
PAUSED_FETCH_S = 60.0  # before an item looks again for a model whose fetch a user has paused
FIRST_LOOK_S = 1.0  # a complete model of another program is verified while its first item waits
WANTED_EVERY_S = 1.0
# An item looks again by itself, in case that its worker ended; many do not look at once.
LOOK_AGAIN_S, LOOK_AGAIN_EACH_S, LOOK_AGAIN_MOST_S = 45.0, 0.25, 800.0
# A row that is just being written as waiting is missed by the first attempts.
WAKE_PAUSES_S = (0.0, 0.3, 1.0, 3.0)

Fetched = tuple[str, str]
"""Engine and model."""


@dataclass
class _Fetch:
    items: set[str]
    ended: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class ModelFetches:
    """The fetches of one worker.

    `is_wanted(ids)` returns False if no item is to be processed any more; `wake(ids)` queues those
    that wait and returns them. `clock` returns the epoch seconds in which the errors' times are.
    """

    def __init__(
        self,
        is_wanted: Callable[[Collection[str]], bool],
        wake: Callable[[Collection[str]], Collection[str]],
        stopping: threading.Event,
        conduct: Conduct = MODEL_CONDUCT,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._is_wanted = is_wanted
        self._wake = wake
        self._stopping = stopping
        self._conduct = conduct
        self._lock = threading.Lock()
        self._fetches: dict[Fetched, _Fetch] = {}

    def require(self, item_id: str, engine: str, model: str) -> None:
        """Return if the models of an item's engine are complete here, or need no fetch.

        Raises RetryLater while they are fetched, and then once for each item that has waited the
        error of a fetch that failed.
        """
        key = (engine, model)
        if model_fetch.are_ready(engine, model):
            with self._lock:
                if key in self._fetches:
                    self._fetches[key].items.discard(item_id)
            return
        with self._lock:
            fetch = self._fetches.get(key)
            fresh = fetch is None or (fetch.ended.is_set() and item_id not in fetch.items)
            if fetch is None or fresh:
                fetch = self._fetches[key] = _Fetch(fetch.items if fetch else set())
            fetch.items.add(item_id)
        if fresh:
            threading.Thread(
                target=self._run, args=(key, fetch), daemon=True, name=f"model {model}"
            ).start()
            fetch.ended.wait(FIRST_LOOK_S)
        with self._lock:
            if fetch.ended.is_set():
                fetch.items.discard(item_id)
            waiting = len(fetch.items)
        if not fetch.ended.is_set():
            pause_s = min(LOOK_AGAIN_MOST_S, LOOK_AGAIN_S + LOOK_AGAIN_EACH_S * waiting)
            raise RetryLater(
                "model.being_fetched",
                "The model {model} is being fetched.",
                hint="The item goes on by itself. See the progress with: kb models",
                until=self._clock() + pause_s,
                model=model,
            )
        if fetch.error is not None:
            raise fetch.error

    def _run(self, key: Fetched, fetch: _Fetch) -> None:
        engine, model = key
        try:
            model_fetch.fetch_models(
                engine, model, cancelled=self._unwanted(fetch), conduct=self._conduct
            )
        except Cancelled:
            # A user stopped the fetch, not the item.
            fetch.error = RetryLater(
                "model.fetch_paused",
                "The fetch of the model {model} is paused.",
                hint="Go on with: kb models pull {model}",
                until=self._clock() + PAUSED_FETCH_S,
                model=model,
            )
        except Exception as error:  # the items' steps classify it
            if isinstance(error, ModelUnavailable) and error.until is not None:
                error.until += self._clock() - time.time()  # a fetch has this machine's clock
            fetch.error = error
        with self._lock:
            fetch.ended.set()
            waiting = set(fetch.items)
        for pause_s in WAKE_PAUSES_S:
            if not waiting or self._stopping.wait(pause_s):
                return
            with self._lock:  # those that have got the error meanwhile wait for another time
                waiting &= fetch.items
            try:
                waiting -= set(self._wake(waiting))
            except KBError as error:  # a locked database; they look again by themselves
                log.warning("%s", error)

    def _unwanted(self, fetch: _Fetch) -> Callable[[], bool]:
        """Return a function that is True if the worker stops or no item waits any more."""
        asked_at, wanted = time.monotonic(), True

        def unwanted() -> bool:
            nonlocal asked_at, wanted
            if self._stopping.is_set():
                return True
            if time.monotonic() - asked_at >= WANTED_EVERY_S:
                asked_at = time.monotonic()
                with self._lock:
                    ids = set(fetch.items)
                try:
                    wanted = self._is_wanted(ids)
                except KBError:  # a locked database
                    wanted = True
            return not wanted

        return unwanted
