"""An item in the queue keeps its options; a request with others is told so."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.options import RunOptions
from kb.service import Service
from kb.settings import get_settings

FIRST = RunOptions(model="openai/whisper-base", language="de")
CASES = {
    "another model": (RunOptions(model="demo"), ["model openai/whisper-base", "instead of demo"]),
    "another, again": (RunOptions(model="demo", again=True), ["model openai/whisper-base"]),
    "another language": (RunOptions(language="en"), ["language de", "instead of en"]),
    "the same": (FIRST, []),
    "none named": (RunOptions(), []),
}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "words"), CASES.values(), ids=CASES)
def test_other_options_of_a_queued_item_are_named(
    tmp_path: Path, options: RunOptions, words: list[str]
) -> None:
    talk = tmp_path / "talk.wav"
    talk.write_bytes(b"RIFF" + bytes(2000))
    service = Service(get_settings().replace(home=tmp_path / "home", model="demo"))
    try:
        (item_id,) = service.ingest.run([str(talk)], FIRST).enqueued
        report = service.ingest.run([str(talk)], options)
        assert not report.enqueued
        said = " ".join(report.notes)
        assert bool(said) == bool(words)
        assert all(each in said for each in words), said
        if words:
            assert f"kb cancel {item_id}" in said
            # What the sentence says is what helps.
            service.queue.cancel([item_id])
            assert service.ingest.run([str(tmp_path)], options).enqueued == (item_id,)
    finally:
        service.close()
