"""Sends one question and returns the answer as it arrived, or the error that a user can act on.

Two adapters: the package `openai`, and `litellm` (`litellm_adapter`). They are imported with the
first question. An answer has a limit of size and, as a whole, of time: a server that sends for ever
ends in an error.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from kb.enrich.llm import litellm_adapter, protocol
from kb.enrich.llm.endpoint import Endpoint
from kb.enrich.llm.protocol import Arrived as Arrived
from kb.enrich.llm.protocol import LostError as LostError
from kb.enrich.llm.protocol import NotSentError as NotSentError
from kb.enrich.llm.protocol import (
    no_answer,
    options,
    read_answer,
    refusal,
    unreachable,
)
from kb.enrich.llm.protocol import whole as whole

Message = Mapping[str, str]


def send(
    endpoint: Endpoint, messages: Sequence[Message], schema: Mapping[str, Any], most_tokens: int
) -> Arrived:
    """Ask once. Raises NotSentError and LostError, which hold the error for the user."""
    ask = _ADAPTERS[endpoint.adapter]
    _PACKAGES[endpoint.adapter]()  # its import is no part of the answer's time
    answers: queue.SimpleQueue[Arrived | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(ask(endpoint, messages, schema, most_tokens))
        except BaseException as error:
            answers.put(error)

    # The timeouts of HTTP clients are those of one read: bytes that drip for ever pass them.
    threading.Thread(target=work, name="kb-llm", daemon=True).start()
    try:
        found = answers.get(timeout=endpoint.timeout_s)
    except queue.Empty:
        raise LostError(no_answer(endpoint)) from None
    if isinstance(found, BaseException):
        raise found
    return found


# OpenAI's package


def _import_openai() -> None:
    import openai  # noqa: F401


@cache
def _certificates() -> Any:
    """Return the certificates to trust; reading them takes longer than all else of a call."""
    import httpx2

    return httpx2.create_ssl_context()


def _ask_openai(
    endpoint: Endpoint, messages: Sequence[Message], schema: Mapping[str, Any], most_tokens: int
) -> Arrived:
    import httpx2
    import openai

    with httpx2.Client(
        timeout=endpoint.timeout_s,
        follow_redirects=False,
        verify=_certificates(),
        event_hooks={"response": [partial(protocol.bound, httpx2)]},
    ) as http:
        client = openai.OpenAI(
            base_url=endpoint.url, api_key=endpoint.key or "none", organization="", project="",
            max_retries=0, http_client=http, timeout=endpoint.timeout_s,
            default_headers={"Accept-Encoding": "identity"},
        )  # fmt: skip
        # Variables of the environment that are meant for OpenAI's own service.
        client.organization = client.project = client.admin_api_key = None
        arguments: dict[str, Any] = {
            "model": endpoint.model, "messages": list(messages), **options(endpoint, schema),
            endpoint.row.limit: most_tokens,
        }  # fmt: skip
        try:
            raw = client.chat.completions.with_raw_response.create(**arguments)
        except openai.APIStatusError as error:
            raise refusal(endpoint, error.status_code, error.response) from None
        except (openai.APITimeoutError, httpx2.TimeoutException):
            raise LostError(no_answer(endpoint)) from None
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause = error.__cause__ or error
            problem = unreachable(endpoint, cause)
            if isinstance(cause, httpx2.ConnectError):
                raise NotSentError(problem) from None
            raise LostError(problem) from None
        return read_answer(endpoint, raw.http_response.content)


_ADAPTERS: dict[str, Callable[..., Arrived]] = {
    "openai": _ask_openai,
    "litellm": litellm_adapter.ask,
}
_PACKAGES: dict[str, Callable[[], None]] = {
    "openai": _import_openai,
    "litellm": litellm_adapter.prepare,
}
