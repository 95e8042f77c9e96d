"""Kokoro: a server of its voices, which speaks OpenAI's protocol and lists them.

The first letter of a voice's name is its language, the second one `f` or `m`.
"""

from __future__ import annotations

from kb.errors import KBError, ModelUnavailable
from kb.settings import Settings
from kb.tts.engines.server import SpeechServer

MODEL = "kokoro"
_LANGUAGES = {
    "a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt",
    "z": "zh",
}  # fmt: skip


class Kokoro(SpeechServer):
    """The engine; see `kb.tts.base.Engine`."""

    name = "kokoro"

    def __init__(self, settings: Settings) -> None:
        address = settings.kokoro_url
        super().__init__(settings.replace(speech_url=address, speech_model=MODEL, speech_voices=""))
        self._key = ""  # that of another service

    def missing(self) -> KBError | None:
        if not self._url:
            return ModelUnavailable(
                "speech.no_kokoro",
                "No server of Kokoro is configured.",
                hint="Start one and set KB_KOKORO_URL, such as http://localhost:8880/v1.",
            )
        return None

    def languages_of(self, voice: str) -> tuple[str, ...]:
        code = _LANGUAGES.get(voice[:1]) if voice[2:3] == "_" else None
        return (code,) if code else ()
