"""The command that shows what a language model noted about an item."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from kb.cli.output import console
from kb.cli.plain_options import ID_HELP, Json
from kb.service import Service
from kb.service.notation import format_timestamp
from kb.types.notes import LENGTHS, Cited, Notes
from kb.types.sentences import counted


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(notes)


def notes(
    item_id: Annotated[str, typer.Argument(metavar="ID", help=ID_HELP)],
    add_terms: Annotated[
        bool, typer.Option("--add-terms", help="Add the names to the channel's vocabulary.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Summary, chapters, highlights, names and answers that a language model found in an item."""
    service = Service.of_existing_library()
    entry = service.items.entry(item_id)
    if add_terms:
        new = service.language_model.add_terms(entry.item.id)
        console.print_note(f"{counted(len(new), 'name')} added: {', '.join(new)}".rstrip(": "))
    found = service.language_model.notes(entry)
    if as_json:
        console.print_json({"id": entry.item.id, **asdict(found)})
    elif found.is_empty:
        command = f"kb enrich {entry.item.id} --steps summary,chapters"
        if (problem := service.language_model.lacking) is None:
            console.print_note(f"Nothing was noted yet: {command}")
        else:
            console.print_note(f"Nothing was noted yet. {problem.message} {problem.hint}")
            console.print_note(f"Then: {command}")
    else:
        _print(found)


def _print(found: Notes) -> None:
    shown = next((found.summary[each] for each in reversed(LENGTHS) if each in found.summary), ())
    _print_cited("Summary", shown)
    if found.chapters:
        _print_title("Chapters")
        for chapter in found.chapters:
            console.out.print(Text(f"{format_timestamp(chapter.start_s)}  {chapter.title}"))
    _print_cited("Highlights", found.highlights)
    if found.questions:
        _print_title("Questions and answers")
        for each in found.questions:
            console.out.print(Text(each.question, style="bold"))
            _print_one(each.answer)
    if found.terms:
        _print_title("Names and terms")
        console.out.print(Text(", ".join(term.text for term in found.terms)))
    console.print_note(origin(found))


def origin(found: Notes) -> str:
    """Return who made the notes, and what was left out, as a sentence."""
    words = f"Written by {found.model} at {found.place}; the quotes are the transcript's own words."
    if found.of_earlier_words:
        words += " The transcript has changed since: quotes may be of its earlier words."
    if found.dropped:
        dropped = counted(found.dropped, "statement")
        words += f" Dropped without a proof, or for links or markup: {dropped}."
    if found.parts_unread:
        words += f" Without a usable answer: {found.parts_unread} of {found.parts} parts."
    return words


def _print_title(title: str) -> None:
    console.out.print(Text(title, style="bold cyan"))


def _print_cited(title: str, cited: tuple[Cited, ...]) -> None:
    if cited:
        _print_title(title)
        for each in cited:
            _print_one(each)


def _print_one(each: Cited) -> None:
    console.out.print(Text(each.text))
    for quote in each.quotes:
        time = format_timestamp(quote.start_s)
        console.out.print(Text(f"    {time}  “{quote.text}”", style="dim"))
