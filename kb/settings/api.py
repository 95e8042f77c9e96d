"""Settings of the HTTP API."""

from __future__ import annotations

from pydantic import Field, SecretStr

from kb.settings.part import SettingsPart


class ApiSettings(SettingsPart):
    """Settings of the HTTP API."""

    api_keys: SecretStr = Field(
        SecretStr(""),
        alias="KB_API_KEYS",
        description="Keys of the HTTP API, separated by commas, each of at least 20 characters. "
        "They have every scope and no quota; kb keys add makes keys with scopes and quotas. One or "
        "the other is needed where kb serve listens beyond this machine; without any key every "
        "program of this machine may call it.",
    )
    api_max_mb: float = Field(
        1024.0,
        alias="KB_API_MAX_MB",
        gt=0,
        description="Largest body of a request to the HTTP API, in MB.",
    )
    api_waiting: int = Field(
        64,
        alias="KB_API_WAITING",
        ge=1,
        le=1000,
        description="Transcriptions of the HTTP API that run or wait at once; further requests are "
        "refused with 429 and the time to try again.",
    )
    api_uploads: int = Field(
        32,
        alias="KB_API_UPLOADS",
        ge=1,
        le=1000,
        description="Resumable uploads that one key of the HTTP API may have open at once. Each "
        "has at most KB_UPLOAD_MAX_GB, and is removed a day after its last part.",
    )
    metrics_keys: bool = Field(
        False,
        alias="KB_METRICS_KEYS",
        description="Name the sound of each key of the library in /metrics, by the key's id "
        "(kb_key_seconds_total).",
    )

    webhook_secret: SecretStr = Field(
        SecretStr(""),
        alias="KB_WEBHOOK_SECRET",
        description="Secret with which notices of ended jobs are signed (Standard Webhooks): "
        "whsec_ and 24 to 64 bytes in base64. A job may name a webhook only where it is set.",
    )

    search_webhook: SecretStr = Field(
        SecretStr(""),
        alias="KB_SEARCH_WEBHOOK",
        description="Address that alerts of saved searches are sent to (POST, event search.hits), "
        "signed with KB_WEBHOOK_SECRET. It may be in a private network.",
    )

    @property
    def api_key_texts(self) -> tuple[str, ...]:
        """`api_keys` as a tuple of secrets, without empty ones."""
        texts = self.api_keys.get_secret_value().split(",")
        return tuple(text.strip() for text in texts if text.strip())

    @property
    def api_max_bytes(self) -> int:
        """`api_max_mb` in bytes."""
        return int(self.api_max_mb * 1e6)
