"""The list of the library over HTTP, its passages, tags and saved searches."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from kb.api.context import ApiContext
from kb.service.catalogue import Sort
from kb.service.notation import ListFilter, SearchMode
from kb.service.search_document import search_document
from kb.types.safe_text import clean

MOST_VALUES = 50  # of one facet in a request

_Value = Annotated[str, Field(max_length=300)]
_Values = Annotated[list[_Value], Field(max_length=MOST_VALUES)]
_Day = Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
_Words = Annotated[str, Field(min_length=1, max_length=1_000)]
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Tag = Annotated[str, Field(min_length=1, max_length=60)]


class Filters(BaseModel):
    """The items of an answer; a field without values excludes nothing, case does not matter."""

    model_config = ConfigDict(extra="forbid")

    channel: _Values = Field([], description="Names or ids of channels.")
    year: _Values = Field([], description="Years of publication.")
    language: _Values = Field([], description="Codes, such as en.")
    grade: list[Literal["A", "B", "C"]] = Field([], max_length=3)
    state: _Values = Field([], description="Such as done or held.")
    sent: list[Literal["sent", "sending", "not_sent", "failed"]] = Field([], max_length=4)
    review: list[Literal["to_review", "accepted", "clear"]] = Field(
        [], max_length=3, description="Doubtful seconds: still to be heard, accepted, or none."
    )
    speaker: _Values = Field([], description="Names that were given to speakers.")
    tag: _Values = Field([])
    after: _Day = Field("", description="From this day on.")
    before: _Day = Field("", description="Before this day.")

    def chosen(self) -> ListFilter:
        """Return the filter of the service. Raises UsageError for a day that does not exist."""
        values = {name: getattr(self, name) for name in Filters.model_fields}
        return ListFilter.from_dict({name: value for name, value in values.items() if value})


class ItemsQuery(Filters):
    """A part of the list."""

    sort: Sort = "published"
    reverse: bool = False
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class SearchQuery(Filters):
    """Words, and the items whose passages are searched."""

    q: _Words = Field(description='Words; "in quotes" a phrase.')
    mode: SearchMode = "hybrid"
    limit: Annotated[int, Field(ge=1, le=1_000)] = 20


class TagsRequest(BaseModel):
    """Tags to add and to remove."""

    model_config = ConfigDict(extra="forbid")

    add: Annotated[list[_Tag], Field(max_length=50)] = []
    remove: Annotated[list[_Tag], Field(max_length=50)] = []


class NewSearch(BaseModel):
    """A search to save."""

    model_config = ConfigDict(extra="forbid")

    name: _Name
    query: _Words
    mode: SearchMode = "hybrid"
    filters: Filters = Field(default_factory=lambda: Filters.model_validate({}))
    alerts: Literal["off", "new", "followed"] = Field(
        "off", description="Report new items with all words, or those of followed sources."
    )


class SearchChange(BaseModel):
    """Another name, or other alerts; null, like what is not given, is no change."""

    model_config = ConfigDict(extra="forbid")

    name: _Name | None = None
    alerts: Literal["off", "new", "followed"] | None = None


def router(context: ApiContext) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/v1", tags=["library"])
    service = context.service

    @routes.get("/items")
    def list_items(asked: Annotated[ItemsQuery, Query()]) -> dict[str, Any]:
        """List the items of the library; `facets` has the values to filter by, with numbers."""
        catalogue = service.catalogue
        rows = catalogue.rows()
        page = catalogue.page(
            catalogue.named(asked.chosen(), rows), sort=asked.sort, reverse=asked.reverse,
            offset=asked.offset, limit=asked.limit, rows=rows,
        )  # fmt: skip
        return {
            "object": "list",
            "data": [row.as_dict() for row in page.rows],
            "total": page.total,
            "seconds": page.seconds,
            "words": page.counted_words,
            "facets": {
                name: {clean(value): count for value, count in values.items()}
                for name, values in page.counts.items()
            },
        }

    @routes.get("/search")
    def search(asked: Annotated[SearchQuery, Query()]) -> dict[str, Any]:
        """Find passages, to the second; those with all words are first."""
        chosen, catalogue = asked.chosen(), service.catalogue
        ids = catalogue.allowed(catalogue.named(chosen))
        result = service.search.run(asked.q, asked.mode, asked.limit, ids=ids)
        return {"object": "search", **search_document(result)}

    @routes.get("/tags")
    def list_tags() -> dict[str, Any]:
        """List all tags with the number of their items."""
        tags = service.labels.tags()
        return _listed([{"tag": clean(name), "items": count} for name, count in tags.items()])

    @routes.get("/items/{item_id}/tags")
    def get_tags(item_id: str) -> dict[str, Any]:
        """List the tags of an item."""
        return _listed([clean(each) for each in service.items.entry(item_id).user_tags])

    @routes.post("/items/{item_id}/tags")
    def change_tags(item_id: str, asked: TagsRequest) -> dict[str, Any]:
        """Add and remove tags of an item; return its tags."""
        known = service.items.entry(item_id).item.id
        service.labels.tag([known], asked.add, asked.remove)
        return _listed([clean(each) for each in service.items.entry(known).user_tags])

    @routes.get("/searches")
    def list_searches() -> dict[str, Any]:
        """List the saved searches; `unseen` new items have the words of each."""
        return _listed([each.as_dict() for each in service.saved_searches.all()])

    @routes.post("/searches", status_code=201)
    def save_search(asked: NewSearch) -> dict[str, Any]:
        """Save a search under a name."""
        made = service.saved_searches.save(
            asked.name, asked.query, mode=asked.mode, alerts=asked.alerts,
            filters=service.catalogue.named(asked.filters.chosen()),
        )  # fmt: skip
        return made.as_dict()

    @routes.get("/searches/{search}")
    def get_search(search: str) -> dict[str, Any]:
        """Return a saved search, by its id or name."""
        return service.saved_searches.find(search).as_dict()

    @routes.patch("/searches/{search}")
    def change_search(search: str, asked: SearchChange) -> dict[str, Any]:
        """Change the name or the alerts of a saved search."""
        saved = service.saved_searches
        return saved.change(search, new_name=asked.name, alerts=asked.alerts).as_dict()

    @routes.delete("/searches/{search}")
    def remove_search(search: str) -> dict[str, Any]:
        """Remove a saved search and its alerts; no item is touched."""
        return {"id": service.saved_searches.remove(search).id, "deleted": True}

    @routes.get("/searches/{search}/hits")
    def run_search(
        search: str, limit: Annotated[int, Query(ge=1, le=1_000)] = 20
    ) -> dict[str, Any]:
        """Search with a saved search and its filters."""
        return {
            "object": "search", **search_document(service.saved_searches.run(search, limit))
        }  # fmt: skip

    @routes.get("/searches/{search}/alerts")
    def list_alerts(
        search: str, unseen: bool = False, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
    ) -> dict[str, Any]:
        """List the new items that have the words of a saved search, newest first."""
        found = service.saved_searches.alerts(search, unseen=unseen, limit=limit)
        return _listed([each.as_dict() for each in found])

    @routes.post("/searches/{search}/seen")
    def mark_seen(search: str) -> dict[str, Any]:
        """Mark the alerts of a saved search as seen."""
        return {"seen": service.saved_searches.mark_seen(search)}

    return routes


def _listed(rows: list[Any]) -> dict[str, Any]:
    return {"object": "list", "data": rows}
