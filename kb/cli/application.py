"""The commands of `kb` as one application, or one of them alone."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from kb import __version__
from kb.cli import frame
from kb.cli.commands import MODULES
from kb.cli.exit_codes import OK
from kb.garbage import kept


@cache
def application(name: str = "") -> typer.Typer:
    """Return the application with every command, or with the one of this name alone.

    The modules of the other commands are not imported: that takes longer than most commands run.
    """
    app = typer.Typer(
        help="From a YouTube channel or a folder of files to a knowledge base.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_root)
    with kept():
        for module, names in MODULES.items():
            if not name or name in names:
                import_module(f"kb.cli.commands.{module}").register(app)
    frame.arrange(app)
    return frame.only(app, name) if name else app


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
