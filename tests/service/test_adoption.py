"""Transcripts laid into `media/`: taken in by `kb reindex`, searchable, or said not to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.errors import LibraryError
from kb.options import RunOptions
from kb.service import Service
from kb.settings import Settings
from kb.sources.files import FileSource
from kb.transcript import file_content, format_named, render_document
from tests.support.compose import write_wav
from tests.support.kept_transcripts import KEPT
from tests.transcript.test_foreign import JSONS, TEXTS
from tests.transcript.test_foreign_json import ALL as FOREIGN_JSON
from tests.transcript.test_in_and_out import KEEPS, name_of
from tests.transcript.test_in_and_out import STEM as OUT_STEM

STEM = "2024-03-01_Old talk_video"
YOUTUBE = "2024-03-01_Old talk_dQw4w9WgXcQ"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(Settings(KB_HOME=str(tmp_path / "home"), KB_MODEL="demo"))
    made.library.media_folder.mkdir(parents=True)
    yield made
    made.close()


def lay(service: Service, name: str, content: str | bytes) -> Path:
    path = service.library.media_folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lay_sound(service: Service, stem: str = STEM) -> Path:
    import numpy as np

    path = service.library.media_folder / f"{stem}.wav"
    write_wav(path, np.zeros(16_000 * 12, np.float32))
    return path


def hits(service: Service, query: str) -> list[float]:
    return [hit.at_s for hit in service.search.run(query).hits]


# What is laid in: (suffix, content)
FILES = {
    **{f"txt {name}": (".txt", text.encode()) for name, text in TEXTS.items()},
    **{f"json {name}": (".json", json.dumps(value).encode()) for name, value in JSONS.items()},
    "srt": (".srt", TEXTS["srt in txt"].encode()),
    "srt with a language": (".en.srt", TEXTS["srt in txt"].encode()),
    "vtt": (".vtt", TEXTS["vtt in txt"].encode()),
    "tsv": (".tsv", TEXTS["tsv"].encode()),
    "whisper's json as exact transcript": (
        ".transcript.json", json.dumps(JSONS["whisper"]).encode(),
    ),
    "utf-16": (".txt", TEXTS["whisper"].encode("utf-16")),
    "latin-1 with CR": (".txt", TEXTS["otter"].replace("\n", "\r").encode("latin-1")),
}  # fmt: skip


@pytest.mark.slow
def test_every_form_laid_in_is_searchable(service: Service) -> None:
    """One reindex takes in all forms, each as an item of its own."""
    for number, (suffix, content) in enumerate(FILES.values()):
        lay(service, f"2024-03-{number % 28 + 1:02d}_Talk_{number:012x}{suffix}", content)
    report = service.search.reindex()
    assert not report.problems
    assert report.items == len(FILES)
    assert len(report.taken_in) == len(FILES) - 1  # one lies under the exact transcript's name
    assert service.queue.counts()["done"] == len(FILES)
    found = service.search.run("river village", limit=100).hits
    assert len({hit.item_id for hit in found}) == len(FILES)
    assert all(4.0 <= hit.at_s < 8.0 for hit in found)
    for number in range(len(FILES)):
        assert "mountain garden" in service.items.export(f"file:{number:012x}", "txt")
    again = service.search.reindex()
    assert again.items == report.items and not again.taken_in and not again.adopted


@pytest.mark.parametrize("stem", [STEM, YOUTUBE])
@pytest.mark.parametrize("suffix", [".txt", ".srt", ".json"])
def test_a_transcript_beside_its_medium(service: Service, stem: str, suffix: str) -> None:
    text = {
        ".txt": TEXTS["ours"],
        ".srt": TEXTS["srt in txt"],
        ".json": json.dumps(JSONS["whisper"]),
    }
    medium = lay_sound(service, stem)
    laid = lay(service, f"{stem}{suffix}", text[suffix])
    before = laid.read_bytes()
    report = service.search.reindex()
    assert (report.adopted, report.items, report.problems) == (1, 1, ())
    assert hits(service, "village")
    (status,) = service.items.statuses()
    assert status.state == "done" and status.grade == ""  # nothing was measured
    entry = service.items.entry(status.id)
    assert entry.media_path == medium and entry.grade == ""
    original = laid if suffix != ".json" else laid.with_name(f"{stem}.original.json")
    assert original.read_bytes() == before


def test_metadata_of_another_tool_beside_a_transcript(service: Service) -> None:
    lay(service, f"{YOUTUBE}.info.json", '{"title": "The real title", "duration": 20}')
    lay(service, f"{YOUTUBE}.en.vtt", TEXTS["vtt in txt"])
    assert service.search.reindex().items == 1
    assert service.items.entry("youtube:dQw4w9WgXcQ").item.title == "The real title"


# What cannot be read, and the way out of it
UNREADABLE = {
    "empty text": (".txt", b""),
    "times without words": (".txt", b"[00:00 - 00:05]\n"),
    "no text": (".txt", bytes(range(256))),
    "half a json": (".transcript.json", b'{"segments": ['),
    "json of something else": (".transcript.json", b"{}"),
    "srt without words": (".srt", b"1\n00:00:00,000 --> 00:00:01,000\n\n"),
    "nothing": ("", b""),
}


@pytest.mark.parametrize("case", UNREADABLE)
@pytest.mark.parametrize("way", ["ingest", "retry"])
def test_no_state_without_a_way_out(service: Service, case: str, way: str) -> None:
    suffix, content = UNREADABLE[case]
    medium = lay_sound(service)
    if suffix:
        laid = lay(service, f"{STEM}{suffix}", content)
    report = service.search.reindex()
    assert report.items == 0
    if suffix:
        assert [p for p in report.problems if laid.name in p], report.problems
    (status,) = service.items.statuses()
    assert status.state in ("failed", "cancelled")
    with pytest.raises(LibraryError):
        service.items.transcript(status.id)
    if way == "retry":
        assert service.queue.retry([status.id]) == [status.id]
    else:
        (item,) = FileSource().items(str(medium))
        assert item.id == status.id
        assert service.queue.submit([item], RunOptions())[0] == [status.id]
    assert service.items.status(status.id).state == "queued"


# Done before: the exact transcript is damaged or removed later


def done_item(service: Service) -> str:
    lay_sound(service)
    lay(service, f"{STEM}.txt", TEXTS["ours"])
    service.search.reindex()
    return service.items.statuses()[0].id


@pytest.mark.parametrize("content", [b"", b"{}", b'{"segments": [{"start": "x"}]}', b"\0" * 900])
def test_a_damaged_transcript_is_made_from_the_text_beside_it(
    service: Service, content: bytes
) -> None:
    item_id = done_item(service)
    exact = service.items.entry(item_id).transcript_path
    assert exact is not None
    exact.write_bytes(content)
    report = service.search.reindex()
    assert report.taken_in == ((item_id, f"{STEM}.txt"),) and not report.problems
    assert hits(service, "village") and service.items.status(item_id).state == "done"
    assert exact.with_name(f"{exact.name}.damaged").read_bytes() == content


@pytest.mark.parametrize("loss", ["damaged", "removed"])
@pytest.mark.parametrize("way", ["reindex", "retry", "ingest"])
def test_status_and_index_agree_after_a_loss(service: Service, loss: str, way: str) -> None:
    item_id = done_item(service)
    entry = service.items.entry(item_id)
    assert entry.transcript_path is not None and entry.text_path is not None
    entry.text_path.unlink()
    if loss == "removed":
        entry.transcript_path.unlink()
    else:
        entry.transcript_path.write_text("{half")
    if way == "reindex":
        report = service.search.reindex()
        status = service.items.status(item_id)
        assert report.items == 0 and status.state == "failed" and status.error
        assert bool(report.problems) == (loss == "damaged")
    if way == "ingest":
        (item,) = FileSource().items(str(entry.media_path))
        assert service.queue.submit([item], RunOptions())[0] == [item_id]
    else:
        assert service.queue.retry([item_id]) == [item_id]


def test_a_missing_folder_does_not_empty_the_index(service: Service) -> None:
    lay(service, f"{STEM}.txt", TEXTS["whisper"])
    lay_sound(service)
    service.search.reindex()
    found = hits(service, "mountain")
    assert found
    folder = service.library.media_folder
    folder.rename(folder.with_name("away"))
    with pytest.raises(LibraryError) as raised:
        service.search.reindex()
    assert raised.value.code == "library.folder_missing"
    assert hits(service, "mountain") == found
    folder.with_name("away").rename(folder)
    assert service.search.reindex().items == 1


def test_a_form_that_is_not_read_is_named(service: Service) -> None:
    lay_sound(service)
    lay(service, f"{STEM}.en.rtf", "{\\rtf1 falcon}")
    report = service.search.reindex()
    assert any(f"{STEM}.en.rtf" in problem for problem in report.problems)


# In = out: what this program writes is taken in again


@pytest.mark.slow
def test_every_export_beside_a_medium_is_taken_in(service: Service) -> None:
    """One reindex takes in a file of each format, each beside a medium of its own."""
    spoken = KEPT["several scripts"]
    stems: dict[str, str] = {}
    for number, format in enumerate(KEEPS):
        stems[format] = f"2024-04-01_Talk {format.replace('_', ' ')}_{number:012x}"
        name = name_of(format, spoken.language).replace(OUT_STEM, stems[format])
        suffix = format_named(format).suffix
        lay(service, name, file_content(render_document(spoken, format), f".{suffix}"))
        sound = service.library.media_folder / f"{stems[format]}.mp3"
        sound.write_bytes(format.encode())  # the content is part of the id
    report = service.search.reindex()
    assert not report.problems and len(report.taken_in) == len(KEEPS)
    states = {status.title: status for status in service.items.statuses()}
    for format, stem in stems.items():
        status = states[stem.split("_")[1]]
        assert status.state == "done", format
        found = service.items.transcript(status.id)
        assert "".join(found.text.split()) == "".join(spoken.text.split()), format
        assert found.language == spoken.language
        entry = service.items.entry(status.id)
        if format != "json":
            assert entry.transcribed["language"] == spoken.language
            assert entry.transcribed["words"] >= 15
    assert len({hit.item_id for hit in service.search.run("harbour OR гавань", limit=50).hits})


def test_of_two_languages_the_items_own_is_taken_in(service: Service) -> None:
    lay(service, f"{YOUTUBE}.json", json.dumps(record("de")))
    lay(service, f"{YOUTUBE}.de.srt", CUE.format("der Hafen schläft"))
    lay(
        service,
        f"{YOUTUBE}.en.vtt",
        f"WEBVTT\n\n{CUE.format('the harbour sleeps')}".replace(",", "."),
    )
    service.search.reindex()
    found = service.items.transcript("youtube:dQw4w9WgXcQ")
    assert (found.language, found.text) == ("de", "der Hafen schläft")


CUE = "00:00:01,000 --> 00:00:03,000\n{}\n"


def record(language: str | None = None) -> dict[str, object]:
    return {
        "version": 1, "state": "new",
        "item": {
            "id": "youtube:dQw4w9WgXcQ", "source": "youtube", "url": "https://youtu.be/dQw4w9WgXcQ",
            "title": "The real title", "published": "2024-03-01", "channel": "The channel",
            "description": "A talk.", "tags": ["sea"], "language": language,
        },
    }  # fmt: skip


# The JSON of recognizers has the name of the library's record


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".json", ".en.json"])
def test_the_json_of_a_recognizer_is_no_record(service: Service, suffix: str) -> None:
    """One reindex takes in all forms, each beside the metadata of a downloader."""
    for number, document in enumerate(FOREIGN_JSON.values()):
        stem = f"2024-03-01_Old talk_{number:011d}"
        lay(service, f"{stem}{suffix}", json.dumps(document))
        lay(service, f"{stem}.info.json", json.dumps({"title": f"T{number}", "channel": "C"}))
    report = service.search.reindex()
    assert not report.problems and len(report.taken_in) == len(FOREIGN_JSON)
    # No second item by the language's name
    assert len(service.items.listing().entries) == len(FOREIGN_JSON)
    for number, (form, document) in enumerate(FOREIGN_JSON.items()):
        entry = service.items.entry(f"youtube:{number:011d}")
        assert (entry.item.title, entry.item.channel) == (f"T{number}", "C"), form
        assert "adopted" not in entry.record
        original = service.library.path(entry, suffix.replace(".json", ".original.json"))
        assert json.loads(original.read_text("utf-8")) == document
        assert "harbour" in service.items.transcript(entry.item.id).text
    assert not service.search.reindex().adopted


@pytest.mark.parametrize(
    "content", ['{"text": "", "segments": [], "language": "en"}', "[]", '{"text": ""}']
)
def test_an_empty_one_is_neither_record_nor_transcript(service: Service, content: str) -> None:
    lay_sound(service)
    lay(service, f"{STEM}.json", content)
    report = service.search.reindex()
    assert any("no words" in problem for problem in report.problems), report.problems
    (status,) = service.items.statuses()
    assert status.state != "done" and status.title == "Old talk"


def test_a_recognizers_json_is_not_swallowed_when_its_medium_is_ingested(service: Service) -> None:
    """Whisper was run in the media folder before the library knew the medium."""
    medium = lay_sound(service)
    (item,) = FileSource().items(str(medium))
    laid = lay(service, f"{STEM}.json", json.dumps(FOREIGN_JSON["words: openai-whisper"]))
    content = laid.read_text("utf-8")
    service.library.write_metadata(item, {"state": "new"}, stem=STEM)
    assert "adopted" not in service.library.read_metadata(STEM)
    assert laid.with_name(f"{STEM}.original.json").read_text("utf-8") == content


def test_a_second_original_replaces_no_first(service: Service) -> None:
    for text in ("falcon", "harbour"):
        lay(service, f"{YOUTUBE}.json", json.dumps({"text": text}))
        service.search.reindex()
    folder = service.library.media_folder
    found = sorted(folder.glob("*.original.json"))
    assert [json.loads(path.read_text())["text"] for path in found] == ["harbour", "falcon"]
