"""A library of the version before the move: folder, database and queue are opened as they are.

`tests/data/library-before-the-move.zip` was made by that version's own commands with the demo
recognizer: two items done (one corrected by hand and due at the folder of Markdown files), one
held because its file is truncated, one failed, one queued behind a pause, one that waits for a
quota, and a subscription. The items' media were at /tmp/old.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kb.cli import run
from kb.settings import PROJECT_ROOT, get_settings

ARCHIVE = PROJECT_ROOT / "tests" / "data" / "library-before-the-move.zip"
CORRECTED, DONE = "file:0efc46bc8dfd", "file:9ee33616628c"
HELD, FAILED, QUEUED = "file:bdc695a40b4d", "file:7f54cf5aad25", "file:638ac5255273"
WAITING = "youtube:AAAAAAAAAAA"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library, unpacked, with its media moved to this test's folder."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    home = tmp_path / "home"
    with sqlite3.connect(home / "kb.sqlite") as database:
        for column in ("item", "reference"):
            database.execute(
                f"UPDATE kb_items SET {column} = replace({column}, '/tmp/old', ?)", [str(tmp_path)]
            )
    environment = {
        "KB_HOME": home,
        "KB_MODEL": "demo",
        "KB_PRESET": "stabil",
        "KB_EXECUTOR_ID": "one",
        "KB_HOLD_BELOW": "0.5",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    get_settings.cache_clear()
    return home


def kb(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must succeed; returns its standard output."""
    code = run(list(arguments))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def items(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """The items of `kb status --json` by id."""
    return {each["id"]: each for each in json.loads(kb(capsys, "status", "--json"))["items"]}


def test_the_queue_is_shown_as_it_was(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = items(capsys)
    assert {item_id: each["state"] for item_id, each in found.items()} == {
        CORRECTED: "done",
        DONE: "done",
        HELD: "held",
        FAILED: "failed",
        QUEUED: "queued",
        WAITING: "waiting",
    }
    assert "no media.mp4" in found[FAILED]["error"]
    assert found[FAILED]["hint"]
    # That version stored no codes: what it wrote is shown as it was.
    assert found[FAILED]["problem"] is None
    assert "truncated" in found[HELD]["error"]
    assert found[WAITING]["wait_until"] == 1_900_000_000.0
    assert found[DONE]["publish"]["folder"]["status"] == "synced"
    assert found[CORRECTED]["publish"]["folder"]["status"] == "queued"
    assert "@talks" in kb(capsys, "follow", "--list")


@pytest.mark.slow
def test_the_library_is_indexed_searched_and_exported(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert items(capsys)[DONE]["expected_errors"] is None
    assert json.loads(kb(capsys, "reindex", "--json"))["judged"] == 3
    # The items that were read by that version have them now, from the words in their files.
    found = items(capsys)[DONE]
    assert 0 < found["expected_errors"] <= 0.05
    assert found["grade"] == "A"
    assert (
        json.loads(kb(capsys, "show", DONE, "--json"))["expected_errors"]
        == (found["expected_errors"])
    )
    hits = json.loads(kb(capsys, "search", "corrected", "--json"))["hits"]
    assert [hit["item_id"] for hit in hits] == [CORRECTED]
    assert "bridge repair corrected" in kb(capsys, "export", CORRECTED, "--format", "srt")
    document = json.loads(kb(capsys, "export", CORRECTED, "--format", "json"))
    (revision,) = document["revisions"]
    assert (revision["by"], revision["kind"]) == ("analyst", "edit")
    # The item whose file is truncated stays held when it is looked at again.
    assert HELD in kb(capsys, "review", "--json")


@pytest.mark.slow
def test_the_queue_goes_on_where_it_stopped(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Both would ask YouTube.
    kb(capsys, "unfollow", "@talks")
    kb(capsys, "cancel", WAITING)
    kb(capsys, "resume")
    subprocess.run(
        [sys.executable, "-m", "kb.cli", "worker", "--exit-when-idle"],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "KB_SINKS": "local,folder"},
        check=True,
        timeout=200,
    )
    found = items(capsys)
    assert (found[QUEUED]["state"], found[QUEUED]["grade"]) == ("done", "A")
    assert found[CORRECTED]["publish"]["folder"]["status"] == "synced"
    (note,) = (home / "markdown").glob("*_0efc46bc8dfd.md")
    assert "corrected" in note.read_text("utf-8")
    assert found[WAITING]["state"] == "cancelled"
    assert found[FAILED]["state"] == "failed"
