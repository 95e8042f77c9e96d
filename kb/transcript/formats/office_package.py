"""The packages of office programs (docx, xlsx): bytes that depend on their content alone."""

from __future__ import annotations

import io
import re
import zipfile

_PROPERTIES = "docProps/core.xml"
_CLOCK = re.compile(rb"<dcterms:(created|modified)\b.*?</dcterms:\1>", re.DOTALL)


def without_clock(package: io.BytesIO) -> bytes:
    """Return a package without the time at which it was made: equal for equal content."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(package) as made,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as kept,
    ):
        for name in made.namelist():
            entry = zipfile.ZipInfo(name)  # of 1980, the earliest
            entry.compress_type = zipfile.ZIP_DEFLATED
            data = made.read(name)
            kept.writestr(entry, _CLOCK.sub(b"", data) if name == _PROPERTIES else data)
    return target.getvalue()
