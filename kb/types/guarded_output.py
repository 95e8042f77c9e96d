"""Output streams that let no control sequence of strangers pass.

Libraries print past the logger (`print`, `warnings.warn`, yt-dlp's `write_string`), so that guards
at our own calls are not enough: the streams themselves are guarded.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from kb.types.safe_text import printable, shown


class GuardedStream:
    """A text stream whose text passes through `clean`; everything else is the stream's own."""

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self.unguarded = stream
        self._clean = clean

    def write(self, text: str) -> int:
        self.unguarded.write(self._clean(text.replace("\r\n", "\n")))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def unguarded(stream: Any) -> Any:
    """Return the stream behind a guarded one, for output that is guarded already."""
    return stream.unguarded if isinstance(stream, GuardedStream) else stream


class GuardedFormatter(logging.Formatter):
    """A formatter whose lines, tracebacks included, are safe for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


@contextmanager
def guarded_output(clean_error: Callable[[str], str] = shown) -> Iterator[None]:
    """Guard standard output and standard error of this process within the block.

    Standard output carries documents, so that only control sequences are changed there;
    `clean_error` is applied to what is written to standard error.
    """
    before = sys.stdout, sys.stderr
    sys.stdout = GuardedStream(unguarded(sys.stdout), printable)  # type: ignore[assignment]
    sys.stderr = GuardedStream(unguarded(sys.stderr), clean_error)  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
