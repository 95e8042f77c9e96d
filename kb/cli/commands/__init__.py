"""The commands of `kb`, by subject."""

from __future__ import annotations

from collections.abc import Mapping

MODULES: Mapping[str, tuple[str, ...]] = {
    "jobs": ("ingest", "cancel", "dismiss", "retry", "pause", "resume"),
    "status": ("status",),
    "enrich": ("enrich",),
    "notes": ("notes",),
    "translate": ("translate",),
    "speakers": ("speakers", "voices"),
    "speak": ("speak", "dub"),
    "sources": ("scan", "follow", "unfollow", "digest"),
    "publish": ("publish", "sync", "ask", "upload"),
    "machine": ("calibrate", "presets", "audit", "models"),
    "review": ("review", "clip", "vocabulary", "correct"),
    "care": ("verify", "reindex", "backup", "restore", "remove", "move-queue"),
    "export": ("export",),
    "assistant": ("mcp",),
    "health": ("health",),
    "serve": ("serve",),
    "keys": ("keys",),
    "library": ("list", "tag", "searches"),
    "video": ("video",),
    "evidence": ("evidence",),
    "transcribe": ("transcribe",),
    "read": ("search", "show"),
    "dashboard": ("app",),
    "doctor": ("doctor",),
    "worker": ("worker",),
    "look": ("config", "logs", "open"),
}
"""The commands and groups of each module, so that a command imports its own module alone."""
