"""An HTTP response with speech, sent while it is spoken.

A caller may leave at any moment, before the first part as well: then the engine must end and its
place be free again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from kb.service.speech import Stream

_Content = Iterable[bytes] | Iterable[str]


class SpokenResponse(StreamingResponse):
    """The parts of a stream; `ended` is called once, after the engine has ended."""

    def __init__(
        self,
        stream: Stream,
        ended: Callable[[], None],
        form: Callable[[Iterator[bytes]], _Content] | None = None,
        **more: Any,
    ) -> None:
        """Make the first part, so that what cannot be spoken is refused. Raises KBError.

        `form` makes the body of the parts. `ended` is not called after an error here.
        """
        self._parts = stream.parts
        self._ended = ended
        parts = chain([next(self._parts, b"")], self._parts)
        super().__init__(form(parts) if form else parts, **more)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # An engine may take a while to end, and other requests must not wait for it.
            threading.Thread(target=self._close, name="kb-speech-end", daemon=True).start()

    def _close(self) -> None:
        try:
            close: Any = getattr(self._parts, "close", lambda: None)
            close()
        finally:
            self._ended()
