"""Earlier versions of items: the transcripts before another transcription, or of media that their
source has replaced.

    <home>/versions/3f2a…/1/transcript.json   the exact transcript, with its changes by hand
                           /text.txt          its text
                           /medium.webm       the medium that it was made from, if that was replaced
                           /version.json      the facts, written last: a version without it is none

They are no items: nothing of them is searched, indexed or published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kb import storage
from kb.library.library import Library
from kb.library.metadata import LibraryEntry
from kb.storage import Fields

FOLDER, DOCUMENT = "versions", "version.json"
REPLACED = "replaced"  # the state of a version
_TRANSCRIPT, _TEXT, _MEDIUM = "transcript.json", "text.txt", "medium"


@dataclass(frozen=True, slots=True)
class Version:
    """One earlier version of an item; a path is None if its file does not exist.

    `number` counts from 1, the oldest. `replaced_at` is in UTC, `duration_s` the length of its
    medium in seconds. `transcribed` is the record of its transcript (model, engine, run ...).
    """

    item_id: str
    number: int
    replaced_at: str
    title: str
    duration_s: float | None
    sha256: str
    transcribed: Mapping[str, Any]
    transcript_path: Path | None
    text_path: Path | None
    media_path: Path | None
    state: str = field(default=REPLACED)


class Versions:
    """The earlier versions in one library. Methods raise LibraryError when files cannot be used."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def of(self, item_id: str) -> list[Version]:
        """Return the earlier versions of an item, the oldest first."""
        folder = self._folder(item_id)
        found = [_read(path) for path in folder.glob(f"*/{DOCUMENT}")]
        return sorted((each for each in found if each.item_id == item_id), key=lambda v: v.number)

    def keep(self, entry: LibraryEntry, *, medium: bool = True) -> Version | None:
        """Keep transcript, text and medium of an item before they are replaced.

        Without `medium` for one that stays. Return None for an item without a transcript. One that
        is kept already is not kept again.
        """
        if entry.transcript_path is None:
            return None
        self._library.check_place()
        try:
            digest = hashlib.sha256(entry.transcript_path.read_bytes()).hexdigest()
        except OSError as error:
            raise storage.library_error(error, entry.transcript_path, "read") from error
        earlier = self.of(entry.item.id)
        for each in earlier:
            hashes = each.transcribed.get("kept_sha256")
            if hashes == digest and (not medium or each.sha256 == entry.sha256):
                return each
        number = max((each.number for each in earlier), default=0) + 1
        folder = self._folder(entry.item.id) / str(number)
        storage.link_or_copy(entry.transcript_path, folder / _TRANSCRIPT, link=True)
        if entry.text_path is not None:
            storage.link_or_copy(entry.text_path, folder / _TEXT, link=True)
        name = ""
        if medium and entry.media_path is not None:
            name = f"{_MEDIUM}{entry.media_path.suffix}"
            storage.link_or_copy(entry.media_path, folder / name, link=True)
        document = {
            "version": 1,
            "id": entry.item.id,
            "number": number,
            "state": REPLACED,
            "replaced_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "title": entry.item.title,
            "duration_s": entry.duration_s or entry.item.duration_s,
            "sha256": entry.sha256,
            "medium": name,
            "transcribed": {**entry.transcribed, "kept_sha256": digest},
        }
        storage.write_json(folder / DOCUMENT, document)
        # Not read back: the folder's share may have gone away since.
        return _version(document, folder / DOCUMENT)

    def remove(self, item_id: str) -> None:
        """Delete all earlier versions of an item."""
        storage.remove_tree(self._folder(item_id))

    def _folder(self, item_id: str) -> Path:
        digest = hashlib.sha256(item_id.encode("utf-8", "surrogatepass")).hexdigest()
        return self._library.home / FOLDER / digest[:16]


def _read(path: Path) -> Version:
    return _version(storage.read_json(path), path)


def _version(document: Mapping[str, Any], path: Path) -> Version:
    fields = Fields(dict(document), str(path), hint="Move its folder out of versions/.")
    folder = path.parent
    medium = fields.text("medium", "")
    if "/" in medium or "\\" in medium:
        raise fields.error("medium", "a name expected")

    def there(name: str) -> Path | None:
        return folder / name if name and (folder / name).exists() else None

    return Version(
        item_id=fields.text("id"),
        number=fields.whole("number"),
        replaced_at=fields.text("replaced_at", ""),
        title=fields.text("title", ""),
        duration_s=fields.number("duration_s", None),
        sha256=fields.text("sha256", ""),
        transcribed=fields.mapping("transcribed", {}),
        transcript_path=there(_TRANSCRIPT),
        text_path=there(_TEXT),
        media_path=there(medium),
        state=fields.text("state", REPLACED),
    )
