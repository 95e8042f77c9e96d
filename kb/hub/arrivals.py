"""The files of one fetch from their arrival to their place in the cache.

All of them stay parts, which no other program takes for files of a model, until the last one has
arrived. A repository that is refused, or a fetch that is cancelled, leaves none of them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from kb.errors import ModelUnavailable
from kb.hub import cache, errors, records
from kb.hub.client import HubFile, Listing
from kb.hub.kind import ModelKind
from kb.hub.records import ReadyRecord, RecordedFile

WEIGHTS = ".safetensors"
_INDEX = ".index.json"  # it promises weights that have not arrived yet


class Arrivals:
    """The files of a listing that a kind of model needs."""

    def __init__(self, listing: Listing, files: Sequence[HubFile], kind: ModelKind) -> None:
        self._listing = listing
        self._files = files
        self._kind = kind
        self._place = cache.repository_folder(listing.repository)
        self._made: list[Path] = []
        before = records.read(self._place)
        # A file of this commit that is here already may be another program's.
        self._is_ours = (before is not None and before.fetched) or not any(
            cache.stored_at(listing.repository, listing.commit, file) for file in files
        )

    def check_descriptions(self) -> None:
        """Raise ModelUnavailable for a repository that is refused before its weights come."""
        name = self._listing.repository
        try:
            with tempfile.TemporaryDirectory(prefix="kb-model-") as made:
                for file in self._files:
                    if file.name.endswith((WEIGHTS, _INDEX)):
                        continue
                    source = cache.part_path(name, file)
                    if not source.is_file():
                        source = cache.stored_at(name, self._listing.commit, file) or source
                    copy = Path(made) / file.name
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(source, copy)
                self._kind.check_descriptions(name, Path(made))
                self._check_indices()
        except OSError as error:
            raise errors.not_writable(name, Path(tempfile.gettempdir()), error) from error

    def _check_indices(self) -> None:
        """Raise ModelUnavailable for weights that an index names and the hub does not list."""
        name = self._listing.repository
        listed = {file.name for file in self._files}
        for file in self._files:
            if not file.name.endswith(_INDEX):
                continue
            part = cache.part_path(name, file)
            if not part.is_file():
                part = cache.stored_at(name, self._listing.commit, file) or part
            try:
                named = json.loads(part.read_text(encoding="utf-8"))["weight_map"].values()
                folder = file.name.rpartition("/")[0]
                lost = {f"{folder}/{each}" if folder else str(each) for each in named} - listed
            except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
                lost = {file.name}
            if lost:
                raise errors.incomplete(name, sorted(lost)[:3])

    def complete(self, go_on: Callable[[], None]) -> ReadyRecord:
        """Place the files, make their snapshot the current one, and return its record.

        Every file is read once more from the place where it will be loaded; `go_on` is called
        between them and may raise. Raises ModelUnavailable.
        """
        name, commit = self._listing.repository, self._listing.commit
        folder = self._place / "snapshots" / commit
        entries: dict[str, RecordedFile] = {}
        try:
            for number, file in enumerate(self._files):
                twin = any(each.digest == file.digest for each in self._files[number + 1 :])
                self._made += cache.place(name, commit, file, keep_blob=twin)
            for file in self._files:
                sha256 = cache.has_digest(folder / file.name, file.digest)
                if not sha256 or (folder / file.name).stat().st_size != file.size:
                    raise errors.wrong_file(name, file.name, file.digest, "other").error
                entries[file.name] = records.recorded(folder / file.name, file.digest, sha256)
                go_on()
            lacking = self._kind.missing(folder)
            if lacking:
                raise errors.incomplete(name, lacking)
            cache.finish(name, commit)
        except OSError as error:
            raise errors.not_writable(name, self._place, error) from error
        return ReadyRecord(name, commit, folder, entries, time.time(), fetched=self._is_ours)

    def take_back(self) -> None:
        """Remove what this fetch has placed; what was there before stays."""
        for path in self._made:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        self._made.clear()


def is_refusal(error: BaseException) -> bool:
    """Return True for an error of the repository itself, which no other attempt can change."""
    return isinstance(error, ModelUnavailable) and not error.retryable and error.code not in _MENDED


# A user can do something about these, and what has arrived is continued then.
_MENDED = frozenset({
    "model.gated", "model.refused", "model.token_refused", "model.cache_not_writable",
    "model.file_not_on_hub", "model.not_on_hub",
})  # fmt: skip
