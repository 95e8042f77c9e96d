"""Films and packs that were made of items, kept so that none is made twice.

    <home>/products/<stem>/<name>.mp4      <name> is the hash of all that it was made from
                           <name>.json     facts and remarks about it

They can be made again: no backup has them, and they go when their item is removed, when they have
not been asked for in `KB_PRODUCTS_DAYS` days, and the longest unused ones first where all together
are larger than `KB_PRODUCTS_GB`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import LibraryError

FOLDER = "products"
_DAY_S = 24 * 3600.0
_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{2,4}")


@dataclass(frozen=True, slots=True)
class Product:
    """A kept film or pack; `remarks` and `about` are the JSON values stored with it."""

    path: Path
    remarks: Any
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProductUse:
    """The number of kept films and their size."""

    count: int
    size_bytes: int


def product_name(made_from: Mapping[str, Any]) -> str:
    """Return the name of what is made from these JSON values: their SHA-256."""
    return sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def forget_products(home: Path, stem: str) -> None:
    """Remove all films of an item. Raises LibraryError."""
    folder = home / FOLDER / stem
    if stem and folder.is_dir():
        storage.remove_tree(folder)


class Products:
    """The kept films of one library, with the limits of their size and age."""

    def __init__(self, home: Path, max_gb: float, max_days: float) -> None:
        self.folder = home / FOLDER
        self.max_bytes = int(max_gb * 1e9)
        self.max_age_s = max_days * _DAY_S

    def find(self, stem: str, name: str, suffix: str) -> Product | None:
        """Return a kept film, None if it is to be made. It counts as used now."""
        path = self.folder / stem / f"{name}{suffix}"
        try:
            product = _read(path)
            os.utime(path)
        except (OSError, LibraryError):
            return None
        return product

    def of_item(self, stem: str) -> Sequence[Product]:
        """Return the kept products of an item, the newest first. Raises nothing."""
        found: list[tuple[float, Product]] = []
        with suppress(OSError):
            for path in (self.folder / stem).iterdir() if stem else ():
                if _is_product(path):
                    with suppress(OSError, LibraryError):
                        # Its facts are written last, and only once.
                        made_at = path.with_suffix(".json").stat().st_mtime
                        found.append((made_at, _read(path)))
        return [product for _, product in sorted(found, key=lambda each: each[0], reverse=True)]

    @contextmanager
    def draft(self, stem: str, suffix: str) -> Iterator[Path]:
        """Yield a path for a new film; `keep` puts it in place. Nothing is left after the block.

        Raises LibraryError if it cannot be made.
        """
        folder = self.folder / stem
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage.library_error(error, folder, "write") from error
        storage.sweep(folder)
        with storage.scratch_folder(folder) as scratch:
            yield scratch / f"film{suffix}"

    def keep(
        self,
        draft: Path,
        stem: str,
        name: str,
        remarks: Any,
        about: Mapping[str, Any] | None = None,
    ) -> Product:
        """Put a finished film in place and return it. Raises LibraryError."""
        path = self.folder / stem / f"{name}{draft.suffix}"
        storage.link_or_copy(draft, path, link=True)
        with suppress(OSError):
            os.utime(path)
        # The remarks come last: a film without them is not found.
        document = {"remarks": remarks, "about": dict(about or {})}
        storage.write_json(path.with_suffix(".json"), document)
        return Product(path, remarks, document["about"])

    def trim(self) -> int:
        """Remove what is too old or too much; return the number of films. Raises nothing."""
        found = sorted(self._films(), reverse=True)  # used last comes first
        oldest = time.time() - self.max_age_s
        size = removed = 0
        for used_at, bytes_of, path in found:
            size += bytes_of
            if used_at < oldest or size > self.max_bytes:
                size -= bytes_of
                with suppress(OSError):
                    path.unlink()
                    path.with_suffix(".json").unlink(missing_ok=True)
                    removed += 1
        for folder in self._folders():
            storage.sweep(folder)
            with suppress(OSError):
                folder.rmdir()  # only an empty one
        return removed

    def use(self) -> ProductUse:
        """Return how many films are kept, and their size."""
        sizes = [bytes_of for _, bytes_of, _ in self._films()]
        return ProductUse(len(sizes), sum(sizes))

    def _folders(self) -> list[Path]:
        try:
            return [each for each in self.folder.iterdir() if each.is_dir()]
        except OSError:
            return []

    def _films(self) -> Iterator[tuple[float, int, Path]]:
        for folder in self._folders():
            with suppress(OSError):
                for path in folder.iterdir():
                    if _is_product(path):
                        status = path.stat()
                        yield status.st_mtime, status.st_size, path


def _is_product(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None and path.suffix != ".json"


def _read(path: Path) -> Product:
    """Return the product of a file. Raises OSError and LibraryError if it is not whole."""
    path.stat()
    document = storage.read_json(path.with_suffix(".json"))
    about = document.get("about")
    return Product(path, document.get("remarks"), about if isinstance(about, dict) else {})
