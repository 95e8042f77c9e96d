"""Dumps of a PostgreSQL database by its own programs, pg_dump and pg_restore.

Two files, because the tables of the library and the tables of the queue's engine are in two
schemas, and other programs may have tables in the same database, which are left alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import sqlalchemy as sa

from kb.database.deadlines import FACE
from kb.database.postgres import NETWORK, postgres_engine, postgres_url
from kb.errors import LibraryError, UsageError

PARTS: dict[str, list[str]] = {
    "database-kb.dump": ["--table=public.kb_*"],
    "database-queue.dump": ["--schema=dbos"],
}

# Seconds for a lock that another session holds. A dump takes all its locks at its beginning.
LOCK_S = 10.0
_TABLES = sa.text(
    r"SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
    r"WHERE schemaname = 'dbos' OR (schemaname = 'public' AND tablename LIKE 'kb\_%') ORDER BY 1"
)


def dump(url: str, folder: Path) -> dict[str, Path]:
    """Write the dumps to a folder; return them by name.

    Raises UsageError without pg_dump, LibraryError when it fails.
    """
    found = {}
    for name, choice in PARTS.items():
        if name == "database-queue.dump" and not _has_queue(url):
            continue
        target = folder / name
        waits = f"--lock-wait-timeout={round(LOCK_S * 1000)}"
        options = [*choice, waits, "--format=custom", "--no-owner", f"--file={target}"]
        _run("pg_dump", url, options)
        target.chmod(0o600)
        found[name] = target
    return found


def restore(url: str, files: list[Path]) -> None:
    """Replace the tables by those of dumps, each file in one transaction.

    Raises UsageError without pg_restore, LibraryError when it fails.
    """
    program("pg_restore")
    _require_unlocked(url)
    for path in files:
        options = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
        _run("pg_restore", url, [*options, str(path)])


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL. Raises UsageError if it is missing."""
    found = shutil.which(name)
    if found is None:
        raise UsageError(
            "backup.no_program",
            "{name} is missing; without it a PostgreSQL database cannot be copied.",
            hint="Install PostgreSQL's client programs of the server's version (Debian: "
            "postgresql-client; Windows: the installer's command line tools), then try again.",
            name=name,
        )
    return found


def _has_queue(url: str) -> bool:
    engine = postgres_engine(url)
    try:
        return "dbos" in sa.inspect(engine).get_schema_names()
    except sa.exc.SQLAlchemyError as error:
        raise _failed("pg_dump", str(error).splitlines()[0]) from None
    finally:
        engine.dispose()


def _require_unlocked(url: str) -> None:
    """Raise LibraryError if another session holds a lock of a table that is to be replaced.

    pg_restore would wait for it for ever: a dump's first statements end the deadlines.
    """
    engine = postgres_engine(url)
    try:
        with engine.begin() as connection:
            names = connection.execute(_TABLES).scalars().all()
            for name in names:
                connection.exec_driver_sql(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
    except sa.exc.SQLAlchemyError as error:
        raise _failed("pg_restore", str(error).splitlines()[0]) from None
    finally:
        engine.dispose()


def _run(name: str, url: str, options: list[str]) -> None:
    """Run a program with the deadlines of our own connections."""
    parsed = postgres_url(url).set(drivername="postgresql")
    network = {name: str(value) for name, value in NETWORK.items()}
    parsed = parsed.set(query={**network, "connect_timeout": str(FACE.connect_s), **parsed.query})
    # The password must not be among the arguments, which every account can read.
    secret = {"PGPASSWORD": parsed.password} if parsed.password else {}
    address = parsed.set(password=None).render_as_string(hide_password=False)
    done = subprocess.run(
        [program(name), f"--dbname={address}", "--no-password", *options],
        env={**os.environ, **secret},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _failed(name, "; ".join(lines[:2]) or f"exit code {done.returncode}")


def _failed(name: str, reason: str) -> LibraryError:
    return LibraryError(
        "backup.program_failed",
        "{name} failed: {reason}.",
        hint="Check that the server is up and that {name} is of the server's version or newer.",
        name=name,
        reason=reason.rstrip("."),
    )
