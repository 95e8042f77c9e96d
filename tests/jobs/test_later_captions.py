"""Captions that a source adds after an item was listed: noticed at a look, and fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kb.jobs.queue.item_states import CANCELLED, DONE, FAILED, HELD, PAUSED, QUEUED, WAITING
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.listing_jobs import keeps_captions
from kb.jobs.queue.source_facts import refresh_known
from kb.jobs.worker.caption_steps import CaptionSteps
from kb.jobs.worker.context import WorkerContext
from kb.library import Library
from kb.pipeline import captions, stages
from kb.settings import Settings
from kb.sources.youtube.items import placeholder_item
from tests.fakes.media import FakeMedia
from tests.support.kept_transcripts import said, transcript
from tests.support.queue_store import Queue

VTT = "WEBVTT\n\n00:00.000 --> 00:02.000\nThe harbour is quiet\n"
V = "abcdefghijk"
ITEM = replace(placeholder_item(V), title="Rivers", language="en", extra={"captions": False})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "now", "noticed"),
    [
        (False, True, True),
        (True, True, False),
        (None, True, False),  # the first listing with a key: a download has looked for them
        (False, False, False),
        (True, False, False),
        (False, None, False),  # a listing without a key
        (None, None, False),
    ],
)
def test_captions_are_noticed_where_there_were_none(
    store: ItemStore, context: WorkerContext, before: Any, now: Any, noticed: bool
) -> None:
    def with_captions(value: Any) -> Any:
        return replace(ITEM, extra={} if value is None else {"captions": value})

    store.submit([with_captions(before)], {}, Queue())
    found: list[str] = []
    for _ in range(2):  # once
        refresh_known(
            store, context.library, [with_captions(now)], None, lambda row: found.append(row.id)
        )
    assert found == ([ITEM.id] if noticed else [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "options", "settings", "kept"),
    [
        (QUEUED, {"captions_first": True}, {}, True),
        (WAITING, {"captions_first": True}, {}, True),
        (PAUSED, {"captions_first": True}, {}, True),
        (WAITING, {}, {"KB_CAPTIONS_FIRST": True}, True),
        (WAITING, {"captions_first": False}, {"KB_CAPTIONS_FIRST": True}, False),
        (WAITING, {}, {}, False),  # they come with its medium
        (DONE, {}, {}, True),
        (HELD, {}, {}, True),
        (DONE, {}, {"KB_WITNESS": False}, False),
        (DONE, {}, {"KB_WITNESS": False, "KB_CAPTIONS": "en"}, True),
        (FAILED, {"captions_first": True}, {}, False),
        (CANCELLED, {"captions_first": True}, {}, False),
    ],
)
def test_captions_are_fetched_where_they_are_kept(
    store: ItemStore, state: str, options: dict[str, Any], settings: dict[str, Any], kept: bool
) -> None:
    store.submit([ITEM], options, Queue())
    store.end_as([ITEM.id], state, [QUEUED])
    row = store.read(ITEM.id)
    assert row is not None
    assert keeps_captions(row, Settings.model_validate(settings)) is kept


@pytest.fixture(scope="module")
def site() -> Iterator[FakeMedia]:
    with FakeMedia(b"") as fake:
        yield fake


def write_transcript(library: Library, title: str) -> None:
    stages.write(library, replace(ITEM, title=title, extra={"captions": True}), transcript(
        said("The harbour is quiet.")
    ), 0.0)  # fmt: skip


@pytest.mark.parametrize(
    ("offered", "settings", "result"),
    [
        (True, {}, "kept"),
        (True, {"witness": False, "captions": "en"}, "kept"),
        (True, {"witness": False}, "replaced"),
        (False, {}, "replaced"),
    ],
)
def test_captions_of_a_finished_item_are_kept_beside_it(
    context: WorkerContext, site: FakeMedia, offered: bool, settings: dict[str, Any], result: str
) -> None:
    site.captions = {V: VTT} if offered else {}
    context.settings = context.settings.replace(
        yt_watch_url=site.watch_url, download_pause_s=0.0, download_pause_max_s=0.0, **settings
    )
    context.items.submit([ITEM], {}, Queue())
    context.items.end_as([ITEM.id], DONE, [QUEUED])
    write_transcript(context.library, "A title by hand")
    site.requests.clear()
    assert CaptionSteps(context, ITEM.id).run() == result
    entry = context.library.find(ITEM.id)
    assert entry is not None and entry.item.title == "A title by hand"
    assert entry.transcript_path is not None and not captions.is_shown(entry)
    names = [each.path.name.rsplit(V, 1)[1] for each in captions.files_of(context.library, entry)]
    assert names == ([".en.vtt"] if result == "kept" else [])
    asked = len(site.requests)
    assert bool(asked) == (settings.get("witness", True) or "captions" in settings)
    CaptionSteps(context, ITEM.id).run()
    assert result != "kept" or len(site.requests) == asked  # they are there now
