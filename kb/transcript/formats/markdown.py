"""Markdown: title and facts of the medium, then the text under times with links to the medium."""

from __future__ import annotations

import re

from kb.library import deep_link
from kb.transcript.chunks import (
    Chunk,
    chunks,
    collapse_whitespace,
    format_time_range,
    format_timestamp,
)
from kb.types import MediaItem, Transcript
from kb.types.safe_text import printable, web_address

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$]|==)")
# The number or mark of a list item, or a rule, at the start of a line.
_LINE_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+:](?:[-+:\s]|$)))")


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return a document with one heading per chunk, with a deep link when `item` is given.

    If the item has chapters, these are the headings, and the times are one level below.
    """
    blocks = _header(transcript, item) if item else []
    chapters = sorted(item.chapters, key=lambda chapter: chapter.start_s) if item else []
    level = "###" if chapters else "##"
    for chunk in chunks(transcript, transcript.chunk_s):
        # A chapter seldom begins exactly with a chunk: a chunk belongs to the chapter that contains
        # most of it.
        while chapters and chapters[0].start_s <= (chunk.start_s + chunk.end_s) / 2:
            blocks.append(f"## {escape(chapters.pop(0).title)}")
        blocks.append(f"{level} {_time(chunk, item)}")
        blocks.append(escape(chunk.text))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def escape(text: str) -> str:
    """Return the text on one line, escaped so that Markdown shows it unchanged."""
    escaped = _SPECIAL.sub(r"\\\1", printable(collapse_whitespace(text)))
    return _LINE_START.sub(r"\1\\", escaped)


def _time(chunk: Chunk, item: MediaItem | None) -> str:
    if item is None:
        return format_time_range(chunk.start_s, chunk.end_s)
    link, time = deep_link(item, chunk.start_s), format_timestamp(chunk.start_s)
    return f"[{time}]({_target(link)})" if link else time


def _target(link: str) -> str:
    """Return a link target, inside `<>` when it contains brackets or spaces."""
    if not re.search(r"[\s()<>]", link):
        return link
    return "<" + link.replace("<", "%3C").replace(">", "%3E").replace("\n", "%0A") + ">"


def _link(address: str) -> str:
    """Return a web address as a link; every other address is left out."""
    link = web_address(address)
    return f"<{link}>" if re.fullmatch(r"[^\s<>]+", link) else escape(link)


def _header(transcript: Transcript, item: MediaItem) -> list[str]:
    facts = (
        ("Artist" if item.source == "file" else "Channel", escape(item.channel)),
        ("Date", escape(item.published)),
        ("Link", _link(item.url)),
        (
            "Length",
            format_timestamp(transcript.media.duration_s) if transcript.media.duration_s else "",
        ),
        ("Language", escape(transcript.language)),
        ("Model", escape(transcript.model)),
        ("Id", escape(item.id)),
    )
    lines = "\n".join(f"- {name}: {value}" for name, value in facts if value)
    blocks = [f"# {escape(item.title) or 'Untitled'}", lines]
    if transcript.coverage.speech_s > 0 and transcript.coverage.ratio < 1:
        share = transcript.coverage.ratio
        blocks.append(f"Words were found for {100 * share:.1f} % of the detected speech.")
    blocks.extend(f"> {escape(warning)}" for warning in transcript.warnings)
    return blocks
