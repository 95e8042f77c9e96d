"""KB Ingest: links become media, media become words, words become knowledge.

`from kb import transcribe, ingest, search` gives the functions for other Python programs
(`kb/functions.py`); they are loaded when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from kb.functions import ingest, search, transcribe

__all__ = ["__version__", "ingest", "search", "transcribe"]


def __getattr__(name: str) -> Any:
    if name in ("ingest", "search", "transcribe"):
        from importlib import import_module

        return getattr(import_module("kb.functions"), name)
    raise AttributeError(f"module 'kb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
