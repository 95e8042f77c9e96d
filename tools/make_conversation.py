"""Make the fourth sample of `samples/`: three people in conversation, with slides and names.

    apt-get install flite
    python tools/make_conversation.py [FOLDER]

The voices are those of Flite, which the step `speakers` tells apart; the bundled demo recognizer
does not understand them, so the true transcript lies beside the medium (`<name>.en.srt`) and is
taken in with it: `kb ingest "<name>.mp4" "<name>.en.srt"`. `<name>.truth.json` has the turns with
their speakers and the pages of the slides, in seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from make_samples import (  # noqa: E402
    CHANNEL,
    LEAD_IN_S,
    LIMIT_BYTES,
    Slide,
    Talk,
    bridge,
    castle,
    film,
    harbour,
    lantern,
)

from tests.support.compose import SAMPLE_RATE, Composition  # noqa: E402

TITLE = "The keepers of the lighthouse"
VOICES = {"Ada Morgan": "slt", "Tom Keller": "rms", "Ewan Vance": "awb"}
BETWEEN_S, TURN_S, LEAD_S, TRAIL_S = 0.25, 0.55, 1.0, 1.5  # of silence
LEVEL = 0.12  # root mean square of each sentence, of full scale
_QUIET = 0.01  # of the loudest sample: silence at the ends of what Flite writes

# The number of the slide, who speaks, and the sentences.
TURNS: tuple[tuple[int, str, tuple[str, ...]], ...] = (
    (0, "Ada Morgan", (
        "Welcome to Lantern Bay Talks.",
        "I am Ada Morgan, and tonight we talk about the old lighthouse on the island.",
    )),
    (0, "Tom Keller", (
        "Good evening. I am Tom Keller, and I kept the light for twenty years.",
    )),
    (0, "Ewan Vance", (
        "And I am Ewan Vance. I repair the lens and the clockwork every summer.",
    )),
    (1, "Ada Morgan", ("Tom, how was the tower built?",)),
    (1, "Tom Keller", (
        "The masons brought the granite from the other side of the bay.",
        "They needed four summers, and there are two hundred and nineteen steps to the top.",
    )),
    (2, "Ada Morgan", ("Ewan, what is so special about the lens?",)),
    (2, "Ewan Vance", (
        "It is a Fresnel lens, made of rings of glass.",
        "Each ring bends the light, so that sailors see it from twenty three miles away.",
    )),
    (2, "Tom Keller", ("In fog they did not see it at all, and then we rang the bell.",)),
    (3, "Ada Morgan", ("Do you remember the great storm?",)),
    (3, "Tom Keller", (
        "The waves reached the gallery, and the door below was gone in the morning.",
        "But the light never went out.",
    )),
    (3, "Ewan Vance", (
        "The clockwork still runs today. I oil it with the same oil as they did then.",
    )),
    (3, "Ada Morgan", ("Thank you both. Good night from Lantern Bay.",)),
)  # fmt: skip

TALK = Talk(
    TITLE,
    (
        Slide(
            "Lantern Bay lighthouse", ("Ada Morgan, host", "Tom Keller, Ewan Vance"), "", harbour
        ),
        Slide("A tower of granite", ("four summers, 1871", "219 steps"), "", castle),
        Slide(
            "The Fresnel lens", ("Ewan Vance: rings of glass", "seen from 23 miles"), "", lantern
        ),
        Slide("The storm of 1953", ("Tom Keller at the light", "it never went out"), "", bridge),
    ),
    {}, 14, (40, 34, 44), (244, 238, 230), (240, 180, 96),
)  # fmt: skip


def speak(folder: Path) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Return the sound at SAMPLE_RATE, and its sentences with speaker, slide and times."""
    parts, sentences = [np.zeros(round(LEAD_S * SAMPLE_RATE), np.float32)], []
    length = len(parts[0])
    for number, (slide, who, said) in enumerate(TURNS):
        for text in said:
            gap_s = BETWEEN_S if text != said[0] else TURN_S if number else 0.0
            gap = np.zeros(round(gap_s * SAMPLE_RATE), np.float32)
            sound = _sentence(text, VOICES[who], folder / "sentence.wav")
            start = length + len(gap)
            parts += [gap, sound]
            length = start + len(sound)
            sentences.append({
                "text": text, "speaker": who, "slide": slide,
                "start": round(start / SAMPLE_RATE, 3), "end": round(length / SAMPLE_RATE, 3),
            })  # fmt: skip
    parts.append(np.zeros(round(TRAIL_S * SAMPLE_RATE), np.float32))
    return np.concatenate(parts), sentences


def _sentence(text: str, voice: str, path: Path) -> np.ndarray:
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
    sound, rate = soundfile.read(path, dtype="float32")
    if rate != SAMPLE_RATE:
        sys.exit(f"The voice {voice} has {rate} samples a second.")
    loud = np.flatnonzero(np.abs(sound) > _QUIET * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    return np.asarray(sound * (LEVEL / np.sqrt(np.mean(sound**2))), np.float32)


def slide_starts(sentences: list[dict[str, Any]]) -> list[float]:
    """Return the second at which each slide appears, shortly before its first sentence."""
    first = [
        next(each["start"] for each in sentences if each["slide"] == number)
        for number in range(len(TALK.slides))
    ]
    return [0.0, *(round(start - LEAD_IN_S, 1) for start in first[1:])]


def truth_of(sentences: list[dict[str, Any]], starts: list[float], end_s: float) -> dict[str, Any]:
    """Return the turns, one for each sentence, and the pages of the slides."""
    ends = [*starts[1:], end_s]
    return {
        "title": TITLE,
        "language": "en",
        "turns": [{k: v for k, v in each.items() if k != "slide"} for each in sentences],
        "pages": [
            {
                "lines": [f"{CHANNEL}  ·  {TITLE}", slide.heading, *slide.lines],
                "start": start,
                "end": round(end, 2),
            }
            for slide, start, end in zip(TALK.slides, starts, ends, strict=True)
        ],
    }


def subtitles(sentences: list[dict[str, Any]]) -> str:
    """Return the sentences as SubRip, a cue for each."""
    return "\n".join(
        f"{number}\n{_clock(each['start'])} --> {_clock(each['end'])}\n{each['text']}\n"
        for number, each in enumerate(sentences, start=1)
    )


def _clock(seconds: float) -> str:
    whole, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{ms:03d}"


def main(folder: Path) -> None:
    """Write the sample to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        audio, sentences = speak(Path(scratch))
    starts = slide_starts(sentences)
    target = folder / f"{TITLE}.mp4"
    sound = Composition(audio, [], "en")
    film(TALK, sound, starts, target)
    target.with_suffix(".en.srt").write_text(subtitles(sentences), encoding="utf-8")
    truth = json.dumps(truth_of(sentences, starts, sound.seconds), ensure_ascii=False, indent=1)
    target.with_suffix(".truth.json").write_text(truth + "\n", encoding="utf-8")
    size = target.stat().st_size
    print(f"{target.name}: {sound.seconds:.1f} s, {len(sentences)} sentences, {size:,} bytes")
    if size > LIMIT_BYTES:
        sys.exit(f"{target} is larger than {LIMIT_BYTES:,} bytes.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "samples")
    main(parser.parse_args().folder)
