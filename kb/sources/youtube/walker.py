"""Walks through the pages of a YouTube list, one unit of quota a page, recorded page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kb.sources.listing.known_list import Entry, KnownList, Walk
from kb.sources.remote_fields import count, mapping
from kb.sources.youtube.answers import PageChain, video_ids
from kb.sources.youtube.api import YouTubeApi

PREFIX = "youtube:"
WHOLE_EVERY_S = 7 * 86_400.0
# The part of a week by which whole walks of different lists are spread.
SPREAD = 1 / 7


@dataclass(frozen=True, slots=True)
class WalkedPage:
    """A page: the ids of its items, and what was known of them before.

    `size` is the number of its entries, some of which may be the same; `reached_end` is True for
    the last page of the list. `total` is the service's number of entries, None if it gives none.
    """

    ids: tuple[str, ...]
    before: dict[str, Entry]
    size: int
    reached_end: bool
    total: int | None


class Walker:
    """The open walks of one look at a list, the first one in progress.

    Every method raises the errors of the API and LibraryError.
    """

    def __init__(
        self, api: YouTubeApi, known: KnownList, number: int, walks: Sequence[Walk] = ()
    ) -> None:
        self.walks = list(walks)
        self._api = api
        self._known = known
        self._number = number
        self._chains: dict[int, PageChain] = {}

    def begin(self, *, whole: bool) -> None:
        """Open a walk from the top; a whole one takes the place of all others."""
        others = [] if whole else self.walks
        self.walks = [Walk(self._number, whole=whole), *others]

    def read_page(self) -> WalkedPage:
        """Read the next page of the first walk and record its entries.

        The walk moves on to the next page; it is closed at the last one, and unless it is a whole
        one at a page whose last entry was known before the walk began: the entries below it were
        seen, or belong to an older walk that is open.
        """
        walk = self.walks[0]
        playlist_id = self._known.id
        answer = self._api.playlist_items(playlist_id, walk.token)
        videos = video_ids(answer)
        chain = self._chains.setdefault(walk.number, PageChain("playlistItems"))
        following = chain.next_token(answer, walk.token, videos)
        ids = tuple(dict.fromkeys(f"{PREFIX}{each}" for each in videos))
        before = self._known.entries(ids)
        joins = bool(ids) and ids[-1] in before and before[ids[-1]].since < walk.number
        ends = not following or (joins and not walk.whole)
        moved = Walk(walk.number, following, walk.whole, walk.place + len(videos))
        self.walks = [*([] if ends else [moved]), *self.walks[1:]]
        self._known.add_page(ids, self._number, self.walks, walk.place)
        total = count(mapping(answer.get("pageInfo")).get("totalResults"))
        return WalkedPage(ids, before, len(videos), not following, total)

    def close(self, walk: Walk) -> None:
        """End a walk before its last page; a whole one ends the older ones too."""
        self.walks = [
            each
            for each in self.walks
            if each.number > walk.number or (each.number != walk.number and not walk.whole)
        ]
        self._known.update(walks=self.walks)
