"""Durable jobs over HTTP: queue, worker's steps, library, database and webhooks are real."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import sqlalchemy as sa

from kb.api import jobs as job_routes
from kb.api.server import ApiServer
from kb.database import Database, notices
from kb.jobs.queue.api_jobs import job_state
from kb.jobs.worker import webhooks
from kb.jobs.worker.webhooks import Webhooks
from kb.service import uploads
from kb.settings import Settings
from tests.fakes.webhook import WebhookReceiver
from tests.support.api_server import Held, served
from tests.support.compose import compose, write_wav
from tests.support.inline_worker import WORDS, InlineWorker
from tests.support.keys import fake_key
from tests.support.speech import bank
from tests.support.waiting import until

SECRET = "whsec_" + "a2V5" * 8  # base64 of a word
KEYS = (fake_key("one"), fake_key("two"))


@dataclass
class Site:
    """A served API, and the worker of its library."""

    server: ApiServer
    settings: Settings
    worker: InlineWorker
    sound: bytes
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def ask(
        self, method: str, path: str, status: int = 200, key: str = KEYS[0], **more: Any
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        answer = httpx.request(
            method, f"{self.server.address}{path}", headers=headers, timeout=60, **more
        )
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def file(self) -> dict[str, Any]:
        """Return a recording that no other test has."""
        number = next(self.numbers)
        return {"file": (f"talk {number}.wav", self.sound + number.to_bytes(2, "big"))}

    def submit(self, status: int = 202, **more: Any) -> dict[str, Any]:
        return self.ask("POST", "/v1/jobs", status, **({"files": self.file()} | more))

    def notify(self) -> None:
        Webhooks(self.settings, Database.open(self.settings)).run()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("jobs")
    values = {
        "KB_API_KEYS": ",".join(KEYS),
        "KB_WEBHOOK_SECRET": SECRET,
        "KB_PRIVATE_HOSTS": "127.0.0.1",
    }
    spoken = compose(bank(), "zwei drei", rng=np.random.default_rng(1))
    sound = write_wav(folder / "talk.wav", spoken).read_bytes()
    with served(folder / "home", Held(), **values) as server:
        settings = server._context.settings
        worker = InlineWorker(settings)
        yield Site(server, settings, worker, sound)
        worker.close()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as made:
        yield made
        made.end.set()


@pytest.mark.slow
def test_a_file_becomes_an_item_of_the_library_and_its_transcript_comes_back(site: Site) -> None:
    made = site.submit(data={"options": '{"language": "de"}'})
    path = made["status_url"]
    assert made["status"] == "queued" and made["items"] == {"total": 1, "done": 0, "failed": 0}
    assert site.ask("GET", f"{path}/result", 202)["status"] == "queued"
    site.worker.work()
    done = site.ask("GET", path)
    assert (done["status"], done["progress"]) == ("done", 1.0)
    (result,) = site.ask("GET", made["result_url"])["results"]
    assert result["transcript"]["segments"][0]["text"] == WORDS.text
    for form in ("srt", "vtt", "txt", "verbose_json"):
        answer = httpx.get(
            f"{site.server.address}{path}/result",
            params={"format": form},
            headers={"Authorization": f"Bearer {KEYS[0]}"},
        )
        assert answer.status_code == 200 and "harbour" in answer.text
    assert site.ask("GET", f"/status/{made['job_id']}") == done
    assert site.ask("GET", f"/result/{made['job_id']}")["results"] == [result]
    uploads.sweep(site.server._context.service)
    folder = site.settings.home / uploads.FOLDER
    assert not folder.exists() or not list(folder.iterdir())


def test_an_idempotency_key_stands_for_one_job(site: Site) -> None:
    same = {"files": site.file(), "headers": {"Idempotency-Key": "a b/c"}}
    first = site.submit(**same)
    again = site.submit(200, **same)
    assert again["job_id"] == first["job_id"]
    error = site.submit(422, headers=same["headers"])["error"]
    assert error["code"] == "idempotency_conflict" and error["param"] == "Idempotency-Key"
    other = site.submit(202, key=KEYS[1], **same)  # another caller's word
    assert other["job_id"] != first["job_id"] and other["media"] == first["media"]


def test_equal_requests_share_a_job_until_it_was_cancelled(site: Site) -> None:
    files = site.file()
    first = site.submit(files=files)
    assert site.submit(200, files=files)["job_id"] == first["job_id"]
    other = site.submit(files=files, data={"options": '{"language": "fr"}'})
    assert other["job_id"] != first["job_id"]
    cancelled = site.ask("DELETE", first["status_url"])
    assert cancelled["status"] == "cancelled"
    assert site.submit(files=files)["job_id"] != first["job_id"]


def test_an_item_that_another_job_waits_for_is_not_cancelled(site: Site) -> None:
    files = site.file()
    mine, theirs = site.submit(files=files), site.submit(files=files, key=KEYS[1])
    assert site.ask("DELETE", mine["status_url"])["status"] == "cancelled"
    assert site.ask("GET", theirs["status_url"], key=KEYS[1])["status"] == "queued"
    site.ask("DELETE", theirs["status_url"], key=KEYS[1])  # it did not queue the item
    assert site.ask("GET", mine["status_url"])["media"][0]["status"] == "queued"
    site.worker.work()


def test_a_caller_sees_its_own_jobs_in_pages(site: Site) -> None:
    job = site.submit()
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/result"), ("GET", "/events")):
        answer = site.ask(method, f"{job['status_url']}{path}", 404, key=KEYS[1])
        assert answer["error"]["code"] == "job_not_found"
    ids: list[str] = []
    after = ""
    while not ids or after:
        page = site.ask("GET", "/v1/jobs", params={"limit": 2, "after": after})
        ids += [each["job_id"] for each in page["data"]]
        after = page["after"]
        assert page["has_more"] == bool(after)
    assert ids[0] == job["job_id"] and len(ids) == len(set(ids)) > 2


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"json": {}}, 400, "missing_required_parameter"),
        ({"json": {"url": ""}}, 400, "invalid_value"),
        ({"json": {"url": "/etc/passwd"}}, 400, "requests.link"),
        ({"json": {"url": "file:///etc/passwd"}}, 400, "requests.link"),
        ({"json": {"url": "http://[::1/"}}, 400, "requests.link"),
        ({"json": {"url": "http://169.254.169.254/latest/meta-data"}}, 400, "address.private"),
        ({"json": {"url": "http://[::ffff:10.0.0.1]/a.mp4"}}, 400, "address.private"),
        ({"json": {"url": "http://0x0a000001/a.mp4"}}, 400, "address.private"),
        ({"json": {"url": "https://a.example/\0"}}, 400, "invalid_value"),
        ({"json": {"url": "https://a.example/\u202e\x1b[2J"}}, 400, "invalid_value"),
        ({"content": b'{"url": "https://a.example/\\ud800"}',
          "headers": {"Content-Type": "application/json"}}, 400, "invalid_json"),
        ({"json": {"url": "https://a.example/", "surprise": 1}}, 400, "invalid_value"),
        ({"json": {"url": "https://a.example/", "options": {"beams": 1}}}, 400, "invalid_value"),
        ({"json": {"url": "https://a.example/", "options": {"model": "x"}}}, 404,
         "model_not_found"),
        ({"json": {"url": "https://a.example/", "options": {"language": "??"}}}, 400,
         "invalid_value"),
        ({"json": {"url": "https://a.example/", "webhook": "ftp://b.example"}}, 400,
         "webhook.address"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "invalid_json"),
        ({"content": b"[1]", "headers": {"Content-Type": "application/json"}}, 400,
         "invalid_value"),
        ({"content": b" " * 70_000, "headers": {"Content-Type": "application/json"}}, 413,
         "body_too_large"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 400,
         "unsupported_content_type"),
        ({"files": {"file": ("a.wav", b"")}}, 400, "missing_required_parameter"),
        ({"files": {"file": ("a.wav", b"x")}, "data": {"options": "{"}}, 400, "invalid_json"),
        ({"files": {"file": ("a.wav", b"x")}, "data": {"other": "1"}}, 400, "invalid_value"),
        ({"json": {"url": "https://a.example/"}, "headers": {"Idempotency-Key": "x" * 300}}, 400,
         "invalid_value"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/jobs", "/process"])
def test_a_request_that_no_job_is_made_of(
    site: Site, sent: dict[str, Any], status: int, code: str, path: str
) -> None:
    error = site.ask("POST", path, status, **sent)["error"]
    assert error["message"] and error["code"] == code, error


@pytest.mark.parametrize("name", ["job_1", "job_%00", "..%2f..", "job_" + "g" * 24, "ü"])
def test_an_id_that_is_none_is_no_job(site: Site, name: str) -> None:
    for path in (f"/v1/jobs/{name}", f"/v1/jobs/{name}/result", f"/status/{name}"):
        assert site.ask("GET", path, 404)["error"]["message"]
    assert site.ask("GET", f"/v1/jobs?after={name}", 400)["error"]["code"] == "jobs.cursor"
    for query in ("limit=0", "limit=101", "limit=x"):
        assert site.ask("GET", f"/v1/jobs?{query}", 400)["error"]["param"] == "limit"


def test_results_that_do_not_come(site: Site) -> None:
    job = site.submit()
    site.worker.work()
    path = f"{job['status_url']}/result"
    assert site.ask("GET", path, 400, params={"format": "exe"})["error"]["param"] == "format"
    assert site.ask("GET", path, 404, params={"item": "file:0"})["error"]["param"] == "item"
    broken = site.submit(files={"file": ("a.wav", b"no sound")})
    site.worker.work()
    failed = site.ask("GET", broken["status_url"])
    assert failed["status"] == "failed" and failed["error"] and failed["items"]["failed"] == 1
    assert site.ask("GET", broken["result_url"], 422)["error"]["code"] == "job_failed"
    cancelled = site.submit()
    site.ask("DELETE", cancelled["status_url"])
    error = site.ask("GET", f"{cancelled['status_url']}/result", 422)["error"]
    assert error["code"] == "job_cancelled"
    site.server._context.service.removals.remove([job["media"][0]["id"]])
    assert site.ask("GET", path, 410)["error"]["code"] == "gone"


def test_events_come_at_each_change_and_resume(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_routes, "LOOK_S", 0.05)
    job = site.submit()
    url = f"{site.server.address}{job['status_url']}/events"
    headers = {"Authorization": f"Bearer {KEYS[0]}"}
    with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
        lines = answer.iter_lines()
        first = [next(lines) for _ in range(3)]
        assert first[1] == "event: progress" and json.loads(first[2][6:])["status"] == "queued"
        threading.Thread(target=site.worker.work).start()
        rest = [line for line in lines if line]
    assert rest[-2] == "event: done" and json.loads(rest[-1][6:])["status"] == "done"
    seen = rest[-3].removeprefix("id: ")
    again = httpx.get(url, headers={**headers, "Last-Event-ID": seen}, timeout=60).text
    assert again.count("event: done") == 1 and "progress\n" not in again


@pytest.mark.parametrize("state", ["done", "cancelled"])
def test_a_notice_is_signed_as_the_official_client_expects(
    site: Site, receiver: WebhookReceiver, state: str
) -> None:
    job = site.submit(data={"webhook": f"{receiver.origin}/hook"})
    site.notify()
    assert not receiver.arrived
    if state == "done":
        site.worker.work()
    else:
        site.ask("DELETE", job["status_url"])
    site.notify()
    site.notify()
    ((body, headers),) = receiver.arrived
    document = json.loads(body)
    assert document["type"] == {"done": "job.completed"}.get(state, f"job.{state}")
    assert document["data"]["job_id"] == job["job_id"] and "harbour" not in body
    client = openai.OpenAI(api_key="x", webhook_secret=SECRET)
    client.webhooks.verify_signature(body, headers)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(body.replace("job", "jab"), headers)


def test_a_cancelled_job_is_noticed_although_its_item_goes_on_for_others(
    site: Site, receiver: WebhookReceiver
) -> None:
    files = site.file()
    mine = site.submit(files=files, data={"webhook": f"{receiver.origin}/hook"})
    site.submit(files=files, key=KEYS[1])
    site.ask("DELETE", mine["status_url"])
    site.notify()
    ((body, _),) = receiver.arrived
    assert json.loads(body)["type"] == "job.cancelled"
    site.worker.work()


@pytest.mark.parametrize(
    ("status", "tries"), [(200, 1), (204, 1), (410, 1), (500, 2), (302, 2), (404, 2), (0, 2)]
)
def test_a_notice_that_was_not_taken_comes_again_under_its_id(
    site: Site,
    receiver: WebhookReceiver,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    tries: int,
) -> None:
    monkeypatch.setattr(webhooks, "WAITS_S", (0.0,))
    if not status:  # it hangs
        monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.3)
    receiver.status = status
    job = site.submit(data={"webhook": f"{receiver.origin}/hook"})
    site.ask("DELETE", job["status_url"])
    for _ in range(4):
        site.notify()
    until(lambda: len(receiver.arrived) >= tries)  # a hanging answer may outlast its try
    assert len(receiver.arrived) == tries
    assert len({headers["webhook-id"] for _, headers in receiver.arrived}) == 1
    query = sa.select(notices).where(notices.c.job == job["job_id"])
    with Database.open(site.settings).begin() as connection:
        row = connection.execute(query).one()
    assert (row.tries, row.next_at) == (tries, None) and row.outcome


def test_a_try_that_was_not_recorded_is_made_again(
    site: Site, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is killed behind the answer: the lease ends, and the notice comes again."""
    monkeypatch.setattr(webhooks, "LEASE_S", -1.0)
    job = site.submit(data={"webhook": f"{receiver.origin}/hook"})
    site.ask("DELETE", job["status_url"])
    killed = Webhooks(site.settings, Database.open(site.settings))
    monkeypatch.setattr(killed, "_send", lambda notice: killed._try(notice))
    killed.run()
    site.notify()
    assert len(receiver.arrived) == 2
    assert len({headers["webhook-id"] for _, headers in receiver.arrived}) == 1


def test_no_notice_goes_into_a_private_network(site: Site, receiver: WebhookReceiver) -> None:
    job = site.submit(data={"webhook": f"{receiver.origin}/hook"})
    site.ask("DELETE", job["status_url"])
    strict = site.settings.replace(private_hosts="")
    Webhooks(strict, Database.open(strict)).run()
    assert not receiver.arrived


@pytest.mark.slow
def test_without_a_secret_no_webhook_can_be_named(tmp_path: Path) -> None:
    for secret in ("", "hush", "whsec_!!", "whsec_c2hvcnQ="):
        with served(tmp_path / "home", Held(), KB_WEBHOOK_SECRET=secret) as server:
            answer = httpx.post(
                f"{server.address}/v1/jobs",
                json={"url": "https://a.example/", "webhook": "https://b.example/"},
            )
        assert answer.json()["error"]["code"] == "webhook.no_secret"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ((), "gone"),
        (("queued", "queued"), "queued"),
        (("queued", "done"), "running"),
        (("running", "failed"), "running"),
        (("done", "waiting"), "waiting"),
        (("done", "paused"), "paused"),
        (("done", "done"), "done"),
        (("done", "failed", "held"), "failed"),
        (("done", "held"), "held"),
        (("done", "cancelled"), "cancelled"),
        (("dismissed",), "cancelled"),
    ],
)
def test_the_state_of_a_job(states: tuple[str, ...], state: str) -> None:
    assert job_state(states) == state
