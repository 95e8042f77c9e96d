"""The main function of the inference process: one thread per request, until the connection ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gpu.throughput import Calibration
from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.errors import DeviceLost, KBError
from kb.inference.crash import unexpected
from kb.inference.malloc import return_free_memory_soon
from kb.inference.progress import rate_limited
from kb.inference.readers.pool import ReaderPool
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.options import RunOptions
from kb.settings import Settings
from kb.types.end_signals import END_SIGNALS
from kb.types.guarded_output import guarded_output

log = logging.getLogger(__name__)

DEVICE_LOST_EXIT_CODE = 75  # exit code of the process after a lost device
# Seconds after which a thread gives up the interpreter's lock. The thread that feeds the device
# takes the lock for each kernel and each recorded step, and threads that prepare media would keep
# it for Python's 5 ms each time, in which a card writes three tokens of 56 windows.
LOCK_SWITCH_S = 0.0005
DEVICE_FAILED_PREFIX = "The device failed: "


@guarded_output()  # libraries print past the logger
def serve(
    connection: Connection,
    settings: Settings,
    workers: int,
    *,
    cpu_reason: str = "",
    calibrations: Sequence[Calibration] = (),
) -> None:
    """Run the process's main loop: one thread per request, until the connection is closed."""
    sys.setswitchinterval(LOCK_SWITCH_S)
    # Ctrl-C and the end of a terminal reach all processes of the terminal, and a service manager's
    # stop all processes of the service; the worker handles them, and closes the connection.
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    send_lock = threading.Lock()
    stop_events: dict[int, threading.Event] = {}

    def send(number: int, kind: str, value: Any) -> None:
        with send_lock, contextlib.suppress(OSError):
            connection.send((number, kind, value))

    session = InferenceSession(
        settings,
        AdjustableSemaphore(workers),
        on_snapshot=lambda snapshot: send(0, "machine", snapshot),
        calibrations=lambda: calibrations,
        cpu_reason=cpu_reason,
        readers=ReaderPool(settings),
    )

    def handle_request(
        number: int,
        path: Path,
        options: TranscriptionOptions,
        sha256: str,
        shown_as: str,
        wants_text: bool,
    ) -> None:
        try:
            transcript = session.transcribe_pickled(
                path,
                options,
                sha256=sha256,
                shown_as=shown_as,
                progress=rate_limited(lambda done: send(number, "progress", done)),
                cancelled=stop_events[number].is_set,
                on_ready=lambda: send(number, "ready", None),
                on_text=(lambda segments: send(number, "text", segments)) if wants_text else None,
            )
        except DeviceLost as error:
            # The device is unusable in this process; the other items end with the process, too.
            send(0, "lost", error.message.removeprefix(DEVICE_FAILED_PREFIX).rstrip("."))
            os._exit(DEVICE_LOST_EXIT_CODE)
        except KBError as error:
            send(number, "error", error)
        except Exception as error:
            log.exception("%s", path)
            send(number, "error", unexpected(error))
        else:
            send(number, "transcript", transcript)
        finally:
            stop_events.pop(number, None)
            return_free_memory_soon()

    threading.Thread(target=_preload, args=(session, settings), daemon=True).start()
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            # The worker has ended. Threads may be inside a model: exit immediately.
            os._exit(0)
        if message[0] == "end":
            os._exit(0)
        if message[0] == "calibrations":
            # On a thread of its own: it waits while a model is being loaded.
            threading.Thread(
                target=session.renew_calibrations, args=(message[1],), daemon=True
            ).start()
            continue
        if message[0] == "cancel":
            stop = stop_events.get(message[1])
            if stop is not None:
                stop.set()
            continue
        _, number, *rest = message
        stop_events[number] = threading.Event()
        threading.Thread(target=handle_request, args=(number, *rest), daemon=True).start()


def _preload(session: InferenceSession, settings: Settings) -> None:
    """Load the model that the table of models names for the start."""
    from kb.asr.engines.model_table import load_models

    try:
        row = load_models(settings).preload
        if row is not None:
            session.prepare(session.transcription_options(RunOptions(model=row.id)))
    except KBError as error:
        log.warning("The model cannot be loaded ahead: %s %s", error.message, error.hint)
