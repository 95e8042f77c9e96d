"""Transcripts named beside their medium: a worker reads them, and not the sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kb.errors import UsageError
from kb.jobs.queue.item_facts import as_asked
from kb.jobs.queue.partial_files import REPLACES
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_steps import ItemSteps, StepResult
from kb.options import RunOptions
from kb.pipeline.transcript_files import BROUGHT
from kb.service import Service
from kb.service.brought_transcripts import Reference, references
from kb.settings import Settings
from kb.sources.files import FileSource
from kb.types import MediaItem
from tests.jobs.test_published_content import context as context  # a fixture
from tests.support.compose import write_wav
from tests.support.raising import raises

CUES = "1\n00:00:01,000 --> 00:00:03,000\nthe lantern burns\n"
JSON = '{"language": "en", "segments": [{"start": 1, "end": 3, "text": "the lantern burns"}]}'
BAD = "1\n00:00:05,000 --> 00:00:03,000\nthe lantern burns\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(Settings(KB_HOME=str(tmp_path / "home"), KB_MODEL="demo", KB_SINKS="local"))
    made.library.prepare()
    yield made
    made.close()


def write(folder: Path, *names: str, text: str = CUES) -> list[str]:
    folder.mkdir(exist_ok=True)
    for name in names:
        if name.endswith(".mp4"):
            (folder / name).write_bytes(name.encode())
        elif name.endswith(".wav"):
            length = 16_000 * (4 + len(list(folder.iterdir())))  # each a content of its own
            write_wav(folder / name, np.zeros(length, np.float32))
        else:
            (folder / name).write_text(JSON if name.endswith(".json") else text, "utf-8")
    return [str(folder / name) for name in names]


# Which transcript belongs to which medium: (names, medium -> transcripts)
PAIRS = {
    "same stem": (["talk.mp4", "talk.srt"], {"talk.mp4": ["talk.srt"]}),
    "the other order": (["talk.srt", "talk.mp4"], {"talk.mp4": ["talk.srt"]}),
    "a language": (["talk.mp4", "talk.en.srt"], {"talk.mp4": ["talk.en.srt"]}),
    "marks": (["talk.mp4", "talk.eng.forced.srt"], {"talk.mp4": ["talk.eng.forced.srt"]}),
    "the whole name": (["talk.mp4", "talk.mp4.srt"], {"talk.mp4": ["talk.mp4.srt"]}),
    "the most exact first": (
        ["talk.mp4", "talk.txt", "talk.srt", "talk.json"],
        {"talk.mp4": ["talk.json", "talk.srt", "talk.txt"]},
    ),
    "two media": (
        ["a.mp4", "b.mp4", "b.srt", "a.en.vtt"], {"a.mp4": ["a.en.vtt"], "b.mp4": ["b.srt"]},
    ),
    "alone": (["talk.srt"], {"talk.srt": []}),
    "another name": (["talk.mp4", "walk.srt"], {"talk.mp4": [], "walk.srt": []}),
    "a medium alone": (["talk.mp4"], {"talk.mp4": []}),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRS)
def test_pairs(service: Service, tmp_path: Path, case: str) -> None:
    names, wanted = PAIRS[case]
    found = references(write(tmp_path / "in", *names), service.library, service.settings)
    assert {
        Path(each.text).name: [path.name for path in each.transcripts] for each in found
    } == wanted
    assert all((each.remark is None) == (not each.transcripts) for each in found)


@pytest.mark.parametrize(
    "text", ["@channel", "https://example.org/talk.srt", "no.srt", "~nobody/x"]
)
def test_other_references_stay(service: Service, text: str) -> None:
    assert references([text], service.library, service.settings) == [Reference(text)]


def test_a_transcript_outside_the_folders_of_a_shared_page_is_not_read(
    service: Service, tmp_path: Path
) -> None:
    named = write(tmp_path / "in", "talk.mp4", "talk.srt")
    shared = service.settings.replace(shared=True)
    assert [each.transcripts for each in references(named, service.library, shared)] == [(), ()]


@pytest.mark.parametrize("suffix", ["srt", "vtt", "json", "txt", "docx", "tsv", "html"])
def test_a_transcript_without_its_medium_is_refused(
    service: Service, tmp_path: Path, suffix: str
) -> None:
    named = write(tmp_path / "in", f"talk.{suffix}")
    with raises(UsageError, "file.transcript_alone"):
        service.ingest.run(named, RunOptions())
    assert not service.items.statuses()


def worked(service: Service, context: WorkerContext, item_id: str) -> str:
    """Carry out the steps of a worker; return the item's state."""
    (row,) = service.queue.rows([item_id])
    assert context.items.claim(item_id, row.serial, context.executor)
    steps = ItemSteps(context, item_id, row.serial)
    if steps.fetch() == steps.transcribe() == StepResult.CONTINUE:
        steps.publish()
    return service.items.status(item_id).state


@pytest.mark.parametrize("name", ["talk.srt", "talk.en.srt", "talk.json", "talk.wav.srt"])
def test_the_sound_is_not_recognized(
    service: Service, context: WorkerContext, tmp_path: Path, name: str
) -> None:
    named = write(tmp_path / "in", "talk.wav", name)
    report = service.ingest.run(named, RunOptions())
    (item_id,) = report.enqueued
    assert any(name in note for note in report.notes)
    assert report.from_transcripts == report.enqueued  # no model is fetched for it
    assert worked(service, context, item_id) == "done"
    found = service.items.transcript(item_id)
    assert (found.text, found.engine) == ("the lantern burns", "imported")
    assert found.language == ("en" if name in ("talk.en.srt", "talk.json") else "")
    assert found.segments[0].start_s == 1.0 and service.items.entry(item_id).grade == ""
    assert [hit.item_id for hit in service.search.run("lantern").hits] == [item_id]
    assert (tmp_path / "in" / name).exists()  # the user's file stays where it is
    beside = service.library.path(service.items.entry(item_id), "")
    assert [p for p in beside.parent.iterdir() if p.suffix in (".srt", ".json")]


def test_a_transcript_that_cannot_be_read_fails_its_item(
    service: Service, context: WorkerContext, tmp_path: Path
) -> None:
    named = write(tmp_path / "in", "talk.wav", "talk.srt", text=BAD)
    (item_id,) = service.ingest.run(named, RunOptions()).enqueued
    assert worked(service, context, item_id) == "failed"
    status = service.items.status(item_id)
    assert "line 2" in status.error and ".srt" in status.error
    # Corrected and named again; the file with the error is kept.
    write(tmp_path / "in", "talk.srt")
    assert service.ingest.run(named, RunOptions()).enqueued == (item_id,)
    assert worked(service, context, item_id) == "done"
    folder = service.library.media_folder
    assert [path.read_text() for path in folder.glob("*.srt.earlier")] == [BAD]


def test_a_file_under_the_name_of_an_item_is_its_transcript(
    service: Service, context: WorkerContext, tmp_path: Path
) -> None:
    """An export that was taken away and comes back, here as an upload."""
    (medium,) = write(tmp_path / "in", "talk.wav")
    (item,) = FileSource().items(medium)
    entry = service.library.add_media(item, Path(medium))
    service.queue.adopt_folder()
    named = write(tmp_path / "upload", f"{entry.stem}.en.srt")
    (item_id,) = service.ingest.run(named, RunOptions()).enqueued
    assert item_id == item.id and worked(service, context, item_id) == "done"
    assert service.items.transcript(item_id).language == "en"


@pytest.mark.parametrize("asked", [{}, {BROUGHT: ["new.srt"]}, {REPLACES: ["file:1"]}])
@pytest.mark.parametrize("stored", [{}, {BROUGHT: ["old.srt"]}, {REPLACES: ["file:2"]}])
def test_facts_of_a_medium_change_nothing_of_the_request(
    stored: dict[str, list[str]], asked: dict[str, list[str]]
) -> None:
    row = MediaItem("file:3", "file", "file:///b", "b", "2026-01-01", extra={"path": "b", **asked})
    found = replace(row, title="a", extra={"path": "a", **stored})
    assert as_asked(found, row) == replace(row, title="a", extra={"path": "a", **asked})


def test_without_its_transcript_the_medium_is_recognized_again(
    service: Service, tmp_path: Path
) -> None:
    medium, cues = write(tmp_path / "in", "talk.wav", "talk.srt")
    service.ingest.run([medium, cues], RunOptions())
    (row,) = service.queue.rows(service.queue.active_ids())
    assert row.item.extra["transcripts"]
    service.queue.cancel([row.id])
    service.ingest.run([medium], RunOptions())
    assert "transcripts" not in service.queue.rows([row.id])[0].item.extra


def test_an_item_that_is_done_keeps_its_transcript(
    service: Service, context: WorkerContext, tmp_path: Path
) -> None:
    named = write(tmp_path / "in", "talk.wav", "talk.srt")
    (item_id,) = service.ingest.run(named, RunOptions()).enqueued
    worked(service, context, item_id)
    write(tmp_path / "in", "talk.srt", text=CUES.replace("lantern", "candle"))
    report = service.ingest.run(named, RunOptions())
    assert not report.enqueued and not any("is taken in" in note for note in report.notes)
    assert any("talk.srt is not taken in" in note and "--again" in note for note in report.notes)
    assert "lantern" in service.items.transcript(item_id).text
    assert service.ingest.run(named, RunOptions(again=True)).enqueued == (item_id,)
    worked(service, context, item_id)
    assert "candle" in service.items.transcript(item_id).text


def test_a_scan_shows_the_pair(service: Service, tmp_path: Path) -> None:
    named = write(tmp_path / "in", "talk.wav", "talk.srt")
    (reference,) = service.ingest.references(named)
    found = service.ingest.scan(reference)
    assert [remark.code for remark in found.report.remarks] == ["note.brought_transcript"]
    (item,) = [each.item for each in found.items]
    assert not service.ingest.needs_model([item])
    assert service.ingest.needs_model([item, replace(item, extra={})])
    report = service.ingest.enqueue([item], RunOptions())
    assert report.enqueued == (item.id,)
    assert service.library.path(service.library.stem(item), ".srt").is_file()
