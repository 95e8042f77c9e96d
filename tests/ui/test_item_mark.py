"""What makes the open page of an item be drawn again, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.service import ItemStatus, Service
from kb.service.results import StepStatus
from kb.service.views import LibraryEntry
from kb.ui.tabs.library.item import _mark
from tests.support.library_pages import add_item
from tests.support.page_library import home

__all__ = ["home"]

Change = Callable[[LibraryEntry, ItemStatus], tuple[LibraryEntry, ItemStatus]]


def record(**values: Any) -> Change:
    return lambda entry, status: (replace(entry, record={**entry.record, **values}), status)


def published(**values: Any) -> Change:
    return record(published={"odin": {"status": "synced", "content_sha256": "a", **values}})


def steps(*found: StepStatus) -> Change:
    return lambda entry, status: (entry, replace(status, steps=found))


def state(**values: Any) -> Change:
    return lambda entry, status: (entry, replace(status, **values))


SHOWN = {
    "a title": record(user={"title": "Winter"}),
    "the state": state(state="running"),
    "an error": state(error="the disk is full"),
    "sent to a knowledge base": published(),
    "a step that was ordered": steps(StepStatus("notes", "queued")),
    "a step that failed": steps(StepStatus("notes", "failed", error="no model")),
    "a step that waits": steps(StepStatus("notes", "waiting", error="no answer")),
    "a film that another program ordered": steps(StepStatus("product:karaoke", "queued")),
}
PAIRS: dict[str, tuple[Change, Change, bool]] = {
    "a step begins": (
        steps(StepStatus("notes", "queued")), steps(StepStatus("notes", "running")), False,
    ),
    "progress of a step": (
        steps(StepStatus("notes", "running", 0.1)), steps(StepStatus("notes", "running", 0.9)),
        False,
    ),
    "a step waits for another reason": (
        steps(StepStatus("notes", "waiting", error="no answer")),
        steps(StepStatus("notes", "waiting", error="no network")), True,
    ),
    "a step ends": (
        steps(StepStatus("notes", "running")), steps(StepStatus("notes", "done")), True,
    ),
    "another project of a knowledge base": (published(project=""), published(project="x"), True),
}  # fmt: skip


@pytest.fixture
def found(home: Path) -> tuple[Service, LibraryEntry, ItemStatus]:
    item_id = add_item()
    service = Service()
    return service, service.items.entry(item_id), service.items.status(item_id)


@pytest.mark.parametrize("change", SHOWN.values(), ids=SHOWN)
def test_what_the_page_shows_changes_the_mark(
    change: Change, found: tuple[Service, LibraryEntry, ItemStatus]
) -> None:
    service, entry, status = found
    assert _mark(service, entry, status) == _mark(service, entry, status)
    assert _mark(service, *change(entry, status)) != _mark(service, entry, status)


@pytest.mark.parametrize(("one", "other", "differs"), PAIRS.values(), ids=PAIRS)
def test_a_change_within_a_step_or_a_publication(
    one: Change, other: Change, differs: bool, found: tuple[Service, LibraryEntry, ItemStatus]
) -> None:
    service, entry, status = found
    marks = [_mark(service, *change(entry, status)) for change in (one, other)]
    assert (marks[0] != marks[1]) is differs


def test_a_hash_that_the_worker_renews_changes_nothing(
    found: tuple[Service, LibraryEntry, ItemStatus],
) -> None:
    service, entry, status = found
    marks = []
    for digest in ("a", "b"):
        known = {"local": {"status": "queued", "content_sha256": digest}}
        changed, _ = record(published=known)(entry, status)
        marks.append(_mark(service, changed, status))
    assert marks[0] == marks[1]


def test_results_and_a_new_text_change_the_mark(
    found: tuple[Service, LibraryEntry, ItemStatus],
) -> None:
    service, entry, status = found
    before = _mark(service, entry, status)
    assert service.revisions.edit(entry.item.id, 0, "other words") is not None
    assert _mark(service, service.items.entry(entry.item.id), status) != before
