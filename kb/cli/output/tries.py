"""The tries of an item that failed or waits: how many, since when, and when the next one is."""

from __future__ import annotations

from kb.cli.output.times import format_moment
from kb.service import ItemStatus
from kb.types.sentences import counted


def tries_text(status: ItemStatus) -> str:
    """Return first failure, number of tries, next and last try as a sentence.

    Empty for an item that neither failed nor waits.
    """
    if status.state == "waiting":
        return f"Next try {format_moment(status.wait_until)}." if status.wait_until else ""
    if status.state != "failed":
        return ""
    since, next_at, until = status.failing_since, status.wait_until, status.retried_until
    parts = [f"first failure {format_moment(since)}"] if since else []
    parts += [counted(status.attempts, "try", "tries")] if status.attempts else []
    parts.append(f"next try {format_moment(next_at)}" if next_at else "no further try by itself")
    parts += [f"last try {format_moment(until)}"] if until else []
    said = ", ".join(parts)
    return f"{said[0].upper()}{said[1:]}."
