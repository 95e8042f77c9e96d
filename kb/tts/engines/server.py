"""A service with OpenAI's protocol of speech: `POST /audio/speech` at a configured address.

Texts are sent there, so it speaks only where its voice is named. The key is sent as a header only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from kb.errors import KBError, ModelUnavailable, UsageError
from kb.media.pcm import Pcm, read_wav
from kb.settings import Settings
from kb.storage.http_answers import Answer, AnswerTooLarge, read_answer
from kb.tts.base import Speaker, Voice
from kb.tts.process import MOST_BYTES, garbage
from kb.types.addresses import is_loopback
from kb.types.safe_text import is_header_value, shown

# OpenAI's own variable is read for its host alone, and only encrypted.
_PROVIDER_KEYS = {"api.openai.com": "OPENAI_API_KEY"}
_MOST_LIST_BYTES = 1_000_000
_LIST_S = 10.0  # for a list of voices
_PASSING = (408, 429, 500, 502, 503, 504)


class SpeechServer:
    """The engine; see `kb.tts.base.Engine`."""

    name = "server"
    speeds = (0.25, 4.0)

    def __init__(self, settings: Settings) -> None:
        self._url = settings.speech_url.rstrip("/")
        self._model = settings.speech_model
        self._key = _key(settings)
        self._names = tuple(filter(None, map(str.strip, settings.speech_voices.split(","))))
        self._timeout_s = settings.speech_timeout_s

    @property
    def is_local(self) -> bool:
        return is_loopback(urlsplit(self._url).hostname or "")

    @property
    def place(self) -> str:
        """The service as it is shown: host and port."""
        return urlsplit(self._url).netloc

    def missing(self) -> KBError | None:
        if not self._url:
            return ModelUnavailable(
                "speech.no_address",
                "No service of voices is configured.",
                hint="Set KB_SPEECH_URL and KB_SPEECH_MODEL, see .env.example. Texts are sent "
                "there.",
            )
        if not is_header_value(self._key):
            return ModelUnavailable(
                "speech.key_form",
                "The key of the service of voices holds characters that no key has (spaces, line "
                "breaks, letters with accents).",
                hint="Check KB_SPEECH_KEY, or the provider's own variable.",
            )
        return None

    def voices(self) -> tuple[Voice, ...]:
        if self.missing() is not None:
            return ()
        names = self._names or self._listed()
        return tuple(
            Voice(self.name, name, self.languages_of(name), note=self.place) for name in names
        )

    def choices(self, language: str) -> tuple[str, ...]:
        found = self.voices()
        return tuple(v.name for v in found if not v.languages or language in v.languages)

    def languages_of(self, voice: str) -> tuple[str, ...]:
        """Return the languages of a voice; a service does not say them."""
        del voice
        return ()

    def version(self, voice: str) -> str:
        del voice
        return f"{self.place} {self._model}"

    def open(self) -> Speaker:
        if (problem := self.missing()) is not None:
            raise problem
        return _Connection(self)

    def ask(
        self, method: str, path: str, most_bytes: int, timeout_s: float | None = None, **more: Any
    ) -> Answer:
        """Return an answer of the service. Raises KBError."""
        longest_s = self._timeout_s if timeout_s is None else timeout_s
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            response = requests.request(
                method, f"{self._url}{path}", headers=headers, timeout=longest_s,
                stream=True, allow_redirects=False, **more,
            )  # fmt: skip
            answer = read_answer(response, most_bytes, longest_s)
        except (
            requests.RequestException, urllib3.exceptions.HTTPError, AnswerTooLarge, TimeoutError,
        ) as error:  # fmt: skip
            # The message of requests has the address, and that of a proxy its password.
            raise KBError(
                "speech.unreachable",
                "{place} cannot be reached: {cause}.",
                hint="Check the address of the service of voices and the network.",
                retryable=True,
                place=self.place,
                cause=type(error).__name__,
            ) from None
        if answer.status != 200:
            raise self._refused(answer)
        return answer

    def body(self, text: str, voice: str, speed: float) -> dict[str, Any]:
        """Return the body of a request."""
        found: dict[str, Any] = {"model": self._model, "input": text, "voice": voice}
        if abs(speed - 1) > 0.005:
            found["speed"] = round(speed, 3)
        return {**found, "response_format": "wav"}

    def _listed(self) -> tuple[str, ...]:
        """Return the names that the service gives, which not every one does."""
        try:
            found = self.ask("GET", "/audio/voices", _MOST_LIST_BYTES, _LIST_S).json()
        except (KBError, ValueError):
            return ()
        rows = found.get("voices") if isinstance(found, Mapping) else found
        names = [row.get("id") if isinstance(row, Mapping) else row for row in rows or ()]
        return tuple(name for name in names if isinstance(name, str) and 0 < len(name) <= 200)

    def _refused(self, answer: Answer) -> KBError:
        if answer.status in (401, 403):
            return UsageError(
                "speech.key",
                "{place} refuses the key.",
                hint="Check KB_SPEECH_KEY, or the provider's own variable.",
                place=self.place,
            )
        return KBError(
            "speech.service",
            "{place} cannot speak this (HTTP {status}): {reason}",
            hint="Check KB_SPEECH_MODEL and the name of the voice: kb speak --voices",
            retryable=answer.status in _PASSING,
            place=self.place,
            status=answer.status,
            reason=self._reason(answer),
        )

    def _reason(self, answer: Answer) -> str:
        try:
            document = answer.json()
            # Servers of Kokoro say it in the field of their framework.
            found = document["error"] if "error" in document else document["detail"]
            reason = str(found["message"] if isinstance(found, Mapping) else found)
        except (ValueError, TypeError, LookupError):
            return "it gives no reason"
        if self._key:  # a service may quote it, or its beginning
            reason = re.sub(rf"{re.escape(self._key[:8])}\S*", "***", reason)
        return shown(" ".join(reason.split()))[:200]


class _Connection:
    def __init__(self, server: SpeechServer) -> None:
        self._server = server

    def say(self, text: str, voice: str, speed: float) -> Pcm:
        body = self._server.body(text, voice, speed)
        answer = self._server.ask("POST", "/audio/speech", MOST_BYTES, json=body)
        try:
            return read_wav(answer.content)
        except ValueError:
            raise garbage(self._server.name) from None

    def close(self) -> None:
        """Nothing is open between two pieces."""


def _key(settings: Settings) -> str:
    """Return the key, of the settings or of the provider's own variable."""
    own = settings.speech_key.get_secret_value().strip()
    parts = urlsplit(settings.speech_url)
    name = _PROVIDER_KEYS.get(parts.hostname or "")
    provided = os.environ.get(name, "").strip() if name and parts.scheme == "https" else ""
    return own or provided
