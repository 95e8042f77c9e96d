"""The command line: `kb`. Every listing takes `--json`."""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import Any

import typer

from kb.cli import frame
from kb.cli.application import application
from kb.cli.ending import EndingSignals
from kb.cli.exit_codes import INTERRUPTED, OK, USAGE_ERROR
from kb.cli.output import console
from kb.cli.output.library import print_new_libraries
from kb.errors import KBError
from kb.service.private_files import private_files
from kb.service.setting_choices import check_choices
from kb.settings import get_settings, tolerant_settings
from kb.types.guarded_output import GuardedFormatter, guarded_output

# The base class of errors about arguments. Newer versions of typer contain click and do not
# export this class; `BadParameter` has it as a base class in both.
_ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


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
    return frame.hide_types_of_flags(typer.main.get_command(application(name)))


def _run_command(arguments: list[str], *, check: bool) -> int:
    try:
        handler = logging.StreamHandler()
        handler.setFormatter(GuardedFormatter("%(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=get_settings().log_level.upper(), handlers=[handler])
        if check:
            check_choices(get_settings())
        with private_files(get_settings()):
            command = _commands(frame.named_command(arguments))
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
