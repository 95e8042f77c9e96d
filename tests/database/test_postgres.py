"""PostgreSQL: the first login and its errors, deadlines of every connection, PgBouncer."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database, items, postgres_engine
from kb.database.deadlines import FACE, Deadlines
from kb.database.postgres import is_pooled, postgres_url
from kb.errors import LibraryError
from kb.jobs.queue.client import JobQueue
from kb.library import Library
from kb.options import RunOptions
from kb.service.health_database import check_server
from kb.settings import PROJECT_ROOT, Settings
from kb.types import MediaItem
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.app_server import free_port
from tests.support.postgres import connected, database_url, execute, new_database, server
from tests.support.waiting import WAIT_S, until

pytestmark = pytest.mark.slow

__all__ = ["database_url", "server"]

# The server's deadlines are short; the client has time for the answers of a busy server.
QUICK = Deadlines(
    connect_s=20, lock_s=0.3, statement_s=0.6, idle_s=0.4, answer_s=20, pool=2, overflow=1
)
# The client's own deadlines, and none of the server's.
IMPATIENT = replace(QUICK, connect_s=2, lock_s=0, statement_s=0, idle_s=0, answer_s=1.5)


@pytest.fixture(scope="module")
def migrated(server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the tables of the library: its address."""
    url = new_database(server)
    Database.open(settings(tmp_path_factory.mktemp("home"), url)).close()
    return url


def settings(home: Path, url: str) -> Settings:
    return Settings(KB_HOME=str(home), KB_DATABASE_URL=url)


def as_role(url: str, role: str, password: str | None = None) -> str:
    found = sa.make_url(url).set(username=role, password=password)
    return found.render_as_string(hide_password=False)


def talk(number: int) -> MediaItem:
    return MediaItem(f"file:{number:012x}", "file", f"file:///{number}", f"Talk {number}", "")


def quick(url: str, deadlines: Deadlines = QUICK) -> Database:
    return Database(postgres_engine(url, deadlines))


@pytest.mark.parametrize(
    "spelling", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_every_spelling_of_the_address_is_accepted(migrated: str, spelling: str) -> None:
    url = migrated.replace("postgresql://", f"{spelling}://", 1)
    database = quick(f" {url}\n")
    with database.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(items)) == 0
    assert database.location.startswith("postgresql+psycopg://")
    database.close()


# The first login: each trouble has its own name and next step.


def no_password(server: str, url: str) -> str:
    execute(server, "CREATE ROLE locked LOGIN PASSWORD 'right'")
    with connected(server) as connection:
        hba = Path(str(connection.scalar(sa.text("SHOW hba_file"))))
        kept = hba.read_text()
        if "locked" not in kept:
            hba.write_text(f"local all locked scram-sha-256\n{kept}")
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    return as_role(url, "locked", "wrong")


def unknown_role(server: str, url: str) -> str:
    return as_role(url, "not_there")


def unknown_database(server: str, url: str) -> str:
    return sa.make_url(url).set(database="not_there").render_as_string(hide_password=False)


def no_tables(server: str, url: str) -> str:
    execute(server, "CREATE ROLE guest LOGIN")
    return as_role(new_database(server), "guest")


def no_rows(server: str, url: str) -> str:
    execute(server, "CREATE ROLE stranger LOGIN")
    return as_role(url, "stranger")


def reader(server: str, url: str) -> str:
    execute(
        server, "CREATE ROLE reader LOGIN SUPERUSER",
        "ALTER ROLE reader SET default_transaction_read_only = on",
    )  # fmt: skip
    return as_role(new_database(server), "reader")


def no_slots(server: str, url: str) -> str:
    execute(server, "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    return as_role(url, "crowded")


def no_tls(server: str, url: str) -> str:
    with DatabaseProxy.before(url) as proxy:
        return f"{proxy.url(url)}?sslmode=require"


@pytest.mark.parametrize(
    ("trouble", "code", "passes"),
    [
        (no_password, "database.login", False),
        (unknown_role, "database.login", False),
        (unknown_database, "database.login", False),
        (no_tables, "database.rights", False),
        (no_rows, "database.rights", False),
        (reader, "database.read_only", True),
        (no_slots, "database.no_slots", True),
    ],
)
def test_the_first_login(
    server: str, migrated: str, tmp_path: Path, trouble: Callable[[str, str], str], code: str,
    passes: bool,
) -> None:  # fmt: skip
    url = trouble(server, migrated)
    with pytest.raises(LibraryError) as caught:
        Database.open(settings(tmp_path, url))
    error = caught.value
    assert (error.code, error.retryable) == (code, passes)
    assert "wrong" not in f"{error}{error.hint}{error.values}".replace("wrong password", "")
    assert not any(word in error.hint for word in ("reindex", "KB_HOME", "move the file"))


def test_a_server_without_tls_is_named(migrated: str, tmp_path: Path) -> None:
    with DatabaseProxy.before(migrated) as proxy, pytest.raises(LibraryError) as caught:
        Database.open(settings(tmp_path, f"{proxy.url(migrated)}?sslmode=require"))
    assert caught.value.code == "database.tls"


def test_an_address_may_set_its_own_deadlines(migrated: str) -> None:
    url = f"{migrated}&options=-c%20statement_timeout%3D1234ms&connect_timeout=3"
    database = Database(postgres_engine(url, FACE))
    with database.begin() as connection:
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "1234ms"
        assert connection.scalar(sa.text("SHOW lock_timeout")) == "5s"
    assert not is_pooled(database.engine)
    database.close()


# Deadlines


def ends_with(code: str, action: Callable[[], object]) -> LibraryError:
    """Return the error with this code that the action raises; without a deadline it would hang."""
    with pytest.raises(LibraryError) as caught:
        action()
    assert caught.value.code == code, caught.value
    return caught.value


def read(database: Database) -> object:
    with database.begin() as connection:
        return connection.execute(sa.select(items)).all()


def can_read(database: Database) -> bool:
    try:
        return read(database) == []
    except LibraryError as error:
        assert error.code == "database.lock_held", error
        return False


@pytest.mark.parametrize(
    "lock",
    ["LOCK TABLE kb_items IN ACCESS EXCLUSIVE MODE", "LOCK TABLE kb_items IN EXCLUSIVE MODE"],
)
def test_a_lock_of_another_session_is_named(migrated: str, lock: str) -> None:
    database = quick(migrated)
    engine = postgres_engine(f"{migrated}&application_name=an-old-browser", FACE)

    def change() -> None:
        with database.begin() as connection:
            connection.execute(sa.update(items).values(title="x"))

    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.exec_driver_sql(lock)
        time.sleep(1.05)
        error = ends_with("database.lock_held", change)
    assert error.retryable
    assert "an-old-browser" in error.message and "kb_items" in error.message
    read(database)
    engine.dispose()
    database.close()


def test_a_statement_that_takes_long_ends(migrated: str) -> None:
    database = quick(migrated)

    def sleep() -> None:
        with database.begin() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(600)")

    ends_with("database.slow", sleep)
    with database.begin(replace(QUICK, statement_s=60)) as connection:
        connection.exec_driver_sql("SELECT pg_sleep(0.9)")
    ends_with("database.slow", sleep)  # the longer deadline was for one transaction
    database.close()


def test_a_frozen_session_loses_its_locks(migrated: str) -> None:
    frozen, other = quick(migrated), quick(migrated)
    with pytest.raises(LibraryError) as caught, frozen.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE kb_items IN ACCESS EXCLUSIVE MODE")
        until(lambda: can_read(other), "the end of the frozen session")
        connection.execute(sa.select(items))
    assert caught.value.code == "database.unreachable" and caught.value.retryable
    assert read(frozen) == []
    frozen.close()
    other.close()


@pytest.mark.parametrize("moment", ["before the login", "between", "within a transaction"])
def test_a_network_that_swallows_is_noticed(migrated: str, moment: str) -> None:
    """The proxy confirms the data of the client, so that only the client's own deadline acts."""
    with DatabaseProxy.before(migrated) as proxy:
        database = quick(proxy.url(migrated), IMPATIENT)
        if moment != "before the login":
            assert read(database) == []

        def work() -> None:
            with database.begin() as connection:
                if moment == "within a transaction":
                    connection.execute(sa.select(items))
                proxy.swallow()
                connection.execute(sa.select(items))

        if moment == "between" or moment == "before the login":
            proxy.swallow()
            ends_with("database.unreachable", lambda: read(database))
        else:
            ends_with("database.unreachable", work)
        proxy.heal()
        assert read(database) == []
        database.close()


def test_the_requests_after_a_silence_wait_for_less(migrated: str) -> None:
    """A command has several requests, and answers in the time of one.

    One that had less time does not let the next ones have less: a server that is slow, and not
    silent, would be refused for as long as it is asked.
    """
    patient = replace(IMPATIENT, connect_s=20, answer_s=3.0, again_s=1)
    with DatabaseProxy.before(migrated) as proxy:
        database, said, noted = quick(proxy.url(migrated), patient), [], []
        with ExitStack() as stack:
            opened = [stack.enter_context(database.engine.connect()) for _ in range(2)]
            for connection in opened:
                connection.execute(sa.select(items))
            silence = opened[0].connection.dbapi_connection.silence
            proxy.swallow()
            for connection in opened:
                with pytest.raises(sa.exc.OperationalError) as caught:
                    connection.execute(sa.select(items))
                said.append(str(caught.value.orig).rpartition("no answer in ")[2])
                noted.append(silence.at)
                connection.invalidate()
            silence.note()
            noted.append(silence.at)
            with pytest.raises(sa.exc.OperationalError, match="timeout"):
                database.engine.connect()  # this one waits for less, too
            noted.append(silence.at)
        assert said == ["3 s", "1 s"]
        assert noted[0] == noted[1] and noted[2] == noted[3]
        database.close()


def test_a_cut_is_noticed_at_once_and_heals(migrated: str) -> None:
    with DatabaseProxy.before(migrated) as proxy:
        database = quick(proxy.url(migrated))
        assert read(database) == []
        proxy.drop_connections()
        assert read(database) == []  # the connection is tried before it is used
        proxy.cut()
        ends_with("database.unreachable", lambda: read(database))
        proxy.heal()
        assert read(database) == []
        database.close()


def test_the_deadlines_of_commands_leave_time_for_their_message() -> None:
    """A silent connection, then two more requests: below 15 s together."""
    assert 0 < 2 * FACE.again_s < 15 - FACE.answer_s
    assert FACE.answer_s + FACE.connect_s < 15
    assert FACE.lock_s < FACE.statement_s < FACE.answer_s


def test_the_address_keeps_its_other_parts() -> None:
    url = postgres_url("postgres://kb:p%40ss@db:6432/kb?sslmode=verify-full&sslrootcert=/ca.pem")
    assert url.password == "p@ss" and url.port == 6432
    assert url.query == {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}


# PgBouncer


@pytest.fixture(scope="module")
def bouncer(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start PgBouncers before the server: a function of pool mode and options to an address."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        text = "PgBouncer is missing: apt-get install pgbouncer"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    started = []
    # PgBouncer does not run as root, and another account has no way to the folder of the tests.
    with ExitStack() as stack:
        proxy = stack.enter_context(DatabaseProxy.before(server))

        def start(mode: str, *lines: str) -> str:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)
            port = free_port()
            (folder / "users.txt").write_text('"postgres" ""\n')
            (folder / "pgbouncer.ini").write_text(
                "[databases]\n"
                f"* = host=127.0.0.1 port={proxy.port}\n"
                "[pgbouncer]\n"
                f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\n"
                f"auth_file = {folder}/users.txt\npool_mode = {mode}\n"
                # In this mode each client keeps a connection of the server.
                f"default_pool_size = {30 if mode == 'session' else 3}\n"
                "unix_socket_dir =\n" + "\n".join(lines) + "\n"
            )
            account = ["-u", "nobody"] if os.geteuid() == 0 else []
            command = [program, "-q", *account, str(folder / "pgbouncer.ini")]
            quiet = subprocess.DEVNULL
            started.append(subprocess.Popen(command, stdout=quiet, stderr=quiet))
            return f"postgresql://postgres@127.0.0.1:{port}/"

        yield start
        for process in started:
            process.kill()
            process.wait()


def through(bouncer: Callable[..., str], url: str, mode: str, *lines: str) -> str:
    """Return the address of a database through a new PgBouncer that answers."""
    found = sa.make_url(bouncer(mode, *lines)).set(database=sa.make_url(url).database)

    def answers() -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", found.port or 0)).close()
            return True
        return False

    until(answers, "PgBouncer")
    return found.render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("mode", "lines"),
    [
        ("transaction", ()),
        ("transaction", ("ignore_startup_parameters = options",)),
        ("session", ()),
    ],
    ids=["transaction", "options dropped", "session"],
)
def test_a_pooler_keeps_the_deadlines_and_no_lock_stays(
    bouncer: Callable[..., str], server: str, tmp_path: Path, mode: str, lines: Sequence[str]
) -> None:
    """A new database is made through the pooler by several clients, each with several threads."""
    direct = new_database(server)
    url = through(bouncer, direct, mode, *lines)
    queues = [JobQueue(settings(tmp_path, url), Library(tmp_path)) for _ in range(3)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        queue = queues[number % 3]
        try:
            for turn in range(4):
                ids, _ = queue.submit([talk(10 * number + turn)], RunOptions())
                assert queue.items.claim(ids[0], 1, "me") is not None
                assert queue.cancel(ids) == ids
                assert queue.retry(ids) == ids
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert errors == []
    assert queues[0].counts()["queued"] == 24
    assert is_pooled(queues[0].database.engine)
    with queues[0].database.begin() as connection:
        assert connection.scalar(sa.text("SHOW lock_timeout")) == "5s"
    with connected(direct) as connection:
        for table, column in (("pg_locks WHERE locktype =", "advisory"),
                              ("pg_prepared_statements WHERE name <>", "")):  # fmt: skip
            query = sa.text(f"SELECT count(*) FROM {table} :value")
            assert connection.scalar(query, {"value": column}) == 0
    for queue in queues:
        queue.close()


def test_a_pooler_that_shares_statements_is_refused(
    bouncer: Callable[..., str], server: str, tmp_path: Path
) -> None:
    url = through(bouncer, new_database(server), "statement")
    with pytest.raises(LibraryError) as caught:
        Database.open(settings(tmp_path, url))
    assert caught.value.code == "database.pooler_mode"


def test_a_pooler_without_the_database_is_named(
    bouncer: Callable[..., str], tmp_path: Path
) -> None:
    """A database that the server does not have: PgBouncer says so, and keeps the client."""
    absent = "postgresql://postgres@/not_there"
    url = through(bouncer, absent, "transaction", "server_login_retry = 1")
    with pytest.raises(LibraryError) as caught:
        Database.open(settings(tmp_path, url))
    assert caught.value.code in ("database.login", "database.unreachable")


def test_the_script_of_the_documents_gives_the_rights_that_are_needed(
    server: str, tmp_path: Path
) -> None:
    """It is run twice; then a library is made by the role, and nothing that needs more."""
    program = shutil.which("psql")
    # Debian's packages beside the client bring a script of this name that looks for a client.
    if program is None or subprocess.run([program, "--version"], capture_output=True).returncode:
        pytest.skip("psql is missing: apt-get install postgresql-client")
    script = PROJECT_ROOT / "docs" / "postgresql.sql"
    for _ in range(2):
        done = subprocess.run(
            [program, "-v", "ON_ERROR_STOP=1", "-v", "password='a word'", "-f", script, server],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    url = as_role(server, "kb", "a word").replace("/postgres?", "/kb?")
    execute(server, "ALTER ROLE kb NOSUPERUSER NOCREATEDB NOCREATEROLE")
    queue = JobQueue(settings(tmp_path, url), Library(tmp_path))
    assert queue.submit([talk(1)], RunOptions())[0] == [talk(1).id]
    queue.close()
    (check,) = check_server(settings(tmp_path, url))
    assert check.state == "ok"
