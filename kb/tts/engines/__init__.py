"""The engines of voices: one file and one line each. None of them copies a person's voice."""

from __future__ import annotations

from collections.abc import Callable

from kb.settings import Settings
from kb.tts.base import Engine
from kb.tts.engines.espeak import Espeak
from kb.tts.engines.kokoro import Kokoro
from kb.tts.engines.piper import Piper
from kb.tts.engines.server import SpeechServer

ENGINES: dict[str, Callable[[Settings], Engine]] = {
    "piper": Piper,
    "espeak": Espeak,
    "kokoro": Kokoro,
    "server": SpeechServer,
}
"""By name, in the order in which a voice is looked for."""
