"""Files: atomic writes, locks, errors of the operating system."""

from __future__ import annotations

from kb.storage.atomic import (
    TEMPORARY_PREFIX,
    TEMPORARY_SUFFIX,
    atomic_path,
    link_or_copy,
    read_json,
    sweep,
    write_bytes,
    write_json,
    write_private,
    write_text,
)
from kb.storage.json_fields import Fields
from kb.storage.locks import locked
from kb.storage.os_errors import library_error

__all__ = [
    "TEMPORARY_PREFIX",
    "TEMPORARY_SUFFIX",
    "Fields",
    "atomic_path",
    "library_error",
    "link_or_copy",
    "locked",
    "read_json",
    "sweep",
    "write_bytes",
    "write_json",
    "write_private",
    "write_text",
]
