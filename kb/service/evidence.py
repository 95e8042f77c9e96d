"""Evidence packs: a quote with its source, as a folder or a ZIP that checks itself.

`SHA256SUMS` has the form of `sha256sum`, so that `sha256sum -c SHA256SUMS` checks a folder without
this program. Hashes show damage, not forgery: who changes a file can change its hash.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cryptography.exceptions import UnsupportedAlgorithm

from kb import storage
from kb.errors import UsageError
from kb.library import Library
from kb.media.clip import default_name
from kb.pipeline.evidence_pack import SUMS
from kb.pipeline.product_order import EVIDENCE, Order
from kb.pipeline.product_picture import needs_picture
from kb.pipeline.products import obtain, trim
from kb.pipeline.signature import (
    MAX_KEY_BYTES,
    PUBLIC,
    SIGNATURE,
    SIGNATURE_BYTES,
    checked,
    signer_of,
)
from kb.pipeline.video import Stretch
from kb.service.items import Items
from kb.service.review import Review
from kb.settings import Settings
from kb.storage import Target

MAX_FILES = 1000
MAX_SUMS_BYTES = 2**20
MOST_TIMES_LARGER = 100  # unpacked than the ZIP: films and sound are hardly packed at all
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# The ZIP's own checksum, its packed data, and its end.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
_BLOCK_BYTES = 2**20
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")


@dataclass(frozen=True, slots=True)
class PackCheck:
    """The result of a check; each list has names of files.

    `signature`: empty (not signed), valid, broken (not of these hashes) or other (valid, by another
    key than the expected one, or none where one is expected).
    """

    checked: int
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    signature: str = ""
    key: str = ""  # fingerprint of the key that signed

    @property
    def is_whole(self) -> bool:
        """True if every file is there, as it was, and no signature says otherwise."""
        return not (self.changed or self.missing or self.signature in ("broken", "other"))


class Evidence:
    """Makes evidence packs of items."""

    def __init__(self, settings: Settings, library: Library, items: Items, review: Review) -> None:
        self.settings = settings
        self.library = library
        self.items = items
        self.review = review

    def make(
        self,
        item_id: str,
        start_s: float,
        end_s: float,
        target: Path | None = None,
        *,
        overwrite: bool = False,
        sign: bool = False,
        fetch: bool = False,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Path:
        """Write a pack; return the ZIP, or the folder if `target` does not end in `.zip`.

        With `sign` it is signed with the key of the library, which is made at the first use; with
        `fetch` it is the one that a worker made with a fetched picture. The default is a ZIP in
        the working directory, named after item and stretch. Raises UsageError for times without
        words and for files in the way, MediaUnavailable and LibraryError.
        """
        entry = self.items.entry(item_id)
        if target is None:
            name = default_name(entry.stem, start_s, end_s, video=True)
            target = Path(name).with_suffix(".zip")
        source = f"evidence:{entry.item.id}:{start_s:.3f}-{end_s:.3f}"
        named = Target(target, source, overwrite=overwrite, chosen=True)
        is_zip = target.suffix.lower() == ".zip"
        if is_zip:
            self.items.files.check(named)
        order = self.order(start_s, end_s, sign=sign, fetch=fetch)
        product = obtain(self.library, self.settings, entry, order, progress=progress)
        if is_zip:
            with self.items.files.draft(named) as draft:
                shutil.copyfile(product.path, draft.path)
            target = draft.target
        else:
            self._write_folder(product.path, target, source, overwrite)
        trim(self.library, self.settings)
        return target

    def own_key(self) -> str:
        """Return the fingerprint of the library's key; the key is made if there is none."""
        return signer_of(self.library.home).fingerprint

    def order(
        self, start_s: float, end_s: float, *, sign: bool = False, fetch: bool = False
    ) -> Order:
        """Return the order of a pack for the queue (`ItemProducts.request`)."""
        return Order(
            EVIDENCE, stretches=(Stretch(start_s, end_s),), suffix=".zip", sign=sign, fetch=fetch
        )

    def lacks_picture(self, item_id: str) -> bool:
        """Return True if an item's picture is not kept and can be asked for at its source."""
        entry = self.items.entry(item_id)
        return needs_picture(entry, Order(EVIDENCE), self.review.medium_of(entry))

    def _write_folder(self, pack: Path, target: Path, source: str, overwrite: bool) -> None:
        """Write the files of a ZIP of ours into a folder; each completely or not at all."""
        with zipfile.ZipFile(pack) as archive:
            names = archive.namelist()
            wanted = [
                Target(target / name, source, overwrite=overwrite, chosen=True) for name in names
            ]
            for each in wanted:  # before the first one is written
                self.items.files.check(each)
            for each in wanted:
                with (
                    self.items.files.draft(each) as draft,
                    archive.open(each.path.name) as origin,
                    draft.path.open("xb") as copy,
                ):
                    while block := origin.read(_BLOCK_BYTES):
                        copy.write(block)


def check_pack(path: Path, key: str = "") -> PackCheck:
    """Compare the files of a pack, a ZIP or a folder, with its hashes and their signature.

    `key`: the fingerprint of the expected signer, or the beginning of it, at least 16 digits.

    Nothing is unpacked. Raises UsageError for a file that is no pack, and LibraryError for one that
    cannot be opened.
    """
    expected = expected_key(key) if key else ""
    try:
        with _opened(path) as (names, read):
            if SUMS not in names:
                raise ValueError(f"it has no {SUMS}")
            if len(names) > MAX_FILES:
                raise ValueError(f"it has more than {MAX_FILES} files")
            with closing(read(SUMS)) as file:
                sums = file.read(MAX_SUMS_BYTES + 1)
            listed = _listed(sums)
            missing = tuple(sorted(listed.keys() - names))
            unknown = tuple(sorted(names - listed.keys() - {SUMS, SIGNATURE}))
            changed = tuple(
                name
                for name, digest in sorted(listed.items())
                if name in names and not _has_digest(read, name, digest)
            )
            state, signer = _signature(names, read, sums, expected)
    except (OSError, ValueError, NotImplementedError, RuntimeError, *_DAMAGED) as error:
        raise UsageError(
            "evidence.no_pack",
            "{path} is no evidence pack that can be read: {reason}.",
            hint="Name the ZIP or the folder that kb evidence wrote.",
            path=path,
            reason=_reason(error),
        ) from error
    return PackCheck(len(listed), changed, missing, unknown, state, signer)


def _reason(error: Exception) -> str:
    """Return an error as a clause; that of the system without its number and path."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text.rstrip(".") or type(error).__name__


def _signature(
    names: frozenset[str], read: Callable[[str], IO[bytes]], sums: bytes, expected: str
) -> tuple[str, str]:
    """Return the state of a pack's signature, and the fingerprint of its key where it is valid."""
    if SIGNATURE not in names:
        return "other" if expected else "", ""
    if PUBLIC not in names:
        return "broken", ""
    try:
        with closing(read(SIGNATURE)) as file:
            signature = file.read(SIGNATURE_BYTES + 1)
        with closing(read(PUBLIC)) as file:
            found = checked(sums, signature, file.read(MAX_KEY_BYTES))
    except (ValueError, UnsupportedAlgorithm, *_DAMAGED):
        return "broken", ""
    if found is None:
        return "broken", ""
    return "valid" if found.startswith(expected) else "other", found


def expected_key(text: str) -> str:
    """Return a fingerprint that a person wrote, in the form of ours. Raises UsageError."""
    key = re.sub(r"[\s:-]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{16,64}", key):
        raise UsageError(
            "evidence.key_form",
            "{text!r} is no fingerprint of a key.",
            hint="Give its 64 digits (0-9, a-f), or the first 16 of them at least.",
            text=text,
        )
    return key


@contextmanager
def _opened(path: Path) -> Iterator[tuple[frozenset[str], Callable[[str], IO[bytes]]]]:
    """Yield the names of a pack's files and a function that opens one of them."""
    if path.is_dir():
        names = frozenset(each.name for each in path.iterdir() if each.is_file())
        yield names, lambda name: (path / name).open("rb")
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise storage.input_error(error, path) from error
    with file, zipfile.ZipFile(file) as archive:
        _check_archive(path, archive.infolist())
        yield frozenset(archive.namelist()), archive.open


def _check_archive(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise ValueError for a ZIP whose check would mislead, or need much time or memory."""
    if len(members) > MAX_FILES:
        raise ValueError(f"it has more than {MAX_FILES} files")
    names = [each.filename for each in members]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        # One program unpacks the first, another one the last.
        raise ValueError(f"it has two files {twice[0][:80]!r}")
    if any(each.compress_type not in _METHODS for each in members):
        raise ValueError("its files are packed in another way than deflate")
    whole = sum(each.file_size for each in members)
    if whole > MAX_SUMS_BYTES + path.stat().st_size * MOST_TIMES_LARGER:
        raise ValueError(f"it would be more than {MOST_TIMES_LARGER} times larger unpacked")


def _has_digest(read: Callable[[str], IO[bytes]], name: str, digest: str) -> bool:
    found = hashlib.sha256()
    try:
        with closing(read(name)) as file:
            while block := file.read(_BLOCK_BYTES):
                found.update(block)
    except _DAMAGED:
        return False
    return found.hexdigest() == digest


def _listed(data: bytes) -> dict[str, str]:
    """Return the digest of each name. Raises ValueError for another form."""
    if len(data) > MAX_SUMS_BYTES:
        raise ValueError(f"its {SUMS} is too large")
    found: dict[str, str] = {}
    for line in data.decode("utf-8").splitlines():
        match = _SUM.fullmatch(line)
        if match is None or "/" in match[2] or "\\" in match[2]:
            raise ValueError(f"its {SUMS} has the line {line[:80]!r}")
        if match[2] in found:
            raise ValueError(f"its {SUMS} names {match[2][:80]!r} twice")
        found[match[2]] = match[1]
    if not found:
        raise ValueError(f"its {SUMS} is empty")
    return found
