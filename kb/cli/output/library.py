"""Notes about the library folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kb.cli.output import console
from kb.service.existing import has_library

_made: list[Path] = []  # by commands that failed: their error comes first


@contextmanager
def new_library_note(home: Path) -> Iterator[None]:
    """Say so if the block makes a library: the name of its folder may be misspelt."""
    existed = has_library(home)
    try:
        yield
    finally:
        if not existed and has_library(home):
            _made.append(home)
    print_new_libraries()


def print_new_libraries() -> None:
    """Print the libraries that were made and not named yet."""
    while _made:
        console.print_note(f"New library made in {_made.pop(0)}.")
