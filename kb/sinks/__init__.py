"""Sinks: the knowledge bases that passages are published to.

A new sink is one file with a class whose argument is `Settings`, and one line in `SINKS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kb.errors import UsageError
from kb.settings import Settings
from kb.sinks.base import SearchableSink, Sink

SINKS: dict[str, str] = {
    "local": "kb.sinks.local.sink:LocalSink",
    "odin": "kb.sinks.odin.sink:OdinSink",
    "folder": "kb.sinks.markdown_folder:FolderSink",
}
REMOTE = "odin"  # the sink that supports synchronization, questions and uploads of files


def check_sink(name: str) -> None:
    """Raise UsageError, listing the known names, for a name that is not in `SINKS`."""
    if name not in SINKS:
        raise UsageError(
            "sink.unknown",
            "Unknown knowledge base {name!r}.",
            hint="Known: {known}. See KB_SINKS.",
            name=name,
            known=", ".join(sorted(SINKS)),
        )


def open_sink(name: str, settings: Settings) -> Sink:
    """Return the sink of that name; its module is imported on this call.

    Raises UsageError for an unknown name, listing the known ones.
    """
    sink: Sink = _sink_class(name)(settings)
    return sink


def is_local_sink(name: str) -> bool:
    """Return `is_local` of the sink of that name. Raises UsageError for an unknown name."""
    local: bool = _sink_class(name).is_local
    return local


def _sink_class(name: str) -> Any:
    check_sink(name)
    module, _, kind = SINKS[name].partition(":")
    return getattr(import_module(module), kind)


def open_search(name: str, settings: Settings) -> SearchableSink:
    """Return the sink of that name for a search.

    Raises UsageError when the name is unknown or that sink cannot search.
    """
    sink = open_sink(name, settings)
    if not isinstance(sink, SearchableSink):
        raise UsageError(
            "sink.not_searchable",
            "The knowledge base {name!r} cannot be searched from here.",
            hint="Search the local one: `kb search QUERY`.",
            name=name,
        )
    return sink
