"""Whose model is in memory: two do not fit into one device, so they take turns.

Media of the loaded model go in together. As soon as somebody waits for another model, newcomers
of the loaded one wait behind him; when the device is idle the first in line has his model
loaded, and all who wait for the same one by then go in with him. So nobody waits for more than
what was there before him, and a model is not put away after every single medium.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from kb.errors import Cancelled

Wanted = tuple[str, str]  # engine and model

_LOOK_S = 0.2  # how often somebody who waits looks whether he is wanted still


@dataclass(slots=True, eq=False)
class _Waiting:
    wanted: Wanted
    called: bool = False  # was in line when his model was loaded


class Exchange:
    """The line in front of one device. Every method is called with `lock` held."""

    def __init__(self, lock: threading.Lock) -> None:
        self._changed = threading.Condition(lock)
        self._line: list[_Waiting] = []
        self.loaded: Wanted | None = None
        self.busy = 0  # media that are with the loaded model

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._line)

    def wait(self, wanted: Wanted, cancelled: Callable[[], bool] | None) -> None:
        """Waits for the turn of a model, which may then be loaded if it is not. Gives up `lock`
        meanwhile. Raises Cancelled."""
        mine = _Waiting(wanted)
        self._line.append(mine)
        try:
            while not self._may_go(mine):
                self._changed.wait(_LOOK_S)
                if cancelled and cancelled():
                    raise Cancelled("Stopped before it began.")
        finally:
            self._line.remove(mine)
            self._changed.notify_all()

    def arrived(self, loaded: Wanted) -> None:
        """A model was loaded: all who wait for it are called."""
        self.loaded = loaded
        for each in self._line:
            each.called = each.wanted == loaded
        self._changed.notify_all()

    def enter(self) -> None:
        """One more medium is with the loaded model."""
        self.busy += 1

    def leave(self) -> None:
        """A medium is done."""
        self.busy -= 1
        self._changed.notify_all()

    def _may_go(self, mine: _Waiting) -> bool:
        before = self._line[: self._line.index(mine)]
        if self.loaded == mine.wanted:
            return mine.called or all(each.wanted == mine.wanted for each in before)
        # Those who were called come in first, even if they have not looked up yet.
        coming = any(each.called and each.wanted == self.loaded for each in self._line)
        return not self.busy and not coming and not before
