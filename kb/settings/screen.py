"""Settings of the text on the screen: its reader, and what an online one needs."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from kb.settings.part import SettingsPart
from kb.types.addresses import is_loopback


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_complete = bool(parts.hostname) and parts.port != 0  # reading a bad port raises
    except ValueError:
        is_complete = False
    if not is_complete or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("an address such as https://vision.googleapis.com expected, without a key")
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("https expected: a key must not be sent in the clear")
    return value.rstrip("/")


class ScreenSettings(SettingsPart):
    """Settings of the text on the screen. With the reader rapidocr nothing leaves the machine."""

    screen_reader: Literal["rapidocr", "google"] = Field(
        "rapidocr",
        alias="KB_SCREEN_READER",
        description="Reader of the text on the screen: rapidocr (on this machine) or google "
        "(Google Vision: each picture that is read is sent to KB_VISION_URL, and costs).",
    )
    vision_url: Annotated[str, AfterValidator(_address)] = Field(
        "https://vision.googleapis.com",
        alias="KB_VISION_URL",
        pattern=r"^https?://[^\s]+$",
        description="Address of Google Vision, up to /v1.",
    )
    vision_key: SecretStr = Field(
        SecretStr(""),
        alias="KB_VISION_KEY",
        description="Google Vision: API key, sent as a header only. Empty takes the service "
        "account of KB_VISION_ACCOUNT.",
    )
    vision_account: str = Field(
        "",
        alias="KB_VISION_ACCOUNT",
        description="Google Vision: file of a service account (JSON with its private key).",
    )
