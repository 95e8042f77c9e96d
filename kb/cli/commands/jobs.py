"""Commands of the queue: ingest, cancel, retry, pause, resume."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from kb.cli.exit_codes import FAILED
from kb.cli.options import with_filter_options, with_run_options
from kb.cli.output import console
from kb.cli.output.items import print_pause, print_report, report_document
from kb.cli.output.library import new_library_note
from kb.cli.output.models import print_fetch_notice
from kb.cli.output.progress import ingest_progress, print_steps
from kb.cli.plain_options import ID_HELP, Json
from kb.errors import UsageError
from kb.options import RunOptions
from kb.service import Service
from kb.service.notation import VideoFilters

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=ID_HELP)]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (ingest, cancel, dismiss, retry, pause, resume):
        app.command()(command)


@with_filter_options
@with_run_options()
def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, channels, playlists, videos, pages; a file with its transcript: "
            "talk.mp4 talk.srt."
        ),
    ],
    filters: VideoFilters,
    options: RunOptions,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Follow until all is done; starts a worker if none is alive. The exit code is 1 "
            "if an item has failed or is held for review.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Queue media for the library: copy, transcribe, file, index."""
    service = Service()
    confirm = partial(_confirm_again, options, ask=sys.stdin.isatty() and not as_json)
    with new_library_note(service.settings.home):
        report = service.ingest.run(sources, options, filters, confirm)
    items = report.items
    is_recognized = len(report.enqueued) > len(report.from_transcripts)
    needed = service.models.needed_fetch(options) if is_recognized else None
    if needed is not None:
        print_fetch_notice(needed)
    if wait:
        for note in report.notes:  # before the wait: they may be a reason to end it
            console.print_note(note)
        # The wait includes requested items that were in the queue before. An item that waits for
        # a later time is followed only if that time is near (`Follow.run`).
        ids = [*report.enqueued, *(each.id for each in report.skipped if each.is_pending)]
        with ingest_progress(len(ids), shown=sys.stderr.isatty()) as (listener, display):
            items = tuple(
                service.follow.run(
                    ids, listener, options=options,
                    on_look=lambda: display.show_all(service.models.fetches()),
                    on_steps=print_steps, on_pause=print_pause,
                )
            )  # fmt: skip
            # Steps of what was there already, which an earlier request may have left.
            service.follow.wait_for_steps(
                [each.id for each in report.skipped], options=options, on_steps=print_steps,
                on_pause=print_pause,
            )  # fmt: skip
        report = replace(report, items=items)
    if as_json:
        console.print_json(report_document(report))
    else:
        print_report(replace(report, notes=()) if wait else report, waited=wait)
        if wait and any(item.state == "waiting" for item in items):
            console.print_note(
                "What waits goes on by itself while a worker runs: kb worker --detach"
            )
        if wait and any(item.state == "paused" for item in items):
            console.print_note("What is paused goes on with: kb resume ID")
        if report.enqueued and not wait and not service.queue.workers():
            console.print_note("No worker is running. Start one with: kb worker --detach")
    for error in report.refused:
        console.print_error(error)
    if report.refused or any(item.state in ("failed", "held") for item in items):
        raise typer.Exit(FAILED)


def _confirm_again(options: RunOptions, corrected: Mapping[str, int], *, ask: bool) -> bool:
    """Say how many corrections by hand a new transcription concerns; at a terminal, ask."""
    items, count = len(corrected), sum(corrected.values())
    fate = (
        "They are dropped"
        if options.drop_corrections
        else "They are kept where the words match (--drop-corrections drops them)"
    )
    console.print_note(
        f"{items} {'item has' if items == 1 else 'items have'} {count} "
        f"{'correction' if count == 1 else 'corrections'} by hand. {fate}."
    )
    return not ask or typer.confirm("Transcribe again?", default=True, err=True)


def cancel(
    ids: Ids = None,
    all_items: Annotated[
        bool, typer.Option("--all", help="Every item that is queued, waiting, paused or running.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Stop items that are queued, waiting or running, and publications that wait."""
    service = Service.of_existing_library()
    if not ids and not all_items:
        raise UsageError("cancel.no_items", "Which items?", hint="kb cancel ID…, or --all")
    chosen = service.items.resolve_ids(ids or [])
    if all_items:
        chosen = [*chosen, *service.queue.active_ids()]
    dropped = service.queue.cancel_publications(chosen)
    done = service.queue.cancel(chosen)
    if all_items:  # what a running listing has queued meanwhile
        done = list(dict.fromkeys([*done, *service.queue.cancel_all()]))
    if as_json:
        console.print_json({"cancelled": done, "not_published": _pairs(dropped)})
        return
    if done:
        console.print_note(f"Cancelled: {', '.join(done)}")
        console.print_note(
            "To take it back: " + ("kb retry --cancelled" if all_items else "kb retry ID")
        )
    if dropped:
        shown = ", ".join(f"{item_id} → {sink}" for sink, item_id in dropped)
        console.print_note(
            f"Not to be published any more: {shown}. To send it after all: kb retry ID"
        )
    if not done and not dropped:
        console.print_note("Nothing to cancel: all had ended.")


def dismiss(
    ids: Ids = None,
    every: Annotated[bool, typer.Option("--all", help="Every failed item.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Show them as failed again.")] = False,
    as_json: Json = False,
) -> None:
    """Take failed items that are not wanted out of the list; no look fetches them again."""
    service = Service.of_existing_library()
    if not ids and not every:
        raise UsageError("dismiss.no_items", "Which items?", hint="kb dismiss ID…, or --all")
    chosen = service.items.resolve_ids(ids or [])
    if every:
        chosen = [*chosen, *service.queue.items.ids("dismissed" if undo else "failed")]
    act = service.queue.restore_dismissed if undo else service.queue.dismiss
    done = act(list(dict.fromkeys(chosen)))
    if as_json:
        console.print_json({"failed" if undo else "dismissed": done})
    elif not done:
        state = "dismissed" if undo else "failed"
        console.print_note(f"Nothing to do: none of them is {state}.")
    elif undo:
        console.print_note(f"Failed again: {', '.join(done)}")
    else:
        console.print_note(f"Dismissed: {', '.join(done)}")
        console.print_note("To take it back: kb dismiss --undo ID")


def retry(
    ids: Ids = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Every failed item and publication.")
    ] = False,
    cancelled: Annotated[
        bool, typer.Option("--cancelled", help="Every cancelled item and publication.")
    ] = False,
    all_items: Annotated[
        bool, typer.Option("--all", help="Every failed or cancelled item and publication.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try items again, from the stage that failed, and publications that failed or wait."""
    service = Service.of_existing_library()
    failed, cancelled = failed or all_items, cancelled or all_items
    if not ids and not failed and not cancelled:
        raise UsageError(
            "retry.no_items", "Which items?", hint="kb retry ID…, or kb retry --failed"
        )
    chosen = service.items.resolve_ids(ids or [])
    sent = service.queue.retry_publications(chosen) if chosen else []
    done = service.queue.retry(chosen)
    if failed:
        sent += service.queue.retry_publications()
        done += service.queue.retry_failed()
    if cancelled:
        done += service.queue.retry_cancelled()
    if as_json:
        console.print_json({"queued": done, "to_publish": _pairs(sent)})
        return
    if done:
        console.print_note(f"Queued again: {', '.join(done)}")
    if sent:
        shown = ", ".join(f"{item_id} → {sink}" for sink, item_id in sent)
        console.print_note(f"To be published again: {shown}")
    if not done and not sent:
        console.print_note("Nothing to try again.")
    if (done or sent) and not service.queue.workers():
        console.print_note("No worker is running. Start one with: kb worker --detach")


def pause(ids: Ids = None, as_json: Json = False) -> None:
    """Pause items, or the whole queue."""
    service = Service.of_existing_library()
    if ids:
        done = service.queue.pause(service.items.resolve_ids(ids))
        if as_json:
            console.print_json({"paused": done})
            return
        console.print_note(
            f"Paused: {', '.join(done)}" if done else "Nothing to pause: all had ended."
        )
        return
    service.queue.pause()
    if as_json:
        console.print_json({"paused": "queue"})
        return
    console.print_note("The queue is paused: what runs ends, nothing new begins. Go on: kb resume")


def resume(ids: Ids = None, as_json: Json = False) -> None:
    """Take a pause back."""
    service = Service.of_existing_library()
    done = service.queue.resume(service.items.resolve_ids(ids) if ids else None)
    if as_json:
        console.print_json({"queued": done})
        return
    console.print_note("Going on." + (f" Queued again: {', '.join(done)}" if done else ""))


def _pairs(publications: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return publications, of (knowledge base, item id), for JSON."""
    return [{"id": item_id, "sink": sink} for sink, item_id in publications]
