"""A share that goes away between the check of the folder and the write: nothing lands elsewhere.

The folder is moved away and an empty one made in its place, as after an unmount. That happens right
after one of the checks, or within the lock of the row, which is the last moment before the move.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb import storage
from kb.database import DATABASE_NAME, Database, items
from kb.database.snapshots import Snapshot, check_file, make_snapshot, snapshots
from kb.errors import KBError, KnowledgeBaseError, LibraryError
from kb.library import Library
from kb.library.audit import AuditLog
from kb.library.fencing import MARK_FILE, raise_mark
from kb.library.identity import make_identity
from kb.library.left_out import LeftOut, Mark, Why
from kb.library.trash import REMOVING, RemovedItem, Trash
from kb.library.user_files import UserFiles
from kb.library.versions import Versions
from kb.pipeline import stages
from kb.pipeline.publish_record import facts_of
from kb.service.uploads import discard
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink
from kb.sinks.markdown_folder import FolderSink
from kb.sources.base import FetchResult, Filters, Progress
from kb.storage import places
from kb.transcript.passages import passages
from kb.types import MediaItem
from tests.jobs.test_published_content import transcript
from tests.support.items import item
from tests.support.raising import raises

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="paths through descriptors")

ITEM = item(1)
WORDS = transcript("the lantern burns")


class Share:
    """A library with one item, whose folder can be taken away and brought back."""

    def __init__(self, folder: Path) -> None:
        self.home, self.away = folder / "share", folder / "away"
        self.medium = folder / "in.mp3"
        self.medium.write_bytes(b"sound")
        self.library = Library(self.home)
        self.library.prepare()
        self.library.belong_to(make_identity(self.home))
        self.library.add_media(ITEM, self.medium)
        self.entry = stages.write(self.library, ITEM, WORDS, 0.0)[0]

    @property
    def sink(self) -> LocalSink:
        return LocalSink(Settings(home=self.home))

    def publish(self) -> None:
        found = passages(WORDS, ITEM, path="")
        self.sink.publish(ITEM, found, facts=facts_of(WORDS))

    def unmount(self) -> None:
        if not self.away.exists():
            self.home.rename(self.away)
            self.home.mkdir()

    def mount(self) -> None:
        assert list(self.home.iterdir()) == []
        self.home.rmdir()
        self.away.rename(self.home)

    @contextmanager
    def unmounted_after(self, check: int) -> Iterator[None]:
        """Unmount right after this check of the folder by the block."""
        right, seen = places._checks[self.home], 0

        def checked(real: Path) -> None:
            nonlocal seen
            right(real)
            seen += 1
            if seen == check:
                self.unmount()

        storage.claim(self.home, checked)
        try:
            yield
        finally:
            storage.claim(self.home, right)


class Slow:
    """A source whose download is in two parts, with an act between them."""

    name = "slow"

    def __init__(self, between: Callable[[], None]) -> None:
        self.between = between

    def accepts(self, reference: str) -> bool:
        return False

    def items(self, reference: str, filters: Filters | None = None) -> Iterator[MediaItem]:
        yield from ()

    def fetch(self, item: MediaItem, folder: Path, progress: Progress) -> FetchResult:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "a.part"
        path.write_bytes(b"first ")
        self.between()
        (folder / "a.mp3").write_bytes(path.read_bytes() + b"second")
        path.unlink()
        return FetchResult(item, folder / "a.mp3", "", temporary=True)


def removed(share: Share) -> RemovedItem:
    trash = Trash(share.library)
    folder = trash.new_folder(ITEM.id, 1.0)
    return RemovedItem(ITEM.id, "", 1.0, REMOVING, share.entry.stem, {}, (), (), folder)


def to_trash(share: Share) -> None:
    trash, gone = Trash(share.library), removed(share)
    trash.write(gone)
    trash.mark(gone)
    trash.move_in(gone)
    trash.move_out(gone)
    trash.delete(gone)


def beside(share: Share) -> None:
    path = share.library.path(share.entry, ".srt")
    UserFiles(share.home).write(storage.Target(path, "a"), b"1\n")


def mark_left_out(share: Share) -> None:
    LeftOut(share.library).mark({"x": Mark.of(Why.CANCELLED, 1.0, ITEM)})


WRITERS: dict[str, Callable[[Share], object]] = {
    "record": lambda share: share.library.amend(ITEM.id, {"state": "done"}),
    "transcript": lambda share: stages.write(share.library, ITEM, WORDS, 0.0, run=2),
    "medium": lambda share: share.library.add_media(item(2), share.medium),
    "medium copied": lambda share: share.library.add_media(item(2), share.medium, link=False),
    "picture": lambda share: share.library.put_file(
        ITEM.id, share.medium, share.library.path(share.entry, ".jpg")
    ),
    "text": lambda share: share.library.write_text(share.entry, ".txt", "other"),
    "facts": lambda share: share.library.write_facts({"a": 1}),
    "folders": lambda share: share.library.prepare(),
    "mark": lambda share: raise_mark(share.home, 99),
    "left out": mark_left_out,
    "taken in": lambda share: LeftOut(share.library).record_taken_in({"x"}),
    "version": lambda share: Versions(share.library).keep(share.entry),
    "trash": to_trash,
    "audit": lambda share: AuditLog(share.home, "ann").record("publish"),
    "index": Share.publish,
    "rebuilt index": lambda share: share.sink.rebuild([(ITEM, passages(WORDS, ITEM, path=""))]),
    "subtitles": beside,
    "lock": lambda share: share.library.metadata_lock(ITEM.id).__enter__(),
    "json": lambda share: storage.write_json(share.home / "digests" / "a.json", {}),
}


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Share]:
    made = Share(tmp_path)
    yield made
    storage.claim(made.home, None)


@pytest.mark.parametrize("check", [1, 2, 3])
@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_lands_in_the_empty_mount_point(share: Share, writer: str, check: int) -> None:
    write = WRITERS[writer]
    with share.unmounted_after(check):
        try:
            write(share)
        except KBError as error:
            assert error.code == "library.missing", error
    assert list(share.home.iterdir()) == [] or not share.away.exists()
    if check == 1:
        assert share.away.exists()
    if share.away.exists():
        if writer not in ("mark", "audit", "lock"):  # those never fail, or hold what they have
            with raises(LibraryError, "library.missing"):
                write(share)
        share.mount()
    left = list(share.home.rglob("*.tmp"))
    assert left == [] or writer == "folders"  # it is swept
    if writer not in ("trash", "lock"):
        write(share)  # it goes on when the share is back
    assert share.library.read_metadata(share.entry) if writer != "trash" else True


@pytest.mark.parametrize("writer", ["record", "transcript", "medium", "picture", "text"])
def test_a_share_that_goes_away_in_the_last_moment(share: Share, writer: str) -> None:
    """Within the row's lock: the write ends where it began."""

    @contextmanager
    def row_lock(item_id: str) -> Iterator[None]:
        share.unmount()
        yield

    share.library.row_lock = row_lock
    before = sum(1 for _ in share.home.rglob("*"))
    try:
        WRITERS[writer](share)
    except LibraryError as error:
        assert error.code == "library.missing"
    assert list(share.home.iterdir()) == []
    assert sum(1 for _ in share.away.rglob("*")) >= before


@pytest.mark.parametrize("again", [False, True])
def test_an_index_under_way_stays_in_its_library(share: Share, again: bool) -> None:
    if again:
        share.publish()
    other = transcript("another text")
    with share.unmounted_after(1):
        share.sink.publish(ITEM, passages(other, ITEM, path=""))
    assert list(share.home.iterdir()) == []
    share.mount()
    assert [each.text for each in share.sink.passages(ITEM.id)] == ["another text"]
    share.publish()
    assert [each.text for each in share.sink.passages(ITEM.id)] == ["the lantern burns"]


def test_a_download_stays_in_its_library(share: Share) -> None:
    with raises(LibraryError, "library.missing"):
        stages.ensure_media(share.library, item(3), lambda *_: None, Slow(share.unmount))
    assert list(share.home.iterdir()) == []
    share.mount()
    assert (share.home / "downloads" / "a.mp3").read_bytes() == b"first second"


def test_a_draft_of_an_export_stays_in_its_library(share: Share) -> None:
    path = share.library.path(share.entry, ".srt")
    with UserFiles(share.home).draft(storage.Target(path, "a")) as draft:
        share.unmount()
        draft.path.write_bytes(b"1\n")
    assert draft.target == path
    assert list(share.home.iterdir()) == []
    share.mount()
    assert path.read_bytes() == b"1\n"
    UserFiles(share.home).write(storage.Target(path, "a"), b"2\n")  # it is known as ours
    assert path.read_bytes() == b"2\n"


@pytest.mark.parametrize("check", [1, 2, 3, 4])
def test_a_copy_of_the_database_is_of_its_library_and_in_it(share: Share, check: int) -> None:
    Database.open(Settings(home=share.home)).close()
    made: list[Snapshot] = []
    with share.unmounted_after(check):
        try:
            made.append(make_snapshot(share.home / DATABASE_NAME, "daily", 3))
        except LibraryError as error:
            assert error.code == "library.missing"
    if share.away.exists():
        assert list(share.home.iterdir()) == []
        share.mount()
    assert [copy.path for copy in snapshots(share.home)] == [copy.path for copy in made]
    for copy in snapshots(share.home):
        assert check_file(copy.path).problems == ()
    assert len(list((share.home / "backups").glob("*"))) == len(snapshots(share.home))


def test_a_connection_makes_no_database_in_the_empty_mount_point(share: Share) -> None:
    database = Database.open(Settings(home=share.home))
    database.close()  # the next one is a new connection
    share.unmount()
    with raises(LibraryError, "database.not_writable"), database.begin() as connection:
        connection.execute(sa.select(items))
    assert list(share.home.iterdir()) == []
    share.mount()
    with database.begin() as connection:
        assert connection.execute(sa.select(items)).all() == []
    database.close()


def test_nothing_counts_as_deleted_while_the_share_is_away(share: Share) -> None:
    """A deletion that finds nothing says so, and is not done."""
    notes = FolderSink(Settings(home=share.home))
    notes.publish(ITEM, passages(WORDS, ITEM, path=""))
    Versions(share.library).keep(share.entry)
    trash, gone = Trash(share.library), removed(share)
    trash.write(gone)
    kept = {path.relative_to(share.home) for path in share.home.rglob("*")}
    share.unmount()
    with raises(KnowledgeBaseError, "folder.unusable"):
        notes.delete(ITEM.id)
    for delete in (
        lambda: Versions(share.library).remove(ITEM.id),
        lambda: trash.delete(gone),
        lambda: storage.remove_file(share.entry.media_path or share.home),
        lambda: storage.remove_tree(share.home / "uploads" / "x"),
    ):
        with raises(LibraryError, "library.missing"):
            delete()
    discard(share.home / "uploads" / "x")
    share.mount()
    assert {path.relative_to(share.home) for path in share.home.rglob("*")} == kept


def test_a_deletion_stays_in_its_library(share: Share) -> None:
    """Another library at its path keeps the files of the same names."""
    path = share.library.path(share.entry, ".txt")
    with storage.held(path) as real:
        share.unmount()
        (share.home / "media").mkdir()
        (share.home / "media" / path.name).write_text("of another library")
        real.unlink()
    assert path.read_text() == "of another library"
    assert not (share.away / "media" / path.name).exists()


def test_a_folder_of_another_library_is_not_written_to(share: Share) -> None:
    share.unmount()
    make_identity(share.home)
    before = sorted(share.home.rglob("*"))
    for name, write in WRITERS.items():
        if name in ("version", "trash", "picture", "text", "subtitles"):
            continue  # they need the item
        if name in ("mark", "audit"):
            write(share)
        else:
            with pytest.raises(LibraryError) as found:
                write(share)
            assert found.value.code == "library.other" or name == "record"
    assert sorted(share.home.rglob("*")) == before
    assert not (share.home / MARK_FILE).exists()


def test_messages_name_the_folder_and_not_the_descriptor(share: Share) -> None:
    folder = share.home / "media" / "a.x"
    folder.mkdir()
    with pytest.raises(LibraryError) as found:
        storage.write_bytes(folder, b"1")
    assert str(folder) in found.value.message and "/proc/" not in found.value.message
    (share.home / "index.lance").mkdir()
    (share.home / "index.lance" / "passages.lance").write_text("x")
    with pytest.raises(KBError) as refused:
        share.publish()
    assert "/proc/" not in refused.value.message


def test_no_descriptor_stays_open(share: Share) -> None:
    count = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        share.library.write_facts({"a": 1})
        raise_mark(share.home, 99)
    assert len(list(Path("/proc/self/fd").iterdir())) <= count
