"""An engine in a process of its own, spoken to by a pipe.

It gets the text as data on its input, never on a command line, and none of this program's secrets.
It ends when it is silent for too long, says something that is no answer, or is not needed any more;
with a caller that is killed it ends too, by the end of its input.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, cast

import numpy as np

from kb.errors import KBError, UsageError
from kb.media.pcm import Pcm
from kb.media.process_group import own_group
from kb.types.safe_text import shown

MOST_BYTES = 200_000_000  # of one answer: over half an hour of speech
_MOST_HEAD = 10_000
_KEPT_MESSAGES = 20
_SECRET = re.compile(r"^KB_|KEY|TOKEN|SECRET|PASSW|CREDENTIAL|PROXY", re.IGNORECASE)


def environment() -> dict[str, str]:
    """Return the environment of a process that runs code of others: without secrets."""
    return {name: value for name, value in os.environ.items() if not _SECRET.search(name)}


class EngineProcess:
    """A process that answers each line of JSON with a line of JSON and bytes."""

    def __init__(self, engine: str, command: Sequence[str], patience_s: float) -> None:
        """Start it. Raises KBError."""
        self._engine = engine
        self._patience_s = patience_s
        self._process = start(engine, command)
        self._messages: list[str] = []
        self._reader = threading.Thread(
            target=_collect, args=(self._process, self._messages), daemon=True
        )
        self._reader.start()

    def ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return head and bytes of the answer. Raises KBError; the process has ended then."""
        with deadline(self._process, self._patience_s) as late:
            try:
                given = cast("IO[bytes]", self._process.stdin)
                given.write(json.dumps(request).encode() + b"\n")
                given.flush()
                head = self._head()
                body = self._body(head["bytes"])
            except (OSError, EOFError, ValueError, LookupError, TypeError, RecursionError) as error:
                self.close()
                raise self._failed(late.is_set(), error) from None
        if reason := head.get("error"):
            raise refused(self._engine, str(reason))
        return head, body

    def sound(self, request: Mapping[str, Any]) -> Pcm:
        """Return the sound of the answer. Raises KBError."""
        head, body = self.ask(request)
        rate_hz = head.get("rate")
        if type(rate_hz) is not int or not 1000 <= rate_hz <= 400_000:
            self.close()
            raise self._failed(False, ValueError("an answer without a rate"))
        return Pcm(rate_hz, np.frombuffer(body[: len(body) // 2 * 2], "<i2").astype(np.int16))

    def close(self) -> None:
        """End the process."""
        end(self._process)
        self._reader.join()

    def _head(self) -> dict[str, Any]:
        line = cast("IO[bytes]", self._process.stdout).readline(_MOST_HEAD)
        if not line:
            raise EOFError
        head = json.loads(line)
        size = head["bytes"]
        if type(size) is not int or not 0 <= size <= MOST_BYTES:
            raise ValueError("an answer of an impossible size")
        return cast("dict[str, Any]", head)

    def _body(self, size: int) -> bytes:
        body = cast("IO[bytes]", self._process.stdout).read(size)
        if len(body) < size:
            raise EOFError
        return body

    def _failed(self, was_late: bool, error: Exception) -> KBError:
        if was_late:
            return silent(self._engine, self._patience_s)
        if isinstance(error, OSError | EOFError):
            return ended(self._engine, _last(self._messages, self._process.returncode))
        return garbage(self._engine)


def run_once(engine: str, command: Sequence[str], text: str, patience_s: float) -> bytes:
    """Return what a program writes for a text on its input. Raises KBError."""
    process = start(engine, command)
    messages: list[str] = []

    def give() -> None:
        given = cast("IO[bytes]", process.stdin)
        with suppress(OSError):  # a program that ended: its code says why
            given.write(text.encode())
            given.close()

    threads = [
        threading.Thread(target=give, daemon=True),
        threading.Thread(target=_collect, args=(process, messages), daemon=True),
    ]
    for each in threads:
        each.start()
    with deadline(process, patience_s) as late:
        try:
            output = cast("IO[bytes]", process.stdout).read(MOST_BYTES + 1)
            if len(output) <= MOST_BYTES:
                process.wait()
        finally:
            end(process)
            for each in threads:
                each.join()
    if late.is_set():
        raise silent(engine, patience_s)
    if len(output) > MOST_BYTES:
        raise garbage(engine)
    if process.returncode:
        raise ended(engine, _last(messages, process.returncode))
    return output


def _collect(process: subprocess.Popen[bytes], messages: list[str]) -> None:
    with cast("IO[bytes]", process.stderr) as stream:
        while line := stream.readline(_MOST_HEAD):
            messages.append(line[:500].decode("utf-8", "replace").strip())
            del messages[:-_KEPT_MESSAGES]


def _last(messages: Sequence[str], code: int | None) -> str:
    return next((line for line in reversed(messages) if line), f"exit code {code}")


def start(engine: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process of an engine with three pipes. Raises KBError."""
    try:
        return subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(), **own_group(),
        )  # fmt: skip
    except OSError as error:
        raise ended(engine, error.strerror or type(error).__name__) from error


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and wait for it."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not sent yet cannot be
                pipe.close()


class deadline:  # noqa: N801  # it is used as a function
    """Kills a process at the end of a time; yields the event of that."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._late = threading.Event()
        self._process = process
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> threading.Event:
        self._timer.start()
        return self._late

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self._late.set()
        self._process.kill()


def silent(engine: str, seconds: float) -> KBError:
    """Return the error of an engine that does not answer."""
    return KBError(
        "speech.silent",
        "The engine {engine} has not answered within {seconds:g} s and was ended.",
        hint="Try again; KB_SPEECH_TIMEOUT_S allows more time.",
        retryable=True,
        engine=engine,
        seconds=seconds,
    )


def ended(engine: str, reason: str) -> KBError:
    """Return the error of an engine that ended by itself."""
    return KBError(
        "speech.ended",
        "The engine {engine} ended: {reason}",
        hint="Try again, or take another voice: kb speak --voices",
        retryable=True,
        engine=engine,
        reason=shown(reason)[:200],
    )


def garbage(engine: str) -> KBError:
    """Return the error of an engine that says something else than sound."""
    return KBError(
        "speech.garbage",
        "The engine {engine} gives an answer that is no sound.",
        hint="Install it again, or take another voice: kb speak --voices",
        engine=engine,
    )


def refused(engine: str, reason: str) -> UsageError:
    """Return the error of an engine that declines a voice or a text."""
    return UsageError(
        "speech.refused",
        "The engine {engine} cannot speak this: {reason}",
        hint="Take another voice: kb speak --voices",
        engine=engine,
        reason=shown(" ".join(reason.split()))[:200],
    )
