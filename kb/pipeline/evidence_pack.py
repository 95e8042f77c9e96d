"""An evidence pack: its parts, a README, and `SHA256SUMS` with the hash of each file.

`SHA256SUMS` has the form of `sha256sum`, so that `sha256sum -c SHA256SUMS` checks a folder without
this program. Hashes show damage, not forgery: who changes a file can change its hash.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kb import storage
from kb.library import LibraryEntry
from kb.pipeline.evidence import CLIP, FRAME, Quoted, quoted, write_parts
from kb.pipeline.product_picture import FETCHED, WAVE
from kb.pipeline.signature import PUBLIC, SIGNATURE, Signer
from kb.transcript.chunks import format_exact_time
from kb.types import Transcript
from kb.types.addresses import is_loopback
from kb.types.safe_text import clean

SUMS, README = "SHA256SUMS", "README.txt"

_README = """{title}
{line}

What was said from {start} to {end}:

{quote}
Where: {link}

quote.txt               the lines with their times and speakers
facts.json              the source, its SHA-256, the words, and where they come from
{clip:<23} the stretch as it is in the medium
clip-with-captions.mp4  the same with its words
{frame}{picture}
To check the files:     sha256sum -c SHA256SUMS
or the ZIP:             kb verify FILE.zip

A hash shows that a file is damaged or was changed by accident. It does not show a forgery: who
changes a file can write its new hash, too. Compare the medium's SHA-256 in facts.json with the
source itself.
{signed}
{origin}
"""
_SIGNED = """
SHA256SUMS.sig is a signature (Ed25519) of SHA256SUMS by the key with the fingerprint
{fingerprint}
It shows a forgery to those who know from elsewhere whose key that is: compare the fingerprint with
the one that the sender tells you. Without this program:
openssl pkeyutl -verify -pubin -inkey SHA256SUMS.pub -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
"""
_READ = "The words were read by a machine ({engine}, {model}) and may be wrong: listen to the clip."
_TAKEN = """The words were not read here. They were taken in from {file}, which
another program or a person wrote, and may be wrong: listen to the clip."""
_LINE_TIMES = """Not every line has the times of its words: where the stretch cuts such a line, its
time is estimated."""
_FETCHED = """
The picture was not kept with the sound. It was fetched from the source for this pack; its hash is
not that of the medium. The sound is the medium's own.
"""
_WAVE = """
No picture is kept: clip-with-captions.mp4 has a wave of the sound instead.
"""
_OWN_PAGE = "(a page of the library: this link opens on the library's machine alone)"
_PICTURES = {FETCHED: _FETCHED, WAVE: _WAVE}
_REVISED = "Words of this stretch were changed by hand."


def write_pack(
    folder: Path,
    entry: LibraryEntry,
    transcript: Transcript,
    medium: Path,
    start_s: float,
    end_s: float,
    *,
    picture: str = "",
    signer: Signer | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[str, ...]:
    """Write a pack into an empty folder, signed where there is a signer; return its files' names.

    `picture` says where the picture of the medium is from (`kb.pipeline.product_picture`).

    Raises UsageError for times without words or outside the medium, MediaUnavailable and
    LibraryError.
    """
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    found = quoted(entry, transcript, start_s, end_s, made_at, picture)
    names = write_parts(folder, found, medium, transcript, start_s, end_s, progress=progress)
    signed = _SIGNED.format(fingerprint=signer.fingerprint) if signer else ""
    storage.write_text(folder / README, _readme(found, names, start_s, end_s, signed))
    names = (README, *names)
    if signer is not None:
        storage.write_text(folder / PUBLIC, signer.public_pem)
        names = (*names, PUBLIC)
    sums = _sums(folder, names)
    storage.write_text(folder / SUMS, sums)
    names = (*names, SUMS)
    if signer is not None:
        storage.write_bytes(folder / SIGNATURE, signer.sign((folder / SUMS).read_bytes()))
        names = (*names, SIGNATURE)
    return names


def write_zip(folder: Path, names: Sequence[str], target: Path) -> None:
    """Pack files of a folder into a new ZIP. Raises LibraryError."""
    try:
        with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.write(folder / name, name)
    except OSError as error:
        raise storage.file_error(error, target) from error


def _sums(folder: Path, names: Sequence[str]) -> str:
    lines = []
    for name in names:
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def _readme(found: Quoted, names: Sequence[str], start_s: float, end_s: float, signed: str) -> str:
    picture = str(found.facts["medium"]["picture"])
    item = found.facts["item"]
    title = " ".join(clean(item["title"]).split())
    frame = f"{FRAME:<23} the picture in the middle\n" if FRAME in names else ""
    link = item["link"] or item["url"]
    if link and is_loopback(urlsplit(link).hostname):  # not for those who get the pack
        link = f"{link}\n{_OWN_PAGE}"
    return _README.format(
        title=title, line="=" * min(len(title), 78), start=format_exact_time(start_s),
        end=format_exact_time(end_s), quote=found.text, link=link,
        clip=next(name for name in names if Path(name).stem == CLIP), frame=frame,
        origin=_origin(found.facts), signed=signed, picture=_PICTURES.get(picture, ""),
    )  # fmt: skip


def _origin(facts: Mapping[str, Any]) -> str:
    """Return where the words come from, in sentences."""
    reading = facts["reading"]
    model = clean(reading["model"])
    if not reading["is_taken_in"]:
        lines = [_READ.format(engine=clean(reading["engine"]), model=model)]
    else:
        file = " ".join(clean(str(reading["file"] or "")).split()) or f"a file ({model})"
        lines = [_TAKEN.format(file=file)]
    if not all(line["has_word_times"] for line in facts["lines"]):
        lines.append(_LINE_TIMES)
    if reading["revised_by_hand"]:
        lines.append(_REVISED)
    return "\n".join(lines)
