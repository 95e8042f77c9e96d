"""What a worker does with one item: the pipeline's stages as durable steps.

A step never raises: what goes wrong is classified and written to the item's row, and the
workflow ends. Later tries are new workflows, so that nothing that waits holds a place; what
earlier ones left in the library folder is not done again.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from kb.errors import Cancelled, KBError, LibraryError
from kb.inference.process import HostDied
from kb.inference.session import Recipe
from kb.jobs.queue import item_states, listing_jobs, outbox, workflow_ids
from kb.jobs.queue.telemetry import note_speed
from kb.jobs.worker import retry_policy
from kb.jobs.worker.context import GATE_S, Stopping, Workplace, park
from kb.options import RunOptions
from kb.pipeline import captions, hold, stages
from kb.pipeline.vocabulary import Vocabulary
from kb.types import LocalMedia, MediaItem, Transcript

log = logging.getLogger(__name__)

POISON_DEATHS = 3
DEVICE_LOSSES = 3  # with one item aboard, before it is suspected itself
STILLBIRTHS = 3  # of the model host in a row, before it has loaded its model

GO_ON, ENDED = "go on", "ended"

Result = TypeVar("Result")


class ItemWork:
    """One workflow's item at a workplace."""

    def __init__(self, place: Workplace, item_id: str, serial: int) -> None:
        self._place = place
        self._id = item_id
        self._serial = serial
        self._key = (item_id, serial)
        self._told = (0.0, "")

    def fetch(self) -> str:
        """Brings the medium into the library."""
        self._wait_for_lane()
        with self._guard() as row:
            if row is None:
                return ENDED
            place = self._place
            if row.item.source == workflow_ids.LISTING:
                self._list(row)
                return ENDED
            self._advance("fetch", 0.0)
            workers = RunOptions.from_dict(row.options).preparing(place.settings)
            with place.preparations.asking(workers):
                self._take_turn()
                try:
                    self._tell_length(row, self._ensure_media(row))
                finally:
                    place.preparations.release()
            return GO_ON
        return ENDED

    def transcribe(self) -> str:
        """Words into files; the checkpoint is the transcript with this run's number."""
        self._wait_for_lane()
        with self._guard() as row:
            if row is None:
                return ENDED
            place = self._place
            entry = place.library.find(self._id)
            if entry and entry.transcript_path and entry.transcribed.get("run") == row.run:
                return GO_ON
            recipe = place.recognition.recipe(RunOptions.from_dict(row.options))
            media = self._ensure_media(row)
            recipe = replace(recipe, names=self._names(media.item))
            with place.prepared(media):
                transcript = self._decode(media, recipe, row.deaths)
            place.check(self._key)
            self._advance("write", 0.0)
            transcript = captions.with_witness(
                place.library, media.item, transcript, place.settings
            )
            stages.write(
                place.library, media.item, transcript, place.settings.hold_below, run=row.run
            )
            with contextlib.suppress(KBError):  # only for show
                note_speed(place.items.catalogue, place.executor, self._id, row.run, transcript)
            return GO_ON
        return ENDED

    def publish(self) -> str:
        """Into the local index; remote knowledge bases get workflows of their own."""
        with self._guard() as row:
            if row is None:
                return ENDED
            place = self._place
            self._advance("publish", 0.0)
            entry = place.library.find(self._id)
            if entry is None:
                raise LibraryError(
                    f"The files of {row.item.title!r} are gone from {place.settings.home}.",
                    hint="Put them back, or ingest it again.",
                )
            transcript = stages.read_transcript(place.library, entry)
            outcome = hold.judge(transcript, place.settings.hold_below, entry)
            options = RunOptions.from_dict(row.options)
            sinks = options.sinks if options.sinks is not None else place.settings.sink_names
            for sink in sinks:
                if sink == "local":
                    stages.publish(place.library, place.settings, entry.item, transcript, sink)
                    place.deliveries.tell(sink, self._id, outbox.SYNCED)
                elif outcome.state == "done":
                    with place.items.catalogue.begin() as connection:
                        # Cancelled a moment ago: nothing of it may be sent from then on.
                        if not place.items.still_has(
                            connection, self._id, self._serial, place.executor
                        ):
                            raise Cancelled("Cancelled; nothing of it is published.")
                        place.deliveries.submit(
                            connection, sink, self._id, place.client.publish,
                            priority=row.priority, extra=options.metadata,
                        )  # fmt: skip
                else:
                    # Held items are searchable here, and stay away from everybody else.
                    place.deliveries.hold(sink, self._id, outcome.reason, options.metadata)
            place.library.amend(
                self._id,
                {
                    "state": outcome.state,
                    "error": outcome.reason or None,
                    "hint": outcome.hint or None,
                },
            )
            self._finish(
                outcome.state,
                error=outcome.reason,
                hint=outcome.hint,
                grade=transcript.coverage.grade,
            )
        return ENDED

    def _names(self, item: MediaItem) -> tuple[str, ...]:
        """What the recognizer is told about the item; without it, it goes on."""
        place = self._place
        if not place.settings.prompt_tokens:
            return ()
        try:
            return Vocabulary(place.library).told(item, place.items.catalogue)
        except KBError as error:
            place.complain(error)
            return ()

    def _ensure_media(self, row: item_states.Row) -> LocalMedia:
        place = self._place
        source = place.sourcing.source_of(row.item, RunOptions.from_dict(row.options).keep)
        return stages.ensure_media(place.library, row.item, self._advance_or_stop, source)

    def _tell_length(self, row: item_states.Row, media: LocalMedia) -> None:
        """Notes how long the medium claims to be, where its source did not tell."""
        if row.item.duration_s is not None:
            return
        from kb.media.probe import probe

        with contextlib.suppress(KBError):  # only for show
            length_s = media.duration_s or probe(media.path).duration_s
            if length_s:
                self._place.items.tell_length(self._id, length_s)

    def _list(self, row: item_states.Row) -> None:
        """Makes a listing that had to wait, and queues what it gives."""
        place = self._place
        self._advance("list", 0.0)
        wants_captions = RunOptions.from_dict(row.options).wants_captions(place.settings)
        listing_jobs.make(
            row, place.sourcing, place.items, place.library,
            place.client.enqueue(captions_first=wants_captions),
            lambda: place.check(self._key),
        )  # fmt: skip
        self._patiently(lambda: listing_jobs.note_look(place.subscriptions, row.item))
        self._finish(item_states.DONE, error="", hint="")

    def _decode(self, media: LocalMedia, recipe: Recipe, deaths: int) -> Transcript:
        """The words, over as many lives of the model host as it takes."""
        place, stillbirths, losses = self._place, 0, 0
        while True:
            self._told = (0.0, "")
            try:
                # After a death alone, so that the next one can be laid at the right door.
                return stages.transcribe(
                    media, recipe, place.host, self._advance, lambda: place.gone(self._key),
                    exclusive=deaths > 0,
                )  # fmt: skip
            except HostDied as error:
                place.check(self._key)
                if not error.ready and not error.device_lost:
                    # It never came to this item: its own start is what fails.
                    stillbirths += 1
                    log.warning("%s", error.message)
                    if stillbirths >= STILLBIRTHS:
                        raise
                    continue
                if error.device_lost and losses < DEVICE_LOSSES:
                    # The device's doing: the item goes on in a fresh process.
                    losses += 1
                    log.warning("%s: %s", self._id, error.message)
                    continue
                deaths = place.items.add_death(self._id, self._serial)
                log.warning("%s: %s (death %d)", self._id, error.message, deaths)
                if deaths >= POISON_DEATHS:
                    raise KBError(
                        f"The recognizer's process died {deaths} times while it decoded this item.",
                        hint="The file may crash a driver or need more memory than there is; try "
                        "a smaller --batch-size or another model, then: kb retry "
                        f"{self._id}",
                    ) from None

    def _wait_for_lane(self) -> None:
        """Waits while the lane is paused; the item is shown as queued meanwhile."""
        place, aside = self._place, False
        # The worker's own picture of the lane may be half a second old.
        self._patiently(place.look_at_lane)
        while place.lane_is_paused():
            if not aside:
                aside = True
                self._patiently(
                    lambda: place.items.set_aside(self._id, self._serial, place.executor)
                )
            time.sleep(GATE_S)
            if place.stopping.is_set():
                park()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[item_states.Row | None]:
        """Claims the item; turns what goes wrong into the row's state."""
        place = self._place
        row = self._patiently(lambda: place.items.claim(self._id, self._serial, place.executor))
        if row is not None:
            with place.lock:
                place.mine.add(self._key)
                place.lost.discard(self._key)
        try:
            try:
                yield row
            except (Stopping, Cancelled):
                if place.stopping.is_set():
                    # Not ended: the workflow stays as it is, for the next worker to take up.
                    park()
                log.info("%s: cancelled", self._id)
            except KBError as error:
                if row is not None:
                    self._fail(row, error)
            except Exception as error:
                log.exception("%s", self._id)
                if row is not None:
                    self._fail(row, retry_policy.unexpected(error))
        finally:
            with place.lock:
                place.mine.discard(self._key)
                place.lost.discard(self._key)

    def _fail(self, row: item_states.Row, error: KBError) -> None:
        """Later, again, or never: by what the error says of itself."""
        place = self._place
        verdict = retry_policy.judge(error, row.attempts, everybody=place.is_everybodys(error))
        if verdict.lane_reason and verdict.until is not None:
            place.pause_lane(verdict.until, verdict.lane_reason)
        self._patiently(lambda: listing_jobs.note_look(place.subscriptions, row.item, error))
        told = self._finish(
            verdict.state, error=error.message, hint=error.hint,
            wait_until=verdict.until, attempts=verdict.attempts,
        )  # fmt: skip
        if told and verdict.state == item_states.FAILED:
            self._note_failure(row.item, error, verdict.attempts)

    def _finish(
        self,
        state: str,
        *,
        error: str,
        hint: str,
        wait_until: float | None = None,
        attempts: int | None = None,
        grade: str | None = None,
    ) -> bool:
        place = self._place
        told = self._patiently(
            lambda: place.items.finish(
                self._id, self._serial, place.executor, state,
                error=error, hint=hint, wait_until=wait_until, attempts=attempts, grade=grade,
            )
        )  # fmt: skip
        if not told and place.stopping.is_set():
            # This worker has let go of the item already; the next one ends it.
            park()
        return told

    def _patiently(self, action: Callable[[], Result]) -> Result:
        """A change of the item's row, tried until the database takes it."""
        return self._place.patiently(action)

    def _note_failure(self, item: MediaItem, error: KBError, attempts: int) -> None:
        with contextlib.suppress(KBError):
            entry = self._place.library.find(item.id)
            if entry is None or entry.transcript_path is not None:
                return  # nothing of it is in the folder, or what was there before still stands
            self._place.library.amend(
                item.id,
                {
                    "state": "failed",
                    "error": error.message,
                    "hint": error.hint,
                    "attempts": attempts,
                },
            )

    def _advance(self, stage: str, progress: float) -> None:
        now = time.monotonic()
        last, told = self._told
        # One row, updated in place, at most once a second, but each stage at once.
        if stage == told and now - last < 1.0 and progress < 1.0:
            return
        self._told = (now, stage)
        place = self._place
        # Only for show: a database that is locked just now must not end the work.
        with contextlib.suppress(KBError):
            if not place.items.advance(self._id, self._serial, place.executor, stage, progress):
                place.lost.add(self._key)

    def _advance_or_stop(self, stage: str, progress: float) -> None:
        """For stages that have no other way to be told of a stop."""
        self._advance(stage, progress)
        if self._place.gone(self._key):
            raise Cancelled("Cancelled; nothing half written is left.")

    def _take_turn(self) -> None:
        """Waits for a place among those who prepare, and for room on the disk.

        Looked at again with the place in hand: what went before has filled the disk meanwhile.
        """
        place = self._place
        while True:
            while not place.preparations.acquire(timeout=GATE_S):
                place.check(self._key)
            full = place.prepared_bytes > place.settings.prefetch_gb * 2**30
            if not full and not place.lane_is_paused():
                return
            place.preparations.release()
            place.check(self._key)
            time.sleep(GATE_S)
