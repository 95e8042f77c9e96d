"""The command `evidence`: a quote with its source as a pack that checks itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kb.cli.options import Json, Overwrite
from kb.cli.output import console
from kb.cli.output.progress import media_progress
from kb.service import Service
from kb.service.notation import parse_time


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(evidence)


def evidence(
    item_id: Annotated[str, typer.Argument(metavar="ID")],
    start: Annotated[str, typer.Option("--from", help="Seconds, MM:SS or H:MM:SS.")],
    end: Annotated[str, typer.Option("--to", help="The same.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A file that ends in .zip, or a folder."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Pack what was said: words, source, clip, frame and hashes, as a ZIP or a folder."""
    service = Service.of_existing_library()
    with media_progress(item_id, shown=sys.stderr.isatty()) as (progress, _):
        made = service.evidence.make(
            item_id, parse_time(start), parse_time(end), output,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    if as_json:
        console.print_json({"evidence": str(made)})
    else:
        console.print_note(f"Written: {made}")
