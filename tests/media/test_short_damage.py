"""Damage shorter than a second: noticed where a word may be gone, and no alarm where none is."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from kb.asr.coverage import add_lost
from kb.media import SAMPLE_RATE_HZ
from kb.media.decode import AudioStream, decode
from kb.pipeline.hold import decide
from kb.types import Coverage, MediaRef, SpeechSpan, Timing, Transcript
from tests.support.compose import WordBank, compose, write_wav

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LENGTH_S = 6.0
BARE = "-write_xing 0 -id3v2_version 0"
FORMS = {
    "a.flac": "", "xing.mp3": "-b:a 64k", "bare.mp3": f"-b:a 64k {BARE}", "vbr.mp3": "-q:a 5",
    "a.aac": "-c:a aac", "a.ac3": "", "a.m4a": "-c:a aac", "a.ts": "-c:a aac",
    "a.mka": "-c:a flac", "a.ogg": "-c:a libopus",
}  # fmt: skip
RAW = ("xing.mp3", "bare.mp3", "vbr.mp3", "a.aac", "a.ac3")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("damage")
    bank = WordBank.load()
    talk = compose(bank, "mountain garden harbour village", rng=np.random.default_rng(3)).audio
    source = write_wav(folder / "source.wav", np.resize(talk, int(LENGTH_S * SAMPLE_RATE_HZ)))
    outputs = [word for name, form in FORMS.items() for word in (*form.split(), str(folder / name))]
    subprocess.run(
        [FFMPEG, "-nostdin", "-v", "error", "-y", "-i", str(source), *outputs], check=True
    )
    return {name: (folder / name).read_bytes() for name in FORMS}


def read(path: Path, data: bytes) -> AudioStream:
    path.write_bytes(data)
    stream = decode(path)
    for _ in stream:
        pass
    return stream


def transcript(stream: AudioStream) -> Transcript:
    lost = (SpeechSpan(each.start_s, each.end_s) for each in stream.losses)
    media = MediaRef("a", "", stream.duration_s)
    coverage = add_lost(Coverage(4.0, 4.0), lost)
    return Transcript(media, (), "en", "whisper", "demo", "optimiert", coverage, Timing())


@pytest.mark.parametrize("fill", ["zeros", "noise"])
@pytest.mark.parametrize("name", FORMS)
def test_damage_of_a_word_lowers_the_grade(
    tmp_path: Path, files: dict[str, bytes], name: str, fill: str
) -> None:
    data = files[name]
    at, size = len(data) // 2, int(0.4 * len(data) / LENGTH_S)
    filled = bytes(size) if fill == "zeros" else random.Random(1).randbytes(size)
    stream = read(tmp_path / name, data[:at] + filled + data[at + size :])
    # An estimate where the bit rate varies.
    assert sum(each.duration_s for each in stream.losses) >= 0.2
    assert stream.warning
    # In a quiet part of a VBR file these bytes are more than a second, which its header shows.
    assert not stream.truncated or name == "vbr.mp3"
    assert transcript(stream).coverage.grade != "A"


def test_a_short_damage_is_placed_and_does_not_hold_the_item(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    data = files["a.flac"]
    at = len(data) // 2
    stream = read(tmp_path / "a.flac", data[:at] + bytes(4000) + data[at + 4000 :])
    (loss,) = stream.losses
    assert loss.cause == "damage"
    assert 1.5 < loss.start_s < 4.5 and loss.duration_s < 1
    assert decide(transcript(stream), 0.5).state == "done"


@pytest.mark.parametrize("name", RAW)
def test_bytes_without_frames_are_lost_seconds(
    tmp_path: Path, files: dict[str, bytes], name: str
) -> None:
    data = files[name]
    at, size = len(data) // 3, int(1.5 * len(data) / LENGTH_S)
    garbage = random.Random(2).randbytes(size)
    stream = read(tmp_path / name, data[:at] + garbage + data[at:])
    assert 1.0 <= sum(each.duration_s for each in stream.losses) <= 2.0
    (place_s,) = {each.at_s for each in stream.losses}
    assert place_s == pytest.approx(2.0, abs=0.8)
    assert decide(transcript(stream), 0.5).state == "held"


TAG = b"ID3\x03\0\0\0\0\x0f\x76" + bytes(0x7F6)
HARMLESS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "AAC recorded from the middle on": ("a.aac", lambda data: data[len(data) // 3 :]),
    "MP3 recorded from the middle on": ("bare.mp3", lambda data: data[len(data) // 3 :]),
    "VBR MP3 recorded from the middle on": ("vbr.mp3", lambda data: data[len(data) // 3 :]),
    "TS recorded from the middle on": ("a.ts", lambda data: data[188 * (len(data) // 564) :]),
    "MP3 with Xing headers joined": ("xing.mp3", lambda data: data * 3),
    "MP3 joined with a tag between": ("bare.mp3", lambda data: data + TAG + data),
    "MP3 joined behind an old tag": ("bare.mp3", lambda data: data + b"TAG" + bytes(125) + data),
    "zeros behind an MP3": ("bare.mp3", lambda data: data + bytes(4000)),
    "zeros before an MP3": ("bare.mp3", lambda data: bytes(3000) + data),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_irregularities_raise_no_alarm(
    tmp_path: Path, files: dict[str, bytes], name: str
) -> None:
    form, change = HARMLESS[name]
    stream = read(tmp_path / form, change(files[form]))
    assert stream.warnings == ()
    assert stream.losses == ()
