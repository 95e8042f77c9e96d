"""Commands about sources: scan, follow, unfollow."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kb.cli.options import (
    SUBSCRIPTION_OPTIONS,
    with_filter_options,
    with_moving_filter_options,
    with_run_options,
    with_source_options,
)
from kb.cli.output import console
from kb.cli.output.follows import DAYS, print_follows, print_history
from kb.cli.output.library import new_library_note
from kb.cli.plain_options import Json
from kb.errors import UsageError
from kb.options import RunOptions, SourceOptions, as_typed
from kb.service import Service
from kb.service.existing import has_library
from kb.service.notation import VideoFilters, format_timestamp, parse_span
from kb.types.safe_text import command_argument

if TYPE_CHECKING:
    from kb.service.views import Scan

MOST_SHOWN = 200

Reference = Annotated[
    str, typer.Argument(metavar="SOURCE", help="File, folder, channel, playlist, video, page.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (scan, follow, unfollow, digest):
        app.command()(command)


@with_filter_options
@with_run_options(
    "preset", "batch_size", "workers", "model", "engine", "keep", "steps", "fetch_picture"
)
def scan(
    source: Reference,
    filters: VideoFilters,
    options: RunOptions,
    as_json: Json = False,
) -> None:
    """Show what would be ingested and at what cost; nothing is queued."""
    service = Service.for_reading()
    try:
        found = service.ingest.scan(source, filters, options)
    finally:
        service.close()
    if as_json:
        console.print_json(found.as_dict())
    else:
        print_scan(found)
    if not has_library(service.settings.home):
        console.print_note(
            f"There is no library in {service.settings.home} yet: kb ingest makes one there."
        )


@with_moving_filter_options
@with_source_options
@with_run_options(*SUBSCRIPTION_OPTIONS)
def follow(
    source: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="Folder, channel, playlist, page, feed.")
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", help="How often to look: 6h (the default), 1d.")
    ] = None,
    listing: Annotated[
        bool,
        typer.Option("--list", help="Show what is followed, its last look and what is missing."),
    ] = False,
    history: Annotated[
        str | None,
        typer.Option("--history", metavar="SOURCE", help="Show the last looks at a source."),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Give up the filters and options that it has.")
    ] = False,
    as_json: Json = False,
    *,
    filters: VideoFilters,
    options: RunOptions,
    terms: SourceOptions,
) -> None:
    """Look at a source again and again and ingest what is new; a worker does it.

    For a source that is followed already, what is given is changed and the rest stays.
    """
    service = Service.of_existing_library() if listing or history else Service()
    if history:
        looks = service.follows.history(history)
        if as_json:
            console.print_json([asdict(each) for each in looks])
        else:
            print_history(history, looks)
        return
    if listing:
        if as_json:
            console.print_json(service.follows.documents(DAYS))
        else:
            print_follows(
                service.follows.states(), service.follows.activity(DAYS), service.follows.quota(),
                service.clock_problem(),
            )  # fmt: skip
        return
    if source is None:
        raise UsageError(
            "follow.no_source",
            "What is to be followed?",
            hint="kb follow SOURCE, or kb follow --list",
        )
    every_s = parse_span(every) if every else None
    with new_library_note(service.settings.home):
        service.ingest.check(options)
    subscription = service.subscriptions.change(
        source, every_s=every_s, filters=filters, options=options, terms=terms, reset=reset
    )
    if as_json:
        console.print_json(asdict(subscription))
    console.print_note(
        f"Following {subscription.reference}: what is not in the library yet is ingested, now and "
        f"every {_format_duration(subscription.every_s)}. Stop: kb unfollow "
        f"{command_argument(subscription.reference)}"
    )
    shown = (subscription.filters.as_typed(), as_typed(subscription.options))
    if typed := " ".join(filter(None, shown)):
        console.print_note(f"Its options: {typed}")
    if not service.queue.workers():
        console.print_note("No worker is running. Start one with: kb worker --detach")


def unfollow(source: Reference, as_json: Json = False) -> None:
    """Stop following a source."""
    if not Service.of_existing_library().subscriptions.unfollow(source):
        raise UsageError(
            "follow.unknown",
            "{source!r} is not followed.",
            hint="See: kb follow --list",
            source=source,
        )
    if as_json:
        console.print_json({"unfollowed": source})
    console.print_note(f"No longer following {source}.")


def digest(
    days: Annotated[float, typer.Option("--days", min=0.04, help="The last days.")] = 7.0,
    send: Annotated[
        bool, typer.Option("--send", help="Send it too, by e-mail and webhook of the settings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what was new in the last days, what failed, and how much room is left."""
    from kb.service.follows import digest_text

    service = Service.of_existing_library()
    found = service.follows.digest(days)
    if as_json:
        console.print_json(found)
    else:
        console.out.print(Text(digest_text(found).rstrip()))
    if send:
        console.print_note(f"Sent: {', '.join(service.follows.send_digest(found))}")


def print_scan(found: Scan) -> None:
    """Print the items in a table, the plan in two lines, and notes below."""
    for item in found.items[:MOST_SHOWN]:
        length = format_timestamp(item.item.duration_s) if item.item.duration_s is not None else "?"
        style = "" if item.should_ingest else "dim"
        console.out.print(
            Text(f"{item.item.published or '?':10}  {length:>8}  {item.state:11} ", style=style)
            + Text(item.item.title, style=style)
        )
    if len(found.items) > MOST_SHOWN:
        console.out.print(f"… and {len(found.items) - MOST_SHOWN} more (see --json)")
    report = found.report
    console.out.print(Text(f"{report.title or report.reference} ({report.kind})", style="bold"))
    console.out.print("  " + " · ".join(_counts(found)))
    console.out.print("  " + " · ".join(_costs(found)))
    for sentence in found.notes:
        console.print_note(sentence)


def _counts(found: Scan) -> list[str]:
    """Return the numbers of items, in total and by state."""
    report = found.report
    listed = f"{report.listed} listed"
    if report.reported is not None and report.reported != report.listed:
        listed += f" of {report.reported} reported"
    counts = found.counts
    words = {
        "known": "known already",
        "failed": "failed before",
        "cancelled": "cancelled before",
        "unavailable": "private or removed",
    }
    others = [f"{counts[name]} {said}" for name, said in words.items() if counts[name]]
    return [f"{counts['new']} new of {len(found.items)}", *others, listed]


def _costs(found: Scan) -> list[str]:
    """Return the cost of an ingest: audio, quota, disk and time."""
    parts = [f"{_format_duration(found.audio_s)} of sound"]
    if found.report.units:
        parts.append(f"{found.report.units} API units")
    free = f" of {found.disk_free / 1e9:.0f} GB free" if found.disk_free is not None else ""
    parts.append(f"{_format_size(found.disk_bytes)}{free}")
    if found.picture_bytes:
        parts.append(f"{_format_size(found.picture_bytes)} of pictures to read and delete")
    if found.download_s:
        parts.append(f"download about {_format_duration(found.download_s)}")
    parts.append(f"recognition {_format_duration(found.recognition_s)}")
    return parts


def _format_duration(seconds: float | None) -> str:
    if seconds is None:
        return "time unknown (kb calibrate measures it)"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min" if minutes else f"{seconds:.0f} s"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _format_size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
