"""Files that a user asks for: exports, clips, review sheets, backups, documents of a vault.

They are written by `kb.storage.user_files`, which replaces nothing that this program did not write.
The folders of a library are no place for them: a file there would be taken for a part of an item.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kb import storage
from kb.errors import UsageError
from kb.library.filenames import split_stem
from kb.library.metadata import TEXT_SUFFIX
from kb.library.transcript_names import TRANSCRIPT_SUFFIXES, may_hold_transcript, split_name
from kb.storage import Draft, Standing, Target

MEDIA_FOLDER = "media"
OWN_FOLDERS = (
    MEDIA_FOLDER, "extras", "trash", "uploads", "versions", "logs", "backups", "markdown",
    "index.lance", "index.words", "products",
)  # fmt: skip
_ASIDE = "before-restore-"  # a restore keeps what it replaces in such a folder
_DATABASE = "kb.sqlite"


@dataclass(frozen=True)
class UserFiles:
    """The writer of files outside the library in `home`.

    `inside` has the names of the library's own folders that this writer may use; `beside`: it may
    put what the library reads back beside a medium.
    """

    home: Path
    inside: Collection[str] = ()
    beside: bool = True

    def check(self, target: Target) -> Standing:
        """Return the standing of the file that has the target's name, before any work is done.

        Raises UsageError if it is in the way or the place is the library's own, LibraryError if the
        folder cannot be used.
        """
        self.check_place(target.path)
        return storage.check_target(target)

    @contextmanager
    def draft(self, target: Target) -> Iterator[Draft]:
        """Yield a draft that gets the target's name, or a numbered one, at the end of the block.

        Raises as `check` does, and LibraryError.
        """
        self.check_place(target.path)
        with storage.user_file(target) as draft:
            yield draft

    def write(self, target: Target, data: bytes) -> Path:
        """Write a whole file; return its path. Raises as `draft` does."""
        self.check_place(target.path)
        return storage.write_user_file(target, data)

    def check_place(self, path: Path) -> None:
        """Raise UsageError for a path in the library's own folders.

        Subtitles and other files that the library reads back, under the name of an item
        (`STEM.srt`, `STEM.en.vtt`), may be beside its medium, where players look for them.
        """
        found = own_folder(path, self.home)
        if found is None:
            return
        home, folder = found
        if folder in self.inside:
            return
        if self.beside and is_read_beside(path.name) and _same(path.parent, home / MEDIA_FOLDER):
            return
        raise UsageError(
            "output.in_library",
            "{path} is in a folder that the library {home} keeps for itself.",
            hint="Name another folder. Into media/ go only files that the library reads there, "
            "under the name of an item, such as STEM.srt or STEM.en.vtt.",
            path=path,
            home=home,
        )


def is_read_beside(name: str) -> bool:
    """Return True if the library reads a file of this name as a transcript of an item.

    False for the names of the item's own files.
    """
    suffix, stem = Path(name).suffix.lower(), split_name(name).stem
    if suffix == ".json" or suffix not in TRANSCRIPT_SUFFIXES or not may_hold_transcript(name):
        return False
    return split_stem(stem) is not None and name != f"{stem}{TEXT_SUFFIX}"


def own_folder(path: Path, home: Path) -> tuple[Path, str] | None:
    """Return the library that a path is in, and which of its own folders; None if it is in none.

    The name of the folder is empty for a file directly in the library's folder. A folder that the
    user made there is not the library's own. Links are followed, and the folders of another library
    than `home` are found by its database.
    """
    places = _with_parents(path.parent)
    for index, place in enumerate(places):
        for name in OWN_FOLDERS:
            if _same(place, home / name):  # it may be a link to another disk
                return home, name
        if _same(place, home) or (place / _DATABASE).is_file():
            library = home if _same(place, home) else place
            if index == 0:
                return library, ""
            inner = places[index - 1]
            for name in OWN_FOLDERS:
                if _same(inner, place / name):
                    return library, name
            return (library, inner.name) if _is_hidden(inner.name) else None
    return None


def _is_hidden(name: str) -> bool:
    return name.startswith((".", _ASIDE))


def _with_parents(folder: Path) -> tuple[Path, ...]:
    try:
        resolved = folder.resolve()
    except (OSError, RuntimeError):
        resolved = folder.absolute()
    return (resolved, *resolved.parents)


def _same(place: Path, other: Path) -> bool:
    """Return True for the same folder, whatever the names: letter case, links, mounts."""
    try:
        return place.samefile(other)
    except OSError:
        return os.path.normcase(place) == os.path.normcase(other.absolute())
