"""Subtitles beside local media are not used unless they are named, and the request says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kb.options import RunOptions
from kb.service import Service
from kb.settings import Settings
from tests.support.compose import write_wav

SUBTITLES = "1\n00:00:00,000 --> 00:00:01,000\nOne.\n"


@pytest.mark.parametrize(
    ("files", "named", "said"),
    [
        (["talk.srt"], ["."], ["1 subtitle file", "talk.wav talk.srt"]),
        (["talk.en.srt", "talk.de.vtt", "other.srt"], ["."], ["2 subtitle files", "talk.de.vtt"]),
        (["talk.srt"], ["talk.wav"], ["1 subtitle file", "talk.srt"]),
        (["talk.srt"], ["talk.wav", "talk.srt"], ["is taken in as its transcript"]),
        (["talk.json", "talk.txt", "talk two.srt"], ["."], []),
    ],
    ids=["folder", "languages", "file alone", "named", "others"],
)
def test_what_a_request_says(
    tmp_path: Path, files: list[str], named: list[str], said: list[str]
) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    write_wav(folder / "talk.wav", np.zeros(16_000, np.float32))
    for name in files:
        (folder / name).write_text(SUBTITLES, encoding="utf-8")
    service = Service(Settings(KB_HOME=str(tmp_path / "home"), KB_MODEL="demo"))
    try:
        report = service.ingest.run([str(folder / name) for name in named], RunOptions())
    finally:
        service.close()

    assert len(report.enqueued) == 1
    assert len(report.notes) == (1 if said else 0)
    assert all(part in note for note in report.notes for part in said)
