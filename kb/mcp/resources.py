"""The library as resources: `kb://items`, and `kb://item/ID?t=SECOND` for a stretch of text."""

from __future__ import annotations

from dataclasses import asdict

from mcp.server.mcpserver import MCPServer

from kb.mcp.library_access import LibraryAccess
from kb.mcp.tool_errors import read
from kb.service.item_filter import ItemFilter
from kb.service.reading import Stretch

LISTED = 100  # items of `kb://items`
_TEXT = "text/plain"


def add_resources(server: MCPServer[object], library: LibraryAccess) -> None:
    """Add the resources of a library to a server; nothing is read before they are asked for."""

    @server.resource("kb://items", name="items", mime_type="application/json")
    def items() -> dict[str, object]:
        """The 100 newest recordings."""
        return read(
            lambda: library.ask(
                lambda service: asdict(service.reading.page("newest", ItemFilter(), LISTED))
            )
        )

    @server.resource("kb://item/{id}{?t}", name="transcript", mime_type=_TEXT)
    def transcript(id: str, t: str = "") -> str:
        """The transcript of an item, from its beginning or a minute around the second t."""
        place = f"{id}#{t}" if t else id
        return read(lambda: library.ask(lambda service: _document(service.reading.stretch(place))))


def _document(found: Stretch) -> str:
    head = [found.title, found.url, f"Doubtful: {found.doubtful}" if found.doubtful else ""]
    shown = ["", "On the screen:", found.on_screen] if found.on_screen else []
    return "\n".join([*filter(None, head), "", found.text, *shown])
