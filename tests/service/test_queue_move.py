"""The queue moves from its file to a PostgreSQL server and back, with all that it has."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database, api_keys, deliveries, items, lanes, looks, steps, subscriptions
from kb.database.fencing import next_number
from kb.database.tables import metadata
from kb.errors import LibraryError, UsageError
from kb.jobs.queue.heartbeat import Heartbeat
from kb.jobs.queue.item_states import QUEUED
from kb.jobs.queue.moving import Moved
from kb.options import RunOptions
from kb.service import Service
from kb.service.health_database import check_server
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.types import MediaItem
from tests.support.commands import run_command
from tests.support.live_worker import lasting_signs
from tests.support.postgres import connected, database_url, execute, new_database, server
from tests.support.raising import raises

pytestmark = pytest.mark.slow

__all__ = ["database_url", "lasting_signs", "server"]


def talk(number: int) -> MediaItem:
    return MediaItem(f"file:{number:012x}", "file", f"file:///{number}", f"Tälk {number} '\\", "")


def settings(home: Path, url: str = "") -> Settings:
    return Settings(KB_HOME=str(home), KB_DATABASE_URL=url)


def fill(service: Service) -> None:
    """Give the queue something of each kind."""
    service.library.prepare()
    queue = service.queue
    ids, _ = queue.submit([talk(n) for n in range(8)], RunOptions(language="de"))
    queue.prioritise([ids[1]], 1)
    queue.cancel([ids[2]])
    queue.pause([ids[3]])
    assert queue.items.claim(ids[4], 1, "gone") is not None
    assert queue.items.claim(ids[5], 1, "gone") is not None
    queue.items.finish(ids[5], 1, "gone", "waiting", error="busy", wait_until=9e9, attempts=2)
    queue.send(ids[6], ["odin"])
    queue.submit_listing("https://example.org/list", VideoFilters(), RunOptions())
    queue.request_steps([("speakers", ids[6])])
    queue.pause()
    now = 1.7e9
    with queue.database.begin() as connection:
        for table, row in (
            (subscriptions, {"key": "k", "reference": "https://x/@c", "every_s": 60.0,
                             "filters": {"limit": 3}, "options": {}, "created_at": now,
                             "next_at": now}),
            *(
                (deliveries, {"sink": "odin", "item_id": talk(10 + n).id, "status": status,
                              "serial": 1, "since": now, "updated_at": now, "attempts": 0,
                              "due_at": due_at})
                for n, (status, due_at) in enumerate(
                    [("waiting", 9e9)] * 4 + [("syncing", 9e9), ("held", None), ("synced", None)]
                )
            ),
            (steps, {"step": "speakers", "item_id": talk(10).id, "status": "waiting", "serial": 1,
                     "since": now, "updated_at": now, "due_at": 9e9}),
            (api_keys, {"fingerprint": "f", "units": 77, "day": "2026-01-01"}),
        ):  # fmt: skip
            connection.execute(sa.insert(table).values(**row))


# The numbers of what `fill` makes: of the eight items one is cancelled.
TO_DO = {
    "items": 8, "follows": 1, "items_to_do": 7, "listings_to_do": 1, "publications_to_do": 6,
    "steps_to_do": 2,
}  # fmt: skip


def numbers(moved: Moved) -> dict[str, int]:
    """Return the numbers of a move's result."""
    return {name: getattr(moved, name) for name in TO_DO}


def rows(database: Database) -> dict[str, list[dict[str, object]]]:
    """Return all rows of the library's tables, as they are shown."""
    found = {}
    with database.begin() as connection:
        for table in metadata.sorted_tables:
            if table.name not in ("kb_schema", "kb_moves"):
                each = connection.execute(sa.select(table)).mappings()
                found[table.name] = sorted((dict(row) for row in each), key=str)
    return found


def without_running(found: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    """A move queues what was running again; compare everything else."""
    for row in found["kb_items"]:
        if row["state"] == "running":
            row |= {"state": "queued", "executor": ""}
    return {name: sorted(each, key=str) for name, each in found.items()}


def workflows(url: str) -> list[tuple[str, str, int]]:
    with connected(url) as connection:
        query = "SELECT workflow_uuid, status, priority FROM dbos.workflow_status ORDER BY 1"
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_there_and_back(server: str, tmp_path: Path) -> None:
    home, url = tmp_path / "home", new_database(server)
    service = Service(settings(home))
    fill(service)
    before = without_running(rows(service.queue.database))
    counts = service.queue.counts()
    service.close()

    moved = Service(settings(home)).queue_move.run(url.replace("postgresql://", "postgres://"))
    assert numbers(moved) == TO_DO
    there = Service(settings(home, url))
    assert rows(there.queue.database) == before
    assert [lane.paused_by_hand for lane in there.queue.lanes()] == [True]
    assert there.queue.counts() == counts
    queued = workflows(url)
    assert all(status == "ENQUEUED" for _, status, _ in queued)
    first = {name for name, _, priority in queued if priority == 1 and "listing" not in name}
    assert first == {f"ingest:{talk(1).id}:2"}
    assert f"publish:odin:{talk(6).id}:" in " ".join(name for name, _, _ in queued)
    kinds = Counter(name.split(":")[0] for name, _, _ in queued)
    assert kinds == {"ingest": counts[QUEUED] + 1, "publish": 1, "step": 1}  # with the listing

    # What is left in the file is not used by mistake, and is no work that was forgotten.
    with raises(LibraryError, "database.moved"):
        Service(settings(home)).queue.counts()
    assert there.queue_move.left_behind() is None
    assert there.queue.retry([talk(2).id]) == [talk(2).id]
    after = rows(there.queue.database)
    there.close()

    back = Service(settings(home, url)).queue_move.run("sqlite")
    assert numbers(back) == {**TO_DO, "items_to_do": TO_DO["items_to_do"] + 1}
    with raises(LibraryError, "database.moved_to_file"):
        Service(settings(home, url)).queue.counts()
    here = Service(settings(home))
    assert rows(here.queue.database) == after
    assert here.queue.cancel([talk(2).id]) == [talk(2).id]
    here.close()

    # And once more: the ids of the workflows were used in both places.
    again = Service(settings(home)).queue_move.run(url)
    assert numbers(again) == TO_DO
    assert {status for _, status, _ in workflows(url)} == {"ENQUEUED"}


def test_a_counted_key_goes_on(server: str, tmp_path: Path) -> None:
    home, url = tmp_path / "home", new_database(server)
    service = Service(settings(home))
    service.library.prepare()
    columns = {
        column.name: 1.0 if isinstance(column.type, sa.Double) else 1
        if isinstance(column.type, sa.Integer) else {} if isinstance(column.type, sa.JSON) else "x"
        for column in looks.columns
        if not column.nullable and not column.primary_key
    }  # fmt: skip
    with service.queue.database.begin() as connection:
        for _ in range(3):
            connection.execute(sa.insert(looks).values(**columns))
    service.close()
    Service(settings(home)).queue_move.run(url)
    there = Service(settings(home, url))
    with there.queue.database.begin() as connection:
        number = connection.execute(sa.insert(looks).values(**columns)).inserted_primary_key
    assert number is not None and number[0] == 4
    there.close()


def test_the_numbers_of_attempts_go_on(server: str, tmp_path: Path) -> None:
    """A number that was given out twice would let a late worker write."""
    home, url = tmp_path / "home", new_database(server)
    service = Service(settings(home))
    service.library.prepare()

    def next_numbers(of: Service) -> list[int]:
        with of.queue.database.begin() as connection:
            return [next_number(connection) for _ in range(3)]

    given = next_numbers(service)
    service.close()
    for target, chosen in ((url, settings(home, url)), ("sqlite", settings(home))):
        Service(settings(home, "" if target == url else url)).queue_move.run(target)
        there = Service(chosen)
        given += next_numbers(there)
        there.close()
    assert given == sorted(set(given))


def worker_here(home: Path, url: str) -> None:
    Heartbeat(settings(home), Database.open(settings(home))).acquire()


def worker_there(home: Path, url: str) -> None:
    database = Database.open(settings(home, url))
    Heartbeat(settings(home / "other", url), database).acquire()


def work_there(home: Path, url: str) -> None:
    other = Service(settings(home, url))
    other.queue.submit([talk(99)], RunOptions())
    other.close()


@pytest.mark.usefixtures("lasting_signs")
@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (worker_here, "move.worker_runs"),
        (worker_there, "move.worker_runs"),
        (work_there, "move.target_in_use"),
    ],
)
def test_a_move_is_refused_and_changes_nothing(
    server: str, tmp_path: Path, prepare: object, code: str
) -> None:
    home, url = tmp_path / "home", new_database(server)
    service = Service(settings(home))
    service.library.prepare()
    service.queue.submit([talk(1)], RunOptions())
    prepare(home, url)  # type: ignore[operator]
    with raises(UsageError, code):
        service.queue_move.run(url)
    assert service.queue.counts()[QUEUED] == 1
    service.close()
    assert Service(settings(home)).queue.counts()[QUEUED] == 1


def test_a_move_that_breaks_leaves_the_queue_where_it_was(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, url = tmp_path / "home", new_database(server)
    service = Service(settings(home))
    service.library.prepare()
    service.queue.submit([talk(n) for n in range(3)], RunOptions())
    service.close()
    Database.open(settings(home, url)).close()
    execute(url, "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'no space'; END$$",
            f"CREATE TRIGGER no BEFORE INSERT ON {items.name} EXECUTE FUNCTION no()")  # fmt: skip
    with pytest.raises(LibraryError):
        Service(settings(home)).queue_move.run(url)
    assert Service(settings(home)).queue.counts()[QUEUED] == 3
    with connected(url) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM kb_items")) == 0


def test_nowhere_to_move(server: str, tmp_path: Path) -> None:
    with raises(UsageError, "move.nowhere"):
        Service(settings(tmp_path)).queue_move.run("sqlite")
    with raises(LibraryError, "database.unsupported"):
        Service(settings(tmp_path)).queue_move.run("mysql://h/x")


def test_work_that_was_left_in_the_file_is_named(server: str, tmp_path: Path) -> None:
    """A person sets KB_DATABASE_URL and does not move the queue."""
    home, url = tmp_path / "home", new_database(server)
    service = Service(settings(home))
    fill(service)
    service.close()
    values = {"KB_HOME": str(home), "KB_DATABASE_URL": url}
    shown = run_command(["status"], values, tmp_path)
    assert "kb move-queue" in shown.stderr
    assert "8 items, 6 publications, 2 steps to do and 1 follow, which" in shown.stderr
    found = check_server(settings(home, url))
    assert [check.state for check in found] == ["ok", "warn"]
    assert "PostgreSQL" in found[0].detail and "a worker takes up to 11" in found[0].detail
    assert "kb move-queue" in found[1].fix
    done = run_command(["move-queue", "--to", url], values, tmp_path)
    assert done.returncode == 0
    said = "8 items and 1 follow. To do: 7 items, 1 listing, 6 publications, 2 steps."
    assert said in " ".join(done.stderr.split())
    assert [check.state for check in check_server(settings(home, url))] == ["ok"]
    assert "kb move-queue" not in run_command(["status"], values, tmp_path).stderr


def test_tables_are_all_moved() -> None:
    """Every table of the library is copied but the two that describe the database itself."""
    names = {table.name for table in metadata.sorted_tables}
    assert {"kb_items", "kb_lanes", "kb_deliveries", "kb_publications", "kb_looks"} <= names
    assert {items, lanes, deliveries} <= set(metadata.sorted_tables)
