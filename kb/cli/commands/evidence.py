"""The command `evidence`: a quote with its source as a pack that checks itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kb.cli.output import console
from kb.cli.output.products import is_to_be_fetched, leave_to_worker
from kb.cli.output.progress import media_progress
from kb.cli.plain_options import ID_HELP, FetchPicture, Json, NoWait, Overwrite
from kb.errors import UsageError
from kb.service import Service
from kb.service.notation import parse_time
from kb.types.safe_text import command_argument


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(evidence)


def evidence(
    item_id: Annotated[str, typer.Argument(metavar="ID", help=ID_HELP)],
    start: Annotated[str, typer.Option("--from", help="Seconds, MM:SS or H:MM:SS.")],
    end: Annotated[str, typer.Option("--to", help="The same.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="A file that ends in .zip, or a folder."),
    ] = None,
    sign: Annotated[
        bool,
        typer.Option("--sign", help="Sign it with the key of the library, made at the first use."),
    ] = False,
    fetch: FetchPicture = None,
    no_wait: NoWait = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Pack what was said: words, source, clip, frame and hashes, as a ZIP or a folder."""
    service = Service.of_existing_library()
    start_s, end_s = parse_time(start), parse_time(end)
    fetch = is_to_be_fetched(
        lambda: service.evidence.lacks_picture(item_id), fetch, ask=not as_json
    )
    if fetch or no_wait:
        if no_wait and output is not None and output.suffix.lower() != ".zip":
            raise UsageError(
                "evidence.queued_folder",
                "A worker makes a pack as a ZIP, not as a folder.",
                hint="Leave --no-wait out, or name a file that ends in .zip.",
            )
        order = service.evidence.order(start_s, end_s, sign=sign, fetch=fetch)
        leave_to_worker(service, item_id, order, no_wait=no_wait, as_json=as_json)
        if no_wait:
            return
    with media_progress(item_id, shown=sys.stderr.isatty()) as (progress, _):
        made = service.evidence.make(
            item_id, start_s, end_s, output, overwrite=overwrite, sign=sign, fetch=fetch,
            progress=progress,
        )  # fmt: skip
    key = service.evidence.own_key() if sign else None
    if as_json:
        console.print_json({"evidence": str(made), "key": key})
        return
    console.print_note(f"Written: {made}")
    if key:
        console.print_note(
            f"Signed by the key {key}. Tell it to those who get the pack, by another way: "
            f"kb verify {command_argument(made.name)} --key {key[:16]}"
        )
