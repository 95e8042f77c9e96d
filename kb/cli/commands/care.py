"""Commands that care for the library: verify, reindex, backup, restore, remove."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kb.cli.exit_codes import FAILED
from kb.cli.output import console
from kb.cli.output.library import new_library_note
from kb.cli.output.progress import byte_progress, share_progress
from kb.cli.plain_options import Json, Overwrite
from kb.errors import UsageError
from kb.service import Service
from kb.types.safe_text import printable
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.removal import Removed

MB = 1e6

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (verify, reindex, backup, restore, remove):
        app.command()(command)
    app.command("move-queue")(move_queue)


def verify(
    pack: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="An evidence pack, a ZIP or a folder; else the library."
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Also replace damaged files; the old ones are kept."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing.")] = False,
    key: Annotated[
        str,
        typer.Option("--key", help="A pack must be signed by the key with this fingerprint."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Check every file against its hash, every transcript, the index and the queue's rows."""
    if pack is not None:
        if repair or dry_run:
            raise UsageError(
                "verify.pack_options",
                "--repair and --dry-run are for the library: a pack is compared, never changed.",
                hint="kb verify FILE.zip alone; a damaged pack is made again by kb evidence.",
            )
        _verify_pack(pack, key, as_json)
        return
    if key:
        raise UsageError(
            "verify.key_without_pack",
            "--key is for an evidence pack.",
            hint="kb verify FILE.zip --key FINGERPRINT",
        )
    service = Service.of_existing_library()
    with byte_progress("checking", shown=sys.stderr.isatty()) as progress:
        report = service.verification.run(mend=not dry_run, repair=repair, progress=progress)
    faults = report.faults
    if as_json:
        document = {**asdict(report), "faults": len(faults)}
        console.print_json(document)
    else:
        for each in report.findings:
            state = "mended" if each.mended else "note" if each.note else "fault"
            console.out.print(
                f"{state:7} {each.kind:18} {each.subject}: {each.detail}", markup=False
            )
            if each.hint and not each.mended:
                console.out.print(f"        → {each.hint}", markup=False)
        mended = sum(each.mended for each in report.findings)
        console.print_note(
            f"{counted(report.items, 'item')}, {counted(report.files, 'file')}, "
            f"{report.bytes / MB:.0f} MB read: "
            f"{mended} mended, {counted(len(faults), 'fault')}."
        )
        if report.deleted_by_retention:
            count = report.deleted_by_retention
            noun = "medium" if count == 1 else "media"
            console.print_note(f"{count} {noun} deleted by retention.")
    if faults:
        raise typer.Exit(FAILED)


def _verify_pack(path: Path, key: str, as_json: bool) -> None:
    from kb.service.evidence import check_pack  # loads the decoders of media

    found = check_pack(path, key)
    if as_json:
        console.print_json({**asdict(found), "whole": found.is_whole})
    else:
        for state in ("changed", "missing", "unknown"):
            for name in getattr(found, state):
                console.out.print(f"{state:8} {printable(name)}", markup=False)
        console.print_note(
            f"{counted(found.checked, 'file')} compared with {path.name}'s own hashes: "
            f"{'not as they were' if found.changed or found.missing else 'all are as they were'}. "
            "Hashes show damage, not forgery."
        )
        if said := _signature_line(found.signature, found.key, key):
            console.print_note(said)
    if not found.is_whole:
        raise typer.Exit(FAILED)


def _signature_line(state: str, found: str, expected: str) -> str:
    """Return what the signature of a pack shows, empty for a pack without one."""
    if state == "broken":
        return "The signature is not of these hashes: they, or it, were changed since it was made."
    if state == "other":
        by = f"It is signed by the key {found}" if found else "It is not signed"
        return f"{by}: not by the expected key {expected}."
    if state != "valid":
        return ""
    if expected:
        return f"Signed by the expected key {found}."
    return (
        f"Signed by the key {found}. That shows a forgery if you know from elsewhere whose key it "
        f"is: kb verify FILE.zip --key {found[:16]}"
    )


def reindex(as_json: Json = False) -> None:
    """Rebuild the index from the folder, taking in what was laid there by hand."""
    service = Service.of_existing_library()
    with share_progress("reindex", shown=sys.stderr.isatty()) as progress:
        report = service.search.reindex(progress=progress)
    if as_json:
        console.print_json(asdict(report))
    else:
        console.print_note(
            f"{counted(report.items, 'item')}, {counted(report.passages, 'passage')} indexed; "
            f"{report.adopted} adopted."
        )
        if report.judged:
            console.print_note(f"{counted(report.judged, 'transcript')} got expected errors.")
        for item_id, source in report.taken_in:
            console.print_note(f"{item_id}: transcript taken in from {source}")
        for problem in report.problems:
            console.print_warning(problem)
    if report.problems:
        raise typer.Exit(FAILED)


def backup(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE or FOLDER]", help="Else a file in backups/ of the library folder."
        ),
    ] = None,
    media: Annotated[bool, typer.Option("--media", help="Pack the media files too.")] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Pack the library into one checked file: queue, subscriptions, metadata, transcripts."""
    service = Service.of_existing_library()
    with byte_progress("packing", shown=sys.stderr.isatty()) as progress:
        report = service.backup.make(target, media=media, overwrite=overwrite, progress=progress)
    if as_json:
        console.print_json({**asdict(report), "path": str(report.path)})
        return
    console.print_note(f"Written and read again: {report.path} ({counted(report.files, 'file')}).")
    if report.left_out:
        console.print_note(
            f"{counted(report.left_out, 'media file')} ({report.left_out_bytes / MB:.0f} MB) "
            f"are not in it; "
            "with them: kb backup --media"
        )
    if target is None:
        console.print_note("It is on the library's own disk: copy it to another one.")


def restore(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="A backup; else the newest automatic copy of the database."
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the automatic copies of the database.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Put a backup back into the library; what it replaces is kept aside."""
    service = Service.of_existing_library() if listed else Service()
    if listed:
        copies = service.backup.copies()
        if as_json:
            console.print_json([{**asdict(each), "path": str(each.path)} for each in copies])
            return
        for each in copies:
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.made_at))
            console.out.print(f"{made}  {each.reason:8}  {each.path}", markup=False)
        if not copies:
            console.print_note("No automatic copies yet: a worker makes one a day.")
        return
    if not yes and sys.stdin.isatty():
        shown = source or "the newest copy of the database"
        typer.confirm(f"Put {shown} into {service.settings.home}?", abort=True, err=True)
    with (
        new_library_note(service.settings.home),
        byte_progress("unpacking", shown=sys.stderr.isatty()) as progress,
    ):
        report = service.backup.restore(source, progress=progress)
    problems: tuple[str, ...] = ()
    if report.complete:
        with share_progress("reindex", shown=sys.stderr.isatty()) as share:
            problems = service.search.reindex(judge=False, progress=share).problems
    else:
        service.queue.adopt_folder()
        service.subscriptions.restore()
    if as_json:
        document = {**asdict(report), "source": str(report.source), "problems": list(problems)}
        console.print_json({**document, "aside": str(report.aside) if report.aside else None})
    else:
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(report.made_at))
        console.print_note(
            f"Restored from {report.source} (of {made}): {counted(report.files, 'file')}, "
            f"{report.unchanged} of them unchanged."
        )
        if report.aside:
            console.print_note(f"The files that were replaced are in {report.aside}.")
        for problem in problems:
            console.print_warning(problem)
        if older := service.queue.library_problem():
            console.print_warning(f"{older.message} {older.hint}")
        console.print_note("A dashboard that is open goes on with what was restored.")
    if problems:
        raise typer.Exit(FAILED)


def remove(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", help="Ids of items, or their beginnings.")
    ] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="Delete their documents from ODIN too.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put these items back.")] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="List the items that can come back.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove items with their files, index entries and queue rows; undone for a week."""
    service = Service.of_existing_library()
    if listed:
        _list_removed(service, as_json=as_json)
        return
    if not ids:
        raise UsageError(
            "remove.no_ids", "No item was named.", hint="List the items: kb status --all"
        )
    if undo:
        restored = service.removals.undo(ids)
        if as_json:
            console.print_json({"restored": restored})
        else:
            console.print_note(f"Back in the library: {', '.join(restored)}")
        return
    found = service.removals.find(ids)
    if not yes and sys.stdin.isatty():
        for item_id, title in found:
            console.out.print(f"{item_id}  {printable(title)}", markup=False)
        also = " and their documents in ODIN" if remote else ""
        typer.confirm(f"Remove {counted(len(found), 'item')}{also}?", abort=True, err=True)
    removed = service.removals.remove([item_id for item_id, _ in found], remote=remote)
    if as_json:
        console.print_json({"removed": [_removed_document(each) for each in removed]})
        return
    for each in removed:
        console.print_note(
            f"Removed: {each.id} ({printable(each.title)}). Until {_day(each.until)} it comes back "
            f"with: kb remove --undo {each.id}"
        )
        for sink in each.stays_in:
            console.print_note(
                f"Its documents stay in {sink}. They go too with --remote; now: kb sync --prune"
            )


def _list_removed(service: Service, *, as_json: bool) -> None:
    removed = service.removals.listed()
    if as_json:
        console.print_json([_removed_document(each) for each in removed])
        return
    for each in removed:
        why = f"  (replaced by {each.replaced_by})" if each.replaced_by else ""
        console.out.print(
            f"until {_day(each.until)}  {each.id}  {printable(each.title)}{why}", markup=False
        )
    if not removed:
        console.print_note("The trash is empty.")


def _removed_document(removed: Removed) -> dict[str, object]:
    return {**asdict(removed), "folder": str(removed.folder)}


def _day(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(epoch_s))


def move_queue(
    to: Annotated[
        str,
        typer.Option(
            "--to", help="postgresql://user:password@host:5432/name, or sqlite for the file."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Move the queue to another database, whole: items, follows, pauses, publications, quota."""
    service = Service.of_existing_library()
    moved = service.queue_move.run(to)
    if as_json:
        console.print_json(asdict(moved))
        return
    console.print_note(
        f"Moved from {moved.source} to {moved.target}: {counted(moved.items, 'item')} and "
        f"{counted(moved.follows, 'follow')}. To do: {counted(moved.items_to_do, 'item')}, "
        f"{counted(moved.listings_to_do, 'listing')}, "
        f"{counted(moved.publications_to_do, 'publication')}, "
        f"{counted(moved.steps_to_do, 'step')}."
    )
    if moved.target.startswith("sqlite"):
        console.print_note("Now remove KB_DATABASE_URL, on every machine.")
    else:
        console.print_note("Now set KB_DATABASE_URL to this database, on every machine.")
