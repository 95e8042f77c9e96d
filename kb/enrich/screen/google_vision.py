"""Reader of the text in a picture by Google Vision: `POST /v1/images:annotate`.

Each picture that is read is sent to the configured address, as JPEG, and nothing else. The key, or
the token of a service account, is sent as a header.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import requests
from PIL import Image

from kb.enrich.screen.reader import LEAST_SCORE, Line, Reading
from kb.errors import KBError, ModelUnavailable
from kb.settings import Settings
from kb.storage.http_answers import Answer, AnswerTooLarge, read_answer
from kb.types.safe_text import clean, is_header_value

FEATURE = "DOCUMENT_TEXT_DETECTION"
SCOPE = "https://www.googleapis.com/auth/cloud-vision"
TRIES = 4
LONGEST_WAIT_S = 60.0  # a longer pause than the service asks for is left to the step's own retry
TIMEOUT_S = 60.0
_MOST_BYTES = 20_000_000  # of an answer: a page of text has some 100 KB
_QUALITY = 90  # of the JPEG: letters stay sharp
_PASSING = (408, 429, 500, 502, 503, 504)
_Corners = Sequence[Mapping[str, Any]]
_Word = tuple[str, _Corners, float]  # its text, its corners in pixels, the service's confidence
_OF_ANOTHER_FORM = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
_LINE_ENDS = ("EOL_SURE_SPACE", "LINE_BREAK", "HYPHEN")


def model(settings: Settings) -> str:
    """Return the reader as it is shown, with the place that pictures are sent to."""
    return f"Google Vision {FEATURE}; pictures are sent to {urlsplit(settings.vision_url).netloc}"


def missing(settings: Settings) -> ModelUnavailable | None:
    """Return the error of what is not configured; None if nothing is. Nothing is asked."""
    if key := settings.vision_key.get_secret_value().strip():
        if is_header_value(key):
            return None
        return ModelUnavailable(
            "vision.key_form",
            "The key of Google Vision holds characters that no key has (spaces, line breaks, "
            "letters with accents).",
            hint="Check KB_VISION_KEY.",
        )
    account = settings.vision_account
    if account and Path(account).expanduser().is_file():
        return None
    return ModelUnavailable(
        "vision.no_key",
        "The reader google needs an API key or the file of a service account.",
        hint="Set KB_VISION_KEY or KB_VISION_ACCOUNT; or read on this machine: "
        "KB_SCREEN_READER=rapidocr",
    )


class GoogleVision:
    """The reader. Raises ModelUnavailable without a key, and KBError for what the service says."""

    def __init__(self, settings: Settings, sleep: Callable[[float], None] = time.sleep) -> None:
        if (problem := missing(settings)) is not None:
            raise problem
        self.name = f"Google Vision {FEATURE}"
        self._address = f"{settings.vision_url}/v1/images:annotate"
        self._key = settings.vision_key.get_secret_value().strip()
        self._account = settings.vision_account
        self._credentials: Any = None
        self._sleep = sleep
        self._session = requests.Session()
        self._session.trust_env = True  # proxies of the environment

    def read(self, image: npt.NDArray[np.uint8]) -> Reading:
        """Return the lines of a picture."""
        picture = io.BytesIO()
        Image.fromarray(image[:, :, ::-1]).save(picture, "JPEG", quality=_QUALITY)
        request = {
            "image": {"content": base64.b64encode(picture.getvalue()).decode()},
            "features": [{"type": FEATURE}],
        }
        result = self._ask({"requests": [request]})
        try:
            return lines_of(result, image.shape[1], image.shape[0])
        except _OF_ANOTHER_FORM:
            raise _other_form() from None

    def _ask(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the result for the one picture of a request; answers that pass are waited for."""
        for number in range(1, TRIES + 1):
            try:
                answer = self._post(body)
            except (requests.RequestException, AnswerTooLarge, TimeoutError) as error:
                problem, wait_s = _unreachable(type(error).__name__), None
            else:
                if answer.status == 200:
                    return _result(answer, self._key)
                problem = _refused(answer, self._key)
                wait_s = answer.retry_after_s(LONGEST_WAIT_S)
            if not problem.retryable or number == TRIES:
                raise problem
            self._sleep(2.0**number if wait_s is None else wait_s)
        raise AssertionError  # the loop returns or raises

    def _post(self, body: Mapping[str, Any]) -> Answer:
        response = self._session.post(
            self._address, json=body, headers=self._sign(), timeout=TIMEOUT_S, stream=True,
            allow_redirects=False,
        )  # fmt: skip
        return read_answer(response, _MOST_BYTES, TIMEOUT_S)

    def _sign(self) -> dict[str, str]:
        """Return the header that identifies the caller. Raises KBError for an unusable account."""
        if self._key:
            return {"x-goog-api-key": self._key}
        # Imported here: an API key needs none of it.
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials

        try:
            if self._credentials is None:
                path = Path(self._account).expanduser()
                self._credentials = Credentials.from_service_account_file(path, scopes=[SCOPE])  # type: ignore[no-untyped-call]
            if not self._credentials.valid:
                self._credentials.refresh(Request())
        except TransportError as error:
            raise _unreachable(type(error).__name__) from None
        except (GoogleAuthError, OSError, ValueError) as error:
            # The message of the library may quote the file.
            raise KBError(
                "vision.account",
                "The service account of KB_VISION_ACCOUNT cannot be used: {reason}",
                hint="Make a new key for it in the Google Cloud console.",
                reason=type(error).__name__,
            ) from None
        return {"Authorization": f"Bearer {self._credentials.token}"}


def lines_of(result: Mapping[str, Any], width: int, height: int) -> Reading:
    """Return the lines of a result (`fullTextAnnotation`) for a picture of this size."""
    lines: list[Line] = []
    words: list[_Word] = []
    unread = 0

    def end() -> None:
        nonlocal unread
        text = " ".join(clean("".join(said for said, _, _ in words)).split())
        if any(sign.isalnum() for sign in text):
            score = sum(each for _, _, each in words) / len(words)
            if score >= LEAST_SCORE:
                lines.append(Line(text, _box([box for _, box, _ in words], width, height), score))
            else:  # NaN, too
                unread += 1
        words.clear()

    annotation = result.get("fullTextAnnotation") or {}
    for word in (
        word
        for page in annotation.get("pages") or ()
        for block in page.get("blocks") or ()
        for paragraph in block.get("paragraphs") or ()
        for word in paragraph.get("words") or ()
    ):
        said, ends = "", False
        for symbol in word.get("symbols") or ():
            kind = ((symbol.get("property") or {}).get("detectedBreak") or {}).get("type", "")
            said += str(symbol.get("text", "")) + (" " if "SPACE" in kind else "")
            ends = ends or kind in _LINE_ENDS
        corners = (word.get("boundingBox") or {}).get("vertices") or ()
        words.append((said, corners, float(word.get("confidence", 1.0))))
        if ends:
            end()
    if words:
        end()
    return Reading(tuple(lines), unread)


def _box(corners: Sequence[_Corners], width: int, height: int) -> tuple[float, float, float, float]:
    xs = [float(corner.get("x", 0)) / width for each in corners for corner in each] or [0.0]
    ys = [float(corner.get("y", 0)) / height for each in corners for corner in each] or [0.0]
    sides = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
    left, top, across, down = (round(min(1.0, max(0.0, side)), 4) for side in sides)
    return left, top, across, down


def _result(answer: Answer, key: str) -> Mapping[str, Any]:
    """Return the result of the one picture. Raises KBError for another answer."""
    try:
        document = answer.json()
        (result,) = document["responses"]
        problem = result.get("error")
        if problem is not None:
            code, reason = int(problem.get("code", 0)), str(problem.get("message", ""))
    except _OF_ANOTHER_FORM:
        raise _other_form() from None
    if problem is not None:
        raise _error(
            reason, key, code in (4, 8, 13, 14)
        )  # gRPC: deadline, quota, internal, unavailable
    found: Mapping[str, Any] = result
    return found


def _other_form() -> KBError:
    return KBError(
        "vision.answer",
        "Google Vision gave an answer of another form.",
        hint="Check KB_VISION_URL, and what stands between it and this machine.",
        retryable=True,
    )


def _refused(answer: Answer, key: str) -> KBError:
    try:
        reason = str(answer.json()["error"]["message"])
    except (ValueError, TypeError, KeyError):
        reason = f"HTTP {answer.status} {answer.reason}".strip()
    return _error(reason, key, answer.status in _PASSING)


def _error(reason: str, key: str, passes: bool) -> KBError:
    if key:  # a service may quote it
        reason = reason.replace(key, "…")
    if passes:
        return KBError(
            "vision.busy",
            "Google Vision does not answer now: {reason}",
            hint="It is tried again later.",
            retryable=True,
            reason=reason[:300],
        )
    return KBError(
        "vision.refused",
        "Google Vision refused a picture: {reason}",
        hint="Check the key, its quota and that the Vision API is enabled for its project.",
        reason=reason[:300],
    )


def _unreachable(cause: str) -> KBError:
    # The message of requests has the address, and that of a proxy its password.
    return KBError(
        "vision.unreachable",
        "Google Vision cannot be reached: {cause}.",
        hint="Check the network, the proxy and KB_VISION_URL.",
        retryable=True,
        cause=cause,
    )
