"""The key ring, with the answers of a fake Data API; no key is ever shown."""

from __future__ import annotations

import logging
import pickle
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from kb.database import Database
from kb.errors import KBError, LanePaused, MediaUnavailable, QuotaExhausted, SettingsError
from kb.service.health_sources import check_sources
from kb.settings import Settings
from kb.sources.keys.key_file import add_key, is_in_file, remove_key
from kb.sources.keys.key_ring import (
    ApiKey,
    KeyRing,
    KeyState,
    KeyStatus,
    QuotaUse,
    next_reset,
    pacific_day,
    quota_use,
    read_keys,
)
from kb.sources.redact import redact
from kb.sources.youtube.api import NoUsableKey, YouTubeApi
from kb.sources.ytdlp.errors import classify
from kb.storage import is_lasting
from tests.fakes.youtube import (
    BACKEND,
    BAD_KEY,
    DAILY_429,
    NOT_ENABLED,
    QUOTA,
    TOO_FAST,
    Channel,
    FakeYouTube,
    Refusal,
)
from tests.support.keys import Clock, fake_key

CHANNEL = Channel(f"UC{'t' * 22}", "@talks", 10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(Settings(KB_HOME=tmp_path / "home"))
    yield opened
    opened.close()


def ring_of(catalogue: Database, clock: Clock, letters: str) -> KeyRing:
    return KeyRing([ApiKey.of(fake_key(letter)) for letter in letters], catalogue, clock=clock)


def test_keys_are_read_from_file_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "YT_API_keys.txt"
    lines = ["# mine", "", fake_key("a"), f"  {fake_key('b')}  # second project", fake_key("a")]
    path.write_text("\r\n".join(lines), encoding="utf-8-sig")
    monkeypatch.chdir(tmp_path)
    environment = f" '{fake_key('c')}', {fake_key('b')},"
    keys = read_keys(Settings(YT_API_KEYS=environment))
    assert [key.secret for key in keys] == [fake_key(letter) for letter in "abc"]
    assert read_keys(Settings(YT_API_KEYS_FILE=str(tmp_path / "none.txt"))) == ()
    path.write_text(f"{fake_key('a')}\nmy key is {fake_key('b')}\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_keys(Settings())
    assert caught.value.code == "key.line_malformed"
    assert "line 2" in caught.value.values["where"]
    assert "AIza" not in str(caught.value)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError) as caught:
        read_keys(Settings())
    assert caught.value.code == "key.file_unreadable"
    assert caught.value.values["path"] == str(path)
    assert caught.value.values["reason"]["code"] == "text.encoding"


def test_only_the_ends_of_a_key_are_shown(catalogue: Database, clock: Clock) -> None:
    key = ApiKey.of(fake_key("q"))
    assert str(key) == f"AIza…{'q' * 4}"
    for shown in (repr(key), str(key), f"{key}", str(ring_of(catalogue, clock, "q").statuses())):
        assert key.secret not in shown
    assert len(key.fingerprint) == 16


def test_the_day_ends_at_midnight_in_los_angeles() -> None:
    for now, reset in (
        ("2026-11-20T20:00", "2026-11-21T08:00"),  # winter: UTC-8
        ("2026-11-21T07:59", "2026-11-21T08:00"),
        ("2026-11-21T08:00", "2026-11-22T08:00"),
        ("2026-07-01T12:00", "2026-07-02T07:00"),  # summer: UTC-7
        ("2026-11-01T06:30", "2026-11-01T07:00"),  # the night in which the clocks go back
        ("2026-11-01T07:30", "2026-11-02T08:00"),
        ("2026-03-08T08:30", "2026-03-09T07:00"),  # and forward
    ):
        moment = datetime.fromisoformat(f"{now}+00:00").timestamp()
        assert datetime.fromtimestamp(next_reset(moment), UTC).isoformat()[:16] == reset
    assert pacific_day(datetime(2026, 11, 21, 7, tzinfo=UTC).timestamp()) == "2026-11-20"


def test_states_are_shared_and_survive(tmp_path: Path, clock: Clock) -> None:
    settings = Settings(KB_HOME=tmp_path)
    one, two = Database.open(settings), Database.open(settings)
    first, second = ring_of(one, clock, "abc"), ring_of(two, clock, "abc")
    for _ in range(3):
        first.record_usage(first.keys[0], 1)
        second.record_usage(second.keys[0], 1)
    assert [status.units_today for status in second.statuses()] == [6, 0, 0]
    first.mark_exhausted(first.keys[0], "spent")
    current = second.current()
    assert current is not None
    assert current.shown.endswith("bbbb")
    second.mark_invalid(second.keys[1], "wrong")
    first.mark_exhausted(first.keys[2], "spent")
    with pytest.raises(QuotaExhausted) as caught:
        first.current()
    until = caught.value.until
    assert until == next_reset(clock.now)
    assert pickle.loads(pickle.dumps(caught.value)).until == until
    one.close()
    two.close()

    again = ring_of(Database.open(settings), clock, "abc")
    assert [status.state for status in again.statuses()] == ["exhausted", "invalid", "exhausted"]
    clock.now = until - 1
    assert again.statuses()[0].state == "exhausted"
    clock.now = until
    assert [status.state for status in again.statuses()] == ["ready", "invalid", "ready"]
    assert [status.units_today for status in again.statuses()] == [0, 0, 0]
    again.record_usage(again.keys[0], 2)
    assert again.statuses()[0].units_today == 2
    again.reset()
    assert {status.state for status in again.statuses()} == {"ready"}
    assert ring_of(Database.open(settings), clock, "").current() is None


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (QUOTA, "exhausted"),
        (DAILY_429, "exhausted"),
        (BAD_KEY, "invalid"),
        (NOT_ENABLED, "invalid"),
    ],
)
def test_refusals_that_change_the_key(
    refusal: Refusal, state: str, catalogue: Database, clock: Clock
) -> None:
    def refuse(_path: str, _query: dict[str, str], key: str) -> Refusal | None:
        return refusal if key == fake_key("a") else None

    keys = {fake_key(letter): 100 for letter in "ab"}
    with FakeYouTube([CHANNEL], keys, refuse=refuse) as fake:
        ring = ring_of(catalogue, clock, "ab")
        api = YouTubeApi(ring, Settings(YT_API_ENDPOINT=fake.url), sleep=clock.sleep)
        assert api.channels(forHandle="@talks")["items"]
        assert [status.state for status in ring.statuses()] == [state, "ready"]
        assert clock.slept == []  # another key needs no wait
        assert [status.units_today for status in ring.statuses()] == [0, 1]
        if refusal is NOT_ENABLED:
            assert "not enabled" in ring.statuses()[0].reason
            clock.now += 3600  # its owner may have corrected it meanwhile
            assert ring.statuses()[0].state == "ready"


@pytest.mark.parametrize(
    "refusal", [TOO_FAST, BACKEND, Refusal(429, "x", "", [], {"Retry-After": "7"})]
)
def test_refusals_that_wait_with_the_same_key(
    refusal: Refusal, catalogue: Database, clock: Clock
) -> None:
    left = [refusal] * 3

    def refuse(*_call: object) -> Refusal | None:
        return left.pop() if left else None

    keys = {fake_key(letter): 100 for letter in "ab"}
    with FakeYouTube([CHANNEL], keys, refuse=refuse) as fake:
        ring = ring_of(catalogue, clock, "ab")
        api = YouTubeApi(ring, Settings(YT_API_ENDPOINT=fake.url), sleep=clock.sleep)
        assert api.channels(forHandle="@talks")["items"]
        assert {call.key for call in fake.calls} == {fake_key("a")}
        assert len(clock.slept) == 3
        if refusal.headers:
            assert clock.slept == [7.0] * 3
        left[:] = [refusal] * 99
        with pytest.raises(MediaUnavailable) as caught:
            api.channels(forHandle="@talks")
        assert caught.value.code == "youtube.no_answer"
        assert caught.value.retryable


def test_no_server_at_all(catalogue: Database, clock: Clock) -> None:
    ring = ring_of(catalogue, clock, "a")
    dead = Settings(YT_API_ENDPOINT="http://127.0.0.1:9/")
    api = YouTubeApi(ring, dead, sleep=clock.sleep)
    with pytest.raises(MediaUnavailable) as caught:
        api.channels(forHandle="@talks")
    assert caught.value.code == "youtube.no_answer"
    assert caught.value.retryable
    assert api.units == 0


@pytest.mark.slow
def test_a_restricted_key_is_warned_about_once_a_day(
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(
        KB_HOME=tmp_path / "home",
        YT_API_KEYS=f"{fake_key('a')},{fake_key('b')}",
        YT_API_KEYS_FILE=str(tmp_path / "none"),
    )
    opened = Database.open(settings)
    now = [1_000_000.0]
    monkeypatch.setattr("kb.sources.keys.key_ring.time.monotonic", lambda: now[0])
    keys = {fake_key(letter): 1000 for letter in "ab"}

    def refuse(_path: str, _query: dict[str, str], key: str) -> Refusal | None:
        return NOT_ENABLED if key == fake_key("a") else None

    with FakeYouTube([CHANNEL], keys, refuse=refuse) as fake:
        for hour in range(49):
            now[0] = 1_000_000.0 + 3600 * hour
            ring = KeyRing(read_keys(settings), opened, clock=lambda: clock() + now[0])
            api = YouTubeApi(ring, settings.replace(yt_api_endpoint=fake.url), sleep=clock.sleep)
            api.channels(id=CHANNEL.id)
        refused = [call for call in fake.calls if call.key == fake_key("a")]
    opened.close()
    warned = [each for each in caplog.records if "cannot be used" in each.getMessage()]
    assert len(refused) > 40 and len(warned) == 3


def test_no_key_is_shown_anywhere(
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every refusal, with all loggers at the finest level."""
    caplog.set_level(logging.DEBUG)
    refusals = iter(
        [
            *(TOO_FAST, BACKEND, BAD_KEY, QUOTA, NOT_ENABLED, DAILY_429),
            Refusal(404, "playlistNotFound", f"No list for key={fake_key('e')}"),
            *[Refusal(500, "backendError", f"Bad key {fake_key('e')}")] * 9,
        ]
    )
    letters = "abcdefg"
    settings = Settings(
        KB_HOME=tmp_path / "home",
        YT_API_KEYS=",".join(map(fake_key, letters)),
        YT_API_KEYS_FILE=str(tmp_path / "none"),
        KB_PROXY="",
    )
    opened = Database.open(settings)
    ring = KeyRing(read_keys(settings), opened, clock=clock)
    texts: list[str] = []
    keys = {fake_key(letter): 100 for letter in letters}
    with FakeYouTube([CHANNEL], keys, refuse=lambda *_call: next(refusals, None)) as fake:
        api = YouTubeApi(ring, settings.replace(yt_api_endpoint=fake.url), sleep=clock.sleep)
        for _ in range(4):
            try:
                api.playlist_items("PLx")
            except (KBError, NoUsableKey):
                texts.append(traceback.format_exc())
        assert fake.calls
        # In its header only, never in an address.
        assert all(call.key and "key" not in call.query for call in fake.calls)
    assert len(texts) == 4
    texts += [str(check) for check in check_sources(settings, opened, clock=clock)]
    texts += [
        repr(settings),
        repr(ring.statuses()),
        repr(ring.keys),
        caplog.text,
        *capfd.readouterr(),
    ]
    opened.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "kb.sqlite" for path in files)
    for letter in letters:
        for text in texts:
            assert fake_key(letter) not in text
            assert letter * 12 not in text
        for path in files:
            assert fake_key(letter).encode() not in path.read_bytes()


def test_foreign_texts_are_redacted() -> None:
    key = fake_key("s")
    for text, hidden in (
        (f"GET https://x/v3?part=id&key={key}&alt=json", key),
        (f"'X-Goog-Api-Key': '{'k' * 30}'", "k" * 30),
        ("proxy http://joe:pass:word@host:3128 refused", "pass:word"),
        ("Cookie: SID=abcdefgh; HSID=xyz", "abcdefgh"),
        ("Authorization: Bearer abc.def", "abc.def"),
        ("https://cdn/videoplayback?expire=1&sig=AOq0QJ8wRQ&n=1", "AOq0QJ8wRQ"),
        ("a secret of mine", "secret"),
    ):
        cleaned = redact(text, ["secret"])
        assert hidden not in cleaned
        assert "…" in cleaned
    assert redact("\x1b[0;31mERROR:\x1b[0m\n two\tlines") == "ERROR: two lines"
    assert redact("monkey=1 is no key") == "monkey=1 is no key"


def test_errors_keep_their_attributes_between_processes() -> None:
    error = LanePaused("later", hint="wait", until=12.5)
    error.lane = "download"
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.hint, again.until, again.lane) == (
        "later",
        "wait",
        12.5,
        "download",
    )
    assert again.retryable


@pytest.mark.parametrize(
    "line",
    [
        "YT_API_KEY={key}",
        "YT_API_KEYS='{key}'",
        'export YT_API_KEY_1="{key}"',
        "key={key}",
        "key = {key}  # the first project",
        "API key: {key}",
        "set GOOGLE_KEY={key}",
        "{key}",
        "'{key}'",
        "\u200b{key}\u00a0",
        "\u201c{key}\u201d",
        "`{key}`",
        "YT_API_KEY=\u201e{key}\u201c",
    ],
)
def test_a_key_with_a_name_is_read_without_it(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"# keys\n{line.format(key=fake_key('a'))}\n{fake_key('b')}\n", "utf-8")
    settings = Settings(KB_HOME=tmp_path / "home", YT_API_KEYS_FILE=str(path))
    keys = read_keys(settings)
    assert [key.secret for key in keys] == [fake_key("a"), fake_key("b")]
    assert is_in_file(settings, keys[0])
    assert remove_key(settings, keys[0].fingerprint)
    assert [key.secret for key in read_keys(settings)] == [fake_key("b")]
    added = add_key(settings, line.partition("#")[0].format(key=fake_key("c")))
    assert added.secret == fake_key("c")
    assert path.read_text("utf-8").splitlines()[-1] == fake_key("c")


@pytest.mark.parametrize("text", ["short=abc", "two words here", "YT_API_KEY=", "=" * 8])
def test_a_line_that_is_no_key_is_still_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"{text}\n", "utf-8")
    with pytest.raises(SettingsError) as caught:
        read_keys(Settings(KB_HOME=tmp_path / "home", YT_API_KEYS_FILE=str(path)))
    assert caught.value.code == "key.line_malformed" and text not in str(caught.value)


@pytest.mark.parametrize(
    ("proxy", "code"),
    [
        ("ftp://127.0.0.1:9", "youtube.cannot_ask"),
        ("nonsense://127.0.0.1:9", "youtube.cannot_ask"),
        ("http://", "youtube.cannot_ask"),
        ("127.0.0.1:99999", "youtube.cannot_ask"),
        ("http://[::1", "youtube.cannot_ask"),
        ("socks5://127.0.0.1:9", "youtube.no_answer"),
        ("socks5h://127.0.0.1:9", "youtube.no_answer"),
        ("socks4://127.0.0.1:9", "youtube.no_answer"),
        ("http://127.0.0.1:9", "youtube.no_answer"),
    ],
)
def test_a_proxy_that_can_never_work_is_not_tried_again(
    catalogue: Database, clock: Clock, proxy: str, code: str
) -> None:
    settings = Settings(YT_API_ENDPOINT="http://127.0.0.1:9/", KB_PROXY=proxy)
    api = YouTubeApi(ring_of(catalogue, clock, "a"), settings, sleep=clock.sleep)
    with pytest.raises(MediaUnavailable) as caught:
        api.channels(forHandle="@talks")
    assert caught.value.code == code
    assert caught.value.retryable == (code == "youtube.no_answer")
    assert bool(clock.slept) == caught.value.retryable


@pytest.mark.parametrize(
    ("kind", "lasting"),
    [
        (requests.exceptions.InvalidSchema, True),
        (requests.exceptions.InvalidProxyURL, True),
        (requests.exceptions.MissingSchema, True),
        (requests.exceptions.InvalidURL, True),
        (requests.exceptions.InvalidHeader, True),
        (requests.exceptions.ProxyError, False),
        (requests.exceptions.ConnectionError, False),
        (requests.exceptions.Timeout, False),
        (requests.exceptions.ChunkedEncodingError, False),
        (ConnectionResetError, False),
        (TimeoutError, False),
    ],
)
def test_lasting_errors_and_passing_ones(kind: type[Exception], lasting: bool) -> None:
    assert is_lasting(kind("x")) == lasting
    wrapped = requests.exceptions.ConnectionError(kind("x"))
    assert is_lasting(wrapped) == lasting
    verdict = classify(wrapped, clock=time.time)
    assert (verdict.kind == "gone") == lasting


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], None),
        ([("invalid", 5)], None),
        ([("ready", 352)], QuotaUse(352, 1, 0, 10_000)),
        ([("ready", 0), ("ready", 40)], QuotaUse(40, 2, 0, 20_000)),
        # A project may have less than the usual number, or more.
        ([("exhausted", 400), ("ready", 12)], QuotaUse(412, 2, 1, 10_400)),
        ([("exhausted", 400)], QuotaUse(400, 1, 1, 400)),
        ([("exhausted", 50_000)], QuotaUse(50_000, 1, 1, 50_000)),
        ([("ready", 10_000)], QuotaUse(10_000, 1, 0, 10_000)),
        ([("ready", 10_001)], QuotaUse(10_001, 1, 0, None)),
        ([("ready", 30_000), ("ready", 0)], QuotaUse(30_000, 2, 0, None)),
        ([("ready", 3), ("invalid", 9)], QuotaUse(3, 1, 0, 10_000)),
    ],
)
def test_the_quota_of_a_day_is_what_the_keys_have(
    keys: list[tuple[KeyState, int]], expected: QuotaUse | None
) -> None:
    assert quota_use(KeyStatus("AIza…", state, units) for state, units in keys) == expected
