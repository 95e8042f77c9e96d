"""OpenAI's chat protocol: its parameters, its answers, and the errors for what is none.

An answer has a limit of size. Nothing is sent here: the adapters send (`transport`,
`litellm_adapter`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from kb.enrich.llm.endpoint import Endpoint
from kb.enrich.llm.ledger import Usage
from kb.errors import KBError, RetryLater, UsageError
from kb.types.safe_text import shown

MOST_BYTES = 8_000_000  # of an answer
LONGEST_REASON = 200
LONGEST_WAIT_S = 24 * 3600.0  # that a service may ask for


@dataclass(frozen=True, slots=True)
class Arrived:
    """An answer: its text, the reason of its end, tokens used (None: not said).

    `was_declined`: the service says that the model refuses; `calls_tools`: it wanted a tool.
    """

    text: str
    ending: str
    usage: Usage | None
    was_declined: bool = False
    calls_tools: bool = False


class NotSentError(Exception):
    """The service has not carried the question out: it costs nothing. `cause` is for the user."""

    def __init__(self, cause: KBError, wait_s: float | None = None) -> None:
        self.cause, self.wait_s = cause, wait_s


class LostError(Exception):
    """The question was sent and no answer came: it may have cost something."""

    def __init__(self, cause: KBError) -> None:
        self.cause = cause


def options(endpoint: Endpoint, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a call beside model, messages and limit."""
    found: dict[str, Any] = {}
    if endpoint.row.temperature is not None:
        found["temperature"] = endpoint.row.temperature
    if endpoint.row.format == "json":
        found["response_format"] = {"type": "json_object"}
    elif endpoint.row.format == "schema":
        named = {"name": "answer", "strict": True, "schema": schema}
        found["response_format"] = {"type": "json_schema", "json_schema": named}
    return found


def bound(http: ModuleType, response: Any) -> None:
    """Let reading an answer fail beyond the limit of its size; `http` is the client's package."""
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise http.DecodingError("an answer that is packed, which was not asked for")
    inner = response.stream
    base: Any = http.SyncByteStream

    class Bounded(base):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for part in inner:
                size += len(part)
                if size > MOST_BYTES:
                    raise http.ReadError(f"an answer of more than {MOST_BYTES} bytes")
                yield part

        def close(self) -> None:
            inner.close()

    response.stream = Bounded()


def read_answer(endpoint: Endpoint, body: bytes) -> Arrived:
    """Return the parts of an answer of OpenAI's protocol. Raises LostError for anything else."""
    try:
        document = json.loads(body)
        choices = document["choices"]
        usage = _usage(document.get("usage"))
        if not choices:
            return Arrived("", "empty", usage)
        message, ending = choices[0].get("message") or {}, choices[0].get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        is_page = body.lstrip()[:1] == b"<"
        if is_page:
            raise LostError(
                KBError(
                    "llm.page",
                    "{place} answers with a web page.",
                    hint="Check KB_LLM_URL: the address usually ends with /v1.",
                    place=endpoint.place,
                )
            ) from None
        raise LostError(broken(endpoint)) from None
    return Arrived(
        whole(content) if isinstance(content, str) else "",
        whole(ending) if isinstance(ending, str) else "",
        usage,
        was_declined=bool(refusal) or ending == "content_filter",
        calls_tools=bool(message.get("tool_calls") or message.get("function_call")),
    )


def whole(text: str) -> str:
    """Return a text as UTF-8 and each database hold it: without half characters and zeros."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _usage(value: object) -> Usage | None:
    """Return the tokens of an answer, None for figures that cannot be."""
    if not isinstance(value, dict):
        return None
    sent, received = (_count(value.get(f"{each}_tokens")) for each in ("prompt", "completion"))
    # No question has no tokens: litellm says 0 where the service says nothing.
    if not sent or received is None:
        return None
    # Tokens of thoughts are in the sum alone with some services.
    total = _count(value.get("total_tokens")) or 0
    return Usage(sent, max(received, total - sent))


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 10**12 else None


def refusal(endpoint: Endpoint, status: int, response: Any) -> NotSentError | LostError:
    """Return the error for an HTTP status; those below 500 have cost nothing."""
    if status == 429:
        busy = RetryLater(
            "llm.busy",
            "{place} has no room for more questions now.",
            hint="It is asked again later. If it happens often, the account's limit is reached.",
            place=endpoint.place,
        )
        return NotSentError(busy, _wait_s(response))
    if status in (401, 403):
        return NotSentError(
            UsageError(
                "llm.key",
                "{place} refuses the key.",
                hint="Check KB_LLM_KEY, or the provider's own variable.",
                place=endpoint.place,
            )
        )
    if status >= 500 or status in (408, 409):
        return LostError(
            KBError(
                "llm.server",
                "{place} reports an error of its own (HTTP {status}).",
                hint="It is asked again.",
                retryable=True,
                place=endpoint.place,
                status=status,
            )
        )
    return NotSentError(
        UsageError(
            "llm.refused",
            "{place} refuses the question (HTTP {status}): {reason}",
            hint="Check KB_LLM_URL and KB_LLM_MODEL, and the row of the model in KB_LLM_TABLE.",
            place=endpoint.place,
            status=status,
            reason=_reason(endpoint, response),
        )
    )


def _wait_s(response: Any) -> float | None:
    try:
        asked = float(response.headers.get("retry-after", ""))
        return min(asked, LONGEST_WAIT_S) if asked >= 0 else None  # NaN is not, either
    except (AttributeError, ValueError, TypeError):
        return None


def _reason(endpoint: Endpoint, response: Any) -> str:
    """Return what a service says about its refusal, without the key and without controls."""
    try:
        document = json.loads(response.content)
        found = document[0] if isinstance(document, list) else document
        reason = found["error"]["message"] if isinstance(found["error"], dict) else found["error"]
    except Exception:  # of a foreign server
        return "it gives no reason"
    return safe_reason(endpoint, str(reason))


def safe_reason(endpoint: Endpoint, text: str) -> str:
    """Return a foreign text that may stand in an error."""
    if endpoint.key:
        # A part of the key is a secret, too.
        text = text.replace(endpoint.key, "***")
        text = re.sub(rf"{re.escape(endpoint.key[:8])}\S*", "***", text)
    return shown(" ".join(text.split()))[:LONGEST_REASON]


def broken(endpoint: Endpoint) -> KBError:
    """Return the error of an answer that is none of a language model."""
    return KBError(
        "llm.broken",
        "The answer of {place} breaks off, or is none of a language model.",
        hint="It is asked again.",
        retryable=True,
        place=endpoint.place,
    )


def unreachable(endpoint: Endpoint, cause: BaseException) -> KBError:
    """Return the error of a service that gives no answer at all."""
    return KBError(
        "llm.unreachable",
        "{place} cannot be reached: {reason}",
        hint="Check KB_LLM_URL and the network. It is asked again.",
        retryable=True,
        place=endpoint.place,
        reason=safe_reason(endpoint, str(cause) or type(cause).__name__),
    )


def no_answer(endpoint: Endpoint) -> KBError:
    """Return the error of an answer that took too long."""
    return KBError(
        "llm.no_answer",
        "{place} has not answered within {seconds:g} s.",
        hint="It is asked again; KB_LLM_TIMEOUT_S allows more time.",
        retryable=True,
        place=endpoint.place,
        seconds=endpoint.timeout_s,
    )
