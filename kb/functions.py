"""The functions for other Python programs: `from kb import transcribe, ingest, search`.

What they take and return stays within a version number's first two figures; everything else in
`kb` may change. Every error that they raise is a `kb.errors.KBError` with `code`, `message` and
`hint`. A program that calls them from a file of its own needs the usual
`if __name__ == "__main__":`, because the model and the worker run in processes of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kb.options import named_options
from kb.service import Service
from kb.service.notation import SearchMode, VideoFilters
from kb.service.results import IngestReport, ItemStatus
from kb.settings.override import settings_override
from kb.types import Hit, Transcript

_TYPED = {"after", "before", "min_duration", "max_duration", "playlist"}
"""Filters that are written as on the command line: `2024-01`, `30d`, `10m`."""
FILTERS = _TYPED | {"title", "no_shorts", "new", "limit", "captions"}


def transcribe(
    path: str | os.PathLike[str],
    *,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> Transcript:
    """Return the transcript of a media file; nothing is stored.

    `options` are fields of `kb.options.RunOptions`: `model="large-v3"`, `language="de"`,
    `preset="max"`. `progress` is called with the share that is done, 0..1. The transcript has
    `segments`, each with `text`, `start_s`, `end_s` (seconds) and `words`.

    Raises MediaUnavailable for a file that cannot be read, UsageError for an option, and
    ModelUnavailable for a model that is not here and cannot be fetched.
    """
    service = Service.for_reading()
    try:
        return service.transcription.run(Path(path), named_options(options), progress)
    finally:
        service.close()


def ingest(
    *sources: str | os.PathLike[str],
    home: str | os.PathLike[str] | None = None,
    wait: bool = True,
    on_change: Callable[[ItemStatus], None] | None = None,
    **options: Any,
) -> IngestReport:
    """Take files, folders, channels, playlists, videos or pages into a library; return the report.

    `home` is the library's folder (None: the setting KB_HOME). With `wait` the call ends when none
    of the media is queued or running, and a worker is started if none is alive; `on_change` is then
    called with each change of an item. Without, a worker has to be run. `options` are fields of
    `kb.options.RunOptions`, and the filters of `FILTERS` (`after="2024-01"`, `limit=10`).
    The report has `items`, each with `id`, `state` (done, failed, held, waiting, …) and `error`.

    Raises UsageError when none of the sources can be used, or for an option.
    """
    filters = VideoFilters.typed(**{k: v for k, v in options.items() if k in FILTERS})
    chosen = named_options({k: v for k, v in options.items() if k not in FILTERS}, FILTERS)
    with _service(home) as service:
        report = service.ingest.run([os.fspath(each) for each in sources], chosen, filters)
        if not wait:
            return report
        ids = [*report.enqueued, *(each.id for each in report.skipped if each.is_pending)]
        items = service.follow.run(ids, on_change, options=chosen)
        return replace(report, items=tuple(items))


def search(
    query: str,
    *,
    home: str | os.PathLike[str] | None = None,
    mode: SearchMode = "hybrid",
    limit: int = 20,
) -> tuple[Hit, ...]:
    """Return at most `limit` passages of a library that match a query, best first.

    `query` as in `kb search`: all words must occur, `"…"` marks a phrase. `mode`: keyword,
    semantic, or hybrid. Each hit has `item_id`, `title`, `text`, `at_s` (seconds) and `deep_link`.

    Raises LibraryError for a folder without a library, UsageError for a query without words.
    """
    with _service(home, existing=True) as service:
        return tuple(service.search.run(query, mode, limit).hits)


@contextmanager
def _service(home: str | os.PathLike[str] | None, *, existing: bool = False) -> Iterator[Service]:
    given = {"KB_HOME": str(Path(home).expanduser().absolute())} if home is not None else {}
    with settings_override(given):
        service = Service.of_existing_library() if existing else Service()
        try:
            yield service
        finally:
            service.close()
