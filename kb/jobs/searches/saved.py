"""Searches saved under a name, in the library's files, which outlive a database.

<home>/library.json   "searches": [{"id", "name", "query", "mode", "filters", "alerts", "made_at",
                                    "checked_until", "alerted": [{"item_id", "at", …}]}]

`alerted` is a copy of the newest alerts of the database (`kb.jobs.searches.alerts`).
"""

from __future__ import annotations

import logging
import math
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from kb import storage
from kb.errors import KBError, UsageError
from kb.library import Library
from kb.library.library import LOCK_FOLDER
from kb.pipeline.list_filter import ListFilter
from kb.sinks.base import SEARCH_MODES, SearchMode

FACT = "searches"
MOST_SEARCHES, LONGEST_NAME, LONGEST_QUERY = 100, 100, 1_000  # the last two in characters

Alerts = Literal["off", "new", "followed"]
ALERTS: tuple[str, ...] = get_args(Alerts)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search with its filters, saved under a name.

    `alerts`: `new` items with its words are reported, only those of `followed` sources, or `off`.
    Times are in epoch seconds; items that ended before `made_at` are never reported, and those
    before `checked_until` have been looked at. `alerted`: see the head of the module.
    """

    id: str
    name: str
    query: str
    mode: SearchMode = "hybrid"
    filters: ListFilter = field(default_factory=ListFilter)
    alerts: Alerts = "off"
    made_at: float = 0.0
    checked_until: float = 0.0
    alerted: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that a person chose, as JSON values."""
        return {
            "id": self.id,
            "name": self.name,
            "query": self.query,
            "mode": self.mode,
            "filters": self.filters.as_dict(),
            "alerts": self.alerts,
            "made_at": self.made_at,
        }

    def record(self) -> dict[str, Any]:
        """Return all fields, as they are stored."""
        return {
            **self.as_dict(),
            "checked_until": self.checked_until,
            "alerted": [dict(each) for each in self.alerted],
        }


@dataclass(frozen=True)
class SearchStore:
    """The saved searches of one library. Methods raise LibraryError, and UsageError."""

    library: Library

    def all(self) -> list[SavedSearch]:
        """Return all saved searches, by name. One that cannot be read is logged and left out."""
        found = []
        for each in self._stored():
            try:
                found.append(_search(each))
            except (KBError, AttributeError, LookupError, TypeError, ValueError) as error:
                path = self.library.facts_path
                log.warning("%s: a saved search in it cannot be read: %s", path, error)
        return sorted(found, key=lambda each: each.name.casefold())

    def find(self, name: str) -> SavedSearch:
        """Return the search with this name (in any case) or id. Raises UsageError without one."""
        wanted, searches = name.strip().casefold(), self.all()
        for each in searches:
            if wanted in (each.name.casefold(), each.id):
                return each
        raise UsageError(
            "searches.unknown",
            "No search is saved as {name!r}.",
            hint="Saved: {known}.",
            name=name[:LONGEST_NAME],
            known=", ".join(each.name for each in searches) or "none",
        )

    def add(
        self,
        name: str,
        query: str,
        now: float,
        *,
        mode: SearchMode = "hybrid",
        filters: ListFilter | None = None,
        alerts: Alerts = "off",
    ) -> SavedSearch:
        """Save a search at the time `now` (epoch seconds). Raises UsageError for a taken name."""
        made = SavedSearch(
            secrets.token_hex(6), _name(name), _query(query), _mode(mode), filters or ListFilter(),
            _alerts(alerts), now, now,
        )  # fmt: skip

        def added(stored: list[Any]) -> list[Any]:
            self._refuse_taken(made)
            if len(stored) >= MOST_SEARCHES:
                raise UsageError(
                    "searches.many",
                    "{count} searches are saved; there is room for no more.",
                    hint="Remove one that is not used.",
                    count=len(stored),
                )
            return [*stored, made.record()]

        self._change(added)
        return made

    def change(
        self, search_id: str, now: float, *, name: str | None = None, alerts: Alerts | None = None
    ) -> SavedSearch:
        """Change the name or the alerts of a search; alerts that are switched on begin `now`."""
        found: list[SavedSearch] = []

        def changed(before: SavedSearch) -> SavedSearch:
            after = before
            if name is not None:
                after = replace(after, name=_name(name))
                self._refuse_taken(after)
            if alerts is not None:
                begins = before.alerts == "off" and alerts != "off"
                made_at = now if begins else before.made_at
                until = now if begins else before.checked_until
                after = replace(after, alerts=_alerts(alerts), made_at=made_at, checked_until=until)
            found.append(after)
            return after

        if not self.update(search_id, changed):
            raise self._gone(search_id)
        return found[-1]

    def remove(self, search_id: str) -> None:
        """Remove a search. Raises UsageError if it is not there."""
        sizes = []

        def kept(stored: list[Any]) -> list[Any]:
            left = [each for each in stored if _id(each) != search_id]
            sizes.append(len(stored) - len(left))
            return left

        self._change(kept)
        if not sizes[-1]:
            raise self._gone(search_id)

    def update(self, search_id: str, change: Callable[[SavedSearch], SavedSearch]) -> bool:
        """Write what `change` makes of a search; return False if the search is not there."""
        done = []

        def changed(stored: list[Any]) -> list[Any]:
            after = []
            for each in stored:
                if _id(each) == search_id:
                    each = change(_search(each)).record()
                    done.append(search_id)
                after.append(each)
            return after

        self._change(changed)
        return bool(done)

    def _stored(self) -> list[Any]:
        stored = self.library.read_facts().get(FACT)
        return list(stored) if isinstance(stored, list) else []

    def _change(self, change: Callable[[list[Any]], list[Any]]) -> None:
        """Write what `change` makes of the stored rows, if it differs."""
        with storage.locked(self.library.home / LOCK_FOLDER / "library.lock"):
            before = self._stored()
            after = change(before)
            if after != before:
                self.library.write_facts({FACT: after or None})

    def _refuse_taken(self, wanted: SavedSearch) -> None:
        for each in self.all():
            if each.name.casefold() == wanted.name.casefold() and each.id != wanted.id:
                raise UsageError(
                    "searches.name_taken",
                    "A search is saved as {name!r} already.",
                    hint="Take another name, or remove the earlier one.",
                    name=each.name,
                )

    def _gone(self, search_id: str) -> UsageError:
        return UsageError(
            "searches.gone",
            "The saved search {search_id} is not there any more.",
            hint="It may have been removed: look at the list again.",
            search_id=search_id[:LONGEST_NAME],
        )


def _id(stored: Any) -> Any:
    return stored.get("id") if isinstance(stored, Mapping) else None


def _search(stored: Mapping[str, Any]) -> SavedSearch:
    made_at = _time(stored.get("made_at"))
    alerted = stored.get("alerted")
    return SavedSearch(
        str(stored["id"]),
        _name(str(stored["name"])),
        _query(str(stored["query"])),
        _mode(stored.get("mode") or "hybrid"),
        ListFilter.from_dict(stored.get("filters") or {}),
        _alerts(stored.get("alerts") or "off"),
        made_at,
        _time(stored.get("checked_until")) or made_at,
        tuple(each for each in alerted if isinstance(each, Mapping))
        if isinstance(alerted, list)
        else (),
    )


def _time(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _name(text: str) -> str:
    name = re.sub(r"\s+", " ", text).strip()
    if not name or len(name) > LONGEST_NAME:
        raise UsageError(
            "searches.name",
            "A search needs a name of 1 to {most} characters.",
            hint="Name it after what it finds.",
            most=LONGEST_NAME,
        )
    return name


def _query(text: str) -> str:
    query = text.strip()
    if not query or len(query) > LONGEST_QUERY:
        raise UsageError(
            "searches.query",
            "A saved search needs words: 1 to {most} characters.",
            hint="Write the words to search for.",
            most=LONGEST_QUERY,
        )
    return query


def _mode(mode: Any) -> SearchMode:
    if mode not in SEARCH_MODES:
        raise UsageError(
            "searches.mode",
            "{mode!r} is no mode of a saved search.",
            hint="Known: {known}.",
            mode=str(mode)[:40],
            known=", ".join(SEARCH_MODES),
        )
    return mode  # type: ignore[no-any-return]


def _alerts(alerts: Any) -> Alerts:
    if alerts not in ALERTS:
        raise UsageError(
            "searches.alerts",
            "{alerts!r} is no kind of alerts.",
            hint="Known: {known}.",
            alerts=str(alerts)[:40],
            known=", ".join(ALERTS),
        )
    return alerts  # type: ignore[no-any-return]
