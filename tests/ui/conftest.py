"""Fixtures of the page tests."""

from __future__ import annotations

from tests.support.live_worker import lasting_signs
from tests.support.page_library import home

__all__ = ["home", "lasting_signs"]
