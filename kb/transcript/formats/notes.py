"""Notes of a language model as Markdown: each statement with the words that prove it, and links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kb.errors import UsageError
from kb.library import deep_link
from kb.transcript.chunks import collapse_whitespace, format_timestamp
from kb.transcript.formats.facts import UNTITLED
from kb.transcript.formats.markdown import link_target
from kb.transcript.formats.markup import markdown_text as escape
from kb.types import MediaItem, Transcript
from kb.types.notes import Cited, Notes
from kb.types.sentences import counted

SUFFIX = "notes.md"
MIME_TYPE = "text/markdown"
GROUP = "reading"
TIMES_WORDS = False

_LENGTHS = {"short": "In one sentence", "medium": "In a paragraph", "long": "In detail"}


def unavailable(transcript: Transcript, item: MediaItem | None) -> UsageError | None:
    """Return the error for an item without notes."""
    if transcript.notes is not None:
        return None
    return UsageError(
        "format.no_notes",
        "No language model has noted anything to write as {format!r}.",
        hint="Make notes first: kb enrich ID --steps summary,chapters,highlights",
        format="notes",
    )


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return a document with a heading for each kind of notes."""
    notes = transcript.notes
    if notes is None:
        return ""
    blocks = [f"# {_line(item.title) or UNTITLED}" if item else f"# {UNTITLED}", origin(notes)]
    for length, cited in notes.summary.items():
        blocks += [f"## Summary: {_LENGTHS[length]}", *_list(cited, item)]
    if notes.chapters:
        marks = [f"- {_time(each.start_s, item)} {_line(each.title)}" for each in notes.chapters]
        blocks += ["## Chapters", "\n".join(marks)]
    if notes.highlights:
        blocks += ["## Highlights", *_list(notes.highlights, item)]
    if notes.questions:
        blocks.append("## Questions and answers")
        for each in notes.questions:
            blocks += [f"### {_line(each.question)}", *_list((each.answer,), item)]
    if notes.terms:
        rows = [
            f"- {_line(each.text)} ({_line(each.kind)}, {each.count} times from "
            f"{_time(each.start_s, item)})"
            for each in notes.terms
        ]
        blocks += ["## Names and terms", "\n".join(rows)]
    return "\n\n".join(blocks) + "\n"


def origin(notes: Notes) -> str:
    """Return who made the notes, and what was left out, as Markdown."""
    said = (
        f"Written by {_line(notes.model)} at {_line(notes.place)}, a language model. Titles and "
        "sentences are its own; the quotes are the transcript's words."
    )
    if notes.of_earlier_words:
        said += " The transcript has changed since: quotes may be of its earlier words."
    if notes.dropped:
        said += f" Dropped without a proof: {counted(notes.dropped, 'statement')}."
    return said


def _list(cited: Sequence[Cited], item: MediaItem | None) -> Iterator[str]:
    yield "\n".join(
        "\n".join(
            [
                f"- {_line(each.text)}",
                *(
                    f"    - {_time(quote.start_s, item)} “{_line(quote.text)}”"
                    for quote in each.quotes
                ),
            ]
        )
        for each in cited
    )


def _time(start_s: float, item: MediaItem | None) -> str:
    time = format_timestamp(start_s)
    link = deep_link(item, start_s) if item else ""
    return f"[{time}]({link_target(link)})" if link else time


def _line(text: str) -> str:
    return escape(collapse_whitespace(text))
