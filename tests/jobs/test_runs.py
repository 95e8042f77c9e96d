"""Runs: their items, progress, time left, end and failures, and the e-mail about the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import Database, items, run_items, runs
from kb.errors import KBError, MediaUnavailable
from kb.jobs.digest.run_mail import report_ended
from kb.jobs.queue.item_states import CANCELLED, DONE, FAILED, HELD
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.run_forecast import Forecast, Measured, Stage
from kb.jobs.queue.runs import RunStore
from kb.options import RUN
from kb.settings import Settings
from kb.types import MediaItem
from tests.fakes.mail import FakeMail
from tests.support.items import item
from tests.support.queue_store import ME, Queue
from tests.support.raising import raises

PASSWORD = "very secret word"
REFUSED = MediaUnavailable(
    "download.members_only",
    "{what} cannot be fetched: {reason}",
    hint="It is for members only.",
    what="Talk 3",
    reason="Join this channel",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ItemStore]:
    database = Database.open(Settings(home=tmp_path))
    yield ItemStore(database)
    database.close()


def put(store: ItemStore, run: str, numbers: range, **facts: Any) -> list[str]:
    media: list[MediaItem] = [replace(item(n), duration_s=60.0, **facts) for n in numbers]
    queued, _ = store.submit(media, {RUN: run}, Queue())
    return queued


def end(store: ItemStore, item_id: str, state: str = DONE, **error: Any) -> None:
    row = store.claim(item_id, 1, ME)
    assert row is not None
    store.finish(item_id, 1, ME, state, **error)


def read(store: ItemStore, run: str) -> Any:
    found = RunStore(store.database).get(run, None)
    assert found is not None
    return found


def test_a_run_counts_its_own_items_and_ends_with_the_last(store: ItemStore) -> None:
    runs_of = RunStore(store.database)
    first = put(store, "one", range(3), channel="Harbour talks")
    put(store, "two", range(3, 4))
    assert read(store, "one").title == "Harbour talks" and read(store, "two").title == "Talk 3"
    assert runs_of.sample() == []
    end(store, first[0])
    end(store, first[1], FAILED, **REFUSED.record())
    one = read(store, "one")
    assert (one.total, one.finished, one.ended, one.took_s) == (3, 2, False, None)
    assert one.share == pytest.approx(2 / 3)
    assert one.left is not None and one.left.expected_s > 0
    end(store, first[2], HELD, error="doubtful")
    _wait_for_sample(store)
    assert runs_of.sample() == ["one"]
    one = read(store, "one")
    assert one.ended and one.share == 1.0 and one.took_s is not None and one.took_s >= 0
    assert [run.id for run in runs_of.newest(None)] == ["two", "one"]  # what goes on comes first
    assert [run.id for run in runs_of.newest(None, going=True)] == ["two"]
    causes = runs_of.failures("one")
    assert [(each.state, each.count, each.first_id) for each in causes] == [
        (FAILED, 1, first[1]), (HELD, 1, first[2]),
    ]  # fmt: skip
    assert runs_of.item_ids("one", [FAILED]) == [first[1]]


def test_what_is_queued_again_reopens_its_run_and_belongs_to_the_new_one_too(
    store: ItemStore,
) -> None:
    runs_of = RunStore(store.database)
    (only,) = put(store, "one", range(1))
    end(store, only, FAILED, error="no")
    _wait_for_sample(store)
    runs_of.sample()
    assert read(store, "one").ended
    store.retry([only], Queue())
    assert not read(store, "one").ended
    store.stop([only], CANCELLED)
    queued, _ = store.submit([replace(item(0), duration_s=60.0)], {RUN: "two"}, Queue())
    assert queued == [only]
    assert read(store, "one").total == read(store, "two").total == 1


def test_progress_counts_the_sound_that_was_read(store: ItemStore) -> None:
    ids = put(store, "one", range(4))
    row = store.claim(ids[0], 1, ME)
    assert row is not None
    store.advance(ids[0], 1, ME, "transcribe", 0.5)
    one = read(store, "one")
    assert one.share == pytest.approx(30 / 240) and one.sound_s == 240 and one.read_s == 30


def test_unknown_lengths_count_as_the_mean_of_the_known_ones(store: ItemStore) -> None:
    put(store, "one", range(3))
    store.submit([item(9)], {RUN: "one"}, Queue())
    assert read(store, "one").sound_s == pytest.approx(240)


def test_only_sound_that_was_read_counts_for_the_speed(store: ItemStore) -> None:
    """Neither what a length that becomes known takes off the rest, nor what has failed."""
    runs_of = RunStore(store.database)
    media = [replace(item(n), duration_s=None) for n in range(6)]
    ids, _ = store.submit(media, {RUN: "one"}, Queue())
    assert read(store, "one").sound_s == 6 * 600

    def measured_later(seconds: float) -> Any:
        """Measure the run so that this time has passed since the last measurement."""
        with store.database.begin() as connection:
            stored = dict(connection.scalar(sa.select(runs.c.measured)) or {})
            if stored:
                stored["at"] = store.database.time(connection) - seconds
                connection.execute(sa.update(runs).values(measured=stored))
        runs_of.sample()
        return read(store, "one")

    measured_later(0.0)
    assert store.claim(ids[0], 1, ME) is not None
    with store.database.begin() as connection:  # it was fetched: 20 s
        known = sa.update(items).where(items.c.id == ids[0]).values(duration_s=20.0)
        connection.execute(known.values(stage="transcribe", progress=0.0))
    assert (measured_later(2.0).sound_s, measured_later(2.0).speed) == (120.0, None)
    end(store, ids[1], FAILED, **REFUSED.record())
    assert measured_later(2.0).speed is None
    store.advance(ids[0], 1, ME, "transcribe", 0.5)
    assert measured_later(2.0).speed == pytest.approx(5.0, rel=0.2)


def test_the_forecast_of_a_run_decides_at_first(store: ItemStore) -> None:
    runs_of = RunStore(store.database)
    put(store, "one", range(100))
    assert read(store, "one").left is None
    runs_of.plan("one", Forecast(speed=100.0, fetch_s=0.1), "me")
    known = read(store, "one")
    assert known.who == "me" and known.left.expected_s == pytest.approx(68, abs=10)
    assert known.left.high_s / known.left.low_s > 3


def test_a_look_counts_the_work_since_the_last_measurement(store: ItemStore) -> None:
    """Workers measure every two seconds; the page does not show what was left then."""
    runs_of = RunStore(store.database)
    ids = put(store, "one", range(4))
    row = store.claim(ids[0], 1, ME)
    assert row is not None
    store.advance(ids[0], 1, ME, "transcribe", 0.1)
    seen = Measured(
        at=store.database.time() - 2.0, active_s=20.0, sound_read_s=6.0, unfinished=4,
        reading=Stage(20.0, 24.0, 20.0, 10, 11.0, 13.2), working=(0, 1, 0),
    )  # fmt: skip
    with store.database.begin() as connection:
        connection.execute(sa.update(runs).values(measured=seen.as_dict()))
    before = read(store, "one")
    store.advance(ids[0], 1, ME, "transcribe", 0.9)  # 48 s of sound in 2 s
    after = read(store, "one")
    assert after.speed > 2 * before.speed
    assert after.left.expected_s < before.left.expected_s / 2
    assert runs_of.newest(None)[0].left.expected_s < before.left.expected_s / 2


def test_old_runs_are_deleted_and_their_items_stay(store: ItemStore) -> None:
    runs_of = RunStore(store.database)
    (only,) = put(store, "one", range(1))
    end(store, only)
    _wait_for_sample(store)
    runs_of.sample()
    runs_of.delete_older(store.database.time() + 1)
    assert runs_of.newest(None) == [] and store.read(only) is not None
    with store.database.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(run_items)) == 0


def test_the_end_of_a_long_run_is_reported_once_by_mail(store: ItemStore, tmp_path: Path) -> None:
    runs_of = RunStore(store.database)
    ids = put(store, "one", range(2), channel="Harbour talks")
    end(store, ids[0])
    end(store, ids[1], FAILED, **REFUSED.record())
    _wait_for_sample(store)
    runs_of.sample()
    with FakeMail() as mail:
        chosen = Settings(
            home=tmp_path, run_email="a@x.example, b@x.example", run_email_minutes=0,
            smtp_host="127.0.0.1", smtp_port=mail.port, smtp_security="none",
        )  # fmt: skip
        now = store.database.time()
        assert report_ended(chosen, runs_of, now) == ["one"]
        assert report_ended(chosen, runs_of, now) == []
    (message,) = mail.messages
    assert message["Subject"] == "KB Ingest: 1 of 2 recordings done, 1 failed (Harbour talks)"
    assert message["To"] == "a@x.example, b@x.example"
    body = message.get_content()
    assert "1 recording failed: Talk 3 cannot be fetched: Join this channel" in body
    assert "It is for members only." in body


@pytest.mark.parametrize(
    "change", [{"run_email": ""}, {"smtp_host": ""}, {"run_email_minutes": 600.0}]
)
def test_no_mail_is_sent_where_none_is_asked_for(
    store: ItemStore, tmp_path: Path, change: dict[str, Any]
) -> None:
    (only,) = put(store, "one", range(1))
    end(store, only)
    _wait_for_sample(store)
    RunStore(store.database).sample()
    given = {"run_email": "a@x.example", "smtp_host": "127.0.0.1", "smtp_port": 1, **change}
    chosen = Settings(home=tmp_path, run_email_minutes=given.pop("run_email_minutes", 0), **given)
    assert report_ended(chosen, RunStore(store.database), store.database.time()) == []


def test_a_mail_server_that_refuses_is_named_without_the_password(
    store: ItemStore, tmp_path: Path
) -> None:
    (only,) = put(store, "one", range(1))
    end(store, only)
    _wait_for_sample(store)
    RunStore(store.database).sample()
    with FakeMail({"AUTH": f"535 no: {PASSWORD}"}) as mail:
        chosen = Settings(
            home=tmp_path, run_email="a@x.example", run_email_minutes=0, smtp_host="127.0.0.1",
            smtp_port=mail.port, smtp_security="none", smtp_user="me", smtp_password=PASSWORD,
        )  # fmt: skip
        with raises(KBError, "run.email_refused") as caught:
            report_ended(chosen, RunStore(store.database), store.database.time())
    assert PASSWORD not in f"{caught.value} {caught.value.hint}"


def _wait_for_sample(store: ItemStore) -> None:
    """Let the last measurement be old enough for the next one."""
    with store.database.begin() as connection:
        connection.execute(sa.update(runs).values(measured=None))
