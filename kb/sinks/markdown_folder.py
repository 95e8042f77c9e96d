"""The sink for a folder of Markdown files, for Obsidian, AnythingLLM, NotebookLM and others.

One file per item, with its metadata as YAML front matter. The front matter has the hash of what was
written, so that a file that a person has changed is known and stays; fields that they added to the
front matter are taken over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import KBError, KnowledgeBaseError, LibraryError
from kb.library.filenames import file_id, make_stem
from kb.library.user_files import UserFiles
from kb.settings import Settings
from kb.sinks.base import content_sha256
from kb.sinks.odin.documents import RESERVED_KEYS, make_documents
from kb.storage import Standing, Target
from kb.types import DocumentFacts, MediaItem, Passage, Published
from kb.types.safe_text import printable_json

FOLDER_NAME = "markdown"
WRITTEN_SHA256 = "written_sha256"
_FENCE = "---\n"
_UNLIMITED = 1 << 60


class FolderSink:
    """Markdown files under `KB_FOLDER_SINK`, each written atomically.

    With `overwrite` a publish also replaces a file that was changed by hand. Every method raises
    KnowledgeBaseError when the folder cannot be read or written.
    """

    name = "folder"
    is_local = False

    def __init__(self, settings: Settings) -> None:
        self.overwrite = False
        self._files = UserFiles(settings.home, inside=(FOLDER_NAME,), beside=False)
        chosen = settings.folder_sink
        self.folder = Path(chosen).expanduser() if chosen else settings.home / FOLDER_NAME
        self.folder = self.folder.absolute()
        self._is_private = self.folder.is_relative_to(settings.home)

    def publish(
        self,
        item: MediaItem,
        passages: Sequence[Passage],
        facts: DocumentFacts | None = None,
        extra_metadata: Mapping[str, str] | None = None,
    ) -> Published:
        """Write the item's file unless it is current; a changed title does not rename the file.

        `extra_metadata` None keeps the user's own fields in the file. Raises KnowledgeBaseError for
        a file that was changed by hand if the item's text is another one since.
        """
        sha256 = content_sha256(passages, facts.speakers if facts else "")
        path = self._find(item.id)
        known = {} if path is None else _front_matter(path)
        if extra_metadata is None:
            extra_metadata = {
                key: str(value) for key, value in known.items() if key not in RESERVED_KEYS
            }
        (document,) = make_documents(
            item, passages, facts, extra_metadata, limit=_UNLIMITED
        ).documents
        about = {**document.metadata, "passages_sha256": sha256}
        about[WRITTEN_SHA256] = _written_sha256(about, document.content)
        lines = [f"{_yaml(key)}: {_yaml(value)}\n" for key, value in about.items()]
        head = f"{_FENCE}{''.join(lines)}{_FENCE}\n".encode("utf-8", "replace")
        changed = path is not None and _is_changed(path)
        if changed and not self.overwrite and path is not None:
            if known["passages_sha256"] != sha256:
                raise _changed(path, item.id)
        else:
            path = self._write(item, path, head + document.content)
        return Published(self.name, path.name, sha256, "synced")

    def _write(self, item: MediaItem, known: Path | None, content: bytes) -> Path:
        """Write to the item's file, or to a free name without one; return the path."""
        try:
            if known is not None:
                target = Target(known, item.id, judge=lambda _path, _digest: Standing.OURS)
            else:
                target = Target(
                    self.folder / f"{make_stem(item, self.folder)}.md",
                    item.id,
                    numbered=True,
                    judge=lambda _path, _digest: Standing.FOREIGN,
                    name=lambda number: f"{make_stem(item, self.folder, number=number)}.md",
                )
            return self._files.write(replace(target, private=self._is_private), content)
        except KBError as error:
            raise _unusable(error) from error

    def status(self, item_id: str) -> Published:
        """Return `synced` with the hash when the item's file exists, else `missing`."""
        path = self._find(item_id)
        if path is None:
            return Published(self.name, item_id, "", "missing")
        return Published(
            self.name, path.name, str(_front_matter(path)["passages_sha256"]), "synced"
        )

    def list(self) -> Iterator[Published]:
        """Yield the state of every item's file, in order of the file names."""
        for path in self._found("*.md"):
            if about := _front_matter(path):
                yield Published(self.name, path.name, str(about["passages_sha256"]), "synced")

    def delete(self, item_id: str) -> None:
        """Remove the item's file; a missing file is no error.

        Raises KnowledgeBaseError for a file that was changed by hand.
        """
        path = self._find(item_id)
        try:
            if path is None:
                with storage.held(self.folder):  # raises the cause if the library's folder is away
                    return
            if _is_changed(path) and not self.overwrite:
                raise _changed(path, item_id)
            storage.remove_file(path)
        except OSError as error:
            raise _sink_error(error, path or self.folder) from error
        except LibraryError as error:
            raise _unusable(error) from error

    def _find(self, item_id: str) -> Path | None:
        """Return the file whose name ends with the short id and whose front matter has the id."""
        ending = file_id(MediaItem(item_id, "", "", "", ""))
        for path in self._found(f"*_{ending}.md"):
            if _front_matter(path).get("id") == item_id:
                return path
        return None

    def _found(self, pattern: str) -> Sequence[Path]:
        try:
            return sorted(self.folder.glob(pattern))
        except OSError as error:
            raise _sink_error(error, self.folder) from error


def _yaml(value: object) -> str:
    """Return a value as YAML: its JSON, with controls and the line breaks of YAML escaped."""
    return printable_json(json.dumps(value, ensure_ascii=False))


def _front_matter(path: Path) -> dict[str, Any]:
    """Return the front matter of a file; empty for a file that this sink did not write."""
    try:
        with path.open(encoding="utf-8") as file:
            if file.readline() != _FENCE:
                return {}
            about: dict[str, Any] = {}
            for line in file:
                if line == _FENCE:
                    return about if {"id", "passages_sha256"} <= about.keys() else {}
                about.update(json.loads("{" + line.rstrip("\n") + "}"))
    except OSError as error:
        raise _sink_error(error, path) from error
    except ValueError:  # includes the error for text that is not UTF-8
        return {}
    return {}


def _written_sha256(about: Mapping[str, object], body: bytes) -> str:
    """Return the hash of the fields that this sink writes itself and of the text after them.

    The user's own fields are no part of it.
    """
    own = {
        key: _yaml(value)
        for key, value in sorted(about.items())
        if key in RESERVED_KEYS and key != WRITTEN_SHA256
    }
    head = json.dumps(own, ensure_ascii=True).encode()
    return hashlib.sha256(head + b"\n" + body.replace(b"\r\n", b"\n")).hexdigest()


def _is_changed(path: Path) -> bool:
    """Return True for a file of this sink that a person has changed since it was written.

    A file of an earlier version has no hash, and counts as unchanged.
    """
    about = _front_matter(path)
    if WRITTEN_SHA256 not in about:
        return False
    try:
        _, _, rest = path.read_bytes().replace(b"\r\n", b"\n").partition(b"\n---\n\n")
    except OSError as error:
        raise _sink_error(error, path) from error
    return _written_sha256(about, rest) != str(about[WRITTEN_SHA256])


def _changed(path: Path, item_id: str) -> KnowledgeBaseError:
    return KnowledgeBaseError(
        "folder.changed",
        "{path} was changed by hand since it was published.",
        hint="Move your own text to another file. To replace this one: kb publish {item_id} --to "
        "folder --overwrite",
        path=path,
        item_id=item_id,
    )


def _unusable(cause: KBError) -> KnowledgeBaseError:
    return KnowledgeBaseError(
        "folder.unusable",
        "{cause}",
        hint="Set KB_FOLDER_SINK to a folder that can be written.",
        cause=cause,
    )


def _sink_error(error: OSError, path: Path) -> KnowledgeBaseError:
    return _unusable(storage.library_error(error, path, "use"))
