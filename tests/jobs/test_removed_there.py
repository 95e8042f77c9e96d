"""Documents that were removed in the remote project: the comparison says so, and nothing before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import deliveries
from kb.jobs.queue.outbox_states import FAILED, QUEUED, SYNCED
from kb.service import Service
from kb.settings import Settings
from kb.sinks import REMOTE
from tests.fakes.odin import FakeOdin
from tests.jobs.test_left_out import add_transcribed
from tests.support.items import item

KEPT, GONE = item(1), item(2)


@pytest.fixture
def odin(tmp_path: Path) -> Iterator[FakeOdin]:
    with FakeOdin(tmp_path / "odin", index_s=0.01, delete_s=0.01) as service:
        yield service


@pytest.fixture
def service(tmp_path: Path, odin: FakeOdin) -> Iterator[Service]:
    """A library whose two items are in the project; one is removed there."""
    made = Service(Settings(home=tmp_path / "home", **odin.settings()))
    made.library.prepare()
    for each in (KEPT, GONE):
        add_transcribed(made, each)
    assert made.publisher.publish(REMOTE, [KEPT.id, GONE.id]).ok
    assert states(made) == {KEPT.id: SYNCED, GONE.id: SYNCED}
    for name, row in list(odin.documents().items()):
        if json.loads(row["metadata"]).get("id") == GONE.id:
            odin.delete(name)
    while len(odin.documents()) > 1:
        pass
    yield made
    made.close()


def states(service: Service) -> dict[str, str]:
    entries = [service.items.entry(KEPT.id), service.items.entry(GONE.id)]
    return {i: each.status for i, each in service.publisher.states(entries).items()}


def change(service: Service, **values: object) -> None:
    own = sa.and_(deliveries.c.sink == REMOTE, deliveries.c.item_id == GONE.id)
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(deliveries).where(own).values(**values))


def test_a_comparison_records_what_is_gone_and_a_sync_sends_it_again(service: Service) -> None:
    assert states(service)[GONE.id] == SYNCED  # nothing has asked the project since
    plan = service.publisher.plan()
    assert [step.kind for step in plan.steps] == ["missing"]
    assert states(service) == {KEPT.id: SYNCED, GONE.id: FAILED}
    found = service.publisher.states([service.items.entry(GONE.id)])[GONE.id]
    assert (found.problem or {}).get("code") == "publish.removed_there"
    entry = service.library.find(GONE.id)
    assert entry is not None and entry.published[REMOTE]["status"] == FAILED
    assert service.publisher.plan().steps == plan.steps  # and once more
    assert service.publisher.apply(plan).ok
    assert states(service) == {KEPT.id: SYNCED, GONE.id: SYNCED}


@pytest.mark.parametrize(
    ("status", "project", "later"),
    [
        (QUEUED, None, False),
        ("sending", None, False),
        ("waiting", None, False),
        ("held", None, False),
        ("cancelled", None, False),
        ("failed", None, False),
        ("syncing", None, False),
        (SYNCED, "another project", False),
        (SYNCED, None, True),  # sent while the project was listed
    ],
)
def test_only_what_was_in_this_project_before_is_called_removed(
    service: Service, status: str, project: str | None, later: bool
) -> None:
    change(service, status=status, **({"project": project} if project else {}))
    if later:
        change(service, updated_at=4e9)
    before = service.publisher.states([service.items.entry(GONE.id)])[GONE.id]
    service.publisher.plan()
    after = service.publisher.states([service.items.entry(GONE.id)])[GONE.id]
    assert (after.status, after.problem) == (before.status, before.problem)
