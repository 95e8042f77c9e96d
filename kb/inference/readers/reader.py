"""The main function of a reader: one thread per recording, until the model's process ends.

    python -m kb.inference.readers.reader

It talks over its standard input and output, and ends when they are closed: also after the model's
process was killed.
"""

from __future__ import annotations

import io
import logging
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import cached_property
from typing import Any

from kb.asr.audio.vad import Audio, SpeechDetector
from kb.asr.quality.repair_budget import RepairBudget
from kb.errors import KBError
from kb.inference.crash import unexpected
from kb.inference.malloc import return_memory
from kb.inference.progress import rate_limited
from kb.inference.read_medium import check_medium, read_medium
from kb.inference.readers.channel import Channel
from kb.inference.readers.messages import ModelFacts, ReadWindow, Request
from kb.inference.readers.remote import Line, RemoteOther, RemoteQueue, RemoteSlots
from kb.settings import Settings
from kb.types import Transcript
from kb.types.end_signals import END_SIGNALS
from kb.types.guarded_output import guarded_output

log = logging.getLogger(__name__)

CONVERTERS_KEPT = 4  # of the engine and the other engine, also while one is replaced


class Reader:
    """The recordings of this process."""

    def __init__(self, channel: Channel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings
        self._budget = RepairBudget()
        self._lines: dict[int, Line] = {}
        self._converters: dict[int, Any] = {0: None}
        self._lock = threading.Lock()

    @cached_property
    def _detector(self) -> SpeechDetector:
        return SpeechDetector()

    def run(self) -> None:
        """Take messages until the model's process ends."""
        self._send(0, "started", os.getpid(), None)
        while True:
            (kind, number, value, others), _ = self._channel.receive()
            self._budget.set_others(others)
            if kind == "converter":
                self._keep_converter(*value)
            elif kind == "begin":
                self._begin(number, value)
            elif (line := self._lines.get(number)) is not None:
                self._pass_on(line, kind, value)

    def _pass_on(self, line: Line, kind: str, value: Any) -> None:
        if kind == "window":
            assert isinstance(value, ReadWindow)
            line.receive(value, self._converters.get(value.converter))
        elif kind == "stop":
            line.stopped.set()
        else:
            line.replies.put(value)

    def _keep_converter(self, number: int, converter: Any) -> None:
        self._converters[number] = converter
        for old in sorted(self._converters)[1:-CONVERTERS_KEPT]:
            del self._converters[old]

    def _begin(self, number: int, request: Request) -> None:
        def send(kind: str, value: Any, sound: Audio | None = None) -> None:
            self._send(number, kind, value, sound)

        line = self._lines[number] = Line(send)
        threading.Thread(
            target=self._read, args=(number, request, line), name=f"recording {number}", daemon=True
        ).start()

    def _send(self, number: int, kind: str, value: Any, sound: Audio | None) -> None:
        # With the model's process gone, `run` ends this one.
        with suppress(OSError):
            self._channel.send((kind, number, value, self._budget.figures()), sound)

    def _read(self, number: int, request: Request, line: Line) -> None:
        try:
            transcript = self._transcript(request, line)
        except KBError as error:
            line.send("failed", error, None)
        except Exception as error:
            log.exception("%s", request.path)
            line.send("failed", unexpected(error), None)
        else:
            # Pickled apart, so that the model's process passes it on as it is.
            line.send("done", pickle.dumps(transcript), None)
        finally:
            self._lines.pop(number, None)

    def _transcript(self, request: Request, line: Line) -> Transcript:
        began = time.perf_counter()
        options = request.options
        check_medium(request.path, options, self._settings)
        facts: ModelFacts = line.call("checked")
        with self._lock:
            detector = self._detector
        return read_medium(
            request.path,
            options,
            self._settings,
            RemoteQueue(line, facts),
            began=began,
            detector=detector,
            slots=RemoteSlots(line) if facts.limited else None,
            other=RemoteOther(line, facts) if facts.other else None,
            budget=self._budget,
            sha256=request.sha256,
            shown_as=request.shown_as,
            cpu_reason=facts.cpu_reason,
            device=facts.device,
            progress=rate_limited(lambda done: line.send("progress", done, None)),
            cancelled=line.stopped.is_set,
            on_text=(lambda text: line.send("text", text, None)) if request.wants_text else None,
        )


def _own_streams() -> Channel:
    """Return the channel over standard input and output, and take both from everything else.

    ffmpeg would read from the one, and a library's `print` would write to the other.
    """
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Channel(io.FileIO(source, "r"), io.FileIO(sink, "w"))


@guarded_output()
def main() -> None:
    """Run a reader."""
    # As in the model's process: the worker handles them.
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    channel = _own_streams()
    return_memory()
    try:
        settings, _ = channel.receive()
        Reader(channel, settings).run()
    except EOFError:
        # Threads may be inside ffmpeg or the detector: exit immediately.
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
