"""The quick commands of README and documents, run as they are written in one library.

What needs a worker, a model or a service of its own is run by `tools/docs_check.py`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kb.service import Service
from kb.sinks.local.sink import LocalSink
from kb.transcript import render
from kb.transcript.formats import json_document
from kb.transcript.passages import passages
from kb.types import MediaItem
from tests.support.channel import Site
from tests.support.commands import run_command
from tests.support.document_commands import ROOT, arguments, commands, documents, shown_by
from tests.support.kept_transcripts import SAMPLES, sample

QUICK = re.compile(
    r"kb (status|search|show|export|follow|unfollow|digest|verify --repair|backup|scan|review|"
    r"retry|remove|mcp|speak --voices|worker --stop|presets|config|list|searches|tag|reindex|"
    r"ingest|enrich|dismiss|doctor|logs|clip ID --from 0:|cancel|models$)"
)
SLOW = re.compile(
    r"--wait|--watch|--http$|--fetch|large-v3|--to local,odin|--speakers|--speaker-count|--export|"
    r"notes|--undo|lecture|panel|Recordings|/media/|\bURL\b|summary|translate|--language|screen|"
    r"--edit|--accept"
)
FOUND_SOMETHING = re.compile(r"kb (verify|dismiss|doctor)\b")  # 1 is the answer of these, too
TALK = "The harbour in winter"


@dataclass(frozen=True)
class Reader:
    """A reader of the documents: the folder, the library's item, and the settings."""

    folder: Path
    item_id: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("reader")
    with Site(folder, 2, spoken=False) as site:
        site.channel.handle = "@channel"
        lab = site.lab(folder / "lab", KB_STEPS="none", KB_SINKS="local")
        item = MediaItem(
            "file:abcdefabcdef", "file", "file:///talk.mp4", TALK, "2026-11-03", 57.0, "Bay Talks"
        )
        _fill(lab.service, item)
        shutil.copy(SAMPLES / f"{TALK}.mp4", folder / "talk.mp4")
        shutil.copy(SAMPLES / "Midnight on the railway.mp4", folder / "talk-reupload.mp4")
        (folder / "other-disk").mkdir()
        yield Reader(folder, item.id, {**lab.environment(), "COLUMNS": "200"})
        lab.service.close()


def _fill(service: Service, item: MediaItem) -> None:
    service.library.prepare()
    words = sample(SAMPLES / f"{TALK}.truth.json")
    stem = service.library.stem(item)
    shutil.copy(SAMPLES / f"{TALK}.mp4", service.library.media_folder / f"{stem}.mp4")
    service.library.write_text(stem, ".txt", render(words, "txt", item=item))
    service.library.write_text(stem, ".transcript.json", render(words, "json", item=item))
    document = json_document.to_document(words)
    made = {key: document[key] for key in ("coverage", "timing")}
    made |= {"run": 1, "engine": "whisper", "model": "demo", "at": "2026-11-03T12:00:00Z"}
    service.library.write_metadata(item, {"transcribed": made, "state": "done"})
    LocalSink(service.settings).rebuild(iter([(item, passages(words, item, path=""))]))
    service.queue.adopt_folder()


def quick() -> list[str]:
    """Return the quick commands of all pages, each once."""
    every = [command for page in documents() for command in commands(page)]
    every += [each for _, found in shown_by(ROOT / "docs" / "acceptance.md") for each in found]
    return list(dict.fromkeys(c for c in every if QUICK.match(c) and not SLOW.search(c)))


def words_of(command: str, reader: Reader) -> list[str]:
    """Return a command's arguments with what the documents leave to the reader."""
    found = [reader.item_id if word == "ID" else word for word in arguments(command)]
    return [word.replace("/mnt/other-disk", str(reader.folder / "other-disk")) for word in found]


@pytest.mark.slow
def test_each_quick_command_does_what_its_page_says(reader: Reader) -> None:
    failed = []
    for command in quick():
        done = run_command(words_of(command, reader), reader.environment, reader.folder)
        fine = (0, 1) if FOUND_SOMETHING.match(command) else (0,)
        said = done.stdout + done.stderr
        if done.returncode not in fine or "Traceback" in said:
            failed.append(f"{command}\n  {done.returncode}: {said[-400:]}")
        if command == "kb remove ID":
            undone = ["remove", "--undo", reader.item_id]
            assert run_command(undone, reader.environment, reader.folder).returncode == 0
    assert not failed, "\n".join(failed)


def test_most_subjects_have_a_quick_command() -> None:
    assert len(quick()) >= 40
    assert {"kb status", "kb show ID", "kb search lantern"} <= set(quick())
