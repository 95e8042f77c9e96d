"""KB Ingest: links become media, media become words, words become knowledge.

`from kb import transcribe, ingest, search` gives the functions for other Python programs
(`kb/functions.py`); they are loaded when they are first named.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# ONNX Runtime, from 1.29 on, gives the machine an id and sends figures of its use to its maker,
# unless this is set before it is loaded. Processes that this one starts have it too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

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
