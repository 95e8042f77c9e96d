"""Hooks of schemathesis: bodies of uploads, and a model that is served."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def part_of_an_upload(_context: Any, value: Any) -> Any:
    """Return the bytes of a part."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """Name a model that is served, so that the answers of a recognizer are checked, too."""
    if isinstance(body, dict) and isinstance(body.get("model"), str):
        return {**body, "model": "whisper-1"}
    return body
