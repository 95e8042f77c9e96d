"""Dubs: each line in its time, the own sound quieter under it, loudness and peak held.

The checks of the proofs are functions, which a dub that is late, loud or not ducked must not pass.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from kb.errors import KBError, LibraryError, UsageError
from kb.media.pcm import Pcm
from kb.media.probe import probe
from kb.pipeline import dubbing
from kb.pipeline.dubbing import Dub, cast, make_sound, with_speakers_of
from kb.settings import Settings
from kb.types import Coverage, MediaRef, Segment, Timing, Transcript
from kb.video import dub_mix
from kb.video.dub_fitting import (
    GAP_S,
    RATE_HZ,
    Line,
    fit,
    lay_out,
    levelled,
    ordered,
)
from kb.video.dub_mix import add_sound, write_sound
from tests.support import films
from tests.support.commands import run_command
from tests.support.raising import raises

pytestmark = pytest.mark.slow

HIGH_HZ = 10_500  # of the own sound: no voice of espeak has anything there
LINES = (
    (1.0, 4.0, "Der Hafen ist im Winter ruhig."),
    (5.0, 6.3, "Am Morgen fährt eine Fähre über den Fluss."),
    (8.0, 10.0, "Das ist das Ende."),
)
LENGTH_S = 13.0


def settings() -> Settings:
    return Settings.model_validate({"KB_MODEL": "demo"})


def words(lines: Sequence[tuple[float, float, str]], *speakers: str) -> Transcript:
    segments = tuple(
        Segment(start_s, end_s, text, (), speaker=speakers[n % len(speakers)] if speakers else None)
        for n, (start_s, end_s, text) in enumerate(lines)
    )
    return Transcript(
        MediaRef("talk.mp4", "", LENGTH_S), segments, "de", "demo", "demo", "", Coverage(1, 1),
        Timing(),
    )  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A dub, its own sound before, and how it was spoken."""

    medium: Path
    sound: Path
    report: object


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("dub")
    medium = films.make(
        folder / "talk.mp4", *films.grey(LENGTH_S, rate=5), "-f", "lavfi", "-i",
        f"sine=frequency={HIGH_HZ}:sample_rate=48000:duration={LENGTH_S},volume=4",
    )  # fmt: skip
    sound = folder / "sound.m4a"
    dub = Dub("de", threads=1)
    transcript = words(LINES)
    report = make_sound(
        medium, transcript, dub, cast(settings(), transcript, dub), sound, target=sound
    )
    return Made(medium, sound, report)


def samples(path: Path) -> NDArray[np.float32]:
    """Return the first sound track at 48 kHz, in one channel."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48_000)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([np.asarray(part.to_ndarray()).reshape(-1) for part in frames])


def band(path: Path, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Return the level of a band in dB, for each 20 ms."""
    hop = 960
    sound = samples(path)
    rows = sound[: sound.size // hop * hop].reshape(-1, hop) * np.hanning(hop)
    power = np.abs(np.fft.rfft(rows, axis=1)) ** 2
    bins = np.fft.rfftfreq(hop, 1 / 48_000)
    chosen = power[:, (bins >= low_hz) & (bins <= high_hz)].sum(axis=1)
    return 10 * np.log10(chosen + 1e-9)


def starts(path: Path) -> list[float]:
    """Return the times at which speech begins after silence, in seconds."""
    level = band(path, 150, 5000)
    loud = level > level.max() - 32
    found, quiet = [], 100
    for number, is_loud in enumerate(loud):
        if is_loud and quiet >= 20:
            found.append(number * 0.02)
        quiet = 0 if is_loud else quiet + 1
    return found


def check_starts(path: Path, lines: Sequence[tuple[float, float, str]]) -> None:
    found = starts(path)
    for start_s, _, text in lines:
        nearest = min(found, key=lambda at: abs(at - start_s))
        assert abs(nearest - start_s) <= 0.05, (text, start_s, nearest)


def check_ducking(path: Path, lines: Sequence[tuple[float, float, str]]) -> None:
    """Check the own sound: 10 dB quieter while a line is spoken, the same elsewhere."""
    own = band(path, HIGH_HZ - 200, HIGH_HZ + 200)
    speech = band(path, 150, 5000)
    speaking = speech > speech.max() - 25
    under = [
        np.median(own[number - 5 : number + 5])
        for number in range(len(own))
        if speaking[max(0, number - 15) : number + 1].mean() > 0.8
    ]
    times = np.arange(len(own)) * 0.02
    outside = np.ones(len(own), bool)
    for start_s, end_s, _ in lines:  # with the time that the sound needs to come back
        outside &= (times < start_s - 0.1) | (times > end_s + 2.0)
    outside &= (times > 0.2) & (times < LENGTH_S - 0.3)
    usual = np.median(own[outside])
    assert len(under) > 30 and outside.sum() > 30
    assert np.median(under) < usual - 10, f"{usual - np.median(under):.1f} dB"
    assert np.abs(own[outside] - usual).max() <= 1, f"{np.abs(own[outside] - usual).max():.1f} dB"


def check_loudness(path: Path) -> None:
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-nostats", "-hide_banner", "-i", str(path), "-vn",
         "-af", "ebur128=framelog=quiet:peak=true", "-f", "null", "-"],
        check=True, capture_output=True, text=True,
    ).stderr  # fmt: skip
    loudness = float(re.findall(r"I:\s+(-?[\d.]+) LUFS", told)[-1])
    peak = float(re.findall(r"Peak:\s+(-?[\d.]+) dBFS", told)[-1])
    assert abs(loudness + 16) <= 1, loudness
    assert peak <= -1, peak


def test_each_line_begins_in_its_time(made: Made) -> None:
    check_starts(made.sound, LINES)
    later = [(start_s + 0.2, end_s, text) for start_s, end_s, text in LINES]
    with pytest.raises(AssertionError):
        check_starts(made.sound, later)
    with pytest.raises(AssertionError):
        check_starts(made.medium, LINES)


def test_the_own_sound_is_quieter_under_the_speech_alone(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_ducking(made.sound, LINES)
    monkeypatch.setattr(dub_mix, "_DUCKING", "sidechaincompress=threshold=1:ratio=1")
    dub, transcript = Dub("de"), words(LINES)
    loud = tmp_path / "loud.m4a"
    make_sound(made.medium, transcript, dub, cast(settings(), transcript, dub), loud, target=loud)
    with pytest.raises(AssertionError):
        check_ducking(loud, LINES)


def test_loudness_and_peak_are_held(made: Made) -> None:
    check_loudness(made.sound)
    with pytest.raises(AssertionError):
        check_loudness(made.medium)


def test_a_copy_of_the_video_has_the_dub_first(made: Made, tmp_path: Path) -> None:
    target = tmp_path / "copy.mp4"
    add_sound(made.medium, made.sound, "de", target, target=target)
    assert films.streams(target) == [
        ("video", "h264", "und"), ("audio", "aac", "deu"), ("audio", "aac", "und"),
    ]  # fmt: skip
    assert probe(target).duration_s == pytest.approx(LENGTH_S, abs=0.1)
    check_starts(target, LINES)
    for name in ("a.mp3", "a.flac", "a.wav", "a.ogg", "a.opus"):
        write_sound(made.sound, tmp_path / name, target=tmp_path / name)
        assert probe(tmp_path / name).duration_s == pytest.approx(LENGTH_S, abs=0.1)
    check_loudness(tmp_path / "a.mp3")


def test_a_medium_without_sound(tmp_path: Path) -> None:
    silent = films.make(tmp_path / "silent.mp4", *films.grey(6, rate=5))
    dub, transcript, sound = Dub("de"), words(LINES[:1]), tmp_path / "dub.m4a"
    make_sound(silent, transcript, dub, cast(settings(), transcript, dub), sound, target=sound)
    check_starts(sound, LINES[:1])
    check_loudness(sound)
    assert probe(sound).duration_s == pytest.approx(6.0, abs=0.1)


def test_a_recognizer_hears_each_word_in_its_time(tmp_path: Path) -> None:
    said = films.spoken(["harbour", "mountain", "telescope"], start_s=1.0, word_s=0.9, pause_s=0.8)
    quiet = films.make(tmp_path / "quiet.wav", "-f", "lavfi", "-i", "anoisesrc=d=6:a=0.0005")
    sound, dub = tmp_path / "dub.m4a", Dub("en", threads=1)
    make_sound(quiet, said, dub, cast(settings(), said, dub), sound, target=sound)
    check_loudness(sound)
    environment = {**os.environ, "KB_HOME": str(tmp_path / "home"), "KB_MODEL": "demo"}
    heard = run_command(["transcribe", str(sound), "--json"], environment, tmp_path)
    (document,) = (
        json.loads(heard.stdout) if heard.stdout[:1] == "[" else [json.loads(heard.stdout)]
    )
    found = [word for segment in document["segments"] for word in segment["words"]]
    assert [word["text"] for word in found] == [segment.text for segment in said.segments]
    for word, segment in zip(found, said.segments, strict=True):
        assert word["start"] == pytest.approx(segment.start_s, abs=0.15)


def test_a_pause_within_a_segment_is_kept() -> None:
    said = films.spoken(["harbour mountain", "winter"], word_s=0.5, gap_s=1.0)
    parts = [part for segment in said.segments for part in dubbing._parts(segment)]
    assert [text for _, _, text in parts] == ["harbour", "mountain", "winter"]
    assert parts[1][0] == said.segments[0].words[1].start_s
    (whole,) = dubbing._parts(replace(said.segments[0], words=()))
    assert whole[2] == "harbour mountain"


# Fitting, with a voice of exact lengths


def voice(seconds: float, slowest_answer: float = 0.0):  # type: ignore[no-untyped-def]
    """Return a voice that needs `seconds` for each text, less at a higher speed."""

    def say(text: str, name: str, speed: float) -> Pcm:
        length_s = max(seconds / speed, slowest_answer)
        times = np.arange(round(length_s * 22_050)) / 22_050
        sound = (9000 * np.sin(2 * np.pi * 300 * times)).astype(np.int16)
        silence = np.zeros(4000, np.int16)  # which is no part of the line
        return Pcm(22_050, np.concatenate([silence, sound, silence]))

    return say


@pytest.mark.parametrize(
    ("needs_s", "speed", "tempo", "length_s", "cut_s"),
    [
        (1.0, 1.0, 1.0, 1.0, 0.0),  # it fits
        (2.4, 1.2, 1.0, 2.0, 0.0),  # the engine alone
        (2.8, 1.25, 1.12, 2.0, 0.0),  # compressed
        (3.4, 1.25, 1.25, 2.176, 0.0),  # into the pause behind
        (6.0, 1.25, 1.25, 3.0 - GAP_S, 0.89),  # too long
    ],
)
def test_a_line_is_made_to_fit(
    needs_s: float, speed: float, tempo: float, length_s: float, cut_s: float
) -> None:
    line = Line(1.0, 3.0, "words", "a:b")
    found, sound = fit(line, 3.0 - GAP_S, voice(needs_s))
    assert found.speed == pytest.approx(speed, abs=0.01)
    assert found.tempo == pytest.approx(tempo, abs=0.01)
    assert found.length_s == pytest.approx(length_s, abs=0.01)
    assert found.cut_s == pytest.approx(cut_s, abs=0.02)
    assert sound.size == round(found.length_s * RATE_HZ)


def test_an_engine_that_overshoots_is_slowed_down_again() -> None:
    def say(text: str, name: str, speed: float) -> Pcm:
        return voice(2.2 if speed == 1.0 else 1.8)(text, name, 1.0)

    found, _ = fit(Line(0.0, 2.0, "words", "a:b"), 4.0, say)
    assert found.tempo == pytest.approx(0.9, abs=0.01)
    assert found.length_s == pytest.approx(2.0, abs=0.01)


def test_no_line_reaches_the_next(tmp_path: Path) -> None:
    lines = ordered([Line(n * 1.0, n + 0.9, f"line {n}", "a:b") for n in range(20)])
    fitted = lay_out(lines, 21.0, voice(3.0), tmp_path / "track.raw")
    for each, following in pairwise(fitted):
        assert each.end_s <= following.line.start_s - GAP_S + 0.001
        assert each.cut_s > 0.9
    sound = np.fromfile(tmp_path / "track.raw", np.int16)
    assert sound.size == 21 * RATE_HZ
    gaps = [np.abs(sound[int((n - 0.04) * RATE_HZ) : n * RATE_HZ]).max() for n in range(1, 20)]
    assert max(gaps) == 0


def test_lines_that_begin_together_are_one() -> None:
    lines = [Line(1.0, 2.0, "a", "v"), Line(5.0, 6.0, "c", "v"), Line(1.1, 3.0, "b", "w")]
    assert ordered(lines) == (Line(1.0, 3.0, "a b", "v"), lines[1])


def test_lines_have_one_level() -> None:
    quiet = (np.sin(np.arange(24_000) / 10) * 300).astype(np.int16)
    for gain in (1, 100):
        sound = levelled(quiet * np.int16(gain)).astype(float) / 32768
        assert 20 * np.log10(np.sqrt(np.mean(sound**2))) == pytest.approx(-18, abs=0.2)
    assert not levelled(np.zeros(10, np.int16)).any()


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    """Four hours: a line each 10 s, and the silence between them in blocks."""
    say = voice(1.0)
    lines = [Line(n * 60.0, n * 60.0 + 5, "words", "a:b") for n in range(240)]
    lay_out(lines[:2], 120.0, say, tmp_path / "track.raw")
    before = psutil.Process().memory_info().rss
    lay_out(lines, 4 * 3600.0, say, tmp_path / "track.raw")
    assert (tmp_path / "track.raw").stat().st_size == 4 * 3600 * RATE_HZ * 2
    assert psutil.Process().memory_info().rss - before < 100e6


# Voices and speakers


def test_each_speaker_has_a_voice() -> None:
    transcript = words(LINES, "Anna", "Ben")
    found = cast(settings(), transcript, Dub("de"))
    assert list(found.voices) == ["Anna", "Ben"] and len(set(found.voices.values())) == 2
    named = cast(settings(), transcript, Dub("de", voices={"Ben": "espeak:de+m4"}))
    assert named.voices["Ben"] == "espeak:de+m4" and named.voices["Anna"] == "espeak:de"
    shared = cast(settings(), transcript, Dub("de", voice="espeak:de+f5"))
    assert set(shared.voices.values()) == {"espeak:de+f5"}
    assert len(set(cast(settings(), transcript, Dub("de", voice="espeak")).voices.values())) == 2
    assert [note.code for note in shared.notes] == ["note.dub_voices"]
    with raises(UsageError, "dub.unknown_speaker", name="Carl"):
        cast(settings(), transcript, Dub("de", voices={"Carl": "espeak:de"}))
    chinese = words([(0.0, 1.0, "这是一个测试")])
    with raises(UsageError, "speech.script"):
        cast(settings(), chinese, Dub("de"))


def test_a_translation_has_the_speakers_of_its_original() -> None:
    original = words(LINES, "Anna", "Ben")
    found = with_speakers_of(words(LINES), original)
    assert [segment.speaker for segment in found.segments] == ["Anna", "Ben", "Anna"]
    apart = words([(11.0, 12.0, "Nach allem.")])
    assert with_speakers_of(apart, original).segments[0].speaker is None


# What goes wrong


def test_what_cannot_be_dubbed(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "sound.m4a"

    def dub(lines: Sequence[tuple[float, float, str]]) -> None:
        transcript = words(lines)
        played = cast(settings(), transcript, Dub("de"))
        make_sound(made.medium, transcript, Dub("de"), played, target, target=target)

    with raises(UsageError, "dub.no_words"):
        dub([(0.0, 1.0, "..."), (2.0, 3.0, "")])
    with raises(UsageError, "dub.outside", start=20.0):
        dub([(20.0, 21.0, "Zu spät.")])
    monkeypatch.setattr("kb.tts.engines.espeak.SCRIPT", Path(__file__).parent / "no such script.py")
    with pytest.raises(KBError):
        dub(list(LINES))
    assert list(tmp_path.iterdir()) == []  # nothing half written


def test_a_disk_that_fills_up_while_a_dub_is_made(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the lines are laid out, and while their mix is written."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no disk that is always full")
    transcript = words(LINES[:1])
    played = cast(settings(), transcript, Dub("de"))
    lay_out, mix = dubbing.lay_out, dubbing.mix

    def laid(lines: object, length_s: object, say: object, _track: Path, *rest: object) -> object:
        return lay_out(lines, length_s, say, full, *rest)  # type: ignore[arg-type]

    def mixed(*given: object, **more: object) -> object:
        draft = given[4]
        assert isinstance(draft, Path)
        draft.symlink_to(full)
        return mix(*given, **more)  # type: ignore[arg-type]

    for name, act in (("lay_out", laid), ("mix", mixed)):
        folder = tmp_path / name
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(dubbing, name, act)
            with raises(LibraryError, "output.disk_full"):
                make_sound(
                    made.medium, transcript, Dub("de"), played, folder / "a.m4a",
                    target=tmp_path / "my.m4a",
                )  # fmt: skip
        assert [path for path in folder.iterdir() if not path.is_symlink()] == []


def test_the_share_that_is_done_rises_through_speaking_and_each_run_of_the_mix(
    made: Made, tmp_path: Path
) -> None:
    transcript, dub, target = words(LINES), Dub("de", threads=1), tmp_path / "sound.m4a"
    shares: list[float] = []
    make_sound(
        made.medium, transcript, dub, cast(settings(), transcript, dub), target, target=target,
        progress=shares.append,
    )  # fmt: skip
    assert shares == sorted(shares) and shares[-1] == 1.0
    spoken = shares[len(LINES) - 1]
    assert 0 < spoken < 1
    mixed = [(share - spoken) / (1 - spoken) for share in shares[len(LINES) :]]
    # The ends of the two runs that measure the loudness, and of the one that is kept: within a
    # run, a fast machine has nothing to report.
    for end in (1 / 6, 2 / 6, 1.0):
        assert any(share == pytest.approx(end) for share in mixed), (end, mixed)


def test_a_dub_that_is_not_wanted_any_more_ends(made: Made, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def progress(share: float) -> None:
        if share > 0.3:
            raise Enough

    transcript = words(LINES)
    played = cast(settings(), transcript, Dub("de"))
    before = len(psutil.Process().children(recursive=True))
    with pytest.raises(Enough):
        make_sound(
            made.medium, transcript, Dub("de"), played, tmp_path / "a.m4a",
            target=tmp_path / "a.m4a", progress=progress,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert len(psutil.Process().children(recursive=True)) <= before


def test_words_that_change_change_the_name() -> None:
    from kb.pipeline.dubbing import made_from

    transcript = words(LINES)
    played = cast(settings(), transcript, Dub("de"))
    name = made_from(transcript, Dub("de"), played, "0" * 64)
    assert made_from(transcript, Dub("de", threads=1), played, "0" * 64) == name
    other = replace(transcript, segments=transcript.segments[:2])
    assert made_from(other, Dub("de"), played, "0" * 64) != name
    assert made_from(transcript, Dub("de"), played, "1" * 64) != name
