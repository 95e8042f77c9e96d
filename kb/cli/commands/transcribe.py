"""The command that reads media outside the library: `kb transcribe`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from kb.cli.commands.export import (
    CsvOption,
    FormatNames,
    FrameRate,
    LanguageInName,
    OutputFolder,
    check_one_document,
    print_document,
)
from kb.cli.exit_codes import FAILED
from kb.cli.options import TRANSCRIPT_OPTIONS, with_layout_options, with_run_options
from kb.cli.output import console
from kb.cli.output.models import print_fetch_notice
from kb.cli.output.progress import byte_progress, media_progress
from kb.cli.plain_options import Json, Overwrite
from kb.errors import MediaUnavailable, UsageError
from kb.options import RunOptions
from kb.service import Service
from kb.service.export_request import ExportRequest, parse_formats
from kb.types import SubtitleLayout
from kb.types.quality import likely_wrong
from kb.types.safe_text import hide_credentials

STDIN = "-"
STDIN_NAME = "stdin"  # the name of what is read from it


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(transcribe)


@with_layout_options
@with_run_options(*TRANSCRIPT_OPTIONS)
def transcribe(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Any audio or video files, or addresses of recordings; - reads standard input."
        ),
    ],
    options: RunOptions,
    layout: SubtitleLayout,
    format: FormatNames = "txt",
    output: OutputFolder = None,
    overwrite: Overwrite = False,
    language_in_name: LanguageInName = False,
    frame_rate: FrameRate = None,
    csv: CsvOption = "plain",
    speakers: Annotated[bool, typer.Option("--speakers", help="Find out who speaks, too.")] = False,
    as_json: Json = False,
) -> None:
    """Words of files or links, on stdout or in a folder; nothing is kept."""
    request = ExportRequest(
        parse_formats("json" if as_json else format),
        options.timestamps,
        layout=layout,
        language_in_name=language_in_name,
        frame_rate=frame_rate,
        csv=csv,
    )
    request.check()
    if len(files) > 1 and output is None:
        raise UsageError(
            "transcribe.several",
            "The texts of several files need a folder.",
            hint="Name one: -o FOLDER",
        )
    service = Service()
    speakers = speakers or options.speaker_count is not None
    service.exports.check_without_item(request, speakers=speakers)
    if speakers:
        service.transcription.require_speakers(options.speaker_count)
    if output is None:
        check_one_document(request)
    work = _Work(
        service, request, options, output,
        overwrite=overwrite, speakers=speakers, several=len(files) > 1,
    )  # fmt: skip
    with ExitStack() as ended:
        ended.callback(service.close)
        media = [_medium(work, name, ended) for name in files]
        for path in media:
            work.check(path)
        failed = [not _attempt(work, path, alone=len(media) == 1) for path in media]
    if any(failed):
        raise typer.Exit(FAILED)


def _medium(work: _Work, name: str, ended: ExitStack) -> Path:
    """Return the path of a file, or of what is fetched or read, until `ended` is closed."""
    transcription = work.service.transcription
    if "://" in name:
        console.print_note(f"Fetching {hide_credentials(name)}")
        with byte_progress("download", shown=sys.stderr.isatty()) as progress:
            path = ended.enter_context(transcription.fetched(name, progress))
        work.origins[path] = name
        return path
    if name != STDIN:
        return Path(name)
    if sys.stdin.isatty():
        raise UsageError(
            "transcribe.no_input",
            "Nothing is sent to standard input.",
            hint="For example: kb transcribe - < talk.mp4",
        )
    return ended.enter_context(transcription.spooled(sys.stdin.buffer, STDIN_NAME))


def _attempt(work: _Work, path: Path, *, alone: bool) -> bool:
    """Read one file; return False if it failed. Alone its error is that of the command."""
    try:
        return work.read(path)
    except MediaUnavailable as error:
        if alone:
            # The only input cannot be used, so this is a usage error.
            raise error.recast(UsageError) from error
        console.print_error(error)
        return False


class _Work:
    """The work on each file."""

    def __init__(
        self,
        service: Service,
        request: ExportRequest,
        options: RunOptions,
        output: Path | None,
        *,
        overwrite: bool,
        speakers: bool,
        several: bool,
    ) -> None:
        self.service = service
        self.origins: dict[Path, str] = {}  # of what was fetched
        self._request = request
        self._options = options
        self._output = output
        self._overwrite = overwrite
        self._speakers = speakers
        self._several = several
        self._names: dict[str, Path] = {}  # of documents, by the file that they are of

    def check(self, path: Path) -> None:
        """Raise UsageError if a document of the file cannot be written where it is to be."""
        if self._output is None:
            return
        exports = self.service.exports
        for name in exports.file_names(path.stem, self._request, self._options.language):
            other = self._names.setdefault(name, path)
            if other != path:
                raise UsageError(
                    "transcribe.one_name",
                    "{first} and {second} would both become {name}.",
                    hint="Rename one, or read them into two folders.",
                    first=other,
                    second=path,
                    name=name,
                )
            self.service.items.check_output(
                self._output / name,
                source=self._source(path),
                overwrite=self._overwrite,
                medium=path,
            )

    def read(self, path: Path) -> bool:
        """Read a file, and print or write its documents; return False for a truncated one."""
        service, options = self.service, self._options
        needed = service.models.needed_fetch(options)
        if needed is not None:
            print_fetch_notice(needed)
        with media_progress(path.name, shown=sys.stderr.isatty()) as (progress, on_fetch):
            transcript = service.transcription.run(path, options, progress, on_fetch=on_fetch)
        if self._speakers:
            transcript = service.transcription.with_speakers(
                path, transcript, options.speaker_count
            )
        exports = service.exports
        documents = [
            exports.document(transcript, name, self._request, stem=path.stem)
            for name in exports.formats_of(self._request, transcript, None)
        ]
        for warning in transcript.warnings:
            self._warn(path, warning)
        if not transcript.text.strip() and not transcript.warnings:
            names = ", ".join(each.format for each in documents)
            console.print_warning(f"{path.name} has no words: its {names} has no text.")
        errors = transcript.expected_errors
        if errors is not None and errors.grade != "A":
            said = likely_wrong(errors.share)
            self._warn(path, f"{said[0].upper()}{said[1:]}.")
        for each in documents:
            if self._output is None:
                print_document(each)
            else:
                written = service.items.write(
                    self._output / each.file_name,
                    each.document,
                    source=self._source(path),
                    overwrite=self._overwrite,
                )
                console.print_note(f"Written: {written}")
        return not transcript.truncated

    def _warn(self, path: Path, warning: str) -> None:
        """Print a warning about a file; of several it names the file."""
        console.print_warning(f"{path.name}: {warning}" if self._several else warning)

    def _source(self, path: Path) -> str:
        return self.origins.get(path, f"file:{path.resolve()}")
