"""Commands about sources: scan, follow, unfollow."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kb import console
from kb.cli_options import (
    After,
    Before,
    Json,
    Keep,
    MaxDuration,
    MinDuration,
    ModelName,
    Most,
    New,
    NoShorts,
    Playlist,
    PresetName,
    Title,
    video_filters,
)
from kb.errors import Later, UsageError
from kb.jobs.options import RunOptions
from kb.service import Service
from kb.sources.filters import parse_span

Reference = Annotated[
    str, typer.Argument(metavar="SOURCE", help="File, folder, channel, playlist, video, page.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    for command in (scan, follow, unfollow):
        app.command()(command)


def scan(
    source: Reference,
    after: After = None,
    before: Before = None,
    playlist: Playlist = None,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    title: Title = None,
    no_shorts: NoShorts = False,
    new: New = False,
    limit: Most = 0,
    preset: PresetName = None,
    keep: Keep = None,
    as_json: Json = False,
) -> None:
    """What would be ingested and at what cost; nothing is queued."""
    filters = video_filters(
        after, before, playlist, min_duration, max_duration, title, no_shorts, new, limit
    )
    found = Service().scan(source, filters, RunOptions(preset=preset, keep=keep))
    if as_json:
        console.print_json(found.as_dict())
    else:
        console.print_scan(found)


def follow(
    source: Annotated[str | None, typer.Argument(metavar="[SOURCE]")] = None,
    every: Annotated[str, typer.Option("--every", help="How often to look: 6h, 1d.")] = "6h",
    listing: Annotated[bool, typer.Option("--list", help="Show what is followed.")] = False,
    after: After = None,
    before: Before = None,
    playlist: Playlist = None,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    title: Title = None,
    no_shorts: NoShorts = False,
    preset: PresetName = None,
    model: ModelName = None,
    keep: Keep = None,
    as_json: Json = False,
) -> None:
    """Look at a source again and again and ingest what is new; a worker does it."""
    service = Service()
    if listing:
        followed = service.subscriptions.list()
        if as_json:
            console.print_json([asdict(each) for each in followed])
        else:
            console.print_followed(followed)
        return
    if source is None:
        raise UsageError("What is to be followed?", hint="kb follow SOURCE, or kb follow --list")
    filters = video_filters(after, before, playlist, min_duration, max_duration, title, no_shorts)
    service.library.prepare()
    options = RunOptions(preset=preset, model=model, keep=keep)
    options.resolve_preset(service.settings)
    path = Path(source).expanduser()
    if path.exists():
        source = str(path.absolute())  # the worker may run elsewhere
    with suppress(Later):  # a spent quota comes back; what leads nowhere is said now
        service.jobs.sourcing.open(source, filters)
    made = service.subscriptions.follow(
        source, every_s=parse_span(every), filters=filters, options=options.as_dict()
    )
    console.note(f"Following {made.reference}, every {every}. Stop: kb unfollow {source}")
    if not service.jobs.workers():
        console.note("No worker is running. Start one with: kb worker --detach")


def unfollow(source: Reference) -> None:
    """Stop following a source."""
    if not Service().subscriptions.unfollow(source):
        raise UsageError(f"{source!r} is not followed.", hint="See: kb follow --list")
    console.note(f"No longer following {source}.")
