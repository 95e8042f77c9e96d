"""Transcripts that are named beside their medium: `kb ingest talk.mp4 talk.en.srt`, or uploads.

Such a file is laid beside the medium in the library, and a worker reads it instead of the sound. A
transcript alone belongs to the item of the library that has its name.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kb.errors import KBError
from kb.library import MEDIA_EXTENSIONS, Library
from kb.library.metadata import ORIGINAL_SUFFIX
from kb.library.transcript_names import SUBTITLE_SUFFIXES, split_name
from kb.pipeline.transcript_files import BROUGHT
from kb.settings import Settings
from kb.sources.files import is_allowed_path, path_of
from kb.transcript.foreign.suffixes import SUFFIXES
from kb.types import MediaItem

EARLIER_SUFFIX = ".earlier"  # of a file in whose place another one of its name was laid


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to media, and the transcripts that were named with it, the most exact first."""

    text: str
    transcripts: tuple[Path, ...] = ()

    def with_transcripts(self, item: MediaItem) -> MediaItem:
        """Return an item of the reference that is taken in with its transcripts."""
        extra = {name: value for name, value in item.extra.items() if name != BROUGHT}
        if self.transcripts:
            extra[BROUGHT] = [str(path) for path in self.transcripts]
        return replace(item, extra=extra)

    @property
    def remark(self) -> KBError | None:
        """The sentence about the transcripts; None without any."""
        if not self.transcripts:
            return None
        return KBError(
            "note.brought_transcript",
            "{names} is taken in as its transcript: the sound is not recognized.",
            hint="To have it recognized, name the medium alone.",
            names=", ".join(path.name for path in self.transcripts),
        )

    @property
    def remark_known(self) -> KBError | None:
        """The sentence about the transcripts of a medium that has one in the library already."""
        if not self.transcripts:
            return None
        return KBError(
            "note.transcript_not_taken",
            "{names} is not taken in: its medium is in the library with a transcript.",
            hint="To replace that one: --again",
            names=", ".join(path.name for path in self.transcripts),
        )


def is_recognized(item: MediaItem) -> bool:
    """Return False for an item that is taken in with a transcript of the user."""
    return BROUGHT not in item.extra


def references(texts: Sequence[str], library: Library, settings: Settings) -> list[Reference]:
    """Return the references with the transcripts among them at their media.

    A transcript whose medium is neither named nor in the library stays a reference of its own,
    which is refused when it is opened.
    """
    paths = {text: path for text in texts if (path := _file(text, settings)) is not None}
    transcripts = {text: p for text, p in paths.items() if p.suffix.lower() in SUFFIXES}
    media = {text: path for text, path in paths.items() if text not in transcripts}
    found: dict[str, list[Path]] = {text: [] for text in texts if text not in transcripts}
    for text, path in transcripts.items():
        owner = _owner(path, media) or _in_library(path, library)
        found.setdefault(owner or text, [])
        if owner:
            found[owner].append(path)
    return [
        Reference(text, tuple(sorted(own, key=lambda path: SUFFIXES.index(path.suffix.lower()))))
        for text, own in found.items()
    ]


def lying_beside(media: Iterable[MediaItem]) -> KBError | None:
    """Return the sentence about subtitles beside local media that are not taken in with them.

    None if there are none. A folder is looked at once.
    """
    names: dict[Path, list[str]] = {}
    found = []
    for item in media:
        if BROUGHT in item.extra or not item.url.startswith("file:"):
            continue
        path = path_of(item.url)
        if path.parent not in names:
            names[path.parent] = _subtitles(path.parent)
        found += [(path, each) for each in names[path.parent] if split_name(each).stem == path.stem]
    if not found:
        return None
    medium, subtitles = found[0]
    return KBError(
        "note.subtitles_beside",
        "Not used, as the sound is recognized: {count:subtitle file|subtitle files} beside the "
        "media, such as {name}.",
        hint="To take it in as the transcript, name both: {medium} {name}",
        count=len(found),
        name=subtitles,
        medium=medium.name,
    )


def _subtitles(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(
            each.name for each in folder.iterdir() if each.suffix.lower() in SUBTITLE_SUFFIXES
        )
    return []


def lay(library: Library, item: MediaItem) -> MediaItem:
    """Copy an item's transcripts beside the place of its medium; return the item with their names.

    A file of the same name and other content is kept under another one. Raises LibraryError.
    """
    paths = item.extra.get(BROUGHT)
    if not isinstance(paths, list):
        return item
    names = [_lay(library, item, Path(str(path))).name for path in paths]
    return replace(item, extra={**item.extra, BROUGHT: names})


def _lay(library: Library, item: MediaItem, path: Path) -> Path:
    language = split_name(path.name).language
    suffix = path.suffix.lower()
    if suffix == ".json":  # the name of the item's metadata
        suffix = ORIGINAL_SUFFIX
    target = library.path(library.stem(item), f"{'.' if language else ''}{language}{suffix}")
    if target.exists():
        if filecmp.cmp(path, target, shallow=False):
            return target
        _keep_earlier(library, item, target)
    library.put_file(item.id, path, target, link=False)
    return target


def _keep_earlier(library: Library, item: MediaItem, path: Path) -> None:
    kept, number = path.with_name(f"{path.name}{EARLIER_SUFFIX}"), 2
    while kept.exists():
        kept = path.with_name(f"{path.name}{EARLIER_SUFFIX}{number}")
        number += 1
    library.put_file(item.id, path, kept, link=False)


def _file(text: str, settings: Settings) -> Path | None:
    """Return the file that a reference names; None for any other reference."""
    try:
        path = Path(text).expanduser()
        return path if path.is_file() and is_allowed_path(path, settings) else None
    except (OSError, RuntimeError, ValueError):
        return None


def _owner(transcript: Path, media: Mapping[str, Path]) -> str | None:
    """Return the reference to the medium of a transcript's name: `talk.mp4` of `talk.en.srt`."""
    stems = _stems(transcript)
    for text, path in media.items():
        if path.name in stems or path.stem in stems:
            return text
    return None


def _in_library(transcript: Path, library: Library) -> str | None:
    for stem in _stems(transcript):
        for extension in MEDIA_EXTENSIONS:
            medium = library.path(stem, extension)
            if library.path(stem, ".json").exists() and medium.exists():
                return str(medium)
    return None


def _stems(transcript: Path) -> frozenset[str]:
    """Return the names that the transcript's medium may have; recognizers keep or drop endings."""
    return frozenset({transcript.stem, split_name(transcript.name).stem})
