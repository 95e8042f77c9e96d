"""A worker's chores and steps in the thread of the caller, one item after the other.

Items, looks, sources, library and database are the real ones. Two things are left out, which have
tests of their own: the threads of DBOS (its tables are written), and recognition, whose result is
a fixed transcript.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import sqlalchemy as sa

from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.database import Database, items
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.heartbeat import Heartbeat
from kb.jobs.queue.item_states import QUEUED, ItemRow, Job
from kb.jobs.queue.items import ItemStore
from kb.jobs.worker import chores
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_steps import ItemSteps, StepResult
from kb.library import Library
from kb.pipeline import stages
from kb.settings import Settings
from kb.sources.base import FetchResult, Filters, Progress
from kb.types import LocalMedia, MediaItem, Transcript
from tests.support.kept_transcripts import said, transcript

WORDS = transcript(said("The harbour is quiet in the morning."))


class WrittenSteps(ItemSteps):
    """The steps of an item whose transcript is always the same.

    `plain_url` is the address of media without watch pages: most come from there, because yt-dlp
    takes a fifth of a second for each.
    """

    plain_url = ""

    def _recognize(self, row: ItemRow, media: LocalMedia) -> tuple[Transcript, dict[str, object]]:
        return WORDS, {}

    def _ensure_media(self, row: ItemRow) -> LocalMedia:
        if self.plain_url and hashlib.sha256(row.id.encode()).digest()[0] % 40:
            with suppress(HTTPError):
                source = PlainSource(self.plain_url)
                library = self._context.library
                return stages.ensure_media(library, row.item, self._advance_or_stop, source)
        return super()._ensure_media(row)


@dataclass(frozen=True)
class PlainSource:
    """A source that fetches files by their id. Raises HTTPError where the site has none."""

    url: str
    name: str = "youtube"

    def accepts(self, reference: str) -> bool:
        return False

    def items(self, reference: str, filters: Filters) -> Iterator[MediaItem]:
        return iter(())

    def fetch(self, item: MediaItem, folder: Path, progress: Progress) -> FetchResult:
        with urlopen(f"{self.url}/{item.id.split(':')[1]}") as answer:
            body = answer.read()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{item.id.split(':')[1]}.wav"
        path.write_bytes(body)
        return FetchResult(item, path, hashlib.sha256(body).hexdigest(), temporary=True)


class InlineWorker:
    """The worker of one library; it ends with `close`, or with its process."""

    steps: Any = WrittenSteps

    def __init__(self, settings: Settings) -> None:
        library = Library(settings.home)
        library.prepare()
        self._database = database = Database.open(settings)
        heartbeat = Heartbeat(settings, database)
        heartbeat.acquire()
        self._client = DbosClient(database)
        self.context = context = WorkerContext(
            settings=settings,
            library=library,
            items=ItemStore(database),
            client=self._client,
            inference_process=InferenceProcess(settings, 1),
            inference_session=InferenceSession(settings),
            heartbeat=heartbeat,
            preparations=AdjustableSemaphore(1),
            stopping=threading.Event(),
        )
        context.items.release(context.executor)
        context.looks.close_open(context.executor)

    def on_job(self, job: Job) -> None:
        """Called with each job before its steps."""

    def work(self) -> int:
        """Do what is due, until nothing is queued; return the number of items processed."""
        context = self.context
        context.heartbeat.beat()
        chores.refresh_running(context)
        chores.requeue_due(context)
        chores.retry_failed(context)
        chores.empty_trash(context)
        chores.watch_room(context)
        chores.write_digest(context)
        chores.poll_subscriptions(context)
        count = 0
        while not context.lane_is_paused() and (row := self._next()) is not None:
            self._process(row)
            count += 1
        return count

    def _next(self) -> ItemRow | None:
        """Return the queued item that a worker would take first."""
        c = items.c
        query = sa.select(c.id).where(c.state == QUEUED)
        with self._database.begin() as connection:
            first = connection.scalar(query.order_by(c.priority, c.updated_at, c.id).limit(1))
        return None if first is None else self.context.items.read(first)

    def _process(self, row: ItemRow) -> None:
        self.on_job(row.job)
        for stage in ("fetch", "transcribe", "publish"):
            if getattr(self.steps(self.context, row.id, row.serial), stage)() == StepResult.ENDED:
                return

    def close(self) -> None:
        """End as a worker ends after a request to stop."""
        self.context.heartbeat.release()
        self.context.inference_process.close()
        self._client.close()
        self._database.close()
