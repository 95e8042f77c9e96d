"""Options that several commands share, and the choices they make."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Literal

import typer

from kb.errors import UsageError
from kb.sources.listing.filters import VideoFilters, parse_day, parse_span
from kb.types import Timestamps

OK, FAILED, USAGE_ERROR, INTERRUPTED = 0, 1, 2, 130

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
PresetName = Annotated[str | None, typer.Option("--preset", help="A preset: see `kb presets`.")]
ModelName = Annotated[
    str | None, typer.Option("--model", help="Hub name, folder, large-v3 and its like, or demo.")
]
EngineName = Annotated[str | None, typer.Option("--engine", help="Recognizer engine.")]
Language = Annotated[
    str | None, typer.Option("--language", help="Two-letter code of the speech, or auto.")
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Windows a batch, at most.")]
Chunk = Annotated[
    float | None, typer.Option("--chunk", help="Seconds of a transcript chunk, 20 to 60.")
]
Overlap = Annotated[
    float | None, typer.Option("--overlap", help="Seconds of overlap where no pause allows a cut.")
]
Workers = Annotated[int | None, typer.Option("--workers", help="Items prepared at once.")]
TimestampsOption = Annotated[
    Timestamps | None, typer.Option("--timestamps", help="What text exports show.")
]
Keep = Annotated[
    Literal["audio", "mp3", "mp4"] | None, typer.Option("--keep", help="What a download leaves.")
]
Meta = Annotated[
    list[str] | None, typer.Option("--meta", help="Own metadata for the documents: key=value.")
]
NoVad = Annotated[bool, typer.Option("--no-vad", help="Read everything, not only speech.")]


def own_metadata(pairs: list[str] | None) -> dict[str, str] | None:
    """The `--meta` that was typed; None without any. Raises UsageError."""
    if pairs is None:
        return None
    found: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--meta {pair!r} is not key=value.", hint="--meta team=research")
        found[key.strip()] = value
    return found


def video_filters(
    after: Annotated[
        str | None,
        typer.Option("--after", help="From this day on: 2024-03-05, 2024-03, today, 30d."),
    ] = None,
    before: Annotated[str | None, typer.Option("--before", help="Up to this day.")] = None,
    playlist: Annotated[
        str | None, typer.Option("--playlist", help="One playlist of a channel.")
    ] = None,
    min_duration: Annotated[
        str | None, typer.Option("--min-duration", help="At least so long: 90s, 5m, 1h30m, 1:30.")
    ] = None,
    max_duration: Annotated[
        str | None, typer.Option("--max-duration", help="At most so long.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="A pattern in the title.")] = None,
    no_shorts: Annotated[bool, typer.Option("--no-shorts", help="Leave out shorts.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Only what is not known yet.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="At most so many items; 0 for all.")
    ] = 0,
) -> VideoFilters:
    """The filters that were typed. Raises UsageError for what cannot be understood."""
    return VideoFilters(
        after=parse_day(after) if after else "",
        before=parse_day(before, end=True) if before else "",
        playlist=playlist or "",
        min_duration_s=parse_span(min_duration) if min_duration else None,
        max_duration_s=parse_span(max_duration) if max_duration else None,
        title=title or "",
        no_shorts=no_shorts,
        new=new,
        limit=limit,
    ).checked()


def with_filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with every option of `video_filters` in the place of its parameter `filters`."""
    own = inspect.signature(command, eval_str=True)
    options = inspect.signature(video_filters, eval_str=True).parameters
    parameters = [
        each
        for parameter in own.parameters.values()
        for each in (options.values() if parameter.name == "filters" else (parameter,))
    ]

    @wraps(command)
    def run(**chosen: Any) -> None:
        filters = video_filters(**{name: chosen.pop(name) for name in options})
        command(filters=filters, **chosen)

    # What typer reads to make the options.
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run
