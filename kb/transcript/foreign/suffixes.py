"""Endings of files with transcripts of other programs."""

from __future__ import annotations

SUFFIXES = (
    ".json", ".json3", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp", ".srt", ".sbv", ".tsv",
    ".textgrid", ".csv", ".xlsx", ".lrc", ".html", ".htm", ".docx", ".md", ".edl", ".txt",
)  # fmt: skip
"""Endings of files that are read, those with the most exact times first."""
UNREAD_SUFFIXES = (".rtf", ".odt", ".pdf", ".smi", ".stl", ".sub")
"""Endings of transcripts in forms that are not read."""
