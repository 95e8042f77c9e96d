"""The command line: `kb`. Every listing takes `--json`."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from kb import __version__
from kb.cli import frame
from kb.cli.commands import (
    assistant,
    care,
    enrich,
    evidence,
    export,
    health,
    jobs,
    keys,
    machine,
    notes,
    publish,
    review,
    serve,
    sources,
    speak,
    speakers,
    transcribe,
    translate,
    video,
)
from kb.cli.options import (
    FAILED,
    INTERRUPTED,
    OK,
    USAGE_ERROR,
    Json,
)
from kb.cli.output import console
from kb.cli.output import publish as publish_output
from kb.cli.output.items import print_expected_errors, print_uncertain_spans
from kb.cli.output.library import print_new_libraries
from kb.cli.output.machine import print_checks
from kb.cli.output.same_sound import print_recurring, print_sound_links
from kb.cli.output.search import print_search, search_document
from kb.cli.output.untranscribed import (
    show_untranscribed,
    tries_document,
    untranscribed_document,
)
from kb.cli.output.versions import show_versions
from kb.errors import KBError, UsageError
from kb.service import Service, open_browser
from kb.service.existing import has_library
from kb.service.notation import SEARCH_MODES
from kb.service.private_files import private_files
from kb.service.setting_choices import check_choices
from kb.settings import BUNDLED, get_settings, python_command, tolerant_settings
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
video.register(app)
evidence.register(app)
transcribe.register(app)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help='Words; "in quotes" for a phrase.')],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 10,
    mode: Annotated[str, typer.Option("--mode", help=", ".join(SEARCH_MODES))] = "hybrid",
    remote: Annotated[bool, typer.Option("--remote", help="Search the ODIN project.")] = False,
    leave_out_recurring: Annotated[
        bool | None,
        typer.Option(
            "--leave-out-recurring/--with-recurring",
            help="Without intros and sponsor reads of a channel (step recurring); by default "
            "KB_LEAVE_OUT_RECURRING.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find passages, to the second."""
    if remote:
        started = time.perf_counter()
        found = Service.for_reading().publisher.search(query, limit)
        elapsed_ms = round((time.perf_counter() - started) * 1000, 1)
        if as_json:
            console.print_json(publish_output.remote_search_document(query, elapsed_ms, found))
        else:
            publish_output.print_remote_search(query, elapsed_ms, found)
        return
    if mode not in SEARCH_MODES:
        raise UsageError(
            "search.unknown_mode",
            "Unknown mode {mode!r}.",
            hint="Known: {known}.",
            mode=mode,
            known=", ".join(SEARCH_MODES),
        )
    result = Service.of_existing_library().search.run(
        query,
        mode,  # type: ignore[arg-type]
        limit,
        leave_out_recurring=leave_out_recurring,
    )
    if as_json:
        console.print_json(search_document(result))
    else:
        print_search(result)


@app.command()
def show(
    item_id: Annotated[str, typer.Argument(metavar="ID")],
    versions: Annotated[
        bool, typer.Option("--versions", help="The earlier versions that were replaced.")
    ] = False,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="The text of an earlier version.")
    ] = None,
    as_json: Json = False,
) -> None:
    """An item's metadata and transcript."""
    service = Service.of_existing_library()
    entry, status = service.items.find(item_id)
    if entry is None:
        assert status is not None
        if as_json:
            console.print_json(untranscribed_document(status))
        else:
            show_untranscribed(status)
        return
    if versions or version is not None:
        show_versions(service, entry.item.id, version, as_json=as_json)
        return
    if as_json:
        transcript = service.items.transcript(item_id) if entry.transcript_path else None
        captions = None if transcript else service.items.captions(item_id)
        console.print_json(
            {
                "id": entry.item.id,
                "title": entry.item.title,
                "published": entry.item.published,
                "url": entry.item.url,
                "state": entry.state,
                "grade": entry.grade,
                "expected_errors": entry.expected_errors,
                "error": entry.error,
                "hint": entry.hint,
                "problem": entry.problem,
                "media_path": str(entry.media_path) if entry.media_path else None,
                "retention": dict(entry.retention) or None,
                "publish": dict(entry.published),
                "asked": service.items.asked_settings(entry.item.id),
                "machine": service.items.machine_of(entry.item.id),
                **tries_document(status),
                "same_sound": service.enrichment.sound_links(entry).as_dicts(),
                "recurring": [each.as_dict() for each in service.enrichment.recurring(entry)],
                "transcript": service.items.document(transcript) if transcript else None,
                # Captions replace the transcript until it exists.
                **({"captions": service.items.document(captions)} if captions else {}),
            }
        )
        return
    captions = service.items.captions(item_id)
    if captions is not None:
        console.print_note(f"{entry.item.title}  ({entry.item.id}, {entry.item.published})")
        console.print_warning(" ".join(captions.warnings))
        sys.stdout.write(service.items.render(captions, "txt", item=entry.item))
        return
    if entry.transcript_path is None and status is not None:
        show_untranscribed(status, entry)
        return
    transcript = service.items.transcript(item_id)
    found = transcript.coverage
    checked = (
        f"grade {transcript.grade} · {found.ratio:.1%} of speech covered"
        if transcript.coverage_known
        else "not checked against the sound"
    )
    console.print_note(f"{entry.item.title}  ({entry.item.id}, {entry.item.published})")
    console.print_note(
        f"{transcript.language} · {transcript.model} · {counted(transcript.word_count, 'word')} · "
        f"{checked} · {entry.state}"
    )
    if asked := service.items.asked_settings(entry.item.id):
        console.print_note(f"asked for: {' · '.join(f'{k} {v}' for k, v in asked.items())}")
    if machine := service.items.machine_of(entry.item.id):
        console.print_note(f"machine: {machine}")
    if entry.retention:
        day = str(entry.retention.get("at", ""))[:10]
        console.print_note(f"medium deleted by retention on {day} ({entry.retention.get('rule')})")
    print_sound_links(service.enrichment.sound_links(entry))
    print_recurring(service.enrichment.recurring(entry))
    print_expected_errors(transcript)
    if transcript.witness:
        console.print_note(f"Agreement with {transcript.witness.source}: "
                     f"{transcript.witness.agreement:.0%}")  # fmt: skip
    print_uncertain_spans(transcript)
    for problem in dict.fromkeys((entry.error, *transcript.warnings)):
        if problem:
            console.print_warning(problem)
    sys.stdout.write(service.items.export(entry.item.id, "txt"))


@app.command()
def reindex(as_json: Json = False) -> None:
    """Rebuild the index from the folder, taking in what was laid there by hand."""
    report = Service.of_existing_library().search.reindex()
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


@app.command()
def doctor(as_json: Json = False) -> None:
    """This machine: what works, what is missing, and the command that mends it."""
    from kb.service.health import check_all

    service = Service()
    checks = check_all(service.settings, service.inference_session)
    if as_json:
        console.print_json([asdict(check) for check in checks])
    else:
        print_checks(checks)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(FAILED)


@app.command("app")
def open_app(
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only start the server; open no browser.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65_535, help="The port, in place of 8501."),
    ] = None,
) -> None:
    """The dashboard, in the browser."""
    home = get_settings().home
    if not has_library(home):
        console.print_note(f"There is no library in {home} yet; the dashboard makes one there.")
    command = python_command("-m", "streamlit", "run", str(BUNDLED / "streamlit_app.py"))
    reason = open_browser.unavailable_reason(os.environ)
    if reason and not no_browser:
        console.print_note(
            f"No browser is opened, because {reason}: open the address below yourself."
        )
    if not reason and not no_browser:
        command += ["--", open_browser.OPEN_BROWSER_FLAG]
    # Streamlit and the settings read their files from the working directory. The server has
    # another working directory, and must use the library of the current one.
    environment = {**os.environ, "KB_HOME": str(home)}
    if port is not None:
        environment["STREAMLIT_SERVER_PORT"] = str(port)
        address = urlsplit(get_settings().public_url)
        if address.hostname == "127.0.0.1" and address.port != port:
            environment["KB_PUBLIC_URL"] = f"http://127.0.0.1:{port}"
            console.print_note(
                f"Links of other commands and of documents lead to {get_settings().public_url}; "
                f"to this dashboard with KB_PUBLIC_URL=http://127.0.0.1:{port}."
            )
    raise typer.Exit(_run_until_ended(command, environment))


def _run_until_ended(command: list[str], environment: dict[str, str]) -> int:
    """Run the dashboard's server; who ends this process ends the server. Return its exit code."""
    with subprocess.Popen(command, cwd=BUNDLED, env=environment) as server:
        for name in ("SIGTERM", "SIGHUP"):
            if number := getattr(signal, name, None):  # Windows has no SIGHUP
                signal.signal(number, lambda *_: server.terminate())
        # On Ctrl-C the server gets the signal of the terminal, too: `with` waits for its end.
        code = server.wait()
    return code if code >= 0 else 128 - code


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
    code = run(arguments)
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
def _commands() -> Any:
    """Return the commands; to build them takes longer than most of them run."""
    frame.arrange(app)
    return frame.hide_types_of_flags(typer.main.get_command(app))


def _run_command(arguments: list[str], *, check: bool) -> int:
    try:
        handler = logging.StreamHandler()
        handler.setFormatter(GuardedFormatter("%(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=get_settings().log_level.upper(), handlers=[handler])
        if check:
            check_choices(get_settings())
        with private_files(get_settings()):
            result = _commands()(args=arguments, prog_name="kb", standalone_mode=False)
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
