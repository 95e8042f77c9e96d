"""The service: the interface that the command line and the dashboard use."""

from __future__ import annotations

from kb.jobs.queue.item_states import STATES
from kb.service.results import IngestReport, ItemListener, ItemStatus, SearchResult
from kb.service.service import Service

__all__ = ["STATES", "IngestReport", "ItemListener", "ItemStatus", "SearchResult", "Service"]
