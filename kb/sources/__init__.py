"""Sources of media: one file per source, found by name in `SOURCES`.

A new source is one file with a class like `kb.sources.base.Source` and one line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from kb.errors import UsageError
from kb.sources.base import Source

# Name of a source -> "module:Class". `source_for` tries them in this order; a module is imported
# on its first use.
SOURCES: dict[str, str] = {
    # YouTube precedes files: youtube.com/@name looks like a path, and YouTube's forms are
    # unambiguous.
    "youtube": "kb.sources.youtube.source:YouTubeSource",
    "file": "kb.sources.files:FileSource",
    "web": "kb.sources.web:WebSource",
}


def get_source(name: str, **kwargs: Any) -> Source:
    """Return the source of this name (`MediaItem.source`).

    `kwargs` are the arguments of its constructor: `settings`, `database`, and `measure`, which
    returns the decoded length of a file in seconds. Raises UsageError for an unknown name.
    """
    try:
        module, cls = SOURCES[name].split(":")
    except KeyError:
        raise UsageError(
            "source.unknown",
            "Unknown source {name!r}.",
            hint="Known sources: {known}.",
            name=name,
            known=", ".join(SOURCES),
        ) from None
    return cast(Source, getattr(import_module(module), cls)(**kwargs))


def source_for(reference: str, **kwargs: Any) -> Source:
    """Return the first source that accepts a reference; `kwargs` as in `get_source`.

    Raises UsageError when no source accepts it.
    """
    for name in SOURCES:
        source = get_source(name, **kwargs)
        if source.accepts(reference):
            return source
    raise UsageError(
        "reference.unknown",
        "Nothing here knows what {reference!r} is.",
        hint="Give a path of a media file or folder, a YouTube link or handle, or the address of "
        "a page.",
        reference=reference,
    )
