"""Commands for the review of transcripts: review, clip, vocabulary, correct."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from kb.cli.exit_codes import FAILED
from kb.cli.options import with_run_options
from kb.cli.output import console
from kb.cli.plain_options import ID_HELP, Json, Overwrite, Sure
from kb.errors import KBError, UsageError
from kb.options import RunOptions
from kb.service import Service
from kb.service.notation import format_timestamp, parse_time
from kb.types import Revision
from kb.types.quality import flag_words, likely_wrong
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.review import ReviewItem
    from kb.service.uncertain_spans import UncertainSpan

_SHOWN = 10  # number of uncertain spans per item in a listing of several items


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (review, clip, vocabulary, correct):
        app.command()(command)


@with_run_options("model", "engine")
def review(
    options: RunOptions,
    item_id: Annotated[str | None, typer.Argument(metavar="[ID]", help=ID_HELP)] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Folder for clips of just the doubtful seconds and a sheet."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Release the item: it counts as done, and is sent on.")
    ] = False,
    edit: Annotated[
        list[str] | None,
        typer.Option(
            "--edit",
            help="WHERE=TEXT: another text for a segment (its number) or a stretch "
            "(1:05-1:12.5); an empty TEXT takes it out.",
        ),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Transcribe again with --model or --engine.")
    ] = False,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            help="Take the other medium that the source has now; --accept keeps this one.",
        ),
    ] = False,
    note: Annotated[str, typer.Option("--note", help="Why; kept with the decision.")] = "",
    overwrite: Overwrite = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Items listed, at most.")] = 50,
    as_json: Json = False,
) -> None:
    """Show what to listen to: items held or doubtful, and the seconds that matter; decide."""
    service = Service.of_existing_library()
    actions = [export is not None, accept, bool(edit), retry, renew]
    if sum(actions) > 1:
        raise UsageError(
            "review.one_option",
            "One thing at a time.",
            hint="Use one of --export, --accept, --edit, --retry and --renew.",
        )
    if item_id is None:
        if any(actions):
            raise UsageError(
                "review.no_item", "Which item?", hint="What waits for review: kb review"
            )
        _list(service, limit, as_json)
        return
    item_id = service.items.entry(item_id).item.id
    if export is not None:
        exported = service.review.export(item_id, export, overwrite=overwrite)
        result: dict[str, Any] = {
            "id": item_id,
            "sheet": str(exported.sheet),
            "clips": [str(path) for path in exported.clips],
        }  # fmt: skip
        _print_result(
            result,
            f"{counted(len(exported.clips), 'clip')} and {exported.sheet.name} in {export}",
            as_json,
        )
    elif accept:
        sinks = service.review.accept(item_id, note=note)
        on = f"; on its way to {', '.join(sinks)}" if sinks else ""
        _print_result(
            {"id": item_id, "state": "done", "sent_to": list(sinks)}, f"Released{on}.", as_json
        )
        _warn_no_worker(service, bool(sinks))
    elif edit:
        _edit(service, item_id, edit, note, as_json)
    elif retry:
        lost = service.review.retry(item_id, model=options.model, engine=options.engine)
        lost_note = (
            f" Its {counted(lost, 'change')} by hand: kept where the words match." if lost else ""
        )
        _print_result(
            {"id": item_id, "state": "queued", "edits": lost}, f"Queued again.{lost_note}", as_json
        )
        _warn_no_worker(service, True)
    elif renew:
        service.review.renew(item_id)
        _print_result(
            {"id": item_id, "state": "queued"},
            f"Queued again; this transcript stays: kb show {item_id} --versions",
            as_json,
        )
        _warn_no_worker(service, True)
    elif as_json:
        console.print_json(review_document(service.review.item(item_id)))
    else:
        _print_item(service.review.item(item_id), max_spans=None)


def _list(service: Service, limit: int, as_json: bool) -> None:
    found = list(service.review.waiting(limit))
    if as_json:
        console.print_json({"items": [review_document(each) for each in found]})
        return
    for each in found:
        _print_item(each, max_spans=_SHOWN)
    if not found:
        console.print_note("Nothing waits for review.")
    elif len(found) == limit:
        console.print_note(f"The first {limit}; more with --limit.")


def review_document(found: ReviewItem) -> dict[str, Any]:
    """Return an item as `kb review --json` shows it; times in seconds."""
    return {
        "id": found.item.id,
        "title": found.item.title,
        "state": found.state,
        "held": found.held,
        "accepted": found.accepted,
        "grade": found.grade,
        "expected_errors": found.expected_errors,
        "error": found.error,
        "hint": found.hint,
        "problem": found.problem,
        "doubtful_s": round(found.uncertain_s, 3),
        "revisions": found.revisions,
        "doubts": [_uncertain_span_document(doubt) for doubt in found.spans],
    }


def _uncertain_span_document(span: UncertainSpan) -> dict[str, Any]:
    values = asdict(span)
    return {"start": values.pop("start_s"), "end": values.pop("end_s"), **values}


def _print_item(found: ReviewItem, max_spans: int | None) -> None:
    state = "accepted" if found.accepted else found.state
    console.out.print(
        Text.assemble(
            (f"{state:9}", "yellow" if found.held else ""),
            (f"{found.grade}  ", "bold"),
            (found.item.title, "bold"),
            (f"  {found.item.id}  ", "dim"),
            f"{found.uncertain_s:.1f} s in {counted(len(found.spans), 'place')}",
        )
    )
    if found.expected_errors is not None and found.grade != "A":
        console.out.print(Text(f"  {likely_wrong(found.expected_errors)}"))
    if found.error:
        console.out.print(Text(f"  {found.error}"))
    for span in found.spans[:max_spans]:
        places = ", ".join(str(place) for place in span.segments)
        console.out.print(
            Text.assemble(
                f"  {format_timestamp(span.start_s)} - {format_timestamp(span.end_s)}  ",
                (", ".join(map(flag_words, span.reasons)), "yellow"),
                (f"  [segment {places}]" if places else "", "dim"),
                ("  edited" if span.edited else "", "green"),
            )
        )
        if span.text:
            console.out.print(Text(f"      {span.text}"))
    if max_spans is not None and len(found.spans) > max_spans:
        console.out.print(f"  … and {len(found.spans) - max_spans} more: kb review {found.item.id}")


def _edit(service: Service, item_id: str, edits: list[str], note: str, as_json: bool) -> None:
    todo = [_parse_edit(each) for each in edits]
    # Segments from the last to the first, then spans: an edit renumbers the following segments.
    todo.sort(key=lambda each: -each[0] if isinstance(each[0], int) else 1)
    done: list[Revision] = []
    for target, text in todo:
        if isinstance(target, int):
            revision = service.revisions.edit(item_id, target, text, note=note)
        else:
            revision = service.revisions.edit_span(item_id, *target, text, note=note)
        if revision is not None:
            done.append(revision)
    changes = [change for revision in done for change in revision.changes]
    if as_json:
        console.print_json(
            {
                "id": item_id,
                "changes": [
                    {
                        "segment": change.segment,
                        "before": change.before.text if change.before else None,
                        "after": change.after.text if change.after else None,
                    }
                    for change in changes
                ],
            }
        )
        return
    for change in changes:
        if change.before:
            console.out.print(Text(f"- {change.before.text}", style="red"))
        if change.after:
            console.out.print(Text(f"+ {change.after.text}", style="green"))
    console.print_note(
        f"{len(changes)} changed." if changes else "That is what stands there already."
    )


def _parse_edit(text: str) -> tuple[int | tuple[float, float], str]:
    target, separator, words = text.partition("=")
    if not separator:
        raise UsageError(
            "review.edit_form",
            "--edit {given!r} is not WHERE=TEXT.",
            hint='--edit "12=the new text"',
            given=text,
        )
    if target.strip().isdecimal():
        return int(target), words
    start, dash, end = target.partition("-")
    if not dash:
        raise UsageError(
            "review.edit_target",
            "{target!r} is neither a segment's number nor a stretch of time.",
            hint='--edit "12=…" or --edit "1:05-1:12.5=…"',
            target=target,
        )
    return (parse_time(start), parse_time(end)), words


def _print_result(values: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        console.print_json(values)
    else:
        console.print_note(sentence)


def _warn_no_worker(service: Service, needed: bool) -> None:
    if needed and not service.queue.workers():
        console.print_note("No worker is running. Start one with: kb worker --detach")


def clip(
    item_id: Annotated[str, typer.Argument(metavar="ID", help=ID_HELP)],
    start: Annotated[str, typer.Option("--from", help="Seconds, MM:SS or H:MM:SS.")],
    end: Annotated[str, typer.Option("--to", help="The same.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; its ending says as what.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Cut a stretch out of an item's medium."""
    service = Service.of_existing_library()
    start_s, end_s = parse_time(start), parse_time(end)
    entry = service.items.entry(item_id)
    made = service.review.clip(entry.item.id, start_s, end_s, output, overwrite=overwrite)
    _print_result({"id": entry.item.id, "clip": str(made)}, f"Written: {made}", as_json)


def vocabulary(
    channel: Annotated[
        str, typer.Argument(metavar="CHANNEL", help="Its name or id; '*' for every channel.")
    ],
    add: Annotated[list[str] | None, typer.Option("--add", help="A name or term.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="Take it out.")] = None,
    as_json: Json = False,
) -> None:
    """Names and terms that the recognizer gets before it reads a channel's media."""
    service = Service.of_existing_library()
    if add or remove:
        service.vocabulary.change(channel, add or [], remove or [])
    found = service.vocabulary.for_channel(channel, service.queue.database)
    if as_json:
        console.print_json(asdict(found))
        return
    if not found.has_items and channel != "*":
        console.print_warning(f"No item of this library is of a channel {channel!r}.")
    for word in found.words:
        console.out.print(Text(word))
    if found.words:
        names = ", ".join(found.names[:12])
        console.print_note(
            f"With {counted(len(found.names), 'name')} from titles, chapters and descriptions: "
            f"{names}".rstrip(": ")
        )
    else:
        console.print_note(
            "No list: the recognizer gets no names. Begin one: kb vocabulary CHANNEL --add WORD"
        )
        if found.names:
            console.print_note(f"Names found: {', '.join(found.names[:12])}")
    if found.on_screen:
        used = "" if service.settings.screen_names else " (not used: KB_SCREEN_NAMES)"
        console.print_note(f"On its slides{used}: {', '.join(found.on_screen[:12])}")


def correct(
    channel: Annotated[
        str, typer.Argument(metavar="CHANNEL", help="Its name or id; '*' for all items.")
    ],
    wrong: Annotated[
        str, typer.Argument(metavar="WRONG", help="The wording as it was recognized.")
    ],
    right: Annotated[str, typer.Argument(metavar="RIGHT", help="What was said.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Make the changes that are shown.")
    ] = False,
    yes: Sure = False,
    as_json: Json = False,
) -> None:
    """Correct a wording in all transcripts of a channel; every change is shown first."""
    service = Service.of_existing_library()
    failed: tuple[tuple[str, KBError], ...] = ()
    if apply:
        done = service.corrections.apply(channel, wrong, right, sure=yes)
        changes, failed = list(done.changes), done.failed
    else:
        changes = list(service.corrections.preview(channel, wrong, right))
    if as_json:
        console.print_json(
            {
                "applied": apply,
                "changes": [asdict(change) for change in changes],
                "failed": [{"id": i, **e.record()} for i, e in failed],
            }
        )
    else:
        for change in changes:
            head = f"{change.title}  [{format_timestamp(change.at_s)}]  {change.item_id}"
            console.out.print(Text(head, style="bold"))
            console.out.print(Text(f"- {change.before}", style="red"))
            console.out.print(Text(f"+ {change.after}", style="green"))
        count = len({change.item_id for change in changes})
        summary = "changed" if apply else "would change; make the changes with --apply"
        console.print_note(
            f"{counted(len(changes), 'segment')} in {counted(count, 'item')} {summary}."
        )
        for item_id, error in failed:
            console.print_note(item_id)
            console.print_error(error)
    if failed:
        raise typer.Exit(FAILED)
