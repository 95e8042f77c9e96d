"""The command line as a user enters it: the sample channel, from files to answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import srt

from kb.cli.commands import worker as worker_command
from kb.settings import PROJECT_ROOT
from tests.support.commands import run_command
from tests.support.waiting import WAIT_S

SAMPLES = PROJECT_ROOT / "samples"
STATES = {
    "queued", "running", "paused", "waiting", "done", "failed", "cancelled", "held", "dismissed",
}  # fmt: skip

pytestmark = pytest.mark.slow


def kb(
    home: Path, *arguments: str, check: int = 0, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `kb` and check its exit code.

    Commands that wait for a worker run in a separate process, and so do those without a library
    (`--help`), which prove that the program starts.
    """
    environment = {name: value for name, value in os.environ.items() if name[:3] != "KB_"}
    environment |= {"KB_HOME": str(home), "KB_MODEL": "demo", "KB_CPU_THREADS": "1"}
    environment |= {"KB_STEPS": "none", **(more or {})}  # steps have tests of their own
    if home.exists() and "--wait" not in arguments:
        done = run_command(arguments, environment, Path.cwd())
        assert done.returncode == check, (done.stdout, done.stderr)
        return done
    done = subprocess.run(
        [sys.executable, "-m", "kb.cli", *arguments],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == check, (done.stdout, done.stderr)
    return done


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """Return the JSON document that is the only content of standard output."""
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Ingest the sample channel into a library; return the library and the printed document."""
    home = tmp_path_factory.mktemp("channel")
    return home, document(kb(home, "ingest", str(SAMPLES), "--wait", "--json"))


def truth() -> dict[str, list[str]]:
    """Return the words of each sample by title."""
    found = {}
    for path in SAMPLES.glob("*.truth.json"):
        shown = json.loads(path.read_text(encoding="utf-8"))
        found[path.name.removesuffix(".truth.json")] = [word["text"] for word in shown["words"]]
    return found


def test_the_channel_is_taken_in(channel: tuple[Path, dict[str, Any]]) -> None:
    home, report = channel
    assert set(report) == {"enqueued", "skipped", "items", "refused"}
    assert len(report["enqueued"]) == 3
    assert report["skipped"] == report["refused"] == []
    for item in report["items"]:
        assert {"id", "title", "stage", "state", "progress", "error", "hint", "attempts"} <= set(
            item
        )
        assert (item["state"], item["progress"], item["error"]) == ("done", 1.0, "")
    names = sorted(path.name for path in (home / "media").iterdir())
    assert len([n for n in names if n.endswith(".transcript.json")]) == 3
    assert not [n for n in names if n.startswith(".kb-")]


def test_a_second_run_does_nothing_and_says_so(channel: tuple[Path, dict[str, Any]]) -> None:
    home, report = channel
    before = {path: path.stat().st_mtime_ns for path in (home / "media").iterdir()}
    again = document(kb(home, "ingest", str(SAMPLES), "--wait", "--json"))
    assert again["enqueued"] == []
    assert {skipped["id"] for skipped in again["skipped"]} == set(report["enqueued"])
    assert {skipped["code"] for skipped in again["skipped"]} == {"done"}
    assert {path: path.stat().st_mtime_ns for path in (home / "media").iterdir()} == before
    said = kb(home, "ingest", str(SAMPLES), "--wait").stderr
    assert all(skipped["reason"] in said for skipped in again["skipped"])


def test_status(channel: tuple[Path, dict[str, Any]]) -> None:
    home, report = channel
    shown = document(kb(home, "status", "--json"))
    assert {item["id"] for item in shown["items"]} == set(report["enqueued"])
    assert set(shown["counts"]) == STATES
    assert shown["counts"]["done"] == 3
    one = document(kb(home, "status", report["enqueued"][0].split(":")[1][:6], "--json"))
    assert [item["id"] for item in one["items"]] == [report["enqueued"][0]]
    assert document(kb(home, "status", "--state", "failed", "--json"))["items"] == []
    assert "done" in kb(home, "status").stdout
    kb(home, "status", "nothing", check=2)
    kb(home, "status", "--state", "lost", check=2)


def test_a_search_answers_to_the_second(channel: tuple[Path, dict[str, Any]]) -> None:
    home, _ = channel
    title, words = next((t, w) for t, w in truth().items() if "harbour" in t.lower())
    shown = json.loads((SAMPLES / f"{title}.truth.json").read_text(encoding="utf-8"))["words"]
    rare = next(w for w in shown if words.count(w["text"]) == 1 and w["start"] > 3)
    found = document(kb(home, "search", rare["text"], "--json"))
    assert {"query", "mode", "took_ms", "hits"} <= set(found)
    hit = next(h for h in found["hits"] if h["title"] == title)
    assert {"item_id", "title", "start", "end", "text", "score", "deep_link", "path"} <= set(hit)
    assert abs(hit["at"] - rare["start"]) < 0.5
    assert hit["deep_link"].endswith(f"t={int(hit['at'])}")
    assert f"**{rare['text']}**" in hit["snippet"]
    assert (home / hit["path"]).is_file()
    assert title in kb(home, "search", rare["text"]).stdout
    hits = document(kb(home, "search", "xylophone", "--json"))["hits"]
    assert all(hit["by_meaning"] for hit in hits)  # where its model is installed
    hits = document(kb(home, "search", "xylophone", "--mode", "keyword", "--json"))["hits"]
    assert hits == []
    kb(home, "search", "   ", check=2)


def test_show_and_export(channel: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, report = channel
    item_id = report["enqueued"][0]
    shown = document(kb(home, "show", item_id, "--json"))
    assert shown["id"] == item_id
    assert shown["transcript"]["coverage"]["ratio"] >= 0.95
    assert "[00:" in kb(home, "show", item_id).stdout
    for name in ("txt", "json", "srt", "vtt", "csv", "md"):
        text = kb(home, "export", item_id, "--format", name).stdout
        assert text.strip(), name
    kb(home, "export", item_id, "--format", "srt", "--timestamps", "word", "-o", str(tmp_path))
    (path,) = tmp_path.glob("*.srt")
    cues = list(srt.parse(path.read_text(encoding="utf-8")))
    words = [word for segment in shown["transcript"]["segments"] for word in segment["words"]]
    assert [cue.content for cue in cues] == [word["text"] for word in words]
    for cue, word in zip(cues, words, strict=True):
        # At the time of the word, to the millisecond of the subtitle.
        assert abs(cue.start.total_seconds() - word["start"]) < 0.05
    kb(home, "export", item_id, "--format", "nonsense", check=2)
    kb(home, "show", "nothing", check=2)


def test_everything_is_rebuilt_from_the_files(
    channel: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, report = channel
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    word = truth()["The harbour in winter"][5]
    before = document(kb(copy, "search", word, "--json"))["hits"]
    for database in copy.glob("kb.sqlite*"):
        database.unlink()
    shutil.rmtree(copy / "index.lance")
    done = document(kb(copy, "reindex", "--json"))
    assert (done["items"], done["problems"]) == (3, [])
    assert document(kb(copy, "search", word, "--json"))["hits"] == before
    shown = document(kb(copy, "status", "--json"))
    assert {item["id"] for item in shown["items"]} == set(report["enqueued"])
    assert document(kb(copy, "ingest", str(SAMPLES), "--json"))["enqueued"] == []


def test_again_with_another_preset_replaces_the_transcript(
    channel: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    home, _ = channel
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    talk = SAMPLES / "The harbour in winter.mp4"
    before = document(kb(copy, "search", "harbour", "--limit", "100", "--json"))["hits"]
    arguments = ("ingest", str(talk), "--again", "--preset", "stabil", "--wait", "--json")
    report = document(kb(copy, *arguments))
    (item,) = report["items"]
    assert item["state"] == "done"
    shown = document(kb(copy, "show", item["id"], "--json"))
    assert shown["transcript"]["preset"] == "stabil"
    after = document(kb(copy, "search", "harbour", "--limit", "100", "--json"))["hits"]
    spoken = [h for h in after if h["item_id"] == item["id"]]
    assert len(spoken) == len({(h["start"], h["end"]) for h in spoken})
    texts = " ".join(h["text"] for h in spoken).split()
    old = " ".join(h["text"] for h in before if h["item_id"] == item["id"]).split()
    assert texts.count("harbour") == old.count("harbour")


def test_help_and_version() -> None:
    home = Path("unused")
    text = kb(home, "--help").stdout
    for command in ("transcribe", "ingest", "worker", "status", "search", "reindex", "doctor"):
        assert command in text
    assert kb(home, "--version").stdout.startswith("kb-ingest ")
    kb(home, "frobnicate", check=2)
    assert not home.exists()


def test_a_worker_that_ends_at_once_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_command, "START_S", 10 * WAIT_S)
    nowhere = {"PYTHONHOME": str(tmp_path / "nowhere")}  # Python itself does not start there
    home = tmp_path / "home"
    home.mkdir()
    done = kb(home, "worker", "--detach", check=2, more=nowhere)
    assert "did not come up" in done.stderr and "worker.log" in done.stderr
