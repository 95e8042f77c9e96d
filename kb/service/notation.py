"""Text notation of user values: days, time spans, times, filters, names."""

from __future__ import annotations

from kb.library.languages import language_code as language_code
from kb.library.links import dashboard_link as dashboard_link
from kb.library.links import links_to as links_to
from kb.pipeline.list_filter import FACETS as FACETS
from kb.pipeline.list_filter import REVIEW_STATES as REVIEW_STATES
from kb.pipeline.list_filter import SENT_STATES as SENT_STATES
from kb.pipeline.list_filter import ListFilter as ListFilter
from kb.sinks import REMOTE as REMOTE
from kb.sinks.base import SEARCH_MODES as SEARCH_MODES
from kb.sinks.base import SearchMode as SearchMode
from kb.sources.listing.filters import VideoFilters as VideoFilters
from kb.sources.listing.filters import parse_span as parse_span
from kb.transcript import FORMAT_GROUPS as FORMAT_GROUPS
from kb.transcript import FORMATS as FORMATS
from kb.transcript.chunks import format_length as format_length
from kb.transcript.chunks import format_timestamp as format_timestamp
from kb.transcript.chunks import parse_time as parse_time
