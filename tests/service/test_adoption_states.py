"""The state of an item follows the transcripts that were laid in, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kb.options import RunOptions
from kb.service import Service
from tests.service.test_adoption import STEM, done_item, hits, lay, lay_sound
from tests.service.test_adoption import service as service
from tests.transcript.test_foreign import JSONS, TEXTS
from tests.transcript.test_impossible_times import IMPOSSIBLE


def test_an_impossible_time_makes_no_item_done(service: Service) -> None:
    laid = [each for each in IMPOSSIBLE if not each[0].endswith(".transcript.json")]
    for number, (name, content, _) in enumerate(laid):
        lay(service, name.replace("a.", f"2024-03-01_Talk_{number:011d}.", 1), content)
        if name.endswith(".csv"):  # alone it may be any table
            lay(service, f"2024-03-01_Talk_{number:011d}.mp3", str(number))
    report = service.search.reindex()
    assert not report.taken_in and report.items == 0
    for number, (name, _, place) in enumerate(laid):
        (problem,) = [each for each in report.problems if f"_{number:011d}." in each]
        assert place in problem, (name, problem)
    states = {status.state for status in service.items.statuses()}
    assert len(service.items.statuses()) == len(laid) and states <= {"failed", "cancelled"}


@pytest.mark.parametrize(
    "name",
    ["{}.SRT", "{}.En.Srt", "{}.large-v3.srt", "{}.large-v3.json", "{}.JSON", "{}.TXT", "{}.de.TXT",
     "{}.words.en.vtt"],
)  # fmt: skip
def test_unusual_names_beside_a_medium(service: Service, name: str) -> None:
    lay_sound(service)
    text = {"son": json.dumps(JSONS["whisper"]), "txt": TEXTS["ours"], "srt": TEXTS["srt in txt"],
            "vtt": TEXTS["vtt in txt"]}[name[-3:].lower()]  # fmt: skip
    lay(service, name.format(STEM), text)
    report = service.search.reindex()
    assert not report.problems and len(report.taken_in) == 1
    (status,) = service.items.statuses()
    assert status.state == "done"


@pytest.mark.parametrize("name", ["{}.summary.txt", "{}.description.txt", "{}.notes.v2.txt"])
def test_a_text_about_an_item_is_no_item(service: Service, name: str) -> None:
    lay_sound(service)
    lay(service, name.format(STEM), "Buy bread.")
    report = service.search.reindex()
    assert (report.adopted, report.problems, report.taken_in) == (1, (), ())


OTHERS = {
    "{}.chapters.txt": "0:00 Start\n1:05 Harbour\n2:10 End\n",
    "{}.md": "# Notes\n\nBuy bread.\n",
    "{}.csv": "name,price\nbread,2\n",
    "{}.html": "<p>A page</p>",
    "{}.rttm": "SPEAKER x 1 0.0 1.0 <NA> <NA> A <NA> <NA>\n",
}


@pytest.mark.parametrize("has_medium", [True, False])
def test_other_documents_are_no_transcripts(service: Service, has_medium: bool) -> None:
    for number, (name, content) in enumerate(OTHERS.items()):
        stem = f"2024-03-01_Talk_{number:011d}"
        lay(service, name.format(stem), content)
        if has_medium:
            lay(service, f"{stem}.mp3", str(number))
    report = service.search.reindex()
    assert not report.taken_in and report.items == 0
    assert len(service.items.listing().entries) == has_medium * len(OTHERS)
    assert all(status.state != "done" for status in service.items.statuses())


def test_a_transcript_put_back_is_done_again(service: Service) -> None:
    item_id = done_item(service)
    entry = service.items.entry(item_id)
    assert entry.transcript_path is not None and entry.text_path is not None
    content = entry.transcript_path.read_bytes()
    entry.transcript_path.unlink()
    entry.text_path.unlink()
    service.search.reindex()
    entry.transcript_path.write_bytes(content)
    service.search.reindex()
    status = service.items.status(item_id)
    assert status.state == "done" and not status.error and hits(service, "village")


def test_a_waiting_item_is_left_to_its_worker(service: Service) -> None:
    item_id = done_item(service)
    service.queue.submit([service.items.entry(item_id).item], RunOptions(again=True))
    entry = service.items.entry(item_id)
    assert entry.transcript_path is not None
    entry.transcript_path.write_text("{half")
    service.search.reindex()
    assert service.items.status(item_id).state == "queued"


def test_captions_are_no_transcript(service: Service, tmp_path: Path) -> None:
    from kb.pipeline import captions
    from kb.types import CaptionFile, MediaItem

    item = MediaItem("youtube:dQw4w9WgXcQ", "youtube", "https://youtu.be/x", "T", "2024-03-01")
    path = tmp_path / "a.vtt"
    path.write_text(TEXTS["vtt in txt"])
    captions.keep(service.library, item, [CaptionFile(path, "en", True)])
    report = service.search.reindex()
    assert report.items == 0 and not report.taken_in


def test_a_file_with_an_impossible_time_is_named_and_the_others_are_taken_in(
    service: Service,
) -> None:
    bad = {"language": "en", "segments": [{"start": 1e300, "end": 1e300, "text": "far away"}]}
    lay(service, "2024-03-01_Bad_000000000001.json", json.dumps(bad))
    lay(service, "2024-03-02_Good_000000000002.srt", TEXTS["srt in txt"])
    report = service.search.reindex()
    assert [item_id for item_id, _ in report.taken_in] == ["file:000000000002"]
    (problem,) = report.problems
    assert "2024-03-01_Bad_000000000001" in problem  # it is kept under another ending
