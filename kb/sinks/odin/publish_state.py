"""The state of our documents in a remote project: one row per item, one worker at a time."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import sqlalchemy as sa

from kb.database import Database, publications
from kb.errors import KnowledgeBaseError
from kb.sinks.odin.transport import pause
from kb.storage.machine_boot import boot_id
from kb.types.clock import SLACK_S

# A process of another machine cannot be checked, so its claim ends after this time.
FOREIGN_OWNER_S = 900.0
CLAIM_POLL_S = 0.25

NOT_SENT = ""  # the item is claimed, but this database has no record of an upload
SENDING = "sending"  # stored before the first upload: the content of the remote is uncertain
SYNCING = "syncing"  # all documents are sent, and the remote indexes them
SYNCED = "synced"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PublishState:
    """One item's row: hash, names and user's own metadata of the documents that were sent last."""

    item_id: str
    content_sha256: str
    names: tuple[str, ...]
    extra: Mapping[str, str]
    status: str
    error: str = ""
    updated_at: float = 0.0  # epoch seconds


class PublishStateStore:
    """The rows of one sink and project; safe to use from threads, processes and machines."""

    def __init__(self, database: Database, sink: str, project: str) -> None:
        self._database = database
        self._sink = sink
        self._project = project

    def find(self, item_id: str) -> PublishState | None:
        """Return the item's row, or None when nothing was sent yet."""
        query = sa.select(publications).where(self._key(item_id), *self._was_sent())
        with self._database.begin() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _publish_state(row)

    def all(self) -> dict[str, PublishState]:
        """Return every row by item id."""
        query = sa.select(publications).where(*self._scope(), *self._was_sent())
        with self._database.begin() as connection:
            return {row.item_id: _publish_state(row) for row in connection.execute(query)}

    @contextmanager
    def claim(self, item_id: str, wait_s: float, stop: threading.Event) -> Iterator[None]:
        """Claim the item, so that no other thread or process publishes it during the block.

        The claim of a dead process is void. Raises KnowledgeBaseError (retryable) when another
        process does not release the item within `wait_s` seconds.
        """
        give_up_at = time.monotonic() + wait_s
        while not self._claim(item_id):
            if time.monotonic() > give_up_at:
                raise KnowledgeBaseError(
                    "publish.claimed",
                    "{item} is being published by another process.",
                    hint="Wait for it, or stop it; then run this again.",
                    retryable=True,
                    item=item_id,
                )
            pause(CLAIM_POLL_S, stop)
        try:
            yield
        finally:
            with self._database.begin() as connection:
                # The time of the last change is kept: a listing after that time is recent enough.
                connection.execute(
                    sa.update(publications).where(self._key(item_id)).values(owner="")
                )

    def record_documents(
        self,
        item_id: str,
        sha256: str,
        names: Sequence[str],
        extra: Mapping[str, str],
        status: str = SENDING,
    ) -> None:
        """Store the documents that are about to be sent, or were sent."""
        self._update(
            item_id,
            content_sha256=sha256,
            names=list(names),
            extra=dict(extra),
            status=status,
            error="",
        )

    def now(self) -> float:
        """Return the database's time: the clocks of two machines differ."""
        return self._database.time()

    def record_status(self, item_id: str, status: str, error: str = "") -> None:
        self._update(item_id, status=status, error=error)

    def delete(self, item_id: str) -> None:
        with self._database.begin() as connection:
            connection.execute(sa.delete(publications).where(self._key(item_id)))

    def _claim(self, item_id: str) -> bool:
        with self._database.begin() as connection:
            self._database.insert_if_missing(
                connection,
                publications,
                sink=self._sink,
                project=self._project,
                item_id=item_id,
                names=[],
                extra={},
                status=NOT_SENT,
                updated_at=self.now(),
            )
            query = sa.select(publications).where(self._key(item_id)).with_for_update()
            row = connection.execute(query).one()
            # By the database's clock: the clocks of two machines differ.
            now = self._database.time()
            if _is_alive(row.owner, now - row.owned_at):
                return False
            connection.execute(
                sa.update(publications)
                .where(self._key(item_id))
                .values(owner=_owner(), owned_at=now)
            )
        return True

    def _update(self, item_id: str, **values: Any) -> None:
        with self._database.begin() as connection:
            connection.execute(
                sa.update(publications)
                .where(self._key(item_id))
                .values(**values, updated_at=self.now())
            )

    def _scope(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (publications.c.sink == self._sink, publications.c.project == self._project)

    def _was_sent(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (publications.c.status != NOT_SENT,)

    def _key(self, item_id: str) -> sa.ColumnElement[bool]:
        return sa.and_(*self._scope(), publications.c.item_id == item_id)


def _publish_state(row: sa.Row[Any]) -> PublishState:
    return PublishState(
        row.item_id,
        row.content_sha256,
        tuple(row.names),
        dict(row.extra),
        row.status,
        row.error,
        row.updated_at,
    )


def _owner() -> str:
    # Process ids are reused: the start time distinguishes a process from a later one with its id.
    # The boot distinguishes two machines with one host name.
    started = psutil.Process().create_time()
    return f"{socket.gethostname()}|{os.getpid()}|{started:.1f}|{boot_id()}"


def _is_alive(owner: str, owned_s: float) -> bool:
    """Return whether the owner of a publication works on it; `owned_s`: seconds since it began."""
    if not owner:
        return False
    host, pid, started, boot = (*owner.split("|"), "", "", "")[:4]
    # An older version did not write the boot.
    if host != socket.gethostname() or boot not in ("", boot_id()):
        return -SLACK_S <= owned_s < FOREIGN_OWNER_S  # a time of the future is unknown
    try:
        return bool(abs(psutil.Process(int(pid)).create_time() - float(started)) < 1.0)
    except (psutil.Error, ValueError):
        return False
