"""Answers of YouTube's API and of yt-dlp with odd fields: read as absent, or an error with a code.

`benchmarks/hostile.py --area listings` generates more of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.database import Database
from kb.errors import MediaUnavailable, UsageError
from kb.library.metadata import item_document, item_from_document
from kb.settings import Settings
from kb.sources.youtube.answers import BARREN_PAGES, PageChain
from kb.sources.youtube.source import YouTubeSource
from kb.sources.ytdlp.metadata import item_from_info
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.keys import Clock, fake_key
from tests.support.raising import raises

CHANNEL = Channel(f"UC{'t' * 22}", "@talks", 10)
KEY = fake_key("a")
Change = Callable[[dict[str, Any]], Any]


class Altered(FakeYouTube):
    """The service; `changes` maps a call to a change of its answers."""

    changes: dict[str, Change] = {}  # noqa: RUF012

    def handle(self, path: str, query: dict[str, str], key: str) -> tuple[int, Any, dict[str, str]]:
        status, body, headers = super().handle(path, query, key)
        change = self.changes.get(path)
        return status, change(body) if change else body, headers


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[YouTubeSource, Altered]]:
    folder: Path = tmp_path_factory.mktemp("odd")
    with Altered([CHANNEL], {KEY: 10**6}) as fake:
        settings = Settings(
            KB_HOME=folder, YT_API_ENDPOINT=fake.url, YT_API_KEYS=KEY,
            YT_API_KEYS_FILE=str(folder / "none.txt"),
        )  # fmt: skip
        database = Database.open(settings)
        clock = Clock()
        yield YouTubeSource(settings, database, clock=clock, sleep=clock.sleep), fake
        database.close()


def listed(source: tuple[YouTubeSource, Altered], call: str, change: Change) -> list[Any]:
    lister, fake = source
    lister._given_clock.now += 8 * 86_400  # type: ignore[attr-defined]  # no stored page is used
    fake.changes = {call: change}
    try:
        return list(lister.open("@talks", reuse_s=0))
    finally:
        fake.changes = {}


def with_items(items: Any) -> Change:
    return lambda body: {**body, "items": items}


def first(**fields: Any) -> Change:
    """Return a change of fields of the first resource; None removes a field."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        row = {**body["items"][0], **fields}
        row = {name: value for name, value in row.items() if value is not None}
        return {**body, "items": [row, *body["items"][1:]]}

    return change


def snippet(**fields: Any) -> Change:
    return lambda body: first(snippet={**body["items"][0]["snippet"], **fields})(body)


@pytest.mark.parametrize("call", ["channels", "playlistItems", "videos"])
@pytest.mark.parametrize(
    "items", [True, 7, "text", {"a": 1}, [None], [1e308], [[]], ["text"], [{}], [{"id": 5}]]
)
def test_a_list_that_is_none_is_an_error(
    source: tuple[YouTubeSource, Altered], call: str, items: Any
) -> None:
    with pytest.raises(MediaUnavailable) as caught:
        listed(source, call, with_items(items))
    assert caught.value.code == "youtube.answer_unknown"
    assert caught.value.values["call"] == call and caught.value.retryable


@pytest.mark.parametrize(
    ("call", "change"),
    [
        *(("playlistItems", first(contentDetails=value)) for value in ("text", [], 5, {})),
        *(
            ("playlistItems", first(contentDetails={"videoId": value}))
            for value in (5, "", "\ud800", "a b", ["x"], "x" * 99)
        ),
        *(("playlistItems", lambda body, v=v: {**body, "nextPageToken": v}) for v in (5, {}, "é")),
        *(("videos", first(snippet=value)) for value in ("text", [], 5)),
        *(("videos", first(id=value)) for value in ({"videoId": "x"}, 7, "../x")),
    ],
)
def test_what_a_listing_cannot_do_without_is_an_error(
    source: tuple[YouTubeSource, Altered], call: str, change: Change
) -> None:
    with raises(MediaUnavailable, "youtube.answer_unknown", call=call):
        listed(source, call, change)


@pytest.mark.parametrize(
    ("call", "change"),
    [
        *(("channels", first(statistics=value)) for value in (7, [], {"videoCount": "\0"})),
        *(("channels", first(contentDetails=value)) for value in (7, {}, {"relatedPlaylists": 1})),
        ("channels", snippet(thumbnails={"a": {"width": "wide"}, "b": 7, "c": {"url": 3}})),
        ("channels", snippet(title=5)),
        *(("videos", first(contentDetails=value)) for value in ("NaN", [], {"duration": 5})),
        ("videos", first(contentDetails={"duration": f"P{'9' * 400}D"})),
        *(("videos", first(status=value)) for value in ("x", {"uploadStatus": []})),
        *(
            ("videos", snippet(**{name: value}))
            for name in (
                "title", "description", "tags", "thumbnails", "publishedAt", "channelId",
                "channelTitle", "defaultAudioLanguage", "liveBroadcastContent",
            )
            for value in (5, [[]], {"a": None}, "\ud800", True)
        ),
    ],
)  # fmt: skip
def test_any_other_odd_field_is_read_as_absent(
    source: tuple[YouTubeSource, Altered], call: str, change: Change
) -> None:
    items = listed(source, call, change)
    assert [item.short_id for item in items] == [CHANNEL.video_id(n) for n in CHANNEL.numbers()]
    for item in items:
        stored = json.loads(json.dumps(item_document(item), allow_nan=False).encode())
        assert item_from_document(stored) == item


@pytest.mark.parametrize("call", ["channels", "playlistItems", "videos"])
@pytest.mark.parametrize(
    "change",
    [
        lambda body: {},
        lambda body: {"error": {"code": 500, "message": "Internal error"}},
        lambda body: {"kind": "youtube#listResponse", "documents": body["items"]},
        lambda body: {"kind": "youtube#listResponse", "pageInfo": {"totalResults": 3}},
        lambda body: {"kind": "other", "pageInfo": {"totalResults": 0}},
        lambda body: {"data": body},
    ],
    ids=["empty", "error with status 200", "renamed list", "counted only", "other kind", "wrapped"],
)
def test_an_answer_without_its_list_is_not_an_empty_list(
    source: tuple[YouTubeSource, Altered], call: str, change: Change
) -> None:
    with raises(MediaUnavailable, "youtube.answer_unknown", call=call):
        listed(source, call, change)


@pytest.mark.parametrize("count", [{}, {"pageInfo": {}}, {"pageInfo": {"totalResults": 0}}])
def test_the_service_may_omit_the_list_where_nothing_was_found(
    source: tuple[YouTubeSource, Altered], count: dict[str, Any]
) -> None:
    with raises(UsageError, "youtube.channel_missing"):
        listed(source, "channels", lambda body: {"kind": "youtube#channelListResponse", **count})
    assert (
        listed(source, "videos", lambda body: {"kind": "youtube#videoListResponse", **count}) == []
    )


def test_a_video_that_was_not_asked_for_is_an_error(source: tuple[YouTubeSource, Altered]) -> None:
    with raises(MediaUnavailable, "youtube.answer_unknown", call="videos"):
        listed(source, "videos", first(id="zzzzzzzzzzz"))


def chain_of(tokens: dict[str, str], ids: Callable[[str], list[str]]) -> list[str]:
    """Return the tokens of a walk through pages whose tokens lead to others."""
    chain, token, walked = PageChain("playlists"), "", [""]
    while token := chain.next_token({"nextPageToken": tokens.get(token, "")}, token, ids(token)):
        walked.append(token)
    return walked


@pytest.mark.parametrize(
    "tokens",
    [
        {"": "a", "a": "a"},
        {"": "a", "a": "b", "b": "a"},
        {"": "a", "a": "b", "b": "c", "c": "d", "d": "b"},
    ],
)
def test_pages_that_lead_back_are_an_error(tokens: dict[str, str]) -> None:
    with raises(MediaUnavailable, "youtube.answer_unknown", call="playlists"):
        chain_of(tokens, lambda token: [f"of {token}"])


def test_pages_with_nothing_new_are_an_error_in_the_end() -> None:
    endless = {"": "0", **{str(n): str(n + 1) for n in range(1000)}}
    with raises(MediaUnavailable, "youtube.answer_unknown"):
        chain_of(endless, lambda _: ["same"])
    with raises(MediaUnavailable, "youtube.answer_unknown"):
        chain_of(endless, lambda _: [])


def test_a_list_may_hold_a_video_twice_and_be_walked_twice() -> None:
    tokens = {"": "a", "a": "b", "b": "c", "c": ""}
    assert chain_of(tokens, lambda token: ["same"] if token in "ab" else [token]) == [
        "",
        "a",
        "b",
        "c",
    ]
    chain = PageChain("playlists")
    for _ in range(BARREN_PAGES + 1):
        for token in ("", "a", "b"):
            chain.next_token({"nextPageToken": tokens[token]}, token, [token])


def test_a_list_that_repeats_itself_ends(source: tuple[YouTubeSource, Altered]) -> None:
    with raises(MediaUnavailable, "youtube.answer_unknown", call="playlistItems"):
        listed(source, "playlistItems", lambda body: {**body, "nextPageToken": "CAUQ0"})


INFO = {
    "id": "abc", "extractor_key": "Vimeo", "title": "A talk", "duration": 12.5, "tags": ["a"],
    "webpage_url": "https://media.example/talk", "language": "en", "timestamp": 1_700_000_000,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("duration", v) for v in ("long", [[]], {}, -5, float("nan"), float("inf"), 10**400)),
        *(("chapters", v) for v in ("text", 5, ["x"], [None], [{"start_time": "x"}], {"a": 1})),
        *(("tags", v) for v in (5, "text", [None, "a", {}], {"a": 1}, ["\ud800"])),
        *(("language", v) for v in (False, 5, [], "\ud800")),
        *(("timestamp", v) for v in ("x", 1e300, -1, [], float("nan"))),
        *(("thumbnail", v) for v in (5, {"url": "x"}, "\ud800")),
        *((name, v) for name in ("title", "channel", "uploader", "description", "id", "webpage_url",
                                 "extractor_key", "live_status", "release_timestamp")
          for v in (5, [1], {"a": 1}, "\ud800", None)),
        ("live_status", "is_upcoming"),
    ],
)  # fmt: skip
def test_any_info_is_an_item_that_can_be_stored(name: str, value: Any) -> None:
    info = {**INFO, "live_status": "is_upcoming", name: value}
    item = item_from_info(info, "https://media.example/talk")
    stored = json.loads(json.dumps(item_document(item), allow_nan=False).encode())
    assert item_from_document(stored) == item
    assert item.source == "web" and item.id.startswith("web:")
    if name not in ("title", "id"):
        assert item.title == "A talk"
