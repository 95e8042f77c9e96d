"""Readers of the answers of YouTube's Data API, which refuse an answer of unknown form.

What an answer leaves out must not be taken for what the service does not have: its videos would
count as private or removed, and the listing as complete.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from kb.errors import MediaUnavailable
from kb.sources.remote_fields import count, mapping

# Pages in a row without a new entry after which a list counts as one that repeats itself.
BARREN_PAGES = 10

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def not_understood(call: str, cause: str) -> MediaUnavailable:
    """Return the error for an answer in another form than the service describes."""
    return MediaUnavailable(
        "youtube.answer_unknown",
        "The YouTube Data API answered {call} in a form that is not understood: {cause}.",
        hint="Try again; if it stays, update KB Ingest (and check YT_API_ENDPOINT and KB_PROXY).",
        retryable=True,
        call=call,
        cause=cause,
    )


def resources_of(answer: object, call: str) -> list[dict[str, Any]]:
    """Return the resources in an answer, which may omit the list where there are none.

    Raises MediaUnavailable for an answer that is not understood.
    """
    if not isinstance(answer, dict):
        raise not_understood(call, "it is no object")
    if "items" not in answer and not _is_empty_answer(answer):
        raise not_understood(call, "it has no items")
    rows = answer.get("items", [])
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        raise not_understood(call, "its items are no list of objects")
    return rows


def _is_empty_answer(answer: dict[str, Any]) -> bool:
    """Return True if an answer without a list is the service's answer for "nothing found"."""
    return (
        str(answer.get("kind", "")).startswith("youtube#")
        and not any(isinstance(value, list) for value in answer.values())
        and not count(mapping(answer.get("pageInfo")).get("totalResults"))
    )


def id_of(resource: dict[str, Any], call: str) -> str:
    """Return the id of a resource. Raises MediaUnavailable if it has none."""
    return _checked_id(resource.get("id"), call)


def by_id(answer: object, asked: Collection[str], call: str) -> dict[str, dict[str, Any]]:
    """Return the resources of an answer by their ids, which are among those `asked` for.

    Raises MediaUnavailable.
    """
    found = {id_of(resource, call): resource for resource in resources_of(answer, call)}
    if not found.keys() <= set(asked):
        raise not_understood(call, "an entry was not asked for")
    return found


def video_ids(answer: object) -> list[str]:
    """Return the ids in an answer of `playlistItems.list`. Raises MediaUnavailable."""
    call = "playlistItems"
    return [
        _checked_id(mapping(row.get("contentDetails")).get("videoId"), call)
        for row in resources_of(answer, call)
    ]


def _checked_id(value: object, call: str) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise not_understood(call, "an entry has no id")
    return value


class PageChain:
    """The pages of one list in order of their tokens; a list that repeats itself is an error.

    A walk begins with the empty token and may begin again.
    """

    def __init__(self, call: str) -> None:
        self._call = call
        self._next: dict[str, str] = {}
        self._seen: set[str] = set()
        self._barren = 0

    def next_token(self, answer: dict[str, Any], token: str, ids: Collection[str]) -> str:
        """Return the token of the page behind that of `token`, empty at the end.

        `ids` are those of the entries of the page. Raises MediaUnavailable.
        """
        following = answer.get("nextPageToken", "")
        if not isinstance(following, str) or not following.isascii():
            raise not_understood(self._call, "its nextPageToken is no text")
        if not token:
            self._seen.clear()
            self._barren = 0
        self._barren = 0 if not self._seen.issuperset(ids) else self._barren + 1
        self._seen.update(ids)
        self._next[token] = following
        if following and (self._leads_back(token) or self._barren >= BARREN_PAGES):
            raise not_understood(self._call, "its pages repeat themselves")
        return following

    def _leads_back(self, token: str) -> bool:
        each = self._next[token]
        while each and each != token:
            each = self._next.get(each, "")
        return bool(each)
