"""The steps of one item: the pipeline's stages as durable steps of a workflow.

A step never raises: an error is classified and written to the item's row, and the workflow ends.
Later attempts are new workflows, so that a waiting item uses no slot; finished work, whose files
are in the library folder, is not repeated.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from kb.errors import Cancelled, KBError, LibraryError
from kb.inference.crash import InferenceProcessCrashed
from kb.inference.model_choice import check_aligner
from kb.inference.transcription_options import TranscriptionOptions
from kb.jobs.queue import item_states, listing_jobs, outbox_states
from kb.jobs.queue.item_facts import as_asked, describe
from kb.jobs.queue.order import SOURCE
from kb.jobs.queue.partial_files import parts_of
from kb.jobs.queue.progress import MODEL
from kb.jobs.queue.request_settings import asked_of, settings_of
from kb.jobs.queue.source_factory import SHARED
from kb.jobs.queue.telemetry import record_throughput
from kb.jobs.retention import record_source
from kb.jobs.worker import enrich_steps, known_sound
from kb.jobs.worker.context import LANE_POLL_S, WorkerStopping, block_forever
from kb.jobs.worker.item_attempt import ItemAttempt
from kb.jobs.worker.preparation import slot
from kb.jobs.worker.source_terms import require_turn
from kb.library import LibraryEntry
from kb.library.left_out import LeftOut
from kb.options import RunOptions
from kb.pipeline import captions, hold, same_sound, stages
from kb.pipeline.adoption import brought_transcript
from kb.pipeline.publish_record import in_other_project
from kb.pipeline.stored_media import StoredMedia
from kb.pipeline.transcript_files import damage
from kb.pipeline.vocabulary import Vocabulary
from kb.settings import Settings
from kb.sinks import SINKS, is_local_sink
from kb.sources.looks import LookOutcome
from kb.types import LocalMedia, MediaItem, Transcript

log = logging.getLogger(__name__)

CRASHES_MAX = 3
DEVICE_LOSSES = 3  # during one item; further losses count as crashes of the item
STARTUP_FAILURES_MAX = 3  # of the inference process in a row, before it has loaded its model


class StepResult(StrEnum):
    """The result of one step; the values must not change, because DBOS records them."""

    CONTINUE = "go on"
    ENDED = "ended"


class ItemSteps(ItemAttempt):
    """The steps of one item's workflow."""

    def fetch(self) -> StepResult:
        """Fetch the medium into the library."""
        self._wait_for_lane()
        with self._preparation() as has_slot, self._guard() as row:
            if row is None:
                return StepResult.ENDED
            context = self._context
            context.require_room()
            if isinstance(row.job, item_states.ListingJob):
                self._run_listing(row.job, row.options)
                return StepResult.ENDED
            entry = context.library.find(self._id)
            if _is_transcribed(entry, row):
                return StepResult.CONTINUE  # cancelled after its transcript: no medium is needed
            if entry is None or not (entry.media_path or entry.stored) or entry.renewal:
                require_turn(context.items.database, context.subscriptions, row)
            self._advance("fetch", 0.0)
            with contextlib.nullcontext() if has_slot else self._slot(row):
                self._record_duration(row, self._ensure_media(row))
                record_source(self._library, self._id, row.options.get(SOURCE))
            return StepResult.CONTINUE
        return StepResult.ENDED

    def transcribe(self) -> StepResult:
        """Transcribe and write the files; the checkpoint is a transcript with this run's number."""
        self._wait_for_lane()
        with self._guard() as row:
            if row is None:
                return StepResult.ENDED
            context = self._context
            if _is_transcribed(self._library.find(self._id), row):
                return StepResult.CONTINUE
            context.require_room()
            media = self._ensure_media(row)
            brought = brought_transcript(self._library, replace(media, item=row.item))
            transcript, facts = (brought, None) if brought else self._recognize(row, media)
            context.check(self._key)
            self._require_ownership("write")
            settings = self._settings_of(row)
            transcript = captions.with_caption_agreement(
                self._library, media.item, transcript, settings
            )
            context.until_written(
                lambda: stages.write(
                    self._library, media.item, transcript, settings.hold_below, run=row.run,
                    keep_corrections=not RunOptions.from_dict(row.options).drop_corrections,
                    parts=parts_of(row.item), hold_errors=settings.hold_errors,
                    facts=facts,
                )
            )  # fmt: skip
            with contextlib.suppress(KBError):  # for display only
                if brought is None:
                    record_throughput(
                        context.items.database, context.executor, self._id, row.run, transcript
                    )
            return StepResult.CONTINUE
        return StepResult.ENDED

    def _recognize(
        self, row: item_states.ItemRow, media: LocalMedia
    ) -> tuple[Transcript, dict[str, Any]]:
        """Return the transcript of the medium's sound, and facts for the metadata."""
        context = self._context
        run, asked = RunOptions.from_dict(row.options), asked_of(row.options, context.settings)
        options = context.inference_session.transcription_options(
            run,
            asked.settings if asked else None,
            asked.preset if asked else None,
            asked.row if asked else None,
        )
        check_aligner(options, context.settings)
        self._require_model(options)
        options = replace(options, hotwords=self._hotwords(row, media.item))
        key = same_sound.words_key(options, self._settings_of(row))
        with context.prepared(media):
            options = known_sound.with_known_words(
                context, self._library, row, media, options, lambda: context.check(self._key)
            )
            transcript = self._decode(media, options, row.deaths)
        return transcript, same_sound.facts_about(self._library, transcript, key)

    def publish(self) -> StepResult:
        """Publish to the local index; remote knowledge bases have their own workflows."""
        with self._guard() as row:
            if row is None:
                return StepResult.ENDED
            context = self._context
            context.require_room()
            self._advance("publish", 0.0)
            entry = self._library.find(self._id)
            if entry is None:
                raise LibraryError(
                    "item.files_gone",
                    "The files of {title!r} are gone from {home}.",
                    hint="Put them back, or ingest it again.",
                    title=row.item.title,
                    home=context.settings.home,
                )
            transcript = stages.read_transcript(self._library, entry)
            settings = self._settings_of(row)
            decision = hold.decide(
                transcript, settings.hold_below, entry, hold_errors=settings.hold_errors,
            )  # fmt: skip
            options = RunOptions.from_dict(row.options)
            sinks = options.sinks if options.sinks is not None else settings.sink_names
            # Who has the earlier text gets the new one, whatever this run was asked for.
            sinks = (*sinks, *self._published_elsewhere(entry, sinks))
            parts = parts_of(row.item)
            for part in filter(None, map(self._library.find, parts)):
                sinks = (*sinks, *self._published_elsewhere(part, sinks))
            for sink in filter(is_local_sink, sinks):
                stages.publish(self._library, context.settings, entry, transcript, sink)
                context.outbox.record(sink, self._id, outbox_states.SYNCED)
            # The publications that follow wait for the steps.
            self._submit_steps(row)
            for sink in sinks:
                if is_local_sink(sink):
                    continue
                if decision.state == "done":
                    with context.items.database.begin() as connection:
                        # Cancelled meanwhile: no document of the item may be sent from then on.
                        if not context.items.is_owned_by(
                            connection, self._id, self._serial, context.executor
                        ):
                            raise Cancelled(
                                "item.cancelled_publish", "Cancelled; nothing of it is published."
                            )
                        context.outbox.submit(
                            connection, sink, self._id, context.client.publish,
                            priority=row.priority, extra=options.metadata,
                        )  # fmt: skip
                else:
                    # Held items can be searched in the local index, and are not published
                    # elsewhere.
                    context.outbox.hold(sink, self._id, decision.cause, options.metadata)
            self._library.amend(self._id, decision.metadata())
            if parts and decision.state == item_states.DONE:
                context.replace_parts(parts, self._id)
            with contextlib.suppress(KBError):  # a later look at the folder records it too
                LeftOut(context.library).append_taken_in([self._id])
            errors = transcript.expected_errors
            self._finish(
                decision.state,
                grade=transcript.grade,
                expected_errors=errors.share if errors else None,
                **decision.row_values(),
            )
        return StepResult.ENDED

    def _submit_steps(self, row: item_states.ItemRow) -> None:
        """Queue the steps that follow the words, unless the item was cancelled meanwhile."""
        context = self._context
        names = known_sound.still_to_do(self._library, row, enrich_steps.wanted(context, row))
        with context.items.database.begin() as connection:
            if context.items.is_owned_by(connection, self._id, self._serial, context.executor):
                enrich_steps.submit(context, connection, row, names)

    def _published_elsewhere(self, entry: LibraryEntry, sinks: Sequence[str]) -> list[str]:
        """Return the other knowledge bases that have a text of the item, by name.

        Those for which a person has cancelled the publication are left out.
        """
        rows = self._context.outbox.for_items([entry.item.id]).get(entry.item.id, ())
        closed = {*sinks, *(row.sink for row in rows if row.status == outbox_states.CANCELLED)}
        return [
            name
            for name, record in entry.published.items()
            if name in SINKS
            and name not in closed
            and isinstance(record, Mapping)
            and record.get("content_sha256")
            and not in_other_project(record, self._context.settings.odin_project_id)
        ]

    def _settings_of(self, row: item_states.ItemRow) -> Settings:
        """Return the settings of the item's request; this machine's where it has none."""
        return settings_of(row.options, self._context.settings)

    def _hotwords(self, row: item_states.ItemRow, item: MediaItem) -> tuple[str, ...]:
        """Return the hotwords for the item; none if they cannot be read."""
        context, asked = self._context, self._settings_of(row)
        if not asked.prompt_tokens:
            return ()
        try:
            return Vocabulary(context.library).hotwords_for(
                item, context.items.database, with_screens=asked.screen_names
            )
        except KBError as error:
            context.warn_throttled(error)
            return ()

    def _ensure_media(self, row: item_states.ItemRow) -> LocalMedia:
        context = self._context
        source = context.source_factory.asked_by(row.options).source_of(
            row.item, RunOptions.from_dict(row.options).keep, shared=bool(row.options.get(SHARED))
        )
        try:
            entry = self._library.find(self._id)
            if entry is not None and entry.stored and entry.media_path is None:
                StoredMedia.of(self._library, context.settings).bring_back(
                    entry, lambda need: context.reserve_room(self._key, need)
                )
            return stages.ensure_media(
                self._library, row.item, self._advance_or_stop, source,
                lambda need: context.reserve_room(self._key, need),
            )  # fmt: skip
        finally:
            context.arriving.pop(self._key, None)

    def _record_duration(self, row: item_states.ItemRow, media: LocalMedia) -> None:
        """Record the facts that came with the medium, and its length if no source gave one."""
        from kb.media.probe import probe

        with contextlib.suppress(KBError):  # for display, and for what a later look finds changed
            facts = as_asked(media.item, row.item)
            if facts != row.item:
                describe(self._context.items.database, self._id, facts, serial=self._serial)
            if media.item.duration_s is not None:
                return
            length_s = media.duration_s or probe(media.path).duration_s
            if length_s:
                self._context.items.record_duration(self._id, length_s)

    def _run_listing(self, job: item_states.ListingJob, options: Mapping[str, Any]) -> None:
        """Make a listing that was postponed, and queue its media."""
        context = self._context
        self._advance("list", 0.0)
        asked = settings_of(options, context.settings)
        wants_captions = RunOptions.from_dict(options).wants_captions(asked)
        if job.subscription_key:
            self._look = context.looks.begin(job.subscription_key, context.executor)
        try:
            notice = listing_jobs.run_listing(
                job, options, context.source_factory, context.items, context.library,
                context.client.enqueue(captions_first=wants_captions),
                lambda: context.check(self._key), context.subscriptions, self._look,
                context.client.enqueue_captions,
            )  # fmt: skip
        except listing_jobs.LookOutdated:
            log.info("%s: the source is not followed so any more", self._id)
            self._end_look(LookOutcome.CANCELLED)
            self._finish(item_states.CANCELLED, error="", hint="")
            return
        self._until_accepted(lambda: listing_jobs.record_poll(context.subscriptions, job, notice))
        self._end_look(LookOutcome.SUCCEEDED, notice)
        self._finish(item_states.DONE, error="", hint="")

    def _require_model(self, options: TranscriptionOptions) -> None:
        """Let the item wait in the table while its model is fetched; its stage is then `model`."""
        try:
            self._context.model_fetches.require(self._id, options.engine, options.model)
        except KBError:
            self._context.check(self._key)
            self._advance(MODEL, 0.0)
            raise

    def _decode(self, media: LocalMedia, options: TranscriptionOptions, crashes: int) -> Transcript:
        """Return the transcript; start another inference process after a crash."""
        context, startup_failures, losses = self._context, 0, 0
        while True:
            self._last_progress = (0.0, "")
            try:
                # Exclusive after a crash, so that the next crash certainly belongs to this item.
                return stages.transcribe(
                    media, options, context.inference_process, self._advance,
                    lambda: context.is_cancelled(self._key),
                    exclusive=crashes > 0,
                )  # fmt: skip
            except InferenceProcessCrashed as error:
                context.check(self._key)
                if not error.ready and not error.device_lost:
                    # The process did not reach this item: its own start fails.
                    startup_failures += 1
                    log.warning("%s", error.message)
                    if startup_failures >= STARTUP_FAILURES_MAX:
                        raise
                    continue
                if error.device_lost and losses < DEVICE_LOSSES:
                    # The device failed: the item continues in a new process.
                    losses += 1
                    log.warning("%s: %s", self._id, error.message)
                    continue
                crashes = context.items.count_crash(self._id, self._serial)
                log.warning("%s: %s (crash %d)", self._id, error.message, crashes)
                if crashes >= CRASHES_MAX:
                    raise KBError(
                        "item.crashes",
                        "The recognizer's process died {crashes:time|times} while it decoded "
                        "this item.",
                        hint="The file may crash a driver or need more memory than "
                        "there is; try a smaller --batch-size or another model, "
                        "then: kb retry {item_id}",
                        crashes=crashes,
                        item_id=self._id,
                    ) from None

    def _wait_for_lane(self) -> None:
        """Wait while the lane is paused; the item is shown as queued meanwhile."""
        context, marked_queued = self._context, False
        # The worker's copy of the lane's state may be half a second old.
        self._until_accepted(context.refresh_lane_pause)
        while context.lane_is_paused():
            if not marked_queued:
                marked_queued = True
                self._until_accepted(
                    lambda: context.items.mark_queued(self._id, self._serial, context.executor)
                )
            time.sleep(LANE_POLL_S)
            if context.stopping.is_set():
                block_forever()

    @contextlib.contextmanager
    def _preparation(self) -> Iterator[bool]:
        """Hold a slot of preparation while an item is fetched; yield False without a slot.

        The item is assigned to this worker only afterwards: while it waits for the slot, another
        machine that has nothing to do may take it. An item of a followed source has its turn
        first, and errors are recorded where the item is claimed: these wait for their slot there.
        An item whose row another session holds (a machine that froze) gives the slot to the next.
        """
        context = self._context
        row = self._until_accepted(lambda: context.items.read(self._id))
        with contextlib.ExitStack() as held:
            has_slot = False
            try:
                while row is not None and self._waits_unclaimed(row) and not has_slot:
                    held.enter_context(self._slot(row))
                    has_slot = self._until_accepted(lambda: context.items.is_unlocked(self._id))
                    if not has_slot:
                        held.close()
                        context.check(self._key)
                        time.sleep(LANE_POLL_S)
            except WorkerStopping:
                block_forever()
            except (KBError, OSError):
                pass
            yield has_slot

    def _waits_unclaimed(self, row: item_states.ItemRow) -> bool:
        is_listing = isinstance(row.job, item_states.ListingJob)
        if is_listing or row.options.get(SOURCE):
            return False
        return not _is_transcribed(self._library.find(self._id), row)

    @contextlib.contextmanager
    def _slot(self, row: item_states.ItemRow) -> Iterator[None]:
        """Wait for a slot of preparation and hold it."""
        context, run = self._context, RunOptions.from_dict(row.options)
        asked = asked_of(row.options, context.settings)
        if asked is None:
            workers = run.preparation_workers(context.settings)
        else:  # the preset may be known only where it was asked for
            workers = run.workers or context.settings.workers or asked.preset.workers
        with context.preparations.limited_to(workers), slot(context, self._key, row.priority):
            yield


def _is_transcribed(entry: LibraryEntry | None, row: item_states.ItemRow) -> bool:
    """Return True if an item's entry has the transcript of this run."""
    return (
        entry is not None
        and entry.transcript_path is not None
        and entry.transcribed.get("run") == row.run
        and damage(entry) is None  # a damaged one would fail every later attempt
    )
