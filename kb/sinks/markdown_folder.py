"""The sink for a folder of Markdown files, for Obsidian, AnythingLLM, NotebookLM and others.

One file per item, with its metadata as YAML front matter. The files belong to this sink: a
publish overwrites changes by the user.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import KnowledgeBaseError, LibraryError
from kb.library.filenames import file_id, make_stem
from kb.settings import Settings
from kb.sinks.base import content_sha256
from kb.sinks.odin.documents import RESERVED_KEYS, make_documents
from kb.types import DocumentFacts, MediaItem, Passage, Published
from kb.types.safe_text import printable_json

FOLDER_NAME = "markdown"
_FENCE = "---\n"
_UNLIMITED = 1 << 60


class FolderSink:
    """Markdown files under `KB_FOLDER_SINK`, each written atomically.

    Every method raises KnowledgeBaseError when the folder cannot be read or written.
    """

    name = "folder"
    is_local = False

    def __init__(self, settings: Settings) -> None:
        chosen = settings.folder_sink
        self.folder = Path(chosen).expanduser() if chosen else settings.home / FOLDER_NAME
        self.folder = self.folder.absolute()

    def publish(
        self,
        item: MediaItem,
        passages: Sequence[Passage],
        facts: DocumentFacts | None = None,
        extra_metadata: Mapping[str, str] | None = None,
    ) -> Published:
        """Write the item's file unless it is current; a changed title does not rename the file.

        `extra_metadata` None keeps the user's own fields in the file.
        """
        sha256 = content_sha256(passages)
        path = self._find(item.id)
        if extra_metadata is None and path is not None:
            known = _front_matter(path).items()
            extra_metadata = {key: str(value) for key, value in known if key not in RESERVED_KEYS}
        (document,) = make_documents(
            item, passages, facts, extra_metadata, limit=_UNLIMITED
        ).documents
        about = {**document.metadata, "passages_sha256": sha256}
        lines = [f"{_yaml(key)}: {_yaml(value)}\n" for key, value in about.items()]
        head = f"{_FENCE}{''.join(lines)}{_FENCE}\n".encode("utf-8", "replace")
        content = head + document.content
        try:
            path = path or self._new_path(item)
            if not path.is_file() or path.read_bytes() != content:
                storage.write_bytes(path, content)
        except LibraryError as error:
            raise error.recast(KnowledgeBaseError) from error
        except OSError as error:
            raise _sink_error(error, self.folder) from error
        return Published(self.name, path.name, sha256, "synced")

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
        for path in self._files("*.md"):
            if about := _front_matter(path):
                yield Published(self.name, path.name, str(about["passages_sha256"]), "synced")

    def delete(self, item_id: str) -> None:
        """Remove the item's file; a missing file is no error."""
        path = self._find(item_id)
        if path is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _sink_error(error, path) from error

    def _find(self, item_id: str) -> Path | None:
        """Return the file whose name ends with the short id and whose front matter has the id."""
        ending = file_id(MediaItem(item_id, "", "", "", ""))
        for path in self._files(f"*_{ending}.md"):
            if _front_matter(path).get("id") == item_id:
                return path
        return None

    def _new_path(self, item: MediaItem) -> Path:
        number = 1
        while True:
            path = self.folder / f"{make_stem(item, self.folder, number=number)}.md"
            if not path.exists():
                return path
            number += 1

    def _files(self, pattern: str) -> Sequence[Path]:
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
        with path.open(encoding="utf-8", newline="") as file:
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


def _sink_error(error: OSError, path: Path) -> KnowledgeBaseError:
    return KnowledgeBaseError(
        "folder.unusable",
        "{cause}",
        hint="Set KB_FOLDER_SINK to a folder that can be written.",
        cause=storage.library_error(error, path, "use"),
    )
