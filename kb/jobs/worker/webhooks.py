"""Notices to webhooks (Standard Webhooks): of ended jobs, and of the hits of saved searches.

The address of a job's notice is in its request, that of a search's in the settings.

A notice is recorded in the transaction that marks its job, and sent until an answer 2xx arrives: at
least once, always under the same `webhook-id`. The waits between the tries are those that
https://www.standardwebhooks.com names; 410 ends them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from kb.database import Database, api_jobs, notices
from kb.errors import MediaUnavailable
from kb.jobs.queue.api_jobs import ApiJob, ApiJobs, is_under_way
from kb.jobs.queue.item_states import CANCELLED, DONE, HELD
from kb.settings import Settings
from kb.sources.private_networks import private_networks_refused

TIMEOUT_S = 10.0
LEASE_S = 60.0  # a try that was not recorded within this time is made again
MINUTE_S, HOUR_S = 60.0, 3600.0
WAITS_S = (
    *(5.0, 5 * MINUTE_S, 30 * MINUTE_S, 2 * HOUR_S, 5 * HOUR_S),
    *(10 * HOUR_S, 14 * HOUR_S, 20 * HOUR_S, 24 * HOUR_S),
)
AT_ONCE = 8
SECRET_PREFIX = "whsec_"
GONE = 410
_TYPES = {DONE: "job.completed", HELD: "job.held", CANCELLED: "job.cancelled"}

log = logging.getLogger(__name__)


def secret_bytes(settings: Settings) -> bytes | None:
    """Return the secret of the settings; None if it is not set or has another form."""
    text = settings.webhook_secret.get_secret_value()
    if not text.startswith(SECRET_PREFIX):
        return None
    try:
        found = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if 24 <= len(found) <= 64 else None


def signature(secret: bytes, notice_id: str, timestamp: int, body: str) -> str:
    """Return the header `webhook-signature` of a notice."""
    signed = f"{notice_id}.{timestamp}.{body}".encode()
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


@dataclass
class Webhooks:
    """The notices of one library. Several workers may call `run` at once."""

    settings: Settings
    database: Database
    _cleaned_at: float = -HOUR_S  # monotonic

    def run(self) -> None:
        """Record the notices of jobs that have ended, and send those that are due."""
        jobs = ApiJobs(self.database)
        for job in jobs.without_notice():
            state = job.state(list(jobs.states(job.item_ids).values()))
            if not is_under_way(state):
                self._record(job, state)
        if time.monotonic() - self._cleaned_at > HOUR_S:
            self._cleaned_at = time.monotonic()
            jobs.delete_older(self.settings.keep_records_days * 24 * HOUR_S)
        due = self._take_due()
        if due:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
                list(pool.map(self._send, due))

    def _record(self, job: ApiJob, state: str) -> None:
        with self.database.begin() as connection:
            now = self.database.time(connection)
            c = api_jobs.c
            mark = sa.update(api_jobs).where(c.id == job.id, c.noticed_at.is_(None))
            if connection.execute(mark.values(noticed_at=now)).rowcount != 1:
                return  # another worker has recorded it
            notice_id = f"msg_{secrets.token_hex(12)}"
            body = {
                "id": notice_id,
                "type": _TYPES.get(state, "job.failed"),
                "created_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
                "data": {
                    "job_id": job.id,
                    "status": state,
                    "status_url": f"/v1/jobs/{job.id}",
                    "result_url": f"/v1/jobs/{job.id}/result",
                },
            }
            connection.execute(
                sa.insert(notices).values(
                    id=notice_id, job=job.id, address=job.webhook, body=json.dumps(body),
                    next_at=now, created_at=now,
                )
            )  # fmt: skip

    def _take_due(self) -> list[Any]:
        """Return the notices that are due, each leased to this worker."""
        c, taken = notices.c, []
        with self.database.begin() as connection:
            now = self.database.time(connection)
            query = sa.select(notices).where(c.next_at <= now).order_by(c.next_at).limit(100)
            for row in connection.execute(query).all():
                lease = sa.update(notices).where(c.id == row.id, c.next_at == row.next_at)
                leased = lease.values(next_at=now + LEASE_S)
                if connection.execute(leased).rowcount == 1:
                    taken.append(row)
        return taken

    def _send(self, notice: Any) -> None:
        """Make one try, and record what became of it."""
        outcome, ended = self._try(notice)
        tries = notice.tries + 1
        wait_s = WAITS_S[notice.tries] if notice.tries < len(WAITS_S) else None
        with self.database.begin() as connection:
            now = self.database.time(connection)
            next_at = None if ended or wait_s is None else now + wait_s
            change = sa.update(notices).where(notices.c.id == notice.id)
            connection.execute(change.values(tries=tries, next_at=next_at, outcome=outcome))
        if not ended:
            log.warning("The notice %s has not arrived: %s", notice.id, outcome)

    def _try(self, notice: Any) -> tuple[str, bool]:
        """Return the outcome of one try, and True if no further one is wanted."""
        import requests  # slow to import

        secret = secret_bytes(self.settings)
        if secret is None:
            return "KB_WEBHOOK_SECRET is not set", False
        timestamp = int(self.database.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, notice.id, timestamp, notice.body),
        }
        # An address of the settings is the operator's own, who may name a private network.
        own = self.settings.search_webhook.get_secret_value()
        address = notice.address or own
        if not address:
            return "KB_SEARCH_WEBHOOK is not set", True
        checked = self.settings.replace(shared=bool(notice.address))
        try:
            with private_networks_refused(checked, address):
                answer = requests.post(
                    address, data=notice.body.encode(), headers=headers,
                    timeout=TIMEOUT_S, allow_redirects=False, stream=True,
                )  # fmt: skip
        except MediaUnavailable:
            return "the address is in a private network", True
        except requests.RequestException as error:
            return type(error).__name__, False
        answer.close()
        status = answer.status_code
        return f"HTTP {status}", 200 <= status < 300 or status == GONE
