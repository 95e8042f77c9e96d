"""The server of the API: its address, and uvicorn in a thread beside a worker or alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import uvicorn

from kb.api.app import create_app
from kb.api.context import ApiContext
from kb.api.guard import LOOPBACK_NAMES
from kb.api.listening import address, check_access, listen
from kb.service.line import Transcriber
from kb.settings import Settings
from kb.types.addresses import is_loopback
from kb.types.end_signals import handle_end_signals

END_S = 2  # for the answers under way

log = logging.getLogger(__name__)


class ApiServer:
    """The server, which may run beside a worker (`kb.service.line.Companion`)."""

    def __init__(self, settings: Settings, host: str, port: int, command: Sequence[str]) -> None:
        """Take the address; port 0 is any free one. Raises UsageError.

        `command` starts the same server again.
        """
        self.command = tuple(command)
        check_access(host, settings)
        self._socket = listen(host, port)
        self.address = address(host, self._socket.getsockname()[1])
        self._context = ApiContext(settings)
        hosts = LOOPBACK_NAMES if is_loopback(host) else ()
        config = uvicorn.Config(
            create_app(self._context, hosts=hosts),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=END_S,
            lifespan="on",
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def run(self, transcriber: Transcriber) -> None:
        """Serve until a signal asks for the end (Ctrl-C, SIGTERM); called by the main thread."""
        stop = threading.Event()
        handle_end_signals(lambda *_: stop.set())
        self.begin(transcriber)
        self.start()
        while self._thread is not None and self._thread.is_alive() and not stop.wait(0.2):
            pass
        self.end()

    def start(self) -> None:
        """Serve in a thread; requests that need the recognizer are refused until `begin`."""
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self._thread.start()

    def begin(self, transcriber: Transcriber) -> None:
        """Transcribe with this recognizer from now on."""
        self._context.recognizer = transcriber

    def end(self) -> None:
        """End the server: answers under way have two seconds."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(END_S + 0.5)

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except (Exception, SystemExit):
            log.exception("The API has ended")
