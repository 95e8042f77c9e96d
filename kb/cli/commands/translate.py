"""The command that translates items, and shows a translation beside the original."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from kb.cli.exit_codes import FAILED
from kb.cli.output import console
from kb.cli.output.items import print_pause, print_step_problems, status_document
from kb.cli.output.language_model import print_estimate
from kb.cli.output.progress import print_steps, share_progress
from kb.cli.plain_options import ID_HELP, Json
from kb.errors import UsageError
from kb.service import Service
from kb.service.notation import format_timestamp
from kb.types.sentences import counted
from kb.types.translation import TRANSLATE, Translation

if TYPE_CHECKING:
    from kb.service.translations import TranslationReport


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(translate)


def translate(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=ID_HELP)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every item with a transcript.")] = False,
    into: Annotated[
        str, typer.Option("--into", help="Languages, such as de or de,fr; else KB_TRANSLATE_INTO.")
    ] = "",
    via: Annotated[
        str,
        typer.Option(
            "--via",
            help="llm (the language model), local (KB_TRANSLATE_MODEL) or whisper (the sound, into "
            "English); else KB_TRANSLATE_VIA.",
        ),
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Translate again what is there already.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the translations that are there; make none.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Follow until all is done; starts a worker if none is alive."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Translate transcripts; every segment keeps its times. Export them with --language."""
    service = Service.of_existing_library()
    if not ids and not every:
        raise UsageError("translate.no_items", "Which items?", hint="kb translate ID…, or --all")
    if show:
        there = [each.item.id for each in service.items.listing().entries if each.transcript_path]
        _show(service, there if every else ids or [], into, as_json)
        return
    report = service.translations.request(
        None if every else ids, into, via, again=again,
        before=lambda found: _say_estimate(service, found),
    )  # fmt: skip
    keys = [*report.steps.queued, *report.steps.under_way]
    item_ids = list(dict.fromkeys(item_id for _, item_id in keys))
    if wait and item_ids:
        with share_progress("translate", shown=(shown := sys.stderr.isatty())) as show_share:
            service.follow.wait_for_steps(
                item_ids,
                on_steps=print_steps,
                on_pause=print_pause,
                on_look=lambda: show_share(_share(service, item_ids)) if shown else None,
            )
    items = service.items.statuses(ids=item_ids) if item_ids else []
    if as_json:
        console.print_json(
            {
                "into": list(report.languages),
                "via": report.way,
                "queued": [item_id for _, item_id in report.steps.queued],
                "current": [item_id for _, item_id in report.steps.current],
                "under_way": [item_id for _, item_id in report.steps.under_way],
                "without_words": report.steps.without_words,
                "same_language": report.same,
                "estimate": asdict(report.estimate) if report.estimate else None,
                "items": [status_document(item) for item in items],
            }
        )
    else:
        _print(service, report, waited=wait)
        if wait:
            print_step_problems(items)
            _print_lacking(service, item_ids, report)
    if wait and any(
        step.status == "failed" for item in items for step in item.steps if step.step == TRANSLATE
    ):
        raise typer.Exit(FAILED)


def _share(service: Service, item_ids: list[str]) -> float:
    """Return the finished share of the translations of items."""
    shares = [
        (step.progress or 0.0) if step.status in ("queued", "running", "waiting") else 1.0
        for item in service.items.statuses(ids=item_ids)
        for step in item.steps
        if step.step == TRANSLATE
    ]
    return sum(shares) / len(shares) if shares else 0.0


def _say_estimate(service: Service, report: TranslationReport) -> None:
    if report.estimate is not None:
        print_estimate("Transcripts go", service.language_model.facts(), report.estimate)


def _print(service: Service, report: TranslationReport, *, waited: bool) -> None:
    steps = report.steps
    if report.same:
        console.print_note(
            f"In that language already: {counted(len(report.same), 'item')}: "
            f"{', '.join(report.same[:5])}{'…' if len(report.same) > 5 else ''}"
        )
    if steps.current:
        console.print_note(f"There already: {counted(len(steps.current), 'translation')}.")
    if steps.without_words:
        console.print_note(f"Without a transcript: {counted(len(steps.without_words), 'item')}.")
    if not steps.queued and not steps.under_way:
        console.print_note("Nothing to do.")
    elif not waited:
        count = len(steps.queued) + len(steps.under_way)
        console.print_note(f"{counted(count, 'translation')} queued.")
        if not service.queue.workers():
            console.print_note("No worker is running. Start one with: kb worker --detach")


def _print_lacking(service: Service, item_ids: list[str], report: TranslationReport) -> None:
    """Say what was translated, and how many segments of each translation have no text."""
    for item_id in item_ids:
        entry = service.items.entry(item_id)
        transcript = service.items.transcript(item_id)
        for language in report.languages:
            found = service.translations.read(entry, transcript, language)
            if found is not None and found.is_current:
                console.print_note(f"{item_id}: {summary(found)}")


def summary(found: Translation) -> str:
    """Return a translation's language, size, origin and gaps as a sentence."""
    words = f"{found.language}, {counted(len(found.segments), 'segment')}, by {found.model}"
    words += f" at {found.place}" if found.place else ""
    words += f" ({found.licence})" if found.licence else ""
    if found.marks:
        marks = ", ".join(f"{count} {mark}" for mark, count in sorted(found.marks.items()))
        words += f"; without a translation: {marks}"
    if not found.is_current:
        words += "; the original has changed since"
    return words


def _show(service: Service, ids: list[str], into: str, as_json: bool) -> None:
    from kb.service.translations import language_codes

    codes = language_codes(into) if into else ()
    documents = []
    for item_id in ids:
        entry = service.items.entry(item_id)
        transcript = service.items.transcript(item_id)
        found, problems = service.translations.all_of(entry, transcript)
        wanted = [each for each in found if not codes or each.language in codes]
        for problem in problems:
            console.print_warning(f"{problem.message} {problem.hint}")
        if as_json:
            documents += [
                {"id": entry.item.id, **asdict(each), "marks": dict(each.marks)} for each in wanted
            ]
            continue
        if not wanted:
            console.print_note(f"{entry.item.id}: no translation yet.")
        for each in wanted:
            console.print_note(f"{entry.item.id}: {summary(each)}")
            for segment in each.segments:
                time = format_timestamp(segment.start_s)
                words = segment.text or (f"({segment.mark})" if segment.mark else "")
                if words:
                    console.out.print(Text(f"{time}  {words}"))
    if as_json:
        console.print_json({"translations": documents})
