"""The command line: `kb`. Every listing takes `--json`."""

from __future__ import annotations

import logging
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from kb import __version__
from kb.cli import frame
from kb.cli.commands import (
    assistant,
    care,
    dashboard,
    doctor,
    enrich,
    evidence,
    export,
    health,
    jobs,
    keys,
    library,
    look,
    machine,
    notes,
    publish,
    read,
    review,
    serve,
    sources,
    speak,
    speakers,
    transcribe,
    translate,
    video,
    worker,
)
from kb.cli.ending import EndingSignals
from kb.cli.options import (
    FAILED,
    INTERRUPTED,
    OK,
    USAGE_ERROR,
    Json,
)
from kb.cli.output import console
from kb.cli.output.library import print_new_libraries
from kb.cli.output.progress import share_progress
from kb.errors import KBError
from kb.service import Service
from kb.service.private_files import private_files
from kb.service.setting_choices import check_choices
from kb.settings import get_settings, tolerant_settings
from kb.types.guarded_output import GuardedFormatter, guarded_output
from kb.types.sentences import counted

# The base class of errors about arguments. Newer versions of typer contain click and do not
# export this class; `BadParameter` has it as a base class in both.
_ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    help="From a YouTube channel or a folder of files to a knowledge base.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
jobs.register(app)
enrich.register(app)
notes.register(app)
translate.register(app)
speakers.register(app)
speak.register(app)
sources.register(app)
publish.register(app)
machine.register(app)
review.register(app)
care.register(app)
export.register(app)
assistant.register(app)
health.register(app)
serve.register(app)
keys.register(app)
library.register(app)
video.register(app)
evidence.register(app)
transcribe.register(app)
read.register(app)
dashboard.register(app)
doctor.register(app)
worker.register(app)
look.register(app)


@app.command()
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


@app.command()
def presets(as_json: Json = False) -> None:
    """The performance presets and their figures."""
    found = Service().presets.all()
    if as_json:
        console.print_json([asdict(preset) for preset in found.values()])
        return
    for preset in found.values():
        console.out.print(
            f"{preset.label} ({preset.name}): batch {preset.batch_size}, "
            f"chunk {preset.chunk_s:g} s, overlap {preset.overlap_s:g} s, "
            f"{counted(preset.workers, 'worker')}, {preset.timestamps} timestamps, "
            f"{preset.vram_budget_gb:g} GB",
            markup=False,
        )


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
    home: Annotated[
        Path | None, typer.Option("--home", help="The library's folder, in place of KB_HOME.")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda or cuda:1, in place of KB_DEVICE.")
    ] = "",
) -> None:
    if version:
        print(f"kb-ingest {__version__}")
        raise typer.Exit(OK)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    signals = EndingSignals()
    signals.listen()
    code = signals.code(run(arguments))
    signals.close()
    # Ctrl-C inside a string that a library executes (the standard library does, on the import of
    # dataclasses) marks the interpreter, which then ends by the signal instead of with this code.
    # The next executed string takes the mark back.
    exec("")
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; errors are printed without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure:  # the default code page of Windows consoles lacks most letters
            reconfigure(encoding="utf-8", errors="replace")
    given = sys.argv[1:] if arguments is None else arguments
    with guarded_output(), frame.global_options(given):
        return _run(given)


def _run(arguments: list[str]) -> int:
    if _tolerates_mistakes(arguments):
        with tolerant_settings():
            return _run_command(arguments, check=False)
    return _run_command(arguments, check=True)


def _tolerates_mistakes(arguments: list[str]) -> bool:
    """Return True for commands that work with faulty settings: the doctor and help."""
    alone = arguments[:1] in ([], ["doctor"], ["--version"], ["-V"])
    return alone or "--help" in arguments or "-h" in arguments


@cache
def _commands(name: str = "") -> Any:
    """Return the commands, or one alone: to build all takes longer than most of them run."""
    frame.arrange(app)
    built = frame.only(app, name) if name else app
    return frame.hide_types_of_flags(typer.main.get_command(built))


def _run_command(arguments: list[str], *, check: bool) -> int:
    try:
        handler = logging.StreamHandler()
        handler.setFormatter(GuardedFormatter("%(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=get_settings().log_level.upper(), handlers=[handler])
        if check:
            check_choices(get_settings())
        with private_files(get_settings()):
            command = _commands(frame.named_command(app, arguments))
            result = command(args=arguments, prog_name="kb", standalone_mode=False)
    except KBError as error:
        console.print_error(error)
        print_new_libraries()
        return error.exit_code
    except _ClickException as error:
        # Newer versions of typer leave pydantic's own words before the reason.
        error.message = error.message.replace("Value error, ", "", 1)
        error.show()
        return USAGE_ERROR
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED  # newer versions of typer return this code for Ctrl-C
    except BrokenPipeError:
        return OK  # the reader has closed the pipe
    if result == INTERRUPTED:
        console.print_note("Stopped; nothing half written is left.")
    return result if isinstance(result, int) else OK
