"""Conversion of yt-dlp's metadata to items."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any

from kb.sources.remote_fields import mappings, number, text, texts
from kb.types import Availability, AvailabilityState, Chapter, MediaItem
from kb.types.days import local_day_of, utc_day_of

_LIVE_STATES = {"is_live": AvailabilityState.LIVE, "is_upcoming": AvailabilityState.UPCOMING}


def item_from_info(info: dict[str, Any], url: str | None, place: int = 0) -> MediaItem:
    """Return an info dictionary of yt-dlp as an item.

    `place` is the number of the medium on a page with several. The id is `youtube:<id>` or
    `web:<extractor>:<id>`; the ids of the generic extractor are only file names, so a hash of the
    address is used instead.
    """
    extractor = (text(info.get("extractor_key")) or text(info.get("ie_key")) or "generic").lower()
    page = text(info.get("webpage_url")) or text(url)
    name = text(str(info.get("id") or ""))
    if extractor == "youtube" and name:
        item_id, source = f"youtube:{name}", "youtube"
        page = f"https://www.youtube.com/watch?v={name}"
    else:
        if extractor in ("generic", "html5mediaembed") or not name:
            address = f"{page}#{place}" if place > 1 else page
            extractor, name = "generic", hashlib.sha256(address.encode()).hexdigest()[:12]
        item_id, source = f"web:{_safe_id(extractor)}:{_safe_id(name)}", "web"
    extra: dict[str, Any] = {"place": place} if place > 1 else {}
    if thumbnail := text(info.get("thumbnail")):
        extra["thumbnail"] = thumbnail
    published, exact = _published(info)
    if published and not exact:
        extra["published_approximate"] = True
    return MediaItem(
        id=item_id,
        source=source,
        url=page,
        title=text(info.get("title")) or name,
        published=published,
        duration_s=number(info.get("duration")) or None,
        channel=text(info.get("channel")) or text(info.get("uploader")),
        description=text(info.get("description")),
        tags=texts(info.get("tags")),
        chapters=tuple(
            Chapter(number(each.get("start_time")) or 0.0, text(each.get("title")))
            for each in mappings(info.get("chapters"))
        ),
        language=text(info.get("language")) or None,
        extra=extra,
        availability=_availability(info),
    )


def _availability(info: dict[str, Any]) -> Availability:
    state = _LIVE_STATES.get(str(info.get("live_status")))
    if state is None:
        return Availability()
    return Availability(state, starts_at=number(info.get("release_timestamp")) or None)


def _published(info: dict[str, Any]) -> tuple[str, bool]:
    """Return the local day of publication, and whether the site has stated a day.

    yt-dlp's dates are UTC days of its moments. A date that belongs to no moment stays as it is.
    """
    moments = [number(info.get(name)) for name in ("timestamp", "release_timestamp")]
    for name in ("upload_date", "release_date"):
        day = str(info.get(name) or "")
        if re.fullmatch(r"\d{8}", day):
            for moment in moments:
                if moment and utc_day_of(moment).replace("-", "") == day:
                    return local_day_of(moment), True
            return f"{day[:4]}-{day[4:6]}-{day[6:]}", True
    return (local_day_of(moments[0]), False) if moments[0] else ("", False)


def _safe_id(name: str) -> str:
    """Return a name of letters, digits, dash and underscore, with a hash if it was changed."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:48]
    if plain == name:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def merge_metadata(item: MediaItem, found: MediaItem) -> MediaItem:
    """Return the item with its missing fields filled from the metadata of the download.

    An item that was announced or live when it was listed gets title and day of what it became.
    """
    announced = item.availability.state in _LIVE_STATES.values()
    title_missing = not item.title or item.title == item.short_id or announced
    moved = announced and not found.extra.get("published_approximate")
    dated = item.published and not item.extra.get("published_approximate") and not moved
    extra = {**found.extra, **item.extra}
    if found.published and not dated:
        extra.pop("published_approximate", None)
    return replace(
        item,
        title=found.title if title_missing and found.title else item.title,
        published=item.published if dated else found.published or item.published,
        duration_s=item.duration_s or found.duration_s,
        channel=item.channel or found.channel,
        description=item.description or found.description,
        tags=item.tags or found.tags,
        chapters=item.chapters or found.chapters,
        language=item.language or found.language,
        extra=extra,
        availability=Availability(),  # a downloaded medium is available
    )
