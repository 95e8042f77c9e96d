"""What a medium needed is freed with its transcript, without a search for garbage."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kb.errors import Cancelled
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import Settings
from tests.support.compose import WordBank, compose, random_plan, write_wav

READERS = (
    "kb.asr.recognizer",
    "kb.asr.quality",
    "kb.asr.windows",
    "kb.asr.audio",
    "kb.asr.batching",
)


@pytest.fixture
def garbage() -> Iterator[Counter[str]]:
    """The kinds of objects that only a search for garbage finds, filled by `look`."""
    gc.collect()
    gc.disable()
    yield Counter()
    gc.enable()


def look(found: Counter[str]) -> list[str]:
    """Return the classes of what reads a medium among the garbage since the last look."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        found.update(f"{type(each).__module__}.{type(each).__name__}" for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    return [name for name in found if name.startswith(READERS)]


@pytest.mark.slow
def test_a_transcript_leaves_no_garbage(tmp_path: Path, garbage: Counter[str]) -> None:
    """The sound of each short talk stayed for hours: half a megabyte with each of them."""
    rng = np.random.default_rng(1)
    bank = WordBank.load()
    talk = write_wav(tmp_path / "talk.wav", compose(bank, random_plan(bank, 60, rng), rng=rng))
    settings = Settings(home=tmp_path / "home", model="demo", cpu_threads=1)
    with InferenceSession(settings) as session:
        asked = session.transcription_options(RunOptions(model="demo"))
        session.transcribe(talk, asked)  # loads the model
        look(garbage)
        garbage.clear()
        session.transcribe(talk, asked)
        assert look(garbage) == []
        # Nor does one that ends early.
        calls = iter(range(10_000))
        with pytest.raises(Cancelled):
            session.transcribe(talk, asked, cancelled=lambda: next(calls) > 2)
        assert look(garbage) == []
