"""Media in object storage: stored once, given up here, fetched again by their hash, never lost."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from kb.database import items
from kb.enrich.speakers import weights
from kb.errors import LibraryError
from kb.jobs import media_storage, retention
from kb.jobs.queue.item_states import DONE
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.step_states import FAILED
from kb.jobs.removal import Removal
from kb.jobs.worker import chores
from kb.jobs.worker.enrich_steps import EnrichSteps
from kb.library import Library, LibraryEntry
from kb.library.trash import KEEP_S
from kb.media import sha256_of
from kb.options import RunOptions, SourceOptions
from kb.pipeline.stored_media import StoredMedia
from kb.service import Service
from kb.service.health_storage import check_storage
from kb.settings import Settings, get_settings
from kb.sources.subscriptions import Subscriptions
from tests.fakes.s3 import S3Service
from tests.support.compose import compose, write_wav
from tests.support.inline_worker import InlineWorker, WrittenSteps
from tests.support.speech import bank

pytestmark = pytest.mark.slow


@dataclass
class Site:
    """A library with its worker's steps, and an S3 service."""

    s3: S3Service
    settings: Settings
    service: Service
    worker: InlineWorker
    folder: Path

    @property
    def library(self) -> Library:
        return self.worker.context.library

    @property
    def items(self) -> ItemStore:
        return self.worker.context.items

    def ingest(self, words: str) -> str:
        """Take in a recording of these words from a file that is then gone; return its id."""
        spoken = compose(bank(), words, rng=np.random.default_rng(len(words)))
        path = write_wav(self.folder / f"{words}.wav", spoken)
        (item_id,) = self.service.ingest.run([str(path)], RunOptions()).enqueued
        self.worker.work()
        path.unlink()
        assert self.entry(item_id).state == DONE
        return item_id

    def entry(self, item_id: str) -> LibraryEntry:
        found = self.library.find(item_id)
        assert found is not None
        return found

    def store(self, cache_gb: float = 0.0) -> None:
        settings = self.settings.replace(media_cache_gb=cache_gb)
        media_storage.run(settings, self.library, self.items)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with S3Service() as s3:
        values = {
            "KB_HOME": str(tmp_path / "home"),
            "KB_MODEL": "demo",
            "KB_MEDIA_URL": s3.url,
            "KB_EXECUTOR_ID": "me",
            **s3.settings(),
        }
        settings = Settings.model_validate(values)
        worker = InlineWorker(settings)
        service = Service(settings)
        yield Site(s3, settings, service, worker, tmp_path)
        service.close()
        worker.close()


def test_a_medium_is_stored_given_up_and_fetched_again(site: Site) -> None:
    item_id = site.ingest("zwei drei")
    before = site.entry(item_id)
    assert before.media_path is not None
    content = before.media_path.read_bytes()
    site.store(cache_gb=1.0)
    (name,) = site.s3.names()
    assert hashlib.sha256(content).hexdigest() in name
    assert before.media_path.read_bytes() == content  # there is room for it
    site.store()
    entry = site.entry(item_id)
    assert entry.media_path is None and entry.stored and not before.media_path.exists()
    assert entry.medium_place == before.medium_place  # its passages stay the same
    assert site.service.verification.run().findings == []  # it knows where the medium is
    expected = f"{site.s3.url}: 1 medium stored, 0 of ended items not yet"
    assert [found.message for _, found in check_storage(site.settings)] == [expected]
    path = site.service.items.media_file(item_id)
    assert path == before.media_path.resolve() and path.read_bytes() == content
    site.store()
    assert site.entry(item_id).media_path is None and site.s3.names() == [name]
    assert site.service.review.clip(item_id, 0.0, 0.5, site.folder / "clip.wav").stat().st_size
    assert not list((site.library.home / "downloads").iterdir())


def test_the_media_that_were_not_used_for_longest_go_first(site: Site) -> None:
    ids = [site.ingest(words) for words in ("eins zwei", "eins zwei drei", "eins zwei drei vier")]
    site.store(cache_gb=1.0)
    paths = [site.entry(item_id).media_path for item_id in ids]
    for path, at in zip(paths, (3000, 1000, 2000), strict=True):
        assert path is not None
        os.utime(path, (at, at))
    sizes = [path.stat().st_size for path in paths if path is not None]
    site.store(cache_gb=(sizes[0] + sizes[2]) / 1e9)
    assert [site.entry(item_id).media_path is None for item_id in ids] == [False, True, False]


def test_nothing_is_given_up_while_the_bucket_is_away(site: Site) -> None:
    first, second = site.ingest("zwei drei"), site.ingest("zwei drei vier")
    site.s3.stop()
    with pytest.raises(LibraryError) as caught:
        site.store()
    assert caught.value.code == "objects.away" and caught.value.retryable
    assert site.s3.secret not in f"{caught.value}"
    assert all(site.entry(each).media_path for each in (first, second))
    ((state, away),) = check_storage(site.settings)
    assert state == "fail" and isinstance(away, LibraryError)
    site.s3.start()
    site.store()
    assert not any(site.entry(each).media_path for each in (first, second))
    site.s3.stop()
    with pytest.raises(LibraryError):
        site.service.items.media_file(first)
    kinds = [each.kind for each in site.service.verification.run().findings]
    assert kinds == ["medium_unreachable"] * 2
    site.s3.start()
    assert site.service.items.media_file(first) is not None


def test_a_stored_medium_that_is_gone_or_changed_is_noticed(site: Site) -> None:
    item_id = site.ingest("zwei drei")
    site.store(cache_gb=1.0)
    (name,) = site.s3.names()
    client, entry = site.s3.client(), site.entry(item_id)
    metadata = {"sha256": entry.sha256}
    client.put_object(Bucket=site.s3.bucket, Key=name, Body=b"another", Metadata=metadata)
    site.store()
    assert site.entry(item_id).media_path is not None  # the size differs: the local one stays
    content = b"x" * int(entry.stored["bytes"])
    client.put_object(Bucket=site.s3.bucket, Key=name, Body=content, Metadata=metadata)
    site.store()
    assert site.entry(item_id).media_path is None  # it looked right
    with pytest.raises(LibraryError) as caught:
        site.service.items.media_file(item_id)
    assert caught.value.code == "objects.differs"
    assert site.entry(item_id).media_path is None  # nothing wrong came into the library
    client.delete_object(Bucket=site.s3.bucket, Key=name)
    assert [each.kind for each in site.service.verification.run().findings] == ["medium_missing"]


def test_a_damaged_local_medium_is_mended_from_the_bucket(site: Site) -> None:
    item_id = site.ingest("zwei drei")
    site.store(cache_gb=1.0)
    path = site.entry(item_id).media_path
    assert path is not None
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    report = site.service.verification.run(repair=True)
    assert [(each.kind, each.mended) for each in report.findings] == [("medium_changed", True)]
    assert path.read_bytes() == content
    # A damaged one is not stored as if it were whole.
    other = site.ingest("zwei drei vier")
    wrong = site.entry(other).media_path
    assert wrong is not None
    site.library.amend(other, {"media": {"sha256": sha256_of(wrong)}})
    wrong.write_bytes(b"damaged")
    site.store()
    assert not site.entry(other).stored and wrong.exists()


def test_a_step_takes_the_stored_medium(site: Site) -> None:
    item_id = site.ingest("zwei drei")
    site.store()
    assert site.entry(item_id).media_path is None
    row = site.items.read(item_id)
    assert row is not None
    medium = WrittenSteps(site.worker.context, row.id, row.serial)._ensure_media(row)
    assert medium.path == site.entry(item_id).media_path  # its source is gone


def test_retention_deletes_the_stored_medium_too(site: Site) -> None:
    item_id = site.ingest("zwei drei")
    terms = SourceOptions(keep_days=1).checked().as_dict()
    key = Subscriptions(site.items.database, site.library).follow("@talks", options=terms).key
    retention.record_source(site.library, item_id, key)
    site.store()
    followed = Subscriptions(site.items.database, site.library).list()
    stored, later = StoredMedia.of(site.library, site.settings), site.items.database.time() + 1e6
    assert (
        retention.apply(site.library, site.items, followed, later) == []
    )  # not without the bucket
    (deleted,) = retention.apply(site.library, site.items, followed, later, stored=stored)
    assert deleted.item_id == item_id and deleted.size > 0
    assert site.s3.names() == []
    entry = site.entry(item_id)
    assert entry.retention and not entry.stored


def test_a_removed_item_leaves_the_bucket_with_the_trash(site: Site) -> None:
    item_id = site.ingest("zwei drei")
    site.store()
    site.service.removals.remove([item_id])
    assert len(site.s3.names()) == 1
    removal = Removal(site.settings, site.library, site.items.database, lambda *_: None)
    later = site.items.database.time() + KEEP_S + 60
    site.s3.stop()
    assert removal.empty(later) == []  # the bucket is away: it stays in the trash
    site.s3.start()
    assert removal.empty(later) == [item_id]
    assert site.s3.names() == []


def test_a_removal_that_is_undone_has_its_medium(site: Site) -> None:
    item_id = site.ingest("zwei drei")
    site.store()
    site.service.removals.remove([item_id])
    chores.empty_trash(site.worker.context)
    site.service.removals.undo([item_id])
    assert site.service.items.media_file(item_id) is not None


def test_only_ended_items_are_stored(site: Site) -> None:
    item_id = site.ingest("zwei drei")
    with site.items.database.begin() as connection:
        change = sa.update(items).where(items.c.id == item_id)
        connection.execute(change.values(state="held"))
    site.store()
    assert site.s3.names() == [] and site.entry(item_id).media_path is not None


def test_a_step_after_the_words_fetches_its_medium(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's file is no model, so that the step ends once it has the medium."""
    wrong = tmp_path / "models" / f"{weights.PACKAGE}-{weights.VERSION}.pt"
    wrong.parent.mkdir()
    with wrong.open("wb") as file:
        file.truncate(weights.SIZE)
    monkeypatch.setenv("KB_STEP_MODELS", str(wrong.parent))
    get_settings.cache_clear()
    item_id = site.ingest("river garden")
    site.store()
    assert site.entry(item_id).media_path is None
    context = site.worker.context
    context.steps.request([("speakers", item_id)], context.client.step)
    (row,) = context.steps.for_items([item_id])[item_id]
    assert EnrichSteps(context, "speakers", item_id, row.serial).run() == FAILED
    (row,) = context.steps.for_items([item_id])[item_id]
    assert row.problem is not None and row.problem["code"] == "speakers.bad_weights"
    assert site.entry(item_id).media_path is not None
