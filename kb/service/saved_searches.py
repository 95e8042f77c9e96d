"""Searches saved under a name: run again, and reported when new items have their words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kb.jobs.queue.client import JobQueue
from kb.jobs.searches.alerts import Alert, SearchAlerts
from kb.jobs.searches.saved import ALERTS as ALERTS
from kb.jobs.searches.saved import Alerts as Alerts
from kb.jobs.searches.saved import SavedSearch as SavedSearch
from kb.library import Library
from kb.pipeline.list_filter import ListFilter
from kb.service.catalogue import Catalogue
from kb.service.results import SearchResult
from kb.settings import Settings
from kb.sinks.base import SearchMode

if TYPE_CHECKING:
    from kb.service.search import Search


@dataclass(frozen=True, slots=True)
class SearchView:
    """A saved search, and the number of its alerts that are unseen."""

    search: SavedSearch
    unseen: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**self.search.as_dict(), "unseen": self.unseen}


@dataclass(frozen=True, slots=True)
class NewHits:
    """A new item with the words of a saved search; see `kb.jobs.searches.alerts.Alert`."""

    search: SavedSearch
    alert: Alert
    title: str
    channel: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, times in epoch seconds and in seconds of the recording."""
        return {
            "search_id": self.search.id,
            "name": self.search.name,
            "item_id": self.alert.item_id,
            "title": self.title,
            "channel": self.channel,
            "at": self.alert.at,
            "hits": self.alert.hits,
            "at_s": self.alert.at_s,
            "seen": self.alert.seen_at is not None,
        }


@dataclass
class SavedSearches:
    """The saved searches of one library. Methods raise UsageError and LibraryError."""

    settings: Settings
    library: Library
    queue: JobQueue
    catalogue: Catalogue
    finder: Callable[[], Search]  # its modules are slow to load

    @property
    def _alerts(self) -> SearchAlerts:
        return SearchAlerts(self.settings, self.queue.database, self.library)

    def all(self) -> list[SearchView]:
        """Return all saved searches, by name."""
        counts = self._alerts.unseen()
        return [SearchView(each, counts.get(each.id, 0)) for each in self._alerts.store.all()]

    def find(self, name: str) -> SavedSearch:
        """Return the search with this name (in any case) or id."""
        return self._alerts.store.find(name)

    def unseen(self) -> int:
        """Return the number of alerts that are unseen."""
        counts = self._alerts.unseen()
        if not counts:
            return 0
        return sum(counts.get(each.id, 0) for each in self._alerts.store.all())

    def save(
        self,
        name: str,
        query: str,
        *,
        mode: SearchMode = "hybrid",
        filters: ListFilter | None = None,
        alerts: Alerts = "off",
    ) -> SavedSearch:
        """Save a search with its filters; alerts are of items that end from now on."""
        now = self.queue.database.time()
        made = self._alerts.store.add(
            name, query, now, mode=mode, filters=filters, alerts=alerts
        )  # fmt: skip
        self._log("save_search", made)
        return made

    def rename(self, name: str, new_name: str) -> SavedSearch:
        """Give a search another name."""
        return self.change(name, new_name=new_name)

    def change(
        self, name: str, *, new_name: str | None = None, alerts: Alerts | None = None
    ) -> SavedSearch:
        """Change the name of a search, or what it reports."""
        store, found = self._alerts.store, self.find(name)
        changed = store.change(
            found.id, self.queue.database.time(), name=new_name, alerts=alerts
        )  # fmt: skip
        self._log("change_search", changed)
        return changed

    def remove(self, name: str) -> SavedSearch:
        """Remove a search and its alerts."""
        found = self.find(name)
        self._alerts.store.remove(found.id)
        self._alerts.forget(found.id)
        self._log("remove_search", found)
        return found

    def run(self, name: str, limit: int = 20) -> SearchResult:
        """Search with a saved search and its filters. Raises KnowledgeBaseError too."""
        found = self.find(name)
        ids = self.catalogue.allowed(found.filters)
        return self.finder().run(found.query, found.mode, limit, ids=ids)

    def alerts(
        self, name: str | None = None, *, unseen: bool = False, limit: int = 1_000
    ) -> list[NewHits]:
        """Return the alerts of one search, or of all, newest first."""
        known: Mapping[str, SavedSearch] = {each.id: each for each in self._alerts.store.all()}
        only = None if name is None else self.find(name).id
        found = [
            each
            for each in self._alerts.stored(only, unseen=unseen, limit=limit)
            if each.search in known
        ]
        entries = {
            entry.item.id: entry.item
            for entry in self.library.find_all({each.item_id for each in found})
        }
        return [
            NewHits(known[each.search], each, item.title, item.channel)
            for each in found
            if (item := entries.get(each.item_id)) is not None
        ]

    def mark_seen(self, name: str | None = None) -> int:
        """Mark the alerts of one search, or of all, as seen; return their number."""
        alerts = self._alerts
        found = alerts.store.all() if name is None else [self.find(name)]
        return sum(alerts.mark_seen(each.id) for each in found)

    def _log(self, action: str, search: SavedSearch) -> None:
        self.queue.record(action, search=search.name)
