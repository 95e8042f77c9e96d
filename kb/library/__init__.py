"""The library folder: files, names, metadata."""

from __future__ import annotations

from kb.library.library import Library
from kb.library.links import deep_link
from kb.library.metadata import MEDIA_EXTENSIONS, LibraryEntry

__all__ = ["MEDIA_EXTENSIONS", "Library", "LibraryEntry", "deep_link"]
