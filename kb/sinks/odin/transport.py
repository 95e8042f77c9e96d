"""Requests to ODIN: paced, repeated where that is safe, refused in plain words.

Credentials travel as headers only, to one host only (redirects are not followed), and are
taken out of whatever the other side says before it becomes a message.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
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
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from kb.errors import (
    Cancelled,
    CredentialsMissing,
    CredentialsRefused,
    KnowledgeBaseError,
    UsageError,
)
from kb.settings import Settings
from kb.sinks.odin.multipart import FormStream

CONNECT_TIMEOUT_S = 15.0
LONGEST_PAUSE_S = 120.0  # between two attempts, unless the service asks for more
LONGEST_RETRY_AFTER_S = 900.0
LONGEST_WORDS = 400  # characters of the other side's own words that are shown

LOG_PAUSE_FROM_S = 5.0  # a shorter pause needs no words

log = logging.getLogger(__name__)

_NOT_JSON = object()
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_CREDENTIALS_HINT = (
    "Check API_KEY, API_SECRET and ODIN_PROJECT_ID in .env, then run: kb publish --all --to odin"
)


class OdinRefused(KnowledgeBaseError):
    """ODIN answered that it will not; `status` is the HTTP status, 0 if there is none."""

    status = 0


class OutcomeUnknown(KnowledgeBaseError):
    """Nobody knows whether the request was carried out: look before sending it again."""

    retryable = True


class RateLimiter:
    """At most so many requests a second and at once, for all threads and clients of a process."""

    def __init__(self, rate: float, concurrency: int) -> None:
        self._interval_s = 1 / rate if rate > 0 else 0.0
        self._slots = threading.BoundedSemaphore(concurrency)
        self._lock = threading.Lock()
        self._next_at = 0.0

    def pause_for(self, seconds: float) -> None:
        """Nobody sends anything for so long (the service asked for it)."""
        with self._lock:
            self._next_at = max(self._next_at, time.monotonic() + seconds)

    def wait(self, stop: threading.Event) -> None:
        """Returns when it is this thread's turn. Raises Cancelled once `stop` is set."""
        while True:
            with self._lock:
                now = time.monotonic()
                wait_s = self._next_at - now
                if wait_s <= 0:
                    self._next_at = now + self._interval_s
            if wait_s <= 0:
                pause(0.0, stop)
                return
            # Drawn a little apart, so that a hold does not end in a burst.
            pause(wait_s + random.uniform(0, self._interval_s), stop)

    def __enter__(self) -> None:
        self._slots.acquire()

    def __exit__(self, *_: object) -> None:
        self._slots.release()


def pause(seconds: float, stop: threading.Event) -> None:
    """Sleep that a stop ends. Raises Cancelled then."""
    if stop.wait(seconds) if seconds > 0 else stop.is_set():
        raise Cancelled("Publishing was stopped.", hint="Run it again; it does what is left.")


_rate_limiters: dict[tuple[str, float, int], RateLimiter] = {}
_rate_limiters_lock = threading.Lock()


def rate_limiter_for(settings: Settings) -> RateLimiter:
    """The pace that all clients of one service in this process share."""
    key = (settings.odin_base_url, settings.odin_rate, settings.odin_concurrency)
    with _rate_limiters_lock:
        return _rate_limiters.setdefault(
            key, RateLimiter(settings.odin_rate, settings.odin_concurrency)
        )


@dataclass(frozen=True, slots=True)
class _RequestFailure:
    """Why a request was not answered; `final` where trying again is of no use."""

    problem: KnowledgeBaseError
    never_sent: bool
    final: bool


def check_credentials(settings: Settings) -> None:
    """Raises CredentialsMissing unless key and secret are set and could be ones, and
    UsageError where they would travel readable. Asks nobody."""
    credentials = {"API_KEY": settings.odin_api_key, "API_SECRET": settings.odin_api_secret}
    plain = {name: secret.get_secret_value().strip() for name, secret in credentials.items()}
    missing = [name for name, secret in plain.items() if not secret]
    # What is no header would be quoted whole in the HTTP library's own error.
    odd = [name for name, secret in plain.items() if not re.fullmatch(r"[!-~]*", secret)]
    plain.clear()
    if missing:
        raise CredentialsMissing(
            f"ODIN needs a key and a secret: {' and '.join(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} not set.",
            hint="Set API_KEY, API_SECRET and ODIN_PROJECT_ID in .env or the environment.",
        )
    if odd:
        raise CredentialsMissing(
            f"{' and '.join(odd)} holds characters that no key has (spaces, line breaks, "
            "letters with accents).",
            hint=_CREDENTIALS_HINT,
        )
    base = settings.odin_base_url
    if base.startswith("http:") and (urlsplit(base).hostname or "") not in _LOOPBACK:
        raise UsageError(
            "ODIN_BASE_URL begins with http: the credentials would travel readable.",
            hint="Use its https address.",
        )


class Connection:
    """Sends requests for one set of credentials; safe to use from threads."""

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
        """One request, repeated while the service is busy or away; the JSON object it answers.

        `idempotent` requests may be carried out twice without harm. An unsafe one whose fate is
        unknown raises OutcomeUnknown; 401 and 403 raise CredentialsRefused; other refusals
        OdinRefused; a service that stays away KnowledgeBaseError; a stop Cancelled.
        """
        check_credentials(self._settings)
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            self._rate_limiter.wait(self._stop)
            response = self._try_send(method, path, body, options)
            if isinstance(response, _RequestFailure):
                problem = response.problem
                if not idempotent and not response.never_sent:
                    raise OutcomeUnknown(problem.message, hint=problem.hint)
                if last or response.final:
                    raise problem
                pause(self._pause_s(attempt), self._stop)
                continue
            status = response.status_code
            asked_s = _retry_after(response)
            if status == 429 or (status == 503 and asked_s is not None):
                # Refused before it was looked at: nothing was carried out.
                if last:
                    raise self._refusal_error(response, retryable=True)
                if asked_s is not None and asked_s >= LOG_PAUSE_FROM_S:
                    log.warning("ODIN is busy and asks for a pause of %.0f s.", asked_s)
                self._rate_limiter.pause_for(
                    asked_s if asked_s is not None else self._pause_s(attempt)
                )
                continue
            if status in (408, 425) or status >= 500:
                if not idempotent:
                    raise OutcomeUnknown(self._refusal_error(response).message)
                if last:
                    raise self._refusal_error(response, retryable=True)
                pause(self._pause_s(attempt), self._stop)
                continue
            return self._parse_response(response, idempotent)
        raise AssertionError("the last attempt returns or raises")

    def redact(self, text: str) -> str:
        """The text without the credentials, on one line, of a length that can be shown."""
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
    ) -> requests.Response | _RequestFailure:
        """The answer, or in plain words why there is none.

        The library's own exception ends here: it holds the request, and that the credentials,
        so that nothing raised from here on may have it for its context.
        """
        try:
            with self._rate_limiter:
                return self._send(method, path, body, options)
        except requests.RequestException as error:
            final = isinstance(error, requests.exceptions.SSLError)
            return _RequestFailure(self._connection_error(error), _never_sent(error), final)

    def _send(
        self,
        method: str,
        path: str,
        body: Callable[[], FormStream] | None,
        options: dict[str, Any],
    ) -> requests.Response:
        key, secret = (secret.get_secret_value().strip() for secret in self._secrets)
        headers = {"X-API-KEY": key, "X-API-SECRET": secret}
        if body is not None:
            stream = body()
            headers["Content-Type"] = stream.content_type
            options = {**options, "data": stream}
        return self._session().request(
            method,
            self._base + path,
            headers=headers,
            timeout=self._timeout,
            # To another host the headers would go along.
            allow_redirects=False,
            **options,
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = requests.Session()
            session.mount("http://", HTTPAdapter(max_retries=0))
            session.mount("https://", HTTPAdapter(max_retries=0))
            # Without it, requests adds a password from ~/.netrc by itself.
            session.auth = _no_auth
            self._sessions.session = session
        return session

    def _parse_response(self, response: requests.Response, idempotent: bool) -> dict[str, Any]:
        status = response.status_code
        if status in (401, 403):
            raise CredentialsRefused(
                f"ODIN refused the credentials or the project ({status}): "
                f"{self._error_text(response)}",
                hint=_CREDENTIALS_HINT,
            )
        if not 200 <= status < 300:
            raise self._refusal_error(response)
        if not response.content:
            return {}
        document: Any = _NOT_JSON
        with contextlib.suppress(ValueError):
            document = response.json()
        if document is _NOT_JSON:
            kind = OdinRefused if idempotent else OutcomeUnknown
            raise kind(
                f"{self.host} answered {status} with something that is not JSON: "
                f"{self._error_text(response)}",
                hint="Check ODIN_BASE_URL; a proxy may answer in its place.",
            )
        return document if isinstance(document, dict) else {"results": document}

    def _refusal_error(
        self, response: requests.Response, *, retryable: bool = False
    ) -> OdinRefused:
        status = response.status_code
        error = OdinRefused(
            f"ODIN refused ({status}): {self._error_text(response)}",
            hint=_HINTS.get(status, _HINTS[500] if status >= 500 else ""),
            retryable=retryable,
        )
        error.status = status
        return error

    def _error_text(self, response: requests.Response) -> str:
        """What the other side says went wrong: `detail` in any of its forms, or its text."""
        text = response.text[:20_000]
        with contextlib.suppress(ValueError):
            text = error_message(json.loads(response.text)) or text
        return self.redact(text) or (response.reason or "no reason given")

    def _connection_error(self, error: requests.RequestException) -> KnowledgeBaseError:
        if isinstance(error, requests.exceptions.SSLError):
            cause = "its certificate is not accepted"
        elif isinstance(error, requests.exceptions.ProxyError):
            cause = "the proxy does not let it through"
        elif isinstance(error, requests.Timeout):
            cause = f"no answer within {self._timeout[1]:g} s"
        elif _never_sent(error):
            cause = "no connection"
        else:
            cause = "the connection broke off"
        return KnowledgeBaseError(
            f"ODIN ({self.host}) cannot be reached: {cause}.",
            hint="Check the network and ODIN_BASE_URL, then run it again: it does what is left.",
            retryable=True,
        )

    def _pause_s(self, attempt: int) -> float:
        """Exponential backoff with full jitter, never quite nothing."""
        longest = min(LONGEST_PAUSE_S, self._backoff_s * 2**attempt)
        return random.uniform(longest / 4, longest)


_HINTS = {
    404: "Check ODIN_PROJECT_ID and ODIN_API_VERSION (older projects need v2).",
    413: "Lower ODIN_DOCUMENT_BYTES, or send a smaller file (200 MB at most).",
    422: "ODIN does not understand the request: check ODIN_PROJECT_ID and ODIN_API_VERSION.",
    429: "ODIN is busy: run it again later, or lower ODIN_RATE.",
    500: "ODIN has a problem of its own: run it again later, it does what is left.",
}


def error_message(document: object) -> str:
    """The message inside an error body, whatever its form; empty when there is none."""
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


def _never_sent(error: requests.RequestException) -> bool:
    """Whether no connection was ever made, so that nothing can have been carried out."""
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)):
        return True
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        return isinstance(cause.reason, (NewConnectionError, ConnectTimeoutError))
    return False


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date; None without it."""
    value = response.headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S) if seconds == seconds else None


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
