"""Keys of the library: made and revoked on the command line, scopes and quotas over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import sqlalchemy as sa
from openai import OpenAI

from kb.api.server import ApiServer
from kb.database import Database, access_keys, items
from kb.errors import LibraryError, UsageError
from kb.jobs.queue.access_keys import AccessKeys
from kb.jobs.worker import key_use
from kb.service import Service
from kb.service import access_keys as keys_module
from kb.service.access_keys import SCOPES, AccessKey
from kb.settings import Settings
from tests.fakes.media import FakeMedia
from tests.support.api_server import Held, served
from tests.support.inline_worker import InlineWorker
from tests.support.keys import fake_key
from tests.support.postgres import database_url, server
from tests.support.raising import raises
from tests.support.tones import tone
from tests.support.waiting import until
from tests.support.workers import Lab

__all__ = ["database_url", "server"]

SETTING_KEY = f"kbk_{fake_key('setting')}"


@dataclass
class Site:
    """A served API with keys of its library; the recognizer says that it read ten seconds."""

    url: str
    held: Held
    service: Service
    settings: Settings | None = None

    def key(self, *scopes: str, **quotas: float) -> tuple[AccessKey, str]:
        made = self.service.access.add("a program", scopes, **quotas)
        until(lambda: self.get("/v1/models", made[1]).status_code == 200)
        return made

    def get(self, path: str, secret: str, method: str = "GET", **more: Any) -> httpx.Response:
        named = {"Authorization": f"Bearer {secret}"}
        return httpx.request(method, f"{self.url}{path}", headers=named, timeout=30, **more)

    def send(self, secret: str, content: bytes, path: str = "transcriptions") -> httpx.Response:
        return self.get(
            f"/v1/audio/{path}", secret, "POST",
            data={"model": "whisper-1"}, files={"file": ("a.wav", content)},
        )  # fmt: skip

    def used(self, key: AccessKey) -> float:
        return next(use.day_s for each, use in self.service.access.all() if each.id == key.id)

    def read(self, key: AccessKey) -> float:
        return self.service.access.read_s()[key.id]

    def link(
        self, secret: str, media: FakeMedia, length_s: float | None, name: str = "talk"
    ) -> httpx.Response:
        """Send a link to a page, which names the length of its medium or none."""
        video: dict[str, Any] = {
            "@context": "https://schema.org", "@type": "VideoObject", "name": "Talk",
            "contentUrl": f"{media.url}/media/{name}.wav",
        }  # fmt: skip
        if length_s is not None:
            video["duration"] = f"PT{length_s:g}S"
        page = f'<html><script type="application/ld+json">{json.dumps(video)}</script></html>'
        media.files[f"/{name}"] = (200, "text/html", page.encode())
        return self.get("/v1/jobs", secret, "POST", json={"url": f"{media.url}/{name}"})

    def work(self) -> None:
        """Do what is queued, as the worker of this library."""
        assert self.settings
        worker = InlineWorker(self.settings)
        worker.work()
        worker.close()

    def settle(self) -> None:
        """Settle what has ended, as a worker does every few seconds."""
        key_use.settle_ended(self.service.queue.database)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(keys_module, "FRESH_S", 0.0)
    held = Held()
    held.go.set()
    home = tmp_path / "home"
    service = Service(Settings.model_validate({"KB_HOME": str(home)}))
    service.queue.prepare()
    unpaced = {"KB_DOWNLOAD_PAUSE_S": "0", "KB_DOWNLOAD_PAUSE_MAX_S": "0"}
    with served(
        home, held, KB_API_KEYS=SETTING_KEY, KB_PRIVATE_HOSTS="127.0.0.1", **unpaced
    ) as running:
        yield Site(running.address, held, service, running._context.settings)
        held.go.set()
    service.close()


def test_a_key_is_kept_as_its_digest_alone(site: Site, tmp_path: Path) -> None:
    key, secret = site.key("speech")
    assert secret.startswith(f"kbk_{key.id}_") and len(secret) > 55
    with Database.open(site.service.settings).begin() as connection:
        row = connection.execute(sa.select(access_keys)).mappings().one()
    assert secret not in json.dumps(dict(row)) and len(row["digest"]) == 64
    site.service.close()
    for file in (tmp_path / "home").rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file


@pytest.mark.slow
def test_scopes_decide_about_each_route(site: Site) -> None:
    routes = {
        "speech": [("POST", "/v1/audio/transcriptions"), ("POST", "/v1/audio/translations"),
                   ("POST", "/v1/audio/vad")],
        "jobs": [("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("POST", "/process"),
                 ("GET", "/status/job_1"), ("GET", "/result/job_1"), ("POST", "/v1/uploads")],
        "search": [("GET", "/v1/items/a/steps"), ("GET", "/v1/items/a/speakers"),
                   ("GET", "/v1/items/a/screen"), ("GET", "/v1/items/a/sound"),
                   ("GET", "/v1/items/a/recurring"), ("GET", "/v1/items/a/products"),
                   ("GET", "/v1/items/a/products/files/b"),
                   ("GET", "/v1/items/a/notes"), ("POST", "/v1/answers"),
                   ("GET", "/v1/search?q=a"), ("GET", "/v1/searches"),
                   ("GET", "/v1/searches/a/hits"), ("GET", "/v1/tags"), ("GET", "/v1/items")],
        "admin": [("GET", "/metrics")],
    }  # fmt: skip
    described = httpx.get(
        f"{site.url}/openapi.json", headers={"Authorization": f"Bearer {SETTING_KEY}"}
    ).json()["paths"]
    for method, path in (("POST", "/v1/items/a/steps"), ("POST", "/v1/items/a/speakers"),
                         ("POST", "/v1/items/a/products"), ("POST", "/v1/searches"),
                         ("DELETE", "/v1/searches/a"), ("POST", "/v1/items/a/tags"),
                         ("DELETE", "/v1/items/a/products/b")):  # fmt: skip
        for scope in ("search", "jobs"):
            assert site.get(path, site.key(scope)[1], method).status_code == 403
        assert site.get(path, site.key("search", "jobs")[1], method).status_code != 403
    for scope, places in routes.items():
        _, secret = site.key(scope)
        _, none = site.key("search" if scope != "search" else "jobs")
        for method, path in places:
            refused = site.get(path, none, method)
            assert refused.status_code == 403, path
            assert refused.json()["error"]["code"] == "insufficient_scope"
            assert site.get(path, secret, method).status_code != 403
            assert site.get(path, SETTING_KEY, method).status_code != 403
    open_to_all = [
        path for path in described
        if not path.startswith(
            ("/v1/audio", "/v1/jobs", "/v1/uploads", "/v1/items", "/v1/answers", "/v1/search",
             "/v1/tags", "/status", "/result")
        )
        and path not in ("/process", "/metrics")
    ]  # fmt: skip
    known = ("/health", "/v1/models", "/v1/voices")
    assert all(path.startswith(known) for path in open_to_all), open_to_all


def test_a_revoked_key_is_refused_and_the_last_one_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "FRESH_S", 0.0)
    held, home = Held(), tmp_path / "home"
    held.go.set()
    service = Service(Settings.model_validate({"KB_HOME": str(home)}))
    service.queue.prepare()
    with served(home, held) as running:
        here = Site(running.address, held, service)
        assert httpx.get(f"{here.url}/v1/models").status_code == 200  # no key is needed
        key, secret = here.key()
        assert httpx.get(f"{here.url}/v1/models").status_code == 401
        assert here.send(secret, b"sound").status_code == 200
        service.access.revoke(key.id)
        for given in (secret, "x", f"{secret}x"):
            assert here.get("/v1/models", given).status_code == 401
        assert httpx.get(f"{here.url}/v1/models").status_code == 401
        assert httpx.get(f"{here.url}/health/live").status_code == 200
        with raises(UsageError, "access.which"):
            service.access.revoke(key.id)
    service.close()


def test_sound_is_counted_before_and_settled_after(site: Site) -> None:
    key, secret = site.key("speech", day_s=30.0)
    site.held.go.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(site.send, secret, tone(25))
        until(lambda: bool(site.held.requests))
        assert site.used(key) == 25.0  # the declared length
        refused = site.send(secret, tone(8))
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (429, "insufficient_quota")
        assert refused.headers["x-should-retry"] == "false" and refused.headers["retry-after"]
        site.held.go.set()
        read_s = first.result().json()["usage"]["seconds"]
    assert site.used(key) == pytest.approx(read_s)
    site.send(secret, tone(25))  # the kept answer costs nothing
    assert site.used(key) == pytest.approx(read_s)
    site.held.error = LibraryError("other", "Other.")
    assert site.send(secret, tone(5)).status_code == 503
    assert site.used(key) == pytest.approx(read_s)  # nothing was read


def test_the_official_client_does_not_repeat_what_a_quota_refuses(site: Site) -> None:
    _, secret = site.key("speech", month_s=4.0)
    client = OpenAI(base_url=f"{site.url}/v1", api_key=secret, max_retries=3)
    with pytest.raises(openai.RateLimitError) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", tone(9)))
    assert caught.value.code == "insufficient_quota" and not site.held.requests


def test_equal_requests_at_once_are_counted_once(site: Site) -> None:
    key, secret = site.key("speech", day_s=1000.0)
    site.held.go.clear()
    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(site.send, secret, tone(20)) for _ in range(6)]
        until(lambda: bool(site.held.requests))
        site.held.go.set()
        assert {each.result().status_code for each in sent} == {200}
    read_s = sent[0].result().json()["usage"]["seconds"]
    assert len(site.held.requests) == 1 and site.used(key) == pytest.approx(read_s)


def test_the_last_seconds_are_given_once(site: Site) -> None:
    key, _ = site.key("speech", day_s=100.0)
    store = AccessKeys(Database.open(site.service.settings))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: store.take(key, 30.0), range(12)))
    assert sum(each is not None for each in taken) == 3
    assert site.used(key) == 90.0
    charge = next(each for each in taken if each)
    store.settle(charge, 10.0)
    assert site.used(key) == 70.0


@pytest.mark.slow
def test_the_last_seconds_are_given_once_in_a_shared_database(
    tmp_path: Path, database_url: str
) -> None:
    settings = Settings.model_validate({"KB_HOME": str(tmp_path), "KB_DATABASE_URL": database_url})
    stores = [AccessKeys(Database.open(settings)) for _ in range(2)]
    key, _ = stores[0].add("a program", SCOPES, day_s=None, month_s=100.0)
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda number: stores[number % 2].take(key, 30.0), range(12)))
    assert sum(each is not None for each in taken) == 3
    assert stores[1].use()[key.id].month_s == 90.0 and stores[1].revoke(key.id)


def test_a_key_may_have_so_many_transcriptions_at_once(site: Site) -> None:
    _, secret = site.key("speech", at_once=2)
    _, other = site.key("speech")
    site.held.go.clear()
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(site.send, secret, tone(1, number)) for number in (1, 2)]
        until(lambda: len(site.held.requests) == 2)
        joined = pool.submit(site.send, secret, tone(1, 2))  # an equal request is no further one
        refused = site.send(secret, tone(1, 3))
        assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 120
        assert refused.json()["error"]["code"] == "rate_limit_exceeded"
        another = pool.submit(site.send, other, tone(1, 4))
        until(lambda: len(site.held.requests) == 3)
        site.held.go.set()
        assert {each.result().status_code for each in [*running, joined, another]} == {200}
    assert site.send(secret, tone(1, 3)).status_code == 200


# Length that the page of a link names, what becomes of its medium of eight seconds, and the
# seconds that are counted while it waits and once it has ended.
LINKS = {
    "named": (6.0, "read", 6.0, 6.0),
    "unknown": (None, "read", 600.0, 8.0),
    "broken": (None, "failed", 600.0, 0.0),
    "stopped": (6.0, "cancelled", 6.0, 0.0),
}


@pytest.mark.slow
def test_a_job_of_a_link_is_settled_once_it_has_ended(site: Site) -> None:
    bodies = {name: tone(8, place) for place, name in enumerate(LINKS)}
    with FakeMedia(b"", bodies=bodies) as media:
        keys = {name: site.key("jobs", day_s=1_000.0) for name in LINKS}
        jobs = {
            name: site.link(keys[name][1], media, row[0], name).json()
            for name, row in LINKS.items()
        }
        site.get(jobs["stopped"]["status_url"], keys["stopped"][1], "DELETE")
        site.settle()
        site.settle()
        for name, (_, becomes, waiting_s, _) in LINKS.items():
            expected_s = 0.0 if becomes == "cancelled" else waiting_s
            assert (site.used(keys[name][0]), site.read(keys[name][0])) == (expected_s, 0.0), name
        media.script["broken"] = ["404"]
        site.work()
    site.settle()
    site.settle()  # as another worker does
    for name, (_, becomes, _, ended_s) in LINKS.items():
        key, secret = keys[name]
        ended = site.get(jobs[name]["status_url"], secret).json()["status"]
        assert ended == {"read": "done"}.get(becomes, becomes), name
        assert site.used(key) == site.read(key) == pytest.approx(ended_s, abs=0.1), name


@pytest.mark.slow
def test_a_link_beyond_the_quota_is_refused_and_not_queued(site: Site) -> None:
    key, secret = site.key("jobs", day_s=60.0)
    with FakeMedia(tone(8)) as media:
        for length_s in (61.0, None):
            refused = site.link(secret, media, length_s)
            assert refused.status_code == 429, refused.text
            assert refused.json()["error"]["code"] == "insufficient_quota"
        assert site.used(key) == 0.0 and not any(site.service.queue.counts().values())
        assert site.link(secret, media, 59.0).status_code == 202
        again = site.link(secret, media, 59.0)  # the same job costs nothing
        assert again.status_code == 200 and site.used(key) == 59.0
        asked = {"url": f"{media.url}/talk", "options": {"language": "de"}}
        known = site.get("/v1/jobs", secret, "POST", json=asked)
        assert known.status_code == 202 and site.used(key) == 59.0  # its medium is queued already


@pytest.mark.slow
def test_sound_that_was_given_back_is_asked_for_again(site: Site) -> None:
    """What was cancelled or has failed is queued again: the quota must have room for it."""
    key, secret = site.key("jobs", day_s=60.0)
    bodies = {name: tone(8, place) for place, name in enumerate(("cancelled", "failed", "other"))}
    with FakeMedia(b"", bodies=bodies) as media:
        first = site.link(secret, media, 59.0, "cancelled").json()
        site.get(first["status_url"], secret, "DELETE")
        site.settle()
        assert site.link(secret, media, 59.0, "failed").status_code == 202
        with site.service.queue.database.begin() as connection:
            queued = sa.update(items).where(items.c.state == "queued")
            assert connection.execute(queued.values(state="failed")).rowcount == 1
        site.settle()
        assert site.used(key) == 0.0
        other = site.link(secret, media, 59.0, "other").json()
        for name in ("cancelled", "failed"):
            refused = site.link(secret, media, 59.0, name)
            assert refused.status_code == 429, (name, refused.text)
        assert site.used(key) == 59.0
        site.get(other["status_url"], secret, "DELETE")
        site.settle()
        assert site.link(secret, media, 20.0, "failed").status_code == 202
        assert site.used(key) == 20.0


def test_a_job_counts_its_sound(site: Site) -> None:
    key, secret = site.key("jobs", day_s=60.0)
    answers = [
        site.get("/v1/jobs", secret, "POST", files={"file": (f"{n}.wav", tone(25, n))})
        for n in (1, 2, 3)
    ]
    assert [each.status_code for each in answers] == [202, 202, 429]
    assert answers[2].json()["error"]["code"] == "insufficient_quota"
    assert site.used(key) == 50.0
    again = site.get("/v1/jobs", secret, "POST", files={"file": ("1.wav", tone(25, 1))})
    assert again.status_code == 200 and site.used(key) == 50.0  # the same job


def test_it_listens_beyond_the_machine_with_a_valid_key_of_the_library(tmp_path: Path) -> None:
    settings = Settings.model_validate({"KB_HOME": str(tmp_path / "home")})
    service = Service(settings)
    service.queue.prepare()
    key, _ = service.access.add("a program")
    ApiServer(settings, "0.0.0.0", 0, []).end()
    service.access.revoke(key.name)
    with raises(UsageError, "api.unguarded"):
        ApiServer(settings, "0.0.0.0", 0, [])
    service.close()


@pytest.mark.parametrize(
    ("name", "scopes", "quota", "code"),
    [
        (" ", (), None, "access.name"),
        ("x" * 90, (), None, "access.name"),
        ("a\x07b", (), None, "access.name"),
        ("a", ("everything",), None, "access.scope"),
        ("a", (), 0.0, "access.quota"),
        ("a", (), float("nan"), "access.quota"),
        ("a", (), float("inf"), "access.quota"),
    ],
)
def test_a_key_that_cannot_be_made(
    site: Site, name: str, scopes: tuple[str, ...], quota: float | None, code: str
) -> None:
    with raises(UsageError, code):
        site.service.access.add(name, scopes, day_s=quota)


@pytest.mark.slow
def test_keys_on_the_command_line(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab") as lab:
        made = lab.kb("keys", "add", "notes", "--scope", "speech", "--scope", "jobs",
                      "--hours-a-day", "2", "--json")  # fmt: skip
        document = json.loads(made.stdout)
        secret = document.pop("key")
        assert document["scopes"] == ["speech", "jobs"] and document["day_s"] == 7200
        plain = lab.kb("keys", "add", "all", *(f"--scope={each}" for each in SCOPES))
        assert plain.stdout.startswith("kbk_") and plain.stdout.count("\n") == 1
        listed = lab.kb("keys", "list")
        assert "notes" in listed.stdout and "0.00 h of 2 h" in listed.stdout
        assert lab.kb("keys", "revoke", "notes").returncode == 0
        rows = json.loads(lab.kb("keys", "list", "--json").stdout)
        assert [row["revoked_at"] is None for row in rows] == [False, True]
        assert secret not in json.dumps(rows) + listed.stdout
        assert lab.kb("keys", "revoke", "notes", check=2)
        assert lab.kb("keys", "add", "x", "--scope", "all", check=2)
