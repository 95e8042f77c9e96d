"""Transcripts in JSON of other programs, which must not have the name of an item's metadata.

`whisper talk.mp4 --output_format json` writes `talk.json`, the name of the library's own record.
Such a file becomes `STEM.original.json`, one with a language (`STEM.en.json`)
`STEM.en.original.json`; nothing is replaced, a second one is `STEM.2.original.json`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from kb import storage
from kb.library.directory import is_metadata, list_directory
from kb.library.filenames import split_stem
from kb.library.metadata import ORIGINAL_SUFFIX, is_record
from kb.library.transcript_names import TranscriptName, is_transcript, split_name

_NUMBER = re.compile(r"\.\d+$")


def original_name(name: str) -> TranscriptName:
    """Return the parts of the name of an original."""
    return split_name(f"{_NUMBER.sub('', name.removesuffix(ORIGINAL_SUFFIX))}.json")


def keep_originals(media_folder: Path) -> None:
    """Give every transcript in the folder that has the name of metadata its own name.

    Raises LibraryError.
    """
    for name in sorted(list_directory(media_folder)):
        is_json = is_metadata(name) or (name.lower().endswith(".json") > name.endswith(".json"))
        if is_json and split_stem(split_name(name).stem) is not None:
            keep_original(media_folder / name)


def keep_original(path: Path) -> bool:
    """Rename a file if it is a transcript of another program; return whether it is one.

    Raises LibraryError.
    """
    if not _holds_transcript(path):
        return False
    base = path.name[: -len(".json")]
    target = path.with_name(f"{base}{ORIGINAL_SUFFIX}")
    number = 2
    while target.exists():
        target = path.with_name(f"{base}.{number}{ORIGINAL_SUFFIX}")
        number += 1
    try:
        with storage.held(path.parent) as folder:
            (folder / path.name).rename(folder / target.name)
    except OSError as error:
        raise storage.library_error(error, path, "write") from error
    return True


def _holds_transcript(path: Path) -> bool:
    """Return whether a JSON file has the form of a recognizer's transcript."""
    try:
        document = json.loads(storage.read_user_text(path, storage.MAX_DOCUMENT_BYTES))
    except (OSError, storage.UnreadableText, ValueError, RecursionError):
        return False  # `storage.read_json` names the damage
    return not (isinstance(document, dict) and is_record(document)) and is_transcript(document)
