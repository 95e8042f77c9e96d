"""Settings of voices: where they are, and the services that speak."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from kb.settings.part import SettingsPart
from kb.types.addresses import is_loopback


def _address(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        is_complete = bool(parts.hostname) and parts.port != 0  # reading a bad port raises
    except ValueError:
        is_complete = False
    if not is_complete or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address such as http://localhost:8880/v1 expected, without a key")
    return value


def _key_address(value: str) -> str:
    parts = urlsplit(_address(value))
    if value and parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("https expected: a key must not be sent in the clear")
    return value


class SpeechSettings(SettingsPart):
    """Settings of voices. Without an address no text leaves the machine."""

    voice_dir: str = Field(
        "",
        alias="KB_VOICE_DIR",
        description="Folder with voices of piper: NAME.onnx and NAME.onnx.json.",
    )
    voice: str = Field(
        "",
        alias="KB_VOICE",
        max_length=200,
        description="Voice where none is named, such as piper:de_DE-thorsten-medium "
        "(kb speak --voices). Empty, and for texts in another language than the voice's, "
        "takes one of this machine: piper, else espeak-ng.",
    )
    speech_url: Annotated[str, AfterValidator(_key_address)] = Field(
        "",
        alias="KB_SPEECH_URL",
        pattern=r"^(https?://[^\s]+)?$",
        description="Service of voices with OpenAI's protocol, up to /v1, such as "
        "https://api.openai.com/v1. Texts are sent there where one of its voices is named.",
    )
    speech_model: str = Field(
        "tts-1",
        alias="KB_SPEECH_MODEL",
        max_length=200,
        description="Service of voices: its model.",
    )
    speech_key: SecretStr = Field(
        SecretStr(""),
        alias="KB_SPEECH_KEY",
        description="Service of voices: key, sent as a header only. Where it is empty, "
        "OPENAI_API_KEY of the environment is taken, if the address is OpenAI's.",
    )
    speech_voices: str = Field(
        "",
        alias="KB_SPEECH_VOICES",
        max_length=2000,
        description="Service of voices: the names of its voices, separated by commas, where it "
        "does not list them, such as alloy,nova.",
    )
    kokoro_url: Annotated[str, AfterValidator(_address)] = Field(
        "",
        alias="KB_KOKORO_URL",
        pattern=r"^(https?://[^\s]+)?$",
        description="Address of a server of Kokoro, up to /v1, such as http://localhost:8880/v1.",
    )
    speech_timeout_s: float = Field(
        120.0,
        alias="KB_SPEECH_TIMEOUT_S",
        gt=0,
        le=3600,
        description="Seconds until a voice must have spoken a piece of text (a sentence or two).",
    )
