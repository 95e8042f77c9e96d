"""Makes sources, and listings of the references that a user enters."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kb.database import Database
from kb.errors import Cancelled
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.request_settings import settings_of
from kb.library import Library
from kb.library.left_out import LeftOut
from kb.settings import Settings
from kb.sources import get_source, source_for
from kb.sources.base import Source
from kb.sources.files import FileSource
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, open_listing
from kb.types import MediaItem, RecordingFacts

if TYPE_CHECKING:
    from kb.sources.ytdlp.length_check import Measured


def measure(path: Path, *, longest_s: float = math.inf) -> Measured:
    """Return the length of a file and of its losses.

    Raises MediaUnavailable, also for a file longer than `longest_s`.
    """
    from kb.media.decode import decode
    from kb.sources.ytdlp.length_check import Measured

    stream = decode(path, longest_s=longest_s)
    with stream:
        for _ in stream:
            continue
    lost_s = sum(loss.duration_s for loss in stream.losses)
    return Measured(stream.duration_s, stream.truncated, lost_s)


def measure_picture(path: Path) -> Measured:
    """Return the length of a file's picture. Raises MediaUnavailable."""
    from kb.media.picture_length import picture_length
    from kb.sources.ytdlp.length_check import Measured

    return Measured(*picture_length(path))


def _facts(path: Path) -> RecordingFacts:
    from kb.media.recording_facts import recording_facts

    return recording_facts(path)


PAGE_SIZE = 50  # media queued in one transaction: a page of YouTube's lists
SHARED = "shared"  # key of a row's options: it was requested on a dashboard that others reach


def marked(options: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the options of a row with the mark of a shared dashboard, if the settings are so."""
    return {**options, SHARED: True} if settings.shared else dict(options)


@dataclass(frozen=True)
class SourceFactory:
    """The sources of one library, made with its settings and database."""

    settings: Settings
    database: Database

    def open(
        self,
        reference: str,
        filters: VideoFilters,
        *,
        known: Container[str] = (),
        check: Callable[[], None] = lambda: None,
        fresh: bool = False,
        lengths: bool = False,
        channel_id: str = "",
        shared: bool = False,
        followed: bool = False,
    ) -> Listing:
        """Return the listing of a reference.

        `fresh` does not use cached pages, `lengths` measures local files, `channel_id` is the id of
        the channel that the reference led to earlier, `shared` applies the limits of a dashboard
        that others reach, `followed` is true for a look at a followed reference. Raises UsageError
        for an invalid reference; iterating may raise RetryLater errors.
        """
        source = source_for(reference, **self._source_arguments(self._restricted(shared)))
        if isinstance(source, FileSource):
            source.read_facts = _facts
            source.known_item = self._known_item
        if isinstance(source, FileSource) and (lengths or filters.needs_duration):
            from kb.media.probe import probe

            source.read_duration = lambda path: probe(path).duration_s
        if isinstance(source, FileSource):
            if fresh:  # a look at a followed folder; the next one comes by itself
                source.settle_s = self.settings.settle_s
            else:
                source.young_s = self.settings.settle_s
        if (fresh or channel_id) and source.name == "youtube":
            from kb.sources.youtube.source import YouTubeSource

            assert isinstance(source, YouTubeSource)
            return source.open(
                reference,
                filters,
                known=known,
                check=check,
                reuse_s=0 if fresh else None,
                channel_id=channel_id,
                followed=followed,
            )
        return open_listing(source, reference, filters, known=known, check=check, followed=followed)

    def playlists(self, reference: str, check: Callable[[], None]) -> tuple[str, ...]:
        """Return the titles of the playlists of a channel; empty where its source knows none.

        Raises UsageError for an invalid reference, and RetryLater errors.
        """
        source = source_for(reference, **self._source_arguments(self.settings))
        if source.name != "youtube":
            return ()
        from kb.sources.youtube.source import YouTubeSource

        assert isinstance(source, YouTubeSource)
        return source.playlists(reference, check)

    def _known_item(self, item_id: str) -> MediaItem | None:
        row = ItemStore(self.database).read(item_id)
        return None if row is None else row.item

    def asked_by(self, options: Mapping[str, Any]) -> SourceFactory:
        """Return a factory with the settings of a row's request. Raises LibraryError."""
        return replace(self, settings=settings_of(options, self.settings))

    def source_of(
        self, item: MediaItem, keep: str | None = None, *, shared: bool = False
    ) -> Source:
        """Return the source that fetches an item; `keep`: audio, mp3 or mp4.

        `shared` applies the limits of a dashboard that others reach.
        """
        settings = self._restricted(shared)
        settings = settings.replace(keep=keep) if keep else settings
        return get_source(item.source, **self._source_arguments(settings))

    def _restricted(self, shared: bool) -> Settings:
        restrict = shared and not self.settings.shared
        return self.settings.replace(shared=True) if restrict else self.settings

    def _source_arguments(self, settings: Settings) -> dict[str, Any]:
        return {
            "settings": settings,
            "database": self.database,
            "measure": partial(measure, longest_s=settings.longest_s),
            "measure_picture": measure_picture,
        }


class KnownIds(Container[str]):
    """The ids in the table, queried one by one or many at once.

    Items that a person left out are known too.
    """

    def __init__(self, items: ItemStore, library: Library) -> None:
        self._items = items
        self._left_out = frozenset(LeftOut(library).marks())

    def __contains__(self, item_id: object) -> bool:
        return isinstance(item_id, str) and bool(self.among([item_id]))

    def among(self, ids: Collection[str]) -> set[str]:
        """Return those of these ids that are known."""
        unknown = self._items.unknown_ids([each for each in ids if each not in self._left_out])
        return set(ids).difference(unknown)


def available_items(listing: Iterator[MediaItem] | Listing) -> Iterator[MediaItem]:
    """Return the items of a listing that can be queued, without the unavailable ones."""
    return (item for item in listing if not item.availability.is_unavailable)


def names_one_medium(listing: Listing) -> bool:
    """Return whether a listing that has been read was that of one medium, not of a list.

    A limit ends a listing before its other entries are counted, and a search for new media reads
    only a part of a list.
    """
    filters = listing.filters
    return listing.report.listed <= 1 and not filters.limit and not filters.new


def batches(items: Iterator[MediaItem], size: int = PAGE_SIZE) -> Iterator[Sequence[MediaItem]]:
    """Yield items in batches, so that a long listing's first items are queued before its end.

    The items before an error are yielded before it is raised, unless it is a request to stop.
    """
    held: list[MediaItem] = []
    while True:
        try:
            item = next(items)
        except StopIteration:
            break
        except Cancelled:
            raise
        except Exception:
            if held:
                yield held
            raise
        held.append(item)
        if len(held) >= size:
            yield held
            held = []
    if held:
        yield held
