"""Text on the screen as Markdown: each page under the times of its showings, with links."""

from __future__ import annotations

from kb.errors import UsageError
from kb.library import deep_link
from kb.transcript.chunks import collapse_whitespace, format_timestamp
from kb.transcript.formats.facts import UNTITLED
from kb.transcript.formats.markdown import link_target
from kb.transcript.formats.markup import markdown_text as escape
from kb.types import MediaItem, Transcript
from kb.types.screen import ScreenPage

SUFFIX = "screen.md"
MIME_TYPE = "text/markdown"
GROUP = "reading"
TIMES_WORDS = False


def unavailable(transcript: Transcript, item: MediaItem | None) -> UsageError | None:
    """Return the error for an item on whose screen nothing was read."""
    if transcript.on_screen:
        return None
    return UsageError(
        "format.no_screen",
        "No text was read on the screen to write as {format!r}.",
        hint="Read it first: kb enrich ID --steps screen",
        format="screen",
    )


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return a document with a heading for each page, in the order of their first showings."""
    if not transcript.on_screen:
        return ""
    blocks = [f"# {(_line(item.title) if item else '') or UNTITLED}"]
    for page in transcript.on_screen:
        blocks.append(f"## {_times(page, item)}")
        blocks.append("\n".join(f"- {_line(row)}" for row in page.rows()))
    return "\n\n".join(blocks) + "\n"


def _times(page: ScreenPage, item: MediaItem | None) -> str:
    found = []
    for start_s, end_s in page.showings:
        link = deep_link(item, start_s) if item else ""
        start = format_timestamp(start_s)
        found.append(
            (f"[{start}]({link_target(link)})" if link else start) + f" - {format_timestamp(end_s)}"
        )
    return ", ".join(found)


def _line(text: str) -> str:
    return escape(collapse_whitespace(text))
