"""Requests to ODIN, which are limited in rate and repeated if that is safe.

Credentials are sent in headers only, to one host only (redirects are not followed), and are
removed from every text of the service before it becomes a message.
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from kb.errors import (
    Cancelled,
    CredentialsMissing,
    CredentialsRefused,
    KnowledgeBaseError,
    UsageError,
)
from kb.settings import Settings, origin
from kb.sinks.odin.errors import (
    OdinRefused,
    OutcomeUnknown,
    connection_error,
    never_sent,
    refusal_error,
)
from kb.sinks.odin.multipart import FormStream
from kb.storage import Answer, AnswerTooLarge, is_lasting, read_answer
from kb.types.safe_text import is_header_value

CONNECT_TIMEOUT_S = 15.0
LONGEST_PAUSE_S = 120.0  # between two attempts, unless the service requires a longer pause
LONGEST_RETRY_AFTER_S = 900.0
# The plain list of a project of 100,000 documents has about 100 MB.
ANSWER_MAX_BYTES = 500_000_000
LONGEST_WORDS = 400  # characters of the service's own message that are shown

LOG_PAUSE_FROM_S = 5.0  # shorter pauses are not logged

log = logging.getLogger(__name__)

_NOT_JSON = object()
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class RateLimiter:
    """A limit of requests per second and at once, for all threads and clients of a process."""

    def __init__(self, rate: float, concurrency: int) -> None:
        self._interval_s = 1 / rate if rate > 0 else 0.0
        self._slots = threading.BoundedSemaphore(concurrency)
        self._lock = threading.Lock()
        self._next_at = 0.0

    def pause_for(self, seconds: float) -> None:
        """Start no request for this time, because the service requires a pause."""
        with self._lock:
            self._next_at = max(self._next_at, time.monotonic() + seconds)

    def wait(self, stop: threading.Event) -> None:
        """Wait for this thread's turn. Raises Cancelled once `stop` is set."""
        while True:
            with self._lock:
                now = time.monotonic()
                wait_s = self._next_at - now
                if wait_s <= 0:
                    self._next_at = now + self._interval_s
            if wait_s <= 0:
                pause(0.0, stop)
                return
            # A random addition prevents a burst of requests at the end of a pause.
            pause(wait_s + random.uniform(0, self._interval_s), stop)

    def __enter__(self) -> None:
        self._slots.acquire()

    def __exit__(self, *_: object) -> None:
        self._slots.release()


def pause(seconds: float, stop: threading.Event) -> None:
    """Sleep until the time is over. Raises Cancelled once `stop` is set."""
    if stop.wait(seconds) if seconds > 0 else stop.is_set():
        raise Cancelled(
            "odin.stopped",
            "Publishing was stopped.",
            hint="Run it again; it does what is left.",
        )


_rate_limiters: dict[tuple[str, float, int], RateLimiter] = {}
_rate_limiters_lock = threading.Lock()


def rate_limiter_for(settings: Settings) -> RateLimiter:
    """Return the limiter that all clients of one service in this process share."""
    key = (settings.odin_base_url, settings.odin_rate, settings.odin_concurrency)
    with _rate_limiters_lock:
        return _rate_limiters.setdefault(
            key, RateLimiter(settings.odin_rate, settings.odin_concurrency)
        )


@dataclass(frozen=True, slots=True)
class _RequestFailure:
    """The failure of a request; `final` is True if another attempt cannot help."""

    problem: KnowledgeBaseError
    never_sent: bool
    final: bool


def check_credentials(settings: Settings) -> None:
    """Check the credentials without a request.

    Raises CredentialsMissing unless key and secret are set and well formed, and UsageError if
    they would be sent without encryption.
    """
    credentials = {"API_KEY": settings.odin_api_key, "API_SECRET": settings.odin_api_secret}
    plain = {name: secret.get_secret_value().strip() for name, secret in credentials.items()}
    missing = [name for name, secret in plain.items() if not secret]
    odd = [name for name, secret in plain.items() if not is_header_value(secret)]
    plain.clear()
    if len(missing) > 1:
        raise CredentialsMissing(
            "odin.credentials_missing",
            "ODIN needs a key and a secret: {names} are not set.",
            hint="Set API_KEY, API_SECRET and ODIN_PROJECT_ID in .env or the environment.",
            names=" and ".join(missing),
        )
    if missing:
        raise CredentialsMissing(
            "odin.credential_missing",
            "ODIN needs a key and a secret: {name} is not set.",
            hint="Set API_KEY, API_SECRET and ODIN_PROJECT_ID in .env or the environment.",
            name=missing[0],
        )
    if odd:
        raise CredentialsMissing(
            "odin.credentials_malformed",
            "{names} holds characters that no key has (spaces, line breaks, letters with accents).",
            hint="Check {key}, {secret} and ODIN_PROJECT_ID, then run: kb publish --all --to odin",
            names=" and ".join(odd),
            key=origin("API_KEY"),
            secret=origin("API_SECRET"),
        )
    base = settings.odin_base_url
    if base.startswith("http:") and (urlsplit(base).hostname or "") not in _LOOPBACK:
        raise UsageError(
            "odin.not_encrypted",
            "ODIN_BASE_URL begins with http: the credentials would travel readable.",
            hint="Use its https address.",
        )


class Connection:
    """A client for requests with one set of credentials; safe to use from threads."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._base = settings.odin_base_url.rstrip("/")
        self._settings = settings
        self._secrets = (settings.odin_api_key, settings.odin_api_secret)
        self._stop = stop
        self._rate_limiter = rate_limiter_for(settings)
        self._timeout = (min(CONNECT_TIMEOUT_S, settings.odin_timeout_s), settings.odin_timeout_s)
        self._retries = settings.odin_retries
        self._backoff_s = settings.odin_backoff_s
        self._sessions = threading.local()
        self.host = urlsplit(self._base).hostname or "ODIN"

    def call(
        self,
        method: str,
        path: str,
        *,
        idempotent: bool,
        body: Callable[[], FormStream] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Send a request, repeated while the service is busy or unreachable; return its object.

        An `idempotent` request may be carried out twice without harm. Any other request of
        unknown outcome raises OutcomeUnknown. 401 and 403 raise CredentialsRefused, other
        refusals raise OdinRefused, a service that cannot be reached raises KnowledgeBaseError,
        and a stop raises Cancelled.
        """
        check_credentials(self._settings)
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            self._rate_limiter.wait(self._stop)
            response = self._try_send(method, path, body, options)
            if isinstance(response, _RequestFailure):
                problem = response.problem
                if not idempotent and not response.never_sent:
                    raise problem.recast(OutcomeUnknown)
                if last or response.final:
                    raise problem
                pause(self._pause_s(attempt), self._stop)
                continue
            status = response.status
            asked_s = response.retry_after_s(LONGEST_RETRY_AFTER_S)
            if status == 429 or (status == 503 and asked_s is not None):
                # The service refused the request before it processed it.
                if last:
                    raise self._refusal_error(response, retryable=True)
                if asked_s is not None and asked_s >= LOG_PAUSE_FROM_S:
                    log.warning("ODIN is busy and asks for a pause of %.0f s.", asked_s)
                # A pause that is over, by a clock that differs from ours, is no pause at all.
                self._rate_limiter.pause_for(asked_s or self._pause_s(attempt))
                continue
            if status in (408, 425) or status >= 500:
                if not idempotent:
                    raise self._refusal_error(response).recast(OutcomeUnknown)
                if last:
                    raise self._refusal_error(response, retryable=True)
                pause(self._pause_s(attempt), self._stop)
                continue
            return self._parse_response(response, idempotent)
        raise AssertionError("the last attempt returns or raises")

    def redact(self, text: str) -> str:
        """Return the text without the credentials, on one line, cut to `LONGEST_WORDS`."""
        for secret in self._secrets:
            if plain := secret.get_secret_value().strip():
                text = text.replace(plain, "***")
        text = " ".join(re.sub(r"<[^>]*>", " ", text).split())
        return text if len(text) <= LONGEST_WORDS else text[: LONGEST_WORDS - 1] + "…"

    def _try_send(
        self,
        method: str,
        path: str,
        body: Callable[[], FormStream] | None,
        options: dict[str, Any],
    ) -> Answer | _RequestFailure:
        """Return the answer, or the failure of the request.

        The HTTP library's exception is not raised again: it contains the request with the
        credentials, and must not become the context of a later exception.
        """
        try:
            with self._rate_limiter:
                return self._send(method, path, body, options)
        except requests.RequestException as error:
            final = is_lasting(error) or isinstance(error, requests.exceptions.SSLError)
            return _RequestFailure(self._connection_error(error), never_sent(error), final)
        except AnswerTooLarge as error:
            return _RequestFailure(self._not_json(200, str(error)), False, True)

    def _send(
        self,
        method: str,
        path: str,
        body: Callable[[], FormStream] | None,
        options: dict[str, Any],
    ) -> Answer:
        key, secret = (secret.get_secret_value().strip() for secret in self._secrets)
        headers = {"X-API-KEY": key, "X-API-SECRET": secret}
        if body is not None:
            stream = body()
            headers["Content-Type"] = stream.content_type
            options = {**options, "data": stream}
        response = self._session().request(
            method,
            self._base + path,
            headers=headers,
            timeout=self._timeout,
            # A redirect would send the headers to another host.
            allow_redirects=False,
            stream=True,
            **options,
        )
        return read_answer(response, ANSWER_MAX_BYTES)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = requests.Session()
            session.mount("http://", HTTPAdapter(max_retries=0))
            session.mount("https://", HTTPAdapter(max_retries=0))
            # Without this, requests adds a password from ~/.netrc.
            session.auth = _no_auth
            self._sessions.session = session
        return session

    def _parse_response(self, response: Answer, idempotent: bool) -> dict[str, Any]:
        status = response.status
        if status in (401, 403):
            raise CredentialsRefused(
                "odin.credentials_refused",
                "ODIN refused the credentials or the project ({status}): {reason}",
                hint="Check {key}, {secret} and ODIN_PROJECT_ID, then run: "
                "kb publish --all --to odin",
                status=status,
                reason=self._error_text(response),
                key=origin("API_KEY"),
                secret=origin("API_SECRET"),
            )
        if not 200 <= status < 300:
            raise self._refusal_error(response)
        if not response.content:
            return {}
        document: Any = _NOT_JSON
        with contextlib.suppress(ValueError):
            document = response.json()
        if document is _NOT_JSON:
            error = self._not_json(status, self._error_text(response))
            raise error if idempotent else error.recast(OutcomeUnknown)
        return document if isinstance(document, dict) else {"results": document}

    def _refusal_error(self, response: Answer, *, retryable: bool = False) -> OdinRefused:
        error = refusal_error(response.status, self._error_text(response))
        error.retryable = error.retryable or retryable
        return error

    def _error_text(self, response: Answer) -> str:
        """Return the service's own message: `detail` in any of its forms, else the body's text."""
        text = response.text
        with contextlib.suppress(ValueError, RecursionError):
            text = error_message(response.json()) or text
        return self.redact(text) or (response.reason or "no reason given")

    def _not_json(self, status: int, reason: str) -> OdinRefused:
        return OdinRefused(
            "odin.not_json",
            "{host} answered {status} with something that is not JSON: {reason}",
            hint="Check ODIN_BASE_URL; a proxy may answer in its place.",
            host=self.host,
            status=status,
            reason=reason,
        )

    def _connection_error(self, error: requests.RequestException) -> KnowledgeBaseError:
        return connection_error(error, self.host, self._timeout[1])

    def _pause_s(self, attempt: int) -> float:
        """Return an exponential backoff in seconds, with jitter that leaves at least a quarter."""
        longest = min(LONGEST_PAUSE_S, self._backoff_s * 2**attempt)
        return random.uniform(longest / 4, longest)


def error_message(document: object) -> str:
    """Return the message in an error body of any form; empty when there is none."""
    if isinstance(document, str):
        return document
    if isinstance(document, list):
        return "; ".join(filter(None, map(error_message, document)))
    if isinstance(document, dict):
        if isinstance(document.get("msg"), str):  # {"loc": ["body", "project_id"], "msg": ...}
            place = document.get("loc")
            field = ".".join(map(str, place)) if isinstance(place, list) else ""
            return f"{field}: {document['msg']}" if field else str(document["msg"])
        for key in ("detail", "error", "message", "reason", "error_message"):
            if words := error_message(document.get(key)):
                return words
    return ""


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
