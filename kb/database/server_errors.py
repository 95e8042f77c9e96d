"""Errors that only a database server has: login, rights, locks of other sessions, the network.

A connection that the server refuses has no code, only the server's words, in the server's language.
Source: PostgreSQL's appendix "Error Codes".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kb.errors import LibraryError

LOCK_HELD = "database.lock_held"
ROLLED_BACK = "database.rolled_back"
Maker = Callable[[str, str], LibraryError]  # of location and reason


def unreachable(location: str, reason: str) -> LibraryError:
    """Return the error for a server that does not answer; it passes."""
    return LibraryError(
        "database.unreachable",
        "The database server {location} cannot be reached or refused: {reason}",
        hint="Check KB_DATABASE_URL and that the server is up; work goes on by itself.",
        retryable=True,
        location=location,
        reason=reason,
    )


def _login(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.login",
        "The database server {location} refuses the login: {reason}",
        hint="Correct user, password and database in KB_DATABASE_URL.",
        location=location,
        reason=reason,
    )


def _rights(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.rights",
        "The role of KB_DATABASE_URL lacks a right in the database {location}: {reason}.",
        hint="Run the script of docs/postgresql.md (Role and rights) as the owner of the database, "
        "then try again.",
        location=location,
        reason=reason,
    )


def read_only(location: str, reason: str) -> LibraryError:
    """Return the error for a server or role that can only be read; it may pass."""
    return LibraryError(
        "database.read_only",
        "The database {location} can only be read: {reason}.",
        hint="KB_DATABASE_URL must name the primary server, and a role that may write "
        "(ALTER ROLE … SET default_transaction_read_only = off).",
        retryable=True,  # a standby that is promoted, a server whose disk was full
        location=location,
        reason=reason,
    )


def _tls(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.tls",
        "No encrypted connection to the database server {location}: {reason}",
        hint="Check sslmode and sslrootcert in KB_DATABASE_URL; docs/postgresql.md (TLS) has "
        "examples.",
        location=location,
        reason=reason,
    )


def _no_slots(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.no_slots",
        "The database server {location} has no free connection: {reason}",
        hint="Raise max_connections, or put PgBouncer before the server; docs/postgresql.md says "
        "what each process takes. Work goes on by itself.",
        retryable=True,
        location=location,
        reason=reason,
    )


def _pooler_mode(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.pooler_mode",
        "The pooler {location} gives each statement another connection: {reason}",
        hint="Set pool_mode = transaction (or session) in PgBouncer; docs/postgresql.md has an "
        "example.",
        location=location,
        reason=reason,
    )


def lock_held(location: str, reason: str) -> LibraryError:
    """Return the error for a lock that another session did not release in time."""
    return LibraryError(
        "database.lock_held",
        "The database {location} waits for a lock that another session holds: {reason}.",
        hint="End that session or its transaction (pg_terminate_backend); work goes on by itself.",
        retryable=True,
        location=location,
        reason=reason,
    )


def _rolled_back(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.rolled_back",
        "The database {location} ended a change, because it and another one waited for each "
        "other: {reason}.",
        hint="Nothing of the change was made: try again. If it happens often, another program "
        "locks tables of this database.",
        retryable=True,
        location=location,
        reason=reason,
    )


def _slow(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.slow",
        "The database server {location} did not finish a statement in time: {reason}.",
        hint="Look at the server's load and for a small statement_timeout of the role; work goes "
        "on by itself.",
        retryable=True,
        location=location,
        reason=reason,
    )


STATES: dict[str, Maker] = {
    "08": unreachable,  # connection exception
    "28": _login,  # invalid authorization
    "3D": _login,  # no such database
    "3F": _rights,  # no schema in which this role may make tables
    "40001": _rolled_back,  # serialization failure
    "40P01": _rolled_back,  # deadlock
    "42501": _rights,
    "53300": _no_slots,
    "55P03": lock_held,
    "57014": _slow,
    "57": unreachable,  # operator intervention: the server shuts down or starts
    "25006": read_only,
    "25P03": unreachable,  # the session was idle in a transaction, for example a sleeping machine
}
"""SQLSTATE codes and their classes; the longer one has precedence."""

# The words of a server that refuses a connection. They are translated by the server: English,
# German, French and Spanish are known. Without any of them a refusal (FATAL) is one of the login.
_PASSING = re.compile(
    r"starting up|shutting down|recovery|startet gerade|fährt herunter|Wiederherstellung|"
    r"démarr|arrêt|iniciando|apagando|terminating|pgbouncer cannot connect|server_login_retry|"
    r"server conn crashed|query_wait_timeout|pooler"
)
_SLOTS = re.compile(r"too many|connection slots|zu viele|Verbindungsslots|trop de|demasiad", re.I)
_TLS = re.compile(r"certificate|SSL was required|support SSL|sslmode|sslrootcert", re.I)
_REFUSAL = re.compile(r"\b(FATAL|ERROR):")
_NO_LOGIN = re.compile(r"password|no pg_hba", re.I)


def of_pooler(text: str) -> Maker | None:
    """Return the maker of the error for a mode of a pooler that cannot be used, by its words."""
    return _pooler_mode if "statement pooling" in text else None


def connection_error(text: str) -> Maker:
    """Return the maker of the error for a connection that was not made or broke, by its words."""
    if _PASSING.search(text):
        return unreachable
    if _SLOTS.search(text):
        return _no_slots
    refused = _REFUSAL.search(text)
    if _TLS.search(text) and not _NO_LOGIN.search(text):
        return _tls
    return _login if refused or "no password supplied" in text else unreachable
