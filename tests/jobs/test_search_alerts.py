"""Alerts of saved searches: each new item once, whatever is killed, and none of it lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import items, notices, search_alerts
from kb.errors import KBError
from kb.jobs.queue.order import SOURCE
from kb.jobs.searches.alerts import COPIED, Alert, SearchAlerts
from kb.jobs.worker.webhooks import Webhooks
from kb.pipeline.list_filter import ListFilter
from kb.service import Service
from kb.settings import Settings, get_settings
from tests.fakes.webhook import WebhookReceiver
from tests.support.library_pages import ROOT, add_item

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0"
OTHER = next(
    each for each in sorted((ROOT / "samples").glob("*.mp4")) if "harbour" not in str(each)
)


class Bench:
    """A library of its own, with the alerts that a worker would make."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.warned: list[str] = []

    def service(self, **more: Any) -> Service:
        return Service(get_settings().replace(**more) if more else get_settings())

    def check(self, alerts: SearchAlerts | None = None, **more: Any) -> list[str]:
        """Look for alerts as a worker that has just started; return the items of new ones."""
        service = self.service(**more)
        looking = alerts or SearchAlerts(
            service.settings, service.queue.database, service.library
        )  # fmt: skip
        made = looking.check(lambda error: self.warned.append(error.code))
        service.close()
        return [each.item_id for each in made]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    service = Service()
    service.library.prepare()
    service.close()
    yield Bench(tmp_path / "library")
    get_settings.cache_clear()


def ended_now(service: Service, item_id: str, **values: Any) -> None:
    """Let an item of the folder end now, for the first time."""
    database = service.queue.database
    with database.begin() as connection:
        changed = {"ended_at": database.time(connection), "run": 1, **values}
        connection.execute(sa.update(items).where(items.c.id == item_id).values(**changed))


def add(bench: Bench, sample: Path | None = None, **item: Any) -> str:
    made = add_item(**({"sample": sample} if sample else {}), **item)
    service = bench.service()
    ended_now(service, made)
    service.close()
    return made


def test_a_new_item_with_the_words_is_reported_once(bench: Bench) -> None:
    before = add(bench)
    service = bench.service()
    search = service.saved_searches.save("Harbours", "harbour", alerts="new")
    quiet = service.saved_searches.save("Quiet", "harbour")
    none = service.saved_searches.save("None", "zeppelin", alerts="new")
    ended_now(service, before, ended_at=search.made_at - 60)
    assert bench.check() == []  # it was there before the search
    ended_now(service, before)
    assert bench.check() == [before]
    assert bench.check() == [] and bench.check() == []  # by another worker, or after a kill
    views = {each.search.id: each.unseen for each in service.saved_searches.all()}
    assert views == {search.id: 1, quiet.id: 0, none.id: 0}
    (found,) = service.saved_searches.alerts("harbours")
    assert (found.alert.item_id, found.alert.hits > 0, found.title) == (
        before, True, "The harbour in winter",
    )  # fmt: skip
    assert service.saved_searches.unseen() == 1
    assert service.saved_searches.mark_seen() == 1 and service.saved_searches.unseen() == 0
    assert [each.alert.seen_at is not None for each in service.saved_searches.alerts()] == [True]
    service.close()


def test_an_item_that_ended_late_in_its_transaction_is_not_missed(bench: Bench) -> None:
    service = bench.service()
    search = service.saved_searches.save("Harbours", "harbour", alerts="new")
    first = add(bench, OTHER)
    looking = SearchAlerts(service.settings, service.queue.database, service.library)
    assert bench.check(looking) == []  # it has other words; the search is checked until now
    late = add(bench)
    ended_now(service, late, ended_at=search.made_at + 0.001)
    assert bench.check(looking) == [late] and first != late
    service.close()


def test_filters_and_followed_sources_limit_the_alerts(bench: Bench) -> None:
    service = bench.service()
    bay = ListFilter(channel=("Bay Talks",), sent=("sent",))  # where it was sent comes later
    service.saved_searches.save("Bay", "harbour", filters=bay, alerts="new")
    service.saved_searches.save(
        "Elsewhere", "harbour", filters=ListFilter(tag=("x",)), alerts="new"
    )
    service.saved_searches.save("Followed", "harbour", alerts="followed")
    item_id = add(bench, channel="Bay Talks")
    bench.check()
    assert [each.search.name for each in service.saved_searches.alerts()] == ["Bay"]
    ended_now(service, item_id, options={SOURCE: "youtube:handle:@bay"})
    service.saved_searches.change("Followed", alerts="off")
    service.saved_searches.change("Followed", alerts="followed")
    ended_now(service, item_id)
    bench.check()
    names = sorted(each.search.name for each in service.saved_searches.alerts())
    assert names == ["Bay", "Followed"]
    service.close()


def test_what_was_transcribed_again_is_not_new(bench: Bench) -> None:
    service = bench.service()
    service.saved_searches.save("Harbours", "harbour", alerts="new")
    item_id = add(bench)
    ended_now(service, item_id, run=2)
    assert bench.check() == []
    service.close()


def test_a_kill_between_alert_and_copy_loses_and_doubles_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = bench.service(search_webhook="http://127.0.0.1:1/hook")
    search = service.saved_searches.save("Harbours", "harbour", alerts="new")
    item_id = add(bench)
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(SearchAlerts, "_copy", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.check(search_webhook="http://127.0.0.1:1/hook")
    assert bench.check(search_webhook="http://127.0.0.1:1/hook") == []
    with service.queue.database.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(notices)) == 1
    (stored,) = service.library.read_facts()["searches"]
    assert [each["item_id"] for each in stored["alerted"]] == [item_id]
    assert stored["id"] == search.id and "127.0.0.1" not in json.dumps(stored)
    service.close()


def test_searches_and_alerts_outlive_the_database(bench: Bench) -> None:
    service = bench.service()
    service.saved_searches.save("Harbours", "harbour", alerts="new")
    add(bench)
    bench.check()
    service.close()
    for path in bench.home.glob("kb.sqlite*"):
        path.unlink()
    again = bench.service()
    again.search.reindex()
    assert [each.search.name for each in again.saved_searches.all()] == ["Harbours"]
    assert again.saved_searches.unseen() == 1
    assert bench.check() == []  # the item is known, and is not reported a second time
    again.close()


def test_one_failing_search_does_not_stop_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = bench.service()
    service.saved_searches.save("A", "harbour", alerts="new")
    service.saved_searches.save("B", "harbour", alerts="new")
    item_id = add(bench)
    real, failed = SearchAlerts._hits, []

    def first_fails(self: SearchAlerts, query: str, ids: Any) -> Any:
        if not failed:
            failed.append(query)
            raise KBError("index.busy", "The index is busy.")
        return real(self, query, ids)

    monkeypatch.setattr(SearchAlerts, "_hits", first_fails)
    assert bench.check() == [item_id] and bench.warned == ["index.busy"]
    assert bench.check() == [item_id]  # of the search that failed
    service.close()


def test_a_webhook_gets_one_signed_notice(bench: Bench) -> None:
    with WebhookReceiver() as receiver:
        more = {"search_webhook": receiver.origin, "webhook_secret": SECRET}
        service = bench.service(**more)
        search = service.saved_searches.save("Harbours", "harbour", alerts="new")
        item_id = add(bench)
        bench.check(**more)
        Webhooks(service.settings, service.queue.database).run()
        Webhooks(service.settings, service.queue.database).run()
        ((body, headers),) = receiver.arrived
        service.close()
    sent = json.loads(body)
    assert (sent["type"], sent["data"]["search_id"]) == ("search.hits", search.id)
    (item,) = sent["data"]["items"]
    assert item["item_id"] == item_id and item["hits"] >= 1
    assert {name.lower() for name in headers} >= {"webhook-id", "webhook-signature"}
    assert receiver.origin not in json.dumps(sent)


def test_a_webhook_that_was_taken_away_ends_its_notices(bench: Bench) -> None:
    service = bench.service(search_webhook="http://127.0.0.1:1/", webhook_secret=SECRET)
    service.saved_searches.save("Harbours", "harbour", alerts="new")
    add(bench)
    bench.check(search_webhook="http://127.0.0.1:1/", webhook_secret=SECRET)
    without: Settings = service.settings.replace(search_webhook="")
    Webhooks(without, service.queue.database).run()
    with service.queue.database.begin() as connection:
        assert connection.scalar(sa.select(notices.c.next_at)) is None
    service.close()


def test_the_copy_has_the_newest_alerts_and_odd_rows_are_left(bench: Bench) -> None:
    service = bench.service()
    search = service.saved_searches.save("Harbours", "harbour", alerts="new")
    with service.queue.database.begin() as connection:
        rows = [
            {"search": search.id, "item_id": f"file:{n}", "at": 1000.0 + n, "hits": 1, "at_s": 0.0}
            for n in range(COPIED + 5)
        ]
        connection.execute(sa.insert(search_alerts), rows)
    alerts = SearchAlerts(service.settings, service.queue.database, service.library)
    alerts.mark_seen(search.id)
    (stored,) = service.library.read_facts()["searches"]
    assert len(stored["alerted"]) == COPIED
    assert stored["alerted"][0]["item_id"] == f"file:{COPIED + 4}"
    stored["alerted"] = ["x", {"item_id": "file:a", "at": "soon", "hits": 1, "at_s": 0}]
    service.library.write_facts({"searches": [stored, {"name": "no id"}, 7]})
    alerts.forget(search.id)
    service.search.reindex()
    assert alerts.stored() == [] and len(service.saved_searches.all()) == 1
    service.saved_searches.change("harbours", new_name="Ports")
    assert len(service.library.read_facts()["searches"]) == 3  # what cannot be read is kept
    assert isinstance(alerts.stored(), list) and Alert("a", "b", 0.0, 1, 0.0).seen_at is None
    service.close()
