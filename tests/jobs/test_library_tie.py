"""A database belongs to one library: a missing, another or a newer folder is noticed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database, library_facts
from kb.database.fencing import last_number
from kb.errors import LibraryError
from kb.jobs.queue.fences import Fences
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.library_tie import LibraryTie
from kb.library import Library
from kb.library.fencing import MARK_FILE, raise_mark, read_mark
from kb.library.identity import FILE, make_identity, read_identity
from kb.options import RunOptions
from kb.pipeline import stages
from kb.service import Service
from kb.settings import Settings
from tests.jobs.test_published_content import transcript
from tests.support.items import item
from tests.support.queue_store import Queue
from tests.support.raising import raises

ITEM = item(1)


class Shared:
    """A library whose database is not in its folder, as with PostgreSQL."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "share"
        self.database = Database.open(Settings(home=folder / "server"))
        self.tie = LibraryTie(self.database, Library(self.home))

    def done(self) -> None:
        store = ItemStore(self.database)
        store.submit([ITEM], {}, Queue())
        row = store.claim(ITEM.id, 1, "one")
        assert row is not None
        own = self.tie.library.fenced(Fences(self.database).attempt(row))
        stages.write(own, ITEM, transcript("the lantern burns"), 0.0)
        store.finish(ITEM.id, 1, "one", "done")

    def forget(self) -> None:
        """Take the identity out of the database, as in one of the version before."""
        with self.database.begin() as connection:
            connection.execute(sa.delete(library_facts).where(library_facts.c.name == "identity"))


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    made = Shared(tmp_path)
    made.tie.require()
    yield made
    made.database.close()


def code_of(tie: LibraryTie) -> str:
    found = tie.problem()
    return found.code if found else ""


def test_folder_and_database_get_one_identity(shared: Shared) -> None:
    identity = read_identity(shared.home)
    assert identity and shared.tie.library.identity == identity
    shared.tie.require()
    assert read_identity(shared.home) == identity and code_of(shared.tie) == ""


def gone(shared: Shared) -> None:
    shutil.rmtree(shared.home)


def unmounted(shared: Shared) -> None:
    shutil.rmtree(shared.home)
    shared.home.mkdir()


def another(shared: Shared) -> None:
    unmounted(shared)
    make_identity(shared.home)


def older(shared: Shared) -> None:
    raise_mark(shared.home, 99)


TROUBLE = [
    (gone, "library.missing"), (unmounted, "library.missing"), (another, "library.other"),
]  # fmt: skip


@pytest.mark.parametrize(("happen", "code"), TROUBLE)
def test_nothing_is_written_into_a_folder_that_is_not_the_library(
    shared: Shared, happen: Callable[[Shared], None], code: str, tmp_path: Path
) -> None:
    shared.done()
    happen(shared)
    before = sorted(tmp_path.rglob("share/**/*"))
    library = shared.tie.library
    medium = tmp_path / "in.mp3"
    medium.write_bytes(b"sound")
    for write in (
        lambda: library.amend(ITEM.id, {"state": "done"}),
        lambda: library.write_metadata(ITEM),
        lambda: library.add_media(ITEM, medium),
        lambda: library.put_file(ITEM.id, medium, library.media_folder / "x.jpg"),
        lambda: library.write_text("stem", ".txt", "text"),
        lambda: library.write_facts({"a": 1}),
        lambda: stages.write(library, ITEM, transcript("words"), 0.0),
        library.prepare,
        shared.tie.require,
    ):
        with raises(LibraryError, code):
            write()
    assert sorted(tmp_path.rglob("share/**/*")) == before
    assert shared.home.exists() == (happen is not gone)
    assert code_of(shared.tie) == code


def test_a_share_that_comes_back_is_the_library_again(shared: Shared, tmp_path: Path) -> None:
    shared.done()
    shared.home.rename(tmp_path / "away")
    assert code_of(shared.tie) == "library.missing"
    (tmp_path / "away").rename(shared.home)
    assert code_of(shared.tie) == ""
    shared.tie.library.amend(ITEM.id, {"state": "done"})


def test_a_folder_that_has_the_items_gets_its_identity_back(shared: Shared) -> None:
    identity = read_identity(shared.home)
    shared.done()
    (shared.home / FILE).unlink()
    assert code_of(shared.tie) == ""
    shared.tie.require()
    assert read_identity(shared.home) == identity


@pytest.mark.parametrize("finished", [False, True])
def test_a_library_of_the_version_before_is_adopted(shared: Shared, finished: bool) -> None:
    if finished:
        shared.done()
    shared.forget()
    (shared.home / FILE).unlink()
    assert code_of(shared.tie) == ""
    shared.tie.require()
    assert read_identity(shared.home) == shared.tie.library.identity != ""


def test_an_empty_folder_is_not_adopted_by_a_database_with_finished_items(shared: Shared) -> None:
    shared.done()
    shared.forget()
    unmounted(shared)
    assert code_of(shared.tie) == "library.missing"
    with raises(LibraryError, "library.missing"):
        shared.tie.require()
    assert list(shared.home.iterdir()) == []


def test_an_older_database_is_noticed_and_brought_up_to_date(shared: Shared) -> None:
    shared.done()
    assert code_of(shared.tie) == ""
    older(shared)
    assert code_of(shared.tie) == "library.database_older"
    shared.tie.require()  # the folder is the right one: looking at it and asking go on
    shared.tie.adopt()
    assert code_of(shared.tie) == ""
    with shared.database.begin() as connection:
        assert last_number(connection) == 99


def test_a_database_of_another_library_is_taken_by_reindex_alone(shared: Shared) -> None:
    shared.done()
    another(shared)
    identity = read_identity(shared.home)
    shared.tie.adopt()
    assert code_of(shared.tie) == "" and read_identity(shared.home) == identity


def test_a_new_database_begins_with_the_numbers_of_the_folder(
    shared: Shared, tmp_path: Path
) -> None:
    shared.done()
    again = Shared(tmp_path / "other")
    again.tie = LibraryTie(again.database, Library(shared.home))
    again.tie.attach()
    assert code_of(again.tie) == ""
    assert again.tie.library.identity == read_identity(shared.home)
    with again.database.begin() as connection:
        assert last_number(connection) == read_mark(shared.home) > 0
    again.database.close()


@pytest.mark.parametrize("content", ["", "{}", "[", '{"id": ""}', '{"id": 7}'])
def test_a_damaged_identity_is_an_error_and_no_other_library(shared: Shared, content: str) -> None:
    (shared.home / FILE).write_text(content)
    assert code_of(shared.tie) in ("library.identity_damaged", "json.damaged", "json.not_object")
    assert (shared.home / FILE).read_text() == content


def test_a_damaged_mark_is_repaired_by_the_next_attempt(shared: Shared) -> None:
    (shared.home / MARK_FILE).write_text("much")
    assert code_of(shared.tie) == ""
    shared.done()
    assert read_mark(shared.home) > 0


def test_reindex_brings_an_older_database_up_to_date(tmp_path: Path) -> None:
    """A copy of the database from before the second item comes back."""
    settings = Settings(home=tmp_path / "home", model="demo")
    for number in (1, 2):
        service = Service(settings)
        service.queue.submit([item(number)], RunOptions())
        row = service.queue.items.claim(item(number).id, 1, "one")
        assert row is not None
        own = service.library.fenced(Fences(service.queue.database).attempt(row))
        stages.write(own, item(number), transcript(f"the lantern {number}"), 0.0)
        service.queue.items.finish(row.id, 1, "one", "done")
        service.close()
        if number == 1:
            shutil.copy(settings.home / "kb.sqlite", tmp_path / "older.sqlite")
    shutil.copy(tmp_path / "older.sqlite", settings.home / "kb.sqlite")
    service = Service(settings)
    problem = service.queue.library_problem()
    assert problem is not None and problem.code == "library.database_older"
    service.search.reindex()
    assert service.queue.library_problem() is None
    assert service.queue.counts()["done"] == 2
    assert {hit.item_id for hit in service.search.run("lantern").hits} == {item(1).id, item(2).id}
    service.close()
