"""Entries of a source's list that have no item are named; each state has its next try."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from kb.cli.main import run
from kb.database import items, list_entries, subscriptions
from kb.jobs.digest.digest import compose
from kb.jobs.digest.digest_text import digest_text
from kb.jobs.queue.follow_conditions import CONDITIONS, numbers_of, place_of
from kb.library.left_out import LeftOut, Mark, Why
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.known_list import KnownList
from kb.types import Availability, AvailabilityState, MediaItem
from kb.ui.i18n import error_messages, errors
from kb.ui.i18n import settings as page_texts
from kb.ui.tabs.settings import follow_texts

CHANNEL = f"UC{'c' * 22}"
UPLOADS = f"UU{'c' * 22}"
DAY_S = 86_400.0
HIDDEN = Availability(AvailabilityState.UNAVAILABLE, "private")


def video(number: int, *, hidden: bool = False) -> MediaItem:
    return MediaItem(
        f"youtube:v{number}", "youtube", "https://y.example", f"Talk {number}", "2026-01-01",
        extra={"channel_id": CHANNEL}, **({"availability": HIDDEN} if hidden else {}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A channel with an item that failed, and an entry of each class that has no item."""
    home = tmp_path_factory.mktemp("entries") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KB_HOME", str(home))
        get_settings.cache_clear()
        made = Service(Settings(home=home))
        made.library.prepare()
        filters = VideoFilters(title="Talk")
        made.subscriptions.follow("@talks", filters=filters, channel_id=CHANNEL)
        known = KnownList(made.queue.database, UPLOADS)
        known.add_page([f"youtube:v{n}" for n in range(1, 8)], known.begin_look())
        known.record([video(n, hidden=n == 2) for n in (1, 2, 4, 5, 7)], missing=["youtube:v3"])
        LeftOut(made.library).mark(
            {"youtube:v4": Mark(Why.DISMISSED, 1.0), "youtube:v5": Mark(Why.FILES_GONE, 1.0)}
        )
        made.queue.items.submit([video(1)], {}, lambda *_: None)
        made.queue.items.submit([video(8)], {}, lambda *_: None)
        yield made
        made.close()
    get_settings.cache_clear()


@pytest.fixture(autouse=True)
def failed(service: Service, clean_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_HOME", str(service.settings.home))
    get_settings.cache_clear()
    change(service, wait_until=time.time() + DAY_S)


def change(service: Service, **values: Any) -> None:
    """Make the first item a failed one, with these columns."""
    now = time.time()
    failed: dict[str, Any] = {
        "state": "failed", "error": "Talk 1 cannot be fetched: private", "hint": "Wait.",
        "attempts": 3, "failing_since": now - 10 * DAY_S, "updated_at": now, "stage": "fetch",
    }  # fmt: skip
    with service.queue.database.begin() as connection:
        own = sa.update(items).where(items.c.id == "youtube:v1")
        connection.execute(own.values(**failed | values))


def test_each_entry_without_an_item_is_named_in_the_state(service: Service) -> None:
    (state,) = service.follows.states()
    named = {name: [(e.id, e.title) for e in found] for name, found in state.entries.items()}
    assert named == {
        "closed": [("youtube:v2", "Talk 2"), ("youtube:v3", "")],
        "unread": [("youtube:v6", "")],
        "dismissed": [("youtube:v4", "Talk 4")],
        "files gone": [("youtube:v5", "Talk 5")],
    }
    assert {name: state.counts[name] for name in named} == {k: len(v) for k, v in named.items()}
    assert state.counts["filtered"] == 1 and "filtered" not in state.entries
    assert state.entries["closed"][0].read_at is not None
    assert state.entries["unread"][0].read_at is None


def test_closed_entries_are_named_everywhere(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "closed at the source: Talk 2 (youtube:v2), youtube:v3"
    for words in (["follow", "--list"], ["status"], ["status", "--all"]):
        assert run(words) == 0
        assert said in capsys.readouterr().out
    for words in (["follow", "--list", "--json"], ["status", "--json"]):
        assert run(words) == 0
        found = json.loads(capsys.readouterr().out)
        (follow,) = found["follows"] if isinstance(found, dict) else found
        assert [each["id"] for each in follow["entries"]["closed"]] == ["youtube:v2", "youtube:v3"]
    found = compose(service.queue.database, service.library, time.time() - DAY_S, time.time())
    text = digest_text(found)
    assert "- @talks: closed at the source: Talk 2 (youtube:v2)" in text
    assert "- @talks: closed at the source: youtube:v3" in text


def test_both_json_documents_have_week_and_room(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["follow", "--list", "--json"]) == 0
    (follow,) = json.loads(capsys.readouterr().out)
    assert follow["week"] == {
        "days": 7, "count": 0, "failed": 0, "waiting": 0, "interrupted": 0, "running": 0,
        "units": 0, "queued": 0, "undated": 0,
    }  # fmt: skip
    assert follow["room"]["free_bytes"] > 0 and follow["room"]["library_bytes"] == 0
    assert run(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["activity"]["new_count"] == 0 and found["activity"]["free_bytes"] > 0
    assert found["activity"]["looks"]["count"] == 0 and found["quota"] is None
    assert run(["status"]) == 0
    assert "now: library 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "words", "absent"),
    [
        ({}, ["First failure ", ", 3 tries, next try ", ", last try "], ["further"]),
        ({"wait_until": None}, ["3 tries, no further try by itself."], ["last try", "next try"]),
        ({"attempts": 1}, [", 1 try, next try "], ["1 tries"]),
        ({"failing_since": None}, ["3 tries, next try "], ["First failure", "last try"]),
        # A clock was wrong: it is tried now.
        ({"wait_until": time.time() + 400 * DAY_S}, ["next try "], []),
    ],
)
@pytest.mark.parametrize(
    "command",
    [["show", "v1"], ["show", "youtube:v1"], ["status", "--state", "failed"], ["status", "--all"],
     ["status", "v1"]],
)  # fmt: skip
def test_the_tries_of_a_failed_item(
    service: Service, command: list[str], values: dict[str, Any], words: list[str],
    absent: list[str], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    change(service, **{"wait_until": time.time() + DAY_S, **values})
    assert run(command) == 0
    printed = capsys.readouterr().out
    assert "failed: Talk 1 cannot be fetched: private" in printed
    assert "Talk 1\n  Talk 1" not in printed  # its title is there once
    assert [word for word in words if word not in printed] == []
    assert [word for word in absent if word in printed.split("· now")[0]] == []
    far = time.strftime("%Y", time.localtime(time.time() + 400 * DAY_S))
    assert far == time.strftime("%Y") or f" {far} " not in printed.split("last try")[0]


def test_show_finds_what_is_queued_and_what_failed(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", "v8"]) == 0
    shown = capsys.readouterr()
    assert "Talk 8  (youtube:v8)" in shown.err and "queued; it has no transcript" in shown.out
    assert run(["show", "v1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["attempts"], found["transcript"]) == ("failed", 3, None)
    assert found["retried_until"] == pytest.approx(
        found["failing_since"] + service.settings.retry_days * DAY_S
    )
    assert found["failing_since"] < found["next_try_at"] < found["retried_until"]
    assert run(["show", "nosuch"]) == 2
    assert "No item 'nosuch'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["export", "v8", "--format", "txt"],
        ["export", "youtube:v1", "--format", "vtt"],
        ["review", "v8"],
        ["review", "v1", "--accept"],
        ["show", "v8", "--versions"],
    ],
)
def test_other_commands_say_that_it_has_no_transcript_yet(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(command)
    shown = capsys.readouterr()
    assert "has no transcript yet" in shown.err + shown.out
    assert "No item" not in shown.err


@pytest.mark.parametrize("width", [80, 100, 132])
def test_ids_have_their_whole_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    service: Service,
) -> None:  # fmt: skip
    long = replace_id(service, "youtube:abcdefghijk")
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["status", "--state", "failed"]) == 0
    assert f"{long} " in capsys.readouterr().out
    replace_id(service, "youtube:v1", long)


def replace_id(service: Service, new: str, old: str = "youtube:v1") -> str:
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(items).where(items.c.id == old).values(id=new))
    return new


@pytest.mark.parametrize(("ahead_days", "is_due"), [(0.1, False), (400.0, True), (-1.0, False)])
def test_a_look_whose_time_cannot_be_believed_is_due_now(
    service: Service, ahead_days: float, is_due: bool
) -> None:
    now = time.time()
    recorded = now + ahead_days * DAY_S
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(subscriptions).values(next_at=recorded))
    (state,) = service.follows.states()
    found = state.as_dict()
    assert found["next_at"] == recorded
    assert (found["next_look_at"] == pytest.approx(now, abs=60)) is is_due
    assert is_due or found["next_look_at"] == recorded


def test_one_order_and_the_same_words_of_conditions() -> None:
    assert [place_of(name) for name in CONDITIONS] == sorted(place_of(n) for n in CONDITIONS)
    assert list(follow_texts.COLORS) == list(CONDITIONS)
    assert [each.rank for each in CONDITIONS.values()] == sorted(
        each.rank for each in CONDITIONS.values()
    )
    for name, condition in CONDITIONS.items():
        assert page_texts.EN[f"follow_are_{name}"] == f"{{count}} {condition.words}"
        assert page_texts.EN[f"follow_is_{name}"] == condition.words
        german = page_texts.DE[f"follow_is_{name}"]
        assert page_texts.DE[f"follow_are_{name}"] == f"{{count}} {german}"
    assert list(numbers_of(["well", "error", "well", "missing"]).items()) == [
        ("error", 1), ("missing", 1), ("well", 2),
    ]  # fmt: skip


def test_the_card_of_a_closed_channel_does_not_send_to_itself() -> None:
    for texts, errors_of in ((page_texts.EN, errors.EN_PAGE), (page_texts.DE, errors.DE)):
        message, hint = errors_of["youtube.channel_deleted"]
        place = f" ({texts['follow_place']})"
        assert place in hint and place not in message
    translation = error_messages.Translation(*errors.EN_PAGE["youtube.channel_deleted"])
    said = follow_texts.on_card(translation)
    assert "Settings →" not in said and said.endswith("The button Unfollow ends the subscription.")


def test_a_database_without_lists_has_no_entries(service: Service) -> None:
    with service.queue.database.begin() as connection:
        saved = [dict(row) for row in connection.execute(sa.select(list_entries)).mappings()]
        connection.execute(sa.delete(list_entries))
    (state,) = service.follows.states()
    assert state.entries == {}
    with service.queue.database.begin() as connection:
        connection.execute(sa.insert(list_entries), saved)
