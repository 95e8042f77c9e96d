"""The command that works through the queue: worker."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from kb.cli.options import with_run_options
from kb.cli.output import console
from kb.cli.output.library import new_library_note
from kb.cli.plain_options import Json
from kb.errors import KBError, UsageError
from kb.options import RunOptions
from kb.service import Service

START_S, STOP_S = 120.0, 20.0  # a busy machine takes long to load a worker


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)


@with_run_options("preset", "workers")
def worker(
    options: RunOptions,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run on in the background, also without a terminal.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Ask every worker to stop.")] = False,
    exit_when_idle: Annotated[
        bool, typer.Option("--exit-when-idle", help="End when nothing is queued or running.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Work through the queue until stopped (Ctrl-C, or --stop)."""
    if as_json and not (detach or stop):
        raise UsageError(
            "worker.json_here",
            "A worker that runs here has no result to print.",
            hint="kb worker --detach --json, or kb worker --stop --json",
        )
    service = Service.of_existing_library() if stop else Service()
    if stop:
        stopped = _stop_workers(service)
        if as_json:
            console.print_json({"stopped": stopped})
        return
    with new_library_note(service.settings.home):
        service.queue.prepare()
    if detach:
        name = service.queue.own_executor_id
        if service.queue.own_worker_alive():
            if as_json:
                console.print_json({"worker": name, "started": False})
            console.print_note(f"A worker is running already: {name}.")
            return
        options.resolve_preset(service.settings)
        pid = service.workers.start(exit_when_idle=exit_when_idle, options=options)
        log = service.settings.home / "logs" / "worker.log"
        deadline = time.monotonic() + START_S
        for hung in service.queue.hung_workers():
            if hung.executor_id == name:
                # The new worker watches the hung one for this time before it takes its place.
                deadline += service.settings.worker_timeout_s
                console.print_warning(
                    f"Worker {hung.executor_id} (process {hung.pid}) does not answer; the new one "
                    "takes its place."
                )
        while time.monotonic() < deadline and not service.queue.own_worker_alive():
            if not service.workers.is_process(pid):
                break
            time.sleep(0.2)
        if not service.queue.own_worker_alive():
            raise UsageError(
                "worker.not_started", "The worker did not come up.", hint="See {log}", log=log
            )
        if as_json:
            console.print_json({"worker": name, "started": True, "pid": pid, "log": str(log)})
        console.print_note(f"Worker started (process {pid}); log: {log}. Stop it: kb worker --stop")
        return
    console.print_note("Working; Ctrl-C stops, and unfinished items go on with the next start.")
    service.workers.run_here(
        preset=options.preset, preparations=options.workers, exit_when_idle=exit_when_idle
    )


def _stop_workers(service: Service) -> list[str]:
    """Stop the workers and return their names.

    Those of this machine are stopped without the database too, if it does not answer.
    """
    queue = service.queue
    names = queue.stop_local_workers()
    trouble: KBError | None = None
    try:
        names = queue.stop_workers()
    except KBError as error:
        trouble = error
    deadline = time.monotonic() + STOP_S
    while True:
        waited = time.monotonic() >= deadline
        alive = {each.executor_id: each.pid for each in queue.local_workers()}
        hung = set(alive) if waited else set()
        if trouble is None:
            try:
                silent = queue.hung_workers()
                alive |= queue.at_work() | {each.executor_id: each.pid for each in silent}
                hung = {each.executor_id for each in silent}
            except KBError as error:
                trouble = error
        if waited or not alive:
            break
        time.sleep(0.2)
    for name in sorted(hung):
        console.print_warning(
            f"Worker {name} (process {alive[name]}) does not answer; it is ended."
        )
    ended = queue.end_hung_workers() if trouble is None else queue.end_local_workers()
    if trouble is not None:
        console.print_error(trouble)
        console.print_note("Workers of other machines were not asked.")
    remaining = sorted(set(alive) - set(ended))
    if remaining:
        raise UsageError(
            "worker.still_running",
            "Still running: {names}.",
            hint="Wait and try again.",
            names=", ".join(remaining),
        )
    stopped = list(dict.fromkeys([*names, *ended]))
    if stopped:
        console.print_note(
            f"Stopped: {', '.join(stopped)}. Unfinished items go on with the next start."
        )
    elif trouble is None:
        console.print_note("No worker is running.")
    return stopped
