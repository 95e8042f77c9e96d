"""Markdown: title and facts of the medium, then the text under times with links to the medium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

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
    for speaker, chunk in _chunks(transcript):
        # A chapter seldom begins exactly with a chunk: a chunk belongs to the chapter that contains
        # most of it.
        while chapters and chapters[0].start_s <= (chunk.start_s + chunk.end_s) / 2:
            blocks.append(f"## {escape(chapters.pop(0).title)}")
        blocks.append(f"{level} {_time(chunk, item)}")
        text = _text(chunk, item, by_word=transcript.times_each_word)
        if speaker:
            text = f"**{escape(speaker)}:**{_after_speaker(text)}"
        blocks.append(text)
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _chunks(transcript: Transcript) -> Iterator[tuple[str | None, Chunk]]:
    """Yield the chunks, each with its speaker if the transcript names speakers."""
    for speaker, run in groupby(transcript.segments, key=lambda segment: segment.speaker):
        spoken = replace(transcript, segments=tuple(run))
        for chunk in chunks(spoken, transcript.chunk_s):
            yield speaker, chunk


def _after_speaker(text: str) -> str:
    """Return the text behind a name: a list of words begins on a line of its own."""
    return f"\n\n{text}" if text.startswith("- ") else f" {text}"


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
    return f"[{time}]({link_target(link)})" if link else time


def link_target(link: str) -> str:
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
