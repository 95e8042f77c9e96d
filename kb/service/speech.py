"""Texts read aloud: the voices, and files or streams of speech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from kb import storage
from kb.errors import KBError, UsageError
from kb.service.health_check import State
from kb.service.items import Items
from kb.service.language_model import LanguageModels
from kb.settings import Settings
from kb.storage import Target
from kb.tts.base import Voice
from kb.tts.sound_formats import FORMATS, SUFFIXES, encoded
from kb.tts.speech import (
    LOCAL,
    Spoken,
    all_voices,
    choose_voice,
    engines,
    language_to_read,
    no_voice,
    speak,
)
from kb.types.notes import LENGTHS

__all__ = ["FORMATS", "SUFFIXES", "Speech", "SpokenFile", "Stream", "Voice"]


@dataclass(frozen=True, slots=True)
class Stream:
    """Speech that is made while `parts` is read; close `parts` if it is not read to its end."""

    media_type: str
    parts: Iterator[bytes]
    voice: str
    language: str
    notes: tuple[KBError, ...] = ()


@dataclass(frozen=True, slots=True)
class SpokenFile:
    """A file of speech, the voice and language it has, and remarks."""

    path: Path
    voice: str
    language: str
    notes: tuple[KBError, ...]


class Speech:
    """Reads texts aloud."""

    def __init__(self, settings: Settings, items: Items, notes: LanguageModels) -> None:
        self.settings = settings
        self.items = items
        self.notes = notes

    def voices(self) -> tuple[Voice, ...]:
        """Return all voices. Raises KBError for an engine that cannot be asked."""
        return all_voices(self.settings)

    def lacking(self) -> dict[str, KBError]:
        """Return for each engine that cannot speak what it lacks."""
        found = {name: each.missing() for name, each in engines(self.settings).items()}
        return {name: problem for name, problem in found.items() if problem is not None}

    @property
    def problem(self) -> KBError | None:
        """The error of what is to be installed or set before a text is read, None if nothing is.

        No engine is started.
        """
        known = engines(self.settings)
        named = known.get(self.settings.voice.partition(":")[0])
        if named is not None:
            return named.missing()
        problems = [known[name].missing() for name in LOCAL]
        return problems[-1] if all(problems) else None

    def may_cost(self, engine: str = "") -> bool:
        """Return True if a text goes to a service elsewhere with this engine, or the usual one.

        Another name than that of an engine counts as the usual one.
        """
        known = engines(self.settings)
        found = known.get(engine) or known.get(self.settings.voice.partition(":")[0])
        return found is not None and found.missing() is None and not found.is_local

    @property
    def engine_names(self) -> tuple[str, ...]:
        """The engines of voices."""
        return tuple(engines(self.settings))

    def language_of(self, text: str, named: str = "") -> str:
        """Return the language of a text: the named one, else what is detected.

        Raises UsageError for a name that is none.
        """
        return language_to_read(text, named)

    def distinct_voices(self, language: str, engine: str = "") -> tuple[str, ...]:
        """Return names of voices of an engine that differ clearly; the first is the usual one.

        Without a name, the engine is that of the usual voice. Raises as
        `kb.tts.speech.choose_voice` does.
        """
        found, first = choose_voice(self.settings, language, engine)
        others = [each for each in found.choices(language) if each != first]
        return tuple(f"{found.name}:{each}" for each in (first, *others))

    def local_voices(self, language: str) -> tuple[str, ...]:
        """Return the names of this machine's voices for a language that differ clearly.

        Raises KBError for an engine that cannot be asked.
        """
        known = engines(self.settings)
        return tuple(
            f"{name}:{voice}"
            for name in LOCAL
            if known[name].missing() is None
            for voice in known[name].choices(language)
        )

    def no_voice(self, language: str) -> KBError:
        """Return the error of a language that no voice of this machine has."""
        return self.problem or no_voice(language)

    def text_of(self, item_id: str) -> tuple[str, str]:
        """Return the text of an item that is read, and its language: its summary, else its words.

        Raises UsageError and LibraryError.
        """
        entry = self.items.entry(item_id)
        summary = self.notes.notes(entry).summary
        transcript = self.items.transcript(entry.item.id)
        for length in reversed(LENGTHS):
            if summary.get(length):
                # A summary may be in another language than the words.
                return "\n".join(each.text for each in summary[length]), ""
        return transcript.text, transcript.language

    def stream(
        self, text: str, kind: str, *, voice: str = "", language: str = "", speed: float = 1.0
    ) -> Stream:
        """Return a text as speech in a format of `FORMATS`. Raises as `kb.tts.speech.speak`."""
        spoken = speak(self.settings, text, voice=voice, language=language, speed=speed)
        parts = encoded(spoken.sound, kind, spoken.tempo)
        return Stream(FORMATS[kind].media_type, parts, spoken.voice, spoken.language, spoken.notes)

    def to_file(
        self,
        text: str,
        target: Path,
        *,
        voice: str = "",
        language: str = "",
        speed: float = 1.0,
        overwrite: bool = False,
    ) -> SpokenFile:
        """Write a text as speech, completely or not at all; the ending of the name is the format.

        Raises UsageError for an unknown ending and a file in the way, and as `stream` does.
        """
        kind = SUFFIXES.get(target.suffix.lower())
        if kind is None:
            raise UsageError(
                "speech.unknown_kind",
                "Unknown kind of sound {name!r}.",
                hint="It may end in: {known}",
                name=target.name,
                known=" ".join(SUFFIXES),
            )
        source = f"speech:{sha256(text.encode()).hexdigest()[:32]}"
        named = Target(target, source, overwrite=overwrite, chosen=True)
        self.items.files.check(named)
        spoken = speak(self.settings, text, voice=voice, language=language, speed=speed)
        with self.items.files.draft(named) as draft:
            _write(spoken, kind, draft.path)
        return SpokenFile(draft.target, spoken.voice, spoken.language, spoken.notes)


def read_text(path: Path) -> str:
    """Return the text of a user's file. Raises UsageError for one that cannot be read."""
    try:
        return storage.read_user_text(path, storage.MAX_DOCUMENT_BYTES)
    except OSError as error:
        raise storage.input_error(error, path) from error
    except storage.UnreadableText as error:
        raise UsageError(
            "speech.no_text",
            "{path} cannot be read as text: {reason}.",
            hint="Give a file of plain text.",
            path=path,
            reason=storage.unreadable_reason(error),
        ) from error


def check_speech(settings: Settings) -> Iterator[tuple[State, KBError]]:
    """Yield the state of the engines of voices with its finding or error."""
    ready, elsewhere = [], []
    for name, engine in engines(settings).items():
        if engine.missing() is None:
            ready.append(name)
            if not engine.is_local:
                elsewhere.append(name)
    if not ready:
        problem = engines(settings)["espeak"].missing()
        if problem is not None:
            absent = KBError(
                "check.voices_absent",
                "None; texts cannot be read aloud. {cause.hint}",
                cause=problem,
            )
            yield "ok", absent
        return
    try:
        # A service is not asked.
        known = engines(settings)
        count = sum(len(known[name].voices()) for name in LOCAL)
        if settings.voice:
            choose_voice(settings, "en", settings.voice)
    except KBError as error:
        yield "fail", error
        return
    here = KBError(
        "clause.voices",
        "{engines}; {count:voice|voices} on this machine",
        engines=", ".join(ready),
        count=count,
    )
    if not elsewhere:
        yield "ok", KBError("check.voices", "{here}", here=here)
        return
    sent = KBError(
        "check.voices_elsewhere",
        "{here}; texts are sent to {names} where a voice of it is named",
        here=here,
        names=", ".join(elsewhere),
    )
    yield "ok", sent


def _write(spoken: Spoken, kind: str, path: Path) -> None:
    for _ in encoded(spoken.sound, kind, spoken.tempo, f"file:{path.absolute()}"):
        pass
