"""The service that the tools and resources of one server ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from kb.service import Service
from kb.service.existing import has_library
from kb.settings import Settings

WHO = "assistant (kb mcp)"  # in the log of actions
_Answer = TypeVar("_Answer")


class LibraryAccess:
    """One library; its service is made at the first question, and again if the library was away.

    Files of this machine are taken in only from the folders that a dashboard which others reach may
    use, and links only from the public network: an assistant acts on text that it has read.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.replace(shared=True)
        self._service: Service | None = None
        self._lock = threading.Lock()  # the tools are called in threads

    def ask(self, question: Callable[[Service], _Answer]) -> _Answer:
        """Return an answer of the service. Raises LibraryError without a library."""
        with self._lock:
            if self._service is None or not has_library(self.settings.home):
                self._close()
                self._service = Service.of_existing_library(self.settings, WHO)
            service = self._service
        return question(service)

    def close(self) -> None:
        """Close the service; the next question makes another."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._service is not None:
            self._service.close()
            self._service = None
