"""Slides with known text, and videos of them as video sites encode them."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

SLIDES = Path(__file__).resolve().parents[1] / "data" / "slides.json"
SIZE = (1280, 720)
_FONTS = Path("/usr/share/fonts/truetype/dejavu")
_FILES = {"bold": "DejaVuSans-Bold.ttf", "mono": "DejaVuSansMono.ttf", "serif": "DejaVuSerif.ttf"}

Picture = Callable[[float], Image.Image]
"""Returns the picture at a second of its showing."""


@dataclass(frozen=True, slots=True)
class Showing:
    """A picture for so many seconds; it is a function of time where it moves."""

    picture: Image.Image | Picture
    seconds: float


def require_reader() -> None:
    """Skip the test without the reader, except in CI, where setup brings it."""
    if importlib.util.find_spec("rapidocr") is None:
        if os.environ.get("CI"):
            pytest.fail("make setup did not bring rapidocr: kb models add screen")
        pytest.skip("no reader of text: kb models add screen")


def known_slides() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(SLIDES.read_text("utf-8"))
    return found


def render(slide: dict[str, Any]) -> Image.Image:
    """Return the picture of a slide of the set."""
    return text_picture(
        slide["lines"], size_px=slide["size_px"], font=slide["font"],
        colours=(slide["foreground"], slide["background"]), left_top=tuple(slide["left_top"]),
        line_height=slide["line_height"],
    )  # fmt: skip


def text_picture(
    lines: Sequence[str],
    *,
    size_px: int = 48,
    font: str = "sans",
    colours: tuple[str, str] = ("black", "white"),
    left_top: tuple[int, int] = (80, 70),
    line_height: float = 1.5,
) -> Image.Image:
    """Return a picture with these lines."""
    image = Image.new("RGB", SIZE, colours[1])
    draw, (left, top) = ImageDraw.Draw(image), left_top
    file = _FONTS / _FILES.get(font, "DejaVuSans.ttf")
    face = (
        ImageFont.truetype(str(file), size_px)
        if file.exists()
        else ImageFont.load_default(size_px)
    )  # fmt: skip
    for line in lines:
        draw.text((left, top), line, fill=colours[0], font=face)
        top += int(size_px * line_height)
    return image


def write_video(
    path: Path, showings: Sequence[Showing], *, rate: int = 25, sound: bool = True
) -> Path:
    """Write an H.264 video with a keyframe every 5 s, none at a change, and silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        gop = str(max(1, 5 * rate))
        stream.options = {"preset": "veryfast", "crf": "28", "g": gop, "sc_threshold": "0"}
        stream.codec_context.thread_count = 1
        silence = container.add_stream("aac", rate=16_000) if sound else None
        count = 0
        for image in _images(showings, rate):
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = count, Fraction(1, rate)
            container.mux(stream.encode(frame))
            count += 1
        container.mux(stream.encode())
        if silence is not None:
            for start in range(0, round(count / rate * 16_000), 1024):
                part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                part.sample_rate, part.pts, part.time_base = 16_000, start, Fraction(1, 16_000)
                container.mux(silence.encode(part))
            container.mux(silence.encode())
    return path


def _images(showings: Sequence[Showing], rate: int) -> Iterator[Image.Image]:
    for each in showings:
        for number in range(round(each.seconds * rate)):
            yield (
                each.picture
                if isinstance(each.picture, Image.Image)
                else each.picture(number / rate)
            )


def noise(seed: int) -> Image.Image:
    """Return a picture of coarse random colours, as of a camera that moves fast."""
    small = np.random.default_rng(seed).integers(0, 255, (18, 32, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(SIZE)


def talk() -> list[Showing]:
    """Return the 20 slides of the set, 4 to 30 s each, and the third one once more.

    A camera picture moves in a corner of half of them.
    """
    lengths = [4, 9, 17, 30, 12, 21, 6, 25, 14, 8]
    pictures = [render(each) for each in known_slides()]
    pictures.append(pictures[2])
    return [
        Showing(_with_camera(picture) if number % 2 else picture, lengths[number % len(lengths)])
        for number, picture in enumerate(pictures)
    ]


def _with_camera(picture: Image.Image) -> Picture:
    def at(time_s: float) -> Image.Image:
        image = picture.copy()
        grey = int(time_s * 5) * 37 % 200
        face = Image.new("RGB", (256, 160), (40, grey, 90))
        face.paste((200, 160, 140), (60 + grey // 4, 20, 160 + grey // 4, 150))
        image.paste(face, (SIZE[0] - 256, SIZE[1] - 160))
        return image

    return at
