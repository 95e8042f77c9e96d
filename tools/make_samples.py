"""Make `samples/`: a made-up channel of three short talks with slides, and their true words.

    python tools/make_samples.py [FOLDER]

The speech is composed from the recorded words in `tests/data`, so that every word's time is
known; the slides are drawn here. The same call gives the same files. Beside each talk lies
`<name>.truth.json`: title, language and the words with their times in seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from moviepy import ImageClip, concatenate_videoclips
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.compose import Composition, WordBank, compose, write_wav  # noqa: E402

CHANNEL = "Lantern Bay Talks"
WIDTH, HEIGHT = 960, 540
SCALE = 2  # drawn larger and shrunk: PIL itself does not smooth edges
FPS = 10
KEYFRAME_S = 4  # a player seeks to the frame, but has to decode from the keyframe before it
AUDIO_BITRATE = "44k"
LEAD_IN_S = 0.35  # a slide appears before its first word
LIMIT_BYTES = 1_000_000

Color = tuple[int, int, int]
Draw = ImageDraw.ImageDraw
Drawing = Callable[[Draw, "Talk"], None]


@dataclass(frozen=True)
class Slide:
    """One slide and what is said to it; `narration` is a plan of `tests.support.compose`."""

    heading: str
    lines: tuple[str, ...]
    narration: str
    drawing: Drawing


@dataclass(frozen=True)
class Talk:
    """A talk: its slides, how it sounds and its colours (ground, paper, ink, accent)."""

    title: str
    slides: tuple[Slide, ...]
    voice: dict[str, str]
    seed: int
    ground: Color
    ink: Color
    accent: Color
    pause: tuple[float, float] = (0.45, 0.9)
    noise_db: float | None = None
    between: tuple[float, ...] = field(default=(1.0,))
    """Seconds of silence before each further slide; the last one repeats."""


# Drawings: the right half of a slide, x from 0.56 to 1 of the width.


def _at(x: float, y: float) -> tuple[float, float]:
    return x * WIDTH * SCALE, y * HEIGHT * SCALE


def _box(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [_at(x, y), _at(x + width, y + height)]


def _disc(draw: Draw, x: float, y: float, radius: float, color: Color) -> None:
    """A disc; `radius` in heights of the picture."""
    draw.ellipse(_box(x - radius * HEIGHT / WIDTH, y - radius, 2 * radius * HEIGHT / WIDTH,
                      2 * radius), fill=color)  # fmt: skip


def _shade(color: Color, amount: float) -> Color:
    """The colour moved towards white (positive) or black (negative)."""
    goal = 255 if amount > 0 else 0
    red, green, blue = (round(part + (goal - part) * abs(amount)) for part in color)
    return red, green, blue


def _hills(draw: Draw, talk: Talk) -> None:
    for x, y, width, tone in ((0.50, 0.46, 0.34, 0.12), (0.70, 0.34, 0.40, 0.2)):
        peak = [_at(x, 0.74), _at(x + width / 2, y), _at(x + width, 0.74)]
        draw.polygon(peak, fill=_shade(talk.ground, tone))


def harbour(draw: Draw, talk: Talk) -> None:
    """Hills, a moon, a boat on the water."""
    _disc(draw, 0.90, 0.2, 0.075, talk.accent)
    _hills(draw, talk)
    draw.rectangle(_box(0, 0.74, 1, 0.26), fill=_shade(talk.ground, 0.3))
    hull = [_at(0.66, 0.74), _at(0.86, 0.74), _at(0.82, 0.82), _at(0.69, 0.82)]
    draw.polygon(hull, fill=talk.ink)
    draw.polygon([_at(0.76, 0.42), _at(0.76, 0.70), _at(0.85, 0.70)], fill=talk.accent)
    draw.polygon([_at(0.75, 0.48), _at(0.75, 0.70), _at(0.69, 0.70)], fill=_shade(talk.ink, -0.15))


def castle(draw: Draw, talk: Talk) -> None:
    """A castle on an island."""
    draw.rectangle(_box(0, 0.78, 1, 0.22), fill=_shade(talk.ground, 0.3))
    draw.ellipse(_box(0.55, 0.68, 0.42, 0.2), fill=_shade(talk.ground, 0.14))
    stone = _shade(talk.ink, -0.12)
    for x, top, width in ((0.60, 0.38, 0.07), (0.67, 0.50, 0.18), (0.85, 0.32, 0.07)):
        draw.rectangle(_box(x, top, width, 0.74 - top), fill=stone)
        for step in range(round(width / 0.0233)):
            if step % 2 == 0:
                draw.rectangle(_box(x + step * 0.0233, top - 0.035, 0.0233, 0.04), fill=stone)
    draw.pieslice(_box(0.735, 0.60, 0.055, 0.24), 180, 360, fill=talk.ground)
    for x, y in ((0.627, 0.47), (0.877, 0.42), (0.705, 0.58), (0.805, 0.58)):
        draw.rectangle(_box(x, y, 0.018, 0.055), fill=talk.accent)


def lantern(draw: Draw, talk: Talk) -> None:
    """A lantern with its light."""
    for radius, tone in ((0.36, 0.05), (0.28, 0.1), (0.20, 0.18)):
        _disc(draw, 0.77, 0.52, radius, _shade(talk.ground, tone))
    draw.arc(_box(0.72, 0.20, 0.10, 0.2), 180, 360, fill=talk.ink, width=6 * SCALE)
    draw.polygon([_at(0.70, 0.36), _at(0.84, 0.36), _at(0.81, 0.29), _at(0.73, 0.29)],
                 fill=talk.ink)  # fmt: skip
    draw.rectangle(_box(0.71, 0.36, 0.12, 0.34), fill=talk.accent)
    for x in (0.71, 0.765, 0.82):
        draw.rectangle(_box(x, 0.36, 0.012, 0.34), fill=talk.ink)
    draw.rectangle(_box(0.69, 0.70, 0.16, 0.05), fill=talk.ink)


def railway(draw: Draw, talk: Talk) -> None:
    """Rails that run into the hills."""
    _disc(draw, 0.88, 0.2, 0.06, talk.accent)
    _hills(draw, talk)
    draw.rectangle(_box(0, 0.72, 1, 0.28), fill=_shade(talk.ground, 0.07))
    for step in range(7):
        depth = (step / 6) ** 1.7
        y, half = 0.73 + 0.25 * depth, 0.018 + 0.17 * depth
        draw.rectangle(_box(0.77 - half, y, 2 * half, 0.006 + 0.018 * depth),
                       fill=_shade(talk.ground, 0.4))  # fmt: skip
    for side in (-1, 1):
        draw.line([_at(0.77 + side * 0.008, 0.72), _at(0.77 + side * 0.13, 1.0)], fill=talk.ink,
                  width=5 * SCALE)  # fmt: skip


def bridge(draw: Draw, talk: Talk) -> None:
    """A bridge with a gap in it."""
    _hills(draw, talk)
    draw.rectangle(_box(0, 0.74, 1, 0.26), fill=_shade(talk.ground, 0.3))
    for x, width in ((0.53, 0.20), (0.81, 0.19)):
        draw.rectangle(_box(x, 0.54, width, 0.045), fill=talk.ink)
    for x in (0.565, 0.665, 0.845, 0.945):
        draw.rectangle(_box(x, 0.58, 0.022, 0.27), fill=_shade(talk.ink, -0.2))
    for x, y, turn in ((0.755, 0.68, 0.02), (0.78, 0.60, -0.015)):
        plank = [_at(x, y), _at(x + 0.04, y + turn), _at(x + 0.04, y + turn + 0.04),
                 _at(x, y + 0.04)]  # fmt: skip
        draw.polygon(plank, fill=talk.accent)


def furnace(draw: Draw, talk: Talk) -> None:
    """A furnace with a fire in it."""
    brick = _shade(talk.ink, -0.25)
    draw.rectangle(_box(0.62, 0.42, 0.30, 0.40), fill=brick)
    draw.rectangle(_box(0.80, 0.16, 0.07, 0.28), fill=brick)
    draw.rectangle(_box(0.60, 0.80, 0.34, 0.04), fill=talk.ink)
    for row in range(5):
        draw.line([_at(0.62, 0.49 + row * 0.07), _at(0.92, 0.49 + row * 0.07)],
                  fill=_shade(brick, -0.12), width=2 * SCALE)  # fmt: skip
    draw.pieslice(_box(0.68, 0.54, 0.18, 0.52), 180, 360, fill=_shade(talk.ground, -0.3))
    for x, top, width in ((0.71, 0.66, 0.05), (0.745, 0.60, 0.06), (0.785, 0.68, 0.045)):
        flame = [_at(x, 0.80), _at(x + width / 2, top), _at(x + width, 0.80)]
        draw.polygon(flame, fill=talk.accent)


def readings(draw: Draw, talk: Talk) -> None:
    """Bars, as for figures that are read out."""
    draw.line([_at(0.58, 0.80), _at(0.95, 0.80)], fill=talk.ink, width=3 * SCALE)
    for step, height in enumerate((0.22, 0.38, 0.16, 0.30, 0.46, 0.26, 0.34)):
        color = talk.accent if height > 0.4 else _shade(talk.ground, 0.45)
        draw.rectangle(_box(0.595 + step * 0.051, 0.80 - height, 0.036, height), fill=color)


HARBOUR = Talk(
    "The harbour in winter",
    (
        Slide("Winter begins", ("snowfall", "a quiet harbour", "before sunshine"),
              "winter begins slowly | every morning snowfall under every window | quiet harbour "
              "between mountain river", harbour),
        Slide("Captain and fisherman", ("basket, lantern, compass", "weather explained"),
              "before sunshine captain fisherman travel together | fisherman always carry basket "
              "lantern compass | captain explain weather because lightning sometimes begins "
              "without answer | wooden bridge carry children slowly", lantern),
        Slide("The granite castle", ("an island", "history under water"),
              "between harbour island enormous granite castle | ancient castle belongs famous "
              "emperor | nobody remember kingdom because history under water | sometimes "
              "children discover golden crystal picture under broken window", castle),
        Slide("Evening stories", ("grandmother's table", "music before midnight"),
              "every evening grandmother repair wooden table | copper furnace always important "
              "before midnight | yellow lantern beautiful music | children answer together "
              "because story begins", lantern),
    ),
    {"en": "en-gb+f1-p57-s190"}, 11, (24, 44, 72), (238, 243, 248), (244, 190, 92),
)  # fmt: skip

RAILWAY = Talk(
    "Midnight on the railway",
    (
        Slide("A quiet valley", ("forest, village", "nobody travels"),
              "midnight | quiet valley without music | 3.5 | ancient railway between forest "
              "village | 5.0 | nobody travel before morning", railway),
        Slide("The broken bridge", ("found under snowfall", "repair before morning"),
              "engineer discover broken bridge under enormous snowfall | 4.5 | wooden bridge "
              "carry hundred children every summer | 4.0 | important answer | repair bridge "
              "before morning", bridge),
        Slide("Slow work", ("hammer and ladder", "granite, measured"),
              "engineer carry hammer ladder copper lantern | 3.0 | professor measure granite "
              "slowly | 6.0 | yellow lightning under enormous mountain", lantern),
        Slide("Morning", ("travel together", "remember the engineer"),
              "morning begins | 2.5 | children captain grandmother travel together | 3.5 | "
              "railway belongs every village | remember engineer because history belongs "
              "together", railway),
    ),
    {"en": "en-us+Diogo-p45-s190"}, 12, (34, 30, 52), (240, 236, 246), (236, 142, 108),
    noise_db=24.0, between=(4.0, 5.5, 3.0),
)  # fmt: skip

FURNACE = Talk(
    "Measuring the old furnace",
    (
        Slide("The furnace", ("under the mountain", "water, copper, granite"),
              "professor explain important story | ancient furnace factory under mountain | "
              "every summer engineer measure water copper granite crystal | famous machine "
              "answer slowly", furnace),
        Slide("Erste Messung", ("37 04 · 88 21", "59 06 · 10 3 27 · 14 90"),
              "drei sieben null vier | acht acht zwei eins | fünf neun null sechs | "
              "zehn drei zwei sieben | eins vier neun null", readings),
        Slide("The river", ("before autumn", "a broken bottle"),
              "before autumn water begins travel between furnace river | engineer remember "
              "every picture because paper belongs library | professor discover enormous "
              "broken bottle under wooden ladder", bridge),
        Slide("Zweite Messung", ("26 61 · 93 10", "74 05 · 88 32 · 16 9"),
              "zwei sechs sechs eins | neun drei zehn | sieben vier null fünf | "
              "acht acht drei zwei | eins sechs neun", readings),
        Slide("What it means", ("telescope and compass", "paper and picture"),
              "together professor engineer answer | nobody measure universe without telescope "
              "compass | important history always begins between paper picture | children "
              "explain planet weather", furnace),
    ),
    {"en": "en-gb+f1-p57-s190", "de": "de+Diogo-p45-s190"}, 13,
    (30, 52, 48), (236, 244, 240), (240, 168, 80), between=(2.0,),
)  # fmt: skip

TALKS = (HARBOUR, RAILWAY, FURNACE)


def speak(talk: Talk, bank: WordBank) -> tuple[Composition, list[float]]:
    """The talk's sound, and the second at which each slide appears."""
    plan: list[str] = []
    first_words: list[int] = []
    count = 0
    for number, slide in enumerate(talk.slides):
        if number:
            plan.append(str(talk.between[min(number, len(talk.between)) - 1]))
        first_words.append(count)
        count += sum(part.isalpha() for part in slide.narration.split())
        plan.append(slide.narration)
    sound = compose(
        bank,
        " ".join(plan),
        talk.voice,
        np.random.default_rng(talk.seed),
        pause=talk.pause,
        lead=1.0,
        trail=1.5,
        noise_db=talk.noise_db,
    )
    starts = [max(0.0, sound.words[first][1] - LEAD_IN_S) for first in first_words]
    return sound, [0.0, *starts[1:]]


def paint(talk: Talk, number: int) -> np.ndarray:
    """One slide as an array of shape (height, width, 3)."""
    slide = talk.slides[number]
    picture = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), talk.ground)
    draw = ImageDraw.Draw(picture)
    slide.drawing(draw, talk)
    draw.rectangle(_box(0.07, 0.295, 0.06, 0.012), fill=talk.accent)
    _text(draw, 0.07, 0.20, f"{CHANNEL}  ·  {talk.title}", 19, _shade(talk.ground, 0.55))
    _text(draw, 0.07, 0.35, slide.heading, 44, talk.ink)
    for row, line in enumerate(slide.lines):
        _text(draw, 0.07, 0.50 + row * 0.075, line, 25, _shade(talk.ink, -0.12))
    width = 0.36 / len(talk.slides)
    for step in range(len(talk.slides)):
        color = talk.accent if step <= number else _shade(talk.ground, 0.25)
        draw.rectangle(_box(0.07 + step * width, 0.86, width - 0.01, 0.008), fill=color)
    return np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))


def _text(draw: Draw, x: float, y: float, text: str, size: int, color: Color) -> None:
    # The font that comes with Pillow: a system's own would differ from machine to machine.
    draw.text(_at(x, y), text, font=ImageFont.load_default(size * SCALE), fill=color)


def film(talk: Talk, sound: Composition, starts: Sequence[float], target: Path) -> None:
    """Write the talk as MP4 (H.264 and AAC)."""
    length = math.ceil(sound.seconds * FPS) / FPS
    ends = [*starts[1:], length]
    clips = [
        ImageClip(paint(talk, number)).with_duration(end - start)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    with tempfile.TemporaryDirectory() as folder:
        # As a file: moviepy's own sound clips are sampled by a clock of floats, which now and
        # then takes a sample twice, and mono ones come out twice as long.
        track = write_wav(Path(folder) / "speech.wav", sound)
        concatenate_videoclips(clips).write_videofile(
            str(target),
            fps=FPS,
            codec="libx264",
            preset="slow",
            audio=str(track),
            audio_codec="aac",
            threads=1,  # the picture then does not depend on the machine's cores
            ffmpeg_params=["-b:a", AUDIO_BITRATE, "-crf", "27", "-g", str(FPS * KEYFRAME_S),
                           "-tune", "stillimage", "-pix_fmt", "yuv420p",
                           "-movflags", "+faststart", "-fflags", "+bitexact"],
            logger=None,
        )  # fmt: skip


def truth_of(talk: Talk, sound: Composition) -> dict[str, object]:
    """The words of the talk with their times in seconds, as JSON."""
    words = [
        {"text": text, "start": round(start, 3), "end": round(end, 3)}
        for text, start, end in sound.words
    ]
    return {"title": talk.title, "language": sound.language, "words": words}


def main(folder: Path) -> None:
    """Write all talks to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    bank = WordBank.load()
    for talk in TALKS:
        sound, starts = speak(talk, bank)
        target = folder / f"{talk.title}.mp4"
        film(talk, sound, starts, target)
        truth = json.dumps(truth_of(talk, sound), ensure_ascii=False, indent=1) + "\n"
        target.with_suffix(".truth.json").write_text(truth, encoding="utf-8")
        size = target.stat().st_size
        print(f"{target.name}: {sound.seconds:.1f} s, {len(sound.words)} words, {size:,} bytes")
        if size > LIMIT_BYTES:
            sys.exit(f"{target} is larger than {LIMIT_BYTES:,} bytes.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "samples")
    main(parser.parse_args().folder)
