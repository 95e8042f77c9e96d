"""Every command answers within 15 s whatever the database does, and says what it waits for.

The commands are those of the parser: a new one is among them by itself. Its arguments are taken
from `VALUES` by their names; an unknown one is the id of an item.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer

from kb.cli.application import application
from kb.database.tables import metadata
from kb.service import Service
from kb.settings import get_settings
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.forked_commands import run_forked
from tests.support.library_pages import HARBOUR, add_item
from tests.support.postgres import connected, new_database, server
from tests.support.workers import NO_SETTINGS

app = application()

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and /proc"),
]

__all__ = ["server"]

ANSWER_S = 15.0
# Arguments by the name of the parameter; {…} are places of the library.
VALUES = {
    "sources": "{talks}", "source": "{talks}", "target": "{out}/backup", "paths": "{medium}",
    "file": "{medium}", "channel": "channel:UC0123456789abcdefghijkl", "wrong": "harbour",
    "right": "harbor", "query": "harbour", "question": "where?", "start": "0", "end": "1",
    "format": "txt", "to": "sqlite", "name": "large-v3", "names": "demo",
}  # fmt: skip
OWN: dict[tuple[str, ...], list[str]] = {
    ("restore",): ["{out}/none.zip"],
    ("enrich",): ["--all", "--steps", "speakers"],
    ("models", "add"): ["speakers"],
    ("verify",): [],
    ("video",): ["{item}", "--captions", "--soft", "-o", "{out}/film.mp4"],
    ("keys", "add"): ["me"],
    ("keys", "revoke"): ["me"],
}
# They serve until they are ended, and have no answer to give.
ENDLESS = {("app",), ("serve",), ("mcp",)}
# A move of millions of rows takes minutes: it says that it waits.
LONG_WORK = {("move-queue",)}
# They read and write many files before they ask the server, and wait for the disk meanwhile.
READ_FILES = {("reindex",), ("verify",), ("backup",)}
DISK_S = 15.0
FEWEST = 15  # commands that meet the fault
# They use no database: what they do is on this machine alone.
WITHOUT_DATABASE = {
    ("calibrate",), ("presets",), ("transcribe",), ("models",), ("models", "pull"), ("health",),
    ("models", "add"), ("models", "verify"), ("models", "remove"), ("models", "pause"),
    ("models", "cancel"),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A library with one item on a server."""

    folder: Path
    url: str
    item_id: str

    def environment(self, url: str) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if name not in NO_SETTINGS}
        return {
            **clean, "KB_HOME": str(self.folder / "home"), "KB_DATABASE_URL": url,
            "KB_MODEL": "demo", "KB_STEPS": "none", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
            "XDG_STATE_HOME": str(self.folder / "state"),
        }  # fmt: skip

    def filled(self, text: str) -> str:
        return text.format(
            talks=self.folder / "talks", out=self.folder / "out", medium=HARBOUR,
            item=self.item_id,
        )  # fmt: skip


@pytest.fixture(scope="module")
def place(server: str, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("silent")
    for name in ("talks", "out"):
        (folder / name).mkdir()
    (folder / "talks" / "harbour.mp4").write_bytes(HARBOUR.read_bytes())
    url = new_database(server)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in Place(folder, url, "").environment(url).items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        item_id = add_item()
        Service().close()
    get_settings.cache_clear()
    return Place(folder, url, item_id)


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return every command of the parser by its words."""
    below = getattr(command, "commands", None)
    for name, each in (below or {}).items():
        yield from leaves(each, (*path, name))
    if path and (not below or command.invoke_without_command):
        yield path, command


COMMANDS = dict(leaves(typer.main.get_command(app)))


def words_of(path: tuple[str, ...], place: Place) -> list[str]:
    """Return a command with its arguments."""
    if path in OWN:
        return [*path, *map(place.filled, OWN[path])]
    words, given = [*path], []
    for each in COMMANDS[path].params:
        value = place.filled(VALUES.get(each.name, "{item}"))
        if each.param_type_name == "argument":
            given.append(value)
        elif each.required:
            words += [each.opts[0], value]
    return [*words, *(given if path != ("models",) else [])]


@contextmanager
def swallowed(place: Place) -> Iterator[str]:
    """A network that accepts connections and passes nothing on."""
    with DatabaseProxy.before(place.url) as proxy:
        proxy.swallow()
        yield proxy.url(place.url)


@contextmanager
def swallowed_later(place: Place) -> Iterator[str]:
    """A network that ends to pass anything on after the first answers of each connection."""
    with DatabaseProxy.before(place.url) as proxy:
        proxy.passes_bytes = 3_000
        yield proxy.url(place.url)


@contextmanager
def locked(place: Place) -> Iterator[str]:
    """Another session holds every table of the library."""
    with connected(place.url) as connection:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(sa.text("BEGIN"))
        connection.execute(sa.text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
        yield place.url
        connection.execute(sa.text("ROLLBACK"))


FAULTS = {"swallowed": swallowed, "swallowed later": swallowed_later, "locked": locked}


# Words of the answers; pg_dump, which may be older than the server, is named by `kb backup`.
SAID = ("cannot be reached", "no answer in", "holds kb_", "timeout expired", "pg_dump")


@pytest.mark.parametrize("fault", FAULTS)
def test_every_command_answers(place: Place, fault: str) -> None:
    paths = [path for path in COMMANDS if path not in ENDLESS | WITHOUT_DATABASE]
    with FAULTS[fault](place) as url:
        answers = run_forked(
            [words_of(path, place) for path in paths], place.environment(url),
            place.folder / "out", 3 * ANSWER_S,
        )  # fmt: skip
    assert len(answers) == len(paths)
    wrong = []
    for each in answers:
        says_so = any(words in each.output for words in SAID)
        waits = each.command[:1] in LONG_WORK and "has not answered for" in each.output
        limit_s = ANSWER_S + (DISK_S if each.command[:1] in READ_FILES else 0.0)
        answered = each.code is not None and each.waited_s <= limit_s
        # 0: nothing was needed of the server; 2: an argument was refused before it was.
        clear = each.code in (0, 2) or says_so
        if not (waits or (answered and clear)) or "Traceback" in each.output:
            wrong.append(each)
    assert not wrong, wrong
    named = sum(any(words in each.output for words in SAID) for each in answers)
    assert named >= FEWEST, f"the fault reached {named} commands only"
