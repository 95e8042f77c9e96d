"""Engines and models that waiting items need and some machine lacks, and which machine has them.

Each worker records its answer about every such need in its own row (`kb.jobs.worker.serving`): the
code of the error that an item would get there, empty if it would be transcribed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kb.database import Database, items, workers
from kb.database.repeating import repeated
from kb.jobs.queue import heartbeat
from kb.jobs.queue.item_states import WAITING
from kb.jobs.queue.request_settings import ASKED

# What a request asks for and a machine does not have: the item is not at fault.
OF_THIS_MACHINE = frozenset((
    "engine.unknown", "engine.not_installed", "engine.no_cublas", "engine.no_compiler",
    "model.unknown",  # a folder, which was there where it was asked for
    "model.aligner_missing", "models.other_aligner", "models.other_machine",
))  # fmt: skip
_SHOWN_IDS = 20


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """Engine and model of a request ("" for the default), and the error where it was tried."""

    engine: str
    model: str
    code: str

    @property
    def key(self) -> str:
        """The name of the need in a worker's row."""
        return "|".join((self.engine, self.model, self.code))


@dataclass(frozen=True, slots=True)
class UnmetNeed:
    """A need of waiting items; `lacking` and `having` are the names of live machines.

    Machines that have not answered are in neither. `ids` are some of the `count` items.
    """

    need: Need
    count: int
    ids: tuple[str, ...]
    lacking: tuple[str, ...]
    having: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the need as `kb status --json` shows it."""
        return {
            "engine": self.need.engine, "model": self.need.model, "code": self.need.code,
            "items": self.count, "ids": list(self.ids), "lacking": list(self.lacking),
            "having": list(self.having),
        }  # fmt: skip


def need_of(options: Mapping[str, Any], code: str) -> Need:
    """Return the need of a request, given the options of its row."""
    asked = (options.get(ASKED) or {}).get("settings") or {}
    engine, model = (str(asked.get(name) or options.get(name) or "") for name in _NAMES)
    return Need(engine, model, code)


_NAMES = ("engine", "model")


@repeated
def needs(database: Database) -> dict[Need, list[str]]:
    """Return the needs of items that wait because a machine lacks something, with their items.

    Raises LibraryError.
    """
    code = items.c.problem["code"].as_string()
    query = sa.select(items.c.id, items.c.options, code).where(
        items.c.state == WAITING, code.in_(sorted(OF_THIS_MACHINE))
    )
    found: dict[Need, list[str]] = {}
    with database.begin() as connection:
        for item_id, options, problem in connection.execute(query.order_by(items.c.id)):
            found.setdefault(need_of(options or {}, str(problem)), []).append(str(item_id))
    return found


def unmet_needs(database: Database) -> list[UnmetNeed]:
    """Return the needs of waiting items with the machines that lack and have what they ask for.

    Raises LibraryError.
    """
    wanted = needs(database)
    if not wanted:
        return []
    answers = {
        each.executor_id: dict(each.serves)
        for each in heartbeat.list_workers(database)
        if each.is_alive()
    }

    def named(key: str, *, has: bool) -> tuple[str, ...]:
        return tuple(
            name for name, own in sorted(answers.items()) if key in own and (not own[key]) == has
        )

    return [
        UnmetNeed(
            need, len(ids), tuple(ids[:_SHOWN_IDS]), named(need.key, has=False),
            named(need.key, has=True),
        )
        for need, ids in sorted(wanted.items())
    ]  # fmt: skip


def steps_elsewhere(database: Database, executor: str = "") -> frozenset[str]:
    """Return the steps after the words whose parts a live worker has, other than `executor`.

    Raises LibraryError.
    """
    found = heartbeat.list_workers(database)
    others = [each.steps for each in found if each.executor_id != executor and each.is_alive()]
    return frozenset().union(*others)


@repeated
def record_answers(
    database: Database, executor: str, answers: Mapping[str, str], steps: Sequence[str] = ()
) -> None:
    """Record a worker's answers in its row: the code of an error, or "", by the key of the need.

    `steps` are the steps after the words whose parts it has. Raises LibraryError.
    """
    own_row = workers.c.executor_id == executor
    with database.begin() as connection:
        facts = connection.scalar(sa.select(workers.c.facts).where(own_row).with_for_update())
        values = {**(facts or {}), "serves": dict(answers), "steps": list(steps)}
        connection.execute(sa.update(workers).where(own_row).values(facts=values))
