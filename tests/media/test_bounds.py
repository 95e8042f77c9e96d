"""Claims of a header: length, rate, channels and protection, before and while it is decoded."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from kb.errors import MediaUnavailable
from kb.media.decode import decode
from kb.media.probe import probe
from tests.support.compose import write_wav
from tests.support.raising import raises

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
KEY = "00112233445566778899aabbccddeeff"
CENC = f"-encryption_scheme cenc-aes-ctr -encryption_key {KEY} -encryption_kid {KEY[16:]}{KEY[:16]}"
SILENCE = "-f lavfi -i anullsrc=r=16000:cl=mono"


def ffmpeg(arguments: str, target: Path) -> Path:
    command = [FFMPEG, "-nostdin", "-loglevel", "error", "-y", *arguments.split(), str(target)]
    subprocess.run(command, check=True)
    return target


def wav(path: Path, rate_hz: int, channels: int) -> Path:
    """A WAV of 2 MB of noise."""
    form = (16, 1, channels, rate_hz, rate_hz * channels * 2 & 0xFFFFFFFF, channels * 2, 16)
    sound = np.random.default_rng(0).bytes(2_000_000 // (2 * channels) * 2 * channels)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", *form) + b"data" + struct.pack("<I", len(sound))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(sound)) + head + sound)
    return path


@pytest.mark.parametrize(
    ("rate_hz", "channels", "value"),
    [(1, 1, 1), (2, 1, 2), (100, 2, 100), (999, 1, 999), (900_000, 1, 900_000),
     (2**31 - 1, 1, 2**31 - 1), (16_000, 200, 200)],
)  # fmt: skip
def test_what_no_recording_has_is_refused_before_it_is_decoded(
    tmp_path: Path, rate_hz: int, channels: int, value: int
) -> None:
    path = wav(tmp_path / "a.wav", rate_hz, channels)
    with raises(MediaUnavailable, "media.implausible", path=path, value=value):
        decode(path)


@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 96_000, 384_000])
def test_a_real_rate_is_read(tmp_path: Path, rate_hz: int) -> None:
    assert probe(wav(tmp_path / "a.wav", rate_hz, 1)).sample_rate_hz == rate_hz


@pytest.mark.parametrize(("name", "options"), [
    ("a.wav", ""), ("a.m4a", "-c:a aac"), ("a.mp3", ""), ("a.ogg", "-c:a libopus"),
    ("declared.flac", ""), ("a.mka", "-c:a flac"),
])  # fmt: skip
def test_a_medium_longer_than_the_longest_is_refused(
    tmp_path: Path, name: str, options: str
) -> None:
    path = ffmpeg(f"{SILENCE} -t 20 {options}", tmp_path / name)
    with raises(MediaUnavailable, "media.too_long", path=path) as caught:
        decode(path, longest_s=10)
    assert not caught.value.retryable
    assert decode(path, longest_s=60).probe.path == path


def test_a_medium_that_declares_no_length_is_stopped_at_the_longest(tmp_path: Path) -> None:
    path = tmp_path / "endless.flac"
    command = [FFMPEG, "-nostdin", "-loglevel", "error", *SILENCE.split(), "-t", "60"]
    path.write_bytes(
        subprocess.run([*command, "-f", "flac", "-"], check=True, capture_output=True).stdout
    )
    stream = decode(path, block_s=1, longest_s=10)
    blocks = 0
    with raises(MediaUnavailable, "media.too_long", path=path):
        for _ in stream:
            blocks += 1
    assert blocks == 10


@pytest.mark.parametrize("suffix", [".m4a", ".mp4"])
def test_a_protected_file_is_named_as_such(tmp_path: Path, suffix: str) -> None:
    tone = write_wav(tmp_path / "a.wav", np.full(32_000, 0.1, np.float32))
    picture = "-f lavfi -i testsrc=s=64x48:r=5:d=2 -c:v libx264" if suffix == ".mp4" else ""
    path = ffmpeg(f"-i {tone} {picture} -c:a aac {CENC}", tmp_path / f"drm{suffix}")
    with raises(MediaUnavailable, "media.protected", path=path) as caught:
        decode(path)
    assert "protection" in caught.value.hint


@pytest.mark.parametrize("mark", ["fbb3112223bdd211b4b700a0c955fc6e",
                                  "14e68a292226174cb935dae07ee9289c"])  # fmt: skip
def test_a_protected_wma_is_named_as_such(tmp_path: Path, mark: str) -> None:
    path = ffmpeg(f"{SILENCE} -t 1", tmp_path / "a.wma")
    data = bytearray(path.read_bytes())
    at = data.find(bytes.fromhex("4052d1861d31d011a3a400a0c90348f6"))  # codec list
    assert at > 0
    data[at : at + 16] = bytes.fromhex(mark)
    path.write_bytes(data)
    with raises(MediaUnavailable, "media.protected", path=path):
        decode(path)


def test_a_plain_file_is_not_called_protected(tmp_path: Path) -> None:
    path = ffmpeg(f"{SILENCE} -t 1 -metadata title=enca -metadata artist=drms", tmp_path / "a.m4a")
    assert probe(path).has_audio
