"""Uploaded files, written to the disk under a name of the server's choice."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.datastructures import UploadFile

from kb.api.errors import ApiError
from kb.errors import MediaUnavailable

_BLOCK = 1 << 20


def write(file: UploadFile, path: Path) -> str:
    """Write an upload to a file of its own; return the SHA-256. Raises ApiError."""
    digest = hashlib.sha256()
    try:
        with path.open("xb") as target:
            while block := file.file.read(_BLOCK):
                digest.update(block)
                target.write(block)
    except OSError as error:
        raise ApiError(
            507, "disk", f"The recording cannot be stored: {error.strerror or error}."
        ) from error
    return digest.hexdigest()


def rename(error: MediaUnavailable, path: Path, shown: str) -> None:
    """Put the name by which the caller knows the file into an error."""
    error.message = error.message.replace(str(path), shown)
    error.hint = error.hint.replace(str(path), shown)
