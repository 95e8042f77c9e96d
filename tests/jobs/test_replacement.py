"""A whole file takes the place of the item that has only its beginning, and loses nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.cli import run as kb
from kb.errors import KBError
from kb.jobs.queue.listing_jobs import listing_job, run_listing
from kb.jobs.queue.partial_files import REPLACES, parts_of
from kb.jobs.worker import chores
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_steps import ItemSteps, StepResult
from kb.library.trash import Trash
from kb.options import RunOptions
from kb.pipeline import stages
from kb.service import Service
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink
from kb.sinks.odin.sink import OdinSink
from kb.sources.listing.filters import VideoFilters
from tests.fakes.odin import FakeOdin
from tests.jobs.test_published_content import context, odin, transcript

__all__ = ["context", "odin"]

PART, WHOLE = b"first half" * 500, b"first half" * 500 + b"and the rest" * 500
SPOKEN = "the lantern burns before midnight"


@pytest.fixture
def service(odin: FakeOdin, tmp_path: Path) -> Iterator[Service]:
    settings = Settings(KB_HOME=str(tmp_path / "home")).replace(**odin.settings())
    made = Service(settings)
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.mp3"


def ingested(service: Service, path: Path, data: bytes, **options: bool) -> str:
    path.write_bytes(data)
    report = service.ingest.run([str(path)], RunOptions(**options))
    assert len(report.enqueued) == 1, report
    return report.enqueued[0]


def transcribed(
    service: Service, context: WorkerContext, item_id: str, words: str, covered: float = 1.0
) -> None:
    """Carry out the steps of a worker with a transcript of these words."""
    (row,) = service.queue.rows([item_id])
    assert context.items.claim(item_id, row.serial, context.executor)
    stages.write(
        service.library, row.item, transcript(words, covered), 0.9, run=row.run,
        parts=parts_of(row.item),
    )  # fmt: skip
    steps = ItemSteps(context, item_id, row.serial)
    assert steps.fetch() == steps.transcribe() == StepResult.CONTINUE
    steps.publish()


def partial(service: Service, context: WorkerContext, path: Path) -> str:
    item_id = ingested(service, path, PART)
    transcribed(service, context, item_id, SPOKEN)
    return item_id


def is_found(service: Service, *ids: str) -> bool:
    """Return whether exactly these items are in list, search and folder."""
    found = {hit.item_id for hit in service.search.run("lantern", limit=10).hits}
    assert found == {each.remote_id for each in LocalSink(service.settings).list()}
    assert found == {each.id for each in service.items.statuses() if each.state in ("done", "held")}
    return found == set(ids) == {each.item.id for each in service.items.listing().entries}


def test_the_whole_file_takes_the_place_when_it_is_done(
    service: Service, context: WorkerContext, path: Path
) -> None:
    part = partial(service, context, path)
    whole = ingested(service, path, WHOLE)
    assert parts_of(service.queue.rows([whole])[0].item) == (part,)
    assert is_found(service, part)  # its words can be searched until then
    transcribed(service, context, whole, f"{SPOKEN} and the harbour sleeps")
    assert is_found(service, whole)
    (removed,) = service.removals.listed()
    assert (removed.id, removed.replaced_by) == (part, whole)
    # It comes back beside the whole one, and a person's decision stays.
    service.removals.undo([part])
    assert is_found(service, part, whole)
    service.ingest.run([str(path)], RunOptions())
    again = ingested(service, path, WHOLE, again=True)
    assert again == whole and parts_of(service.queue.rows([whole])[0].item) == ()


def test_corrections_of_the_part_are_made_in_the_whole(
    service: Service, context: WorkerContext, path: Path
) -> None:
    part = partial(service, context, path)
    service.revisions.edit(part, 0, "the lantern burns after midnight")
    whole = ingested(service, path, WHOLE)
    transcribed(service, context, whole, f"{SPOKEN} and the harbour sleeps")
    text = " ".join(word.text for word in service.items.transcript(whole).words)
    assert text == "the lantern burns after midnight and the harbour sleeps"
    assert service.ingest.corrections([whole]) == {whole: 1}


def test_corrections_that_are_not_found_again_are_counted(
    service: Service, context: WorkerContext, path: Path
) -> None:
    part = partial(service, context, path)
    service.revisions.edit(part, 0, "the lantern burns after midnight")
    whole = ingested(service, path, WHOLE)
    transcribed(service, context, whole, "a lantern and quite other words")
    made = service.items.transcript(whole)
    assert any("1 corrections by hand" in each for each in made.warnings)
    assert [revision.run for revision in made.revisions] == [0]  # kept as a record
    assert service.ingest.corrections([whole]) == {}


@pytest.mark.slow
def test_the_remote_copy_is_replaced_too(
    service: Service, context: WorkerContext, path: Path
) -> None:
    part = partial(service, context, path)
    assert service.publisher.publish("odin", [part]).ok
    whole = ingested(service, path, WHOLE)  # not asked for: who has the part gets the whole
    transcribed(service, context, whole, SPOKEN)
    odin: OdinSink = service.publisher.odin
    assert odin.status(part).status == "missing"
    (row,) = [r for r in service.queue.outbox.for_items([whole])[whole] if r.sink == "odin"]
    assert row.status == "queued"
    assert service.publisher.publish("odin", [whole]).ok
    service.removals.undo([part])
    (row,) = [r for r in service.queue.outbox.for_items([part])[part] if r.sink == "odin"]
    assert row.status == "queued"


def test_an_unreachable_knowledge_base_does_not_stop_the_replacement(
    service: Service, context: WorkerContext, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = partial(service, context, path)
    assert service.publisher.publish("odin", [part]).ok
    whole = ingested(service, path, WHOLE)

    def refuse(*_: object) -> None:
        raise KBError("network.away", "Away.", retryable=True)

    monkeypatch.setattr(OdinSink, "delete", refuse)
    transcribed(service, context, whole, SPOKEN)
    assert is_found(service, whole)


def test_a_held_whole_file_takes_the_place_when_it_is_released(
    service: Service, context: WorkerContext, path: Path
) -> None:
    part = partial(service, context, path)
    whole = ingested(service, path, WHOLE)
    transcribed(service, context, whole, SPOKEN, covered=0.3)
    assert service.items.status(whole).state == "held"
    assert is_found(service, part, whole)
    service.review.accept(whole)
    assert is_found(service, whole)


BEFORE: dict[str, Callable[[Service, str], object]] = {
    "queued": lambda service, part: None,
    "paused": lambda service, part: service.queue.pause([part]),
    "cancelled": lambda service, part: service.queue.cancel([part]),
    "removed": lambda service, part: (
        service.queue.cancel([part]), service.removals.remove([part])
    ),
}  # fmt: skip


@pytest.mark.parametrize("state", BEFORE)
def test_a_part_without_a_transcript_goes_too(
    service: Service, context: WorkerContext, path: Path, state: str
) -> None:
    part = ingested(service, path, PART)
    BEFORE[state](service, part)
    whole = ingested(service, path, WHOLE)
    transcribed(service, context, whole, SPOKEN)
    assert is_found(service, whole)
    assert [each.id for each in service.items.statuses()] == [whole]
    assert service.queue.counts()["queued"] == 0


@pytest.mark.parametrize("corrected", [False, True])
def test_a_whole_file_that_is_done_already_replaces_at_once(
    service: Service, context: WorkerContext, path: Path, corrected: bool
) -> None:
    """As in a library of the version before, which only named the part."""
    part = partial(service, context, path)
    whole = ingested(service, path, WHOLE)
    (row,) = service.queue.rows([whole])
    extra = {key: value for key, value in row.item.extra.items() if key != REPLACES}
    context.items.stop([whole])
    service.queue.items.submit([replace(row.item, extra=extra)], {}, lambda *_: None)
    transcribed(service, context, whole, SPOKEN)
    assert is_found(service, part, whole)
    if corrected:
        service.revisions.edit(part, 0, "the lantern burns after midnight")
    (note,) = service.ingest.run([str(path)], RunOptions()).notes
    if not corrected:
        assert f"kb remove --undo {part}" in note
    else:  # corrections are not lost
        assert "--again" in note and is_found(service, part, whole)
        transcribed(service, context, ingested(service, path, WHOLE, again=True), SPOKEN)
        assert service.ingest.corrections([whole]) == {whole: 1}
    assert is_found(service, whole)


def test_an_item_cancelled_after_its_transcript_is_completed_without_its_medium(
    service: Service, context: WorkerContext, path: Path
) -> None:
    item_id = ingested(service, path, PART)
    (row,) = service.queue.rows([item_id])
    stages.write(service.library, row.item, transcript(SPOKEN), 0.9, run=row.run)
    service.queue.cancel([item_id])
    path.unlink()
    assert service.queue.retry([item_id]) == [item_id]
    (row,) = service.queue.rows([item_id])
    steps = ItemSteps(context, item_id, row.serial)
    assert [steps.fetch(), steps.transcribe()] == [StepResult.CONTINUE] * 2
    steps.publish()
    assert is_found(service, item_id)
    assert Trash(service.library).marks() == {}


def test_the_command_names_what_took_the_place(
    service: Service, context: WorkerContext, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = partial(service, context, path)
    whole = ingested(service, path, WHOLE)
    transcribed(service, context, whole, SPOKEN)
    assert kb(["remove", "--list"]) == 0
    shown = capsys.readouterr().out
    assert part in shown and whole in shown


class Killed(BaseException):
    """The end of the process at this point."""


def test_the_chore_completes_an_interrupted_undo_and_sends_again(
    service: Service, context: WorkerContext, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item_id = partial(service, context, path)
    assert service.publisher.publish("odin", [item_id]).ok
    service.removals.remove([item_id], remote=True)

    def ended(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(LocalSink, "publish", ended)
        with pytest.raises(Killed):
            service.removals.undo([item_id])
    chores.empty_trash(context)
    assert is_found(service, item_id)
    (row,) = [r for r in service.queue.outbox.for_items([item_id])[item_id] if r.sink == "odin"]
    assert row.status == "queued"
    assert service.removals.listed() == []


def listed_by_a_worker(context: WorkerContext, reference: Path) -> None:
    """Make a listing as a worker does that was asked for it, or that follows a folder."""
    run_listing(
        listing_job(str(reference), VideoFilters()), {}, context.source_factory, context.items,
        context.library, context.client.ingest, lambda: None, context.subscriptions,
    )  # fmt: skip


def test_a_listing_of_a_worker_names_the_part_of_a_whole_file(
    service: Service, context: WorkerContext, tmp_path: Path
) -> None:
    folder = tmp_path / "talks"
    folder.mkdir()
    path = folder / "talk.mp3"
    part = partial(service, context, path)
    path.write_bytes(WHOLE)
    listed_by_a_worker(context, folder)
    (whole,) = service.items.statuses(state="queued")
    assert parts_of(service.queue.rows([whole.id])[0].item) == (part,)


@pytest.mark.slow
def test_a_postponed_listing_leaves_removed_items_out_unless_it_names_one(
    service: Service, context: WorkerContext, tmp_path: Path
) -> None:
    folder = tmp_path / "talks"
    folder.mkdir()
    for number in (1, 2):
        (folder / f"talk {number}.mp3").write_bytes(bytes([number]) * 4096)
    ids = service.ingest.run([str(folder)], RunOptions()).enqueued
    service.queue.cancel(ids)
    service.removals.remove([ids[0]])
    title = service.removals.listed()[0].title
    listed_by_a_worker(context, folder)
    assert service.queue.rows([ids[0]]) == []
    listed_by_a_worker(context, folder / f"{title}.mp3")
    assert [row.state for row in service.queue.rows([ids[0]])] == ["queued"]
