"""The HTTP API on loopback, with a real recognizer or one that the test controls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kb.api.server import ApiServer
from kb.errors import Cancelled, MediaUnavailable
from kb.service.line import Request, Transcriber
from kb.settings import Settings
from kb.types import Segment, Transcript
from tests.support.kept_transcripts import said, transcript

FIRST, SECOND = said("The harbour is quiet."), said("A ferry leaves.")


@dataclass
class Held:
    """A recognizer that gives its first reading, and ends when the test lets it."""

    go: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)
    cancelled: int = 0
    error: Exception | None = None

    def transcribe(
        self,
        request: Request,
        *,
        progress: Callable[[float], None] | None = None,
        on_text: Callable[[tuple[Segment, ...]], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Transcript:
        self.requests.append(request)
        content = request.path.read_bytes()
        if self.error is not None:
            raise self.error
        if content == b"broken":
            raise MediaUnavailable("media.no_sound", "{path} has no sound.", path=request.path)
        if on_text:
            on_text((FIRST,))
        assert cancelled
        while not self.go.wait(0.02):
            if cancelled():
                self.cancelled += 1
                raise Cancelled("recognizer.stopped", "Stopped.")
        return transcript(FIRST, SECOND)


@contextmanager
def served(home: Path, recognizer: Transcriber | None, **values: object) -> Iterator[ApiServer]:
    """Serve the API of a library at a free port; `values` are settings by their names."""
    settings = Settings.model_validate({"KB_HOME": str(home), "KB_MODEL": "demo", **values})
    server = ApiServer(settings, "127.0.0.1", 0, [])
    if recognizer is not None:
        server.begin(recognizer)
    server.start()
    try:
        yield server
    finally:
        server.end()
