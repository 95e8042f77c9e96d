"""The errors of network libraries that another attempt cannot cure: a wrong address or proxy."""

from __future__ import annotations

from collections.abc import Iterator

# Qualified names of classes; the libraries are slow to import and not needed by every command.
_LASTING = frozenset(
    {
        "requests.exceptions.InvalidHeader",
        "requests.exceptions.InvalidProxyURL",
        "requests.exceptions.InvalidSchema",
        "requests.exceptions.InvalidURL",
        "requests.exceptions.MissingSchema",
        "urllib3.exceptions.LocationParseError",
        "urllib3.exceptions.LocationValueError",
        "urllib3.exceptions.ProxySchemeUnknown",
        "urllib3.exceptions.ProxySchemeUnsupported",
        "urllib3.exceptions.URLSchemeUnknown",
        "yt_dlp.networking.exceptions.NoSupportingHandlers",
        "builtins.UnicodeEncodeError",  # a host or header that cannot be encoded
    }
)


def is_lasting(error: BaseException) -> bool:
    """Return True if the error or one of its causes stays the same at every attempt."""
    return any(
        f"{kind.__module__}.{kind.__qualname__}" in _LASTING
        for link in _chain(error)
        for kind in type(link).__mro__
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        link = queue.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        # urllib3 and yt-dlp keep the cause in an attribute or an argument.
        queue += [link.__cause__, link.__context__, *link.args]
        queue += [getattr(link, "reason", None), getattr(link, "cause", None)]
