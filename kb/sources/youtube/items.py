"""Conversion of the resources of the YouTube Data API to items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from kb.sources.youtube.api import PAGE_SIZE, YouTubeApi
from kb.sources.youtube.chapters import parse_chapters
from kb.sources.youtube.page_cache import Page
from kb.types import Availability, AvailabilityState, MediaItem

SITE = "https://www.youtube.com"
UNAVAILABLE_STATUSES = {"deleted", "failed", "rejected"}
AVAILABLE = Availability()

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def list_page(api: YouTubeApi, playlist_id: str, token: str) -> tuple[Page, str]:
    """Return a page of a playlist with the details of its videos, and the next page's token.

    The call costs two units.
    """
    answer = api.playlist_items(playlist_id, token)
    ids = video_ids(answer)
    resources: Sequence[dict[str, Any]] = []
    if ids:
        resources = api.videos(ids[:PAGE_SIZE]).get("items", [])
    by_id = {resource["id"]: resource for resource in resources}
    # The page has the order of the playlist; the answer may have another one.
    items = [item_from_resource(by_id[each]) for each in ids if each in by_id]
    available = tuple(item for item in items if not item.availability.is_unavailable)
    return Page(available, len(ids) - len(available)), answer.get("nextPageToken", "")


def video_ids(answer: dict[str, Any]) -> list[str]:
    """Return the ids in an answer of `playlistItems.list`."""
    return [entry["contentDetails"]["videoId"] for entry in answer.get("items", [])]


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
    snippet = resource["snippet"]
    content = resource.get("contentDetails", {})
    published_at = snippet.get("publishedAt", "")
    duration_s = parse_duration(content.get("duration", ""))
    description = snippet.get("description", "")
    extra: dict[str, Any] = {
        "channel_id": snippet.get("channelId", ""),
        "published_at": published_at,
        "captions": content.get("caption") == "true",
    }
    thumbnails = snippet.get("thumbnails") or {}
    if thumbnails:
        extra["thumbnail"] = max(thumbnails.values(), key=lambda each: each.get("width", 0))["url"]
    return MediaItem(
        id=f"youtube:{resource['id']}",
        source="youtube",
        url=f"{SITE}/watch?v={resource['id']}",
        title=snippet.get("title", ""),
        published=published_at[:10],
        duration_s=duration_s or None,  # live and scheduled videos have zero
        channel=snippet.get("channelTitle", ""),
        description=description,
        tags=tuple(snippet.get("tags", ())),
        chapters=parse_chapters(description, duration_s),
        language=snippet.get("defaultAudioLanguage") or snippet.get("defaultLanguage"),
        extra=extra,
        availability=_availability(resource),
    )


def _availability(resource: dict[str, Any]) -> Availability:
    status = resource.get("status", {}).get("uploadStatus")
    if status in UNAVAILABLE_STATUSES:
        return Availability(AvailabilityState.UNAVAILABLE, status)
    live = resource["snippet"].get("liveBroadcastContent", "none")
    if live not in (AvailabilityState.UPCOMING, AvailabilityState.LIVE):
        return Availability()
    scheduled = resource.get("liveStreamingDetails", {}).get("scheduledStartTime", "")
    return Availability(AvailabilityState(live), starts_at=_epoch(scheduled) if scheduled else None)


def picture_of(snippet: dict[str, Any], wide_px: int) -> str:
    """Return the address of the smallest picture of at least this width, else of the widest.

    Returns an empty text if there is no picture.
    """
    found = sorted((snippet.get("thumbnails") or {}).values(), key=lambda e: e.get("width") or 0)
    if not found:
        return ""
    enough = (each for each in found if (each.get("width") or 0) >= wide_px)
    return str(next(enough, found[-1]).get("url", ""))


def parse_duration(text: str) -> float | None:
    """Return an ISO 8601 duration (`PT1H2M3S`, `P1DT2H`) in seconds; None for other text."""
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    parts = (float(part or 0) for part in match.groups())
    return sum(
        part * unit for part, unit in zip(parts, (604_800, 86_400, 3600, 60, 1), strict=True)
    )


def _epoch(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
