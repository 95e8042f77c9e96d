"""The feed of a channel's newest uploads, which costs no quota.

It has title and publication of each video, but neither its length nor its captions.
"""

from __future__ import annotations

import html
import logging
import re
from dataclasses import dataclass, replace

from kb.settings import Settings
from kb.sources.redact import redact
from kb.sources.youtube.items import placeholder_item
from kb.storage import read_answer
from kb.types import MediaItem
from kb.types.days import local_day_of_iso

TIMEOUT_S = 15.0
ANSWER_MAX_BYTES = 5_000_000
YOUTUBE_FEED = "https://www.youtube.com/feeds/videos.xml?channel_id={id}"
NO_FEED = "none"

# The feed has one form since 2015; a parser of XML would expand entities.
_FEED = re.compile(r"<feed[\s>]")
_ENTRY = re.compile(r"<entry[\s>]")
_VIDEO = re.compile(r"<yt:videoId>\s*([A-Za-z0-9_-]{1,64})\s*</yt:videoId>")
_TITLE = re.compile(r"<title>([^<]*)</title>")
_NAME = re.compile(r"<name>([^<]*)</name>")
_PUBLISHED = re.compile(r"<published>\s*(\d{4}-\d{2}-\d{2}T[^<\s]{5,20})\s*</published>")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A video in a feed; `published_at` is ISO. Texts are empty where the feed has none."""

    id: str
    title: str = ""
    channel: str = ""
    published_at: str = ""

    def as_item(self) -> MediaItem:
        """Return the video as an item with the facts of the feed."""
        item = placeholder_item(self.id)
        return replace(
            item,
            title=self.title or item.title,
            channel=self.channel,
            published=local_day_of_iso(self.published_at),
        )


def feed_address(settings: Settings) -> str:
    """Return the address of feeds with `{id}` in it, empty if none is read.

    Another Data API than Google's has no feed unless the settings name one.
    """
    address = settings.yt_feed_url.strip()
    if address:
        return "" if address == NO_FEED else address
    return "" if settings.yt_api_endpoint else YOUTUBE_FEED


def newest_uploads(settings: Settings, channel_id: str) -> list[FeedEntry]:
    """Return a channel's newest videos (about 15), the newest first.

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
    entries = [_entry(part) for part in _ENTRY.split(body)[1:]]
    return list({each.id: each for each in entries if each.id}.values())


def _entry(text: str) -> FeedEntry:
    def first(pattern: re.Pattern[str]) -> str:
        found = pattern.search(text)
        return html.unescape(found[1]).strip() if found else ""

    return FeedEntry(first(_VIDEO), first(_TITLE), first(_NAME), first(_PUBLISHED))
