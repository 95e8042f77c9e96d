"""Exit codes of every command."""

from __future__ import annotations

OK, FAILED, USAGE_ERROR, INTERRUPTED = 0, 1, 2, 130
