"""Refusals of YouTube's Data API: the reasons in an error answer, in every form that it has.

The service names a reason in `errors`, in `details` or in `status`, and some gateways before it in
the message only. An error answer without an error object is not the service's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kb.errors import MediaUnavailable
from kb.sources.remote_fields import mapping, mappings, text
from kb.storage import Answer

RETRY_AFTER_MAX_S = 300.0

DAILY = {"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"}
TOO_FAST = {
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
}
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
_KNOWN = {*DAILY, *TOO_FAST, *BAD_KEY, *KEY_NOT_ALLOWED}
# Statuses that are reasons by themselves; the others, such as NOT_FOUND, are too general.
_REASON_STATUSES = {"UNAUTHENTICATED", "RESOURCE_EXHAUSTED"}
_BY_MESSAGE = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"api key (?:is )?not valid|api key not found", "API_KEY_INVALID"),
        (r"api key (?:has )?expired", "API_KEY_EXPIRED"),
        (r"has not been used in project|is disabled\. enable it", "SERVICE_DISABLED"),
        (r"requests to this api .{0,200}\bare blocked", "API_KEY_SERVICE_BLOCKED"),
        (r"requests from referer .{0,200}\bare blocked", "API_KEY_HTTP_REFERRER_BLOCKED"),
        (r"ip address restriction", "API_KEY_IP_ADDRESS_BLOCKED"),
        (r"exceeded your (?:daily )?quota|daily limit (?:\w+ )?exceeded", "quotaExceeded"),
    )
)
_PER_DAY = re.compile(r"per ?day|daily limit", re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,500}>")


@dataclass(frozen=True, slots=True)
class ApiError:
    """The content of an error answer."""

    status: int
    reasons: frozenset[str]
    message: str
    daily: bool
    retry_after_s: float | None


def read_refusal(answer: Answer) -> ApiError:
    """Return the content of an error answer.

    Raises MediaUnavailable for one that is not the service's. That of a busy server may be of any
    form.
    """
    document: Any = None
    with suppress(ValueError):
        document = answer.json()
    error = mapping(document).get("error")
    passing = answer.status == 429 or answer.status >= 500
    if not error and not passing:
        raise _of_another(answer)
    found = error if isinstance(error, dict) else {"message": text(error)}
    return _parse(answer, found)


def _parse(answer: Answer, error: Mapping[str, Any]) -> ApiError:
    message = text(error.get("message"))
    details = mappings(error.get("details"))
    rows = [*mappings(error.get("errors")), *details]
    reasons = {text(row.get("reason")) for row in rows} - {""}
    reasons |= {text(error.get("status"))} & _REASON_STATUSES
    plain = _TAG.sub("", message)
    if not reasons & (_KNOWN - {"RESOURCE_EXHAUSTED"}):
        reasons |= {reason for pattern, reason in _BY_MESSAGE if pattern.search(plain)}
        reasons |= {message} & _KNOWN
    return ApiError(
        status=answer.status,
        reasons=frozenset(reasons),
        message=message,
        daily=bool(_PER_DAY.search(f"{plain} {json.dumps(details)}")),
        retry_after_s=answer.retry_after_s(RETRY_AFTER_MAX_S) or None,
    )


def _of_another(answer: Answer) -> MediaUnavailable:
    """Return the error for an answer of a proxy, or of a page to sign in to a network."""
    return MediaUnavailable(
        "youtube.another_answered",
        "Something else answered in place of the YouTube Data API (HTTP {status}).",
        hint="Check the network in a browser: a page to sign in or a proxy may answer. Check "
        "KB_PROXY and YT_API_ENDPOINT too.",
        # A page to sign in redirects, and lets requests through later.
        retryable=300 <= answer.status < 400 or answer.status == 511,
        status=answer.status,
    )
