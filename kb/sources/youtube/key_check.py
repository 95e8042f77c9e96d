"""The check of one API key, with the cheapest call of YouTube's Data API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from kb.database import Database
from kb.errors import QuotaExhausted, UsageError
from kb.settings import Settings
from kb.sources.keys.key_ring import KeyRing, read_keys
from kb.sources.youtube.api import ApiRefused, NoUsableKey, YouTubeApi

FIRST_VIDEO = "jNQXAC9IVRw"  # the first video on YouTube; any other id is possible
PAUSE_MAX_S = 2.0  # a user waits for the answer


def check_key(settings: Settings, database: Database, fingerprint: str) -> Mapping[str, Any]:
    """Make a call that costs one unit with one key; store and return the state of the key.

    The result has the fields of `KeyStatus` as plain values. Raises UsageError when there is no
    such key, MediaUnavailable when there is no answer.
    """
    keys = [key for key in read_keys(settings) if key.fingerprint == fingerprint]
    if not keys:
        raise UsageError(
            "key.removed",
            "This YouTube Data API key is not there any more.",
            hint="Look at the list again.",
        )
    ring = KeyRing(keys, database)
    ring.reset()  # its owner may have corrected the key

    def briefly(seconds: float) -> None:
        time.sleep(min(seconds, PAUSE_MAX_S))

    # The ring stores failures of the key; a refusal of the video is no failure of the key.
    with suppress(QuotaExhausted, NoUsableKey, ApiRefused):
        YouTubeApi(ring, settings, sleep=briefly).videos([FIRST_VIDEO])
    (status,) = ring.statuses()
    return asdict(status)
