"""A server that runs in a worker's process and uses its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kb.inference.line import Transcriber


class Companion(Protocol):
    """A server beside a worker, in the same process."""

    @property
    def command(self) -> Sequence[str]:
        """The command line that starts worker and server again."""
        ...

    def begin(self, transcriber: Transcriber) -> None:
        """Serve with the worker's model from now on."""
        ...

    def end(self) -> None:
        """End the server within about two seconds; the worker's process ends soon after."""
        ...
