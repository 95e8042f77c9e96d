"""Films of words and dubs: speed in processor time, with one thread, and memory at two lengths.

    python benchmarks/video.py             720p, one minute; memory of 5 and 30 minutes
    python benchmarks/video.py --full      ten minutes of 720p as well; memory of four hours
    python benchmarks/video.py --dubs      the speed of dubs alone
    python benchmarks/video.py --memory    memory alone

Speed is seconds of film for each second of processor time, ffmpeg included. A core that is shared
with other machines takes up to twice the time for the same work, which the first figure, a plain
loop, shows: what misses its target is measured once more, and the best one counts. Two
clips at 720p and 25 frames a second: a talk (slides, one after another, and a speaker in a corner
who moves all the time), which the target is for, and a picture that is all in motion, which is
harder to encode.

Memory is the peak of the largest program while a product is made (Linux: VmHWM of ffmpeg),
and that by which this process grew. Its films are small Matroska files: their length counts, not
their size. (MP4 has a table of all frames, which ffmpeg holds until the end; no target.)
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from benchmarks.support.common import cheapest, figure, show_core
from benchmarks.support.resources import PeakOfChildren, release_memory, reset_peak, resident_mb
from kb.media.ffmpeg import binary
from kb.media.pcm import Pcm
from kb.media.probe import probe
from kb.video.caption_script import Size
from kb.video.caption_style import load_style
from kb.video.captioned import FilmRequest, Words, make_film
from kb.video.dub_fitting import Line, lay_out
from kb.video.dub_mix import mix
from kb.video.reel import FADE_S, Stretch, make_reel
from kb.video.soft_tracks import add_track
from tests.support import films
from tests.support.slides import known_slides, render

LINE = "seven words that are spoken in turn"
SLIDE_S = 10.0
IN_MP4 = "a track of captions, .mp4"
MINUTE_S, HOUR_S = 60.0, 3600.0
FEW_MINUTES_S, HALF_HOUR_S = 300.0, 1800.0
SPOKEN_EACH_S = 3.5


def used_s() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def cost_s(action: Callable[[], object]) -> float:
    """Return the processor seconds of an action, programs that it starts included."""
    before = used_s()
    action()
    return used_s() - before


def peaks_mb(action: Callable[[], object]) -> tuple[float, float]:
    """Return the memory of the largest program of an action, and what this process grew by."""
    release_memory()
    reset_peak()
    before = resident_mb("VmRSS")
    with PeakOfChildren() as children:
        action()
    return children.mb, resident_mb("VmHWM") - before


def talk(folder: Path, seconds: float) -> Path:
    """Make a talk at 720p: slides of text, and a speaker in a corner who moves all the time."""
    for number, slide in enumerate(known_slides()):
        render(slide).save(folder / f"slide{number:02}.png")
    slides = ("-loop", "1", "-framerate", f"1/{SLIDE_S:g}", "-i", str(folder / "slide%02d.png"))
    speaker = ("-f", "lavfi", "-i", f"testsrc2=s=320x180:r=25:d={seconds}")
    place = "[0:v]fps=25[slide];[slide][1:v]overlay=x=940:y=520:shortest=1,format=yuv420p[seen]"
    return films.make(
        folder / "talk.mp4", *slides, *speaker, *films.tone(seconds), "-filter_complex", place,
        "-map", "[seen]", "-map", "2:a", "-t", f"{seconds:g}",
    )  # fmt: skip


def encoded(film: Path, target: Path) -> None:
    """Encode a film again without words, with the same encoder and one thread."""
    command = [binary(), "-nostdin", "-v", "error", "-y", "-filter_threads", "1", "-i", str(film)]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"]
    command += ["-x264-params", "subme=1"]
    subprocess.run([*command, "-threads", "1", "-c:a", "copy", str(target)], check=True)


def dub(folder: Path, film: Path, seconds: float, each_s: float = SPOKEN_EACH_S) -> None:
    """Fit and mix a dub, a line each `each_s`, compressed; the voice has no part in it."""
    import numpy as np

    spoken = Pcm(22_050, (np.random.default_rng(1).normal(0, 4000, 66_150)).astype(np.int16))
    lines = [Line(at, at + 2.6, LINE, "") for at in np.arange(0.0, seconds - 4, each_s).tolist()]
    track, sound = folder / "voice.raw", folder / "dub.m4a"
    lay_out(lines, seconds, lambda *_: spoken, track)
    mix(probe(film), 0, track, "de", sound, target=sound, length_s=seconds, threads=1)


def reel(film: Path, seconds: float, target: Path) -> float:
    """Make a reel of three stretches, from all of the film; return its length."""
    third = seconds / 3
    stretches = [Stretch(n * third, n * third + 19.0, f"Part {n}") for n in range(3)]
    request = FilmRequest("captions", load_style("plain"), threads=1)
    make_reel(film, spoken(seconds), stretches, request, target, target=target)
    return 3 * 19.0 - 2 * FADE_S


def spoken(seconds: float):  # type: ignore[no-untyped-def]
    return films.spoken([LINE] * int(seconds / 3.5))


def speed(folder: Path, seconds: float, *, dubs: bool) -> bool:
    """Measure the speed of all products of a length; return whether the targets are met."""
    film = talk(folder, seconds)
    target, met = folder / "made.mp4", True

    def row(name: str, action: Callable[[], object], at_least: float | None = None) -> float:
        nonlocal met
        enough_s = math.inf if at_least is None else seconds / at_least
        cost = cheapest(lambda: cost_s(action), float, enough_s)
        met &= figure(f"{name}, {seconds:g} s", seconds / cost, "x real time", at_least=at_least)
        return cost

    def draw(kind: Words, medium: Path) -> Callable[[], object]:
        style = load_style("karaoke" if kind == "karaoke" else "plain")
        request = FilmRequest(kind, style, threads=1)
        words = spoken(seconds)
        return lambda: make_film(medium, words, request, target, target=target)

    row("fitting and mix of a dub", lambda: dub(folder, film, seconds), 10.0)
    if dubs:
        return met
    # All of the picture in motion is harder to encode than a talk.
    moving = films.make(folder / "moving.mp4", "-f", "lavfi", "-i",
                        f"testsrc2=s=1280x720:r=25:d={seconds}", *films.tone(seconds))  # fmt: skip
    sound = films.make(folder / "sound.wav", *films.tone(seconds))
    for name, medium, at_least in (
        ("a talk", film, 5.0),
        ("a picture all in motion", moving, None),
    ):
        words_s = row(f"captions of {name} at 720p", draw("captions", medium), at_least)
        plain_s = row(f"{name} encoded without words", lambda: encoded(medium, target))  # noqa: B023
        met &= figure(f"cost of the words over encoding alone, {name}", words_s / plain_s, "x",
                      at_most=1.5)  # fmt: skip
    row("karaoke over a wave at 720p", draw("karaoke", sound), 1.8)
    row("a track of captions", lambda: add_track(film, spoken(seconds), target, target=target))
    if seconds >= MINUTE_S:
        cost = cost_s(lambda: reel(film, seconds, target))
        figure("a reel of three stretches of a talk", (3 * 19.0 - 2 * FADE_S) / cost, "x real time")
    return met


def products(folder: Path, seconds: float) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield name and making of each product of a small film of a length."""
    wave_s = dub_s = min(seconds, HALF_HOUR_S)  # which have 25 frames a second, and all samples
    film = films.make(
        folder / f"film{seconds:g}.mkv", "-f", "lavfi", "-i",
        f"color=c=0x404040:s=160x90:r=15:d={seconds}", "-f", "lavfi", "-i",
        f"anoisesrc=r=8000:d={seconds}:a=0.01", "-ac", "1",
    )  # fmt: skip
    sound = films.make(folder / f"sound{wave_s:g}.wav", *films.tone(wave_s))

    def draw(kind: Words, medium: Path, length_s: float, suffix: str) -> Callable[[], object]:
        request = FilmRequest(kind, load_style("karaoke"), threads=1, size=Size(160, 90))
        words, target = spoken(length_s), folder / f"made{suffix}"
        return lambda: make_film(medium, words, request, target, target=target)

    def track(suffix: str) -> Callable[[], object]:
        target = folder / f"made{suffix}"
        return lambda: add_track(film, spoken(seconds), target, target=target)

    yield "captions, .mkv", draw("captions", film, seconds, ".mkv")
    yield "karaoke over a wave, .mkv", draw("karaoke", sound, wave_s, ".mkv")
    yield "a track of captions, .mkv", track(".mkv")
    # (Without a target: the table of frames.)
    yield IN_MP4, track(".mp4")
    yield "a reel", lambda: reel(film, seconds, folder / "made.mkv")
    # Few lines, because silence is encoded faster.
    yield "a dub, .m4a", lambda: dub(folder, film, dub_s, 4 * SPOKEN_EACH_S)


def memory(folder: Path, lengths: tuple[float, float]) -> bool:
    """Measure the memory of all products at two lengths; return whether it is the same."""
    met = True
    short_name, long_name = (f"{seconds / 60:g} minutes" for seconds in lengths)
    for (name, short), (_, long) in zip(*(products(folder, each) for each in lengths), strict=True):
        (short_mb, short_own), (long_mb, long_own) = peaks_mb(short), peaks_mb(long)
        figure(f"memory of {name}, {short_name}", short_mb, "MB")
        figure(f"memory of {name}, {long_name}", long_mb, "MB")
        figure(f"this process grows, {name}, {short_name}", short_own, "MB")
        figure(f"this process grows, {name}, {long_name}", long_own, "MB")
        met &= figure(f"memory of {name}, {long_name} over {short_name}", long_mb / short_mb, "x",
                      at_most=None if name == IN_MP4 else 1.5)  # fmt: skip
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="ten minutes and four hours as well")
    parser.add_argument("--dubs", action="store_true", help="the speed of dubs alone")
    parser.add_argument("--memory", action="store_true", help="memory alone")
    given = parser.parse_args()
    met = True
    show_core()
    with tempfile.TemporaryDirectory() as folder:
        for seconds in [] if given.memory else [MINUTE_S, *([600.0] if given.full else [])]:
            met &= speed(Path(folder), seconds, dubs=given.dubs)
        if not given.dubs:
            longest_s = 4 * HOUR_S if given.full else HALF_HOUR_S
            met &= memory(Path(folder), (FEW_MINUTES_S, longest_s))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
