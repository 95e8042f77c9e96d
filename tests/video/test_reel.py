"""Reels: the right pictures and sounds at the right times, joined, titled and as long as wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kb.errors import UsageError
from kb.media.decode import decode
from kb.media.probe import probe
from kb.pipeline.products import highlight_stretches
from kb.types.notes import Cited, QuotedWords
from kb.video.caption_script import Size, caption_cues
from kb.video.caption_style import load_style
from kb.video.captioned import FilmRequest
from kb.video.reel import Stretch, check_stretches, fitted, make_reel, moved, placed
from tests.support import films
from tests.support.films import spoken
from tests.support.raising import raises

RED, GREEN, BLUE = "#C02020", "#20A040", "#2040C0"
STRETCHES = (Stretch(0.2, 2.0, "100% 'red': [a] {b}\nand \\N"), Stretch(4.2, 6.0, "Blue"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two seconds each of red, green and blue, with another tone in each."""
    inputs: list[str] = []
    for colour, pitch in ((RED, 300), (GREEN, 600), (BLUE, 1200)):
        inputs += ["-f", "lavfi", "-i", f"color=c=0x{colour[1:]}:s=320x180:r=25:d=2"]
        inputs += ["-f", "lavfi", "-i", f"sine=frequency={pitch}:duration=2"]
    graph = "[0:v][1:a][2:v][3:a][4:v][5:a]concat=n=3:v=1:a=1[v][a]"
    return films.make(tmp_path_factory.mktemp("reel") / "film.mp4", *inputs, "-filter_complex",
                      graph, "-map", "[v]", "-map", "[a]")  # fmt: skip


def pitch_at(path: Path, at_s: float) -> float:
    with decode(path) as stream:
        sound = np.concatenate(list(stream))
    part = sound[int((at_s - 0.15) * 16_000) : int((at_s + 0.15) * 16_000)]
    return float(np.abs(np.fft.rfft(part)).argmax() * 16_000 / part.size)


@pytest.mark.slow
def test_pictures_sounds_and_titles_of_a_reel(film: Path, tmp_path: Path) -> None:
    request = FilmRequest("captions", load_style("plain"), threads=1)
    words = spoken(["red words", "none", "none", "blue words"], pause_s=1.0)
    made = tmp_path / "reel.mp4"
    result = make_reel(film, words, STRETCHES, request, made, target=made)
    assert result.notes == ()
    # Two stretches of 1.8 s that share the half second of their fade.
    assert probe(made).duration_s == pytest.approx(3.1, abs=0.08)
    pictures = dict(films.frames(made))
    share = {
        colour: [(at, films.near(picture, colour, 40)) for at, picture in pictures.items()]
        for colour in (RED, GREEN, BLUE)
    }
    most = 320 * 180 * 0.7
    assert all(count > most for at, count in share[RED] if at < 1.25)
    assert all(count > most for at, count in share[BLUE] if at > 1.9)
    assert all(count < most for at, count in share[RED] + share[BLUE] if 1.45 < at < 1.65)
    assert max(count for _, count in share[GREEN]) == 0
    assert pitch_at(made, 0.8) == pytest.approx(300, abs=8)
    assert pitch_at(made, 2.5) == pytest.approx(1200, abs=8)
    title = films.frame_at(made, 0.8)[:60]
    assert films.near(title, "#FFFFFF", 90) > 60, "the title is at the top"
    caption = films.frame_at(made, 0.5)[120:]
    assert films.near(caption, "#FFFFFF", 90) > 20, "the words are at the bottom"


@pytest.mark.slow
@pytest.mark.parametrize(
    "title",
    ['"quoted" \'s', "100 % %{pts} %d", "[a];b,c:d=e", "{\\an5}\\N\\h", "😀 smile"],
)  # fmt: skip
def test_any_title_is_drawn(film: Path, tmp_path: Path, title: str) -> None:
    """A title is text, no command: drawn at the top, and nowhere else."""
    made = tmp_path / "reel.mp4"
    request = FilmRequest(None, load_style("plain"), threads=1)
    make_reel(film, spoken(["none"]), (Stretch(0.2, 1.4, title),), request, made, target=made)
    picture = films.frame_at(made, 0.35)
    assert films.near(picture[:60], "#FFFFFF", 90) > 20
    assert films.near(picture[70:], "#FFFFFF", 90) == 0


@pytest.mark.slow
def test_a_reel_of_sound_alone(tmp_path: Path) -> None:
    sound = films.make(tmp_path / "sound.wav", *films.tone(5))
    request = FilmRequest(None, load_style("plain"), size=Size(160, 90), threads=1)
    made = tmp_path / "reel.mp4"
    stretches = (Stretch(0, 1.2, "One"), Stretch(2, 3.2), Stretch(3.5, 4.7))
    make_reel(sound, spoken(["none"]), stretches, request, made, target=made)
    assert probe(made).duration_s == pytest.approx(2.6, abs=0.1)
    assert films.frame_at(made, 1.5).shape == (90, 160, 3)


def test_a_wanted_length() -> None:
    words = spoken(["one two three four five six seven eight nine ten"], start_s=10.0)
    stretches = (Stretch(0, 5), Stretch(10, 16), Stretch(20, 26))
    assert fitted(stretches, None, words) == (stretches, 0)
    assert fitted(stretches, 60, words) == (stretches, 0)
    # 3.5 s are left for the second one, which ends with the last word that fits.
    chosen, left_out = fitted(stretches, 8.0, words)
    assert left_out == 1 and chosen[0] == stretches[0]
    assert chosen[1].end_s == pytest.approx(13.1)
    assert sum(each.length_s for each in chosen) - 0.5 <= 8.0
    assert fitted(stretches, 5.2, words) == (stretches[:1], 2)


def test_words_stay_with_their_stretch() -> None:
    words = spoken(["one two three four five six seven"], start_s=0.0)
    places = placed((Stretch(0.35, 1.15), Stretch(2.0, 2.8)))
    first, second = (moved(words, place) for place in places)
    assert (first.text, second.text) == ("two three", "six seven")
    assert first.words[0].start_s == pytest.approx(0.05)
    assert second.words[0].start_s == pytest.approx(0.3)
    cues = caption_cues(first, load_style("plain"), Size(320, 180), karaoke=False, end_s=0.6)
    assert [(cue.text, cue.end_ms) for cue in cues] == [("two three", 600)]


@pytest.mark.parametrize(
    ("stretches", "code"),
    [((), "reel.number"), ((Stretch(0, 2),) * 61, "reel.number"),
     ((Stretch(3, 3.5),), "reel.short"), ((Stretch(5, 3),), "reel.short"),
     ((Stretch(5, 9),), "reel.outside")],
)  # fmt: skip
def test_stretches_that_cannot_be(
    film: Path, tmp_path: Path, stretches: tuple[Stretch, ...], code: str
) -> None:
    request = FilmRequest(None, load_style("plain"), threads=1)
    with raises(UsageError, code):
        make_reel(film, spoken(["x"]), stretches, request, tmp_path / "r.mp4",
                  target=tmp_path / "r.mp4")  # fmt: skip


def test_highlights_become_whole_segments() -> None:
    words = spoken(["one two three", "four five six", "seven eight nine"], start_s=1.0)
    second, third = words.segments[1:]
    quote = QuotedWords("five", second.words[1].start_s, second.words[1].end_s)
    last = QuotedWords("nine", third.words[2].start_s, third.words[2].end_s)
    found = highlight_stretches((Cited("Later", (last,)), Cited("Five", (quote,))), words)
    assert [each.title for each in found] == ["Five", "Later"]
    assert found[0].start_s == pytest.approx(second.start_s - 0.25)
    assert found[0].end_s == pytest.approx(second.end_s + 0.25)
    assert found[1].end_s <= words.media.duration_s


@pytest.mark.parametrize("at_s", [0.0, 3.0, 9.5])
def test_a_highlight_of_one_word_is_long_enough_for_a_reel(at_s: float) -> None:
    words = spoken(["no"], start_s=at_s)
    words = replace(words, media=replace(words.media, duration_s=10.0))
    said = words.segments[0]
    short = replace(said, end_s=said.start_s + 0.3)
    (found,) = highlight_stretches(
        (Cited("No", (QuotedWords("no", short.start_s, short.end_s),)),),
        replace(words, segments=(short,)),
    )
    check_stretches((found,), 10.0, "talk.mp4")
    assert found.start_s <= short.start_s and short.end_s <= found.end_s
