"""A process of its own for one run of a step.

The memory of its model is free again afterwards, a crash of its code ends no worker, and it runs
at a lower priority than the recognizer.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import psutil

from gpu.threads import limit_started_processes
from kb.enrich import get_step
from kb.enrich.base import Progress, StepInput
from kb.errors import Cancelled, KBError

POLL_S = 0.5  # interval at which the caller checks whether the result is still wanted
END_S = 5.0  # for a process to end by itself
# A tenth of a core that another program wants, too. Less would keep a step for hours beside one
# that has nothing to do with words; for them it waits by itself where they need the processor.
_NICE = 10

Result = TypeVar("Result")


def run_apart(
    name: str,
    given: StepInput,
    *,
    progress: Progress = lambda _: None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> dict[str, Any]:
    """Return the result of a step, run in a process of its own.

    Raises as `call_apart` does.
    """
    work = partial(_run_step, name, given)
    return call_apart(name, work, progress=progress, is_wanted=is_wanted)


def _run_step(name: str, given: StepInput, progress: Progress) -> dict[str, Any]:
    return get_step(name).run(given, progress)


def call_apart(
    name: str,
    work: Callable[[Progress], Result],
    *,
    progress: Progress = lambda _: None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Result:
    """Return the result of `work`, called in a process of its own; `name` is that of the process.

    Raises the KBError of the work, Cancelled once `is_wanted` returns False, and an error that may
    pass if the process was ended from outside.
    """
    limit_started_processes()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), name=f"kb-{name}", daemon=True)
    process.start()
    _lower(process.pid)  # before it loads its modules, which takes a second of a core
    theirs.close()
    try:
        while True:
            if ours.poll(POLL_S):
                try:
                    kind, value = ours.recv()
                except EOFError:
                    raise _crashed(name, process) from None
                if kind == "result":
                    found: Result = value
                    return found
                if kind == "error":
                    raise value
                progress(value)
            if not is_wanted():
                raise Cancelled("step.cancelled", "Cancelled; nothing half written is left.")
    finally:
        ours.close()
        process.join(END_S if not process.is_alive() else 0.0)
        if process.is_alive():
            process.kill()
            process.join(END_S)


def _crashed(name: str, process: Any) -> KBError:
    process.join(END_S)
    return KBError(
        "step.crashed",
        "The process of {step} ended (exit code {code}).",
        hint="It is tried again. If it happens each time, memory may be short.",
        retryable=True,
        step=name,
        code=process.exitcode,
    )


def _serve(connection: Connection, work: Callable[[Progress], Any]) -> None:
    """Do the work and send its progress and its result; the function of the process."""
    # The other end is closed when the caller does not want the result any more, or was killed.
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    try:
        result = work(lambda share: connection.send(("progress", share)))
    except KBError as error:
        connection.send(("error", error))
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        unexpected = KBError(
            "item.unexpected",
            "{kind}: {reason}",
            hint="This should not happen; the worker's log has the details.",
            kind=type(error).__name__,
            reason=first,
        )
        connection.send(("error", unexpected))
        raise
    else:
        connection.send(("result", result))


def _lower(pid: int | None) -> None:
    """Give a process what the recognizer leaves of the processor; raises nothing."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if os.name == "nt":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            process.nice(max(_NICE, process.nice()))  # a worker may have a lower one


def _end_with(connection: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        connection.recv()  # nothing is ever sent
    os._exit(1)
