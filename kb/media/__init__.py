"""Readers of media files: of their headers and their sound.

`kb.media.probe` reads the header of a container, `kb.media.decode` decodes the sound to 16 kHz mono
float32 blocks. The functions of this module use neither.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from kb.errors import MediaUnavailable

SAMPLE_RATE_HZ = 16_000  # of decoded sound


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in lower-case hex; the file is read in small blocks.

    Raises MediaUnavailable naming the file when it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise MediaUnavailable(
            "media.not_readable",
            "{path} cannot be read: {reason}.",
            hint="Check that the file is there and that you may read it.",
            path=shown(path),
            reason=reason_of(error),
        ) from error


def shown(path: str | Path) -> str:
    """Return a path for a message, on one line.

    Unprintable characters (controls, lone surrogates) are escaped.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(path)
    )


def reason_of(error: Exception) -> str:
    """Return the operating system's description of an error, without number and path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or repr(error)
