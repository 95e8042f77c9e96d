"""Films of words and dubs: speed in processor time, with one thread, and memory at two lengths.

    python benchmarks/video.py             720p, 30 and 120 seconds
    python benchmarks/video.py --full      ten minutes as well

Speed is seconds of film for each second of processor time, ffmpeg included. The peak of memory is
that of the largest program until then, all films of a length included.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from benchmarks.support.common import figure
from kb.media.ffmpeg import binary
from kb.media.pcm import Pcm
from kb.media.probe import probe
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


def talk(seconds: float) -> tuple[str, ...]:
    """Return the arguments of a talk at 720p: a slide, and a part of the picture in motion."""
    slide = ("-f", "lavfi", "-i", f"smptehdbars=s=1280x720:r=25:d={seconds}")
    speaker = ("-f", "lavfi", "-i", f"testsrc2=s=320x180:r=25:d={seconds}")
    place = "[0:v][1:v]overlay=x=920:y=500[seen]"
    return (*slide, *speaker, *films.tone(seconds), "-filter_complex", place, "-map", "[seen]",
            "-map", "2:a")  # fmt: skip


def encoded(film: Path, target: Path) -> None:
    """Encode a film again without words, with the same encoder and one thread."""
    command = [binary(), "-nostdin", "-v", "error", "-y", "-filter_threads", "1", "-i", str(film)]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-threads", "1", "-c:a", "copy", str(target)], check=True)


def dub(folder: Path, film: Path, seconds: float) -> bool:
    """Measure fitting and mix of a dub, each line compressed; the voice has no part in it."""
    import numpy as np

    spoken = Pcm(22_050, (np.random.default_rng(1).normal(0, 4000, 66_150)).astype(np.int16))
    lines = [Line(at, at + 2.6, LINE, "") for at in np.arange(0.0, seconds - 4, 3.5).tolist()]
    track, sound = folder / "voice.raw", folder / "dub.m4a"

    def made() -> None:
        lay_out(lines, seconds, lambda *_: spoken, track)
        mix(probe(film), 0, track, "de", sound, target=sound, length_s=seconds, threads=1)

    used_s, _ = cost(made)
    return figure(
        f"fitting and mix of a dub, {seconds:g} s", seconds / used_s, "x real time", at_least=10.0
    )


def measure(folder: Path, seconds: float) -> tuple[bool, float]:
    """Measure all films of a length; return whether the targets are met, and the peak in bytes."""
    # All of the picture in motion is harder to encode than a talk.
    moving = films.make(folder / f"film{seconds:g}.mp4", "-f", "lavfi", "-i",
                        f"testsrc2=s=1280x720:r=25:d={seconds}", *films.tone(seconds))  # fmt: skip
    film = films.make(folder / f"talk{seconds:g}.mp4", *talk(seconds))
    sound = films.make(folder / f"sound{seconds:g}.wav", *films.tone(seconds))
    words = films.spoken([LINE] * int(seconds / 3.5))
    met = True

    def draw(name: str, kind: Words, medium: Path, at_least: float | None) -> float:
        nonlocal met
        target = folder / "made.mp4"
        style = load_style("karaoke" if kind == "karaoke" else "plain")
        request = FilmRequest(kind, style, threads=1)
        used_s, _ = cost(lambda: make_film(medium, words, request, target, target=target))
        met &= figure(f"{name}, {seconds:g} s", seconds / used_s, "x real time", at_least=at_least)
        return used_s

    draw("captions of a talk at 720p", "captions", film, 5.0)
    used_s = draw("captions of a picture all in motion at 720p", "captions", moving, None)
    plain_s, _ = cost(lambda: encoded(moving, folder / "plain.mp4"))
    figure(f"the same encoded without words, {seconds:g} s", seconds / plain_s, "x real time")
    figure("cost of the words over encoding alone", used_s / plain_s, "x")
    draw("karaoke over a wave at 720p", "karaoke", sound, 1.8)
    target = folder / "soft.mp4"
    used_s, _ = cost(lambda: add_track(film, words, target, target=target))
    figure(f"a track of captions, {seconds:g} s", seconds / used_s, "x real time")
    met &= dub(folder, film, seconds)
    third = seconds / 3
    stretches = [Stretch(n * third, (n + 1) * third - 1, f"Part {n}") for n in range(3)]
    request = FilmRequest("captions", load_style("plain"), threads=1)
    used_s, peak = cost(lambda: make_reel(film, words, stretches, request, target, target=target))
    made_s = sum(each.length_s for each in stretches) - 2 * FADE_S
    figure(f"a reel of three stretches of a talk, {made_s:g} s", made_s / used_s, "x real time")
    return met, peak


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
