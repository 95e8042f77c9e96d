"""Markdown: title and facts of the medium, then the text under times with links to the medium."""

from __future__ import annotations

import re

from kb.library import deep_link
from kb.transcript.chunks import (
    Chunk,
    chunks,
    format_exact_time,
    format_time_range,
    format_timestamp,
)
from kb.transcript.formats.facts import LINK, UNTITLED, facts, quality_remark
from kb.transcript.formats.markup import markdown as escape
from kb.types import MediaItem, Transcript

GROUP = "reading"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return a document with one heading per chunk, with a deep link when `item` is given.

    If the item has chapters, these are the headings, and the times are one level below. With a time
    for each word, a chunk is a list of its words.
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
        blocks.append(_text(chunk, item, by_word=transcript.times_each_word))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _text(chunk: Chunk, item: MediaItem | None, *, by_word: bool) -> str:
    words = chunk.text.split()
    if not by_word or len(words) != len(chunk.starts_s):
        return escape(chunk.text)
    return "\n".join(
        f"- {_linked(format_exact_time(start_s), start_s, item)} {escape(word)}"
        for start_s, word in zip(chunk.starts_s, words, strict=True)
    )


def _time(chunk: Chunk, item: MediaItem | None) -> str:
    if item is None:
        return format_time_range(chunk.start_s, chunk.end_s)
    return _linked(format_timestamp(chunk.start_s), chunk.start_s, item)


def _linked(time: str, start_s: float, item: MediaItem | None) -> str:
    link = deep_link(item, start_s) if item else ""
    return f"[{time}]({_target(link)})" if link else time


def _target(link: str) -> str:
    """Return a link target, inside `<>` when it contains brackets or spaces."""
    if not re.search(r"[\s()<>]", link):
        return link
    return "<" + link.replace("<", "%3C").replace(">", "%3E").replace("\n", "%0A") + ">"


def _link(address: str) -> str:
    """Return a web address as a link."""
    return f"<{address}>" if re.fullmatch(r"[^\s<>]+", address) else escape(address)


def _header(transcript: Transcript, item: MediaItem) -> list[str]:
    lines = "\n".join(
        f"- {name}: {_link(value) if name == LINK else escape(value)}"
        for name, value in facts(transcript, item)
    )
    blocks = [f"# {escape(item.title) or UNTITLED}", lines]
    blocks += [remark] if (remark := quality_remark(transcript)) else []
    blocks.extend(f"> {escape(warning)}" for warning in transcript.warnings)
    return blocks
