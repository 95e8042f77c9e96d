"""Fixtures of the queue tests."""

from __future__ import annotations

from tests.support.outbox import jobs
from tests.support.page_library import home

__all__ = ["home", "jobs"]
