"""Two versions of the program at one PostgreSQL, with real workers: nothing is lost or done twice.

The newer version is this one with one more change of the schema. The cheap cases are in
`tests/database/test_other_versions.py`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.database.migrations import MIGRATIONS
from kb.errors import LibraryError
from kb.settings import PROJECT_ROOT
from tests.support.machines import Machines, machines_of
from tests.support.postgres import database_url, execute, server
from tests.support.raising import raises
from tests.support.waiting import WAIT_S
from tests.support.workers import write_talks

pytestmark = pytest.mark.long

__all__ = ["database_url", "server"]

NEWER = """
import sys
import sqlalchemy as sa
from kb.database import database
change = sa.text("ALTER TABLE kb_items ADD COLUMN later TEXT")
database.MIGRATIONS = [*database.MIGRATIONS, lambda connection: connection.execute(change)]
from kb import cli
cli.main(sys.argv[1:])
"""


@pytest.fixture
def machines(database_url: str, tmp_path: Path) -> Iterator[Machines]:
    with machines_of(database_url, tmp_path / "lab") as found:
        yield found


def newer(machines: Machines, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the newer version."""
    return subprocess.run(
        [sys.executable, "-c", NEWER, *arguments], env=machines.lab.environment(),
        cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False,
    )  # fmt: skip


def test_an_update_with_work_in_progress(machines: Machines) -> None:
    lab = machines.lab
    ids = lab.ingest(write_talks(lab.folder / "in", 4, words=8))
    machines.start("one")
    # An item may be begun and done between two looks.
    lab.wait(
        lambda: any(each.state in ("running", "done") for each in lab.states(ids).values()),
        "work in progress",
    )

    # A newer version that this worker's machine does not know: it takes no further items.
    execute(machines.url, "INSERT INTO kb_schema VALUES (999, 0)")
    lab.wait(
        lambda: any("newer version" in lane.reason for lane in lab.jobs.lanes()),
        "the worker says that it takes no items",
    )
    with raises(LibraryError, "database.newer_server", done=999, known=len(MIGRATIONS)):
        lab.ingest(write_talks(lab.folder / "more", 1))
    execute(machines.url, "DELETE FROM kb_schema WHERE version = 999")
    lab.wait(lambda: not lab.jobs.lanes(), "the worker goes on")

    # The newer version changes nothing while the older one is at work, and says why.
    refused = newer(machines, "status")
    assert refused.returncode != 0 and "one (" in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr
    stopped = newer(machines, "worker", "--stop")
    assert stopped.returncode == 0, stopped.stderr
    machines.wait_alive()
    assert newer(machines, "status").returncode == 0

    # The rest is done by the newer version, each item once; the older one is refused.
    machines.start_as("two", program=NEWER)
    machines.require_complete(ids)
    old = lab.kb("status", check=None)
    assert old.returncode != 0 and "newer version" in old.stderr, old.stderr
