"""Hostile media for `hostile.py`: damaged files of composed speech and of other sound."""

from __future__ import annotations

import random
import struct
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import imageio_ffmpeg
import numpy as np
import soundfile

from benchmarks.support.hostile_run import Area, Case, Fault
from benchmarks.support.hostile_words import Said, account, play
from kb.errors import KBError
from kb.inference.session import InferenceSession
from kb.media.clip import cut
from kb.media.decode import decode
from kb.options import RunOptions
from kb.pipeline.hold import decide
from kb.settings import Settings
from tests.support.compose import SAMPLE_RATE, Composition, compose, random_plan, write_wav
from tests.support.speech import bank

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
WORDS = 12  # of each composition
BARE = "-write_xing 0 -id3v2_version 0"
PICTURE = "-f lavfi -i testsrc=s=64x48:r=5:d=8"
H264 = "-c:v libx264 -preset ultrafast -g 10 -c:a aac"
# Name: arguments of ffmpeg after the sound; `+` adds a picture.
FORMATS = {
    "a.wav": "", "a.flac": "", "a.mp3": "-b:a 64k", "bare.mp3": f"-b:a 64k {BARE}",
    "a.aac": "-c:a aac", "a.ogg": "-c:a libopus", "vorbis.ogg": "-c:a libvorbis",
    "a.m4a": "-c:a aac", "first.m4a": "-c:a aac -movflags +faststart", "a.mka": "-c:a flac",
    "a.webm": "-c:a libopus", "a.aiff": "", "a.wma": "", "a.ac3": "", "a.au": "",
    "+a.mp4": H264, "+frag.mp4": f"{H264} -movflags frag_keyframe+empty_moov", "+a.ts": H264,
    "+a.mkv": H264, "+a.avi": "-c:v mpeg4 -c:a mp3",
}  # fmt: skip
SUFFIXES = (".mp3", ".mp4", ".wav", ".ogg", ".txt", ".webm", ".m4a", ".exe", "", ".MKV", ".jpg")
NO_MEDIUM = (
    b"", b"\0", b"RIFF", b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"<html>no</html>" * 99,
    b"#EXTM3U\nhttp://127.0.0.1:1/a.ts\n", b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"PK\x03\x04" + bytes(200), b"\xff\xfb\x90\x00" * 500, b"\0\0\0\x18ftypmp42" + bytes(99),
    b"[playlist]\nFile1=/etc/passwd\n", b"%PDF-1.7\n" * 50, b"\x89PNG\r\n\x1a\n" + bytes(500),
    b"#!AMR\n" + bytes(999), b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff", b"caff\0\1\0\0" * 9,
)  # fmt: skip
SECONDS_MOST = 900.0  # a medium of a few hundred kilobytes that claims more is refused


@dataclass(frozen=True)
class Base:
    """A whole file and what is said in it."""

    name: str
    data: bytes
    said: Said


def ffmpeg(arguments: str, target: Path) -> Path:
    command = [FFMPEG, "-nostdin", "-v", "error", "-y", *arguments.split(), str(target)]
    subprocess.run(command, check=True, timeout=60)
    return target


class Media(Area):
    """Even cases are composed speech, read by the demo recognizer; odd ones are noise, decoded."""

    name = "media"
    cases = 180
    warm_up = 12

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._home = Path(self._folder.name)
        rng = np.random.default_rng(14)
        self._talks = [self._talk(rng, language) for language in ("en", "de", "en")]
        self._bases: dict[tuple[str, int], Base] = {}
        noise = rng.normal(0, 0.1, 8 * SAMPLE_RATE).astype(np.float32)
        self._noise = Composition(noise, [], None)
        self._settings = Settings(
            KB_HOME=self._home / "library", KB_MODEL="demo", KB_MAX_HOURS=0.25
        )
        self._session = InferenceSession(self._settings)
        self._options = self._session.transcription_options(RunOptions())
        self._session.prepare(self._options)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()
        self._folder.cleanup()

    def _talk(self, rng: np.random.Generator, language: str) -> Composition:
        voice = {code: str(rng.choice(bank().voices(code, known=True))) for code in ("en", "de")}
        return compose(bank(), random_plan(bank(), WORDS, rng, language), voice, rng, noise_db=40)

    def _base(self, name: str, number: int) -> Base:
        """Return a whole file; `number` is that of a talk, -1 for noise."""
        if (name, number) not in self._bases:
            said = self._talks[number] if number >= 0 else self._noise
            source = write_wav(self._home / "source.wav", said)
            picture = f"{PICTURE} " if name.startswith("+") else ""
            target = self._home / name.removeprefix("+")
            ffmpeg(f"{picture}-i {source} {FORMATS[name]}", target)
            self._bases[name, number] = Base(
                name.removeprefix("+"), target.read_bytes(), Said(said)
            )
        return self._bases[name, number]

    def run(self, case: Case) -> None:
        rng = case.rng
        number = rng.randrange(len(self._talks)) if case.number % 2 == 0 else -1
        base = self._base(rng.choice(sorted(FORMATS)), number)
        mutation = rng.choice(MUTATIONS)
        other = self._base(rng.choice(sorted(FORMATS)), number)
        path, what = mutation(base, other, case.folder, rng)
        case.what = f"{base.name}: {what}"
        played = play(path, case.folder, clocked=number >= 0)
        case.add("played", bool(played))
        try:
            if number >= 0:
                self._read(case, path, base, played)
            else:
                self._decode(case, path, played)
        except KBError:
            case.add("refused though played", bool(played))
            raise

    def _read(self, case: Case, path: Path, base: Base, played: list[np.ndarray]) -> None:
        """Transcribe a file and account for the words that ffmpeg plays."""
        found = self._session.transcribe(path, self._options)
        decide(found, self._settings.hold_below)
        counts, lost = account(base.said, played, found)
        gone = max(0, len(base.said.composition.words) - counts["words"])
        remarked = found.warnings or found.truncated or found.coverage.gaps
        counts |= {"gone": gone, "gone silently": 0 if remarked else gone}
        for name, value in counts.items():
            case.add(name, value)
        if lost:
            raise Fault(f"silent loss: the words {', '.join(lost)}")

    def _decode(self, case: Case, path: Path, played: list[np.ndarray]) -> None:
        """Decode a file, and cut a clip of it; compare the length with that of ffmpeg."""
        with decode(path, longest_s=self._settings.longest_s) as stream:
            for _ in stream:
                pass
            reported_s = sum(loss.duration_s for loss in stream.losses)
            ends_early = bool(stream.warnings)
        longest_s = max((len(each) / SAMPLE_RATE for each in played), default=0.0)
        if stream.duration_s + reported_s < longest_s - 1.0 and not ends_early:
            raise Fault(f"silent loss: {stream.duration_s:.1f} s of {longest_s:.1f} s")
        start_s = case.rng.uniform(0, max(0.1, stream.duration_s - 1))
        with suppress(KBError):
            cut(path, start_s, start_s + 1.0, case.folder / "clip.wav")


Mutation = Callable[[Base, Base, Path, random.Random], tuple[Path, str]]


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / f"case-{name}"
    path.write_bytes(data)
    return path


def truncated(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    share = rng.uniform(0.05, 0.99)
    return _write(
        folder, base.name, base.data[: int(len(base.data) * share)]
    ), f"cut at {share:.2f}"


def flipped(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    data, count = bytearray(base.data), rng.choice((1, 1, 5, 50))
    first, last = rng.choice(((0, 64), (0, 1_000), (0, len(data)), (len(data) // 2, len(data))))
    for _ in range(count):
        data[rng.randrange(first, min(last, len(data)))] = rng.randrange(256)
    return _write(folder, base.name, bytes(data)), f"{count} bytes changed in {first} to {last}"


def hole(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    size = len(base.data)
    at, length = rng.randrange(size), rng.choice((100, 4_000, size // 5))
    fill = rng.choice((b"", bytes(length), rng.randbytes(length)))
    data = base.data[:at] + fill + base.data[at + length :]
    kind = "removed" if not fill else "zeros" if not any(fill) else "noise"
    return _write(folder, base.name, data), f"{length} bytes at {at} of {size}: {kind}"


def garbage(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    data, times = base.data, rng.choice((1, 1, 4))
    for _ in range(times):
        at = rng.choice((0, rng.randrange(len(data)), len(data)))
        data = data[:at] + rng.randbytes(rng.choice((1, 50, 5_000))) + data[at:]
    return _write(folder, base.name, data), f"garbage at {times} places"


def joined(base: Base, other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    second = rng.choice((base, base, other))
    return _write(folder, base.name, base.data + second.data), f"joined with {second.name}"


def wrong_suffix(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    suffix = rng.choice(SUFFIXES)
    return _write(folder, f"a{suffix}", base.data), f"named {suffix!r}"


def no_medium(_base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    data, suffix = rng.choice(NO_MEDIUM), rng.choice(SUFFIXES)
    return _write(folder, f"a{suffix}", data), f"{data[:12]!r} named {suffix!r}"


def header(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    """Write a WAV with an absurd or merely wrong field in its header."""
    sound = (base.said.audio * 32767).astype("<i2").tobytes()
    field, value = rng.choice((
        ("rate", 1), ("rate", 2**31 - 1), ("rate", 0), ("rate", 8_000), ("rate", 32_000),
        ("channels", 0), ("channels", 200), ("channels", 2), ("bits", 0), ("bits", 8), ("bits", 99),
        ("align", 0), ("align", 7), ("form", 0), ("form", 0xFFFE), ("form", 85), ("length", 0),
        ("length", 0xFFFFFFFF), ("length", 2 * len(sound)), ("length", len(sound) // 2),
        ("riff", 0), ("riff", 12), ("size", 2**31), ("size", 14), ("size", 40),
    ))  # fmt: skip
    fields = {"form": 1, "channels": 1, "rate": 16_000, "align": 2, "bits": 16, "size": 16,
              "length": len(sound), "riff": len(sound) + 36} | {field: value}  # fmt: skip
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", fields["riff"], b"WAVE", b"fmt ", fields["size"],
        fields["form"], fields["channels"], fields["rate"], fields["rate"] * 2 & 0xFFFFFFFF,
        fields["align"], fields["bits"], b"data", fields["length"],
    )  # fmt: skip
    return _write(folder, "a.wav", head + sound), f"header says {field} {value}"


def cancelled(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    """Write sides that cancel in a mixdown, over the whole file or a part of it."""
    audio = base.said.audio
    sides = np.stack([audio, audio], axis=1)
    first = 0 if rng.random() < 0.6 else rng.randrange(len(audio))
    gain = rng.choice((1.0, 0.97, 0.5))
    sides[first:, 1] *= -gain
    source = folder / "sides.wav"
    soundfile.write(source, sides, SAMPLE_RATE)
    name, options = rng.choice((
        ("a.flac", ""), ("a.wav", ""), ("a.mp3", "-b:a 192k"), ("a.m4a", "-c:a aac -b:a 192k"),
        ("a.mkv", "-c:a flac"),
    ))  # fmt: skip
    target = ffmpeg(f"-i {source} {options}", folder / f"case-{name}")
    return target, f"sides cancel from {first / SAMPLE_RATE:.1f} s on, gain {gain} in {name}"


def late(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    """Let the sound or the whole container begin late."""
    source = write_wav(folder / "source.wav", base.said.audio)
    offset_s = rng.choice((0.5, 3.0, 4.9, 60.0))
    name = rng.choice(("a.mkv", "a.mp4", "a.ts", "a.avi"))
    codec = "-c:v mpeg4 -c:a mp3" if name == "a.avi" else H264
    picture = PICTURE if rng.random() < 0.6 else ""
    options = codec if picture else "-c:a aac" if name != "a.avi" else "-c:a mp3"
    arguments = f"{picture} -itsoffset {offset_s} -i {source} {options}"
    return ffmpeg(arguments, folder / f"case-{name}"), f"begins {offset_s} s late in {name}"


def changed(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    """Join two encodings of the same speech with other rates and channels."""
    source = write_wav(folder / "source.wav", base.said.audio)
    name, codec = rng.choice((("mp3", BARE), ("aac", "-c:a aac"), ("ts", "-c:a aac"),
                              ("ogg", "-c:a libopus"), ("flac", "")))  # fmt: skip
    parts, forms = [], []
    for number in range(rng.choice((2, 2, 3))):
        form = f"-ar {rng.choice((16_000, 24_000, 48_000))} -ac {rng.choice((1, 2))}"
        forms.append(form)
        path = ffmpeg(f"-i {source} {codec} {form}", folder / f"{number}.{name}")
        parts.append(path.read_bytes())
    return _write(folder, f"a.{name}", b"".join(parts)), f"{name} of {' then '.join(forms)}"


def many_tracks(base: Base, _other: Base, folder: Path, rng: random.Random) -> tuple[Path, str]:
    """Write a file of several sound tracks, of which one is spoken."""
    source = write_wav(folder / "source.wav", base.said.audio)
    count = rng.choice((2, 3, 5, 20, 300))
    spoken = rng.randrange(min(count, 20))
    silence = "-f lavfi -t 8 -i anullsrc=r=16000:cl=mono"
    maps = " ".join(f"-map {1 if number == spoken else 0}:a" for number in range(count))
    arguments = f"{silence} -i {source} {maps} -c:a pcm_s16le"
    name = "a.mka"
    return ffmpeg(arguments, folder / f"case-{name}"), f"{count} tracks, number {spoken + 1} spoken"


MUTATIONS: tuple[Mutation, ...] = (
    *(truncated,) * 3, *(flipped,) * 3, *(hole,) * 3, *(garbage,) * 3, *(joined,) * 3,
    header, header, cancelled, cancelled, late, late, changed, changed, many_tracks,
    wrong_suffix, no_medium,
)  # fmt: skip
