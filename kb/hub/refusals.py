"""Refusals of complete models, shown where models are listed and not only where one is loaded.

A model whose files are whole can still contradict itself or fail its trial. The first is found from
its descriptions in the time of a listing; the second is recorded when a process has loaded it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kb.errors import KBError, ModelUnavailable
from kb.hub import records
from kb.hub.kind import ModelKind
from kb.hub.records import ReadyRecord

DESCRIBED = "described-1"  # the check of the descriptions alone, recorded where it has passed
# Found with the loaded weights alone; the other refusals are found again at each listing.
_LOADED = frozenset({
    "model.not_finite", "model.weights_missing", "model.cannot_speak", "model.fails_itself",
    "embedding.fails_itself",
})  # fmt: skip


def remember(place: Path, error: KBError) -> None:
    """Record that the loaded model at `place` was refused; other errors are left alone."""
    if error.code in _LOADED:
        records.set_refusal(place, error)


def refusal(place: Path, record: ReadyRecord, kind: ModelKind) -> dict[str, Any]:
    """Return the record of the error that refuses a complete model, empty for a sound one.

    A model that has passed a check of its kind is not read again.
    """
    if record.refusal:
        return record.refusal
    if DESCRIBED in record.checks or kind.check in record.checks:
        return {}
    try:
        kind.check_descriptions(record.name, record.folder)
    except ModelUnavailable as error:
        return error.record()
    except OSError:  # removed in this moment
        return {}
    records.add_check(place, DESCRIBED)
    return {}
