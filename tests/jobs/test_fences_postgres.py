"""Fences on a real PostgreSQL: a machine that was cut off wakes up after another one has ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.database import Database
from kb.errors import KBError, Superseded
from kb.jobs.queue.fences import Fences
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.library_tie import LibraryTie
from kb.library import Library
from kb.pipeline import stages
from kb.settings import Settings
from tests.enrich.test_llm_client import booked_at_once
from tests.fakes.database_proxy import DatabaseProxy
from tests.jobs.test_fences import ITEM, SECOND, Bench
from tests.jobs.test_published_content import transcript
from tests.support.postgres import database_url, server
from tests.support.queue_store import Queue
from tests.support.raising import raises
from tests.support.waiting import WAIT_S

__all__ = ["database_url", "server"]
pytestmark = pytest.mark.slow


def bench_of(home: Path, url: str) -> Bench:
    settings = Settings(home=home, KB_DATABASE_URL=url)
    database = Database.open(settings)
    library = Library(home)
    LibraryTie(database, library).require()
    return Bench(settings, library, database, ItemStore(database), Fences(database))


@pytest.fixture
def machines(database_url: str, tmp_path: Path) -> Iterator[tuple[Bench, Bench, DatabaseProxy]]:
    """Two machines with one folder; the network of the first one can fail."""
    with DatabaseProxy.before(database_url) as proxy:
        one = bench_of(tmp_path / "home", proxy.url(database_url))
        two = bench_of(tmp_path / "home", database_url)
        one.store.submit([ITEM], {}, Queue())
        yield one, two, proxy
        one.database.close()
        two.database.close()


def test_a_machine_that_was_cut_off_discards_its_work(
    machines: tuple[Bench, Bench, DatabaseProxy],
) -> None:
    one, two, proxy = machines
    late = one.library.fenced(one.fences.attempt(one.claim("one")))
    proxy.cut()
    two.finish(two.take_over("two"), SECOND)
    edited = two.library.fenced(two.fences.by_hand(ITEM.id))
    stages.write(edited, ITEM, transcript("corrected by hand"), 0.0)
    before = two.files()
    with pytest.raises(KBError) as caught:
        stages.write(late, ITEM, transcript("words of the late one"), 0.0)
    assert caught.value.retryable and two.files() == before
    proxy.heal()
    with raises(Superseded, "item.superseded"):
        stages.write(late, ITEM, transcript("words of the late one"), 0.0)
    assert two.files() == before


def test_a_machine_whose_answers_are_swallowed_writes_nothing_late(
    machines: tuple[Bench, Bench, DatabaseProxy],
) -> None:
    """Its question is on the way while another machine takes over."""
    one, two, proxy = machines
    late = one.library.fenced(one.fences.attempt(one.claim("one")))
    ended: list[BaseException | None] = []

    def write() -> None:
        try:
            stages.write(late, ITEM, transcript("words of the late one"), 0.0)
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    proxy.swallow()
    thread = threading.Thread(target=write)
    thread.start()
    two.finish(two.take_over("two"), SECOND)
    before = two.files()
    proxy.heal()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert isinstance(ended[0], KBError) and two.files() == before


def test_a_take_over_waits_until_files_are_in_their_places(
    machines: tuple[Bench, Bench, DatabaseProxy],
) -> None:
    one, two, _ = machines
    own = one.library.fenced(one.fences.attempt(one.claim("one")))
    taken = threading.Event()

    def take_over() -> None:
        two.take_over("two")
        taken.set()

    thread = threading.Thread(target=take_over)
    with own.guard(ITEM.id):
        thread.start()
        assert not taken.wait(0.3)
    thread.join(WAIT_S)
    assert taken.is_set()
    with raises(Superseded, "item.superseded"), own.guard(ITEM.id):
        pass


def test_numbers_and_identity_are_those_of_the_server(
    machines: tuple[Bench, Bench, DatabaseProxy],
) -> None:
    one, two, _ = machines
    numbers = [one.claim("one").fencing_token, two.take_over("two").fencing_token]
    numbers.append(one.take_over("one").fencing_token)
    assert numbers == sorted(set(numbers))
    assert one.library.identity == two.library.identity != ""
    tie = LibraryTie(two.database, two.library)
    assert tie.problem() is None
    (one.settings.home / ".kb-attempts").write_text("999\n")
    found = tie.problem()
    assert found is not None and found.code == "library.database_older"
    tie.adopt()
    assert tie.problem() is None and two.take_over("two").fencing_token > 999


def test_limits_of_language_models_hold_for_workers_at_once(
    database_url: str, tmp_path: Path
) -> None:
    """On SQLite one writes at a time; here a lock of the transaction keeps them apart."""
    assert booked_at_once(Settings(home=tmp_path, KB_DATABASE_URL=database_url)) == 10
