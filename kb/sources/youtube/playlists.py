"""Playlists of YouTube: the list that a reference means, and the service's facts of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from kb.errors import UsageError
from kb.sources.listing.filters import VideoFilters
from kb.sources.remote_fields import count, mapping, text
from kb.sources.youtube.answers import PageChain, id_of, resources_of
from kb.sources.youtube.api import YouTubeApi
from kb.sources.youtube.items import picture_of
from kb.sources.youtube.links import Link, parse_link

PICTURE_PX = 160  # a channel's picture is shown small
TITLES = 500  # to choose from; of the few channels with more, the others are typed


def playlist_facts_by_id(api: YouTubeApi, playlist_id: str) -> dict[str, Any]:
    """Return title and reported number of entries of a playlist, empty for a list of uploads.

    Raises UsageError for a playlist that cannot be listed, and the errors of the API.
    """
    resources = resources_of(api.playlists(id=playlist_id), "playlists")
    if resources:
        return _playlist_facts(resources[0])
    if playlist_id.startswith("UU"):
        return {}  # `playlists.list` does not find every list of uploads
    raise UsageError(
        "youtube.playlist_missing",
        "There is no playlist {playlist} that can be listed.",
        hint="It may be private, removed, or a mix made for one viewer.",
        playlist=playlist_id,
    )


def channel_playlist(
    api: YouTubeApi, channel: dict[str, Any], link: Link, filters: VideoFilters
) -> tuple[str, dict[str, Any]]:
    """Return the id of the list that a link to a channel means, and its facts for the report.

    Raises UsageError for a playlist that the channel does not have, and the errors of the API.
    """
    snippet = mapping(channel.get("snippet"))
    title = text(snippet.get("title"))
    picture = picture_of(snippet, PICTURE_PX)
    channel_id = id_of(channel, "channels")
    if filters.playlist:
        found, facts = _find_playlist(api, channel_id, title, filters.playlist)
        return found, {**facts, "picture": picture}
    lists = mapping(mapping(channel.get("contentDetails")).get("relatedPlaylists"))
    # Without it, the list of uploads has the channel's own id.
    uploads = text(lists.get("uploads")) or f"UU{channel_id[2:]}"
    if link.tab:
        part = {"shorts": "UUSH", "live": "UULV"}[link.tab]
        return f"{part}{uploads[2:]}", {"title": title, "picture": picture}
    reported = count(mapping(channel.get("statistics")).get("videoCount"))
    return uploads, {"title": title, "reported": reported, "picture": picture}


def playlist_titles(api: YouTubeApi, channel_id: str) -> tuple[str, ...]:
    """Return the titles of a channel's public playlists; each of them leads to its first list.

    It costs a unit for 50 playlists. Raises the errors of the API.
    """
    found: dict[str, str] = {}
    for resource in islice(_public_playlists(api, channel_id), TITLES):
        title = _playlist_facts(resource)["title"].strip()
        if title:
            found.setdefault(title.casefold(), title)
    return tuple(found.values())


def _public_playlists(api: YouTubeApi, channel_id: str) -> Iterator[dict[str, Any]]:
    chain, token = PageChain("playlists"), ""
    while True:
        answer = api.playlists(token, channelId=channel_id)
        resources = resources_of(answer, "playlists")
        yield from resources
        ids = [id_of(resource, "playlists") for resource in resources]
        token = chain.next_token(answer, token, ids)
        if not token:
            return


def _find_playlist(
    api: YouTubeApi, channel_id: str, channel_title: str, playlist: str
) -> tuple[str, dict[str, Any]]:
    link = parse_link(playlist)
    if link is not None and (link.kind == "playlist" or link.playlist):
        playlist_id = link.id if link.kind == "playlist" else link.playlist
        return playlist_id, playlist_facts_by_id(api, playlist_id)
    titles: list[str] = []
    for resource in _public_playlists(api, channel_id):
        facts = _playlist_facts(resource)
        titles.append(facts["title"])
        if titles[-1].strip().casefold() == playlist.strip().casefold():
            title = f"{channel_title}: {titles[-1]}"
            return id_of(resource, "playlists"), {**facts, "title": title}
    if not titles:
        raise UsageError(
            "youtube.no_playlists",
            "{channel} has no public playlists; {playlist!r} was asked for.",
            hint="Leave out the playlist to take all uploads of the channel.",
            channel=channel_title,
            playlist=playlist,
        )
    raise UsageError(
        "youtube.playlist_title",
        "{channel} has no public playlist {playlist!r}.",
        hint="It has: {titles}.",
        channel=channel_title,
        playlist=playlist,
        titles=", ".join(repr(title) for title in titles[:10]),
    )


def _playlist_facts(resource: dict[str, Any]) -> dict[str, Any]:
    """Return title and reported number of entries of a playlist."""
    return {
        "title": text(mapping(resource.get("snippet")).get("title")),
        "reported": count(mapping(resource.get("contentDetails")).get("itemCount")),
    }
