"""Settings of the knowledge bases beside the local index: ODIN, and a folder of Markdown."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from kb.settings.part import SettingsPart


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
        complete = bool(parts.hostname) and parts.port != 0  # reading a bad port raises
    except ValueError:
        complete = False
    if not complete:
        raise ValueError("an address such as https://api.getodin.ai expected")
    return value


class OdinSettings(SettingsPart):
    """Settings of the knowledge bases beside the local index: ODIN, and a folder of Markdown."""

    odin_api_key: SecretStr = Field(
        SecretStr(""),
        alias="API_KEY",
        description="ODIN: key of the API, sent as a header only. ODIN_API_KEY is the same "
        "setting and wins: other programs use this name too.",
    )
    odin_api_secret: SecretStr = Field(
        SecretStr(""),
        alias="API_SECRET",
        description="ODIN: secret of the API, sent as a header only. ODIN_API_SECRET is the same "
        "setting and wins.",
    )
    odin_project_id: str = Field(
        "vc0lgCl8YHKTHQ9ByzYt",
        alias="ODIN_PROJECT_ID",
        pattern=r"^[A-Za-z0-9_-]+$",
        description="ODIN: the project that documents go to.",
    )
    odin_base_url: Annotated[str, AfterValidator(_address)] = Field(
        "https://api.getodin.ai",
        alias="ODIN_BASE_URL",
        pattern=r"^https?://[^\s@]+$",
        description="ODIN: address of the API.",
    )
    odin_api_version: str = Field(
        "v3",
        alias="ODIN_API_VERSION",
        pattern=r"^v\d+$",
        description="ODIN: version of the upload call; older projects need v2.",
    )
    odin_listing: Literal["plain", "paged"] = Field(
        "plain",
        alias="ODIN_LISTING",
        description="ODIN: which call lists the project's documents, plain or paged.",
    )
    odin_document_bytes: int = Field(
        400_000,
        alias="ODIN_DOCUMENT_BYTES",
        ge=4_000,
        le=200_000_000,
        description="ODIN: longer transcripts are split into parts below so many bytes.",
    )
    odin_poll_s: float = Field(
        5.0,
        alias="ODIN_POLL_S",
        gt=0,
        description="ODIN: seconds between two checks whether a document is indexed.",
    )
    odin_poll_wait_s: float = Field(
        300.0,
        alias="ODIN_POLL_WAIT_S",
        ge=0,
        description="ODIN: seconds to wait for indexing before the item is left waiting and "
        "checked again later.",
    )
    odin_concurrency: int = Field(
        4,
        alias="ODIN_CONCURRENCY",
        ge=1,
        le=32,
        description="ODIN: requests under way at once, at most.",
    )
    odin_rate: float = Field(
        5.0,
        alias="ODIN_RATE",
        ge=0,
        description="ODIN: requests a second, at most; 0 for no limit.",
    )
    odin_timeout_s: float = Field(
        120.0,
        alias="ODIN_TIMEOUT_S",
        gt=0,
        description="ODIN: seconds without an answer after which a request is given up.",
    )
    odin_retries: int = Field(
        6,
        alias="ODIN_RETRIES",
        ge=0,
        description="ODIN: repetitions of a request when the service is busy or unreachable.",
    )
    odin_backoff_s: float = Field(
        1.0,
        alias="ODIN_BACKOFF_S",
        gt=0,
        description="ODIN: first pause before a repetition, in seconds; it doubles each time.",
    )
    odin_settle_s: float = Field(
        3.0,
        alias="ODIN_SETTLE_S",
        ge=0,
        description="ODIN: seconds until an upload whose answer was lost shows in the list.",
    )
    odin_credits_per_10k_words: float = Field(
        1.0,
        alias="ODIN_CREDITS_PER_10K_WORDS",
        ge=0,
        description="ODIN: credits that 10,000 words cost, for estimates (see your plan).",
    )
    folder_sink: str = Field(
        "",
        alias="KB_FOLDER_SINK",
        description="Folder for the sink `folder` (Markdown for Obsidian and the like); empty "
        "takes markdown/ in the library folder.",
    )
