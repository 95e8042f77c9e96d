"""The local line: other processes of this machine have media transcribed by the worker's model.

A worker listens on a Unix socket (a named pipe on Windows). Its address and a key stand in a file
of the user's state folder that only this account can read. Each request has a connection of its
own: the caller sends it, the worker sends first readings, progress and the end. A caller that
closes its connection, or is gone, ends its request.

The messages are pickled. Both ends prove that they know the key before anything is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import random
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Client,
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kb.errors import Cancelled, KBError, LibraryError, RetryLater
from kb.options import RunOptions
from kb.storage.user_state import user_folder
from kb.types import SpeechLimits, Transcript

if TYPE_CHECKING:
    from kb.asr.first_readings import OnText
    from kb.inference.process import InferenceProcess
    from kb.inference.session import InferenceSession

log = logging.getLogger(__name__)

POLL_S = 0.1  # interval at which a caller looks whether it was cancelled
BACKLOG = 64  # callers that wait until they are accepted
SOCKETS = "kb-line-"  # beginning of the name of a socket's folder

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Request:
    """A medium that a caller waits for.

    `path` is on this machine; `shown_as` is the path that the transcript names. `hotwords` go into
    the recognizer's prompt; `temperature` is that of the first reading. The detected language is
    one of `languages`; empty: of those of the model. `task`: transcribe, or translate into English.
    `speech_limits` are the caller's for the detection of speech.
    Without `may_swap` the request is refused while another model is at work.
    """

    path: Path
    options: RunOptions
    shown_as: str = ""
    sha256: str = ""
    hotwords: tuple[str, ...] = ()
    may_swap: bool = True
    temperature: float = 0.0
    languages: tuple[str, ...] = ()
    task: str = "transcribe"
    speech_limits: SpeechLimits | None = None


class Transcriber(Protocol):
    """Something that transcribes a medium while its caller waits."""

    def transcribe(
        self,
        request: Request,
        *,
        progress: Progress | None = None,
        on_text: OnText | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Transcript:
        """Return the transcript.

        `progress` gets the share that is done (0..1), `on_text` the first reading of each stretch.
        Raises MediaUnavailable, ModelUnavailable, SettingsError, TranscriptionError, GPUError,
        RetryLater, Cancelled.
        """
        ...


@dataclass(frozen=True, slots=True)
class ModelTranscriber:
    """The transcriber in the worker's own process: its inference process does the work."""

    process: InferenceProcess
    session: InferenceSession  # resolves options; no model is loaded in it

    def transcribe(
        self,
        request: Request,
        *,
        progress: Progress | None = None,
        on_text: OnText | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Transcript:
        """Transcribe with the worker's model, before the items of the queue."""
        options = self.session.transcription_options(request.options)
        options = replace(
            options,
            languages=request.languages or options.languages,
            task=request.task,
            speech_limits=request.speech_limits,
            hotwords=request.hotwords,
            temperature=request.temperature,
            urgent=True,
            may_swap=request.may_swap,
        )
        return self.process.transcribe(
            request.path,
            options,
            sha256=request.sha256,
            shown_as=request.shown_as,
            progress=progress,
            on_text=on_text,
            cancelled=cancelled,
        )


class LineServer:
    """The worker's end of the line. Call `close` at the end."""

    def __init__(self, home: Path, transcriber: Transcriber) -> None:
        """Listen for callers that use the library `home`. Raises LibraryError."""
        self._transcriber = transcriber
        self._lock = threading.Lock()
        self._busy = 0
        self._key = secrets.token_bytes(32)
        name = f"{_name_of(home)}-{os.getpid()}"
        self._file = _folder() / f"{name}.json"
        self._sockets: Path | None = None
        try:
            self._listener = Listener(self._address(name), backlog=BACKLOG)
            self._write_file()
        except OSError as error:
            self.close()
            raise LibraryError(
                "line.not_opened",
                "The line to this worker cannot be opened: {cause}.",
                hint="Programs cannot send clips to this worker; its queue goes on.",
                cause=error,
            ) from error
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    @property
    def busy(self) -> int:
        """Number of requests in progress."""
        return self._busy

    def close(self) -> None:
        """Accept no more callers; requests in progress end with the worker."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
        with contextlib.suppress(OSError, AttributeError):
            self._listener.close()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _write_file(self) -> None:
        """Write address and key to a file that only this account can read."""
        text = json.dumps({"address": self._listener.address, "key": self._key.hex()})
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._file.with_suffix(f".{secrets.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(self._file)

    def _address(self, name: str) -> str:
        if sys.platform == "win32":
            return rf"\\.\pipe\kb-line-{name}"
        # A folder of its own that only this account enters. The path of a socket has 107 bytes at
        # most, and a network share has no sockets: neither the library nor the state folder fits.
        self._sockets = Path(tempfile.mkdtemp(prefix=SOCKETS))
        return str(self._sockets / "line")

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        try:
            with connection:
                deliver_challenge(connection, self._key)
                answer_challenge(connection, self._key)
                request, wants_text = connection.recv()
                with self._counted():
                    self._answer(connection, request, wants_text)
        except (OSError, EOFError, AuthenticationError) as error:
            log.debug("A caller of the line is gone: %s", error)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def _answer(self, connection: Connection, request: Request, wants_text: bool) -> None:
        gone = threading.Event()

        def send(kind: str, value: Any) -> None:
            try:
                connection.send((kind, value))
            except (OSError, ValueError):
                gone.set()

        def is_cancelled() -> bool:
            # The caller sends nothing after its request: what arrives is the end.
            with contextlib.suppress(OSError):
                if not connection.poll(0):
                    return gone.is_set()
            return True

        try:
            transcript = self._transcriber.transcribe(
                request,
                progress=lambda done: send("progress", done),
                on_text=(lambda segments: send("text", segments)) if wants_text else None,
                cancelled=is_cancelled,
            )
        except KBError as error:
            send("error", error)
        else:
            send("transcript", transcript)


class Line:
    """The caller's end of the line to the workers of a library on this machine."""

    def __init__(self, home: Path) -> None:
        """Connect to nothing yet: each request finds a worker."""
        self._home = home

    def transcribe(
        self,
        request: Request,
        *,
        progress: Progress | None = None,
        on_text: OnText | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Transcript:
        """Have a worker transcribe a medium.

        Raises RetryLater if no worker of this account runs here or if it ends meanwhile, and what
        `Transcriber.transcribe` raises.
        """
        with self._connection() as connection:
            try:
                connection.send((request, on_text is not None))
                while True:
                    if not connection.poll(POLL_S):
                        if cancelled and cancelled():
                            raise Cancelled(
                                "recognizer.stopped",
                                "Stopped before the end; nothing was written.",
                            )
                        continue
                    kind, value = connection.recv()
                    if kind == "transcript":
                        found: Transcript = value
                        return found
                    if kind == "error":
                        raise value
                    if kind == "text" and on_text:
                        on_text(value)
                    if kind == "progress" and progress:
                        progress(value)
            except (OSError, EOFError) as error:
                raise RetryLater(
                    "line.worker_ended",
                    "The worker ended before the text was there.",
                    hint="Try again; see logs/worker.log.",
                ) from error

    def _connection(self) -> Connection:
        """Connect to one of the workers; the file of one that is gone is removed."""
        files = sorted(_folder().glob(f"{_name_of(self._home)}-*.json"))
        random.shuffle(files)
        address = ""
        for file in files:
            try:
                line = json.loads(file.read_text(encoding="utf-8"))
                address, key = line["address"], bytes.fromhex(line["key"])
                return Client(address, authkey=key)
            except (FileNotFoundError, ConnectionRefusedError):
                _forget(file, address)
            except (OSError, ValueError, KeyError, EOFError, AuthenticationError) as error:
                log.warning("The line %s cannot be used: %s", file.name, error)
        raise RetryLater(
            "line.no_worker",
            "No worker of this library runs on this machine.",
            hint="Start one: kb worker",
        )


def _forget(file: Path, address: str) -> None:
    """Remove what a worker left that was killed."""
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
    folder = Path(address).parent
    if folder.name.startswith(SOCKETS):
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    return user_folder() / "lines"


def _name_of(home: Path) -> str:
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]
