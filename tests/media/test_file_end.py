"""Whole, cut and joined files of every container: whole ones raise no alarm, others are noticed."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from kb.media import SAMPLE_RATE_HZ
from kb.media.decode import AudioStream, decode
from kb.media.file_end import file_end
from kb.media.probe import probe
from tests.support.compose import WordBank, compose, write_wav

pytestmark = pytest.mark.slow

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
LENGTH_S = 6.0
H264 = "-c:v libx264 -preset ultrafast -g 10 -c:a aac"
VP8 = "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus"
BARE = "-write_xing 0 -id3v2_version 0"

# Name: arguments of ffmpeg; a picture is added for the second group.
SOUNDS = {
    "a.wav": "", "a.rf64.wav": "-rf64 always", "ima.wav": "-c:a adpcm_ima_wav",
    "pipe.wav": "-f wav PIPE", "a.w64": "", "a.aiff": "", "a.au": "", "a.caf": "-c:a alac",
    "a.flac": "", "pipe.flac": "-f flac PIPE", "a.tta": "", "a.mp3": "-b:a 64k",
    "bare.mp3": f"-b:a 64k {BARE}", "vbr.mp3": f"-q:a 5 {BARE}", "tagged.mp3":
    "-b:a 64k -write_xing 0 -write_id3v1 1 -metadata title=x", "a.mp2": "", "a.aac": "-c:a aac",
    "a.latm": "-c:a aac -f latm", "a.ac3": "", "a.eac3": "", "a.dts": "-c:a dca -strict -2",
    "a.amr": "-ar 8000 -c:a libopencore_amrnb", "a.ogg": "-c:a libopus", "vorbis.ogg":
    "-c:a libvorbis", "flac.ogg": "-c:a flac", "a.wma": "", "a.m4a": "-c:a aac",
    "first.m4a": "-c:a aac -movflags +faststart", "a.mka": "-c:a pcm_s16le", "a.voc": "",
}  # fmt: skip
FILMS = {
    "a.mp4": f"{H264} -movflags +faststart", "frag.mp4":
    f"{H264} -movflags frag_keyframe+empty_moov", "a.mkv": H264, "a.webm": VP8,
    "live.webm": f"{VP8} -f webm -live 1", "a.ts": H264, "a.m2ts": H264,
    "a.avi": "-c:v mpeg4 -c:a mp3", "a.flv": "-c:v flv -c:a mp3 -ar 44100", "a.wmv": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ends")
    talk = compose(
        WordBank.load(), "mountain garden harbour | village island forest | castle library",
        rng=np.random.default_rng(3), noise_db=40,
    ).audio  # fmt: skip
    source = write_wav(folder / "source.wav", np.resize(talk, int(LENGTH_S * SAMPLE_RATE_HZ)))
    made = {}
    for group, first in ((SOUNDS, ()), (FILMS, ("-f", "lavfi", "-i", "testsrc=s=64x48:r=5:d=6"))):
        for name, options in group.items():
            target = made[name] = folder / name
            command = [FFMPEG, "-nostdin", "-loglevel", "error", "-y", *first, "-i", str(source)]
            if options.endswith(" PIPE"):
                command += [*options.removesuffix(" PIPE").split(), "pipe:1"]
                target.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
            else:
                subprocess.run([*command, *options.split(), str(target)], check=True)
    return made


def read(path: Path) -> AudioStream:
    stream = decode(path)
    for _ in stream:
        pass
    return stream


@pytest.mark.parametrize("name", [*SOUNDS, *FILMS])
def test_a_whole_file_raises_no_alarm(files: dict[str, Path], name: str) -> None:
    stream = read(files[name])
    assert stream.duration_s == pytest.approx(LENGTH_S, abs=0.2)
    assert stream.warning is None


# Of these nothing shows that a half ends early: a WAV and a transport stream that are cut between
# two frames, of which no other was announced.
UNKNOWABLE = {"pipe.wav", "a.ac3", "a.eac3", "a.ts"}
NO_INDEX = {"a.m4a", "a.caf"}  # refused as truncated before anything is decoded


@pytest.mark.parametrize("name", sorted({*SOUNDS, *FILMS} - UNKNOWABLE - NO_INDEX))
@pytest.mark.parametrize("share", [0.5, 0.83])
def test_a_cut_file_is_noticed(
    tmp_path: Path, files: dict[str, Path], name: str, share: float
) -> None:
    data = files[name].read_bytes()
    path = tmp_path / name
    # A byte more or less: the cut must lie within a frame.
    path.write_bytes(data[: int(len(data) * share) // 2 * 2 - 7])
    stream = read(path)
    assert 0.5 < stream.duration_s < LENGTH_S * 0.95
    assert stream.truncated, stream.duration_s
    assert "truncated" in (stream.warning or "")


JOINED_UNREAD = ["a.aiff", "a.caf", "a.w64", "a.tta", "a.m4a", "a.mp4", "a.flv", "a.wma", "a.voc"]
JOINED_READ = ["a.wav", "pipe.wav", "bare.mp3", "vbr.mp3", "a.aac", "a.ogg", "a.au", "a.avi"]


@pytest.mark.parametrize("name", JOINED_UNREAD)
def test_a_file_behind_the_file_is_noticed(
    tmp_path: Path, files: dict[str, Path], name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(files[name].read_bytes() * 2)
    stream = read(path)
    assert stream.duration_s < LENGTH_S + 0.5
    assert stream.truncated
    assert "were not read" in (stream.warning or "")


@pytest.mark.parametrize("name", JOINED_READ)
def test_joined_files_are_read_to_their_end(
    tmp_path: Path, files: dict[str, Path], name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(files[name].read_bytes() * 2)
    stream = read(path)
    assert stream.duration_s == pytest.approx(2 * LENGTH_S, abs=0.3)
    assert not stream.truncated


def with_length(path: Path, source: Path, length: int) -> Path:
    """A copy of a WAV that declares another number of bytes."""
    data = bytearray(source.read_bytes())
    at = data.find(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", length)
    data[4:8] = struct.pack("<I", min(length + 36, 0xFFFFFFFF))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize(
    "length",
    [0, 0x7FFFF000, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x7FFFFFE0, 0x80000000, 0xFFFFFFFF,
     0xFFFFFFFE, 0xFFFFFFFF - 44, 0xFFFFF000, 0x40000000, 2_000_000_000],
)  # fmt: skip
def test_a_length_that_was_never_filled_in_is_no_evidence(
    tmp_path: Path, files: dict[str, Path], length: int, share: float
) -> None:
    path = with_length(tmp_path / "a.wav", files["a.wav"], length)
    os.truncate(path, int(path.stat().st_size * share) // 2 * 2)
    stream = read(path)
    assert stream.duration_s == pytest.approx(LENGTH_S * share, abs=0.1)
    assert stream.warning is None


@pytest.mark.parametrize("times", [1.5, 2, 10])
def test_a_believable_length_is_evidence(
    tmp_path: Path, files: dict[str, Path], times: float
) -> None:
    source = files["a.wav"]
    length = int(source.stat().st_size * times) // 2 * 2
    assert read(with_length(tmp_path / "a.wav", source, length)).truncated


@pytest.mark.parametrize("part", [0.5, 0.25, 0.01])
def test_a_wav_that_holds_more_than_its_header_says_is_read_to_its_end(
    tmp_path: Path, files: dict[str, Path], part: float
) -> None:
    length = int(LENGTH_S * SAMPLE_RATE_HZ * part) * 2
    path = with_length(tmp_path / "a.wav", files["a.wav"], length)
    assert probe(path).duration_s == pytest.approx(LENGTH_S, abs=0.01)
    stream = read(path)
    assert stream.duration_s == pytest.approx(LENGTH_S, abs=0.01)
    assert stream.warning is None


def test_chunks_and_padding_behind_the_samples_are_no_sound(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    data = files["a.wav"].read_bytes()
    path = tmp_path / "a.wav"
    for rest in (b"LIST\x04\0\0\0INFO", b"bext" + struct.pack("<I", 90_000) + bytes(90_000),
                 b"\0" * 4096):  # fmt: skip
        path.write_bytes(data + rest)
        assert file_end(path, "wav", path.stat().st_size).cut is False
        assert read(path).duration_s == pytest.approx(LENGTH_S, abs=0.01)


def test_another_file_of_another_form_behind_a_wav_is_noticed(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(files["a.wav"].read_bytes() + files["ima.wav"].read_bytes() * 4)
    assert read(path).truncated


# Of a header that says half: the bytes with which its numbers begin, their place behind that, and
# their form.
HALF = {
    "a.aiff": [(b"FORM", 4, ">I"), (b"COMM", 10, ">I"), (b"SSND", 4, ">I")],
    "pcm.caf": [(b"data", 4, ">q")],
    "a.w64": [(b"data\xf3\xac", 16, "<Q")],
}


@pytest.mark.parametrize("fields", ["all", "sound"])
@pytest.mark.parametrize("name", HALF)
def test_samples_behind_the_end_that_a_header_gives_are_noticed(
    tmp_path: Path, files: dict[str, Path], name: str, fields: str
) -> None:
    path = tmp_path / name
    source = files["a.wav" if name == "pcm.caf" else name]
    if name == "pcm.caf":
        command = [FFMPEG, "-loglevel", "error", "-i", str(source), "-c:a", "pcm_s16be"]
        subprocess.run([*command, str(path)], check=True)
        source = path
    data = bytearray(source.read_bytes())
    places = HALF[name] if fields == "all" else HALF[name][-1:]
    for kind, behind, form in places:
        at = data.find(kind) + behind
        (number,) = struct.unpack_from(form, data, at)
        struct.pack_into(form, data, at, number // 16 * 8)
    path.write_bytes(data)
    stream = read(path)
    assert stream.duration_s == pytest.approx(LENGTH_S / 2, abs=0.05)
    assert stream.truncated
    assert sum(loss.duration_s for loss in stream.losses) == pytest.approx(LENGTH_S / 2, abs=0.1)


def test_samples_behind_a_block_that_is_too_short_are_noticed(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    data = bytearray(files["a.voc"].read_bytes())
    data[27:30] = (1000).to_bytes(3, "little")  # the length of the first block
    path = tmp_path / "a.voc"
    path.write_bytes(data)
    stream = read(path)
    assert stream.duration_s < 1 and stream.truncated
    assert sum(loss.duration_s for loss in stream.losses) > LENGTH_S - 1


@pytest.mark.parametrize("name", ["a.aiff", "a.w64"])
def test_chunks_behind_the_samples_of_other_formats_are_no_sound(
    tmp_path: Path, files: dict[str, Path], name: str
) -> None:
    path = tmp_path / name
    chunk = b"NAME" + struct.pack(">I", 90_000) + bytes(range(250)) * 360
    if name == "a.w64":
        guid = b"levl" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
        chunk = guid + struct.pack("<Q", 24 + 90_000) + bytes(range(250)) * 360
    path.write_bytes(files[name].read_bytes() + chunk)
    assert read(path).warning is None
