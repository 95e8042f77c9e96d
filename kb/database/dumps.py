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

from kb.errors import LibraryError, UsageError

PARTS: dict[str, list[str]] = {
    "database-kb.dump": ["--table=public.kb_*"],
    "database-queue.dump": ["--schema=dbos"],
}


def dump(url: str, folder: Path) -> dict[str, Path]:
    """Write the dumps to a folder; return them by name.

    Raises UsageError without pg_dump, LibraryError when it fails.
    """
    found = {}
    for name, choice in PARTS.items():
        if name == "database-queue.dump" and not _has_queue(url):
            continue
        target = folder / name
        _run("pg_dump", url, [*choice, "--format=custom", "--no-owner", f"--file={target}"])
        target.chmod(0o600)
        found[name] = target
    return found


def restore(url: str, files: list[Path]) -> None:
    """Replace the tables by those of dumps, each file in one transaction.

    Raises UsageError without pg_restore, LibraryError when it fails.
    """
    program("pg_restore")
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
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    try:
        return "dbos" in sa.inspect(engine).get_schema_names()
    except sa.exc.SQLAlchemyError as error:
        raise _failed("pg_dump", str(error).splitlines()[0]) from None
    finally:
        engine.dispose()


def _run(name: str, url: str, options: list[str]) -> None:
    parsed = sa.make_url(url).set(drivername="postgresql")
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
