"""Settings of the server for assistants (`kb mcp`)."""

from __future__ import annotations

from pydantic import BaseModel, Field


class AssistantSettings(BaseModel):
    """Settings of the server for assistants (`kb mcp`)."""

    mcp_write: bool = Field(
        False,
        alias="KB_MCP_WRITE",
        description="Assistants may queue media by link, try them again and cancel them (kb mcp): "
        "from the public network and KB_PRIVATE_HOSTS alone. Off: they only read.",
    )
