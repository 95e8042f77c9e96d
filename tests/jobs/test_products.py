"""Products as work of the queue: made, kept, cancelled, superseded, and made with a full disk."""

from __future__ import annotations

import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kb.errors import KBError, LibraryError, UsageError
from kb.jobs.queue import outbox_queries, workflow_ids
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import DONE as ITEM_DONE
from kb.jobs.queue.step_states import (
    CANCELLED,
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    WAITING,
    StepRow,
    is_product,
    product_step,
    shown_step,
)
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.product_steps import ProductSteps
from kb.library import scratch
from kb.library.products import Product, Products
from kb.media import sha256_of
from kb.media.probe import probe
from kb.options import RunOptions
from kb.pipeline import products, stages
from kb.pipeline.product_order import DUB, EVIDENCE, Order
from kb.pipeline.product_picture import FETCHED, KEPT, WAVE
from kb.service.evidence import check_pack
from kb.service.products import time_left_s
from kb.types import MediaItem, MediaRef
from kb.video.reel import Stretch
from tests.fakes.media import FakeMedia
from tests.support import films
from tests.support.films import grey, spoken, tone
from tests.support.items import item
from tests.support.raising import raises

ITEM = item(1)
SHORT_ID = "abcdefghijk"
ONLINE = replace(item(2), id=f"youtube:{SHORT_ID}", source="youtube")
CAPTIONS = Order("captions", threads=1)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.make(
        tmp_path_factory.mktemp("film") / "talk.mp4", *grey(3, "320x180", 10), *tone(3)
    )


@pytest.fixture
def finished(context: WorkerContext, film: Path) -> WorkerContext:
    """A worker whose library has a finished item with a picture."""
    _finish(context, film)
    return context


def _finish(context: WorkerContext, medium: Path, item: MediaItem = ITEM) -> None:
    context.items.submit([item], RunOptions().as_dict(), lambda *_: None)
    assert context.items.claim(item.id, 1, context.executor) is not None
    digest = sha256_of(medium)
    entry = context.library.add_media(item, medium, sha256=digest)
    assert entry.media_path is not None
    words = spoken(["We have seen it", "and"])
    words = replace(words, media=MediaRef(entry.media_path.name, digest, 3.0))
    stages.write(context.library, item, words, 0.0)
    assert context.items.finish(item.id, 1, context.executor, ITEM_DONE)


def order(context: WorkerContext, wanted: Order = CAPTIONS, item: MediaItem = ITEM) -> str:
    step = product_step(wanted.kind, wanted.digest)
    context.steps.request([(step, item.id)], context.client.step, wanted.as_dict())
    return step


def row_of(context: WorkerContext, step: str, item: MediaItem = ITEM) -> StepRow:
    return next(row for row in context.steps.for_items([item.id])[item.id] if row.step == step)


def carry_out(context: WorkerContext, wanted: Order = CAPTIONS, item: MediaItem = ITEM) -> StepRow:
    step = order(context, wanted, item)
    ProductSteps(context, step, item.id, row_of(context, step, item).serial).run()
    return row_of(context, step, item)


def kept(context: WorkerContext, item: MediaItem = ITEM) -> list[Product]:
    entry = context.library.find(item.id)
    assert entry is not None
    return list(Products(context.settings.home, 5, 30).of_item(entry.stem))


def left(context: WorkerContext) -> list[str]:
    """Return the names of all that is in the folder of products, but whole products."""
    whole = {each.path.stem for each in kept(context)}
    folder = context.settings.home / "products"
    return [p.name for p in folder.rglob("*") if p.is_file() and p.stem not in whole]


# Orders


@pytest.mark.parametrize(
    "wanted",
    [
        CAPTIONS,
        Order("karaoke", "bold", "/a/still.png", "640x360", 2, suffix=".mkv", fetch=True),
        Order("reel", stretches=(Stretch(1, 2.5, 'It\'s "100 %" [1], {2}\n😀'),), length_s=9.0,
              words="karaoke"),
        Order(EVIDENCE, stretches=(Stretch(0.25, 3),), suffix=".zip"),
        Order(DUB, language="de", voice="espeak:de", voices=(("Ada", "espeak:de+f2"),)),
    ],
)  # fmt: skip
def test_an_order_is_the_same_after_the_queue(wanted: Order) -> None:
    assert Order.from_dict(wanted.as_dict()) == wanted
    assert replace(wanted, threads=7).digest == wanted.digest
    assert replace(wanted, size="320x180").digest != wanted.digest


@pytest.mark.parametrize(
    "values",
    [{}, {"kind": "opera"}, {"kind": "reel", "stretches": [[1, 2]]},
     {"kind": "reel", "stretches": [["a", 2, ""]]}, {"kind": "captions", "threads": "many"},
     {"kind": "reel", "length_s": []}, {"kind": "dub", "voices": [["Ada"]]},
     {"kind": "dub", "voices": 1}],
)  # fmt: skip
def test_an_unknown_order_is_refused(values: dict[str, object]) -> None:
    with raises(UsageError, "video.unknown_order"):
        Order.from_dict(values)


@pytest.mark.parametrize(
    "wanted",
    [Order(EVIDENCE, suffix=".zip"), Order(EVIDENCE, stretches=(Stretch(0, 1),)),
     Order("captions", suffix=".gif"), Order("captions", style="none"),
     Order("captions", size="big"), Order("soft", style="bold"), Order(DUB),
     Order(DUB, language="de", suffix=".zip")],
)  # fmt: skip
def test_an_order_that_cannot_be_is_refused(wanted: Order) -> None:
    with pytest.raises(UsageError):
        wanted.check()


# Rows


def test_products_have_a_lane_of_their_own(jobs: JobQueue) -> None:
    step = product_step("reel", "0123456789ab")
    assert is_product(step) and shown_step(step) == "reel"
    assert not is_product("recurring") and shown_step("sound") == "sound"
    for name, queue in ((step, workflow_ids.PRODUCT_QUEUE), ("sound", workflow_ids.STEP_QUEUE)):
        found = workflow_ids.queue_of(workflow_ids.step_id(name, ITEM.id, 7))
        assert found == queue and queue in workflow_ids.QUEUES
    jobs.request_steps([(step, ITEM.id), ("sound", ITEM.id)])
    assert jobs.steps.counts() == {"sound": {QUEUED: 1}}
    assert jobs.steps.product_counts() == {"reel": {QUEUED: 1}}
    # One product is cancelled, the step goes on.
    assert jobs.cancel_steps([ITEM.id], [step]) == [(step, ITEM.id)]
    assert jobs.steps.counts() == {"sound": {QUEUED: 1}}
    assert jobs.steps.product_counts() == {"reel": {CANCELLED: 1}}
    assert jobs.steps.forget_products(0) == 0
    assert jobs.steps.forget_products(jobs.database.time() + 10) == 1
    assert jobs.steps.counts() == {"sound": {QUEUED: 1}}


def test_a_publication_does_not_wait_for_a_product(context: WorkerContext) -> None:
    unfinished = str(outbox_queries.due(0.0, [])[1].compile(
        compile_kwargs={"literal_binds": True}
    ))  # fmt: skip
    assert "NOT LIKE 'make:%'" in unfinished


# Work


@pytest.mark.slow
def test_a_film_is_made_once_and_kept(finished: WorkerContext) -> None:
    assert carry_out(finished).status == DONE
    (made,) = kept(finished)
    assert probe(made.path).has_video and made.remarks == []
    assert made.about["kind"] == "captions" and made.about["picture_is"] == KEPT
    assert made.about["order"] == CAPTIONS.digest
    before = made.path.stat().st_ino
    assert carry_out(finished).status == DONE
    assert [each.path.stat().st_ino for each in kept(finished)] == [before]
    assert left(finished) == []


@pytest.mark.slow
def test_a_pack_is_made_and_says_what_it_is_of(finished: WorkerContext) -> None:
    wanted = Order(EVIDENCE, stretches=(Stretch(0.3, 2.0),), suffix=".zip")
    assert carry_out(finished, wanted).status == DONE
    (made,) = kept(finished)
    assert made.path.suffix == ".zip" and made.about["stretches"] == [[0.3, 2.0, ""]]
    assert left(finished) == []


@pytest.mark.slow
def test_a_sound_alone_is_drawn_as_a_wave_and_the_record_says_so(
    context: WorkerContext, tmp_path: Path
) -> None:
    _finish(context, films.make(tmp_path / "sound.m4a", *tone(3)))
    assert carry_out(context, replace(CAPTIONS, size="160x90", fetch=True)).status == DONE
    (made,) = kept(context)
    assert made.about["picture_is"] == WAVE  # a local file has no other place
    assert [each["problem"]["code"] for each in made.remarks] == ["note.video_no_picture"]


@pytest.mark.slow
def test_a_picture_is_fetched_once_and_deleted(
    context: WorkerContext, tmp_path: Path, film: Path
) -> None:
    """From a loopback site, for an item that is kept as sound."""
    bodies = {f"{SHORT_ID}-360": film.read_bytes()}
    with FakeMedia(b"sound", bodies=bodies, content_type="video/mp4") as site:
        site.pictures[SHORT_ID] = (1080, 360)
        context.settings = context.settings.replace(
            yt_watch_url=site.watch_url, download_pause_s=0.0
        )
        _finish(context, films.make(tmp_path / "sound.m4a", *tone(3)), ONLINE)
        wanted = replace(CAPTIONS, fetch=True)
        for _ in range(2):
            assert carry_out(context, wanted, ONLINE).status == DONE
        (made,) = kept(context, ONLINE)
        assert made.about["picture_is"] == FETCHED and made.remarks == []
        assert len(site.requests_of("media")) == 1
        found = probe(made.path)
        assert found.has_video and found.has_audio
        assert found.duration_s == pytest.approx(3, abs=0.2)
        assert films.near(films.frame_at(made.path, 1.0), "#FFFFFF") > 20  # the words
        assert list((context.settings.home / scratch.FOLDER).glob("*")) == []
        # Made where nothing is fetched, the film has not the name of the one with a picture.
        entry = context.library.find(ONLINE.id)
        assert entry is not None
        Products(context.settings.home, 0, 30).trim()
        alone = products.obtain(context.library, context.settings, entry, wanted)
        assert alone.about["picture_is"] == WAVE and alone.path.name != made.path.name


@pytest.mark.slow
def test_a_pack_has_the_fetched_picture_and_says_so(
    context: WorkerContext, tmp_path: Path, film: Path
) -> None:
    """The pack of the same stretch without the picture is another one."""
    bodies = {f"{SHORT_ID}-360": film.read_bytes()}
    with FakeMedia(b"sound", bodies=bodies, content_type="video/mp4") as site:
        site.pictures[SHORT_ID] = (1080, 360)
        context.settings = context.settings.replace(
            yt_watch_url=site.watch_url, download_pause_s=0.0
        )
        _finish(context, films.make(tmp_path / "sound.m4a", *tone(3)), ONLINE)
        wanted = Order(EVIDENCE, stretches=(Stretch(0.3, 2.0),), suffix=".zip", sign=True)
        packs = []
        for fetch in (True, False):
            assert carry_out(context, replace(wanted, fetch=fetch), ONLINE).status == DONE
            packs.append(kept(context, ONLINE)[0])
        assert len(site.requests_of("media")) == 1
    assert [each.about["picture_is"] for each in packs] == [FETCHED, WAVE]
    assert packs[0].about["signed_by"] == packs[1].about["signed_by"] != ""
    for pack, picture, names in zip(
        packs, (FETCHED, WAVE), ({"clip.mp4", "frame.png"}, {"clip.mp3"}), strict=True
    ):
        assert check_pack(pack.path).signature == "valid"
        with zipfile.ZipFile(pack.path) as archive:
            found = set(archive.namelist())
            assert found & {"clip.mp4", "clip.mp3", "frame.png"} == names
            readme = archive.read("README.txt").decode()
            facts = json.loads(archive.read("facts.json"))
        assert facts["medium"]["picture"] == picture
        assert ("was fetched from the source" in readme) == (picture == FETCHED)
        assert ("a wave of the sound instead" in readme) == (picture == WAVE)


def test_what_cannot_be_made_fails_with_its_reason(finished: WorkerContext) -> None:
    row = carry_out(finished, Order("reel", threads=1))
    assert row.status == FAILED and row.problem is not None
    assert row.problem["code"] == "reel.no_highlights"
    step = product_step("opera", "1")
    finished.steps.request([(step, ITEM.id)], finished.client.step, {"kind": "opera"})
    ProductSteps(finished, step, ITEM.id, row_of(finished, step).serial).run()
    assert row_of(finished, step).status == FAILED
    assert kept(finished) == []


def test_a_product_of_a_removed_item_is_cancelled(context: WorkerContext) -> None:
    assert carry_out(context).status == CANCELLED


@pytest.mark.slow
@pytest.mark.parametrize("way", ["cancelled", "asked for again", "cancelled at the end"])
def test_a_product_that_is_not_wanted_any_more_is_not_kept(
    finished: WorkerContext, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The act comes while ffmpeg runs, or after it: then the fence refuses the file."""
    step, done = order(finished), threading.Event()
    make = products.make

    def act() -> None:
        if not done.is_set():
            done.set()
            if way == "asked for again":
                order(finished)
            else:
                finished.steps.cancel([ITEM.id])

    def made(*args: object, **options: object) -> object:
        if way != "cancelled at the end":
            act()
            return make(*args, **options)  # type: ignore[arg-type]
        options["progress"] = lambda _: None
        found = make(*args, **options)  # type: ignore[arg-type]
        act()
        return found

    monkeypatch.setattr(products, "make", made)
    ProductSteps(finished, step, ITEM.id, row_of(finished, step).serial).run()
    assert done.is_set()
    expected = QUEUED if way == "asked for again" else CANCELLED
    assert row_of(finished, step).status == expected
    assert kept(finished) == [] and left(finished) == []


@pytest.mark.slow
def test_a_full_disk_lets_the_product_wait(
    finished: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        raise LibraryError("storage.full", "The disk is full.", retryable=True)

    monkeypatch.setattr(Products, "keep", full)
    monkeypatch.setattr(
        WorkerContext, "is_systemic", lambda _self, error: isinstance(error, KBError)
    )
    row = carry_out(finished)
    assert row.status == WAITING and row.attempts == 0
    assert kept(finished) == [] and left(finished) == []


def test_a_lost_product_is_queued_again(jobs: JobQueue) -> None:
    step = product_step("reel", "0123456789ab")
    jobs.request_steps([(step, ITEM.id)])
    client = jobs._client
    (row,) = jobs.steps.for_items([ITEM.id])[ITEM.id]
    claimed = jobs.steps.claim(step, ITEM.id, row.serial)
    assert claimed is not None and claimed.status == RUNNING
    client.cancel([workflow_ids.step_id(step, ITEM.id, row.serial)])
    assert client.abandoned_steps() == [(step, ITEM.id, row.serial)]
    assert jobs.steps.requeue_lost(client.abandoned_steps(), client.step) == [(step, ITEM.id)]


@pytest.mark.parametrize(
    ("share", "elapsed_s", "left_s"),
    [(0.0, 60.0, None), (0.01, 60.0, None), (0.5, 1.0, None), (0.25, 10.0, 30.0), (1.0, 9.0, 0.0)],
)
def test_the_time_left_is_measured(share: float, elapsed_s: float, left_s: float | None) -> None:
    assert time_left_s(share, elapsed_s) == left_s
