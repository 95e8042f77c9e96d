"""Readers of ODIN's answers, which refuse an answer whose form is not known.

An answer of unknown form must not count as "nothing there": every document would then be sent a
second time. A missing value and a value of another type are errors that name the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kb.sinks.odin.errors import OdinRefused


@dataclass(frozen=True, slots=True)
class RemoteDocument:
    """A document in the project's list; `name` is its key, `status` is ODIN's own value."""

    name: str
    status: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """One page of the project's list; `total` is the service's count of all documents, or None.

    `keys` has one entry per document that distinguishes documents of the same name.
    """

    documents: tuple[RemoteDocument, ...]
    keys: tuple[tuple[str, str], ...]
    total: int | None = None


def unknown_answer(call: str, place: str) -> OdinRefused:
    """Return the error for an answer to `call` that is not understood at the field `place`."""
    return OdinRefused(
        "odin.answer_unknown",
        "ODIN's answer to {call!r} has a form that is not known, at {place}.",
        hint="Nothing was sent. Update KB Ingest; for the list of documents the other value of "
        "ODIN_LISTING (plain or paged) may help.",
        call=call,
        place=place,
    )


def read_rows(answer: Mapping[str, Any], name: str, call: str) -> list[Mapping[str, Any]]:
    """Return the list of objects in a field. Raises OdinRefused for anything else."""
    rows = answer.get(name)
    if not isinstance(rows, list):
        raise unknown_answer(call, name)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise unknown_answer(call, f"{name}[{number}]")
    return rows


def read_text(answer: Mapping[str, Any], name: str, call: str, place: str = "") -> str:
    """Return the text in a field; a number counts as text. Raises OdinRefused if there is none."""
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise unknown_answer(call, f"{place}{name}")
    return str(value)


def read_page(answer: Mapping[str, Any]) -> DocumentPage:
    """Return the documents of an answer of the paged list. Raises OdinRefused."""
    call = "list of documents"
    total = _total(answer, call)
    # A service may write no list at all for a project that it calls empty.
    if total == 0 and "docs" in answer and answer["docs"] is None:
        return DocumentPage((), (), 0)
    documents, keys = [], []
    for number, row in enumerate(read_rows(answer, "docs", call)):
        place = f"docs[{number}]."
        column = next((name for name in ("content_key", "name", "id") if row.get(name)), "")
        name = read_text(row, column or "content_key", call, place)
        documents.append(read_document(name, row, place))
        keys.append((name, str(row.get("id") or "")))
    return DocumentPage(tuple(documents), tuple(keys), total)


def read_document(name: str, row: object, place: str) -> RemoteDocument:
    """Return a row of a list as a document. Raises OdinRefused.

    Metadata may be missing: some services lose them. `place` begins the names of the fields.
    """
    call = "list of documents"
    if not isinstance(row, dict):
        raise unknown_answer(call, place.rstrip("."))
    metadata = row.get("metadata")
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except (ValueError, RecursionError):
            metadata = None
        metadata = metadata if isinstance(metadata, dict) else {}
    if metadata is not None and not isinstance(metadata, dict):
        raise unknown_answer(call, f"{place}metadata")
    return RemoteDocument(
        name, read_text(row, "status", call, place), metadata or {}, str(row.get("url") or "")
    )


def _total(answer: Mapping[str, Any], call: str) -> int | None:
    about = answer.get("kb_info")
    if about is None:
        return None
    if not isinstance(about, dict):
        raise unknown_answer(call, "kb_info")
    count = about.get("count")
    if count is None:
        return None
    if isinstance(count, str) and count.isascii() and count.isdigit():
        return int(count)
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise unknown_answer(call, "kb_info.count")
    return count
