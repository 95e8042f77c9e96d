"""Words drawn into films: seen in the pictures, read back, and refused where nothing can be drawn.

The checks of the proofs are functions, which a film that is late or without words must not pass.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kb.errors import LibraryError, MediaUnavailable, UsageError
from kb.media.probe import probe
from kb.settings import get_settings
from kb.types import Segment, Transcript
from kb.video import encoder
from kb.video.caption_script import Size
from kb.video.caption_style import CaptionStyle, load_style
from kb.video.captioned import FilmRequest, MadeFilm, make_film
from kb.video.soft_tracks import add_track
from tests.support import films
from tests.support.films import grey, spoken, tone
from tests.support.raising import raises
from tests.support.slides import require_reader

pytestmark = pytest.mark.slow

SUNG = "#FFD23F"
LINES = ("The quick brown fox", "jumped over seven dogs")
KARAOKE = load_style("karaoke").model_copy(update={"size": 14.0})


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films.make(tmp_path_factory.mktemp("film") / "grey.mp4", *grey(4.8), *tone(4.8))


def draw(
    medium: Path, transcript: Transcript, target: Path, style: CaptionStyle = KARAOKE,
    words: str = "karaoke", **more: object,
) -> MadeFilm:  # fmt: skip
    request = FilmRequest(words, style, threads=1, size=Size(320, 180), **more)  # type: ignore[arg-type]
    return make_film(medium, transcript, request, target, target=target)


def later(transcript: Transcript, seconds: float) -> Transcript:
    def moved(segment: Segment) -> Segment:
        words = tuple(
            replace(word, start_s=word.start_s + seconds, end_s=word.end_s + seconds)
            for word in segment.words
        )
        return replace(
            segment, start_s=segment.start_s + seconds, end_s=segment.end_s + seconds, words=words
        )

    return replace(transcript, segments=tuple(map(moved, transcript.segments)))


def check_colour_grows(path: Path, transcript: Transcript) -> None:
    """Check each frame of each line: sung colour only ever grows, and in the time of its words."""
    counts = [(at_s, films.near(picture, SUNG)) for at_s, picture in films.frames(path)]
    for segment in transcript.segments:
        line = [(at, n) for at, n in counts if segment.start_s <= at <= segment.end_s]
        most = max(n for _, n in line)
        assert most > 400, f"{most} pixels of the sung colour"
        # What the encoder changes at the edge of a letter.
        noise = max(6, most // 100)
        falls = [(at, n) for (_, before), (at, n) in pairwise(line)
                 if n < before - noise]  # fmt: skip
        assert not falls
        for word in segment.words:
            shares = [
                max(n for at, n in line if at <= moment + 0.02) / most
                for moment in (word.start_s, (word.start_s + word.end_s) / 2, word.end_s)
            ]
            assert shares[0] + 0.04 < shares[1] < shares[2] - 0.04, (word, shares)


def test_colour_fills_each_word_in_its_time(film: Path, tmp_path: Path) -> None:
    transcript = spoken(LINES)
    right = tmp_path / "right.mp4"
    draw(film, transcript, right)
    check_colour_grows(right, transcript)
    late = tmp_path / "late.mp4"
    draw(film, later(transcript, 0.3), late)
    for wrong in (late, film):
        with pytest.raises(AssertionError):
            check_colour_grows(wrong, transcript)
    made = probe(right)
    assert made.duration_s == pytest.approx(4.8, abs=0.1)
    assert made.has_audio and made.audio_codec == "aac" and made.frames_per_s == 25


def test_captions_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_reader()
    from kb.enrich.screen.reader import RapidReader

    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    lines = ("The quick brown fox", "has 100 % of {seven} apples")
    transcript = spoken(lines, word_s=0.2, gap_s=0.05)
    film = films.make(tmp_path / "film.mp4", *grey(4, "640x360", 10), *tone(4))
    made = tmp_path / "shown.mp4"
    draw(film, transcript, made, load_style("plain").model_copy(update={"lines": 1}), "captions")
    reader = RapidReader()

    def shown(path: Path, at_s: float) -> str:
        return " ".join(line.text for line in reader.read(films.frame_at(path, at_s)).lines)

    middles = [(segment.start_s + segment.end_s) / 2 for segment in transcript.segments]
    assert [shown(made, at) for at in middles] == list(lines)
    assert shown(film, middles[0]) == shown(made, 0.1) == ""


def changed(picture: films.Frame, ground: films.Frame) -> np.ndarray:
    """Return the rows in which a picture differs from its ground."""
    differs = np.abs(picture.astype(int) - ground.astype(int)).max(axis=2) > 60
    return np.flatnonzero(differs.any(axis=1))


@pytest.mark.parametrize(
    ("size", "shown"),
    [("180x320", (180, 320)), ("321x181", (322, 182))],
)
def test_upright_and_odd_pictures(tmp_path: Path, size: str, shown: tuple[int, int]) -> None:
    film = films.make(tmp_path / "film.mkv", *grey(1.2, size, 10), "-pix_fmt", "yuv444p")
    made = tmp_path / "made.mp4"
    draw(film, spoken(["Words"]), made, load_style("plain"), "captions")
    picture = films.frame_at(made, 0.6)
    assert picture.shape[:2] == shown[::-1]
    rows = changed(picture, films.frame_at(made, 0.0))
    assert rows.size and rows.min() > picture.shape[0] / 2  # at the bottom
    assert not probe(made).has_audio


def test_a_picture_that_stands_still_gets_its_captions_in_time(tmp_path: Path) -> None:
    """A recording of a screen has one frame, and the next one seconds later."""
    film = films.make(
        tmp_path / "still.mkv", *grey(2, rate=10), "-vf", "select='eq(n,0)+eq(n,19)'",
        "-fps_mode", "vfr",
    )  # fmt: skip
    made = tmp_path / "made.mp4"
    draw(film, spoken(["Words"], start_s=0.5, word_s=1.0), made, load_style("plain"), "captions")
    ground = films.frame_at(made, 0.0)
    seen = [at for at, picture in films.frames(made) if changed(picture, ground).size]
    assert seen[0] == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("name", ["film's [odd], 100% 'a:b'.mp4", "-y ; $(x) #1 \\.mp4"])
def test_names_are_no_commands(film: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "it's [a], folder;x=1"
    folder.mkdir()
    medium = folder / name
    medium.write_bytes(film.read_bytes())
    made = folder / f"made {name}"
    draw(medium, spoken(["Words here"]), made, load_style("box"), "captions")
    assert made.is_file()


def test_a_still_and_a_wave(film: Path, tmp_path: Path) -> None:
    still = films.make(tmp_path / "still.png", "-f", "lavfi", "-i", "color=c=0x2060A0:s=200x200",
                       "-frames:v", "1")  # fmt: skip
    sound = films.make(tmp_path / "sound.wav", *tone(2.4))
    transcript = spoken(["Words are sung"])
    over_still, alone = tmp_path / "still.mp4", tmp_path / "alone.mp4"
    assert not draw(sound, transcript, over_still, still=still).notes
    made = draw(sound, transcript, alone)
    assert [note.code for note in made.notes] == ["note.video_no_picture"]
    for path, colour in ((over_still, "#2060A0"), (alone, "#14181F")):
        picture = films.frame_at(path, 1.35)
        assert picture.shape == (180, 320, 3)
        assert films.near(picture, colour, 24) > 10_000
        assert films.near(picture, SUNG) > 100
        band = picture[60:130]
        assert films.near(band, "#6FA8FF", 90) > 100, "the wave of the sound"
        assert probe(path).duration_s == pytest.approx(2.4, abs=0.1)


def test_a_track_that_a_player_switches_on(film: Path, tmp_path: Path) -> None:
    for name, codec in (("soft.mp4", "mov_text"), ("soft.mkv", "srt")):
        made = tmp_path / name
        add_track(film, replace(spoken(LINES), language="de"), made, target=made)
        found = films.streams(made)
        assert [kind for kind, _, _ in found] == ["video", "audio", "subtitle"]
        assert found[2][1:] == (codec, "deu")
    ground = [picture for _, picture in films.frames(film)]
    assert np.array_equal(films.frame_at(made, 2.0), ground[50]), "the picture is copied"


def test_what_cannot_be_drawn(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.mp4"
    words = spoken(["Words"])
    no_words = replace(words, segments=())
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"no film at all")
    with raises(UsageError, "video.no_words", name="grey.mp4"):
        draw(film, no_words, target)
    with raises(UsageError, "video.unknown_kind", name="made.avi"):
        draw(film, words, tmp_path / "made.avi")
    with raises(UsageError, "video.no_still", path=noise):
        draw(film, words, target, still=noise)
    with raises(MediaUnavailable, "media.text"):
        draw(noise, words, target)
    assert not target.exists()


def test_a_full_disk_is_named(film: Path, tmp_path: Path) -> None:
    full = tmp_path / "full.mkv"
    if not Path("/dev/full").exists():
        pytest.skip("no disk that is always full")
    full.symlink_to("/dev/full")
    request = FilmRequest("captions", load_style("plain"), threads=1)
    with raises(LibraryError, "output.disk_full", path=tmp_path / "my.mkv"):
        make_film(film, spoken(["Words"]), request, full, target=tmp_path / "my.mkv")


@pytest.mark.parametrize(
    ("words", "code"),
    [("File too large", "output.refused"), ("Disk quota exceeded", "output.disk_full")],
)
def test_limits_of_a_disk_are_named(tmp_path: Path, words: str, code: str) -> None:
    """That of an account, and that of a stick with FAT for one file."""
    said = [f"[out#0/mp4] Error writing trailer: {words}", "Conversion failed!"]
    error = encoder._failed(1, said, tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert isinstance(error, LibraryError) and error.code == code
    assert code != "output.refused" or error.values["reason"] == words


def test_progress_grows_and_an_error_in_it_ends_the_work(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "made.mp4"
    request = FilmRequest("captions", load_style("plain"), threads=1)
    seen: list[float] = []
    make_film(film, spoken(["Words"]), request, target, target=target, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0

    class Stop(Exception):
        pass

    def stop(_: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        make_film(film, spoken(["Words"]), request, target, target=target, progress=stop)
