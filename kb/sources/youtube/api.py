"""A client of the YouTube Data API: four cheap calls, rotation of keys, classified errors.

Every call costs one unit of quota. The key is sent in a header only: the client library would
put it into the address, which appears in exceptions and logs.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from kb.errors import MediaUnavailable
from kb.settings import Settings
from kb.sources.keys.key_ring import ApiKey, KeyRing
from kb.sources.redact import redact
from kb.sources.youtube.refusals import BAD_KEY, DAILY, KEY_NOT_ALLOWED, TOO_FAST, ApiError
from kb.sources.youtube.transport import RequestRefused, transport
from kb.storage import is_lasting

PAGE_SIZE = 50  # the largest page of the service
UNITS_A_CALL = 1
ATTEMPTS = 6
WAIT_MAX_S = 60.0
# A key whose project lacks a permission is tried again after this time: its owner can correct
# that without changing the key.
KEY_RETRY_S = 3600.0

log = logging.getLogger(__name__)


class NoUsableKey(Exception):
    """Signal that no key can be used, neither now nor after a reset."""


class ApiRefused(MediaUnavailable):
    """A request refused for its content, not for its key; `reason` is the service's own code."""

    reason = ""


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
        self._channels, self._playlists, self._playlist_items, self._videos = _resources(
            settings.yt_api_endpoint, self._proxy
        )

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
            except RequestRefused as refused:
                cause = self._classify(refused.refusal, key)
                wait_s = refused.refusal.retry_after_s
            except (OSError, ValueError) as error:
                # A network failure is an OSError here; a ValueError is an address that is none.
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
            self._sleep(wait_s)

    def _classify(self, refusal: ApiError, key: ApiKey) -> str:
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
            level = logging.WARNING if self._ring.is_news(key, explanation) else logging.DEBUG
            log.log(level, "YouTube Data API: key %s cannot be used: %s.", key, explanation)
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


@lru_cache(maxsize=8)
def _resources(endpoint: str, proxy: str) -> tuple[Any, Any, Any, Any]:
    """Return the library's objects for channels, playlists, entries of playlists, and videos.

    Each of them builds classes with all methods of the service, for as long as several requests
    take, so they are kept for the next look.
    """
    service = _build(endpoint, transport(proxy))
    return service.channels(), service.playlists(), service.playlistItems(), service.videos()


def _build(endpoint: str, connection: Callable[[], Any]) -> Any:
    from googleapiclient.discovery import build
    from googleapiclient.http import HttpRequest

    def request(_http: Any, *args: Any, **kwargs: Any) -> Any:
        # Every request has its own transport: the client's is not safe between threads.
        return HttpRequest(connection(), *args, **kwargs)

    return build(
        "youtube",
        "v3",
        http=connection(),  # without it the client searches this machine for credentials
        requestBuilder=request,
        static_discovery=True,
        cache_discovery=False,
        client_options={"api_endpoint": endpoint} if endpoint else None,
    )
