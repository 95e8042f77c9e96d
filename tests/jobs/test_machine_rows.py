"""Faults of machines that share one library, each with real workers.

Here are folders, clocks, users, names, dumps, a frozen session and settings. The others, and the
cheap tests of their parts:

- a worker that was cut off overwrites nothing: `test_machines_swallow.py` (one machine for 180 s,
  all for 60 s), `test_fences*.py`
- a share that goes away in the middle of a write: `test_share_unmounted.py`
- identity, a share that is not mounted, older databases: `test_library_tie.py`
- settings of requests: `test_request_settings.py`; what a machine lacks: `test_machine_needs.py`
- a half-open connection, stops without a network, shares of the queue: `test_machines_long.py`
- every command with a silent or locked database: `tests/cli/test_silent_database.py`
- a frozen session, poolers, rights, deadlines: `tests/database/test_postgres.py`; a replica:
  `tests/database/test_replica.py`
- the queue moves whole: `tests/service/test_queue_move.py`
- liveness, names (also on shares without case), lanes, logs: `test_machines.py`
- clocks: `test_one_clock.py`, `test_clock_places.py`; zones of hours: `test_source_terms.py`
- pages of two machines: `tests/ui/test_two_pages_browser.py`; two versions: `test_two_versions.py`
- all of them mixed: `test_torture.py`, and `benchmarks/torture.py --machines`

A share is taken away here while its machine has no item.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database.tables import fencing_tokens, metadata
from kb.jobs.queue import heartbeat
from kb.jobs.queue.client import LaneState
from kb.library.identity import make_identity
from tests.support.machines import WRONG_CLOCK, Machines, beside_each_other, machines_of, mounted
from tests.support.postgres import connected, database_url, in_one_transaction, server
from tests.support.waiting import WAIT_S
from tests.support.workers import Lab, write_talks

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]

__all__ = ["database_url", "server"]


@pytest.fixture
def machines(database_url: str, tmp_path: Path) -> Iterator[Machines]:
    with machines_of(database_url, tmp_path / "lab") as found:
        found.lab.library.prepare()
        yield found


# Folders of one machine: the others go on, and it goes on by itself when the trouble ends


@contextmanager
def read_only(home: Path, share: Path) -> Iterator[None]:
    with mounted("--bind", "-o", "ro", str(home / "media"), at=share / "media"):
        yield


@contextmanager
def away(home: Path, share: Path) -> Iterator[None]:
    with mounted("-t", "tmpfs", "tmpfs", at=share):
        yield
        assert list(share.iterdir()) == []  # nothing was made under the mount point


@contextmanager
def another_library(home: Path, share: Path) -> Iterator[None]:
    with mounted("-t", "tmpfs", "tmpfs", at=share):
        make_identity(share)
        before = sorted(share.rglob("*"))
        yield
        assert sorted(share.rglob("*")) == before


@contextmanager
def full(home: Path, share: Path) -> Iterator[None]:
    """The folder in which media are written has no room on this machine."""
    with mounted("-t", "tmpfs", "-o", "size=16k", "tmpfs", at=share / "media"):
        (share / "media" / "full").write_bytes(b"x" * 4096)
        yield


@pytest.mark.parametrize("fault", [read_only, away, another_library, full])
def test_trouble_of_one_machine_s_folder(machines: Machines, fault: Callable[..., object]) -> None:
    lab, share = machines.lab, machines.lab.folder / "share"
    with mounted("--bind", str(lab.home), at=share):
        machines.start("two", KB_HOME=str(share))
        with fault(lab.home, share):  # type: ignore[attr-defined]
            ids = lab.ingest(write_talks(lab.folder / "in", 4, words=5))
            machines.wait_paused("two", str(share))
            one = machines.start("one")
            machines.require_complete(ids)
            lab.stop(one)
        # It works by itself; for one of the faults, the minute until then is not waited for.
        if fault is full:
            lab.jobs.resume()
        more = lab.ingest(write_talks(lab.folder / "in", 1, start=9))
        machines.require_complete([*ids, *more])
        lab.wait(lambda: lab.jobs.lanes() == [], "no pause")
        assert machines.log().count(str(share)) < 20
        lab.kill_all()


def test_a_machine_without_the_share_begins_nothing(machines: Machines) -> None:
    lab = machines.lab
    ids = lab.ingest(write_talks(lab.folder / "in", 2, words=5))
    one = machines.start("one")
    empty = lab.folder / "not mounted"
    empty.mkdir()
    for command in (
        ["worker"], ["show", ids[0]], ["ingest", str(lab.folder / "in")], ["doctor"], ["status"],
    ):  # fmt: skip
        done = lab.kb(*command, check=None, KB_HOME=str(empty), KB_EXECUTOR_ID="two")
        assert str(empty) in done.stdout + done.stderr, command
        assert "No item" not in done.stderr and "already there" not in done.stdout, command
        assert done.returncode != 0 or command == ["status"], (command, done.stdout, done.stderr)
    machines.require_complete(ids)
    assert list(empty.iterdir()) == []
    lab.stop(one)


# Clocks, frozen machines, names


SILENT_S = 240  # less than the smallest leap of a clock below


def done(lab: Lab, ids: list[str]) -> int:
    return sum(each.state == "done" for each in lab.states(ids).values())


def test_clocks_that_are_wrong_and_jump(machines: Machines) -> None:
    """One machine is 10 minutes ahead and is set back by 20, the other is 10 minutes behind."""
    lab, clocks = machines.lab, {}
    for name, wrong_s in (("one", "600"), ("two", "-600")):
        clocks[name] = lab.folder / f"clock of {name}"
        clocks[name].write_text(wrong_s)
        machines.start_as(
            name, program=WRONG_CLOCK.format(file=str(clocks[name])),
            KB_WORKER_TIMEOUT_S=str(SILENT_S),
        )  # fmt: skip
    machines.wait_alive("one", "two")
    ids = lab.ingest(write_talks(lab.folder / "in", 12, words=20))
    lab.wait(lambda: lab.jobs.items.running("one") or done(lab, ids) == len(ids), "an item")
    for wrong_s in ("-600", "3600", "0"):
        clocks["one"].write_text(wrong_s)
        ends_at = time.monotonic() + 6
        while time.monotonic() < ends_at:
            found = heartbeat.list_workers(lab.jobs.database)
            assert [(each.executor_id, each.ended) for each in found] == [
                ("one", False), ("two", False),
            ]  # fmt: skip
            # A busy machine may delay a heartbeat; a wrong clock would shift it by minutes.
            assert all(abs(each.silent_s) < SILENT_S for each in found), found
            assert lab.jobs.lanes() == []
            time.sleep(0.5)
        machines.wait_alive("one", "two")
    machines.require_complete(ids)
    assert "is gone" not in machines.log() and "declared dead" not in machines.log()
    lab.jobs.pause()
    (lane,) = lab.jobs.lanes()
    assert lane.paused_by_hand
    lab.jobs.resume()
    more = lab.ingest(write_talks(lab.folder / "in", 2, start=20))
    machines.require_complete([*ids, *more])
    lab.kill_all()


def test_a_frozen_machine_inside_a_transaction(server: str, tmp_path: Path) -> None:
    beside_each_other(server, tmp_path, frozen_with_an_item, [(0,), (5,)])


def frozen_with_an_item(machines: Machines, locked: int) -> None:
    """It holds the rows of an item and of a worker; the others give their heartbeats and work.

    Wherever the item stands in the queue: those behind it are done meanwhile.
    """
    lab = machines.lab
    ids = lab.ingest(write_talks(lab.folder / "in", 6, words=10))
    two = machines.start("two")
    with connected(machines.url) as frozen:
        frozen.execute(sa.text("BEGIN"))
        frozen.execute(
            sa.text("UPDATE kb_items SET title = title WHERE id = :id"), {"id": ids[locked]}
        )
        frozen.execute(sa.text("INSERT INTO kb_workers (executor_id, host, pid, started_at, seen_at"
                               ") VALUES ('frozen', 'h', 1, 0, 0)"))  # fmt: skip
        time.sleep(20)  # longer than a heartbeat lasts, and than a worker may be silent
        machines.wait_alive("two")
        lab.wait(lambda: done(lab, ids) == 5, "the others")
        assert lab.states(ids)[ids[locked]].state == "queued"
        machines.wait_alive("two")
        frozen.execute(sa.text("ROLLBACK"))
    machines.require_complete(ids)
    lab.stop(two)


def test_one_name_on_two_machines(machines: Machines) -> None:
    """The share carries no locks: the second machine has a folder of workers of its own."""
    lab, share = machines.lab, machines.lab.folder / "share"
    ids = lab.ingest(write_talks(lab.folder / "in", 4, words=10))
    machines.start("one")
    second = ("unshare", "--uts", "sh", "-c", 'hostname second && exec "$@"', "sh")
    with (
        mounted("--bind", str(lab.home), at=share),
        mounted("-t", "tmpfs", "tmpfs", at=share / ".workers"),
    ):
        (share / ".workers" / ".kb").write_text("")
        # However late a heartbeat comes on a busy machine, the first one is not taken for dead.
        refused = machines.start_as("one", second, KB_HOME=str(share), KB_WORKER_TIMEOUT_S="240")
        assert refused.wait(WAIT_S) != 0
        assert "KB_EXECUTOR_ID" in machines.log()
        machines.require_complete(ids)
        machines.wait_alive("one")
        lab.kill_all()


# Users

NOBODY = 65534
# The interpreter may be in a folder of the administrator: the other user may read all of the
# machine's files, and writes by their rights alone.
AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip


def require_that_others_go_on(machines: Machines, folder: Path, as_seen: Path) -> None:
    """Close a folder to the worker `two`: it names it and waits, and another one works."""
    lab = machines.lab
    subprocess.run(["chown", "-R", "root:root", str(folder)], check=True)
    subprocess.run(["chmod", "-R", "go-w", str(folder)], check=True)
    ids = lab.ingest(write_talks(lab.folder / folder.name, 1, words=5, seed=len(folder.name)))
    seen: list[LaneState] = []
    # The pause ends as soon as a small file can be written.
    lab.wait(lambda: seen.extend(lab.jobs.lanes()) or seen, "its lane", every_s=0.02)
    assert seen[0].machine == "two"
    assert str(as_seen) in seen[0].reason and "belongs to the account root" in seen[0].reason
    one = machines.start("one")
    machines.require_complete(ids)
    lab.stop(one)
    subprocess.run(["chmod", "-R", "a+rwX", str(lab.home)], check=True)
    lab.jobs.resume()


def test_a_worker_of_another_user(machines: Machines) -> None:
    """It is refused where it may not write, and waits alone where it may not write any more."""
    if sys.platform != "linux" or os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("another user needs Linux, root and setpriv")
    lab = machines.lab
    # The folder of all tests is open to one account only.
    place = Path(tempfile.mkdtemp(prefix="kb-users-", dir="/tmp"))
    try:
        share, own = place / "share", place / "own"
        own.mkdir()
        shutil.chown(own, NOBODY, NOBODY)
        place.chmod(0o755)
        settings = {"KB_HOME": str(share), "XDG_STATE_HOME": str(own), "HOME": str(own),
                    "TMPDIR": str(own)}  # fmt: skip
        with mounted("--bind", str(lab.home), at=share):
            lab.home.chmod(0o755)
            refused = machines.start_as("two", AS_NOBODY, **settings)
            assert refused.wait(WAIT_S) != 0
            assert f"{share}" in machines.log() and "Traceback" not in machines.log()
            assert "belongs to the account root" in machines.log()
            # A library that all accounts share: the other worker works.
            subprocess.run(["chmod", "-R", "a+rwX", str(lab.home)], check=True)
            machines.start_as("two", AS_NOBODY, **settings)
            machines.wait_alive("two")
            first = lab.ingest(write_talks(place / "in", 1, start=20))
            machines.require_complete(first)
            for folder in (lab.home / "media", lab.home / ".locks", lab.library.index_folder):
                require_that_others_go_on(machines, folder, share / folder.name)
            last = lab.ingest(write_talks(place / "in", 1, start=9))
            machines.require_complete([*first, *last])
            entry = lab.library.find(last[0])
            assert entry is not None and entry.transcript_path is not None
            assert entry.transcript_path.stat().st_uid == NOBODY
            lab.kill_all()
    finally:
        shutil.rmtree(place, ignore_errors=True)


# Dumps


def test_an_older_dump_under_a_running_worker(machines: Machines) -> None:
    lab = machines.lab
    first = lab.ingest(write_talks(lab.folder / "in", 2, words=5))
    machines.start("one")
    machines.require_complete(first)
    names = [f"public.{table.name}" for table in metadata.sorted_tables]
    with connected(machines.url) as connection:
        names += [
            f"dbos.{name}"
            for name in sa.inspect(connection).get_table_names("dbos")
            if "migrations" not in name
        ]
        connection.execute(sa.text("CREATE SCHEMA dump"))
        numbers = fencing_tokens.name
        last = connection.scalar(sa.text(f"SELECT last_value FROM {numbers}"))
        for name in names:
            connection.execute(sa.text(f'CREATE TABLE dump."{name}" AS TABLE {name}'))
        later = lab.ingest(write_talks(lab.folder / "in", 3, words=5, start=5))
        machines.require_complete([*first, *later])
        in_one_transaction(connection, [
            f"TRUNCATE {', '.join(names)} CASCADE",
            *(f'INSERT INTO {name} SELECT * FROM dump."{name}"' for name in names),
            f"SELECT setval('{numbers}', {last})",
        ])  # fmt: skip
    lab.wait(lambda: "kb reindex" in machines.log(), "the worker says so")
    for command in ("status", "doctor"):
        done = lab.kb(command, check=None)
        assert "kb reindex" in done.stdout + done.stderr, done
    more = lab.ingest(write_talks(lab.folder / "in", 1, words=5, start=9))
    time.sleep(4)
    assert {each.state for each in lab.states(more).values()} == {"queued"}  # it takes none
    lab.kb("reindex")
    machines.require_complete([*first, *later, *more])
    lab.kill_all()


# Settings


def test_each_request_has_its_own_settings_on_every_machine(machines: Machines) -> None:
    lab = machines.lab
    asked = {}
    for number, (language, preset) in enumerate((("en", "optimiert"), ("de", "stabil"))):
        lab.values |= {"KB_LANGUAGE": language, "KB_PRESET": preset, "KB_LONGEST_PAUSE_S": "0.5"}
        paths = write_talks(lab.folder / "in", 4, words=8, start=4 * number)
        done = lab.kb("ingest", *map(str, paths))
        assert done.returncode == 0
        for item_id in set(lab.states()) - set(asked):
            asked[item_id] = (language, preset)
    assert len(asked) == 8
    machines.start("one", KB_LANGUAGE="fr", KB_PRESET="max", KB_REPAIR_SHARE="0")
    machines.start("two", KB_LANGUAGE="auto", KB_PRESET="stabil")
    machines.require_complete(list(asked))
    for item_id, (language, preset) in asked.items():
        transcript = lab.service.items.transcript(item_id)
        assert (transcript.language, transcript.preset) == (language, preset), item_id
        shown = lab.service.items.asked_settings(item_id)
        assert (shown["language"], shown["preset"]) == (language, preset)
    lab.kill_all()
