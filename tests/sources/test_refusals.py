"""Error answers of YouTube's Data API in all forms, answers of others, and bounded answers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests

from kb.errors import MediaUnavailable
from kb.sources.youtube import transport
from kb.sources.youtube.refusals import (
    BAD_KEY,
    DAILY,
    KEY_NOT_ALLOWED,
    RETRY_AFTER_MAX_S,
    TOO_FAST,
    read_refusal,
)
from kb.storage import Answer, AnswerTooLarge, read_answer
from tests.support.raising import raises


def refused(status: int, error: Any, **headers: str) -> Answer:
    return Answer(status, json.dumps({"error": error}).encode(), headers=headers)


def per(span: str, **more: Any) -> dict[str, Any]:
    message = f"Quota exceeded for quota metric 'Queries' and limit 'Queries per {span}'."
    return {"code": 429, "message": message, **more}


DAY_SPENT = {
    "status and message": refused(429, per("day", status="RESOURCE_EXHAUSTED")),
    "limit in the details": refused(
        429,
        {
            "message": "Quota exceeded",
            "details": [
                {
                    "reason": "RATE_LIMIT_EXCEEDED",
                    "metadata": {"quota_limit": "defaultPerDayPerProject"},
                }
            ],
        },
    ),
    "violation in the details": refused(
        429,
        {
            "message": "Resource has been exhausted (e.g. check quota).",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"violations": [{"description": "Daily limit"}]}],
        },
    ),
    "message alone": refused(
        403, {"message": 'You have exceeded your <a href="/docs#quota">quota</a>.'}
    ),
    "daily limit exceeded": refused(403, {"message": "Daily Limit Exceeded. It resets at 0:00."}),
    "a reason as the whole error": refused(403, "quotaExceeded"),
    "beside odd entries": refused(403, {"errors": [7, None, {"reason": "quotaExceeded"}]}),
}
NOT_OF_THE_DAY = {
    "a minute": refused(429, per("minute", status="RESOURCE_EXHAUSTED")),
    "a minute and user": refused(
        429, per("minute", details=[{"metadata": {"quota_limit": "PerMinutePerUser"}}])
    ),
    "a page of a server that is busy": Answer(503, b"<html>Today's limit per day</html>"),
    "nothing": Answer(500, b""),
}
KEYS = {
    "not valid": (BAD_KEY, {"code": 400, "message": "API key not valid. Pass a valid API key."}),
    "expired": (BAD_KEY, {"code": 400, "message": "API key expired. Please renew the API key."}),
    "not found": (BAD_KEY, {"code": 400, "message": "API Key not found. Pass a valid API key."}),
    "unauthenticated": (KEY_NOT_ALLOWED, {"code": 401, "status": "UNAUTHENTICATED"}),
    "method blocked": (
        KEY_NOT_ALLOWED,
        {"message": "Requests to this API youtube method V3DataVideoService.List are blocked."},
    ),
    "website": (
        KEY_NOT_ALLOWED,
        {"message": "Requests from referer https://a.example are blocked."},
    ),
    "address": (
        KEY_NOT_ALLOWED,
        {"message": "The provided API key has an IP address restriction."},
    ),
    "not enabled": (
        KEY_NOT_ALLOWED,
        {"message": "YouTube Data API v3 has not been used in project 1 before or it is disabled."},
    ),
}


@pytest.mark.parametrize("answer", DAY_SPENT.values(), ids=DAY_SPENT)
def test_a_spent_day_is_known_in_every_form(answer: Answer) -> None:
    found = read_refusal(answer)
    assert found.reasons & DAILY or (found.daily and found.reasons & TOO_FAST)


@pytest.mark.parametrize("answer", NOT_OF_THE_DAY.values(), ids=NOT_OF_THE_DAY)
def test_a_busy_service_is_no_spent_day(answer: Answer) -> None:
    found = read_refusal(answer)
    assert not found.reasons & DAILY and not (found.daily and found.reasons & TOO_FAST)


@pytest.mark.parametrize(("expected", "error"), KEYS.values(), ids=KEYS)
def test_a_key_that_cannot_be_used_is_known_by_the_message(
    expected: set[str] | dict[str, str], error: dict[str, Any]
) -> None:
    assert read_refusal(refused(400, error)).reasons & set(expected)


@pytest.mark.parametrize(
    "error",
    [
        {"message": "The playlist 'my API key, how to renew' cannot be found."},
        {"message": "Not found", "errors": [{"reason": "playlistNotFound"}], "code": 404},
        {"errors": 5, "details": True, "message": None, "status": ["x"]},
        {"errors": "quotaExceeded", "details": {"reason": "quotaExceeded"}},
        {"errors": [{"reason": ["quotaExceeded"]}]},
    ],
)
def test_any_other_refusal_is_about_the_request(error: dict[str, Any]) -> None:
    found = read_refusal(refused(404, error))
    assert not found.reasons & {*DAILY, *TOO_FAST, *BAD_KEY, *KEY_NOT_ALLOWED}


@pytest.mark.parametrize(
    ("answer", "retryable"),
    [
        (Answer(302, b"", headers={"location": "http://login.example/"}), True),
        (Answer(307, b'{"message": "moved"}'), True),
        (Answer(403, b"<html>Blocked by the proxy</html>"), False),
        (Answer(407, b""), False),
        (Answer(404, b"[" * 100_000), False),
        (Answer(404, b'[{"error": {"code": 404}}]'), False),
        (Answer(400, b'{"error": null}'), False),
    ],
)
def test_an_answer_of_something_else_is_named_as_that(answer: Answer, retryable: bool) -> None:
    with raises(MediaUnavailable, "youtube.another_answered", status=answer.status) as caught:
        read_refusal(answer)
    assert caught.value.retryable is retryable


SENT = "Fri, 20 Nov 2026 20:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("7", "", 7.0),
        (" 7.5 ", "", 7.5),
        ("-5", "", 0.0),
        ("nan", "", None),
        ("inf", "", 300.0),
        ("1e999", "", 300.0),
        ("soon", "", None),
        ("", "", None),
        ("Fri, 20 Nov 2026 20:01:40 GMT", "", 100.0),
        ("Fri, 20 Nov 2026 21:01:40 +0100", "", 100.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "", 0.0),
        ("Fri, 20 Nov 2026 20:01:40 GMT", SENT, 100.0),
        # The clock of the service is an hour ahead of ours, or behind.
        ("Fri, 20 Nov 2026 21:01:40 GMT", "Fri, 20 Nov 2026 21:00:00 GMT", 100.0),
        ("Fri, 20 Nov 2026 19:01:40 GMT", "Fri, 20 Nov 2026 19:00:00 GMT", 100.0),
        ("Fri, 20 Nov 2026 20:01:40 GMT", "no date", 100.0),
        ("Fri, 99 Nov 2026 20:01:40 GMT", "", None),
    ],
)
def test_the_pause_that_a_service_asks_for(value: str, date: str, seconds: float | None) -> None:
    now = 1_795_204_800.0  # as SENT
    answer = Answer(429, b"{}", headers={"retry-after": value, "date": date})
    assert answer.retry_after_s(300.0, now) == seconds


def test_a_pause_of_nothing_leaves_the_client_its_own() -> None:
    for value in ("-5", "0", "nan", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert (
            read_refusal(refused(429, {"code": 429}, **{"retry-after": value})).retry_after_s
            is None
        )
    long = read_refusal(refused(503, {"code": 503}, **{"retry-after": "99999"}))
    assert long.retry_after_s == RETRY_AFTER_MAX_S


# Bodies over HTTP

BODIES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/bomb": (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 3_000_000, 9)),
    "/long": (200, {}, b" " * 3_000_000),
    "/short": (200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"a": 1}')),
    "/mark": (200, {}, b'\xef\xbb\xbf{"a": 1}'),
    "/utf16": (200, {}, '{"a": 1}'.encode("utf-16")),
    "/deep": (200, {}, b"[" * 100_000),
    "/cut": (200, {}, b'{"a": '),
    "/page": (200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"),
    "/nothing": (200, {}, b""),
    "/digits": (200, {}, b'{"a": ' + b"9" * 5000 + b"}"),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = BODIES[self.path.split("?")[0]]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/bomb", "/long"])
def test_an_answer_is_read_up_to_a_limit(site: str, path: str) -> None:
    with pytest.raises(AnswerTooLarge):
        read_answer(requests.get(site + path, stream=True, timeout=10), 1_000_000)
    assert len(read_answer(requests.get(site + path, stream=True, timeout=10), 3_000_000).content)


@pytest.mark.parametrize("path", ["/short", "/mark", "/utf16"])
def test_a_document_is_read_in_every_encoding(site: str, path: str) -> None:
    assert json.loads(transport.transport("")().request(site + path)[1]) == {"a": 1}


@pytest.mark.parametrize("path", ["/bomb", "/deep", "/cut", "/page", "/nothing", "/digits"])
def test_a_body_that_is_no_document_is_not_understood(
    site: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "ANSWER_MAX_BYTES", 1_000_000)
    request: Callable[..., object] = transport.transport("")().request
    with raises(MediaUnavailable, "youtube.answer_unknown", call=path[1:]):
        request(site + path + "?key=x")
