"""The command of the HTTP API: serve."""

from __future__ import annotations

from typing import Annotated

import typer

from kb.cli.output import console
from kb.cli.output.library import new_library_note
from kb.service import Service
from kb.settings import python_command


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(serve)


def serve(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; beyond this machine with a key.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", envvar="PORT", min=0, max=65535, help="0 takes a free one.")
    ] = 8080,
    worker: Annotated[
        bool,
        typer.Option("--worker/--no-worker", help="Work through the queue in this process, too."),
    ] = True,
) -> None:
    """The HTTP API for other programs, with a worker beside it, until stopped (Ctrl-C)."""
    from kb.api.server import ApiServer
    from kb.service.line import Line

    service = Service()
    with new_library_note(service.settings.home):
        service.queue.prepare()
    beside = worker and not service.queue.own_worker_alive()
    arguments = ["--host", host, "--port", str(port), *([] if worker else ["--no-worker"])]
    command = python_command("-m", "kb.cli", "serve", *arguments)
    server = ApiServer(service.settings, host, port, command)
    console.print_note(f"The API is at {server.address}/v1; Ctrl-C stops it.")
    if not beside:
        console.print_note("It uses the worker of this machine.")
        server.run(Line(service.settings.home))
        return
    server.start()
    service.workers.run_here(companion=server)
