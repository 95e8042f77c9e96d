"""The command that shows the state of the queue: status."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from kb.cli.output import console
from kb.cli.output.follows import DAYS
from kb.cli.output.items import (
    fetch_documents,
    print_listings,
    print_problems,
    status_document,
)
from kb.cli.output.overview import print_overview, print_unwell
from kb.cli.output.status_table import print_status
from kb.cli.output.status_table import watch as watch_status
from kb.cli.plain_options import ID_HELP, Json
from kb.errors import UsageError
from kb.service import STATES, Service
from kb.types.sentences import counted

ROWS_SHOWN = 50  # items that `kb status` shows unless more are asked for


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    item_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help=f"One item: {ID_HELP}")
    ] = None,
    state: Annotated[str | None, typer.Option("--state", help=", ".join(STATES))] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="Items shown, the newest.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="A table of every item, instead of the overview.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep showing it; into a pipe, one line a change.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what runs, waits and failed, and what is followed; with options, a table of items."""
    if state is not None and state not in STATES:
        raise UsageError(
            "status.unknown_state",
            "Unknown state {state!r}.",
            hint="Known: {known}.",
            state=state,
            known=", ".join(STATES),
        )
    service = Service.of_existing_library()
    left = service.queue_move.left_behind()
    if left is not None:
        console.print_warning(
            f"{left.path} has {left}, which this database does not have. Bring them with: "
            'kb move-queue --to "$KB_DATABASE_URL"'
        )
    if watch:
        watch_status(service, state, limit)
    ids = service.items.resolve_ids([item_id]) if item_id else None
    if not (ids or state or limit or every or as_json):
        print_overview(service)
        if service.queue.items.has_rows():
            console.print_note("A table of items: kb status --all; others: --state NAME, --limit N")
        else:
            console.print_note("No items. Begin with: kb ingest FILE")
        return
    if limit is None and not (every or as_json):
        limit = ROWS_SHOWN
    items = service.items.statuses(state=state, limit=limit, ids=ids)
    if as_json:
        console.print_json(
            {
                "items": [status_document(item) for item in items],
                "counts": service.queue.counts(),
                "looks": [status_document(e) for e in service.items.statuses(listings=True)],
                "look_counts": service.queue.listing_counts(),
                "publications": service.queue.outbox.counts(),
                "steps": service.queue.steps.counts(),
                "products": service.queue.steps.product_counts(),
                "fetches": fetch_documents(service),
                "lanes": [asdict(lane) for lane in service.queue.lanes()],
                "follows": service.follows.documents(DAYS),
                "activity": service.follows.activity(DAYS).as_dict(),
                "quota": asdict(quota) if (quota := service.follows.quota()) else None,
                "clock": clock.record() if (clock := service.clock_problem()) else None,
                "crash_loops": [asdict(each) for each in service.queue.crash_loops()],
                "needs": [need.as_dict() for need in service.unmet_needs()],
                "machines": [m.as_dict(history=False) for m in service.machines.list()],
            }
        )
        return
    has_rows = service.queue.items.has_rows()
    if items:
        print_status(service, items)
        print_problems(items)
        if limit == len(items) and not ids:
            counts = service.queue.counts()
            total = counts.get(state, 0) if state else sum(counts.values())
            if total > len(items):
                console.print_note(
                    f"The newest {len(items)} of {counted(total, 'item')}. All: kb status "
                    f"--all; others: "
                    "--state NAME, --limit N"
                )
    elif state and has_rows:
        console.print_note(f"No item is {state}. All: kb status --all")
    elif not has_rows:
        console.print_note("No items. Begin with: kb ingest FILE")
    if not ids and (state or every):
        print_listings(service, state)
    if not ids and every:
        print_unwell(service)
