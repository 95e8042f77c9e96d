"""Errors of the service as answers of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError

from kb.errors import KBError, UsageError
from kb.types.safe_text import shown

_Answer = TypeVar("_Answer")


def answered(ask: Callable[[], _Answer]) -> _Answer:
    """Return the answer for a tool. Raises ToolError with the service's message and next step."""
    try:
        return ask()
    except KBError as error:
        raise ToolError(_sentence(error)) from error


def read(ask: Callable[[], _Answer]) -> _Answer:
    """Return the content of a resource. Raises ResourceError, as not found for a wrong address."""
    try:
        return ask()
    except UsageError as error:
        raise ResourceNotFoundError(_sentence(error)) from error
    except KBError as error:
        raise ResourceError(_sentence(error)) from error


def _sentence(error: KBError) -> str:
    return shown(f"{error.message} {error.hint}".strip())
