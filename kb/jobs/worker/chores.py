"""Chores of a worker: functions that it calls at intervals beside the work on items.

Each may raise KBError; the worker logs it and calls the chore again after its interval.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from kb.database.snapshots import SNAPSHOT_FOLDER, daily_snapshot, queue_snapshot
from kb.errors import LibraryError
from kb.jobs import retention
from kb.jobs.digest.schedule import write_due
from kb.jobs.published_content import PublishedContent
from kb.jobs.queue import (
    failed_items,
    heartbeat,
    left_out,
    listing_jobs,
    step_states,
    workflow_ids,
)
from kb.jobs.queue.item_queries import Key
from kb.jobs.queue.item_states import ACTIVE, HELD, QUEUED, RUNNING, WAITING
from kb.jobs.queue.lanes import LanePause
from kb.jobs.queue.outbox_states import SYNCED
from kb.jobs.queue.runs import RunStore
from kb.jobs.worker import enrich_steps, publish_steps, retry_policy
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_share import ItemShare
from kb.library.cache import library_cache
from kb.library.clock_leaps import record_time
from kb.pipeline import enrichment, previews, stages
from kb.pipeline.meaning import KIND as MEANING
from kb.pipeline.stored_media import StoredMedia
from kb.sinks import is_local_sink
from kb.sources.ytdlp.version import as_written, installed_version, newer_version
from kb.storage.free_space import BELOW_FLOOR

log = logging.getLogger(__name__)

DAY_S = 86_400.0
ROOM_PAUSE_S = 30.0  # the pause is renewed more often while there is no room


def refresh_running(context: WorkerContext) -> None:
    """Mark running items that the table no longer assigns to this worker as cancelled.

    The pause of the item lane is read too.
    """
    with context.lock:
        running = set(context.running)
    if running:
        cancelled = running - context.items.running(context.executor)
        with context.lock:
            # Items that have ended meanwhile are not marked.
            context.cancelled |= cancelled & context.running
    context.take_pause(context.find_lane_pause())


def requeue_due(context: WorkerContext) -> None:
    """Queue the waiting items whose time has come; the number of their attempts is kept."""
    due = context.items.due(context.now())
    if due:
        context.items.retry(due, context.client.ingest, states=(WAITING,), fresh=False)


def retry_failed(context: WorkerContext) -> None:
    """Queue the failed items whose next attempt is due; the time of the first failure is kept."""
    if not context.settings.retry_days:
        return
    queued = failed_items.retry_due(
        context.items, context.now(), installed_version(), context.client.ingest
    )
    if queued:
        log.info("tried again by schedule: %d failed items", len(queued))


def reap_dead_workers(context: WorkerContext, detector: heartbeat.DeadWorkerDetector) -> None:
    """Queue the items of dead workers again, and remove their unfinished files."""
    database = context.items.database
    found = heartbeat.list_workers(database)
    for executor in detector.find(found, context.executor, time.monotonic()):
        context.library.sweep_temporary()
        taken_over = context.client.take_over(executor)
        context.items.release(executor)
        context.looks.close_open(executor)
        heartbeat.mark_dead(database, executor, context.executor)
        log.warning(
            "worker %s is gone; %d of its items go on here or elsewhere",
            executor,
            len(taken_over),
        )


def take_back(share: ItemShare) -> None:
    """Take items that another worker does not begin, if this one has nothing to do."""
    if taken := share.take_back():
        log.info("taken from a worker that did not begin them: %s", taken)


def requeue_lost(context: WorkerContext, idle_before: set[Key]) -> set[Key]:
    """Queue items again whose workflow has ended without a result; return this worker's idle items.

    An item is idle if the table assigns it to this worker and none of its threads works on it: a
    workflow's thread ends when the database refuses its record. Items that were idle at the
    previous call too (`idle_before`) are lost.
    """
    items, client = context.items, context.client
    lost = client.abandoned()
    with context.lock:
        running = set(context.running)
    idle = items.running(context.executor) - running
    lost.update(idle & idle_before)
    queued = items.retry(
        list(lost), client.ingest, states=(QUEUED, RUNNING), fresh=False, serials=lost
    )
    if queued:
        client.cancel([workflow_ids.ingest_id(*key) for key in queued])
        log.warning("queued again, after a database error: %s", [i for i, _ in queued])
    publish_steps.requeue_lost(context)
    enrich_steps.requeue_lost(context)
    return idle


def delete_old_records(context: WorkerContext) -> None:
    """Delete the records of workflows that ended longer ago than the setting allows."""
    context.client.delete_finished(context.now() - context.settings.keep_records_days * DAY_S)
    context.steps.forget_products(context.now() - context.settings.products_days * DAY_S)
    kept_s = context.settings.keep_records_days * DAY_S
    RunStore(context.items.database).delete_older(context.now() - kept_s)


def back_up_database(context: WorkerContext) -> None:
    """Copy a SQLite database once a day, and after items were queued.

    A damaged one is logged and replaces no earlier copy.
    """
    path, keep = context.items.database.path, context.settings.backups
    if path is None:
        return
    with suppress(OSError):  # the copy names the cause
        context.require_room(path.stat().st_size)
    if daily_snapshot(path, keep) or queue_snapshot(path, context.items.last_queued_at(), keep):
        log.info("the database was copied to %s", path.parent / SNAPSHOT_FOLDER)


def watch_room(context: WorkerContext) -> None:
    """Pause the items while less than the floor is free, and let them go on when there is room.

    Every writer checks the floor itself; the pause keeps a long queue from trying one by one. A
    pause after another trouble of the folder (read-only, a full quota) ends with the trouble too.
    """
    try:
        context.require_room()
    except LibraryError as error:
        context.warn_throttled(error)
        context.pause_lane(context.now() + ROOM_PAUSE_S, error)
        return
    if not _may_open(context, context.lane_pause):
        return
    # The worker's copy may hide a pause by hand.
    pause = context.find_lane_pause()
    if _may_open(context, pause):
        context.lanes.open(context.own_lane)
        pause = None
        context.folder_opened_at = time.monotonic()
        log.info("%s can be written to again", context.settings.home)
    context.take_pause(pause)


def _may_open(context: WorkerContext, pause: LanePause | None) -> bool:
    """Return True if a pause is due to a trouble of the folder that has passed.

    Apart from the floor, whose test is exact, a trouble that came back soon after such an end
    lasts until the end of its pause: a small file can be written, and the work cannot.
    """
    code = str(pause.problem.get("code", "")) if pause is not None and pause.problem else ""
    if code == BELOW_FLOOR:
        return True
    if not retry_policy.concerns_folder(code):
        return False
    early = time.monotonic() - context.folder_opened_at >= retry_policy.LANE_PAUSE_S
    return early and context.can_write()


def empty_trash(context: WorkerContext) -> None:
    """Complete interrupted removals, and delete the removed items whose week has passed."""
    removal = context.removal
    removal.complete()
    now = context.now()
    if deleted := removal.empty(now, record_time(context.library, now)):
        log.info("deleted, a week after their removal: %s", deleted)


def sweep_previews(context: WorkerContext) -> None:
    """Delete the previews of media that are not in the library any more."""
    if context.library.media_folder.is_dir():
        kept = {entry.sha256 for entry in context.library.entries()}
        previews.sweep(context.library, kept)


def follow_changes(context: WorkerContext) -> None:
    """Publish items again whose text has changed since they were published, also on disk.

    Results of steps are no reason. Held items and items in the queue are left out, and publications
    that a person cancelled. Items whose files were deleted by hand are noted first.
    """
    content = PublishedContent(context.settings, context.library, context.items.database)
    read = library_cache(context.library.media_folder).listing
    left_out.note_gone_files(context.items, context.library, read)
    listing = read()
    published = [entry for entry in listing.entries if entry.published and entry.transcript_path]
    rows = context.outbox.for_items([entry.item.id for entry in published])
    active = context.items.unfinished()
    found: list[str] = []
    for entry in published:
        if active.get(entry.item.id) in ACTIVE:
            continue
        for row in rows.get(entry.item.id, ()):
            if row.status != SYNCED or not content.needs_sending_since(
                entry, row.sink, row.updated_at
            ):
                continue
            if is_local_sink(row.sink):
                transcript = stages.read_transcript(context.library, entry)
                stages.publish(context.library, context.settings, entry, transcript, row.sink)
                context.outbox.record(row.sink, entry.item.id, SYNCED)
            elif entry.state != HELD:
                context.outbox.send(entry.item.id, [row.sink], context.client.publish)
            found.append(entry.item.id)
    if found:
        log.info("changed in the library folder, published again: %s", found)


def complete_vectors(context: WorkerContext) -> None:
    """Queue the step `meaning` of items whose text has changed since: an edit, another transcript.

    Items that never had it, or where it failed or was cancelled, are left to `kb enrich`.
    """
    if enrichment.lacking(MEANING) is not None:
        return
    from kb.sinks.local.sink import LocalSink

    ids = LocalSink(context.settings).partial_ids()
    keys = [
        (row.step, item_id)
        for item_id, rows in context.steps.for_items(ids).items()
        for row in rows
        if row.step == MEANING and row.status == step_states.DONE
    ]
    context.steps.request(keys, context.client.step)


def notice_update(context: WorkerContext) -> None:
    """Warn that a newer yt-dlp was installed: this process keeps the one that it has loaded.

    The items that failed with the older one are tried again by a worker that has the newer one.
    """
    running = installed_version()
    if newer := newer_version(running):
        log.warning(
            "yt-dlp %s is installed, and worker %s runs %s: the newer one needs a restart of the "
            "worker",
            newer, context.executor, as_written(running),
        )  # fmt: skip


def apply_retention(context: WorkerContext) -> None:
    """Delete the media that the terms of their followed sources do not keep."""
    now, followed = context.now(), context.subscriptions.list()
    leaps = record_time(context.library, now)
    stored = StoredMedia.of(context.library, context.settings)
    retention.apply(context.library, context.items, followed, now, leaps, stored)


def watch_clock(context: WorkerContext) -> None:
    """Record the time that the clock shows, so that a leap of it is known."""
    record_time(context.library, context.now())


def write_digest(context: WorkerContext) -> None:
    """Write and send the digest of the last day or week, if it is due."""
    made = write_due(
        context.settings,
        context.items.database,
        context.library,
        clock=context.now,
        warn=context.warn_throttled,
    )
    if made is not None:
        log.info("the digest was written to %s", made)


def poll_subscriptions(context: WorkerContext) -> None:
    """Queue a listing for every subscription that is due; several missed times give one listing."""
    context.subscriptions.poll(
        lambda due: listing_jobs.enqueue_listing(
            context.items,
            listing_jobs.subscription_listing(due),
            due.options,
            context.client.ingest,
        )
    )
