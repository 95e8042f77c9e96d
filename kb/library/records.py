"""The record of an item (`STEM.json`), changed without losing what others write."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import LibraryError
from kb.library.fencing import TOKEN, Fence, number_in, older_database
from kb.library.metadata import METADATA_VERSION, is_record, item_document, merge_record, user_part
from kb.library.originals import keep_original
from kb.types import MediaItem

log = logging.getLogger(__name__)


class RecordChanged(Exception):
    """The record was changed after it was read; the change is made again, on the new one."""


def write_record(
    path: Path,
    item: MediaItem,
    changes: Mapping[str, Any],
    files: Mapping[Path, bytes],
    fence: Fence,
) -> dict[str, Any]:
    """Write files and then the item's record at `path` with `changes`; return the new record.

    All are moved into place within the guard of `fence`, whose number the record gets. Raises
    RecordChanged if the record is not the one that was changed, what the guard raises, and
    LibraryError, also for a record of a newer version and for a later attempt's: then nothing is
    written.
    """
    before = _content(path)
    record = _record_to_change(path)
    if before is not None and not path.exists():
        before = None  # it was no metadata, and is kept under another name
    known_item = record.get("item")
    kept = known_item if isinstance(known_item, dict) else {}
    # An available medium has no such key: that of an announced one must not stay.
    kept = {key: value for key, value in kept.items() if key != "availability"}
    described = {**kept, **item_document(item)}
    own_title = user_part({**record, **changes}).get("title")
    if item.title in (own_title, user_part(record).get("title")) and "title" in kept:
        described["title"] = kept["title"]  # that of the source, under a person's own
    head = {"version": METADATA_VERSION, "item": described}
    merged = {**head, **merge_record(record, changes), **head}
    if fence.number:
        merged[TOKEN] = fence.number

    @contextmanager
    def guard() -> Iterator[None]:
        with fence.guard():
            if fence.number and number_in(record) > fence.number:
                raise older_database(path.parent.parent, number_in(record), fence.number)
            # A lock of a file may not hold on other machines; the lock of the row does.
            if _content(path) != before:
                raise RecordChanged
            yield

    storage.write_together([*files.items(), (path, storage.json_bytes(merged))], guard)
    return merged


def _record_to_change(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        record = storage.read_json(path)
    except LibraryError as error:
        if keep_original(path):  # a list is no metadata
            return {}
        log.warning("%s It is kept as %s.damaged.", error.message, path.name)
        storage.link_or_copy(path, path.with_name(f"{path.name}.damaged"), link=True)
        return {}
    if not is_record(record):
        return {} if keep_original(path) else {"adopted": record}
    if record["version"] != METADATA_VERSION:
        raise LibraryError(
            "library.newer",
            "{path} is of version {version}, this program knows {known}.",
            hint="Update KB Ingest before writing to this library.",
            path=path,
            version=record["version"],
            known=METADATA_VERSION,
        )
    return record


def record_busy(path: Path) -> LibraryError:
    """Return the error for a record that others change each time before it can be written."""
    return LibraryError(
        "library.record_busy",
        "Other processes change {path} over and over.",
        hint="Try again.",
        retryable=True,
        path=path,
    )


def _content(path: Path) -> bytes | None:
    """Return a file's bytes; None if it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
