"""Settings of the digest: the report of what is new and what failed, a day or a week."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from kb.settings.part import SettingsPart


class DigestSettings(SettingsPart):
    """Settings of the digest: its interval, and where it is sent."""

    digest: Literal["off", "day", "week"] = Field(
        "week",
        alias="KB_DIGEST",
        description="Report of what is new, what failed, when it is tried again and how much room "
        "is left: off, day or week. While something is followed, a worker writes it into "
        "logs/digests/ of the library folder, and sends it as follows.",
    )
    digest_email: str = Field(
        "",
        alias="KB_DIGEST_EMAIL",
        description="Addresses that get the digest as e-mail, separated by commas; needs "
        "KB_SMTP_HOST.",
    )
    digest_webhook: SecretStr = Field(
        SecretStr(""),
        alias="KB_DIGEST_WEBHOOK",
        description="Address that the digest is sent to as JSON (POST).",
    )
    smtp_host: str = Field(
        "",
        alias="KB_SMTP_HOST",
        description="Server that sends the e-mail.",
    )
    smtp_port: int = Field(
        587,
        alias="KB_SMTP_PORT",
        ge=1,
        le=65_535,
        description="Port of that server: usually 587 for starttls, 465 for tls.",
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        alias="KB_SMTP_SECURITY",
        description="How the connection to that server is encrypted: starttls, tls or none.",
    )
    smtp_user: str = Field(
        "",
        alias="KB_SMTP_USER",
        description="Name for the sign-in at that server; empty signs in nowhere.",
    )
    smtp_password: SecretStr = Field(
        SecretStr(""),
        alias="KB_SMTP_PASSWORD",
        description="Password for the sign-in at the e-mail server.",
    )
    smtp_from: str = Field(
        "",
        alias="KB_SMTP_FROM",
        description="Sender of the e-mail; empty takes KB_SMTP_USER.",
    )
    run_email: str = Field(
        "",
        alias="KB_RUN_EMAIL",
        description="Addresses that get an e-mail when a run has ended, separated by commas: what "
        "is done, what failed and why; needs KB_SMTP_HOST.",
    )
    run_email_minutes: float = Field(
        10.0,
        alias="KB_RUN_EMAIL_MINUTES",
        ge=0,
        description="A run that took fewer minutes than this gets no e-mail.",
    )
