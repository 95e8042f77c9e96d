"""Jobs over HTTP and their webhooks while `kb serve` is killed again and again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import numpy as np
import sqlalchemy as sa

from benchmarks.support.common import figure
from kb.database import Database, notices
from tests.fakes.webhook import WebhookReceiver
from tests.support.serving import serving
from tests.support.workers import Lab, write_talks

JOBS, WEBHOOKS, KILLS = 20, 5, 5
KILL_AFTER_S = (0.2, 6.0)  # after the jobs of a round were sent
DEADLINE_S = 240.0
_SECRET = "whsec_" + "a2V5" * 8


def measure(folder: Path) -> bool:
    """Print the figures; return False if one misses its target."""
    rng = np.random.default_rng(165)
    talks = write_talks(folder / "talks", JOBS)
    values = {"KB_WEBHOOK_SECRET": _SECRET, "KB_PRIVATE_HOSTS": "127.0.0.1"}
    with Lab(folder / "lab", **values) as lab, WebhookReceiver() as receiver:
        receiver.status = 500  # the notices stay due over the kills
        jobs: dict[str, str] = {}
        killed_at_work = 0
        for number in range(KILLS):
            with serving(lab, f"killed {number}") as server:
                for place in range(number, JOBS, KILLS):
                    _send(server.address, talks[place], place, receiver, jobs)
                time.sleep(float(rng.uniform(*KILL_AFTER_S)))
                killed_at_work += _states(server.address).get("running", 0) > 0
                server.kill()
        receiver.status = 204
        with serving(lab, "last") as server:
            began = time.monotonic()
            while time.monotonic() < began + DEADLINE_S:
                states = _states(server.address)
                if sum(states.get(state, 0) for state in ("done", "held")) == JOBS:
                    break
                time.sleep(0.5)
            # A client that lost its answer asks again: it gets the same job.
            again: dict[str, str] = {}
            for place, path in enumerate(talks):
                _send(server.address, path, place, receiver, again)
            left = _notices_left(lab, began + DEADLINE_S)
        items = sum(lab.jobs.counts().values())
    ids: dict[str, set[str]] = {}
    for body, headers in receiver.arrived:
        ids.setdefault(json.loads(body)["data"]["job_id"], set()).add(headers["webhook-id"])
    figure("kills_while_a_job_ran", killed_at_work, "kills")
    figure("notices_sent", len(receiver.arrived), "requests")
    wanted = {jobs[str(place)] for place in range(WEBHOOKS)}
    return all((
        figure("kills", KILLS, "kills", at_least=KILLS),
        figure("jobs_not_done", JOBS - states.get("done", 0) - states.get("held", 0), "jobs",
               at_most=0),
        figure("items_of_jobs", items, "items", at_most=JOBS),
        figure("jobs_twice", sum(again[key] != jobs[key] for key in jobs), "jobs", at_most=0),
        figure("webhooks_missing", len(wanted - set(ids)), "webhooks", at_most=0),
        figure("webhooks_under_several_ids", sum(len(each) > 1 for each in ids.values()),
               "webhooks", at_most=0),
        figure("notices_left", left, "notices", at_most=0),
    ))  # fmt: skip


def _send(
    address: str, path: Path, place: int, receiver: WebhookReceiver, jobs: dict[str, str]
) -> None:
    data = {"webhook": f"{receiver.origin}/hook"} if place < WEBHOOKS else {}
    answer = httpx.post(
        f"{address}/v1/jobs",
        files={"file": (path.name, path.read_bytes())},
        data=data,
        headers={"Idempotency-Key": path.name},
        timeout=60,
    )
    answer.raise_for_status()
    jobs[str(place)] = answer.json()["job_id"]


def _states(address: str) -> dict[str, int]:
    listed = httpx.get(f"{address}/v1/jobs", params={"limit": 100}, timeout=60).json()["data"]
    found: dict[str, int] = {}
    for job in listed:
        found[job["status"]] = found.get(job["status"], 0) + 1
    return found


def _notices_left(lab: Lab, deadline: float) -> int:
    """Wait until all notices have arrived; return the number of those that have not."""
    due = sa.update(notices).where(notices.c.next_at.is_not(None)).values(next_at=0.0)
    count = sa.select(sa.func.count()).select_from(notices)
    database = Database.open(lab.settings)
    while True:
        with database.begin() as connection:
            connection.execute(due)  # instead of a wait of minutes
            left = connection.scalar(count.where(notices.c.next_at.is_not(None))) or 0
            total = connection.scalar(count) or 0
        if (total >= WEBHOOKS and not left) or time.monotonic() > deadline:
            return int(left + max(0, WEBHOOKS - total))
        time.sleep(0.5)
