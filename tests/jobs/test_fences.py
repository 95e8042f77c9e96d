"""Files are fenced like rows: only the attempt that owns an item writes its files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import kb
from kb.database import Database
from kb.errors import Cancelled, KBError, LibraryError, Superseded, UsageError
from kb.jobs.queue.fences import Fences
from kb.jobs.queue.item_states import DONE, FAILED, QUEUED, ItemRow
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.library_tie import LibraryTie
from kb.jobs.queue.outbox import Outbox
from kb.library import Library
from kb.library.fencing import Fence, read_mark
from kb.pipeline import captions, publish_record, stages
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink
from kb.types import CaptionFile, Published
from tests.jobs.test_published_content import transcript
from tests.support.items import item
from tests.support.queue_store import Queue
from tests.support.raising import raises

ITEM = item(1)
FIRST, SECOND = "the lantern burns before midnight", "the ferry leaves at noon"


@dataclass
class Bench:
    """A library with one item that has a medium, and its database."""

    settings: Settings
    library: Library
    database: Database
    store: ItemStore
    fences: Fences

    def claim(self, worker: str) -> ItemRow:
        row = self.store.read(ITEM.id)
        assert row is not None
        claimed = self.store.claim(ITEM.id, row.serial, worker)
        assert claimed is not None
        return claimed

    def take_over(self, worker: str) -> ItemRow:
        """Let `worker` go on with what another one was running."""
        row = self.store.read(ITEM.id)
        assert row is not None
        self.store.release(row.executor)
        return self.claim(worker)

    def finish(self, row: ItemRow, words: str) -> None:
        own = self.library.fenced(self.fences.attempt(row))
        stages.write(own, ITEM, transcript(words), 0.0, run=row.run)
        assert self.store.finish(row.id, row.serial, row.executor, DONE)

    def files(self) -> dict[str, bytes]:
        folder = self.library.media_folder
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    settings = Settings(home=tmp_path / "home")
    database = Database.open(settings)
    library, store = Library(settings.home), ItemStore(database)
    LibraryTie(database, library).require()
    store.submit([ITEM], {}, Queue())
    medium = tmp_path / "in.mp3"
    medium.write_bytes(b"sound")
    library.add_media(ITEM, medium)
    yield Bench(settings, library, database, store, Fences(database))
    database.close()


# The writers of an item's files


def add_media(bench: Bench, library: Library) -> None:
    path = bench.settings.home.parent / "late.mp3"
    path.write_bytes(b"other sound")
    library.add_media(ITEM, path)


def add_picture(bench: Bench, library: Library) -> None:
    path = bench.settings.home.parent / "late.jpg"
    path.write_bytes(b"picture")
    library.put_file(ITEM.id, path, library.path(library.stem(ITEM), ".jpg"))


def keep_captions(bench: Bench, library: Library) -> None:
    path = bench.settings.home.parent / "late.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\nword\n")
    captions.keep(library, ITEM, (CaptionFile(path, "en", True),))


def write(bench: Bench, library: Library) -> None:
    stages.write(library, ITEM, transcript("words of the late one"), 0.0)


def write_text(bench: Bench, library: Library) -> None:
    entry = library.find(ITEM.id)
    assert entry is not None
    library.write_text(entry, ".txt", "words of the late one")


def publish(bench: Bench, library: Library) -> None:
    entry = library.find(ITEM.id)
    assert entry is not None
    stages.publish(library, bench.settings, entry, transcript("words of the late one"), "local")


def record_published(bench: Bench, library: Library) -> None:
    publish_record.record_published(library, ITEM, Published("odin", "1", "00", "synced"))


def record_failure(bench: Bench, library: Library) -> None:
    publish_record.record_failure(library, ITEM, "odin", KBError("failed"))


def amend(bench: Bench, library: Library) -> None:
    library.amend(ITEM.id, {"state": "held"})


def describe(bench: Bench, library: Library) -> None:
    library.write_metadata(replace(ITEM, title="Late"))


WRITERS = [
    add_media, add_picture, keep_captions, write, write_text, publish, record_published,
    record_failure, amend, describe,
]  # fmt: skip


# Who owns the item when the late one wakes up


def taken_over(bench: Bench) -> None:
    bench.take_over("two")


def finished_elsewhere(bench: Bench) -> None:
    bench.finish(bench.take_over("two"), SECOND)


def edited(bench: Bench) -> None:
    finished_elsewhere(bench)
    own = bench.library.fenced(bench.fences.by_hand(ITEM.id))
    stages.write(own, ITEM, transcript("corrected by hand"), 0.0)


def taken_back(bench: Bench) -> None:
    """The same worker has a newer attempt: name and serial are those of the late one."""
    bench.take_over("two")
    bench.take_over("one")


def queued_again(bench: Bench) -> None:
    finished_elsewhere(bench)
    bench.store.submit([ITEM], {}, Queue(), again=True)


def removed(bench: Bench) -> None:
    bench.store.stop([ITEM.id])
    with bench.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM kb_items")


OWNERS = [taken_over, finished_elsewhere, edited, taken_back, queued_again, removed]


@pytest.mark.parametrize("owner", OWNERS)
def test_a_late_attempt_writes_nothing(bench: Bench, owner: Callable[[Bench], None]) -> None:
    late = bench.library.fenced(bench.fences.attempt(bench.claim("one")))
    owner(bench)
    before = bench.files()
    for writer in WRITERS:
        try:
            writer(bench, late)
        except Superseded as error:
            assert error.code == "item.superseded", writer
        assert bench.files() == before, writer
    assert LocalSink(bench.settings).status(ITEM.id).status == "missing"
    assert list(bench.settings.home.rglob("*.tmp*")) == []


@pytest.mark.parametrize("writer", WRITERS)
def test_the_owner_writes(bench: Bench, writer: Callable[[Bench, Library], None]) -> None:
    row = bench.claim("one")
    own = bench.library.fenced(bench.fences.attempt(row))
    stages.write(own, ITEM, transcript(FIRST), 0.0)
    before = bench.files()
    writer(bench, own)
    entry = bench.library.find(ITEM.id)
    assert entry is not None and entry.record["fencing_token"] == row.fencing_token
    assert bench.files() != before or writer is write_text or writer is publish


@pytest.mark.parametrize("stop", ["cancelled", "paused"])
def test_a_stopped_attempt_is_cancelled_and_writes_nothing(bench: Bench, stop: str) -> None:
    own = bench.library.fenced(bench.fences.attempt(bench.claim("one")))
    bench.store.stop([ITEM.id], stop)
    before = bench.files()
    with raises(Cancelled, "item.cancelled"):
        amend(bench, own)
    assert bench.files() == before


def test_the_number_grows_with_every_attempt_and_change(bench: Bench) -> None:
    numbers = [bench.claim("one").fencing_token, bench.take_over("two").fencing_token]
    bench.finish(bench.take_over("one"), FIRST)
    row = bench.store.read(ITEM.id)
    assert row is not None
    numbers.append(row.fencing_token)
    numbers.extend(bench.fences.by_hand(ITEM.id).number for _ in range(2))
    assert numbers == sorted(set(numbers))
    assert read_mark(bench.settings.home) == numbers[2]


# Changes by hand


def test_an_edit_of_an_item_in_the_queue_is_refused(bench: Bench) -> None:
    with raises(UsageError, "edit.active"):
        bench.fences.by_hand(ITEM.id)


def test_an_item_that_is_queued_during_an_edit_is_not_changed(bench: Bench) -> None:
    bench.finish(bench.claim("one"), FIRST)
    own = bench.library.fenced(bench.fences.by_hand(ITEM.id))
    bench.store.submit([ITEM], {}, Queue(), again=True)
    before = bench.files()
    with raises(UsageError, "edit.active"):
        write(bench, own)
    assert bench.files() == before


def test_of_two_edits_the_later_one_stays(bench: Bench) -> None:
    bench.finish(bench.claim("one"), FIRST)
    first = bench.library.fenced(bench.fences.by_hand(ITEM.id))
    second = bench.library.fenced(bench.fences.by_hand(ITEM.id))
    stages.write(second, ITEM, transcript(SECOND), 0.0)
    before = bench.files()
    with raises(UsageError, "edit.superseded"):
        write(bench, first)
    assert bench.files() == before


def test_an_item_without_a_row_can_be_edited(bench: Bench) -> None:
    removed(bench)
    write(bench, bench.library.fenced(bench.fences.by_hand(ITEM.id)))


# Records that are no attempt of their own


def test_a_failure_is_recorded_only_while_the_item_has_failed(bench: Bench) -> None:
    row = bench.claim("one")
    bench.store.finish(row.id, row.serial, row.executor, FAILED)
    amend(bench, bench.library.fenced(bench.fences.failed_attempt(row)))
    bench.store.retry([ITEM.id], Queue())
    before = bench.files()
    with raises(Superseded, "item.superseded"):
        amend(bench, bench.library.fenced(bench.fences.failed_attempt(row)))
    assert bench.files() == before


def test_an_older_publication_records_nothing(bench: Bench) -> None:
    bench.finish(bench.claim("one"), FIRST)
    outbox = Outbox(bench.database)

    def nothing(*_: object) -> None:
        return

    for _ in range(2):
        with bench.database.begin() as connection:
            outbox.submit(connection, "odin", ITEM.id, nothing)
    with bench.database.begin() as connection:
        serial = connection.exec_driver_sql("SELECT serial FROM kb_deliveries").scalar_one()
    entry = outbox.claim("odin", ITEM.id, serial)
    assert entry is not None
    record_published(bench, bench.library.fenced(bench.fences.delivery(entry)))
    older = replace(entry, serial=entry.serial - 1)
    before = bench.files()
    with raises(Superseded, "publish.superseded"):
        record_failure(bench, bench.library.fenced(bench.fences.delivery(older)))
    assert bench.files() == before


@pytest.mark.parametrize("again", [False, True])
def test_captions_of_an_item_that_is_not_wanted_are_dropped(bench: Bench, again: bool) -> None:
    row = bench.store.read(ITEM.id)
    assert row is not None and row.state == QUEUED
    wanted = bench.library.fenced(bench.fences.wanted(row))
    keep_captions(bench, wanted)
    bench.store.stop([ITEM.id])
    if again:
        bench.store.submit([ITEM], {}, Queue(), again=True)
    before = bench.files()
    with raises(Cancelled, "item.cancelled"):
        keep_captions(bench, wanted)
    assert bench.files() == before


def test_a_change_between_reading_and_writing_a_record_is_kept(bench: Bench) -> None:
    """Locks of files may not hold between machines: the record is compared under the row's."""
    entered = []

    def guard() -> object:
        if not entered:
            entered.append(True)
            Library(bench.settings.home).amend(ITEM.id, {"by_another": 1})
        return bench.fences.row_lock(ITEM.id)

    bench.library.fenced(Fence(0, guard)).amend(ITEM.id, {"by_me": 2})  # type: ignore[arg-type]
    entry = bench.library.find(ITEM.id)
    assert entry is not None
    assert (entry.record["by_another"], entry.record["by_me"]) == (1, 2)


def test_a_record_of_a_later_attempt_shows_an_older_database(bench: Bench) -> None:
    row = bench.claim("one")
    own = bench.library.fenced(bench.fences.attempt(row))
    bench.library.amend(ITEM.id, {"fencing_token": row.fencing_token + 7})
    before = bench.files()
    with raises(LibraryError, "library.database_older"):
        amend(bench, own)
    assert bench.files() == before


def test_an_index_that_was_overtaken_gets_the_text_of_the_files(bench: Bench) -> None:
    """The transcript is replaced while the earlier one is being indexed."""
    bench.finish(bench.claim("one"), FIRST)
    entry = bench.library.find(ITEM.id)
    assert entry is not None
    own = bench.library.fenced(bench.fences.by_hand(ITEM.id))
    stages.write(own, ITEM, transcript(SECOND), 0.0)
    stages.publish(bench.library, bench.settings, entry, transcript(FIRST), "local")
    texts = [passage.text for passage in LocalSink(bench.settings).passages(ITEM.id)]
    assert SECOND in " ".join(texts) and FIRST not in " ".join(texts)


# Every place that writes without `Library`, and so without a fence

_UNFENCED = {
    "kb/jobs/queue/queue_workers.py": "the request to stop a worker",
    "kb/jobs/queue/worker_names.py": "the process that has a worker's name",
    "kb/library/extras.py": "results of steps, within the guard that is handed in",
    "kb/library/fencing.py": "the mark of the folder",
    "kb/library/identity.py": "the identity of the folder",
    "kb/library/left_out.py": "acts on items that the library does not have",
    "kb/library/library.py": "the mechanism",
    "kb/library/records.py": "the mechanism; a damaged record, kept beside itself",
    "kb/library/products.py": "films, each named by the hash of all that it was made from",
    "kb/library/archive.py": "a restore, without workers",
    "kb/library/trash.py": "the trash",
    "kb/library/versions.py": "earlier versions of items, each in a folder of its own",
    "kb/library/user_files.py": "files outside the library",
    "kb/pipeline/evidence_pack.py": "a pack in a scratch folder, before the guard of its product",
    "kb/pipeline/previews.py": "stills and waveforms, each named by the hash of its medium",
    "kb/pipeline/vocabulary.py": "the lists of channels",
    "kb/service/backup.py": "a backup, and a restore without workers",
    "kb/service/exports.py": "files outside the library",
    "kb/service/presets.py": "a file of settings",
    "kb/service/resumable_uploads.py": "uploads that are not complete",
    "kb/service/review.py": "files outside the library",
    "kb/service/sessions.py": "the sessions of the dashboard",
    "kb/service/tasks.py": "the tasks of the dashboard",
    "kb/service/voice_profiles.py": "deleted voices, within the guard of their item; the trash",
}
_WRITES = frozenset((
    "write_bytes", "write_json", "write_private", "write_together", "atomic_path", "link_or_copy",
))  # fmt: skip


@pytest.mark.slow
def test_every_unfenced_writer_of_the_library_is_known() -> None:
    root = Path(kb.__file__).parent
    found = set()
    for room in ("jobs", "library", "pipeline", "service"):
        for path in sorted((root / room).rglob("*.py")):
            calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            names = {getattr(call.func, "attr", "") for call in calls}
            if names & _WRITES:
                found.add(f"kb/{path.relative_to(root).as_posix()}")
    assert found - _UNFENCED.keys() == set()
