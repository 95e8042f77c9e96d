"""Cuts of media: the right seconds, whole files, and errors that say what to do."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from kb.errors import MediaUnavailable, UsageError
from kb.media.clip import cut, default_name
from kb.media.decode import decode
from kb.media.probe import probe
from kb.settings import PROJECT_ROOT
from kb.transcript.chunks import parse_time
from tests.support.compose import write_wav
from tests.support.raising import raises

pytestmark = pytest.mark.slow

FILM = PROJECT_ROOT / "samples" / "The harbour in winter.mp4"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("75", 75.0), ("75.5", 75.5), ("9s", 9.0), ("1:15", 75.0), ("01:15.25", 75.25),
     ("1:02:03.5", 3723.5), ("0:00", 0.0)],
)  # fmt: skip
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3", "1:75", "1:2:3:4", "1e3", "nan"])
def test_what_is_no_time(text: str) -> None:
    with raises(UsageError, "clip.time", text=text):
        parse_time(text)


def test_names_tell_what_was_cut() -> None:
    assert default_name("talk", 75.0, 80.46, video=True) == "talk 01m15.0s-01m20.5s.mp4"
    assert default_name("talk", 3599.97, 3723.0, video=False) == "talk 1h00m00.0s-1h02m03.0s.mp3"


def samples(path: Path) -> np.ndarray:
    with decode(path) as stream:
        return np.concatenate(list(stream))


def test_sound_is_cut_to_the_second(tmp_path: Path) -> None:
    # A tone from 2 s to 3 s, silence around it.
    sound = np.zeros(16_000 * 5, np.float32)
    sound[32_000:48_000] = 0.4 * np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000)
    source = write_wav(tmp_path / "tone.wav", sound)
    for name in ("a.wav", "a.mp3", "a.m4a", "a.flac"):
        made = cut(source, 1.5, 3.5, tmp_path / "out" / name)
        found = samples(made)
        assert found.size / 16_000 == pytest.approx(2.0, abs=0.12), name
        loud = np.flatnonzero(np.abs(found) > 0.1) / 16_000
        assert (loud[0], loud[-1]) == pytest.approx((0.5, 1.5), abs=0.08), name
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "a.flac", "a.m4a", "a.mp3", "a.wav",
    ]  # fmt: skip


def test_a_film_is_cut_with_its_sound_or_to_sound_alone(tmp_path: Path) -> None:
    made = probe(cut(FILM, 2.0, 3.0, tmp_path / "clip.mp4"))
    assert (made.has_video, made.has_audio) == (True, True)
    assert made.duration_s == pytest.approx(1.0, abs=0.15)
    assert not probe(cut(FILM, 2.0, 3.0, tmp_path / "clip.mp3")).has_video
    # Up to half a second after the end is the end.
    end_s = probe(FILM).duration_s
    assert end_s is not None
    last = probe(cut(FILM, end_s - 1, end_s + 0.4, tmp_path / "last.wav"))
    assert last.duration_s == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    ("start_s", "end_s", "name", "code", "values"),
    [
        (3.0, 2.0, "a.wav", "clip.nothing", {"start_s": 3.0, "end_s": 2.0}),
        (1.0, 9.0, "a.wav", "clip.outside", {"name": "two.wav", "length": "00m02.0s"}),
        (7.0, 9.0, "a.wav", "clip.outside", {"name": "two.wav", "length": "00m02.0s"}),
        (0.0, 1.0, "a.exe", "clip.unknown_kind", {"name": "a.exe"}),
        (0.0, 1.0, "a.mp4", "clip.no_picture", {"name": "two.wav", "suffix": ".mp4"}),
    ],
)
def test_what_cannot_be_cut(
    tmp_path: Path, start_s: float, end_s: float, name: str, code: str, values: dict[str, object]
) -> None:
    source = write_wav(tmp_path / "two.wav", np.full(32_000, 0.1, np.float32))
    with raises(UsageError, code, **values) as caught:
        cut(source, start_s, end_s, tmp_path / "out" / name)
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "two.wav", np.full(32_000, 0.1, np.float32))
    (tmp_path / "file").write_text("in the way")
    with raises(MediaUnavailable, "clip.failed", name="two.wav"):
        cut(source, 0.0, 1.0, tmp_path / "file" / "a.wav")
    with raises(MediaUnavailable, "media.missing", path=tmp_path / "none.wav"):
        cut(tmp_path / "none.wav", 0.0, 1.0, tmp_path / "a.wav")


TONES_HZ = (440, 880, 1760)


def tone(hz: int, seconds: float = 12) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(16_000 * seconds)) * 2 * np.pi * hz / 16_000)).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with media of tones, one for each track, made by ffmpeg."""
    folder = tmp_path_factory.mktemp("sounds")
    for number, hz in enumerate(TONES_HZ, start=1):
        write_wav(folder / f"{number}.wav", tone(hz))
    inputs = [word for n in (1, 2, 3) for word in ("-i", str(folder / f"{n}.wav"))]
    all_tracks = "-map 0:a -map 1:a -map 2:a"
    picture = "-f lavfi -i testsrc=s=64x48:r=10:d=12"
    turned = "-map 0:a -af pan=stereo|c0=c0|c1=-1*c0"
    made = {
        "first.mka": f"{all_tracks} -disposition:a:0 default -disposition:a:1 0",
        "second.mka": f"{all_tracks} -disposition:a:0 0 -disposition:a:1 default",
        "comment.mka": f"{all_tracks} -disposition:a:0 default+comment -disposition:a:1 0",
        "titled.mka": f"{all_tracks} -metadata:s:a:0 title=Commentary",
        "film.mkv": f"{picture} -map 0:a -map 1:a -map 3:v -c:v libx264 -preset ultrafast",
        "film.ts": f"{picture} -map 3:v -map 0:a -map 1:a -c:v mpeg2video -c:a mp2",
        "turned.wav": turned,
        "turned.m4a": f"{turned} -c:a aac",
        "turned.ts": f"{turned} -c:a mp2",
        "turned.mka": f"{turned} -ar 44100",
        "surround.wav": "-map 0:a -af pan=5.1|FL=c0|FR=-1*c0|FC=0*c0",
        "centre.wav": "-map 0:a -af pan=5.1|FL=c0|FR=c0|FC=-1.414*c0",
        "stereo.wav": "-filter_complex [0:a][1:a]join=inputs=2:channel_layout=stereo",
        "opposed.mka": "-filter_complex [0:a]asplit[a][b];[b]volume=-1[c] -map [a] -map [c]",
    }
    for name, arguments in made.items():
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *inputs]
        subprocess.run([*command, *arguments.split(), str(folder / name)], check=True)
    return folder


def tones_in(samples: np.ndarray) -> list[int]:
    """Return the numbers of the tones that are heard."""
    spectrum = np.abs(np.fft.rfft(samples)) / len(samples)
    at = [round(hz * len(samples) / 16_000) for hz in TONES_HZ]
    return [n for n, place in enumerate(at, 1) if spectrum[place - 3 : place + 4].max() > 0.02]


@pytest.mark.parametrize(
    ("name", "tracks", "heard"),
    [
        ("first.mka", (), [1]),
        ("second.mka", (), [2]),
        ("comment.mka", (), [2]),
        ("titled.mka", (), [2]),
        ("film.mkv", (), [1]),
        # The transcript names the tracks that were read.
        ("first.mka", (2,), [2]),
        ("first.mka", (3,), [3]),
        ("film.mkv", (2,), [2]),
        ("film.ts", (2,), [2]),
        ("first.mka", (1, 3), [1, 3]),
        ("first.mka", (1, 2, 3), [1, 2, 3]),
        # A medium that has been replaced may have fewer tracks.
        ("first.mka", (7,), [1]),
        ("turned.wav", (1,), [1]),
        # Sides, places and tracks that cancel each other.
        ("turned.wav", (), [1]),
        ("turned.m4a", (), [1]),
        ("turned.ts", (), [1]),
        ("turned.mka", (), [1]),
        ("surround.wav", (), [1]),
        ("centre.wav", (), [1]),
        ("opposed.mka", (1, 2), [1]),
        ("stereo.wav", (), [1, 2]),
    ],
)
def test_a_clip_has_the_sound_that_was_read(
    tmp_path: Path, sounds: Path, name: str, tracks: tuple[int, ...], heard: list[int]
) -> None:
    suffix = ".mp4" if name.startswith("film") else ".wav"
    made = cut(sounds / name, 3.0, 10.0, tmp_path / f"clip{suffix}", tracks)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(made)]
    # A player with one loudspeaker adds the sides without a guard.
    command += ["-af", "pan=mono|c0=0.5*c0+0.5*c1"] if probe(made).channels == 2 else []
    subprocess.run([*command, "-ar", "16000", str(tmp_path / "mono.wav")], check=True)
    mono = samples(tmp_path / "mono.wav")
    assert tones_in(mono) == heard
    assert len(mono) / 16_000 == pytest.approx(7.0, abs=0.1)


def test_a_clip_of_stereo_keeps_its_sides(tmp_path: Path, sounds: Path) -> None:
    with wave.open(str(cut(sounds / "stereo.wav", 3, 10, tmp_path / "clip.wav"))) as wav:
        assert wav.getnchannels() == 2
        values = np.frombuffer(wav.readframes(-1), "<i2").reshape(-1, 2) / 32_768
    assert [tones_in(side) for side in values.T] == [[1], [2]]
