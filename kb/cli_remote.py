"""Commands about knowledge bases elsewhere: publish, sync, ask, upload."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb import console
from kb.cli_options import FAILED, Json
from kb.errors import KBError, UsageError
from kb.service import Service
from kb.sinks import check_sink

if TYPE_CHECKING:
    from kb.sinks.odin_sync import Outcome

To = Annotated[str, typer.Option("--to", help="Which knowledge base.")]
Meta = Annotated[
    list[str] | None, typer.Option("--meta", help="Own metadata for the documents: key=value.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    for command in (publish, sync, ask, upload):
        app.command()(command)


def publish(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every finished item.")] = False,
    to: To = "odin",
    meta: Meta = None,
    as_json: Json = False,
) -> None:
    """Send finished items to a knowledge base, to the end; run again it does what is left."""
    check_sink(to)
    service = Service()
    if not ids and not everything:
        raise UsageError("Which items?", hint="kb publish ID…, or kb publish --all")
    chosen = service.remote.ready() if everything else service.resolve_ids(ids or [])
    with console.count_progress("publish", len(chosen), shown=sys.stderr.isatty()) as progress:
        outcome = service.remote.publish(to, chosen, _metadata(meta), progress)
    _tell(outcome, as_json)


def sync(
    to: To = "odin",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan only.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also delete documents of ours that are only there.")
    ] = False,
    meta: Meta = None,
    as_json: Json = False,
) -> None:
    """Bring a knowledge base into step with the library; the plan is shown first."""
    check_sink(to)
    if to != "odin":
        raise UsageError(
            f"{to!r} cannot be compared with the library.",
            hint="It is brought into step by: kb publish --all --to " + to,
        )
    service = Service()
    metadata = _metadata(meta)
    plan = service.remote.plan(metadata)
    if not as_json:
        console.print_plan(plan)
    elif dry_run:
        console.print_json({"steps": [asdict(s) for s in plan.steps], "counts": plan.counts})
    if dry_run:
        return
    todo = len(plan.to_do(prune=prune))
    with console.count_progress("sync", todo, shown=sys.stderr.isatty()) as progress:
        outcome = service.remote.apply(plan, prune=prune, metadata=metadata, progress=progress)
    _tell(outcome, as_json)


def ask(
    question: Annotated[str, typer.Argument()],
    to: Annotated[
        str, typer.Option("--to", help="odin, or local: the passages that fit.")
    ] = "odin",
    as_json: Json = False,
) -> None:
    """Ask a knowledge base; sources lead to video and second."""
    service = Service()
    if to == "local":
        found = service.search(question, limit=5)
        if as_json:
            console.print_json(console.search_document(found))
        else:
            console.print_search(found)
        return
    if to != "odin":
        raise UsageError(f"{to!r} cannot be asked.", hint="Ask odin or local.")
    answer = service.remote.ask(question)
    if as_json:
        console.print_json(asdict(answer))
    else:
        console.print_answer(answer)


def upload(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    meta: Meta = None,
    as_json: Json = False,
) -> None:
    """Send other files to the ODIN project as they are (TXT PDF MP4 DOCX HTML and more)."""
    from kb.sinks.odin_files import files_in, upload_files

    service = Service()
    service.library.prepare()
    files: list[Path] = []
    for path in paths:
        files.extend(files_in(path) if path.is_dir() else [path])
    if not files:
        raise UsageError("There is nothing to send in what was given.")
    results = upload_files(service.remote.odin, files, _metadata(meta))
    if as_json:
        console.print_json([{**asdict(r), "path": str(r.path)} for r in results])
    else:
        for result in results:
            console.note(f"{result.status}: {result.path} {result.error} {result.hint}".rstrip())
    if any(result.error for result in results):
        raise typer.Exit(FAILED)


def _metadata(pairs: list[str] | None) -> Mapping[str, str] | None:
    if pairs is None:
        return None
    found: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"--meta {pair!r} is not key=value.", hint="--meta team=research")
        found[key.strip()] = value
    return found


def _tell(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        console.print_json(
            {
                "done": outcome.done,
                "waiting": outcome.waiting,
                "failed": {i: _words(error) for i, error in outcome.failed.items()},
            }
        )
    else:
        for item_id, error in outcome.failed.items():
            console.note(item_id)
            console.print_error(error)
        for item_id in outcome.waiting:
            console.note(f"{item_id}: sent, not indexed yet; run the command again later.")
        console.note(
            f"{len(outcome.done)} done, {len(outcome.waiting)} waiting, "
            f"{len(outcome.failed)} failed."
        )
    if not outcome.ok:
        raise typer.Exit(FAILED)


def _words(error: KBError) -> dict[str, str]:
    return {"error": error.message, "hint": error.hint}
