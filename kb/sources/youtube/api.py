"""A client of the YouTube Data API: four cheap calls, rotation of keys, classified errors.

Every call costs one unit of quota. The key is sent in a header only: the client library would
put it into the address, which appears in exceptions and logs.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests

from kb.errors import MediaUnavailable
from kb.settings import Settings
from kb.sources.keys.key_ring import ApiKey, KeyRing
from kb.sources.redact import redact
from kb.storage import is_lasting

PAGE_SIZE = 50  # the largest page of the service
UNITS_A_CALL = 1
TIMEOUT_S = 30.0
ATTEMPTS = 6
WAIT_MAX_S = 60.0
RETRY_AFTER_MAX_S = 300.0
# A key whose project lacks a permission is tried again after this time: its owner can correct
# that without changing the key.
KEY_RETRY_S = 3600.0

DAILY = {"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"}
TOO_FAST = {"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"}
BAD_KEY = {"API_KEY_INVALID", "keyInvalid", "keyExpired", "API_KEY_EXPIRED"}
KEY_NOT_ALLOWED = {
    "accessNotConfigured": "the YouTube Data API is not enabled in its project",
    "SERVICE_DISABLED": "the YouTube Data API is not enabled in its project",
    "API_KEY_SERVICE_BLOCKED": "it is not allowed to use the YouTube Data API",
    "API_KEY_HTTP_REFERRER_BLOCKED": "it is restricted to certain websites",
    "API_KEY_IP_ADDRESS_BLOCKED": "it is restricted to other network addresses",
    "API_KEY_ANDROID_APP_BLOCKED": "it is restricted to Android apps",
    "API_KEY_IOS_APP_BLOCKED": "it is restricted to iOS apps",
    "ipRefererBlocked": "it is restricted to other addresses or websites",
    "CONSUMER_SUSPENDED": "its project is suspended",
    "BILLING_DISABLED": "billing is disabled in its project",
    "UNAUTHENTICATED": "the service does not accept it",
}

log = logging.getLogger(__name__)


class NoUsableKey(Exception):
    """Signal that no key can be used, neither now nor after a reset."""


class ApiRefused(MediaUnavailable):
    """A request refused for its content, not for its key; `reason` is the service's own code."""

    reason = ""


@dataclass(frozen=True, slots=True)
class _ApiError:
    """The content of an error answer."""

    status: int
    reasons: frozenset[str]
    message: str
    daily: bool
    retry_after_s: float | None


class YouTubeApi:
    """The API calls of one listing; `units` is the number of quota units that they have cost.

    Every method raises QuotaExhausted (all keys spent), NoUsableKey, ApiRefused (not found,
    not allowed), MediaUnavailable (no answer, retryable) and LibraryError.
    """

    def __init__(
        self,
        ring: KeyRing,
        settings: Settings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.units = 0
        self._ring = ring
        self._sleep = sleep
        self._check = check
        self._proxy = settings.proxy.get_secret_value()
        service = _build(settings.yt_api_endpoint, _transport(self._proxy))
        # Each call builds a class with all its methods, so the results are kept.
        self._channels, self._playlists = service.channels(), service.playlists()
        self._playlist_items, self._videos = service.playlistItems(), service.videos()

    def channels(self, **which: str) -> dict[str, Any]:
        """Call `channels.list` with `id=`, `forHandle=` or `forUsername=`."""
        part = "snippet,contentDetails,statistics"
        return self._call(lambda: self._channels.list(part=part, **which))

    def playlists(self, token: str = "", **which: str) -> dict[str, Any]:
        """Return a page of `playlists.list` with `id=` or `channelId=`."""
        return self._call(
            lambda: self._playlists.list(
                part="snippet,contentDetails",
                maxResults=PAGE_SIZE,
                pageToken=token or None,
                **which,
            )
        )

    def playlist_items(self, playlist_id: str, token: str = "") -> dict[str, Any]:
        """Return a page of `playlistItems.list`: at most 50 ids."""
        return self._call(
            lambda: self._playlist_items.list(
                part="contentDetails",
                playlistId=playlist_id,
                maxResults=PAGE_SIZE,
                pageToken=token or None,
            )
        )

    def videos(self, ids: Sequence[str]) -> dict[str, Any]:
        """Call `videos.list` for at most 50 ids; the answer lacks private and removed videos."""
        part = "snippet,contentDetails,status,liveStreamingDetails"
        return self._call(lambda: self._videos.list(part=part, id=",".join(ids)))

    def _call(self, make: Callable[[], Any]) -> dict[str, Any]:
        from googleapiclient.errors import HttpError

        failures = 0
        while True:
            self._check()
            key = self._ring.current()
            if key is None:
                raise NoUsableKey
            request = make()
            request.headers["X-Goog-Api-Key"] = key.secret
            wait_s: float | None = None
            try:
                answer: dict[str, Any] = request.execute()
            except HttpError as error:
                refusal = _parse(error.resp, error.content)
                cause = self._classify(refusal, key)
                wait_s = refusal.retry_after_s
            except (OSError, ValueError) as error:
                # A network failure is an OSError here; a ValueError is an answer that is not JSON.
                cause = redact(error, (*self._ring.secrets, self._proxy))
                if is_lasting(error):
                    raise MediaUnavailable(
                        "youtube.cannot_ask",
                        "The YouTube Data API cannot be asked: {reason}",
                        hint="Correct KB_PROXY (and YT_API_ENDPOINT); another attempt does not "
                        "help.",
                        reason=cause,
                    ) from None
            else:
                self._record_usage(key)
                return answer
            finally:
                request.headers.pop("X-Goog-Api-Key", None)
            if not cause:
                continue
            failures += 1
            if failures >= ATTEMPTS:
                raise MediaUnavailable(
                    "youtube.no_answer",
                    "The YouTube Data API does not answer: {reason}",
                    hint="Check the network (and KB_PROXY); a retry goes on where it stopped.",
                    retryable=True,
                    reason=cause,
                ) from None
            if wait_s is None:
                wait_s = min(WAIT_MAX_S, 2.0 ** (failures - 1)) * random.uniform(0.75, 1.25)
            log.info("YouTube Data API: %s Waiting %.1f s.", cause, wait_s)
            self._sleep(min(wait_s, RETRY_AFTER_MAX_S))

    def _classify(self, refusal: _ApiError, key: ApiKey) -> str:
        """Return the cause of a wait, empty when another key is to be tried at once.

        Raises ApiRefused when neither a wait nor another key can help.
        """
        reasons = refusal.reasons
        message = redact(refusal.message, self._ring.secrets)
        if reasons & DAILY or (refusal.daily and reasons & TOO_FAST):
            log.info("YouTube Data API: key %s has used up its day.", key)
            self._ring.mark_exhausted(key, "its daily allowance is used up")
            return ""
        if reasons & BAD_KEY:
            log.warning("YouTube Data API: key %s is not valid.", key)
            self._ring.mark_invalid(key, "the service does not know it (wrong, expired or deleted)")
            return ""
        for reason in sorted(reasons & KEY_NOT_ALLOWED.keys()):
            explanation = KEY_NOT_ALLOWED[reason]
            log.warning("YouTube Data API: key %s cannot be used: %s.", key, explanation)
            self._ring.mark_invalid(key, explanation, for_s=KEY_RETRY_S)
            return ""
        if reasons & TOO_FAST or refusal.status == 429 or refusal.status >= 500:
            return f"HTTP {refusal.status}: {message or 'no reason given'}."
        self._record_usage(key)
        refused = ApiRefused(
            "youtube.refused",
            "YouTube refused: {reason}",
            hint="Check the link; private and removed playlists cannot be listed.",
            reason=message or f"HTTP {refusal.status}",
        )
        refused.reason = min(reasons, default="")
        raise refused from None  # because the text of the cause is not redacted

    def _record_usage(self, key: ApiKey) -> None:
        self.units += UNITS_A_CALL
        self._ring.record_usage(key, UNITS_A_CALL)


def _parse(response: Any, content: bytes) -> _ApiError:
    error: Any = {}
    with suppress(ValueError, KeyError, TypeError):
        # An answer without an error object is empty or a proxy's page: only its status is used.
        error = json.loads(content)["error"]
    error = error if isinstance(error, dict) else {"message": str(error)}
    details = error.get("details") or []
    reasons = {
        str(entry["reason"])
        for entry in [*(error.get("errors") or []), *details]
        if isinstance(entry, dict) and entry.get("reason")
    }
    reasons |= {str(error["status"])} if error.get("status") == "UNAUTHENTICATED" else set()
    message = str(error.get("message") or "")
    limits = message.lower() + json.dumps(details).lower()
    try:
        retry_after = float(response.get("retry-after"))
    except (TypeError, ValueError):
        retry_after = None
    return _ApiError(
        status=int(response.status),
        reasons=frozenset(reasons),
        message=message,
        daily="per day" in limits or "perday" in limits,
        retry_after_s=retry_after,
    )


def _build(endpoint: str, transport: Any) -> Any:
    from googleapiclient.discovery import build
    from googleapiclient.http import HttpRequest

    def request(_http: Any, *args: Any, **kwargs: Any) -> Any:
        # Every request has its own transport: the client's is not safe between threads.
        return HttpRequest(transport(), *args, **kwargs)

    return build(
        "youtube",
        "v3",
        http=transport(),  # without it the client searches this machine for credentials
        requestBuilder=request,
        static_discovery=True,
        cache_discovery=False,
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )


def _transport(proxy: str) -> Callable[[], Any]:
    """Return a class with the interface of `httplib2.Http`, based on requests.

    httplib2 supports no proxy without a further package, and it sends the header with the key
    to any host that it is redirected to.
    """
    import httplib2  # type: ignore[import-untyped]

    class Transport:
        def request(
            self,
            uri: str,
            method: str = "GET",
            body: str | bytes | None = None,
            headers: Mapping[str, str] | None = None,
            **_rest: object,
        ) -> tuple[Any, bytes]:
            answer = requests.request(
                method,
                uri,
                data=body,
                headers=dict(headers or {}),
                timeout=TIMEOUT_S,
                allow_redirects=False,
                proxies={"http": proxy, "https": proxy} if proxy else None,
            )
            facts = {name.lower(): value for name, value in answer.headers.items()}
            response = httplib2.Response({**facts, "status": str(answer.status_code)})
            response.reason = answer.reason
            return response, answer.content

        def close(self) -> None:
            pass

    return Transport
