"""The command for probes: health."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from kb.cli.exit_codes import FAILED
from kb.cli.output import console
from kb.cli.plain_options import Json

TIMEOUT_S = 30.0
MOST_BYTES = 100_000


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(health)


def health(
    ready: Annotated[
        bool, typer.Option("--ready", help="Only if it has just transcribed a short sound.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", envvar="PORT", min=1, max=65535, help="Port of the server.")
    ] = 8080,
    path: Annotated[
        str, typer.Option("--path", help="Another path, such as /_stcore/health of the dashboard.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Ask the API server of this machine for its health; exit code 1 if it is not well."""
    own = "/health/ready" if ready else "/health"
    document = _ask(f"http://127.0.0.1:{port}/{(path or own).lstrip('/')}")
    well = document.get("status") == "ok"
    if as_json:
        console.print_json(document)
    elif well:
        console.print_note("The server is well.")
    else:
        console.print_note(f"The server is not well: {document.get('reason', 'no reason given')}")
    if not well:
        raise typer.Exit(FAILED)


def _ask(address: str) -> dict[str, Any]:
    """Return the server's answer; without one, the reason in the same form."""
    import urllib.error  # slow to import, for every other command
    import urllib.request

    # A proxy of the environment must not be asked for this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=TIMEOUT_S) as answer:
            text = answer.read(MOST_BYTES)
        found = {"status": "ok"} if text.strip() == b"ok" else json.loads(text)
    except urllib.error.HTTPError as error:
        try:
            found = json.loads(error.read(MOST_BYTES))
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("status") == "ok":
            found = {"status": "unavailable", "reason": f"HTTP status {error.code}"}
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return {"status": "unavailable", "reason": f"no answer at {address}: {reason}"}
    if isinstance(found, dict):
        return found
    return {"status": "unavailable", "reason": f"{address} is another program"}
