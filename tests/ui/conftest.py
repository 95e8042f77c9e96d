"""Fixtures of the page tests."""

from __future__ import annotations

from tests.support.page_library import home

__all__ = ["home"]
