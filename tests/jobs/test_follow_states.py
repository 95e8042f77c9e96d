"""What is missing of a followed playlist, page or folder is shown with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import pytest
import sqlalchemy as sa

from kb.database import items, list_entries, lists, looks, subscriptions
from kb.jobs.queue import follow_states
from kb.jobs.queue.order import SOURCE
from kb.service import Service
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.known_list import KnownList
from kb.sources.looks import Look, LookKind, LookOutcome, Looks
from kb.sources.subscriptions import Subscription
from kb.types import MediaItem

PLAYLIST = f"PL{'p' * 32}"
ADDRESS = f"https://www.youtube.com/playlist?list={PLAYLIST}"
FOLDER = "/talks"
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    opened = Service(Settings(home=tmp_path_factory.mktemp("home")))
    opened.library.prepare()
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def empty(service: Service) -> None:
    with service.queue.database.begin() as connection:
        for table in (items, subscriptions, list_entries, lists, looks):
            connection.execute(sa.delete(table))


def follow(service: Service, reference: str) -> str:
    key = service.subscriptions.follow(reference).key
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(subscriptions).values(last_at=NOW, next_at=4e9))
    Looks(service.queue.database).begin(key).end(LookOutcome.SUCCEEDED)
    return key


def add(service: Service, item: MediaItem, state: str, options: dict[str, object]) -> None:
    service.queue.items.submit([item], options, lambda *_: None)
    with service.queue.database.begin() as connection:
        own = sa.update(items).where(items.c.id == item.id)
        connection.execute(own.values(state=state, error="For members only."))


def video(name: str) -> MediaItem:
    return MediaItem(
        f"youtube:{name:x<11}", "youtube", "https://y.example", name, "2026-01-01",
        extra={"channel_id": f"UC{name:y<22}"},
    )  # fmt: skip


@pytest.mark.parametrize("reference", [ADDRESS, "https://talks.example/all", "@talks"])
@pytest.mark.parametrize(("state", "condition"), [("failed", "missing"), ("done", "well")])
def test_the_items_that_a_source_asked_for_are_shown_with_it(
    service: Service, reference: str, state: str, condition: str
) -> None:
    add(service, video("own"), state, {SOURCE: follow(service, reference)})
    add(service, video("strange"), "failed", {SOURCE: "another"})
    add(service, video("named"), "failed", {})
    (found,) = service.follows.states()
    assert (found.condition, found.counts) == (condition, {state: 1})
    assert [each.title for each in found.missing] == (["own"] if state == "failed" else [])


@pytest.mark.parametrize(("owner", "count"), [(PLAYLIST, 1), (f"PL{'q' * 32}", 0)])
def test_an_item_of_a_playlist_is_shown_with_it_whoever_asked_for_it(
    service: Service, owner: str, count: int
) -> None:
    follow(service, ADDRESS)
    item = video(owner[:4])
    KnownList(service.queue.database, owner).add_page([item.id], 1)
    add(service, item, "failed", {SOURCE: "another"})
    (found,) = service.follows.states()
    assert (len(found.missing), found.counts) == (count, {"failed": count} if count else {})


@pytest.mark.parametrize(
    ("path", "count"),
    [
        (f"{FOLDER}/a.mp3", 1),
        (f"{FOLDER}\\a.mp3", 1),
        (f"{FOLDER}2/a.mp3", 0),
        (f"/other{FOLDER}/a.mp3", 0),
    ],
)
def test_a_file_below_a_folder_is_shown_with_it(service: Service, path: str, count: int) -> None:
    follow(service, FOLDER)
    add(service, MediaItem("file:a", "file", path, "a", "2026-01-01"), "failed", {})
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(items).values(reference=path))
    (found,) = service.follows.states()
    assert [each.title for each in found.missing] == ["a"] * count


@pytest.mark.parametrize(
    ("error", "counts", "condition"),
    [
        ("", {"done": 3}, "overdue"),
        ("", {"done": 3, "queued": 1}, "overdue"),
        ("", {"done": 3, "failed": 1}, "missing"),  # the one cause of all does not hide its own
        ("", {"done": 3, "held": 1}, "missing"),
        ("It has another name.", {"done": 3}, "noted"),
    ],
)
def test_a_worker_that_is_gone_hides_no_trouble_of_a_source(
    error: str, counts: dict[str, int], condition: str
) -> None:
    source = Subscription("youtube:x", "@x", 60.0, VideoFilters(), error=error)
    facts = {each.name: None for each in fields(Look)}
    look = Look(**facts | {"kind": LookKind.QUICK, "outcome": LookOutcome.SUCCEEDED})
    assert follow_states._condition(source, look, counts, is_overdue=True) == condition
