"""The command for assistants: mcp."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from kb.cli.output import console
from kb.errors import UsageError
from kb.settings import get_settings, python_command


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("mcp")(serve_assistant)


def serve_assistant(
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the entry for an assistant's settings.")
    ] = False,
) -> None:
    """Search and transcripts for assistants (Model Context Protocol), over stdin and stdout."""
    if find_spec("mcp") is None:
        raise UsageError(
            "mcp.not_installed",
            "The package mcp is not installed.",
            hint='Install it: pip install "mcp>=2.3,<3"',
        )
    if print_config:
        command, *arguments = python_command("-m", "kb.cli", "mcp")
        entry = {
            "command": command,
            "args": arguments,
            "env": {"KB_HOME": str(get_settings().home)},
        }
        console.print_json({"mcpServers": {"kb-ingest": entry}})
        return
    from kb.mcp.server import make_server

    make_server().run("stdio")
