"""Steps over media that lack what a step looks for: each has a result or a reason, and no loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.support.composed_voices import music
from kb.jobs.queue.item_states import DONE as ITEM_DONE
from kb.jobs.queue.step_states import DONE, FAILED
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.enrich_steps import EnrichSteps
from kb.library.extras import Extras
from kb.pipeline import stages
from kb.settings import get_settings
from tests.jobs.test_steps import ITEM, finished
from tests.support.slides import Showing, require_reader, text_picture, write_video
from tests.support.voices import VOICES, require_weights

RATE_HZ = 16_000


def sound(samples: np.ndarray, folder: Path) -> bytes:
    soundfile.write(folder / "in.wav", samples, RATE_HZ)
    return (folder / "in.wav").read_bytes()


def slide(folder: Path, *, sounds: bool = False) -> bytes:
    showing = Showing(text_picture(["Timetable of ferries"]), 2)
    return write_video(folder / "in.mp4", [showing], rate=2, sound=sounds).read_bytes()


MEDIA: dict[str, Callable[[Path], bytes]] = {
    "sound without picture": lambda folder: (VOICES / "flite2.opus").read_bytes(),
    "music alone": lambda folder: sound(music(10.0), folder),
    "silence": lambda folder: sound(np.zeros(5 * RATE_HZ, np.float32), folder),
    "a tenth of a second": lambda folder: sound(np.full(RATE_HZ // 10, 0.1), folder),
    "picture without sound": slide,
    "a video that was cut off": lambda folder: slide(folder, sounds=True)[:-3000],
    "no medium at all": lambda folder: b"no medium",
}
# What a step says of the medium; None: it fails with one of the codes.
FOUND: list[tuple[str, str, dict[str, object] | None]] = [
    ("sound without picture", "screen", {"picture": False, "pages": []}),
    ("music alone", "speakers", {"speakers": [], "turns": []}),
    ("silence", "speakers", {"speakers": [], "turns": []}),
    ("a tenth of a second", "speakers", {"speakers": [], "turns": []}),
    ("a tenth of a second", "sound", {}),
    ("picture without sound", "speakers", {"speakers": [], "turns": []}),
    ("picture without sound", "sound", {"items": 0}),
    ("a video that was cut off", "screen", None),
    ("no medium at all", "speakers", None),
    ("no medium at all", "screen", None),
    ("no medium at all", "sound", None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("medium", "step", "expected"), FOUND)
def test_each_is_reported_and_the_item_stays_done(
    medium: str,
    step: str,
    expected: dict[str, object] | None,
    context: WorkerContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_weights()
    require_reader()
    finished(context, MEDIA[medium](tmp_path))
    entry = context.library.find(ITEM.id)
    assert entry is not None
    words = stages.read_transcript(context.library, entry)
    context.steps.request([(step, ITEM.id)], context.client.step, {})
    (row,) = context.steps.for_items([ITEM.id])[ITEM.id]
    status = EnrichSteps(context, step, ITEM.id, row.serial).run()

    (row,) = context.steps.for_items([ITEM.id])[ITEM.id]
    document = Extras(context.library).read(entry, step)
    if expected is None:
        assert status == row.status == FAILED and document is None
        assert row.problem is not None and row.problem["code"] and row.hint
        assert row.problem["code"] != "item.unexpected"
    else:
        assert status == row.status == DONE, row.error
        assert document is not None
        assert {key: document[key] for key in expected} == expected
    item = context.items.read(ITEM.id)
    assert item is not None and item.state == ITEM_DONE
    assert stages.read_transcript(context.library, entry) == words
