"""Tokens and price of every call, and the answers that are kept, in the library's database.

A call is booked with its upper bound before it is made, in a transaction that counts what is booked
already: several workers together stay below the limits. Its answer settles it. A call whose answer
never came, or did not say what it used, keeps its reservation and is called unknown.
"""

from __future__ import annotations

import calendar
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from kb.database import Database, llm_answers, llm_calls
from kb.database.repeating import repeated
from kb.errors import UsageError

OPEN, SETTLED, UNKNOWN, FREE = "open", "settled", "unknown", "free"
KEPT_DAYS = 400  # of the rows of calls
_DAY_S = 86_400.0
_LOCK = 7_261_502  # of PostgreSQL; one more than that of migrations


@dataclass(frozen=True, slots=True)
class Plan:
    """One call before it is made: `tokens` and `price` are upper bounds, None is not known."""

    model: str
    purpose: str
    item_id: str
    run: str
    tokens: int
    price: float | None


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens that a service says it has used."""

    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The text of an answer as it arrived, and the reason of its end (`finish_reason`)."""

    text: str
    ending: str


@dataclass(frozen=True, slots=True)
class Booked:
    """Sums over calls: settled tokens and price, and those of calls without a known end."""

    calls: int = 0
    tokens: int = 0
    price: float = 0.0
    unknown_calls: int = 0
    unknown_tokens: int = 0
    unknown_price: float = 0.0


class Ledger:
    """The bookings of one library. Methods raise LibraryError when the database fails."""

    def __init__(
        self, database: Database, token_caps: Mapping[str, float], price_caps: Mapping[str, float]
    ) -> None:
        self._database = database
        self._token_caps, self._price_caps = token_caps, price_caps

    def now(self) -> float:
        """Return the time by the clock of the database."""
        return self._database.time()

    @repeated
    def reserve(self, plan: Plan) -> str:
        """Book a call before it is made; return its id.

        Raises UsageError if it would pass a limit, or if a price is limited and not known.
        """
        if self._price_caps and plan.price is None:
            raise UsageError(
                "llm.no_price",
                "The price of {model} is not known, and KB_LLM_PRICE_CAPS limits it.",
                hint="Enter it in a table of your own (KB_LLM_TABLE), or remove the limit.",
                model=plan.model,
            )
        _check("call", self._token_caps, plan.tokens, "tokens")
        _check("call", self._price_caps, plan.price or 0.0, "price")
        c, number = llm_calls.c, uuid.uuid4().hex
        with self._database.begin() as connection:
            if not self._database.is_sqlite:
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            now = self._database.time(connection)
            # Written first: on SQLite the others wait from here on.
            connection.execute(
                sa.insert(llm_calls).values(
                    id=number, model=plan.model, purpose=plan.purpose, item_id=plan.item_id,
                    run=plan.run, status=OPEN, reserved=plan.tokens, reserved_price=plan.price,
                    tokens_in=0, tokens_out=0, started_at=now,
                )
            )  # fmt: skip
            conditions = {"month": c.started_at >= _month_start(now)}
            if plan.item_id:
                conditions["item"] = c.item_id == plan.item_id
            if plan.run:
                conditions["run"] = c.run == plan.run
            for scope, condition in conditions.items():
                tokens, price = _sums(connection, condition)
                _check(scope, self._token_caps, tokens, "tokens")
                _check(scope, self._price_caps, price, "price")
        return number

    @repeated
    def settle(
        self, number: str, usage: Usage | None, price: float | None,
        keys: Sequence[str] = (), answer: StoredAnswer | None = None,
    ) -> None:  # fmt: skip
        """Book what a call has used, and keep its answer by `keys`.

        Without `usage` the call stays unknown.
        """
        values: dict[str, object] = {"status": UNKNOWN}
        if usage is not None:
            values = {
                "status": SETTLED, "tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out,
                "price": price,
            }  # fmt: skip
        with self._database.begin() as connection:
            now = self._database.time(connection)
            change = sa.update(llm_calls).where(llm_calls.c.id == number)
            connection.execute(change.values(**values, ended_at=now))
            if answer is None:
                return
            size = len(answer.text.encode("utf-8", "replace"))
            for key in keys:
                connection.execute(sa.delete(llm_answers).where(llm_answers.c.key == key))
                self._database.insert_if_missing(
                    connection, llm_answers, key=key, answer=answer.text, ending=answer.ending,
                    bytes=size, used_at=now,
                )  # fmt: skip

    @repeated
    def release(self, number: str) -> None:
        """Take back the booking of a call that the service did not carry out."""
        with self._database.begin() as connection:
            change = sa.update(llm_calls).where(llm_calls.c.id == number)
            now = self._database.time(connection)
            connection.execute(change.values(status=FREE, ended_at=now))

    @repeated
    def find(self, key: str) -> StoredAnswer | None:
        """Return the answer that is kept for a question."""
        mine = llm_answers.c.key == key
        with self._database.begin() as connection:
            row = connection.execute(sa.select(llm_answers).where(mine)).first()
            if row is None:
                return None
            now = self._database.time(connection)
            connection.execute(sa.update(llm_answers).where(mine).values(used_at=now))
            return StoredAnswer(str(row.answer), str(row.ending))

    @repeated
    def prune(self, most_bytes: int, most_days: float) -> None:
        """Delete answers that were not used for so long, then the oldest beyond the size."""
        c = llm_answers.c
        with self._database.begin() as connection:
            now = self._database.time(connection)
            old = sa.delete(llm_answers).where(c.used_at < now - most_days * _DAY_S)
            connection.execute(old)
            ended = llm_calls.c.started_at < now - KEPT_DAYS * _DAY_S
            connection.execute(sa.delete(llm_calls).where(ended))
            size = int(connection.scalar(sa.select(sa.func.sum(c.bytes))) or 0)
            if size <= most_bytes:
                return
            for key, length in connection.execute(sa.select(c.key, c.bytes).order_by(c.used_at)):
                connection.execute(sa.delete(llm_answers).where(c.key == key))
                size -= int(length)
                if size <= most_bytes:
                    return

    @repeated
    def booked(self, *, item_id: str = "", run: str = "", month: bool = False) -> Booked:
        """Return the sums of calls: of an item, of a run, of this month, or of all."""
        c = llm_calls.c
        conditions = [c.item_id == item_id] if item_id else []
        conditions += [c.run == run] if run else []
        with self._database.begin() as connection:
            if month:
                conditions.append(c.started_at >= _month_start(self._database.time(connection)))
            query = sa.select(
                c.status, sa.func.count(), sa.func.sum(c.tokens_in + c.tokens_out),
                sa.func.sum(c.price), sa.func.sum(c.reserved), sa.func.sum(c.reserved_price),
            ).where(*conditions).group_by(c.status)  # fmt: skip
            rows = {row[0]: row for row in connection.execute(query)}
        settled = rows.get(SETTLED)
        lost = [rows[status] for status in (OPEN, UNKNOWN) if status in rows]
        return Booked(
            calls=int(settled[1]) if settled else 0,
            tokens=int(settled[2] or 0) if settled else 0,
            price=float(settled[3] or 0.0) if settled else 0.0,
            unknown_calls=sum(int(row[1]) for row in lost),
            unknown_tokens=sum(int(row[4] or 0) for row in lost),
            unknown_price=sum(float(row[5] or 0.0) for row in lost),
        )


def _sums(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> tuple[int, float]:
    """Return tokens and price of calls; those without a known end count as they were reserved."""
    c = llm_calls.c
    is_settled = c.status == SETTLED
    tokens = sa.case((is_settled, c.tokens_in + c.tokens_out), else_=c.reserved)
    price = sa.case((is_settled, c.price), else_=c.reserved_price)
    query = sa.select(sa.func.sum(tokens), sa.func.sum(price)).where(condition, c.status != FREE)
    row = connection.execute(query).one()
    return int(row[0] or 0), float(row[1] or 0.0)


def _check(scope: str, caps: Mapping[str, float], wanted: float, unit: str) -> None:
    """Raise UsageError if a sum passes the limit of a scope."""
    limit = caps.get(scope)
    if limit is not None and wanted > limit:
        raise UsageError(
            "llm.cap",
            "The limit of a {scope} ({limit:g} {unit}) would be passed: {wanted:g} with this call.",
            hint="Nothing was sent. Raise KB_LLM_TOKEN_CAPS or KB_LLM_PRICE_CAPS, or wait for the "
            "next month.",
            scope=scope,
            limit=float(limit),
            unit=unit,
            wanted=float(wanted),
        )


def _month_start(now: float) -> float:
    """Return the beginning of a time's month (UTC), in seconds since the epoch."""
    at = time.gmtime(now)
    return float(calendar.timegm((at.tm_year, at.tm_mon, 1, 0, 0, 0)))
