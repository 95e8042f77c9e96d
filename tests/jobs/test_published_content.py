"""“In step” is shown only while a knowledge base has the library's text, however it changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.database import MIGRATIONS, deliveries, publications
from kb.inference.process import InferenceProcess
from kb.jobs.queue.heartbeat import Heartbeat
from kb.jobs.queue.item_states import DONE
from kb.jobs.worker import chores
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_steps import ItemSteps
from kb.options import RunOptions
from kb.pipeline import stages
from kb.service import Service
from kb.settings import Settings
from kb.types import Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, Word
from tests.fakes.odin import FakeOdin

ITEM = MediaItem("youtube:aaaaaaaaaaa", "youtube", "https://youtu.be/a", "Talk", "2026-03-04",
                 channel="Harbour")  # fmt: skip


def transcript(words: str, covered: float = 1.0) -> Transcript:
    spoken = tuple(Word(float(n), n + 0.8, word, 0.99) for n, word in enumerate(words.split()))
    total = spoken[-1].end_s
    return Transcript(
        MediaRef("talk.m4a", "00" * 32, total), (Segment(0.0, total, words, spoken),), "en",
        "whisper", "demo", "optimiert", Coverage(total, covered * total), Timing(media_s=total),
    )  # fmt: skip


@pytest.fixture(scope="module")
def odin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeOdin]:
    with FakeOdin(tmp_path_factory.mktemp("odin")) as service:
        yield service


@pytest.fixture
def service(odin: FakeOdin, tmp_path: Path) -> Iterator[Service]:
    """A library with one item, whose text ODIN and the folder have."""
    settings = Settings(KB_HOME=str(tmp_path / "home")).replace(
        **{**odin.settings(), "odin_project_id": odin.settings()["odin_project_id"]}
    )
    made = Service(settings)
    stages.write(made.library, ITEM, transcript("the lantern burns before midnight"), 0.9)
    made.queue.adopt_folder()
    for sink in ("odin", "folder"):
        assert made.publisher.publish(sink, [ITEM.id]).ok
    yield made
    made.close()


@pytest.fixture
def context(service: Service) -> Iterator[WorkerContext]:
    database = service.queue.database
    beat = Heartbeat(service.settings, database)
    beat.acquire()
    process = InferenceProcess(service.settings, 1)
    yield WorkerContext(
        settings=service.settings, library=service.library, items=service.queue.items,
        client=service.queue._client, inference_process=process,
        inference_session=service.inference_session, heartbeat=beat,
        preparations=AdjustableSemaphore(1),
    )  # fmt: skip
    beat.release()
    process.close()


def states(service: Service) -> dict[str, str]:
    (status,) = service.items.statuses(ids=[ITEM.id])
    return {each.sink: each.status for each in status.publications if each.sink != "local"}


def exact(service: Service) -> Path:
    path = service.items.entry(ITEM.id).transcript_path
    assert path is not None
    return path


# Changes by this program: a publication is queued at once.


def edit(service: Service) -> None:
    service.revisions.edit(ITEM.id, 0, "the lantern burns after midnight")


def correct(service: Service) -> None:
    service.corrections.apply("Harbour", "lantern", "candle")


def edit_span(service: Service) -> None:
    service.revisions.edit_span(ITEM.id, 0.0, 1.5, "a candle")


def changed_file(service: Service) -> None:
    document = json.loads(exact(service).read_text())
    document["segments"][0]["text"] = "another text of another program"
    document["segments"][0]["words"] = []
    exact(service).write_text(json.dumps(document))


def changed_title(service: Service) -> None:
    path = service.library.path(service.items.entry(ITEM.id), ".json")
    document = json.loads(path.read_text())
    document["item"]["title"] = "Another title"
    path.write_text(json.dumps(document))


def written_by_pipeline(service: Service) -> None:
    stages.write(service.library, ITEM, transcript("read again by another model"), 0.9)


def damaged_and_repaired(service: Service) -> None:
    exact(service).write_text("{half")


@pytest.mark.parametrize("change", [edit, correct, edit_span])
def test_a_change_by_hand_is_queued(service: Service, change: Callable[[Service], None]) -> None:
    assert states(service) == {"folder": "synced", "odin": "synced"}
    change(service)
    (status,) = service.items.statuses(ids=[ITEM.id])
    found = {each.sink: each for each in status.publications if each.sink != "local"}
    assert {each.status for each in found.values()} == {"queued"}
    assert all(each.changed for each in found.values())


@pytest.mark.parametrize("change", [changed_file, changed_title, written_by_pipeline])
@pytest.mark.parametrize("by", ["worker", "reindex"])
def test_a_change_on_disk_is_seen_and_queued(
    service: Service, context: WorkerContext, change: Callable[[Service], None], by: str
) -> None:
    change(service)
    assert states(service) == {"folder": "changed", "odin": "changed"}
    shown = service.items.publications(service.items.entry(ITEM.id))
    assert {each.status for each in shown if each.sink != "local"} == {"changed"}
    if by == "worker":
        chores.follow_changes(context)
    else:
        service.search.reindex()
    assert states(service) == {"folder": "queued", "odin": "queued"}
    for sink in ("odin", "folder"):
        assert service.publisher.publish(sink, [ITEM.id]).ok
    assert states(service) == {"folder": "synced", "odin": "synced"}


def test_a_transcript_made_from_its_text_is_queued(service: Service) -> None:
    damaged_and_repaired(service)
    service.search.reindex()
    assert states(service) == {"folder": "queued", "odin": "queued"}


def test_what_has_not_changed_stays_in_step(service: Service, context: WorkerContext) -> None:
    exact(service).write_bytes(exact(service).read_bytes())
    service.library.amend(ITEM.id, {"note": "of another program"})
    chores.follow_changes(context)
    service.search.reindex()
    assert states(service) == {"folder": "synced", "odin": "synced"}


def test_a_text_put_back_is_in_step_again(service: Service) -> None:
    before = exact(service).read_bytes()
    changed_file(service)
    assert states(service)["odin"] == "changed"
    exact(service).write_bytes(before)
    assert states(service)["odin"] == "synced"


@pytest.mark.parametrize("covered", [1.0, 0.5])
def test_transcribed_again_for_the_index_alone(
    service: Service, context: WorkerContext, covered: float
) -> None:
    """The knowledge bases that have the old text get the new one, unless it is held."""
    service.queue.submit([ITEM], RunOptions(again=True, sinks=("local",)))
    (row,) = service.queue.rows([ITEM.id])
    assert context.items.claim(ITEM.id, row.serial, context.executor)
    new = replace(transcript("read again by another model", covered))
    stages.write(service.library, ITEM, new, 0.9, run=row.run)
    ItemSteps(context, ITEM.id, row.serial).publish()
    done = covered == 1.0
    assert (service.items.status(ITEM.id).state == DONE) == done
    expected = "queued" if done else "held"
    assert states(service) == {"folder": expected, "odin": expected}
    (status,) = service.items.statuses(ids=[ITEM.id])
    assert all(each.changed for each in status.publications if each.sink != "local")


def test_a_cancelled_publication_stays_cancelled(service: Service, context: WorkerContext) -> None:
    service.queue.send(ITEM.id, ["odin", "folder"])
    service.queue.cancel_publications([ITEM.id])
    changed_file(service)
    chores.follow_changes(context)
    assert states(service) == {"folder": "cancelled", "odin": "cancelled"}
    (status,) = service.items.statuses(ids=[ITEM.id])
    assert all(each.changed for each in status.publications if each.sink != "local")


# Another project of the same knowledge base

OTHER = "another-project"


def with_project(service: Service, project: str) -> Service:
    return Service(service.settings.replace(odin_project_id=project))


def forget_column(service: Service) -> None:
    """Make the table of the version before, which did not record the project."""
    with service.queue.database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE kb_deliveries DROP COLUMN project"))
        before = next(n for n, m in enumerate(MIGRATIONS) if m.__name__ == "_delivery_projects")
        connection.execute(sa.text(f"DELETE FROM kb_schema WHERE version > {before}"))


def forget_everything(service: Service) -> None:
    """Make the rows of a version that kept no record of what was sent where."""
    forget_column(service)
    with service.queue.database.begin() as connection:
        connection.execute(sa.delete(publications))


def lose_database(service: Service) -> None:
    database = service.queue.database.path
    assert database is not None
    service.close()
    for path in database.parent.glob("kb.sqlite*"):
        path.unlink()


@pytest.mark.parametrize(
    ("before", "in_other"),
    [
        (lambda _: None, "missing"),
        (forget_column, "missing"),  # known from the record of what was sent
        (lose_database, "missing"),  # known from the item's metadata
        (forget_everything, "synced"),  # not recorded: as before
    ],
)
def test_an_item_is_in_step_only_in_the_project_that_has_it(
    service: Service, before: Callable[[Service], object], in_other: str
) -> None:
    project = service.settings.odin_project_id
    before(service)
    service.close()
    for name, status in ((OTHER, in_other), (project, "synced")):
        looking = with_project(service, name)
        assert states(looking) == {"folder": "synced", "odin": status}, name
        counts = looking.queue.outbox.counts()
        assert counts["odin"] == {status: 1} and counts["folder"] == {"synced": 1}
        entry = looking.items.entry(ITEM.id)
        shown = {each.sink: each.status for each in looking.items.publications(entry)}
        assert shown["odin"] == status
        looking.close()


def test_a_change_is_not_sent_to_a_project_that_never_had_the_item(service: Service) -> None:
    other = with_project(service, OTHER)
    edit(other)
    assert states(other)["folder"] == "queued" and states(other)["odin"] == "missing"
    (removed,) = other.removals.remove([ITEM.id])
    assert removed.stays_in == ("odin",)
    other.removals.undo([ITEM.id])
    other.close()
    assert states(service)["odin"] == "changed"


def test_sending_to_the_other_project_moves_the_record(service: Service, odin: FakeOdin) -> None:
    with with_project(service, OTHER).queue.database.begin() as connection:
        connection.execute(sa.update(deliveries).values(project=OTHER))
    assert states(service)["odin"] == "missing"
    assert service.publisher.publish("odin", [ITEM.id]).ok
    assert states(service)["odin"] == "synced"
