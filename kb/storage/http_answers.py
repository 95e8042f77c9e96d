"""Answers of remote services: read up to a limit, parsed as JSON, and the pause that they ask for.

A small answer can unfold to any size, JSON can be nested so deeply that its parser gives up, and
`Retry-After` may hold anything. Each client of a service reads its answers here.
"""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests  # slow to import, and not needed by every command

_BLOCK = 1 << 16
_TEXT_CHARS = 20_000


class AnswerTooLarge(OSError):
    """Signal an answer of more bytes than the service can mean."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its whole body; the names in `headers` are in lower case.

    The body and the headers are not in its `repr`: a service may quote credentials.
    """

    status: int
    content: bytes = field(repr=False)
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """The start of the body as text, for a message."""
        return self.content[: 4 * _TEXT_CHARS].decode("utf-8", "replace")[:_TEXT_CHARS]

    def json(self) -> Any:
        """Return the body as a document. Raises ValueError if it is none."""
        try:
            return json.loads(self.content)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    def retry_after_s(self, longest_s: float, now: float | None = None) -> float | None:
        """Return the seconds of `Retry-After`, a number or a date; None without a usable one.

        The result is at least 0 and at most `longest_s`. A date is compared with the service's
        own clock (`Date`) if that is sent, else with `now` in epoch seconds.
        """
        value = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(value)
        except ValueError:
            moment = _moment(value)
            if moment is None:
                return None
            sent = _moment(self.headers.get("date", ""))
            seconds = moment - (sent if sent is not None else time.time() if now is None else now)
        return None if math.isnan(seconds) else min(max(seconds, 0.0), longest_s)


def read_answer(response: requests.Response, limit_bytes: int, limit_s: float = math.inf) -> Answer:
    """Read a response that was requested with `stream=True`.

    Raises AnswerTooLarge beyond `limit_bytes` of the unpacked body, TimeoutError after `limit_s`
    seconds of a body that comes in drops, and the errors of requests (with a time limit, those of
    urllib3) when the connection breaks.
    """
    content = bytearray()
    end = time.monotonic() + limit_s
    with response:
        for block in _blocks(response, limit_s):
            content += block
            if time.monotonic() > end:
                raise TimeoutError(f"the answer took more than {limit_s:g} s")
            if len(content) > limit_bytes:
                raise AnswerTooLarge(f"the answer is larger than {limit_bytes // 1_000_000} MB")
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, bytes(content), response.reason or "", headers)


def _blocks(response: requests.Response, limit_s: float) -> Iterator[bytes]:
    """Yield the unpacked body; with a time limit, each block as soon as it has arrived."""
    if limit_s == math.inf:
        yield from response.iter_content(_BLOCK)
    else:
        while block := response.raw.read1(_BLOCK, decode_content=True):
            yield block


def _moment(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
