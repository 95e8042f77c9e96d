"""The command that starts the dashboard: app."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from typing import Annotated
from urllib.parse import urlsplit

import typer

from kb.cli.output import console
from kb.errors import UsageError
from kb.service import open_browser
from kb.service.existing import has_library
from kb.settings import BUNDLED, get_settings, python_command
from kb.types.end_signals import handle_end_signals


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("app")(open_app)


def open_app(
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only start the server; open no browser.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65_535, help="The port, in place of 8501."),
    ] = None,
) -> None:
    """The dashboard, in the browser."""
    home = get_settings().home
    if not has_library(home):
        console.print_note(f"There is no library in {home} yet; the dashboard makes one there.")
    command = python_command("-m", "streamlit", "run", str(BUNDLED / "streamlit_app.py"))
    reason = open_browser.unavailable_reason(os.environ)
    if reason and not no_browser:
        console.print_note(
            f"No browser is opened, because {reason}: open the address below yourself."
        )
    if not reason and not no_browser:
        command += ["--", open_browser.OPEN_BROWSER_FLAG]
    # Streamlit and the settings read their files from the working directory. The server has
    # another working directory, and must use the library of the current one.
    environment = {**os.environ, "KB_HOME": str(home)}
    _require_free(port or _environment_port())
    if port is not None:
        environment["STREAMLIT_SERVER_PORT"] = str(port)
        address = urlsplit(get_settings().public_url)
        if address.hostname == "127.0.0.1" and address.port != port:
            environment["KB_PUBLIC_URL"] = f"http://127.0.0.1:{port}"
            console.print_note(
                f"Links of other commands and of documents lead to {get_settings().public_url}; "
                f"to this dashboard with KB_PUBLIC_URL=http://127.0.0.1:{port}."
            )
    raise typer.Exit(_run_until_ended(command, environment))


def _environment_port() -> int | None:
    """Return the port that Streamlit's own variable names."""
    named = os.environ.get("STREAMLIT_SERVER_PORT", "")
    return int(named) if named.isdecimal() and 0 < int(named) < 65_536 else None


def _require_free(port: int | None) -> None:
    """Raise UsageError if a program listens at a port that was asked for by its number."""
    if port is None:
        return  # Streamlit takes the next free one from 8501 on
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    raise UsageError(
        "app.port_taken",
        "Another program uses port {port}.",
        hint="If it is this dashboard, open http://127.0.0.1:{port}. Else: kb app --port {free}",
        port=port,
        free=free,
    )


def _run_until_ended(command: list[str], environment: dict[str, str]) -> int:
    """Run the dashboard's server; who ends this process ends the server. Return its exit code."""
    with subprocess.Popen(command, cwd=BUNDLED, env=environment) as server:
        # On Ctrl-C the server gets the signal of the terminal, too: `with` waits for its end.
        handle_end_signals(lambda *_: server.terminate(), but=(signal.SIGINT,))
        code = server.wait()
    return code if code >= 0 else 128 - code
