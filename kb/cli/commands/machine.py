"""Commands about this machine: calibrate, models."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from kb.cli.options import Json, with_run_options
from kb.cli.output import console, machine
from kb.cli.output.library import new_library_note
from kb.cli.output.progress import media_progress
from kb.options import RunOptions
from kb.service import Service

models_app = typer.Typer(
    help="The recognizers that can be chosen.", invoke_without_command=True, no_args_is_help=False
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(calibrate)
    app.command()(audit)
    app.add_typer(models_app, name="models")


def audit(
    limit: Annotated[int, typer.Option("--limit", min=1, help="Lines, the newest.")] = 50,
    as_json: Json = False,
) -> None:
    """Show who did what in this library: sign-ins, uploads, ingests, corrections, settings."""
    lines = Service().audit.read(limit) or Service.of_existing_library().audit.read(limit)
    if as_json:
        console.print_json(lines)
        return
    for line in lines:
        known = ("at", "who", "what")
        facts = "  ".join(
            f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
            for name, value in line.items()
            if name not in known
        )
        console.out.print(Text("  ".join([*(str(line.get(name, "")) for name in known), facts])))
    if not lines:
        console.print_note("Nothing is recorded yet.")


@with_run_options("model", "engine")
def calibrate(
    options: RunOptions,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, max=3600, help="How long to measure, about.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Measure this machine with a model, for plans, presets and the first batch."""
    service = Service()
    try:
        with (
            new_library_note(service.settings.home),
            media_progress("calibrating", shown=sys.stderr.isatty()) as progress,
        ):
            measured = service.machines.calibrate(
                service.transcription.options(options), seconds, progress
            )
    finally:
        service.close()
    forecasts = service.machines.estimates(options)
    if as_json:
        document = {**measured.as_dict(), "presets": [asdict(each) for each in forecasts]}
        console.print_json(document)
        return
    for line in machine.calibration_table(measured, forecasts):
        console.out.print(line)


@models_app.callback()
def models(context: typer.Context, as_json: Json = False) -> None:
    """The recognizers that can be chosen, which are here, and what they need."""
    if context.invoked_subcommand is not None:
        return
    service = Service()
    found = service.models.list()
    if as_json:
        console.print_json([asdict(model) for model in found])
        return
    console.out.print(machine.models_table(found))
    console.print_note("* is used where none is named. Fetch one with: kb models pull NAME")


@models_app.command()
def pull(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A name of `kb models`, or org/name.")
    ],
    as_json: Json = False,
) -> None:
    """Fetch a recognizer's files, so that it works without a network from then on."""
    service = Service()
    fetched = service.models.pull(name)
    if as_json:
        console.print_json({"name": fetched.name, "repository": fetched.target, "ready": True})
    else:
        console.print_note(f"{fetched.target} is on this machine now: --model {fetched.name}")
