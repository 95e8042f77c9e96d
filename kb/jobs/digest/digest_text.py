"""A digest as text for people: the file in the library folder, and the e-mail."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from kb.jobs.digest.activity import length_text
from kb.jobs.digest.digest import Digest
from kb.storage.free_space import size_text
from kb.types.safe_text import shown

NEW_LISTED = 30
FAR_DAYS = 3650  # room for longer is not worth a line
_CONDITIONS = {
    "missing": "items are missing",
    "short": "the list is shorter than its count",
    "error": "error",
    "waiting": "the look waits",
    "overdue": "overdue: no worker looks",
    "noted": "well, with a note",
}
_LOOK_ENDS = {
    "failed": "failed", "waiting": "wait", "interrupted": "interrupted", "running": "running",
}  # fmt: skip


def subject(digest: Digest) -> str:
    """Return the digest in one line."""
    failed = sum(each["count"] for each in digest["not_done"] if each["state"] == "failed")
    unwell = digest["follows"]["conditions"].get("error", 0)
    parts = [f"{digest['new_count']} new", f"{failed} failed"]
    parts += [f"{unwell} sources with an error"] if unwell else []
    return f"KB Ingest: {', '.join(parts)}"


def digest_text(digest: Digest) -> str:
    """Return the digest as plain text with the marks of Markdown."""
    return "".join(f"{shown(line)}\n" for line in _lines(digest))


def _lines(digest: Digest) -> Iterator[str]:
    yield f"# {subject(digest)}"
    yield ""
    yield f"{_moment(digest['from'])} to {_moment(digest['to'])}"
    follows, looks = digest["follows"], digest["looks"]
    if follows["count"]:
        yield ""
        yield f"## Sources: {follows['count']} followed, {len(follows['unwell'])} to look after"
        ends = [
            f"{looks[name]} {words}" for name, words in _LOOK_ENDS.items() if looks.get(name)
        ]  # fmt: skip
        ended = f" ({', '.join(ends)})" if ends else ""
        yield (
            f"{_counted(looks['count'], 'look')}{ended}, "
            f"{_counted(looks['units'], 'unit')} of quota"
        )
        for each in follows["unwell"]:
            line = f"- {each['reference']}: {_CONDITIONS.get(each['condition'], each['condition'])}"
            line += f" ({each['missing']})" if each["missing"] else ""
            line += f": {each['error']}" if each["error"] else ""
            yield f"{_sentence(line)} Next look {_moment(each['next_at'])}."
    yield ""
    length = length_text(digest["new_s"], digest.get("new_unmeasured", 0), digest["new_count"])
    yield f"## New: {digest['new_count']}" + (f" ({length})" if length else "")
    for each in digest["new"][:NEW_LISTED]:
        yield f"- {each['title']} ({each['channel']})" + (" held" * (each["state"] == "held"))
    if digest["new_count"] > NEW_LISTED:
        yield f"- … and {digest['new_count'] - NEW_LISTED} more"
    if digest["not_done"]:
        yield ""
        yield "## Failed, waiting or held"
        for each in digest["not_done"]:
            yield from _reason(each)
    yield ""
    yield "## Room"
    free = digest["free_bytes"]
    room = f"{size_text(free)} free" if free is not None else "free space unknown"
    yield f"{size_text(digest['grown_bytes'])} of new media, {room}"
    if digest.get("library_bytes") is not None:
        yield f"The library has {size_text(digest['library_bytes'])}."
    if digest["days_left"] is not None and digest["days_left"] < FAR_DAYS:
        yield f"At this rate there is room for {digest['days_left']:,.0f} days."


def _reason(each: Mapping[str, Any]) -> Iterator[str]:
    others = f" and {each['count'] - 1} more" if each["count"] > 1 else ""
    line = f"- {each['state']}: {each['example']}{others}"
    line = _sentence(line + (f": {each['error']}" if each["error"] else ""))
    line += f" Next try {_moment(each['next_at'])}." if each["next_at"] else ""
    line += f" {each['hint']}" if each["hint"] else ""
    yield line


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _moment(seconds: float) -> str:
    return time.strftime("%d %b %Y %H:%M %Z", time.localtime(seconds)).strip()
