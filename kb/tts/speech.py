"""Chooses a voice for a text and reads it aloud, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from kb.errors import KBError, UsageError
from kb.library.languages import language_code, language_name
from kb.media.pcm import Pcm
from kb.settings import Settings
from kb.tts.base import Engine, Voice
from kb.tts.engines import ENGINES
from kb.tts.language import language_of, letters_by_script, scripts_of
from kb.tts.reading import pieces, readable

MOST_CHARS = 1_000_000
SLOWEST, FASTEST = 0.25, 4.0
LOCAL = ("piper", "espeak")  # engines that are taken without their name
_PAUSE_S = 0.15  # between two pieces; engines give little silence at the ends
_LEAST_READABLE = 0.5  # of the letters of a text


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text that is going to be read: with which voice, in which language, and remarks.

    `tempo` is what is left of the speed where the engine has not all of it. `sound` is made while
    it is read; it must be closed if it is not read to its end.
    """

    voice: str
    language: str
    sound: Iterator[Pcm]
    tempo: float = 1.0
    notes: tuple[KBError, ...] = field(default=())


def engines(settings: Settings) -> dict[str, Engine]:
    """Return the engines by name, in the order in which a voice is looked for."""
    return {name: make(settings) for name, make in ENGINES.items()}


def all_voices(settings: Settings) -> tuple[Voice, ...]:
    """Return the voices of all engines that can speak. Raises KBError."""
    return tuple(voice for each in engines(settings).values() for voice in each.voices())


def choose_voice(settings: Settings, language: str, named: str = "") -> tuple[Engine, str]:
    """Return engine and name of a voice: the named one, that of the settings, one for the language.

    A service is taken only where its voice is named, here or in the settings. Raises UsageError for
    an unknown name, and ModelUnavailable where nothing can speak.
    """
    known = engines(settings)
    wanted = named or _usual(settings, known, language)
    if wanted:
        name, _, voice = wanted.partition(":")
        engine = known.get(name)
        if engine is None:
            raise UsageError(
                "speech.unknown_engine",
                "{voice!r} names no engine of voices.",
                hint="Write ENGINE:VOICE, such as espeak:de; engines: {known}. Voices: "
                "kb speak --voices",
                voice=wanted,
                known=", ".join(known),
            )
        if (problem := engine.missing()) is not None:
            raise problem
        if not voice:  # an engine alone
            voice = next(iter(engine.choices(language)), "")
        if voice:
            return engine, voice
        raise no_voice(language)
    local = [known[name] for name in LOCAL]
    for engine in local:
        if engine.missing() is None and (found := engine.choices(language)):
            return engine, found[0]
    if all(engine.missing() is not None for engine in local):
        problem = known["espeak"].missing()
        assert problem is not None
        raise problem
    raise no_voice(language)


def _usual(settings: Settings, known: Mapping[str, Engine], language: str) -> str:
    """Return the voice of the settings; empty where it is one of another language."""
    name, _, voice = settings.voice.partition(":")
    languages = known[name].languages_of(voice) if name in known and voice else ()
    return "" if languages and language not in languages else settings.voice


def speak(
    settings: Settings, text: str, *, voice: str = "", language: str = "", speed: float = 1.0
) -> Spoken:
    """Prepare a text for reading aloud; the sound is made while it is taken.

    Raises UsageError for an empty text, an unknown voice or language, a speed outside the bounds
    and a text in a script that the voice's language has not; ModelUnavailable without an engine.
    """
    code = language_to_read(text, language)
    said = _checked(text, code)
    if not SLOWEST <= speed <= FASTEST:
        raise UsageError(
            "speech.speed",
            "A speed of {speed:g} is outside {slowest:g} to {fastest:g}.",
            hint="1 is the voice's own speed.",
            speed=speed,
            slowest=SLOWEST,
            fastest=FASTEST,
        )
    engine, name = choose_voice(settings, code, voice)
    notes = script_notes(said, engine.languages_of(name) or (code,), f"{engine.name}:{name}")
    low, high = engine.speeds
    own = min(high, max(low, speed))
    return Spoken(
        f"{engine.name}:{name}", code, _sound(engine, name, said, own), speed / own, notes
    )


def script_notes(text: str, languages: tuple[str, ...], voice: str) -> tuple[KBError, ...]:
    """Return a remark on letters that a voice of these languages cannot read.

    Raises UsageError if they are the larger part. Latin letters are read by every voice.
    """
    known = {"Latin", *(script for code in languages for script in scripts_of(code))}
    letters = letters_by_script(text)
    unknown = {script: count for script, count in letters.items() if script not in known}
    if not unknown:
        return ()
    names = ", ".join(script or "others" for script in unknown)
    if sum(unknown.values()) > _LEAST_READABLE * letters.total():
        raise UsageError(
            "speech.script",
            "The voice {voice} cannot read this text: its letters are {scripts}.",
            hint="Take a voice of the text's language: kb speak --voices",
            voice=voice,
            scripts=names,
        )
    return (
        KBError(
            "note.speech_letters",
            "The voice {voice} does not read {count:letter|letters} of the text ({scripts}).",
            hint="Listen to those places, or take another voice: kb speak --voices",
            count=sum(unknown.values()),
            scripts=names,
            voice=voice,
        ),
    )


def _sound(engine: Engine, voice: str, text: str, speed: float) -> Iterator[Pcm]:
    with closing(engine.open()) as speaker:
        rate_hz = 0
        for number, piece in enumerate(pieces(text)):
            sound = speaker.say(piece, voice, speed)
            if rate_hz and sound.rate_hz != rate_hz:
                raise KBError(
                    "speech.rate",
                    "The engine {engine} changes its rate from {before} to {after} Hz.",
                    hint="Take another voice: kb speak --voices",
                    engine=engine.name,
                    before=rate_hz,
                    after=sound.rate_hz,
                )
            rate_hz = sound.rate_hz
            if number:
                yield Pcm(rate_hz, np.zeros(round(_PAUSE_S * rate_hz), np.int16))
            yield sound


def language_to_read(text: str, language: str) -> str:
    """Return the language of a text: the named one, else what is detected. Raises UsageError."""
    if not language:
        return language_of(text)
    code = language_code(language)
    if not code:
        raise UsageError(
            "speech.language",
            "{language!r} is no language.",
            hint="Give a code or a name, such as de or German.",
            language=language,
        )
    return code


def _checked(text: str, language: str) -> str:
    if len(text) > MOST_CHARS:
        raise UsageError(
            "speech.long",
            "The text has {count} characters, more than {most}.",
            hint="Give it in parts.",
            count=len(text),
            most=MOST_CHARS,
        )
    said = readable(text, language)
    if not said:
        raise UsageError(
            "speech.empty",
            "There is nothing to read: the text has no word.",
            hint="Give a text with letters or numbers.",
        )
    return said


def no_voice(language: str) -> KBError:
    """Return the error of a language that no voice has."""
    return UsageError(
        "speech.no_voice",
        "There is no voice for {language} on this machine.",
        hint="Voices: kb speak --voices. A voice of piper goes into KB_VOICE_DIR; a service's is "
        "named with --voice.",
        language=language_name(language),
    )
