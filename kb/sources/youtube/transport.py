"""Requests to YouTube's Data API: through the proxy of the settings, without redirects, bounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import requests

from kb.sources.youtube.answers import not_understood
from kb.sources.youtube.refusals import ApiError, read_refusal
from kb.storage import Answer, AnswerTooLarge, read_answer

TIMEOUT_S = 30.0
# A page of 50 videos with descriptions of full length has about 1 MB.
ANSWER_MAX_BYTES = 50_000_000


class RequestRefused(Exception):
    """Signal an error answer of the service; `refusal` has its content."""

    def __init__(self, refusal: ApiError) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


def transport(proxy: str) -> Callable[[], Any]:
    """Return a class with the interface of `httplib2.Http`, based on requests.

    httplib2 supports no proxy without a further package, and it sends the header with the key
    to any host that it is redirected to. Its requests raise RequestRefused for an error answer,
    MediaUnavailable for one that is not understood, and the errors of requests.
    """
    import httplib2  # type: ignore[import-untyped]

    class Transport:
        def request(
            self,
            uri: str,
            method: str = "GET",
            body: str | bytes | None = None,
            headers: Mapping[str, str] | None = None,
            **_rest: object,
        ) -> tuple[Any, bytes]:
            call = uri.split("?", 1)[0].rsplit("/", 1)[-1]
            response = requests.request(
                method,
                uri,
                data=body,
                headers=dict(headers or {}),
                timeout=TIMEOUT_S,
                allow_redirects=False,
                proxies={"http": proxy, "https": proxy} if proxy else None,
                stream=True,
            )
            try:
                answer = read_answer(response, ANSWER_MAX_BYTES)
            except AnswerTooLarge as error:
                raise not_understood(call, str(error)) from None
            if answer.status >= 300:
                raise RequestRefused(read_refusal(answer))
            return httplib2.Response({"status": str(answer.status)}), _document(answer, call)

        def close(self) -> None:
            pass

    return Transport


def _document(answer: Answer, call: str) -> bytes:
    """Return the body as JSON in the form that the client library reads. Raises MediaUnavailable.

    The library takes an empty answer for an empty object, and passes on a body that is no JSON.
    """
    try:
        return json.dumps(answer.json()).encode()
    except (ValueError, RecursionError):
        raise not_understood(call, "it is no JSON") from None
