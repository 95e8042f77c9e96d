"""Cuts of media: the right seconds, whole files, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

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
