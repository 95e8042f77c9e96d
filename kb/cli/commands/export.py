"""Exports of transcripts: the command `export`, and the documents that `transcribe` writes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kb.cli.exit_codes import FAILED
from kb.cli.options import with_layout_options, with_run_options
from kb.cli.output import console
from kb.cli.output.progress import count_progress
from kb.cli.plain_options import ID_HELP, Overwrite
from kb.errors import KBError, UsageError
from kb.options import RunOptions
from kb.service import Service
from kb.service.export_request import (
    ALL,
    ExportedDocument,
    ExportProblem,
    ExportRequest,
    parse_formats,
)
from kb.service.notation import FORMATS, language_code
from kb.types import CsvForm, SubtitleLayout

FORMAT_HELP = f"{', '.join(FORMATS)}; several with commas between them, or {ALL}."

FormatNames = Annotated[str, typer.Option("--format", "-f", help=FORMAT_HELP)]
OutputFolder = Annotated[
    Path | None, typer.Option("-o", "--output", help="Folder to write to; else stdout.")
]
LanguageInName = Annotated[
    bool,
    typer.Option(
        "--language-in-name", help="STEM.en.srt, as media servers look for it, not STEM.srt."
    ),
]
FrameRate = Annotated[
    float | None,
    typer.Option("--frame-rate", min=1, max=240, help="Frames a second of an edl; by default 25."),
]
CsvOption = Annotated[
    CsvForm,
    typer.Option(
        "--csv",
        help="CSV for programs (plain), or for Excel and its like: by this machine's language "
        "(excel), English or German.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(export)


@with_layout_options
@with_run_options("timestamps")
def export(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=ID_HELP)] = None,
    all_items: Annotated[
        bool, typer.Option("--all", help="Every item that has a transcript.")
    ] = False,
    *,
    format: FormatNames,
    options: RunOptions,
    layout: SubtitleLayout,
    output: OutputFolder = None,
    zip_file: Annotated[
        Path | None, typer.Option("--zip", help="One ZIP file with all documents.")
    ] = None,
    overwrite: Overwrite = False,
    language_in_name: LanguageInName = False,
    frame_rate: FrameRate = None,
    csv: CsvOption = "plain",
    language: Annotated[
        str,
        typer.Option("--language", help="A translation, such as de, instead of the words as said."),
    ] = "",
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON document on stdout: the files that were written."),
    ] = False,
) -> None:
    """Transcripts in other formats: of one item or of many, one format or several."""
    request = ExportRequest(
        parse_formats(format), options.timestamps, layout, language_in_name, frame_rate, csv,
        language_code(language) or language,
    )  # fmt: skip
    request.check()
    if as_json and output is None and zip_file is None:
        raise UsageError(
            "export.json_of_files",
            "--json names the files that were written, and none is.",
            hint="Add -o FOLDER or --zip FILE; the transcript itself as JSON: --format json",
        )
    service = Service.of_existing_library()
    written: list[Path] = []
    chosen = _chosen(service, ids or [], all_items)
    if zip_file is not None:
        if output is not None:
            raise UsageError(
                "export.two_places", "Both -o and --zip were given.", hint="Give one of them."
            )
        problems = _write_zip(service, zip_file, chosen, request, overwrite, written)
    elif output is not None:
        problems = _write_folder(service, output, chosen, request, overwrite, written)
    else:
        check_one_document(request, len(chosen))
        problems = []
        for document in service.exports.documents(chosen[0], request, problems):
            _warn_of_no_words(chosen[0], [] if document.has_words else [document.format])
            print_document(document)
    if as_json:
        failed = [
            {"item": each.item_id, "format": each.format, **each.error.record()}
            for each in problems
        ]
        console.print_json({"written": [str(path) for path in written], "failed": failed})
    if problems and len(chosen) == 1 and len(request.formats) == 1:
        raise problems[0].error
    _print_problems(problems)
    if problems:
        raise typer.Exit(FAILED)


def check_one_document(request: ExportRequest, items: int = 1) -> None:
    """Raise UsageError if there would be more than one document for stdout."""
    if items > 1 or len(request.formats) > 1 or request.wants_all:
        raise UsageError(
            "export.several_to_stdout",
            "Several documents cannot be written to stdout.",
            hint="Name a folder (-o FOLDER) or, for items of the library, a ZIP (--zip FILE).",
        )


def print_document(document: ExportedDocument) -> None:
    """Write a document to stdout. Raises UsageError for one that is no text, on a terminal."""
    if isinstance(document.document, str):
        sys.stdout.write(document.document)
        return
    if sys.stdout.isatty():
        raise UsageError(
            "export.no_text_for_terminal",
            "A document in the format {format!r} is no text for a terminal.",
            hint="Write it to a folder: -o FOLDER",
            format=document.format,
        )
    sys.stdout.flush()
    sys.stdout.buffer.write(document.document)


def _chosen(service: Service, ids: Sequence[str], all_items: bool) -> list[str]:
    """Return the full ids of the items to export. Raises UsageError."""
    if not ids and not all_items:
        raise UsageError(
            "export.no_items", "Which items?", hint="kb export ID…, or kb export --all"
        )
    if all_items:
        found = service.exports.transcribed_ids()
        if not found:
            raise UsageError(
                "export.no_transcripts",
                "No item in {home} has a transcript.",
                hint="Look at the states of the items: kb status --all",
                home=service.settings.home,
            )
        return found
    return list(dict.fromkeys(service.items.entry(each).item.id for each in ids))


def _write_folder(
    service: Service, folder: Path, ids: Sequence[str], request: ExportRequest, overwrite: bool,
    done: list[Path],
) -> list[ExportProblem]:  # fmt: skip
    """Write the documents, adding their paths to `done`.

    A file in the way is a problem of its document alone.
    """
    problems: list[ExportProblem] = []
    for item_id in ids:
        without_words: list[str] = []
        for document in service.exports.documents(item_id, request, problems):
            without_words += [] if document.has_words else [document.format]
            target = folder / document.file_name
            try:
                written = service.items.write(
                    target, document.document, source=item_id, overwrite=overwrite
                )
            except KBError as error:
                problems.append(ExportProblem(item_id, document.format, error))
            else:
                done.append(written)
                console.print_note(f"Written: {written}")
        _warn_of_no_words(item_id, without_words)
    return problems


def _warn_of_no_words(item_id: str, formats: Sequence[str]) -> None:
    if formats:
        console.print_warning(f"{item_id} has no words: its {', '.join(formats)} has no text.")


def _write_zip(
    service: Service, target: Path, ids: Sequence[str], request: ExportRequest, overwrite: bool,
    done: list[Path],
) -> list[ExportProblem]:  # fmt: skip
    with count_progress("export", len(ids), shown=sys.stderr.isatty()) as progress:
        path, problems = service.exports.write_zip_file(
            target, ids, request, lambda count: progress("", "", count, len(ids)),
            overwrite=overwrite,
        )  # fmt: skip
    done.append(path)
    console.print_note(f"Written: {path}")
    return list(problems)


def _print_problems(problems: Sequence[ExportProblem]) -> None:
    for problem in problems:
        what = f"{problem.item_id} ({problem.format})" if problem.format else problem.item_id
        console.print_warning(f"{what}: {problem.error.message} {problem.error.hint}")
