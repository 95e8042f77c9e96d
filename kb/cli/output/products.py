"""Lines about products that a worker makes."""

from __future__ import annotations

from kb.cli.output import console
from kb.service import Service


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
