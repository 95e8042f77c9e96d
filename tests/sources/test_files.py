"""Local files and folders as a source of media."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from kb.errors import MediaUnavailable, UsageError
from kb.sources import get_source, source_for
from kb.sources.base import Filters
from kb.sources.files import MEDIA_EXTENSIONS, FileSource
from kb.types import MediaItem

source = FileSource()


def put(path: Path, content: bytes | None = None, *, day: str = "2024-02-03") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(str(path).encode() if content is None else content)
    moment = {"2024-02-03": 1706918400, "2020-01-01": 1577836800}[day]
    os.utime(path, (moment, moment))
    return path


def listed(reference: Path | str) -> list[MediaItem]:
    return list(source.items(str(reference)))


def test_the_id_of_a_file_depends_on_its_content(tmp_path: Path) -> None:
    path = put(tmp_path / "My_talk.final cut.mp4", b"sound")
    (item,) = listed(path)
    digest = hashlib.sha256(b"sound").hexdigest()
    assert item.id == f"file:{digest[:12]}"
    assert (item.source, item.title, item.published) == ("file", "My_talk.final cut", "2024-02-03")
    assert item.url == path.as_uri() and item.duration_s is None
    other = put(tmp_path / "elsewhere" / "other.mp4", b"sound", day="2020-01-01")
    assert listed(other)[0].id == item.id
    fetched = source.fetch(item, tmp_path / "unused")
    assert (fetched.path, fetched.sha256, fetched.temporary) == (path, digest, False)


@pytest.mark.parametrize(
    ("name", "title", "published"),
    [
        ("2021-07-09_A_b talk_-a_b-c_d-e_.mp4", "A_b talk", "2021-07-09"),
        ("2021-07-09_A talk_0123456789ab.wav", "A talk", "2021-07-09"),
        ("0000-00-00_A talk_dQw4w9WgXcQ.wav", "A talk", "2024-02-03"),
        ("2021-07-09_Quarterly_development.mp4", "Quarterly_development", "2021-07-09"),
        ("2021-07-09_talk.mp4", "talk", "2021-07-09"),
        ("two\n  lines\t.mp4", "two lines", "2024-02-03"),
        ("e\u0301.mp4", "é", "2024-02-03"),
        ("  .mp4", "Untitled", "2024-02-03"),
        ("👩‍👩‍👧 \"quoted\" 'x'.mp4", "👩‍👩‍👧 \"quoted\" 'x'", "2024-02-03"),
        ("x" * 250 + ".mp4", "x" * 250, "2024-02-03"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="Windows refuses some of these names")
def test_titles(tmp_path: Path, name: str, title: str, published: str) -> None:
    (item,) = listed(put(tmp_path / name))
    assert (item.title, item.published) == (title, published)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/talk\xff.mp4"))
    try:
        put(path, b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (item,) = listed(path)
    assert item.title == "talk\N{REPLACEMENT CHARACTER}" and item.url.endswith("talk%FF.mp4")


def test_a_folder_in_stable_order(tmp_path: Path) -> None:
    for name in ("b.mp4", "A.MP3", "sub/c.wav", "sub/deep/d.webm", "a2.flac"):
        put(tmp_path / name)
    for name in (
        "notes.txt",
        "cover.jpg",
        ".hidden.mp4",
        ".cache/e.mp4",
        "~$lock.mp4",
        "load.mp4.part",
        "load.temp.mp4",
        "load.part.mp4",
        "code.ts",
        "mp4",
    ):
        put(tmp_path / name)
    (tmp_path / "folder.mp4").mkdir()
    found = [Path(str(item.extra["path"])).relative_to(tmp_path) for item in listed(tmp_path)]
    assert [path.as_posix() for path in found] == [
        "A.MP3",
        "a2.flac",
        "b.mp4",
        "sub/c.wav",
        "sub/deep/d.webm",
    ]
    assert [item.id for item in listed(tmp_path)] == [item.id for item in listed(tmp_path)]


def test_circular_links(tmp_path: Path) -> None:
    put(tmp_path / "sub" / "a.mp4")
    try:
        (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "sub" / "self").symlink_to(tmp_path / "sub" / "self")
        (tmp_path / "twice").symlink_to(tmp_path / "sub", target_is_directory=True)
        (tmp_path / "broken.mp4").symlink_to(tmp_path / "none.mp4")
    except OSError:
        pytest.skip("no symbolic links here")
    assert len(listed(tmp_path)) == 1


def test_wrong_references(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.mp4", Path("bad\0name.mp4"), tmp_path / ("y" * 300)):
        with pytest.raises(UsageError) as caught:
            source.items(str(missing))  # at once, not at the first item
        assert caught.value.exit_code == 2
        assert caught.value.code in ("file.missing", "file.not_found")
        assert caught.value.values["path"] == str(missing.absolute())
    put(tmp_path / "notes.txt")
    with pytest.raises(UsageError) as caught:
        source.items(str(tmp_path))
    assert (caught.value.code, caught.value.values["path"]) == ("file.no_media", str(tmp_path))
    assert all(extension in caught.value.hint for extension in MEDIA_EXTENSIONS)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UsageError) as caught:
        source.items(str(tmp_path / "empty.mp4"))
    assert caught.value.code == "file.empty"
    with pytest.raises(UsageError) as caught:
        source.items("~unknown-account/x.mp4")
    assert caught.value.code == "file.unknown_home"
    for address in ("file://[::1", "file://]/x.mp4", "file://℀/a.mp4"):
        with pytest.raises(UsageError) as caught:
            source.items(address)
        assert caught.value.code == "file.address"


def test_a_named_file_needs_no_extension(tmp_path: Path) -> None:
    assert len(listed(put(tmp_path / "recording"))) == 1


def test_accepted_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "plain")
    monkeypatch.chdir(tmp_path)
    accepted = (
        "plain",
        "none.mp4",
        "./x",
        "C:\\x",
        "~/x",
        (tmp_path / "plain").as_uri(),
        "a\0.mp3",
    )
    assert all(source.accepts(reference) for reference in accepted)
    for reference in ("https://example.org/a.mp4", "@handle", "dQw4w9WgXcQ", "rtmp://x/y.mp4"):
        assert not source.accepts(reference)
    assert isinstance(source_for("plain"), FileSource)
    assert isinstance(get_source("file"), FileSource)
    with pytest.raises(UsageError):
        source_for("rtmp://x/y.mp4")
    with pytest.raises(UsageError):
        get_source("none")
    assert listed((tmp_path / "plain").as_uri())[0].title == "plain"


def test_filters(tmp_path: Path) -> None:
    put(tmp_path / "old.mp4", day="2020-01-01")
    put(tmp_path / "new.mp4")
    new = list(source.items(str(tmp_path), Filters(after="2024-02-03")))
    old = list(source.items(str(tmp_path), Filters(before="2020-01-01")))
    assert [item.title for item in (*new, *old)] == ["new", "old"]


def test_one_unreadable_file_does_not_end_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        put(tmp_path / name)
    real_open = Path.open

    def refusing(self: Path, *args: object, **options: object) -> object:
        if self.name == "b.mp4":
            raise PermissionError(13, "Permission denied")
        return real_open(self, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refusing)
    items = listed(tmp_path)
    assert [item.title for item in items] == ["a", "b", "c"]
    assert len({item.id for item in items}) == 3
    assert [item.availability.is_unreadable for item in items] == [False, True, False]
    with pytest.raises(MediaUnavailable) as caught:
        source.fetch(items[1], tmp_path)
    assert caught.value.code == "file.unreadable"
    assert caught.value.values == {"path": str(tmp_path / "b.mp4"), "reason": "Permission denied"}


def test_a_file_changed_or_removed_after_listing(tmp_path: Path) -> None:
    path = put(tmp_path / "a.mp4", b"one")
    (item,) = listed(path)
    os.utime(path, (1, 1))  # another date, the same content
    steps: list[tuple[int, int]] = []
    fetched = source.fetch(item, tmp_path, lambda done, total: steps.append((done, total)))
    assert fetched.sha256.startswith(item.short_id) and steps[-1] == (3, 3)
    path.write_bytes(b"two!")
    with pytest.raises(MediaUnavailable) as caught:
        source.fetch(item, tmp_path)
    assert caught.value.code == "file.changed"
    path.unlink()
    with pytest.raises(MediaUnavailable) as caught:
        source.fetch(item, tmp_path)
    assert (caught.value.code, caught.value.values["path"]) == ("file.not_there", str(path))
