"""The saved searches of a library, as a tool of assistants returns them."""

from __future__ import annotations

from dataclasses import dataclass

from kb.service import Service
from kb.types.safe_text import clean


@dataclass(frozen=True, slots=True)
class SavedSearchEntry:
    """A saved search; `filters` has the allowed values of each field, empty for all items.

    `unseen` is the number of new recordings with its words that were not looked at yet.
    """

    name: str
    query: str
    mode: str
    filters: dict[str, list[str]]
    alerts: str
    unseen: int


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class SavedSearchList:
    """All saved searches, by name."""

    searches: tuple[SavedSearchEntry, ...]


def saved_searches_of(service: Service) -> SavedSearchList:
    """Return the saved searches of a library. Raises LibraryError."""
    return SavedSearchList(
        tuple(
            SavedSearchEntry(
                clean(view.search.name),
                clean(view.search.query),
                view.search.mode,
                {
                    name: [
                        clean(each) for each in (values if isinstance(values, list) else [values])
                    ]
                    for name, values in view.search.filters.as_dict().items()
                },
                view.search.alerts,
                view.unseen,
            )
            for view in service.saved_searches.all()
        )
    )
