"""The check of answers to requests for the rest of a file.

yt-dlp takes a partial answer with another start for the whole file, which would leave its tail.
"""

from __future__ import annotations

import re
from typing import Any

_ASKED = re.compile(r"bytes=(\d+)-\d*")
_GIVEN = re.compile(r"bytes (\d+)-(\d+)/(?:\d+|\*)")


class RangeCheck:
    """A check of all answers that one YoutubeDL gets; `failed` is True after a wrong one."""

    def __init__(self, ydl: Any) -> None:
        self.failed = False
        self._urlopen = ydl.urlopen
        ydl.urlopen = self._open

    def _open(self, request: Any) -> Any:
        response = self._urlopen(request)
        headers = getattr(request, "headers", {})
        asked = _ASKED.fullmatch(str(headers.get("Range") or ""))
        if asked is not None and response.status == 206 and not _is_right(asked, response.headers):
            self.failed = True
            response.close()
            raise OSError("the site sent another part of the file than the requested one")
        return response


def _is_right(asked: re.Match[str], headers: Any) -> bool:
    given = _GIVEN.fullmatch(str(headers.get("Content-Range") or "").strip())
    if given is None or given[1] != asked[1]:
        return False
    length = str(headers.get("Content-Length") or "")
    return not length.isdigit() or int(length) == int(given[2]) - int(given[1]) + 1
