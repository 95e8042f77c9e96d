"""The looks in the library's files: bounded, and brought back to a new or older database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.cli.main import run
from kb.database import Database, looks
from kb.errors import UsageError
from kb.library import Library
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.sources import saved_looks
from kb.sources.looks import Look, LookKind, LookOutcome, Looks

GONE = UsageError("youtube.channel_deleted", "{name} was closed.", hint="Unfollow.", name="@ä")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(Settings(home=tmp_path_factory.mktemp("looks") / "home"))
    service.library.prepare()
    yield service
    service.close()


@pytest.fixture
def service(opened: Service) -> Service:
    forget(opened.queue.database)
    (opened.library.home / saved_looks.NAME).unlink(missing_ok=True)
    return opened


def forget(database: Database, newer_than: float = -1.0) -> None:
    with database.begin() as connection:
        connection.execute(sa.delete(looks).where(looks.c.started_at > newer_than))


def play(service: Service, number: int = 4, key: str = "a") -> list[Look]:
    """Make looks that succeed, wait, fail and are interrupted; return them, the newest first."""
    now = [100.0]
    made = Looks(service.queue.database, service.library, clock=lambda: now[0])
    ends = (LookOutcome.SUCCEEDED, LookOutcome.WAITING, LookOutcome.FAILED, None)
    for count in range(number):
        look, end = made.begin(key, "one", LookKind.WHOLE), ends[count % 4]
        now[0] += 60.0
        look.note(listed=7, reported=9, units=2, queued=count)
        look.save()
        if end is not None:
            error = None if end == LookOutcome.SUCCEEDED else GONE
            next_at = 500.0 if end == LookOutcome.WAITING else None
            look.end(end, error=error, next_at=next_at)
        else:
            made.close_open("one")
    return list(made.history(key))


def facts(found: list[Look] | tuple[Look, ...]) -> list[dict[str, object]]:
    return [{**saved_looks_columns(look), "id": None} for look in found]


def saved_looks_columns(look: Look) -> dict[str, object]:
    return {name: getattr(look, name) for name in look.__slots__}


@pytest.mark.parametrize("kept", [0, 1, 2, 4])
def test_a_new_or_older_database_gets_the_looks_that_it_lacks(service: Service, kept: int) -> None:
    before = play(service)
    forget(service.queue.database, before[-kept].started_at if kept else -1.0)
    assert saved_looks.restore(service.queue.database, service.library) == 4 - kept
    after = Looks(service.queue.database).history("a")
    assert facts(after) == facts(before)
    assert saved_looks.restore(service.queue.database, service.library) == 0
    assert [look.problem and look.problem["code"] for look in after] == [
        None, GONE.code, GONE.code, None,
    ]  # fmt: skip


def test_a_database_with_other_looks_keeps_them(service: Service) -> None:
    play(service)
    play(service, 2, "b")
    forget(service.queue.database)
    Looks(service.queue.database).begin("a").end(LookOutcome.SUCCEEDED)
    assert saved_looks.restore(service.queue.database, service.library) == 2
    assert len(Looks(service.queue.database).history("a")) == 1
    assert len(Looks(service.queue.database).history("b")) == 2


@pytest.mark.slow
def test_reindex_brings_the_history_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("KB_HOME", str(home))
    get_settings.cache_clear()
    made = Service()
    made.library.prepare()
    made.subscriptions.follow("@talks", channel_id=f"UC{'t' * 22}")
    play(made, key=made.subscriptions.list()[0].key)
    made.close()
    for path in home.glob("kb.sqlite*"):
        path.unlink()
    assert run(["reindex"]) == 0
    capsys.readouterr()
    assert run(["follow", "--history", "@talks", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["outcome"] for each in found] == ["interrupted", "failed", "waiting", "succeeded"]
    assert run(["follow", "--list"]) == 0
    assert "with an error" in capsys.readouterr().out
    get_settings.cache_clear()


@pytest.mark.parametrize(
    "line",
    [
        "", "[]", "{}", "nothing", '{"subscription": "a"', '{"subscription": 3}',
        '{"subscription": "a", "kind": "quick", "started_at": "soon", "ended_at": 2.0}',
        '{"subscription": "a", "kind": "quick", "started_at": 1.0}',
        '{"subscription": "a", "kind": "quick", "started_at": NaN, "ended_at": 2.0}',
        '{"subscription": "a", "kind": "quick", "started_at": 1, "ended_at": 2, "units": "3"}',
        '{"subscription": "a", "kind": "quick", "started_at": 1, "ended_at": 2, "problem": 3}',
    ],
)  # fmt: skip
def test_a_damaged_line_costs_one_look(service: Service, line: str) -> None:
    play(service, 1)
    with (service.library.home / saved_looks.NAME).open("a", encoding="utf-8") as stream:
        stream.write(line)
    play(service, 2, "b")
    forget(service.queue.database)
    assert saved_looks.restore(service.queue.database, service.library) == 3


def test_a_field_of_a_later_version_is_left_out(service: Service) -> None:
    line = '{"subscription": "a", "kind": "new", "started_at": 1, "ended_at": 2, "more": [1]}\n'
    (service.library.home / saved_looks.NAME).write_text(line)
    assert saved_looks.restore(service.queue.database, service.library) == 1


def test_the_file_is_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_looks, "MOST_BYTES", 4000)
    monkeypatch.setattr(saved_looks, "KEPT_BYTES", 2000)
    path, sizes = service.library.home / saved_looks.NAME, []
    for _ in range(8):
        play(service, 4)
        play(service, 4, "b")
        sizes.append(path.stat().st_size)
    assert max(sizes) <= 4000 and min(sizes[2:]) > 500
    kept = saved_looks.read(service.library)
    assert kept[-1]["subscription"] == "b" and {row["subscription"] for row in kept} == {"a", "b"}


def test_many_looks_at_one_source_leave_room_for_the_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_looks, "MOST_BYTES", 30_000)
    play(service, 4, "rare")
    row = {**saved_looks_columns(play(service, 1, "often")[0])}
    saved_looks.append(service.library, [row] * 300)
    kept = [each["subscription"] for each in saved_looks.read(service.library)]
    assert (kept.count("rare"), kept.count("often")) == (4, saved_looks.KEPT_LOOKS)


def test_a_copy_that_cannot_be_written_ends_no_look(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    (service.library.home / saved_looks.NAME).mkdir()
    found = play(service, 2)
    assert [look.outcome for look in found] == ["waiting", "succeeded"]
    assert saved_looks.NAME in caplog.text
    (service.library.home / saved_looks.NAME).rmdir()


def test_a_library_without_the_file_has_no_saved_looks(service: Service) -> None:
    assert saved_looks.read(Library(service.settings.home)) == []
    assert saved_looks.restore(service.queue.database, service.library) == 0
