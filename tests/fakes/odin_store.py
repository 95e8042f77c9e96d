"""The documents of the fake ODIN service, kept on disk.

An accepted document is indexed later, deleting takes time, a second upload of a name creates a
second document, and names lose `%` and `~`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class OdinStore:
    """Documents by name. Indexing takes `index_s` seconds, deleting `delete_s`."""

    def __init__(self, folder: Path, *, index_s: float, delete_s: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.index_s = index_s
        self.delete_s = delete_s
        self.gaps: list[str] = []  # items that lost their last indexed document
        self.on_upload: Callable[[str], None] = lambda name: None
        self.lock = threading.RLock()
        self.db = sqlite3.connect(folder / "odin.sqlite", check_same_thread=False)
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS docs (key TEXT PRIMARY KEY, content BLOB, metadata TEXT,"
            " taken_at REAL, ready_at REAL, outcome TEXT, message TEXT, gone_at REAL)"
        )

    def close(self) -> None:
        """Close the database."""
        with self.lock:
            self.db.commit()
            self.db.close()

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return all documents: key → content, metadata (as sent), status, message."""
        with self.lock:
            self.db.execute("DELETE FROM docs WHERE gone_at <= ?", (time.time(),))
            rows = self.db.execute("SELECT * FROM docs ORDER BY taken_at, key").fetchall()
        return {
            row[0]: {
                "content": row[1],
                "metadata": row[2],
                "upload_date": row[3],
                "status": _status(row),
                "message": row[6] if _status(row) in ("failed", "timeout") else "",
            }
            for row in rows
        }

    def indexed(self) -> dict[str, bytes]:
        """Return the bytes of the indexed documents, by name."""
        found = self.documents().items()
        return {key: row["content"] for key, row in found if row["status"] == "synced"}

    def put(
        self,
        name: str,
        content: bytes,
        metadata: str = "{}",
        outcome: str = "synced",
        *,
        force: bool = False,
        index_s: float | None = None,
    ) -> str:
        """Store a document; return its key."""
        key = name.replace("%", "_").replace("~", "")
        now = time.time()
        with self.lock:
            known = self.documents()
            stem, dot, suffix = key.rpartition(".")
            number = 0
            while key in known and not force:
                number += 1
                key = f"{stem} ({number}){dot}{suffix}"
            ready_at = now + (self.index_s if index_s is None else index_s)
            words = {"failed": "Embedding model refused chunk 3", "timeout": "Gave up after 600 s"}
            row = (key, content, metadata, now, ready_at, outcome, words.get(outcome, ""), None)
            self.db.execute(f"INSERT OR REPLACE INTO docs VALUES ({','.join('?' * 8)})", row)
            self.db.commit()
        self.on_upload(key)
        return key

    def finish_indexing(self) -> None:
        """Finish the indexing of all documents now."""
        with self.lock:
            self.db.execute("UPDATE docs SET ready_at = 0")
            self.db.commit()

    def delete(self, key: str) -> bool:
        """Delete a document; return False if it was missing."""
        with self.lock:
            known = self.documents()
            if key not in known:
                return False
            item = _item_of(known[key]["metadata"])
            indexed = [
                other
                for other, row in known.items()
                if row["status"] == "synced" and item and _item_of(row["metadata"]) == item
            ]
            if indexed == [key]:
                self.gaps.append(item)
            gone_at = time.time() + self.delete_s
            self.db.execute("UPDATE docs SET gone_at = ? WHERE key = ?", (gone_at, key))
            self.db.commit()
            return True

    def excerpts(self, query: str) -> list[tuple[int, str, str]]:
        """Return (words in common, key, paragraph), best first."""
        wanted = set(re.findall(r"\w+", query.lower()))
        found = []
        for key, content in self.indexed().items():
            for paragraph in content.decode("utf-8", "replace").split("\n\n"):
                common = len(wanted & set(re.findall(r"\w+", paragraph.lower())))
                if common:
                    found.append((common, key, paragraph))
        return sorted(found, key=lambda row: (-row[0], row[1]))


def _status(row: Any) -> str:
    if row[7] is not None:
        return "deleting"
    now = time.time()
    if now < row[4]:
        return "queued" if now < (row[3] + row[4]) / 2 else "syncing"
    return str(row[5])


def _item_of(metadata: str) -> str:
    return str(json.loads(metadata).get("id") or "")
