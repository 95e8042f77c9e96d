"""The Ingest tab's button before the end of the scan: transcripts stay with their media."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.options import RunOptions
from kb.pipeline.transcript_files import BROUGHT
from kb.service import Service
from kb.service.notation import VideoFilters
from kb.settings import Settings
from kb.ui.tabs.ingest.scan_thread import IngestRequest, IngestThread
from tests.jobs.test_brought_transcripts import write
from tests.support.waiting import WAIT_S


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(
        Settings(
            KB_HOME=str(tmp_path / "home"), KB_MODEL="demo", KB_SINKS="local", KB_APP_WORKER="false"
        )
    )
    made.library.prepare()
    yield made
    made.close()


# (files, those that are still to be listed, media -> transcripts that are laid beside them)
CASES: dict[str, tuple[list[str], list[str], dict[str, list[str]]]] = {
    "a pair": (["talk.wav", "talk.srt"], ["talk.wav"], {"talk": [".srt"]}),
    "before the pairs are known": (
        ["talk.wav", "talk.en.srt"], ["talk.wav", "talk.en.srt"], {"talk": [".en.srt"]},
    ),
    "the transcript first": (
        ["talk.srt", "talk.wav"], ["talk.srt", "talk.wav"], {"talk": [".srt"]},
    ),
    "two pairs": (
        ["a.wav", "b.wav", "b.vtt", "a.srt"], ["a.wav", "b.wav", "b.vtt", "a.srt"],
        {"a": [".srt"], "b": [".vtt"]},
    ),
    "several transcripts": (
        ["talk.wav", "talk.txt", "talk.srt"], ["talk.wav"], {"talk": [".srt", ".txt"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_transcripts_stay_with_their_media(service: Service, tmp_path: Path, case: str) -> None:
    names, unfinished, wanted = CASES[case]
    paths = dict(zip(names, write(tmp_path / "in", *names), strict=True))
    request = IngestRequest(
        (), tuple(paths[name] for name in unfinished), VideoFilters(), RunOptions(),
        tuple(paths.values()),
    )  # fmt: skip
    thread = IngestThread(service.settings, request)
    assert thread.wait(WAIT_S) and thread.error is None
    assert thread.report is not None and len(thread.report.enqueued) == len(wanted)
    laid = {}
    for item in (row.item for row in service.queue.rows(thread.report.enqueued)):
        laid[Path(item.url).stem] = [
            name.removeprefix(service.library.stem(item)) for name in item.extra[BROUGHT]
        ]
        assert all((service.library.media_folder / name).is_file() for name in item.extra[BROUGHT])
    assert laid == wanted


def test_other_references_are_listed_by_a_worker(service: Service, tmp_path: Path) -> None:
    (medium,) = write(tmp_path / "in", "talk.wav")
    request = IngestRequest((), (medium,), VideoFilters(), RunOptions(), (medium,))
    thread = IngestThread(service.settings, request)
    assert thread.wait(WAIT_S)
    assert thread.report is not None and thread.report.enqueued
    assert all(each.startswith("listing:") for each in thread.report.enqueued)
