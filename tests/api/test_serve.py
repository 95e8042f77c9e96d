"""`kb serve` as its own process: with a worker beside it, and with the worker of this machine."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from openai import OpenAI

from kb.database import notices
from tests.fakes.webhook import WebhookReceiver
from tests.support.serving import serving
from tests.support.waiting import WAIT_S, until
from tests.support.workers import Lab, write_talks

pytestmark = pytest.mark.slow


def test_it_works_through_the_queue_and_answers_programs(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab") as lab:
        clip, talk = write_talks(tmp_path / "talks", 2)
        with serving(lab, "first") as first:
            (item_id,) = lab.ingest([talk])
            texts = [transcribed(first.address, clip)]
            with serving(lab, "second") as second:  # the worker's name is taken: it uses its line
                texts.append(transcribed(second.address, clip))
            assert texts[0] and texts[0] == texts[1]
            assert lab.wait_finished([item_id])[item_id].state == "done"
        assert not lab.jobs.workers()


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_jobs_and_their_notices_survive_kills(tmp_path: Path) -> None:
    """Twelve jobs over three SIGKILLs: each ends once, and each notice arrives under one id."""
    secret = "whsec_" + "a2V5" * 8
    hosts = {"KB_WEBHOOK_SECRET": secret, "KB_PRIVATE_HOSTS": "127.0.0.1"}
    talks = write_talks(tmp_path / "talks", 12)
    jobs: dict[str, str] = {}
    with Lab(tmp_path / "lab", **hosts) as lab, WebhookReceiver() as receiver:
        receiver.status = 500  # notices stay due over the kills
        for number in range(3):
            with serving(lab, f"killed {number}") as server:
                address = server.address
                for talk in talks[4 * number : 4 * number + 4]:
                    answer = httpx.post(
                        f"{address}/v1/jobs",
                        files={"file": (talk.name, talk.read_bytes())},
                        data={"webhook": f"{receiver.origin}/hook"},
                        headers={"Idempotency-Key": talk.name},
                        timeout=WAIT_S,
                    )
                    assert answer.status_code == 202, answer.text
                    jobs[talk.name] = answer.json()["job_id"]
                ended = number
                until(lambda ended=ended, address=address: done(address, jobs) > 4 * ended)
                server.kill()
        receiver.status = 204
        with serving(lab, "last") as server:
            address = server.address
            until(lambda: done(address, jobs) == len(jobs))
            for talk in talks:  # a client that asks again after the crash
                again = httpx.post(
                    f"{address}/v1/jobs",
                    files={"file": (talk.name, talk.read_bytes())},
                    data={"webhook": f"{receiver.origin}/hook"},
                    headers={"Idempotency-Key": talk.name},
                    timeout=WAIT_S,
                )
                assert (again.status_code, again.json()["job_id"]) == (200, jobs[talk.name])
            due = sa.update(notices).where(notices.c.next_at.is_not(None)).values(next_at=0.0)

            def all_arrived() -> bool:
                with lab.jobs.database.begin() as connection:
                    connection.execute(due)  # instead of a wait of minutes
                    open_ones = sa.select(sa.func.count()).select_from(notices)
                    left = connection.scalar(open_ones.where(notices.c.next_at.is_not(None)))
                    total = connection.scalar(open_ones)
                return total == len(jobs) and not left

            until(all_arrived)
        ids: dict[str, set[str]] = {}
        for body, headers in receiver.arrived:
            ids.setdefault(json.loads(body)["data"]["job_id"], set()).add(headers["webhook-id"])
        assert set(ids) == set(jobs.values()) and all(len(found) == 1 for found in ids.values())
        assert sum(lab.jobs.counts().values()) == len(talks)


def done(address: str, jobs: dict[str, str]) -> int:
    """Return the number of jobs that have ended well."""
    answer = httpx.get(f"{address}/v1/jobs", params={"limit": 100}, timeout=WAIT_S)
    listed = answer.json()["data"]
    assert {each["job_id"] for each in listed} == set(jobs.values())
    assert not {each["status"] for each in listed} & {"failed", "cancelled", "gone"}
    return sum(each["status"] in ("done", "held") for each in listed)


def transcribed(address: str, clip: Path) -> str:
    client = OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0)
    return client.audio.transcriptions.create(model="whisper-1", file=clip).text
