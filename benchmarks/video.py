"""Films of words: speed in processor time, with one thread, and memory at two lengths.

    python benchmarks/video.py             720p, 30 and 120 seconds
    python benchmarks/video.py --full      ten minutes as well

Speed is seconds of film for each second of processor time, ffmpeg included.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.support.common import figure
from kb.media.pcm import Pcm
from kb.media.probe import probe
from kb.types import Transcript
from kb.video.caption_style import load_style
from kb.video.captioned import FilmRequest, Words, make_film
from kb.video.dub_fitting import Line, lay_out
from kb.video.dub_mix import mix
from kb.video.reel import FADE_S, Stretch, make_reel
from kb.video.soft_tracks import add_track
from tests.support import films

MAX_RSS_BYTES = 1 if sys.platform == "darwin" else 1024
LINE = "seven words that are spoken in turn"


def cost(action: Callable[[], object]) -> tuple[float, float]:
    """Return the processor seconds of an action, and the peak of memory of all children so far."""

    def used() -> float:
        return sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )

    before = used()
    action()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * MAX_RSS_BYTES
    return used() - before, peak


def measure(folder: Path, seconds: float) -> tuple[bool, float]:
    """Measure all films of a length; return whether the targets are met, and the peak in bytes."""
    # A picture in motion, which is harder to encode than slides.
    film = films.make(folder / f"film{seconds:g}.mp4", "-f", "lavfi", "-i",
                      f"testsrc2=s=1280x720:r=25:d={seconds}", *films.tone(seconds))  # fmt: skip
    sound = films.make(folder / f"sound{seconds:g}.wav", *films.tone(seconds))
    words = films.spoken([LINE] * int(seconds / 3.5))
    met, peak = True, 0.0

    def draw(name: str, kind: Words, medium: Path, at_least: float) -> None:
        nonlocal met, peak
        target = folder / "made.mp4"
        style = load_style("karaoke" if kind == "karaoke" else "plain")
        request = FilmRequest(kind, style, threads=1)
        used_s, peak = cost(lambda: make_film(medium, words, request, target, target=target))
        met &= figure(f"{name}, {seconds:g} s", seconds / used_s, "x real time", at_least=at_least)

    draw("captions at 720p", "captions", film, 5.0)
    draw("karaoke over a wave at 720p", "karaoke", sound, 1.8)
    target = folder / "soft.mp4"
    used_s, _ = cost(lambda: add_track(film, words, target, target=target))
    figure(f"a track of captions, {seconds:g} s", seconds / used_s, "x real time")
    third = seconds / 3
    stretches = [Stretch(n * third, (n + 1) * third - 1, f"Part {n}") for n in range(3)]
    request = FilmRequest("captions", load_style("plain"), threads=1)
    used_s, _ = cost(lambda: make_reel(film, words, stretches, request, target, target=target))
    made_s = sum(each.length_s for each in stretches) - 2 * FADE_S
    figure(f"a reel of three stretches, {made_s:g} s", made_s / used_s, "x real time")
    met &= dub(folder, film, words, seconds)
    return met, peak


def dub(folder: Path, film: Path, words: Transcript, seconds: float) -> bool:
    """Measure the fitting of lines and the mix of a dub, without the voice; return True if met."""
    sound = (9000 * np.sin(np.arange(22_050 * 6) / 12)).astype(np.int16)

    def say(_text: str, _voice: str, speed: float) -> Pcm:
        # Each line is too long and is compressed, which is the most work.
        return Pcm(22_050, sound[: round(22_050 * 3.4 / speed)])

    lines = [Line(s.start_s, s.end_s, s.text, "") for s in words.segments]
    found, track, target = probe(film), folder / "voice.raw", folder / "dub.m4a"

    def make() -> None:
        lay_out(lines, seconds, say, track)
        mix(found, 0, track, "de", target, target=target, length_s=seconds, threads=1)

    used_s, _ = cost(make)
    return figure(
        f"fitting and mix of a dub, {seconds:g} s", seconds / used_s, "x real time", at_least=10.0
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="ten minutes as well")
    lengths = [30.0, 120.0, *([600.0] if parser.parse_args().full else [])]
    met, peaks = True, []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in lengths:
            reached, peak = measure(Path(folder), seconds)
            met &= reached
            peaks.append(peak)
            figure(f"peak of memory up to {seconds:g} s", peak / 1e6, "MB")
    met &= figure("memory of the longest over that of the shortest", peaks[-1] / peaks[0], "x",
                  at_most=1.3)  # fmt: skip
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
