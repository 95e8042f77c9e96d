"""The feed of a channel's newest uploads, which costs no quota."""

from __future__ import annotations

import logging
import re

from kb.settings import Settings
from kb.sources.redact import redact
from kb.storage import read_answer

TIMEOUT_S = 15.0
ANSWER_MAX_BYTES = 5_000_000
YOUTUBE_FEED = "https://www.youtube.com/feeds/videos.xml?channel_id={id}"
NO_FEED = "none"

# The feed has one form since 2015; a parser of XML would expand entities.
_VIDEO = re.compile(r"<yt:videoId>\s*([A-Za-z0-9_-]{1,64})\s*</yt:videoId>")
_FEED = re.compile(r"<feed[\s>]")

log = logging.getLogger(__name__)


def feed_address(settings: Settings) -> str:
    """Return the address of feeds with `{id}` in it, empty if none is read.

    Another Data API than Google's has no feed unless the settings name one.
    """
    address = settings.yt_feed_url.strip()
    if address:
        return "" if address == NO_FEED else address
    return "" if settings.yt_api_endpoint else YOUTUBE_FEED


def newest_uploads(settings: Settings, channel_id: str) -> list[str]:
    """Return the ids of a channel's newest videos (about 15), the newest first.

    The feed is a help that may be missing: without one, or without an answer, the list is empty.
    """
    import requests

    address = feed_address(settings)
    if not address:
        return []
    proxy = settings.proxy.get_secret_value()
    try:
        response = requests.get(
            address.format(id=channel_id),
            timeout=TIMEOUT_S,
            allow_redirects=False,
            proxies={"http": proxy, "https": proxy} if proxy else None,
            stream=True,
        )
        answer = read_answer(response, ANSWER_MAX_BYTES)
    except (OSError, ValueError) as error:  # the errors of requests are OSErrors
        log.info("The feed of %s cannot be read: %s", channel_id, redact(error, (proxy,)))
        return []
    body = answer.content.decode("utf-8", "replace")
    if answer.status != 200 or not _FEED.search(body):
        log.info("The feed of %s cannot be read: HTTP %d", channel_id, answer.status)
        return []
    return list(dict.fromkeys(_VIDEO.findall(body)))
