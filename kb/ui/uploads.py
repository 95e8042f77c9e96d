"""Files that came through the browser, on disk for as long as an ingest needs them."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pathvalidate import sanitize_filename

from kb.errors import LibraryError
from kb.ui.texts import text

_BLOCK_BYTES = 1 << 20
_PREFIX = "kb-ingest-"
_PLACE = re.compile(rf"\S*{_PREFIX}[^/\\\s]+[/\\]\d+[/\\]")


class Upload(Protocol):
    """A file as Streamlit gives it: a name chosen by the browser, and bytes to read."""

    name: str

    def read(self, size: int = -1, /) -> bytes: ...


def keep(uploads: Sequence[Upload]) -> tuple[Path, list[str]]:
    """Write uploads to a temporary folder; returns the folder and the files' paths.

    The caller removes the folder. Raises LibraryError when the disk refuses.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    paths: list[str] = []
    try:
        for number, upload in enumerate(uploads):
            # The browser chooses the name: no folder in it, and nothing that a system forbids.
            name = sanitize_filename(upload.name.replace("\\", "/").rsplit("/", 1)[-1])
            target = folder / str(number) / (name or "upload")
            target.parent.mkdir()
            with target.open("wb") as file:
                while block := upload.read(_BLOCK_BYTES):
                    file.write(block)
            paths.append(str(target))
    except OSError as error:
        discard(folder)
        raise LibraryError(
            text("upload_failed", reason=error.strerror or error), hint=text("upload_failed_hint")
        ) from error
    return folder, paths


def discard(folder: Path | None) -> None:
    """Remove a folder made by `keep`."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def without_place(message: str) -> str:
    """A message about an upload with the name that its owner knows, not where we put it."""
    return _PLACE.sub("", message)
