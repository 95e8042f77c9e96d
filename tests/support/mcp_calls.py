"""A call of a tool through the real client of the Model Context Protocol, in this process."""

from __future__ import annotations

import asyncio
from typing import Any

from mcp import Client

from kb.mcp.server import make_server
from kb.settings import Settings


def call(settings: Settings, tool: str, **arguments: Any) -> dict[str, Any]:
    """Return the structured answer of a tool; an error's text as `error`."""

    async def ask() -> dict[str, Any]:
        async with Client(make_server(settings)) as client:
            result = await client.call_tool(tool, arguments)
        if result.is_error:
            return {"error": result.content[0].text}  # type: ignore[union-attr]
        assert result.structured_content is not None
        return result.structured_content

    return asyncio.run(ask())
