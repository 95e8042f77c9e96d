"""The scripts of components: each is one module, with the functions that all share."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_SHARED = "elements.js"


def read_script(*names: str) -> str:
    """Return the scripts of a component, and the shared functions, as one module."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in (*names, _SHARED))
