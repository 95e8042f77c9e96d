"""Captions first: an item can be searched minutes after it is listed, before it is transcribed."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from kb import storage
from kb.errors import Cancelled, KBError, RetryLater
from kb.jobs.queue.item_states import ACTIVE, ItemRow
from kb.jobs.queue.request_settings import settings_of
from kb.jobs.queue.source_factory import SHARED
from kb.jobs.worker.context import WorkerContext, block_forever
from kb.jobs.worker.source_terms import HOUR_S, require_turn
from kb.library import Library, LibraryEntry
from kb.options import RunOptions
from kb.pipeline import captions, stages
from kb.sinks import open_sink
from kb.sources.base import CaptionSource
from kb.types import CaptionFile, MediaItem

log = logging.getLogger(__name__)

POLL_S = 1.0
LONGEST_WAIT_S = 300.0  # between two checks whether the captions are still wanted
TRIES = 3


class CaptionSteps:
    """The steps that put one item's captions into the local index, never into another one."""

    def __init__(self, context: WorkerContext, item_id: str) -> None:
        self._context = context
        self._id = item_id

    def run(self) -> str:
        """Fetch and index the captions; return the result.

        Raises nothing: captions are optional.
        """
        tries = 0
        while True:
            try:
                return self._once()
            except RetryLater as error:
                # The lane is paused or the medium is not published yet: waiting here delays
                # nothing, because all other workflows in this queue wait for the same.
                self._wait(error.until or self._context.now() + LONGEST_WAIT_S)
            except Cancelled:
                return "not wanted"
            except KBError as error:
                tries += 1
                log.warning("%s: captions: %s", self._id, error.message)
                if not error.retryable or tries >= TRIES:
                    return "failed"
                self._wait(self._context.now() + POLL_S * 2**tries)
            except Exception:
                log.exception("%s: captions", self._id)
                return "failed"

    def _once(self) -> str:
        context = self._context
        while context.lane_is_paused():
            self._wait(context.now() + POLL_S)
        entry = context.library.find(self._id)
        row = context.items.read(self._id)
        if entry is not None and entry.transcript_path is not None:
            return self._keep_later(row, entry) or self._publish_transcript(entry)
        context.require_room()
        if row is None or row.state not in ACTIVE:
            return "not wanted"
        sinks = RunOptions.from_dict(row.options).sinks
        asked = settings_of(row.options, context.settings)
        if "local" not in (sinks if sinks is not None else asked.sink_names):
            return "not wanted"
        library = context.library.fenced(context.fences.wanted(row))
        if entry is None or not captions.files_of(context.library, entry):
            if self._is_postponed(row):
                return "later"
            entry = self._fetch(row, library)
        else:
            entry = captions.keep(library, entry.item, (), shown=True)
        found = captions.interim_passages(context.library, entry) if entry else ()
        if entry is None or not found:
            return "none"
        with library.guard(self._id):
            pass  # cancelled or asked for again meanwhile: nothing of it is shown
        open_sink("local", context.settings).publish(entry.item, found)
        # The transcript may have been finished meanwhile, and indexed before the captions.
        entry = context.library.find(self._id) or entry
        return self._publish_transcript(entry) if entry.transcript_path is not None else "shown"

    def _keep_later(self, row: ItemRow | None, entry: LibraryEntry) -> str:
        """Keep captions by people that came after the transcript; return the result.

        They stay beside the medium as they would with a download. Returns "" where there are none
        to fetch.
        """
        context = self._context
        if row is None:
            return ""
        asked = settings_of(row.options, context.settings)
        if not (asked.witness or asked.captions):
            return ""
        kept = captions.files_of(context.library, entry)
        if not entry.item.extra.get("captions") or any(not each.automatic for each in kept):
            return ""
        context.require_room()
        if self._is_postponed(row):
            return "later"
        with storage.held(context.library.home / stages.DOWNLOADS) as folder:
            _, files = self._ask(row, folder)
            by_people = [each for each in files if not each.automatic]
            for each in files:
                if each.automatic:
                    each.path.unlink(missing_ok=True)
            if not by_people:
                return ""
            captions.keep(context.library, entry.item, by_people)
        return "kept"

    def _is_postponed(self, row: ItemRow) -> bool:
        """Return True if the source may not be asked now; the captions are then queued for later.

        Waiting here would delay the captions of other sources.
        """
        context, now = self._context, self._context.now()
        try:
            require_turn(context.items.database, context.subscriptions, row)
        except RetryLater as error:
            # At most an hour: the terms of the source may change, and so may the clock.
            delay_s = min(max((error.until or now) - now, POLL_S), HOUR_S)
            context.client.enqueue_captions(row.id, row.serial, row.priority, delay_s)
            return True
        return False

    def _fetch(self, row: ItemRow, library: Library) -> LibraryEntry | None:
        with storage.held(library.home / stages.DOWNLOADS) as folder:
            item, files = self._ask(row, folder)
            return captions.keep(library, item, files, shown=True) if files else None

    def _ask(self, row: ItemRow, folder: Path) -> tuple[MediaItem, tuple[CaptionFile, ...]]:
        """Return the item and its captions in `folder`, none from a source without captions."""
        context = self._context
        factory = context.source_factory.asked_by(row.options)
        source = factory.source_of(row.item, shared=bool(row.options.get(SHARED)))
        if not isinstance(source, CaptionSource):
            return row.item, ()
        return source.captions(row.item, folder, lambda *_: self._stop_if_asked())

    def _publish_transcript(self, entry: LibraryEntry) -> str:
        """Publish the transcript: once it exists, the index must not contain the captions."""
        context = self._context
        transcript = stages.read_transcript(context.library, entry)
        stages.publish(context.library, context.settings, entry, transcript, "local")
        return "replaced"

    def _wait(self, until: float) -> None:
        ends_at = time.monotonic() + min(until - self._context.now(), LONGEST_WAIT_S)
        while (left_s := ends_at - time.monotonic()) > 0:
            self._stop_if_asked()
            self._context.stopping.wait(min(POLL_S, left_s))
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self._context.stopping.is_set():
            block_forever()
