"""piper: natural voices from files `NAME.onnx` with `NAME.onnx.json` in `KB_VOICE_DIR`.

The package `piper-tts` (GPL) is used by a script in a process of its own, which holds a voice
between two pieces; else the program, which loads it for each.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Mapping
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from kb.errors import KBError, ModelUnavailable
from kb.library.languages import language_code
from kb.media import sha256_of
from kb.media.pcm import Pcm
from kb.settings import Settings
from kb.storage import read_json
from kb.tts.base import Speaker, Voice
from kb.tts.process import EngineProcess, refused, run_once

PACKAGE = "piper"
SCRIPT = Path(__file__).parent.parent / "children" / "say_piper.py"
MOST_SPEAKERS = 8  # of one file that are offered for the speakers of a dub
_NAME = re.compile(r"(.+?)(?:#(\d{1,5}))?")  # a file of several speakers: NAME#3


class Piper:
    """The engine; see `kb.tts.base.Engine`."""

    name = "piper"
    speeds = (0.8, 1.25)
    is_local = True

    def __init__(self, settings: Settings) -> None:
        self._folder = Path(settings.voice_dir).expanduser() if settings.voice_dir else None
        self._patience_s = settings.speech_timeout_s

    def missing(self) -> KBError | None:
        if not self._files():
            return ModelUnavailable(
                "speech.no_piper_voice",
                "There is no voice of piper: files NAME.onnx and NAME.onnx.json.",
                hint="Put them into a folder and name it in KB_VOICE_DIR. Look at a voice's "
                "licence before you publish what it says.",
            )
        if not self._has_package and not self._program:
            return ModelUnavailable(
                "speech.no_piper",
                "piper is not installed.",
                hint="Install it: pip install 'kb-ingest[say]'. It is under the GPL and runs in a "
                "process of its own.",
            )
        return None

    def voices(self) -> tuple[Voice, ...]:
        if self.missing() is not None:
            return ()
        found = []
        for path in self._files():
            about = _about(path)
            language = about.get("language")
            code = str(language.get("code", "")) if isinstance(language, Mapping) else ""
            own = language_code(code or path.name.split("-")[0])
            number = about.get("num_speakers")
            note = f"{number} speakers" if isinstance(number, int) and number > 1 else ""
            found.append(Voice(self.name, path.stem, (own,) if own else (), note))
        return tuple(found)

    def languages_of(self, voice: str) -> tuple[str, ...]:
        own = voice.split("#")[0]
        return next((each.languages for each in self.voices() if each.name == own), ())

    def choices(self, language: str) -> tuple[str, ...]:
        found: list[str] = []
        for voice in self.voices():
            if language in voice.languages:
                number = int(voice.note.split()[0]) if voice.note else 1
                several = [f"{voice.name}#{each}" for each in range(min(number, MOST_SPEAKERS))]
                found += several if number > 1 else [voice.name]
        return tuple(found)

    def version(self, voice: str) -> str:
        files = {path.stem: path for path in self._files()}
        own = metadata.version("piper-tts") if self._has_package else str(self._program)
        return f"{own} {sha256_of(_chosen(voice, files)[0])}"

    def open(self) -> Speaker:
        if (problem := self.missing()) is not None:
            raise problem
        files = {path.stem: path for path in self._files()}
        if self._has_package:
            command = [sys.executable, "-P", "-X", "utf8", str(SCRIPT)]
            return _Package(EngineProcess(self.name, command, self._patience_s), files)
        return _Program(str(self._program), files, self._patience_s)

    @property
    def _has_package(self) -> bool:
        return importlib.util.find_spec(PACKAGE) is not None

    @cached_property
    def _program(self) -> str | None:
        """The program; another one of this name, which sets up mice, is not taken."""
        found = shutil.which("piper")
        if found is None:
            return None
        try:
            output = run_once(self.name, [found, "--help"], "", self._patience_s)
        except KBError:
            return None
        return found if b"--output" in output and b"--model" in output else None

    def _files(self) -> list[Path]:
        if self._folder is None:
            return []
        try:
            found = sorted(self._folder.glob("*.onnx"))
        except OSError:
            return []
        return [path for path in found if path.with_name(f"{path.name}.json").is_file()]


def _about(path: Path) -> Mapping[str, Any]:
    try:
        return read_json(path.with_name(f"{path.name}.json"))
    except (KBError, OSError):
        return {}


def _chosen(voice: str, files: Mapping[str, Path]) -> tuple[Path, int | None]:
    """Return file and speaker of a voice. Raises KBError."""
    match = _NAME.fullmatch(voice)
    path = files.get(match[1]) if match else None
    if match is None or path is None:
        raise refused(Piper.name, f"there is no voice {voice}")
    return path, int(match[2]) if match[2] else None


class _Package:
    def __init__(self, process: EngineProcess, files: Mapping[str, Path]) -> None:
        self._process = process
        self._files = files

    def say(self, text: str, voice: str, speed: float) -> Pcm:
        path, speaker = _chosen(voice, self._files)
        return self._process.sound(
            {"text": text, "voice": str(path), "scale": 1 / speed, "speaker": speaker}
        )

    def close(self) -> None:
        self._process.close()


class _Program:
    def __init__(self, program: str, files: Mapping[str, Path], patience_s: float) -> None:
        self._program = program
        self._files = files
        self._patience_s = patience_s

    def say(self, text: str, voice: str, speed: float) -> Pcm:
        path, speaker = _chosen(voice, self._files)
        command = [self._program, "--model", str(path), "--output-raw"]
        command += ["--length_scale", f"{1 / speed:.4f}"]
        command += ["--speaker", str(speaker)] if speaker is not None else []
        output = run_once(Piper.name, command, " ".join(text.split()), self._patience_s)
        audio = _about(path).get("audio")
        rate_hz = audio.get("sample_rate") if isinstance(audio, Mapping) else None
        if type(rate_hz) is not int or not 1000 <= rate_hz <= 400_000:
            raise refused(Piper.name, f"the file of {voice} names no rate")
        return Pcm(rate_hz, np.frombuffer(output[: len(output) // 2 * 2], "<i2").astype(np.int16))

    def close(self) -> None:
        """Nothing runs between two pieces."""
