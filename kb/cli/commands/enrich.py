"""The command of the steps that follow the words."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.exit_codes import FAILED
from kb.cli.output import console
from kb.cli.output.items import print_pause, print_step_problems, status_document
from kb.cli.output.language_model import print_estimate
from kb.cli.output.progress import steps_progress
from kb.cli.plain_options import ID_HELP, Json, Sure
from kb.errors import KBError, UsageError
from kb.options import parse_names
from kb.service import ItemStatus, Service
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.language_model import Estimate


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(enrich)


def enrich(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=ID_HELP)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every item with a transcript.")] = False,
    steps: Annotated[
        str,
        typer.Option("--steps", help="Names, separated by commas; auto: those that can run here."),
    ] = "auto",
    again: Annotated[
        bool, typer.Option("--again", help="Make results again that are there already.")
    ] = False,
    speakers: Annotated[
        int | None,
        typer.Option("--speakers", min=1, help="How many people speak, where you know it."),
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            "--sample-rate",
            min=1,
            help="Text on the screen: read every frame of this number instead of those after a "
            "change.",
        ),
    ] = None,
    fetch_picture: Annotated[
        bool | None,
        typer.Option(
            "--fetch-picture/--no-fetch-picture",
            help="Text on the screen of what is kept as sound: fetch its picture, read and delete "
            "it.",
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Follow until all is done; starts a worker if none is alive."),
    ] = False,
    yes: Sure = False,
    as_json: Json = False,
) -> None:
    """Find out more about what is in the library: who speaks, what is on the screen."""
    service = Service.of_existing_library()
    if not ids and not every:
        raise UsageError("enrich.no_items", "Which items?", hint="kb enrich ID…, or --all")
    chosen = None if every else ids
    said: list[Estimate | None] = []
    report = service.enrichment.run(
        chosen, parse_names(steps), again=again, speakers=speakers, sample_rate=sample_rate,
        fetch_picture=fetch_picture,
        sure=yes,
        before=lambda found: said.append(_say_estimate(service, found.queued)),
    )  # fmt: skip
    estimate = said[0] if said else None
    item_ids = list(dict.fromkeys(item_id for _, item_id in [*report.queued, *report.under_way]))
    if wait:
        with steps_progress(shown=sys.stderr.isatty()) as on_steps:
            service.follow.wait_for_steps(item_ids, on_steps=on_steps, on_pause=print_pause)
    items = service.items.statuses(ids=item_ids) if item_ids else []
    if as_json:
        console.print_json(
            {
                "queued": [list(key) for key in report.queued],
                "current": [list(key) for key in report.current],
                "under_way": [list(key) for key in report.under_way],
                "without_words": report.without_words,
                "lacking": {name: error.record() for name, error in report.lacking.items()},
                "estimate": asdict(estimate) if estimate else None,
                "items": [status_document(item) for item in items],
            }
        )
    else:
        _print(service, report.queued, report.current, report.without_words,
               ended=items if wait else None)  # fmt: skip
        for error in () if wait else report.lacking.values():
            console.print_warning(f"{error.message} {error.hint}")
        if wait:
            print_step_problems(items)
    if wait and any(step.status == "failed" for item in items for step in item.steps):
        raise typer.Exit(FAILED)


def _say_estimate(service: Service, queued: list[tuple[str, str]]) -> Estimate | None:
    """Say what is sent to a language model, where to and for how much; return it."""
    try:
        names, ids = dict.fromkeys(step for step, _ in queued), dict.fromkeys(i for _, i in queued)
        estimate = service.language_model.estimate(list(ids), list(names))
        if estimate is None:
            return None
        facts = service.language_model.facts()
    except KBError:
        return None  # the step itself says what is missing
    print_estimate("Transcripts go", facts, estimate)
    return estimate


def _print(
    service: Service,
    queued: list[tuple[str, str]],
    current: list[tuple[str, str]],
    without_words: list[str],
    *,
    ended: Sequence[ItemStatus] | None,
) -> None:
    if current:
        console.print_note(f"There already: {counted(len(current), 'result')}.")
    if without_words:
        console.print_note(
            f"{counted(len(without_words), 'item')} without a finished transcript: the steps "
            "follow by themselves."
        )
    if not queued:
        console.print_note("Nothing to do.")
    elif ended is not None:
        console.print_note(_outcome(queued, ended))
    else:
        console.print_note(f"{counted(len(queued), 'step')} queued.")
        if not service.queue.workers():
            console.print_note("No worker is running. Start one with: kb worker --detach")


def _outcome(queued: Sequence[tuple[str, str]], items: Sequence[ItemStatus]) -> str:
    """Return how many of the steps were done, and how many ended in each other way."""
    status = {(step.step, item.id): step.status for item in items for step in item.steps}
    found = Counter(status.get(key, "removed") for key in queued)
    done = found.pop("done", 0)
    parts = [f"{counted(done, 'step')} carried out"] if done or not found else []
    parts += [f"{counted(count, 'step')} {each}" for each, count in sorted(found.items())]
    return f"{', '.join(parts)}."
