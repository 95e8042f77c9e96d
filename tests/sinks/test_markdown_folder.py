"""The sink for a folder of Markdown files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from kb.errors import KnowledgeBaseError
from kb.settings import Settings
from kb.sinks import open_sink
from kb.sinks.base import Sink
from kb.sinks.markdown_folder import FolderSink
from kb.sinks.odin.documents import parse_passages
from kb.types import DocumentFacts, MediaItem
from tests.support.raising import raises
from tests.support.sink_contract import SinkContract, make_item, make_passages


@pytest.fixture
def folder(tmp_path: Path) -> FolderSink:
    return FolderSink(Settings(home=tmp_path / "home", folder_sink=str(tmp_path / "vault")))


class TestContract(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> Sink:
        return open_sink("folder", Settings(home=tmp_path / "Bibliothek ü #%20 '"))

    def texts(self, sink: Sink, item_id: str) -> list[str]:
        assert isinstance(sink, FolderSink)
        held = sink.status(item_id)
        if held.status == "missing":
            return []
        content = (sink.folder / held.remote_id).read_bytes()
        return [read.text for read in parse_passages(content)]


def put(sink: FolderSink, item: MediaItem, *texts: str) -> Path:
    published = sink.publish(item, make_passages(item, texts), DocumentFacts("de"), {"team": "x"})
    return sink.folder / published.remote_id


def test_the_front_matter_is_valid_yaml(folder: FolderSink) -> None:
    awkward = 'He said: "no" \\ # it\'s\n- two\r\n🎬 \x85\u2028 人工 --- ' + "x" * 5_000
    item = MediaItem("youtube:vid_-EoT001", "youtube", "https://x", awkward, "2026-01-02")
    path = put(folder, item, "words")
    head = path.read_bytes().decode().split("---\n")[1]
    about = YAML(typ="safe").load(head)
    assert about["title"] == awkward and about["team"] == "x" and about["language"] == "de"
    assert path.name.startswith("2026-01-02_He said") and path.name.endswith("_vid_-EoT001.md")


def test_a_changed_title_renames_nothing_and_the_same_content_writes_nothing(
    folder: FolderSink,
) -> None:
    first = put(folder, make_item("test:one", "First"), "words")
    assert put(folder, make_item("test:one", "Second"), "words") == first
    assert "# Second" in first.read_text(encoding="utf-8")
    before = first.stat().st_mtime_ns
    put(folder, make_item("test:one", "Second"), "words")
    assert first.stat().st_mtime_ns == before


def test_notes_of_the_user_are_left_alone(folder: FolderSink) -> None:
    folder.folder.mkdir()
    names = ("My notes.md", "2026-01-31_Title of test-one_one.md", "bad_one.md")
    contents = (b"# mine", b"---\nid: mine\n---\nwords", b"\xff\xfe---\n")
    for name, content in zip(names, contents, strict=True):
        (folder.folder / name).write_bytes(content)
    path = put(folder, make_item("test:one"), "words")
    assert len(list(folder.list())) == 1
    folder.delete("test:one")
    assert not path.exists()
    for name, content in zip(names, contents, strict=True):
        assert (folder.folder / name).read_bytes() == content


def test_ids_with_the_same_end_have_their_own_files(folder: FolderSink) -> None:
    paths = {put(folder, make_item(name, "Same"), name) for name in ("web:a:x", "web:b:x", "b_x")}
    assert len(paths) == 3 == len(list(folder.list()))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    sink = FolderSink(Settings(folder_sink=str(tmp_path / "file")))
    with raises(KnowledgeBaseError, "folder.unusable", cause="export.folder_is_file") as caught:
        put(sink, make_item("test:one"), "words")
    assert str(tmp_path / "file") in caught.value.message
    assert "KB_FOLDER_SINK" in caught.value.hint and "KB_HOME" not in caught.value.hint
    if sys.platform != "win32":
        assert list(sink.list()) == []


# What a person changed


def test_a_changed_file_stays_until_it_is_meant(folder: FolderSink) -> None:
    item = make_item("test:one")
    path = put(folder, item, "words")
    for change in ("\nmy note\n", " "):
        put(folder, item, "words")
        changed = path.read_text(encoding="utf-8") + change
        path.write_text(changed, encoding="utf-8", newline="")
        put(folder, item, "words")  # the same text as published: nothing is to be written
        with raises(KnowledgeBaseError, "folder.changed", path=path, item_id=item.id):
            put(folder, item, "other words")
        with raises(KnowledgeBaseError, "folder.changed"):
            folder.delete(item.id)
        assert path.read_text(encoding="utf-8") == changed
        folder.overwrite = True
        assert put(folder, item, "other words") == path
        assert "other words" in path.read_text(encoding="utf-8")
        put(folder, item, "words")
        folder.overwrite = False


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("# Title of test:one", "# My title", True),
        ("words", "word", True),
        ('"title": "', '"title": "My ', True),
        ('"team": "x"\n', '"team": "y"\n"more": "z"\n', False),  # fields of the user's own
        ("\n", "\r\n", False),  # an editor of Windows
    ],
)
def test_what_counts_as_a_change(folder: FolderSink, old: str, new: str, changed: bool) -> None:
    item = make_item("test:one")
    path = put(folder, item, "words")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8", newline="")
    if changed:
        with raises(KnowledgeBaseError, "folder.changed"):
            folder.publish(item, make_passages(item, ["other"]), DocumentFacts("de"))
    else:
        folder.publish(item, make_passages(item, ["other"]), DocumentFacts("de"))
        assert "other" in path.read_text(encoding="utf-8")


def test_a_file_of_an_earlier_version_is_written_again(folder: FolderSink) -> None:
    path = put(folder, make_item("test:one"), "words")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    without = [line for line in lines if not line.startswith('"written_sha256"')]
    assert len(without) == len(lines) - 1
    path.write_text("".join(without), encoding="utf-8")
    assert put(folder, make_item("test:one"), "other words") == path
    assert "other words" in path.read_text(encoding="utf-8")
