"""Where media come from: one file a source, found by name in `SOURCES`.

A new source is one file with a class after `kb.sources.base.Source` and one line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from kb.errors import UsageError
from kb.sources.base import Source

# name -> "module:Class", asked in this order; loaded on use.
SOURCES: dict[str, str] = {
    # Before files: youtube.com/@name looks like a path, and YouTube's forms are told exactly.
    "youtube": "kb.sources.youtube.source:YouTubeSource",
    "file": "kb.sources.files:FileSource",
    "web": "kb.sources.web:WebSource",
}


def get_source(name: str, **kwargs: Any) -> Source:
    """The source of this name (`MediaItem.source`).

    `kwargs` is handed to its constructor: `settings`, `database`, and `measure`, which tells
    the decoded length of a file. Raises UsageError naming the known ones.
    """
    try:
        module, cls = SOURCES[name].split(":")
    except KeyError:
        raise UsageError(
            f"Unknown source {name!r}.", hint=f"Known sources: {', '.join(SOURCES)}."
        ) from None
    return cast(Source, getattr(import_module(module), cls)(**kwargs))


def source_for(reference: str, **kwargs: Any) -> Source:
    """The first source that accepts what a user typed, made with `kwargs` (see `get_source`).

    Raises UsageError when none does.
    """
    for name in SOURCES:
        source = get_source(name, **kwargs)
        if source.accepts(reference):
            return source
    raise UsageError(
        f"Nothing here knows what {reference!r} is.",
        hint="Give a path of a media file or folder, a YouTube link or handle, or the address of "
        "a page.",
    )
