"""Conversion of the resources of the YouTube Data API to items."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from kb.sources.remote_fields import mapping, number, text, texts
from kb.sources.youtube.answers import PageChain, by_id, id_of, not_understood, video_ids
from kb.sources.youtube.api import PAGE_SIZE, YouTubeApi
from kb.sources.youtube.chapters import parse_chapters
from kb.sources.youtube.page_cache import Page
from kb.types import Availability, AvailabilityState, MediaItem
from kb.types.days import local_day_of_iso

SITE = "https://www.youtube.com"
UNAVAILABLE_STATUSES = {"deleted", "failed", "rejected"}
AVAILABLE = Availability()

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def list_page(api: YouTubeApi, playlist_id: str, token: str, chain: PageChain) -> tuple[Page, str]:
    """Return a page of a playlist with the details of its videos, and the next page's token.

    The call costs two units.
    """
    answer = api.playlist_items(playlist_id, token)
    ids = video_ids(answer)
    following = chain.next_token(answer, token, ids)
    found = by_id(api.videos(ids[:PAGE_SIZE]), ids, "videos") if ids else {}
    # The page has the order of the playlist; the answer may have another one.
    items = [item_from_resource(found[each]) for each in ids if each in found]
    available = tuple(item for item in items if not item.availability.is_unavailable)
    return Page(available, len(ids) - len(available)), following


def placeholder_item(video_id: str, availability: Availability = AVAILABLE) -> MediaItem:
    """Return a video of which only the id and the availability are known."""
    return MediaItem(
        id=f"youtube:{video_id}",
        source="youtube",
        url=f"{SITE}/watch?v={video_id}",
        title=video_id,
        published="",
        availability=availability,
    )


def item_from_resource(resource: dict[str, Any]) -> MediaItem:
    """Return a `video` resource of the Data API as an item.

    `extra` has `channel_id`, `published_at` (ISO), `captions` (bool) and `thumbnail` (address).
    """
    snippet = resource.get("snippet")
    if not isinstance(snippet, dict):
        raise not_understood("videos", "an entry has no snippet")
    video_id = id_of(resource, "videos")
    content = mapping(resource.get("contentDetails"))
    published_at = text(snippet.get("publishedAt"))
    if not _DATE.match(published_at):
        published_at = ""
    duration_s = parse_duration(text(content.get("duration")))
    description = text(snippet.get("description"))
    extra: dict[str, Any] = {
        "channel_id": text(snippet.get("channelId")),
        "published_at": published_at,
        "captions": content.get("caption") == "true",
    }
    if pictures := _pictures(snippet):
        extra["thumbnail"] = pictures[-1][1]
    return MediaItem(
        id=f"youtube:{video_id}",
        source="youtube",
        url=f"{SITE}/watch?v={video_id}",
        title=text(snippet.get("title")),
        published=local_day_of_iso(published_at),
        duration_s=duration_s or None,  # live and scheduled videos have zero
        channel=text(snippet.get("channelTitle")),
        description=description,
        tags=texts(snippet.get("tags")),
        chapters=parse_chapters(description, duration_s),
        language=text(snippet.get("defaultAudioLanguage"))
        or text(snippet.get("defaultLanguage"))
        or None,
        extra=extra,
        availability=_availability(resource),
    )


def _availability(resource: dict[str, Any]) -> Availability:
    status = text(mapping(resource.get("status")).get("uploadStatus"))
    if status in UNAVAILABLE_STATUSES:
        return Availability(AvailabilityState.UNAVAILABLE, status)
    live = text(mapping(resource.get("snippet")).get("liveBroadcastContent"))
    if live not in (AvailabilityState.UPCOMING, AvailabilityState.LIVE):
        return Availability()
    scheduled = text(mapping(resource.get("liveStreamingDetails")).get("scheduledStartTime"))
    return Availability(AvailabilityState(live), starts_at=_epoch(scheduled) if scheduled else None)


def picture_of(snippet: dict[str, Any], wide_px: int) -> str:
    """Return the address of the smallest picture of at least this width, else of the widest.

    Returns an empty text if there is no picture.
    """
    found = _pictures(snippet)
    if not found:
        return ""
    return next((address for width, address in found if width >= wide_px), found[-1][1])


def _pictures(snippet: dict[str, Any]) -> list[tuple[float, str]]:
    """Return width and address of the pictures, the widest last."""
    rows = [mapping(each) for each in mapping(snippet.get("thumbnails")).values()]
    found = [(number(each.get("width")) or 0.0, text(each.get("url"))) for each in rows]
    return sorted((each for each in found if each[1]), key=lambda each: each[0])


def parse_duration(text: str) -> float | None:
    """Return an ISO 8601 duration (`PT1H2M3S`, `P1DT2H`) in seconds; None for other text."""
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    parts = (float(part or 0) for part in match.groups())
    seconds = sum(
        part * unit for part, unit in zip(parts, (604_800, 86_400, 3600, 60, 1), strict=True)
    )
    return seconds if math.isfinite(seconds) else None


def _epoch(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
