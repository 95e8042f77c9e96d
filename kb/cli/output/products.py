"""Products that a worker makes: the question about their picture, the wait, and lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from kb.cli.output import console
from kb.cli.output.progress import media_progress
from kb.service import Service

# It loads the decoders of media, which other commands need not wait for.
if TYPE_CHECKING:
    from kb.service.video import Order


def is_to_be_fetched(lacks_picture: Callable[[], bool], fetch: bool | None, *, ask: bool) -> bool:
    """Return whether the picture of an item is to be fetched; a person is asked."""
    if fetch is False or not lacks_picture():
        return False
    if fetch is not None:
        return fetch
    return (
        ask
        and sys.stdin.isatty()
        and typer.confirm(
            "The picture is not kept. Fetch it once from its source?", default=False, err=True
        )
    )


def leave_to_worker(
    service: Service, item_id: str, order: Order, *, no_wait: bool, as_json: bool
) -> None:
    """Queue a product and wait for it, or say with `no_wait` that it is queued.

    Raises as `ItemProducts.wait` does.
    """
    step = service.products.request(item_id, order)
    if no_wait:
        say_queued(service, step, as_json=as_json)
        return
    with media_progress(item_id, shown=sys.stderr.isatty()) as (progress, _):
        service.products.wait(item_id, step, progress)


def say_queued(service: Service, step: str, *, as_json: bool) -> None:
    """Say that a product was queued, and how to get its file."""
    if as_json:
        console.print_json({"queued": step})
        return
    console.print_note(
        "Queued. When it is done (kb status), the same command without --no-wait writes the file."
    )
    if not service.queue.workers():
        console.print_note("No worker is running. Start one with: kb worker --detach")
