"""Videos in which nothing moves, as recordings of a screen have them: one frame for seconds.

The frame that is shown at a time is the last one before it, however old it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kb.media.probe import probe
from kb.video.caption_style import load_style
from kb.video.captioned import FilmRequest, make_film
from kb.video.frame import write_frame
from kb.video.picture import shown_from_s, sound_after_picture_s
from kb.video.reel import FADE_S, Stretch, make_reel
from tests.support import films
from tests.support.films import spoken, tone

pytestmark = pytest.mark.slow

RED, BLUE = "#C02020", "#2040C0"
LENGTH_S = 8.0


@pytest.fixture(scope="module", params=[".mkv", ".mp4"])
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video of two frames: red from the beginning, blue from 4 s, and sound up to 8 s."""
    stills = [f"color=c=0x{colour[1:]}:s=160x90:r=10:d=4" for colour in (RED, BLUE)]
    target = tmp_path_factory.mktemp("standing") / f"screen{request.param}"
    return films.make(
        target, "-f", "lavfi", "-i", stills[0], "-f", "lavfi", "-i", stills[1], *tone(LENGTH_S),
        "-filter_complex", "[0:v][1:v]concat=n=2,select='eq(n,0)+eq(n,40)'[v]", "-map", "[v]",
        "-map", "2:a", "-fps_mode", "vfr", "-force_key_frames", "4",
    )  # fmt: skip


def colour(picture: films.Frame) -> str:
    most = picture.shape[0] * picture.shape[1] * 0.8
    found = [name for name, wanted in (("red", RED), ("blue", BLUE))
             if films.near(picture, wanted) > most]  # fmt: skip
    return found[0] if found else "neither"


@pytest.mark.parametrize(
    ("at_s", "shown"), [(0.0, "red"), (2.0, "red"), (3.9, "red"), (4.1, "blue"), (7.5, "blue")]
)
def test_the_picture_at_a_time(standing: Path, tmp_path: Path, at_s: float, shown: str) -> None:
    target = tmp_path / "frame.png"
    write_frame(standing, at_s, target)
    assert colour(np.array(Image.open(target).convert("RGB"))) == shown


@pytest.mark.parametrize(
    ("stretches", "shown"),
    [
        (((1.0, 2.5), (2.0, 3.5)), "red red"),
        (((1.0, 3.0), (5.5, 7.5)), "red blue"),
        (((5.0, 6.0), (6.5, 7.5)), "blue blue"),
    ],
)
def test_the_pictures_of_a_reel(
    standing: Path, tmp_path: Path, stretches: tuple[tuple[float, float], ...], shown: str
) -> None:
    target = tmp_path / "reel.mp4"
    request = FilmRequest(None, load_style("plain"), threads=1)
    chosen = [Stretch(start_s, end_s, "") for start_s, end_s in stretches]
    make_reel(standing, spoken(["one"]), chosen, request, target, target=target)
    length_s = sum(each.length_s for each in chosen) - FADE_S
    pictures = list(films.frames(target))
    assert pictures[-1][0] == pytest.approx(length_s, abs=0.1)
    assert f"{colour(pictures[0][1])} {colour(pictures[-1][1])}" == shown


def test_captions_over_the_last_frame(standing: Path, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    style = load_style("box").model_copy(update={"size": 20.0})
    words = spoken(["one", "two"], start_s=0.5, word_s=1.0, pause_s=5.0)
    make_film(
        standing, words, FilmRequest("captions", style, threads=1), target, target=target
    )  # fmt: skip
    pictures = list(films.frames(target))
    assert pictures[-1][0] == pytest.approx(LENGTH_S, abs=0.2)
    assert probe(target).duration_s == pytest.approx(LENGTH_S, abs=0.2)
    plain = dict(pictures)[max(at for at, _ in pictures if at < 5.0)]
    seen = [at for at, picture in pictures if at > 5 and (picture != plain).mean() > 0.02]
    assert seen and seen[0] == pytest.approx(words.segments[1].start_s, abs=0.1)


def test_where_the_shown_frame_begins(standing: Path) -> None:
    assert shown_from_s(standing, 2.0) == pytest.approx(0.0, abs=0.1)
    assert shown_from_s(standing, 6.0) == pytest.approx(4.0, abs=0.1)
    assert sound_after_picture_s(standing) == pytest.approx(3.9, abs=0.2)


def test_a_medium_that_cannot_be_read_is_read_from_its_beginning(tmp_path: Path) -> None:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"no film at all")
    sound = films.make(tmp_path / "sound.wav", *tone(1))
    for path in (noise, sound, tmp_path / "gone.mp4"):
        assert shown_from_s(path, 5.0) == 0.0
        assert sound_after_picture_s(path) == 0.0
