"""The states of followed references, the history of looks, and the short status at a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.cli.main import run
from kb.database import items, subscriptions
from kb.errors import KBError, MediaUnavailable, RetryLater, UsageError
from kb.jobs.digest.digest_text import subject
from kb.jobs.queue.listing_jobs import listing_job, subscription_listing
from kb.service import Service
from kb.settings import get_settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.looks import LookKind, LookOutcome, Looks
from kb.types import MediaItem

NAMES = ("well", "missing", "error", "waiting", "new", "overdue", "short", "noted", "coming")
MEMBERS = MediaUnavailable(
    "download.members_only",
    "{what} cannot be fetched: {reason}",
    hint="It is for members only.",
    what="Talk",
    reason="Join this channel",
)
GONE = UsageError("youtube.channel_deleted", "The channel does not exist any more.", hint="See.")
SPENT = RetryLater("youtube.quota_exhausted", "All keys are used up.", hint="Wait.", until=1.0)


NEW_NAME = UsageError(
    "youtube.name_gone", "{name} leads to no channel.", hint="It may be {handle}.",
    name="@noted", title="Talks", id="UC", handle="@newname",
)  # fmt: skip


def channel_id(name: str) -> str:
    return f"UC{name:x<22}"


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library that follows a channel in each condition."""
    home = tmp_path_factory.mktemp("followed") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KB_HOME", str(home))
        get_settings.cache_clear()
        service = Service()
        service.library.prepare()
        now = time.time()
        database = service.queue.database
        looks = Looks(database)
        for name in NAMES:
            service.subscriptions.follow(f"@{name}")
            key = next(s.key for s in service.subscriptions.list() if s.reference == f"@{name}")
            error, late = _ends(name), name == "overdue"
            with database.begin() as connection:
                connection.execute(
                    sa.update(subscriptions)
                    .where(subscriptions.c.key == key)
                    .values(
                        channel_id=channel_id(name),
                        next_at=now + (-86_400 if late else 3600),
                        last_at=None if name == "new" else now - 7200,
                        error=error.message if error else "",
                        problem=error.problem if error else None,
                    )
                )
            if name == "new":
                continue
            look = looks.begin(key, "one")
            look.note(listed=50, reported=59, units=3, queued=2, known=47, filtered=1)
            if name == "short":
                look.note(kind=LookKind.WHOLE)
            outcome = (
                LookOutcome.WAITING if name == "waiting"
                else LookOutcome.FAILED if name == "error" else LookOutcome.SUCCEEDED
            )  # fmt: skip
            look.end(outcome, error=error, next_at=now + 900 if name == "waiting" else None)
        _queue(service, "well", 3, {"state": "done"})
        failed = {"state": "failed", "wait_until": now + 86_400, **MEMBERS.record()}
        _queue(service, "missing", 5, failed)
        _queue(service, "coming", 2, {"state": "queued", "serial": 2})
        _fail_listings(service)
        service.close()
        yield home
    get_settings.cache_clear()


def _ends(name: str) -> KBError | None:
    return {"error": GONE, "waiting": SPENT, "noted": NEW_NAME}.get(name)


def _queue(service: Service, name: str, count: int, values: dict[str, object]) -> None:
    found = [
        MediaItem(
            f"youtube:{name}{n}", "youtube", "https://y.example", f"Talk {n} of {name}",
            "2026-01-01",
            extra={"channel_id": channel_id(name)},
        )
        for n in range(count)
    ]  # fmt: skip
    service.queue.items.submit(found, {}, lambda *_arguments: None)
    with service.queue.database.begin() as connection:
        ids = [item.id for item in found]
        connection.execute(sa.update(items).where(items.c.id.in_(ids)).values(**values))


def _fail_listings(service: Service) -> None:
    """Add a look that failed, and a listing that was asked for by hand and failed."""
    look = next(s for s in service.subscriptions.list() if s.reference == "@error")
    jobs = [subscription_listing(look), listing_job("@asked", VideoFilters())]
    service.queue.items.submit(jobs, {}, lambda *_arguments: None)
    with service.queue.database.begin() as connection:
        own = sa.update(items).where(items.c.source == "listing")
        connection.execute(own.values(state="failed", **GONE.record()))


@pytest.fixture(autouse=True)
def in_library(library: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_HOME", str(library))
    get_settings.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_followed_reference_has_its_condition(name: str) -> None:
    service = Service()
    (state,) = [s for s in service.follows.states() if s.subscription.reference == f"@{name}"]
    assert state.condition == name
    service.close()


def test_the_list_says_what_is_missing_why_and_until_when(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["follow", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "9 followed: 1 with an error, 1 with a look that waits" in printed
    assert "failed: Talk 0 of missing: Talk cannot be fetched: Join this channel" in printed
    assert "… and 2 more" in printed
    assert "3 done of 3 known" in printed and "50 read of 59" in printed
    assert "queued again: Talk 0 of coming" in printed
    assert "→ It is for members only." in printed
    assert "kb follow @newname" in printed
    assert "which finds nothing until the source is back" in printed
    assert time.strftime("%Y") in printed and time.strftime("%Z") in printed
    # What needs a person is at the top.
    assert printed.index("@error") < printed.index("@well")


def test_the_list_as_json_keeps_its_keys_and_has_the_state(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["follow", "--list", "--json"]) == 0
    found = {each["reference"]: each for each in json.loads(capsys.readouterr().out)}
    assert {"key", "every_s", "filters", "options", "next_at", "last_at", "error"} <= set(
        found["@well"]
    )
    assert found["@well"]["counts"] == {"done": 3}
    assert len(found["@missing"]["missing"]) == 5
    assert found["@missing"]["missing"][0]["problem"]["code"] == "download.members_only"
    assert found["@error"]["last_look"]["problem"]["code"] == "youtube.channel_deleted"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("well", ["succeeded", "50 read of 59", "47 known", "1 filtered", "2 new", "3 units"]),
        ("error", ["failed", "does not exist any more"]),
        ("waiting", ["waits", "All keys are used up.", "Next try"]),
    ],
)
def test_the_history_has_every_look(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["follow", "--history", f"@{name}"]) == 0
    printed = capsys.readouterr().out
    assert [word for word in words if word not in printed] == []


def test_the_history_is_found_under_any_name_of_the_channel(
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = f"https://www.youtube.com/channel/{channel_id('well')}"
    for name in (address, channel_id("well"), "https://www.youtube.com/@WELL/videos"):
        assert run(["follow", "--history", name]) == 0
        assert "50 read of 59" in capsys.readouterr().out


def test_the_history_of_what_was_never_looked_at_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["follow", "--history", "@new"]) == 0
    assert "No look at @new" in capsys.readouterr().err
    assert run(["follow", "--history", "@unknown"]) == 2
    assert "'@unknown' is not followed" in capsys.readouterr().err


def test_the_short_status_names_reasons_and_follows_with_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["status"]) == 0
    printed = capsys.readouterr().out
    assert "3 done  5 failed" in printed
    assert "@missing  with missing items: 5 failed · next try" in printed
    assert "@noted" in printed and "→ kb follow @newname" in printed
    assert "@short" in printed and "@coming" not in printed
    assert "and 4 more" in printed and "It is for members only." in printed
    assert "@error" in printed and "@waiting" in printed and "@overdue" in printed
    assert "@well" not in printed
    assert len(printed.splitlines()) <= 22


def test_looks_and_listings_are_no_items_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == 0
    printed = capsys.readouterr().out
    assert "5 failed" in printed and "listings: 1 failed" in printed
    assert "looks and" not in printed  # the look is the source's condition, and named there
    assert "listing failed: Listing of @asked" in printed
    assert run(["status", "--state", "failed"]) == 0
    table, _, others = capsys.readouterr().out.partition("listing failed: ")
    assert "failed: Talk 0 of missing" in table and "Listing of" not in table
    assert "Listing of @error" in others and "Listing of @asked" in others
    assert run(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["counts"]["failed"], found["look_counts"]["failed"]) == (5, 2)
    assert len([each for each in found["items"] if each["state"] == "failed"]) == 5
    assert sorted(each["title"] for each in found["looks"]) == [
        "Listing of @asked", "Listing of @error",
    ]  # fmt: skip
    assert run(["digest", "--json"]) == 0
    digest = json.loads(capsys.readouterr().out)
    assert ", 5 failed, " in subject(digest)


def test_the_long_status_names_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--all"]) == 0
    printed = capsys.readouterr().out
    for name in ("error", "waiting", "overdue", "missing", "noted"):
        assert f"@{name}  " in printed
