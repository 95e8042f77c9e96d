"""Commands about remote knowledge bases: publish, sync, ask, upload."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.exit_codes import FAILED
from kb.cli.options import with_run_options
from kb.cli.output import console
from kb.cli.output import publish as publish_output
from kb.cli.output.language_model import print_estimate
from kb.cli.output.library import new_library_note
from kb.cli.output.progress import count_progress
from kb.cli.output.search import answer_document, print_local_answer
from kb.cli.plain_options import ID_HELP, Json, Overwrite
from kb.errors import CredentialsMissing, UsageError
from kb.options import RunOptions
from kb.service import Service
from kb.service.notation import REMOTE
from kb.types import MediaItem
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.views import FileResult, SyncResult

To = Annotated[str, typer.Option("--to", help="Which knowledge base.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (publish, sync, ask, upload):
        app.command()(command)


@with_run_options("metadata")
def publish(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=ID_HELP)] = None,
    all_items: Annotated[bool, typer.Option("--all", help="Every finished item.")] = False,
    to: To = REMOTE,
    overwrite: Overwrite = False,
    as_json: Json = False,
    *,
    options: RunOptions,
) -> None:
    """Send finished items to a knowledge base, to the end; run again it does what is left."""
    from kb.service.publisher import check_publishable

    check_publishable(to, overwrite=overwrite)
    if not ids and not all_items:
        raise UsageError(
            "publish.no_items", "Which items?", hint="kb publish ID…, or kb publish --all"
        )
    service = Service.of_existing_library()
    service.publisher.check(to, options.metadata)
    chosen = (
        service.publisher.publishable_ids() if all_items else service.items.resolve_ids(ids or [])
    )
    held = service.publisher.held_items() if all_items else []
    if to == REMOTE and len(chosen) > 1:
        publish_output.print_estimate(service.publisher.estimate(chosen))
    service.audit.record("publish", chosen, to=to)
    with count_progress("publish", len(chosen), shown=sys.stderr.isatty()) as progress:
        result = service.publisher.publish(
            to, chosen, options.metadata, progress, overwrite=overwrite
        )
    _print_result(result, held, as_json)


@with_run_options("metadata")
def sync(
    to: To = REMOTE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan only.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also delete documents of ours that are only there.")
    ] = False,
    as_json: Json = False,
    *,
    options: RunOptions,
) -> None:
    """Bring a knowledge base into step with the library; the plan is shown first."""
    from kb.service.publisher import check_comparable

    check_comparable(to)
    service = Service.of_existing_library()
    plan = service.publisher.plan(options.metadata)
    held = service.publisher.held_items()
    if not as_json:
        publish_output.print_plan(plan)
    elif dry_run:
        console.print_json(publish_output.plan_document(plan, held))
    if dry_run:
        if not as_json:
            publish_output.print_held(held)
        return
    todo = len(plan.selected_steps(prune=prune))
    service.audit.record("sync", to=REMOTE)
    with count_progress("sync", todo, shown=sys.stderr.isatty()) as progress:
        result = service.publisher.apply(
            plan, prune=prune, metadata=options.metadata, progress=progress
        )
    remote_only = [step for step in plan.steps if step.kind == "remote_only"]
    if remote_only and not prune and not as_json:
        console.print_note(
            f"Only there, and kept: {counted(len(remote_only), 'item')}; delete: kb sync --prune"
        )
    _print_result(result, held, as_json)


def ask(
    question: Annotated[str, typer.Argument(help="A question, in your own words.")],
    to: Annotated[str, typer.Option("--to", help=f"{REMOTE}, or local: this library.")] = REMOTE,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, max=50, help="With --to local: passages, at most."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a knowledge base; sources lead to video and second."""
    service = Service.of_existing_library() if to == "local" else Service.for_reading()
    if to == "local":
        if service.language_model.lacking is None:
            found = service.answers.estimate(question)
            print_estimate("Passages that fit go", service.language_model.facts(), found)
        local = service.answers.ask(question, limit)
        if as_json:
            console.print_json(answer_document(local))
        else:
            print_local_answer(local)
        return
    if to != REMOTE:
        raise UsageError(
            "ask.unsupported", "{sink!r} cannot be asked.", hint="Ask odin or local.", sink=to
        )
    if limit is not None:
        raise UsageError(
            "ask.limit_remote",
            "{sink} chooses its passages itself.",
            hint="Leave --limit out, or ask this library: --to local",
            sink=to,
        )
    try:
        answer = service.publisher.ask(question)
    except CredentialsMissing:
        console.print_note("This library answers without ODIN: kb ask QUESTION --to local")
        raise
    if as_json:
        console.print_json(asdict(answer))
    else:
        publish_output.print_answer(answer)


@with_run_options("metadata")
def upload(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    as_json: Json = False,
    *,
    options: RunOptions,
) -> None:
    """Send other files to the ODIN project as they are (TXT PDF MP4 DOCX HTML and more)."""
    reader = Service.for_reading()
    files: list[Path] = []
    try:
        reader.publisher.check(REMOTE)
        for path in paths:
            files.extend(reader.publisher.files_in(path))
    finally:
        reader.close()
    if not files:
        raise UsageError(
            "upload.nothing",
            "There is nothing to send in what was given.",
            hint="Give files, or a folder with files, that ODIN takes.",
        )
    service = Service()
    with new_library_note(service.settings.home):
        service.queue.prepare()
    number = 0
    service.audit.record("upload to a knowledge base", [file.name for file in files], to=REMOTE)
    with count_progress("upload", len(files), shown=sys.stderr.isatty()) as progress:

        def on_file_done(result: FileResult) -> None:
            nonlocal number
            number += 1
            progress(result.path.name, result.status, number, len(files))

        results = service.publisher.upload(files, options.metadata, on_file_done)
    if as_json:
        console.print_json([{**asdict(r), "path": str(r.path)} for r in results])
    else:
        for result in results:
            console.print_note(
                f"{result.status}: {result.path} {result.error} {result.hint}".rstrip()
            )
        if any(result.status == "syncing" for result in results):
            console.print_note("Sent, not all indexed yet; run the command again later.")
    if any(result.status != "synced" for result in results):
        raise typer.Exit(FAILED)


def _print_result(result: SyncResult, held: Sequence[MediaItem], as_json: bool) -> None:
    if as_json:
        console.print_json(
            {
                "done": result.done,
                "waiting": result.waiting,
                "failed": {i: error.record() for i, error in result.failed.items()},
                "held": [item.id for item in held],
            }
        )
    else:
        for item_id, error in result.failed.items():
            console.print_note(item_id)
            console.print_error(error)
        for item_id in result.waiting:
            console.print_note(f"{item_id}: sent, not indexed yet; run the command again later.")
        publish_output.print_held(held)
        console.print_note(
            f"{len(result.done)} done, {len(result.waiting)} waiting, {len(result.failed)} failed."
        )
    if not result.ok:
        raise typer.Exit(FAILED)
