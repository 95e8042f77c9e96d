"""`kb publish`, `kb sync`, `kb ask` and `kb upload` with a fake ODIN on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.cli import run
from kb.library import Library
from kb.pipeline import stages
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.types import Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, Word
from tests.fakes.odin import KEY, SECRET, FakeOdin

IDS = ("youtube:aaaaaaaaaaa", "youtube:bbbbbbbbbbb", "youtube:ccccccccccc")


def transcript(words: str, covered: float = 1.0) -> Transcript:
    """Return a transcript with one word per second."""
    spoken = tuple(Word(float(n), n + 0.8, word, 0.9) for n, word in enumerate(words.split()))
    segment = Segment(0.0, spoken[-1].end_s, words, spoken)
    total = spoken[-1].end_s
    return Transcript(
        MediaRef("talk.m4a", "00" * 32, total), (segment,), "en", "whisper", "demo",
        "optimiert", Coverage(total, covered * total), Timing(media_s=total),
    )  # fmt: skip


@pytest.fixture
def odin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOdin]:
    """Run a fake ODIN and set it in the settings of this process."""
    with FakeOdin(tmp_path / "odin") as service:
        known = Settings.model_fields
        for name, value in service.settings().items():
            monkeypatch.setenv(str(known[name].alias) if name in known else name, str(value))
        get_settings.cache_clear()
        yield service


@pytest.fixture
def library(odin: FakeOdin) -> Library:
    """Add two finished items and a held one to the library."""
    library = Library(get_settings().home)
    texts = ("the lantern burns before midnight", "copper and granite", "a doubtful mumble")
    for item_id, text, covered in zip(IDS, texts, (1.0, 1.0, 0.5), strict=True):
        item = MediaItem(
            id=item_id, source="youtube", url=f"https://youtu.be/{item_id[-11:]}",
            title=f"Talk {item_id[-1]}", published="2026-03-04",
        )  # fmt: skip
        stages.write(library, item, transcript(text, covered), 0.95)
    return library


def kb(capsys: pytest.CaptureFixture[str], *arguments: str, check: int = 0) -> Any:
    """Run a command with `--json` in this process; return its document."""
    code = run([*arguments, "--json"])
    printed = capsys.readouterr()
    assert code == check, (printed.out, printed.err)
    assert KEY not in printed.out + printed.err
    assert SECRET not in printed.out + printed.err
    return json.loads(printed.out) if printed.out.strip() else printed.err


def test_a_second_publish_sends_nothing(
    odin: FakeOdin, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    done = kb(capsys, "publish", "--all", "--meta", "team=research")
    assert (sorted(done["done"]), done["failed"]) == (sorted(IDS[:2]), {})
    assert len(odin.indexed()) == 2
    metadata = [json.loads(d["metadata"]) for d in odin.documents().values()]
    assert {m["team"] for m in metadata} == {"research"}
    sent = odin.count("POST", "/add/file")
    assert done["held"] == [IDS[2]]
    again = kb(capsys, "publish", "--all")
    assert sorted(again["done"]) == sorted(IDS[:2])
    assert odin.count("POST", "/add/file") == sent
    entry = library.find(IDS[0])
    assert entry is not None
    assert entry.published["odin"]["status"] == "synced"


def test_a_held_item_is_not_sent_and_is_reported(
    odin: FakeOdin, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = kb(capsys, "publish", IDS[0], IDS[2], check=1)
    assert printed["done"] == [IDS[0]]
    held = printed["failed"][IDS[2]]["problem"]
    assert held["code"] in ("publish.held", "publish.held_because")
    assert held["values"]["item_id"] == IDS[2]
    assert len(odin.indexed()) == 1


def test_sync_shows_the_differences_and_removes_them(
    odin: FakeOdin, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    kb(capsys, "publish", IDS[0])
    entry = library.find(IDS[0])
    assert entry is not None
    changed = replace(transcript("the lantern burns after midnight"), preset="stabil")
    stages.write(library, entry.item, changed, 0.95)
    plan = kb(capsys, "sync", "--dry-run")
    assert {(s["kind"], s["item_id"]) for s in plan["steps"]} == {
        ("changed", IDS[0]),
        ("missing", IDS[1]),
    }
    assert plan["held"] == [IDS[2]] and plan["documents"] == 2 and plan["words"] > 5
    mended = kb(capsys, "sync")
    assert (sorted(mended["done"]), mended["held"]) == (sorted(IDS[:2]), [IDS[2]])
    assert len(odin.indexed()) == 2
    assert b"after" in b"".join(odin.indexed().values())
    assert b"before" not in b"".join(odin.indexed().values())
    assert kb(capsys, "sync", "--dry-run")["steps"] == []


def test_an_answer_links_to_the_second(
    odin: FakeOdin, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    kb(capsys, "publish", "--all")
    answer = kb(capsys, "ask", "who burns the lantern")
    assert any(source["item_id"] == IDS[0] for source in answer["sources"])
    found = kb(capsys, "search", "lantern", "--remote")
    assert list(found) == ["query", "mode", "took_ms", "hits"] and found["took_ms"] > 0
    hit = found["hits"][0]
    assert set(hit) >= {"item_id", "title", "start", "end", "text", "score", "deep_link", "path"}
    assert hit["item_id"] == IDS[0] and 0 <= hit["start"] < hit["end"]
    assert hit["deep_link"].startswith("https://youtu.be/aaaaaaaaaaa?t=")
    assert kb(capsys, "search", "nowhere-at-all", "--remote")["hits"] == []


def test_wrong_credentials_are_reported_once(
    odin: FakeOdin,
    library: Library,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_SECRET", "".join(("not", "-", "it")))
    get_settings.cache_clear()
    printed = kb(capsys, "publish", "--all", check=1)
    assert printed.count("Error") == 1
    assert "API_SECRET" in printed or "credentials" in printed.lower()
    assert odin.indexed() == {}


COMMANDS = (
    ("publish", "--all"),
    ("publish", IDS[0]),
    ("sync", "--dry-run"),
    ("sync",),
    ("ask", "who"),
    ("upload", "."),
    ("search", "lantern", "--remote"),
    ("ingest", "missing.mp4", "--to", "local,odin", "--model", "demo"),
)


@pytest.mark.parametrize("missing", ["API_KEY", "API_SECRET"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_missing_credentials_are_wrong_configuration(
    odin: FakeOdin,
    library: Library,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    command: tuple[str, ...],
) -> None:
    monkeypatch.delenv(missing)
    get_settings.cache_clear()
    printed = kb(capsys, *command, check=2)
    assert f"{missing} is not set" in printed and "→" in printed and ".env" in printed
    assert ("--to local" in printed) == (command[0] == "ask")
    assert odin.requests == []


def test_own_metadata_with_a_reserved_name_are_refused_at_once(
    odin: FakeOdin, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (("publish", "--all"), ("sync",), ("ingest", "x.mp4", "--model", "demo")):
        assert "'title'" in kb(capsys, *command, "--meta", "title=mine", check=2)
    assert odin.indexed() == {}


def test_status_shows_the_errors_of_knowledge_bases_and_publish_the_cost(
    odin: FakeOdin, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service()
    service.queue.adopt_folder()
    service.close()
    odin.queue_faults("422", "422")
    kb(capsys, "publish", IDS[0], "--to", "folder")
    refused = kb(capsys, "publish", "--all", check=1)["failed"]
    assert sorted(refused) == sorted(IDS[:2])
    document = kb(capsys, "status")
    printed = {item["id"]: item["publish"] for item in document["items"]}
    for item_id in IDS[:2]:
        assert printed[item_id]["odin"]["status"] == "failed"
        assert printed[item_id]["odin"]["error"] == refused[item_id]["error"]
        assert printed[item_id]["odin"]["hint"]
    assert printed[IDS[0]]["folder"]["status"] == "synced" and printed[IDS[2]] == {}
    assert document["publications"]["odin"] == {"failed": 2}
    assert run(["publish", "--all"]) == 0
    printed = capsys.readouterr().err
    assert "2 items, 8 words: less than 0.1 credits" in printed and "credits" in printed
    assert "1 held for review" in printed and IDS[2] in printed
    printed = {item["id"]: item["publish"] for item in kb(capsys, "status")["items"]}
    assert {printed[item_id]["odin"]["status"] for item_id in IDS[:2]} == {"synced"}
    assert not any(printed[item_id]["odin"]["error"] for item_id in IDS[:2])


def test_own_metadata_of_a_folder_are_kept(
    odin: FakeOdin, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    kb(capsys, "publish", IDS[0], "--to", "folder", "--meta", "team=research")
    kb(capsys, "publish", "--all", "--to", "folder")
    texts = [p.read_text("utf-8") for p in (library.home / "markdown").glob("*.md")]
    assert sum('"team": "research"' in text for text in texts) == 1


def test_other_files_are_sent_as_they_are(
    odin: FakeOdin, library: Library, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "notes.txt").write_bytes(b"\xff\xfe raw \x00 bytes")
    (folder / "data.csv").write_bytes(b"a,b\n1,2\n")
    results = kb(capsys, "upload", str(folder))
    assert {r["status"] for r in results} == {"synced"}
    assert sorted(odin.indexed().values()) == sorted([b"\xff\xfe raw \x00 bytes", b"a,b\n1,2\n"])


def test_a_folder_of_markdown_is_filled_too(
    odin: FakeOdin, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(kb(capsys, "publish", "--all", "--to", "folder")["done"]) == sorted(IDS[:2])
    kb(capsys, "publish", "--all", "--to", "nowhere", check=2)
    kb(capsys, "publish", check=2)
