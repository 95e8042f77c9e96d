"""A digest as text for people: the file in the library folder, and the e-mail."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from kb.jobs.digest.activity import length_text
from kb.jobs.digest.digest import Digest
from kb.jobs.queue.follow_conditions import CONDITIONS
from kb.types.safe_text import shown
from kb.types.sentences import counted, decimal_size, sentence, with_title

NEW_LISTED = 30
FAR_DAYS = 3650  # room for longer is not worth a line
_LOOK_ENDS = {
    "failed": "failed", "waiting": "wait", "interrupted": "interrupted", "running": "running",
}  # fmt: skip


def subject(digest: Digest) -> str:
    """Return the digest in one line."""
    failed = sum(each["count"] for each in digest["not_done"] if each["state"] == "failed")
    unwell = digest["follows"]["conditions"].get("error", 0)
    new = "new unknown" if is_unknown(digest) else f"{digest['new_count']} new"
    parts = [new, f"{failed} failed"]
    parts += [f"{counted(unwell, 'source')} with an error"] if unwell else []
    return f"KB Ingest: {', '.join(parts)}"


def is_unknown(digest: Digest) -> bool:
    """Return True if the digest's time has only items and looks that a wrong clock dated."""
    dated = digest["new_count"] + digest.get("renewed_count", 0) + digest["looks"]["count"]
    return bool(_undated(digest)) and not dated


def _undated(digest: Digest) -> str:
    parts = [
        counted(number, noun)
        for number, noun in (
            (digest.get("undated_items", 0), "item"),
            (digest["looks"].get("undated", 0), "look"),
        )
        if number
    ]
    return " and ".join(parts)


def digest_text(digest: Digest) -> str:
    """Return the digest as plain text with the marks of Markdown."""
    return "".join(f"{shown(line)}\n" for line in _lines(digest))


def _lines(digest: Digest) -> Iterator[str]:
    yield f"# {subject(digest)}"
    yield ""
    yield f"{_moment(digest['from'])} to {_moment(digest['to'])}"
    if clock := digest.get("clock"):
        yield ""
        yield f"Clock: {clock['error']} {clock['hint']}"
    if undated := _undated(digest):
        yield ""
        yield (
            f"A wrong clock dated {undated} that may be of this time too: the numbers below do "
            "not have them."
        )
    follows, looks = digest["follows"], digest["looks"]
    if follows["count"]:
        yield ""
        yield f"## Sources: {follows['count']} followed, {len(follows['unwell'])} to look after"
        ends = [
            f"{looks[name]} {words}" for name, words in _LOOK_ENDS.items() if looks.get(name)
        ]  # fmt: skip
        ended = f" ({', '.join(ends)})" if ends else ""
        cost = f"{counted(looks['units'], 'unit')} of quota"
        did = f"{counted(looks['count'], 'look')}{ended}, {cost}"
        yield "Looks and quota: unknown" if is_unknown(digest) else did
        for each in follows["unwell"]:
            line = f"- {each['reference']}: {CONDITIONS[each['condition']].words}"
            line += f" ({each['missing']})" if each["missing"] else ""
            line += f": {each['error']}" if each["error"] else ""
            yield f"{sentence(line)} Next look {_moment(each['next_at'])}."
        for each in follows.get("closed", ())[:NEW_LISTED]:
            name = f"{each['title']} ({each['id']})" if each["title"] else each["id"]
            yield f"- {each['reference']}: closed at the source: {name}"
        if len(follows.get("closed", ())) > NEW_LISTED:
            yield f"- … and {len(follows['closed']) - NEW_LISTED} more closed at their source"
    yield ""
    length = length_text(digest["new_s"], digest.get("new_unmeasured", 0), digest["new_count"])
    new = "unknown" if is_unknown(digest) else str(digest["new_count"])
    yield f"## New: {new}" + (f" ({length})" if length else "")
    for each in digest["new"][:NEW_LISTED]:
        yield f"- {each['title']} ({each['channel']})" + (" held" * (each["state"] == "held"))
    if digest["new_count"] > NEW_LISTED:
        yield f"- … and {digest['new_count'] - NEW_LISTED} more"
    if digest.get("renewed_count"):
        yield ""
        yield f"## Transcribed again: {digest['renewed_count']}"
        for each in digest["renewed"][:NEW_LISTED]:
            yield f"- {each['title']} ({each['channel']})" + (" held" * (each["state"] == "held"))
        if digest["renewed_count"] > NEW_LISTED:
            yield f"- … and {digest['renewed_count'] - NEW_LISTED} more"
    if digest["not_done"]:
        yield ""
        yield "## Failed, waiting or held"
        for each in digest["not_done"]:
            yield from _reason(each)
    yield ""
    yield "## Room"
    free = digest["free_bytes"]
    room = f"{decimal_size(free)} free" if free is not None else "free space unknown"
    grown = "Unknown" if is_unknown(digest) else decimal_size(digest["grown_bytes"])
    yield f"{grown} of new media, {room}"
    if digest.get("library_bytes") is not None:
        yield f"The library has {decimal_size(digest['library_bytes'])}."
    if digest["days_left"] is not None and digest["days_left"] < FAR_DAYS:
        yield f"At this rate there is room for {counted(digest['days_left'], 'day')}."


def _reason(each: Mapping[str, Any]) -> Iterator[str]:
    others = f" and {each['count'] - 1} more" if each["count"] > 1 else ""
    said = with_title(each["example"], each["error"])
    if others:
        said = f"{each['example']}{others}" + (f": {each['error']}" if each["error"] else "")
    line = sentence(f"- {each['state']}: {said}")
    line += f" Next try {_moment(each['next_at'])}." if each["next_at"] else ""
    line += f" {each['hint']}" if each["hint"] else ""
    yield line


def _moment(seconds: float) -> str:
    return time.strftime("%d %b %Y %H:%M %Z", time.localtime(seconds)).strip()
