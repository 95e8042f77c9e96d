"""The shorts of a channel: a list of its own, read as far as it is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kb.database import Database
from kb.sources.listing.filters import SHORT_MAX_S
from kb.sources.listing.known_list import KnownList
from kb.sources.youtube.api import ApiRefused, YouTubeApi
from kb.sources.youtube.walker import WHOLE_EVERY_S, Walker
from kb.types import MediaItem
from kb.types.clock import is_younger


class Shorts:
    """The shorts of the channel whose uploads are this list.

    They are read once in a look, when a video is asked for that is not among the known ones.
    """

    def __init__(
        self,
        api: YouTubeApi,
        database: Database,
        uploads: str,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._api = api
        self._clock = clock or database.time
        self._known = KnownList(database, f"UUSH{uploads[2:]}", clock=clock)
        self._ids: frozenset[str] | None = None
        self._is_read = self._is_missing = False

    def mark(self, item: MediaItem, *, may_ask: bool) -> MediaItem | None:
        """Return a video with the mark `short` in its `extra`, None if that is not known now.

        Without a list of shorts it is returned as it is. Arguments and errors as in `contains`.
        """
        if not item.duration_s or item.duration_s > SHORT_MAX_S:
            short: bool | None = False
        else:
            short = self.contains(item.id, may_ask=may_ask)
        if short is None:
            return item if may_ask else None
        return replace(item, extra={**item.extra, "short": short})

    def contains(self, item_id: str, *, may_ask: bool) -> bool | None:
        """Return True for a short, None if that is not known.

        Without `may_ask` no request is made, and only a known short is recognized; with
        it None means that the service has no list of the channel's shorts. Raises the errors of
        the API and LibraryError.
        """
        if self._ids is None:
            self._ids = self._known.present()
        if item_id in self._ids:
            return True
        if not self._is_read and may_ask:
            self._read()
        if not self._is_read or self._is_missing:
            return None
        return item_id in self._ids

    def _read(self) -> None:
        state = self._known.state()
        walker = Walker(self._api, self._known, self._known.begin_look(), state.walks)
        whole = not is_younger(state.whole_at, WHOLE_EVERY_S, self._clock())
        if not (whole and any(walk.whole for walk in walker.walks)):
            walker.begin(whole=whole)
        elif walker.walks:
            walker.begin(whole=False)  # the newest ones, before an open walk goes on
        try:
            while walker.walks:
                walk = walker.walks[0]
                page = walker.read_page()
                if walk.whole and page.reached_end:
                    walker.close(walk)
                    self._known.end_whole_walk(
                        walk.number, extent="", reported=None, missing=0, is_complete=True,
                    )  # fmt: skip
        except ApiRefused as error:
            if error.reason == "invalidPageToken":
                self._known.update(walks=(), whole_at=None)
            self._is_missing = True
        self._is_read = True
        self._ids = self._known.present()
