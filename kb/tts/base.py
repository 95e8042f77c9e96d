"""The interface of an engine of voices: its voices, and a speaker that reads a piece of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kb.errors import KBError
from kb.media.pcm import Pcm


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice, named `engine:name`; `languages` are codes, empty where they are not known."""

    engine: str
    name: str
    languages: tuple[str, ...] = ()
    note: str = ""

    @property
    def id(self) -> str:
        return f"{self.engine}:{self.name}"


class Speaker(Protocol):
    """A running engine."""

    def say(self, text: str, voice: str, speed: float) -> Pcm:
        """Return the sound of a piece of text; `voice` is a name without that of the engine.

        `speed` is within the engine's `speeds`. Raises KBError.
        """

    def close(self) -> None:
        """End the engine's process."""


class Engine(Protocol):
    """One engine with its settings. Nothing is started before a method is called."""

    name: str
    speeds: tuple[float, float]
    """The speeds that it can speak at; 1 is its own."""

    @property
    def is_local(self) -> bool:
        """True if texts stay on this machine."""

    def missing(self) -> KBError | None:
        """Return the error of what is to be installed or set; None if the engine can speak."""

    def voices(self) -> tuple[Voice, ...]:
        """Return the voices. Raises KBError."""

    def languages_of(self, voice: str) -> tuple[str, ...]:
        """Return the languages of a voice; empty where they are not known."""

    def choices(self, language: str) -> tuple[str, ...]:
        """Return the names of voices that differ clearly, for a language; empty without one."""

    def version(self, voice: str) -> str:
        """Return what the sound of a voice depends on: versions, or the hash of its file."""

    def open(self) -> Speaker:
        """Return the running engine. Raises KBError."""
