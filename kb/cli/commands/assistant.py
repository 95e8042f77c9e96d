"""The command for assistants: mcp."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any

import typer

from kb.cli.output import console
from kb.errors import UsageError
from kb.service.access_keys import keys_exist
from kb.settings import get_settings, python_command


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("mcp")(serve_assistant)


def serve_assistant(
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the entry for an assistant's settings.")
    ] = False,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP instead of stdin and stdout.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on with --http; others need a key.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port with --http; 0 takes a free one.")
    ] = 8765,
) -> None:
    """Search and transcripts for assistants (Model Context Protocol)."""
    if find_spec("mcp") is None:
        raise UsageError(
            "mcp.not_installed",
            "The package mcp is not installed.",
            hint='Install it: pip install "mcp>=2.3,<3"',
        )
    if print_config:
        entry = _http_entry(host, port) if http else _stdio_entry()
        console.print_json({"mcpServers": {"kb-ingest": entry}})
        return
    if http:
        from kb.mcp.http import serve

        serve(
            get_settings(), host, port,
            lambda address: console.print_note(f"Assistants reach the library at {address}"),
        )  # fmt: skip
        return
    from kb.cli.ending import end_at_once
    from kb.mcp.server import make_server

    end_at_once()  # the thread that waits for the next line of the input cannot be broken off
    make_server().run("stdio")


def _stdio_entry() -> dict[str, Any]:
    command, *arguments = python_command("-m", "kb.cli", "mcp")
    return {"command": command, "args": arguments, "env": {"KB_HOME": str(get_settings().home)}}


def _http_entry(host: str, port: int) -> dict[str, Any]:
    """Return the entry for a server that runs already; the key is for the user to fill in."""
    shown = f"[{host}]" if ":" in host else host
    entry: dict[str, Any] = {"type": "http", "url": f"http://{shown}:{port}/mcp"}
    if keys_exist(get_settings()):
        entry["headers"] = {"Authorization": "Bearer KEY"}
    return entry
