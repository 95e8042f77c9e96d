"""The local index with several processes, after kills, missing, damaged or of an old version."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lancedb
import pytest

from kb.errors import KnowledgeBaseError
from kb.settings import PROJECT_ROOT, Settings
from kb.sinks.local import tables
from kb.sinks.local.sink import LocalSink
from kb.types import MediaItem, Passage
from tests.support.local_index import found, put, source
from tests.support.sink_contract import make_item, make_passages
from tests.support.waiting import until

CHILD = """
import sys, threading
from tests.support.sink_contract import make_item, make_passages
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink
sink = LocalSink(Settings(home=sys.argv[1]))
who = sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
turn = -1
while (turn := turn + 1) < 12 or not ended.is_set():
    for name in ("test:a", "test:b"):
        item = make_item(name)
        texts = [f"{who} {turn} part{n}" for n in range(1 + (turn + len(who)) % 5)]
        sink.publish(item, make_passages(item, texts))
print("done", flush=True)
"""


def child(home: Path, who: str) -> subprocess.Popen[str]:
    """Start a process that publishes two items over and over, after a line on stdin.

    It ends after a second line, or when it is killed.
    """
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home), who],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )


REFUSALS = (
    "lance error: Too many concurrent writers. Attempted 2 times, but failed on retry_timeout of "
    "30.000 seconds.",
    "lance error: Retryable commit conflict for version 3: This transaction was preempted",
)


@pytest.mark.parametrize("reason", REFUSALS)
@pytest.mark.parametrize("times", [1, tables.WRITE_ATTEMPTS - 1, tables.WRITE_ATTEMPTS])
def test_a_write_that_others_were_faster_than_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, times: int
) -> None:
    monkeypatch.setattr(tables.time, "sleep", lambda _seconds: None)
    held, tries = tables.PassageTables(tmp_path), []

    def write(table: Any) -> None:
        tries.append(table.count_rows())
        if len(tries) <= times:
            raise RuntimeError(reason)

    if times < tables.WRITE_ATTEMPTS:
        held.write(write, tables.schema)
    else:  # it is the others that are at work, and no damage
        with pytest.raises(KnowledgeBaseError) as caught:
            held.write(write, tables.schema)
        assert caught.value.code == "index.busy" and caught.value.retryable
        assert "reindex" not in caught.value.hint
    assert len(tries) == min(times + 1, tables.WRITE_ATTEMPTS)


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert process.stdout.readline().strip() == "ready"
    send_line(process)


def send_line(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def assert_whole(sink: LocalSink, item_id: str) -> None:
    """Check that the item holds exactly one publish: all of its passages, and their hash."""
    texts = [passage.text for passage in sink.passages(item_id)]
    assert texts, f"{item_id} lost its passages"
    who, turn, _ = texts[0].split()
    assert texts == [f"{who} {turn} part{n}" for n in range(1 + (int(turn) + len(who)) % 5)]
    item = make_item(item_id)
    before = sink.status(item_id)
    assert before == sink.publish(item, make_passages(item, texts))
    hits = sink.search(f"{who} {turn}", limit=50)
    assert sorted(hit.text for hit in hits if hit.item_id == item_id and turn in hit.text) == texts


@pytest.mark.slow
def test_two_writers_and_a_reader(tmp_path: Path, local: LocalSink) -> None:
    writers = [child(tmp_path, who) for who in ("anna", "berta2")]
    for writer in writers:
        start(writer)
    looks = 0
    while any(writer.poll() is None for writer in writers):
        if local.count():
            whole = {tuple(hit.text.split()[:2]) for hit in local.search("part0", limit=9)}
            assert len(whole) <= 2  # one publish of each item
            looks += 1
        if looks == 5:  # until then, both write
            assert [writer.poll() for writer in writers] == [None, None]
            for writer in writers:
                send_line(writer)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert looks >= 5
    assert [held.remote_id for held in local.list()] == ["test:a", "test:b"]
    for item_id in ("test:a", "test:b"):
        assert_whole(local, item_id)


@pytest.mark.slow
def test_killed_in_the_middle_of_publishing(tmp_path: Path, local: LocalSink) -> None:
    rng = random.Random(1)
    processes = [child(tmp_path, f"round{number}") for number in range(4)]
    for process in processes:
        start(process)
        until(lambda: local.status("test:b").status != "missing")
        time.sleep(rng.uniform(0.05, 0.3))
        process.kill()  # SIGKILL, or TerminateProcess on Windows
        process.wait()
        for item_id in ("test:a", "test:b"):
            assert_whole(local, item_id)
        assert local.count() == sum(len(local.passages(name)) for name in ("test:a", "test:b"))


def test_a_missing_index_is_made_by_the_next_publish(tmp_path: Path, local: LocalSink) -> None:
    """As after the death of the process that made the table."""
    put(local, "test:a", "first words")
    lancedb.connect(tmp_path / "index.lance").open_table("passages").drop_index("tokens_idx")
    reopened = LocalSink(Settings(home=tmp_path))
    put(reopened, "test:b", "second words")
    assert sorted(found(reopened.search("words"))) == ["first words", "second words"]
    table = lancedb.connect(tmp_path / "index.lance").open_table("passages")
    assert table.index_stats("tokens_idx") is not None


def test_a_rebuild_keeps_what_others_publish_meanwhile(
    tmp_path: Path, local: LocalSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(local, "test:kept", "kept words")
    put(local, "test:changed", "before the rebuild")
    put(local, "test:gone", "gone words")
    other = LocalSink(Settings(home=tmp_path))
    swap = tables.PassageTables.make_current

    def swap_while_others_write(self: tables.PassageTables, name: str) -> str:
        put(other, "test:late", "published late")
        replaced = swap(self, name)
        put(other, "test:later", "published after")
        return replaced

    monkeypatch.setattr(tables.PassageTables, "make_current", swap_while_others_write)

    def library() -> list[tuple[MediaItem, list[Passage]]]:
        listed = [source("test:kept", "kept words"), source("test:gone", "gone words")]
        listed.append(source("test:changed", "before the rebuild"))
        put(other, "test:changed", "changed meanwhile")
        other.delete("test:gone")
        return listed

    def lazily() -> Iterator[
        tuple[MediaItem, list[Passage]]
    ]:  # the library is read while others write
        yield from library()

    assert local.rebuild(lazily()) >= 2
    held = {held.remote_id: local.passages(held.remote_id)[0].text for held in other.list()}
    assert held == {
        "test:kept": "kept words",
        "test:changed": "changed meanwhile",
        "test:late": "published late",
        "test:later": "published after",
    }
    assert found(other.search("meanwhile")) == ["changed meanwhile"]


def test_rebuild_replaces_everything_and_leaves_one_table(tmp_path: Path, local: LocalSink) -> None:
    put(local, "test:old", "old words")
    reader = LocalSink(Settings(home=tmp_path))
    assert found(reader.search("old")) == ["old words"]
    for text in ("new words", "newer words"):
        assert local.rebuild([source("test:new", text), source("test:new", "twice")]) == 1
        assert found(reader.search("words")) == [text]
    assert reader.status("test:old").status == "missing"
    assert len(list((tmp_path / "index.lance").glob("*.lance"))) == 1
    local.clear()
    assert local.count() == 0
    with pytest.raises(KnowledgeBaseError) as caught:
        reader.search("words")
    assert caught.value.code == "index.empty"


def test_a_rebuild_that_fails_leaves_the_old_index(tmp_path: Path, local: LocalSink) -> None:
    put(local, "test:old", "old words")

    def broken() -> Iterator[tuple[MediaItem, list[Passage]]]:
        yield source("test:new", "new words")
        raise OSError("the share went away")

    with pytest.raises(OSError, match="share"):
        local.rebuild(broken())
    assert len(list((tmp_path / "index.lance").glob("*.lance"))) == 1
    assert found(LocalSink(Settings(home=tmp_path)).search("words")) == ["old words"]


def test_an_index_that_does_not_exist_yet(tmp_path: Path, local: LocalSink) -> None:
    with pytest.raises(KnowledgeBaseError) as caught:
        local.search("words")
    assert caught.value.code == "index.empty"
    assert caught.value.values == {"folder": str(tmp_path / "index.lance")}
    assert "kb reindex" in caught.value.hint
    assert local.count() == 0
    assert list(tmp_path.iterdir()) == []  # a search creates nothing
    put(local, "test:one", "words")
    shutil.rmtree(tmp_path / "index.lance")
    assert local.count() == 0
    put(local, "test:one", "words")
    assert found(local.search("words")) == ["words"]


def _garbage_in(pattern: str, folder: Path) -> None:
    for path in sorted(folder.rglob(pattern)):
        if path.is_file():
            path.write_bytes(b"garbage")


@pytest.mark.parametrize(
    "pattern", ["_versions/*", "data/*", "_indices/**/*", "current", "table", "folder", "gone"]
)
def test_a_damaged_index_says_so_and_can_be_rebuilt(
    tmp_path: Path, local: LocalSink, pattern: str
) -> None:
    local.rebuild([source("test:one", "some words", "more words")])
    put(local, "test:two", "some words")
    local.optimize()
    folder = tmp_path / "index.lance"
    (table,) = folder.glob("*.lance")
    if pattern in ("table", "gone"):
        shutil.rmtree(table)
    if pattern == "table":
        table.write_text("garbage")
    elif pattern == "folder":
        shutil.rmtree(folder)
        folder.write_text("garbage")
    elif pattern != "gone":
        _garbage_in(pattern, folder)
    opened = LocalSink(Settings(home=tmp_path))
    with pytest.raises(KnowledgeBaseError) as caught:
        opened.search("words")
    assert caught.value.code == "index.unreadable"
    assert caught.value.values["folder"] == str(folder)
    assert "kb reindex" in caught.value.hint
    assert opened.rebuild([source("test:one", "some words")]) >= 1
    assert found(opened.search("words", limit=1)) == ["some words"]
    put(opened, "test:three", "three words")
    assert found(opened.search("three", limit=1)) == ["three words"]


@pytest.mark.slow
def test_any_damage_is_reported_as_damage(tmp_path: Path, local: LocalSink) -> None:
    local.rebuild([source(f"test:{n}", "some words", "more words") for n in range(5)])
    pristine = tmp_path / "pristine"
    (tmp_path / "index.lance").rename(pristine)
    files = sorted(path.relative_to(pristine) for path in pristine.rglob("*") if path.is_file())
    rng = random.Random(3)
    home = tmp_path / "copy"
    for name in files * 2:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(pristine, home / "index.lance")
        content = bytearray((pristine / name).read_bytes())
        at = rng.randrange(max(1, len(content)))
        damaged = content[:at] if rng.random() < 0.5 else content[:at] + rng.randbytes(40)
        (home / "index.lance" / name).write_bytes(damaged)
        try:
            LocalSink(Settings(home=home)).search('"some words"')
        except KnowledgeBaseError as error:
            assert "kb reindex" in error.hint


@pytest.mark.slow
def test_old_versions_are_deleted(
    tmp_path: Path, local: LocalSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "KEEP_VERSIONS", tables.timedelta(milliseconds=1))
    monkeypatch.setattr(tables, "MAX_OLD_VERSIONS", 8)
    files = []
    for turn in range(60):
        put(local, f"test:{turn % 5}", *[f"turn {turn} line {n}" for n in range(3)])
        files.append(sum(1 for path in tmp_path.rglob("*") if path.is_file()))
    # Without deletion the second half would hold twice as many; the number between two
    # clean-ups depends on the time.
    assert max(files[30:]) <= 1.5 * max(files[:30])
    assert local.count() == 15
