"""The service: all that the command line and the dashboard may call."""

from __future__ import annotations

from kb.service.results import IngestReport, ItemStatus, SearchResult
from kb.service.service import STATES, ItemListener, Service

__all__ = ["STATES", "IngestReport", "ItemListener", "ItemStatus", "SearchResult", "Service"]
