"""The earlier versions of an item, as `kb show` prints them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.text import Text

from kb.cli.output import console
from kb.service import Service
from kb.service.notation import format_timestamp

if TYPE_CHECKING:
    from kb.service.views import Version


def show_versions(service: Service, item_id: str, number: int | None, *, as_json: bool) -> None:
    """Print the earlier versions of an item, or the text of one of them.

    Raises UsageError for a version that does not exist.
    """
    if number is not None:
        version, transcript = service.items.version(item_id, number)
        if as_json:
            document = service.items.document(transcript)
            console.print_json({**_document(version), "transcript": document})
            return
        console.print_note(_line(version))
        item = service.items.entry(item_id).item
        sys.stdout.write(str(service.items.render(transcript, "txt", item=item)))
        return
    found = service.items.versions(item_id)
    if as_json:
        console.print_json({"id": item_id, "versions": [_document(each) for each in found]})
        return
    for each in found:
        console.out.print(Text(_line(each)))
    if not found:
        console.print_note("There is no earlier version.")


def _line(version: Version) -> str:
    length = format_timestamp(version.duration_s) if version.duration_s is not None else "?"
    model = version.transcribed.get("model") or "?"
    return (
        f"version {version.number}  {version.state} {version.replaced_at[:10]}  {length}  {model}  "
        f"{version.title}"
    )


def _document(version: Version) -> dict[str, Any]:
    return {
        "number": version.number,
        "state": version.state,
        "replaced_at": version.replaced_at,
        "title": version.title,
        "duration_s": version.duration_s,
        "sha256": version.sha256,
        "transcribed": dict(version.transcribed),
        "transcript_path": str(version.transcript_path) if version.transcript_path else None,
        "media_path": str(version.media_path) if version.media_path else None,
    }
