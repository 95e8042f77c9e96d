"""A library whose media are read by the demo recognizer in this process, with their fingerprints.

The way of an item is that of a worker without its queue.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from kb.asr.known_words import KnownWords
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.library import Library, LibraryEntry
from kb.media import sha256_of
from kb.options import RunOptions
from kb.pipeline import same_sound, stages
from kb.settings import Settings
from kb.types import MediaItem, Transcript
from tests.support.compose import Composition, compose, random_plan, write_wav
from tests.support.speech import bank


def talk(words: int, seed: int, **more: float) -> Composition:
    """Return a talk of random words, with the noise of a quiet room."""

    def make() -> Composition:
        rng = np.random.default_rng(seed)
        return compose(bank(), random_plan(bank(), words, rng), rng=rng, noise_db=35, **more)

    return _Talk(make)


class _Talk(Composition):
    """A talk that is made when it is first used: each test process loads the modules with talks."""

    def __init__(self, make: Callable[[], Composition]) -> None:
        self.__dict__["make"] = make

    def __getattr__(self, name: str) -> object:
        if name not in ("audio", "words", "language"):
            raise AttributeError(name)
        self.__dict__.update(vars(self.make()))
        return self.__dict__[name]


def coded(source: Path, target: Path, *arguments: str) -> Path:
    """Write a medium again with other options of ffmpeg, such as a cut or another format."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"]
    subprocess.run(
        [*command, "-i", str(source), *arguments, str(target)], check=True, capture_output=True
    )
    return target


class SoundLibrary:
    """The library; `item` takes a medium in, with the words that are known for it."""

    def __init__(self, folder: Path, session: InferenceSession) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(home=folder / "home", steps="sound", model="demo")
        self.library = Library(self.settings.home)
        self.library.prepare()
        self.session = session
        self._number = 0

    def copy(self, folder: Path) -> SoundLibrary:
        """Return a copy of the library in another folder."""
        shutil.copytree(self.settings.home, folder / "home")
        return SoundLibrary(folder, self.session)

    def write(self, sound: Composition | np.ndarray, *arguments: str, suffix: str = "mp3") -> Path:
        """Write a medium, encoded by ffmpeg."""
        self._number += 1
        plain = write_wav(self.folder / f"{self._number}.wav", sound)
        options = arguments or ("-b:a", "64k")
        return coded(plain, self.folder / f"{self._number}.{suffix}", *options)

    def item(
        self, path: Path, name: str, *, hold_below: float = 0.0, **options: object
    ) -> tuple[LibraryEntry, Transcript]:
        """Take a medium in and transcribe it; return its entry and its stored transcript."""
        entry, asked, key = self._add(path, name, options)
        known = same_sound.known_words(self.library, entry, asked, self.settings)
        asked = replace(asked, known_words=known)
        assert entry.media_path is not None
        found = self.session.transcribe(entry.media_path, asked, sha256=entry.sha256)
        facts = same_sound.facts_about(self.library, found, key)
        entry, _ = stages.write(self.library, entry.item, found, hold_below, facts=facts)
        return entry, stages.read_transcript(self.library, entry)

    def _add(
        self, path: Path, name: str, options: Mapping[str, object]
    ) -> tuple[LibraryEntry, TranscriptionOptions, str]:
        """Add a medium with its fingerprint; return its entry, its options and their hash."""
        item = MediaItem(f"file:{name}", "file", path.as_uri(), name, "2026-01-31")
        entry = self.library.add_media(item, path, sha256=sha256_of(path))
        assert entry.media_path is not None
        run = RunOptions(model="demo", **options)  # type: ignore[arg-type]
        asked = self.session.transcription_options(run)
        same_sound.add_fingerprint(self.library, entry, entry.media_path, entry.sha256, asked.track)
        return entry, asked, same_sound.words_key(asked, self.settings)

    def known(self, path: Path, name: str, **options: object) -> KnownWords | None:
        """Take a medium in without its words; return those that are known for it."""
        entry, asked, _ = self._add(path, name, options)
        return same_sound.known_words(self.library, entry, asked, self.settings)

    def links(self, name: str) -> list[same_sound.SoundLink]:
        """Return the links of an item, as they are now."""
        entry = self.library.find(f"file:{name}")
        assert entry is not None
        return list(same_sound.links(self.library, entry).links)
