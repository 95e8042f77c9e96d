"""Errors of an item whose process ended, or that failed in an unknown way."""

from __future__ import annotations

from kb.errors import KBError, TranscriptionError


class InferenceProcessCrashed(KBError):
    """The inference process, or the reader that read this item for it, ended meanwhile.

    `ready`: its model was loaded, so that the item may be the cause. `device_lost`: it ended
    because its device failed.
    """

    retryable = True
    ready = False
    device_lost = False


def unexpected(error: Exception) -> TranscriptionError:
    """Return an error of our own code as one with a next step."""
    return TranscriptionError(
        "recognizer.unexpected",
        "{kind}: {cause}",
        hint="Try again; with the same result, see the details in logs/worker.log.",
        kind=type(error).__name__,
        cause=(str(error).splitlines() or [""])[0],
    )
