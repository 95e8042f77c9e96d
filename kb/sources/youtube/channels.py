"""Channels of YouTube by their lasting id; a handle or name may pass to another channel."""

from __future__ import annotations

from typing import Any

from kb.errors import UsageError
from kb.sources.listing.filters import VideoFilters
from kb.sources.remote_fields import mapping, text
from kb.sources.youtube.answers import id_of, resources_of
from kb.sources.youtube.api import YouTubeApi
from kb.sources.youtube.links import CHANNEL_ID, CHANNEL_KINDS, Link


def find_channel(
    api: YouTubeApi, link: Link, channel_id: str = ""
) -> tuple[dict[str, Any], UsageError | None]:
    """Return a channel's resource, and an error to report if its name leads elsewhere now.

    With `channel_id`, the id of an earlier listing, that channel is returned wherever the name
    of the link leads to. Raises UsageError when there is no such channel (any more).
    """
    if not channel_id:
        found = _look_up(api, link)
        if found is None:
            raise UsageError(
                "youtube.channel_missing",
                "There is no YouTube channel {channel}.",
                hint="Check the spelling, or give the channel's address from the browser. If the "
                "browser does not find it either, it was closed or renamed.",
                channel=link.id,
            )
        return found, None
    channel = _first(api, id=channel_id)
    if channel is None:
        raise UsageError(
            "youtube.channel_deleted",
            "The YouTube channel {channel} ({id}) does not exist any more: it was deleted or "
            "closed.",
            hint="Its media stay in the library. If {channel} leads to another channel now, that "
            "one can be followed by its id. End the subscription with: kb unfollow {channel}",
            channel=link.id,
            id=channel_id,
        )
    # A handle is one channel's alone: where the channel has it, the name leads there.
    if link.kind == "channel" or link.id.casefold() == handle_of(channel).casefold():
        return channel, None
    return channel, _name_change(link, channel, _look_up(api, link))


def handle_of(channel: dict[str, Any]) -> str:
    """Return the handle of a channel's resource with its @, empty without one."""
    return text(mapping(channel.get("snippet")).get("customUrl"))


def link_by_id(link: Link, channel_id: str) -> Link:
    """Return the link to a channel by its id, if that is known."""
    if link.kind in CHANNEL_KINDS and CHANNEL_ID.fullmatch(channel_id):
        return Link("channel", channel_id, tab=link.tab)
    return link


def uploads_of(link: Link, channel_id: str, filters: VideoFilters) -> str:
    """Return the id of the list of uploads that a link means, empty for another list."""
    if link.kind == "playlist":
        return link.id
    found = link_by_id(link, channel_id)
    if found.kind != "channel" or link.tab or filters.playlist:
        return ""
    return f"UU{found.id[2:]}" if CHANNEL_ID.fullmatch(found.id) else ""


def _look_up(api: YouTubeApi, link: Link) -> dict[str, Any] | None:
    # There is no cheap call for an old custom name; it usually became the channel's handle.
    lookups = {
        "channel": ({"id": link.id},),
        "handle": ({"forHandle": link.id},),
        "user": ({"forUsername": link.id}, {"forHandle": f"@{link.id}"}),
        "custom": ({"forHandle": f"@{link.id}"}, {"forUsername": link.id}),
    }[link.kind]
    for lookup in lookups:
        if (found := _first(api, **lookup)) is not None:
            return found
    return None


def _first(api: YouTubeApi, **lookup: str) -> dict[str, Any] | None:
    resources = resources_of(api.channels(**lookup), "channels")
    return resources[0] if resources else None


def _name_change(
    link: Link, channel: dict[str, Any], named: dict[str, Any] | None
) -> UsageError | None:
    channel_id = id_of(channel, "channels")
    named_id = id_of(named, "channels") if named is not None else ""
    if named_id == channel_id:
        return None
    snippet = mapping(channel.get("snippet"))
    title = text(snippet.get("title"))
    if named is None:
        return UsageError(
            "youtube.name_gone",
            "{name} leads to no channel any more; the channel {title!r} ({id}) is listed by its "
            "id.",
            hint="It may have another handle now: {handle}",
            name=link.id,
            title=title,
            id=channel_id,
            handle=handle_of(channel) or f"youtube.com/channel/{channel_id}",
        )
    return UsageError(
        "youtube.name_moved",
        "{name} leads to another channel now, {other!r} ({other_id}); the channel {title!r} ({id}) "
        "is listed by its id.",
        hint="For the other channel give its address: youtube.com/channel/{other_id}",
        name=link.id,
        other=text(mapping(named.get("snippet")).get("title")),
        other_id=named_id,
        title=title,
        id=channel_id,
    )
