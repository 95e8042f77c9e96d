"""Progress of an item over all its stages: one number for a progress bar that never decreases.

The progress of a stage starts at 0 in each stage. Here every stage has a range of the whole, in
proportion to its usual duration, and the item's progress is within the range of its stage.
"""

from __future__ import annotations

from itertools import pairwise

from kb.jobs.queue.item_states import DONE, HELD

STAGES = ("fetch", "transcribe", "write", "publish")
MODEL = "model"  # between fetch and transcribe, while the item's model is fetched
# Start of each stage as a share of the whole. A local file is only copied; a download takes long.
_FILE_BOUNDS = (0.0, 0.05, 0.93, 0.97, 1.0)
_DOWNLOAD_BOUNDS = (0.0, 0.25, 0.93, 0.97, 1.0)
_FILE = "file:"  # ids begin with their source's name


def overall(item_id: str, state: str, stage: str, progress: float) -> float:
    """Return an item's progress, 0..1, from its stage and the stage's own progress, 0..1.

    It only grows while the item is in progress; a stage that is started again (a retry, a crashed
    inference process) starts again at its own beginning. A failed item keeps its progress.
    """
    if state in (DONE, HELD):
        return 1.0
    done = min(1.0, max(0.0, progress))
    bounds = _FILE_BOUNDS if item_id.startswith(_FILE) else _DOWNLOAD_BOUNDS
    if stage == MODEL:
        return bounds[1]
    for name, (start, ends) in zip(STAGES, pairwise(bounds), strict=True):
        if name == stage:
            return start + (ends - start) * done
    return 0.0  # not started, or a listing, whose length is unknown
