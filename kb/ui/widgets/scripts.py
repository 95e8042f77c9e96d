"""The scripts of components, each one module with the functions that all share, and their data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_SHARED = "elements.js"


def read_script(*names: str) -> str:
    """Return the scripts of a component, and the shared functions, as one module."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in (*names, _SHARED))


def sent(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the data of a component as its script takes them: `const { data: [data] }`.

    Streamlit looks for tables in each value of a mapping, and loads pandas for that; a list is sent
    as it is.
    """
    return [data]
