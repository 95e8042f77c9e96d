"""Settings of the dashboard."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr


class DashboardSettings(BaseModel):
    """Settings of the dashboard."""

    password: SecretStr = Field(
        SecretStr(""),
        alias="KB_PASSWORD",
        description="Password of the dashboard. Needed (or OIDC) where it listens beyond this "
        "machine; put a proxy with TLS before it there.",
    )
    users: str = Field(
        "",
        alias="KB_USERS",
        description="E-mail addresses that may come in through OIDC, separated by commas; empty "
        "lets in every person whom the provider signs in.",
    )
    app_worker: bool = Field(
        True,
        alias="KB_APP_WORKER",
        description="The dashboard starts a worker on its machine when none is alive: at its "
        "start, when items are queued, after one was killed. Off: by its button alone.",
    )
