"""Settings of the server for assistants (`kb mcp`), and of requests that may cost money."""

from __future__ import annotations

from pydantic import Field

from kb.settings.part import SettingsPart


class AssistantSettings(SettingsPart):
    """Settings of the server for assistants (`kb mcp`)."""

    paid_requests: bool = Field(
        False,
        alias="KB_PAID_REQUESTS",
        description="Assistants (kb mcp), and every key of the HTTP API, may ask for what can cost "
        "money: answers and steps of a language model, text on the screen read by Google. Off: a "
        "key needs the scope paid, and assistants get the passages of the library alone.",
    )
    mcp_write: bool = Field(
        False,
        alias="KB_MCP_WRITE",
        description="Assistants may queue media by link, try them again and cancel them (kb mcp): "
        "from the public network and KB_PRIVATE_HOSTS alone. Off: they only read.",
    )
