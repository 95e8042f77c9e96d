"""The step `sound`: processor time, clips that are found again, and sound that is not there."""

from __future__ import annotations

import math
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.support.common import cheapest, figure
from kb import storage
from kb.enrich.sound.fingerprint import fingerprint, to_document
from kb.enrich.sound.index import Match, SoundIndex
from tests.support.compose import compose, noise, random_plan, write_wav
from tests.support.same_sound import coded
from tests.support.speech import bank

FILES, CLIPS, FOREIGN = 192, 48, 48
WORDS = 90  # about a minute
CLIP_S = 8.0
OFFSET_S = 0.1
HOUR_S = 3600.0
FINGERPRINT_S = 3.0  # of processor time, an hour of sound
NOISE_DB = 35  # below the speech


def _processor_s() -> float:
    rows = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(row.ru_utime + row.ru_stime for row in rows)


def _talk(folder: Path, number: int) -> tuple[Path, float]:
    """Write a talk of one of six voices over the same words, so that sounds recur."""
    rng = np.random.default_rng((7, number))
    voices = sorted(bank().voices("en", known=True))[:6]
    plan = random_plan(bank(), WORDS, rng)
    said = compose(bank(), plan, {"en": voices[number % len(voices)]}, rng)
    # Noise whose number of samples has small factors alone takes a tenth of the time of other one.
    longer_s = 4 * math.ceil(said.seconds / 4)
    loudness = np.sqrt(np.mean(said.audio[np.abs(said.audio) > 1e-3] ** 2))
    beneath = noise(longer_s, rng)[: len(said.audio)] * (loudness * 10 ** (-NOISE_DB / 20) / 0.1)
    return write_wav(folder / f"{number}.wav", said.audio + beneath), said.seconds


def _is_same(matches: Sequence[Match]) -> bool:
    return any(match.same_s > 0 for match in matches)


def _hour_in_one_file(paths: Sequence[Path], target: Path) -> float:
    """Return the processor seconds of the fingerprint of an hour of these talks in one file.

    The start of ffmpeg, about 30 ms, is then once in the figure and not once a minute of sound.
    """
    parts: list[Any] = []
    seconds = 0.0
    rate_hz = 0
    for path in paths:
        sound, rate_hz = soundfile.read(path, dtype="int16")
        parts.append(sound)
        seconds += len(sound) / rate_hz
        if seconds >= HOUR_S:
            break
    soundfile.write(target, np.concatenate(parts), rate_hz)

    def once() -> float:
        began = _processor_s()
        fingerprint(target)
        return (_processor_s() - began) * HOUR_S / seconds

    return cheapest(once, float, FINGERPRINT_S)


def same_sound(folder: Path) -> bool:
    """Measure the library of short talks."""
    index = SoundIndex(folder, folder / "extras")
    talks = [_talk(folder, number) for number in range(FILES + FOREIGN)]
    hours = sum(seconds for _, seconds in talks[:FILES]) / 3600
    began = _processor_s()
    for number, (path, _) in enumerate(talks[:FILES]):
        about = {"version": 1, "id": str(number), "basis": {"sha256": ""}}
        document = {**about, **to_document(fingerprint(path))}
        storage.write_json(folder / "extras" / str(number) / "sound.json", document)
    made_s = _processor_s() - began
    began = _processor_s()
    index.count()
    entered_s = _processor_s() - began

    rng = np.random.default_rng(8)
    right = wrong = 0
    asked_s = queried_s = 0.0
    for number in rng.choice(FILES, CLIPS, replace=False).tolist():
        path, seconds = talks[number]
        at_s = float(rng.uniform(1.0, seconds - CLIP_S - 1.0))
        options = ("-ss", f"{at_s:.3f}", "-t", f"{CLIP_S}", "-b:a", "64k")
        clip = fingerprint(coded(path, folder / "clip.m4a", *options))
        began = _processor_s()
        matches = [each for each in index.find("new", clip).matches if each.same_s > 0]
        queried_s += _processor_s() - began
        asked_s += CLIP_S
        own = [each for each in matches if each.item_id == str(number)]
        wrong += len(matches) - len(own)
        right += any(
            abs(s.other_s - s.start_s - at_s) <= OFFSET_S for each in own for s in each.stretches
        )
    false = 0
    for path, _ in talks[FILES:]:
        false += _is_same(index.find("new", fingerprint(path)).matches)
        clip = coded(path, folder / "clip.m4a", "-ss", "20", "-t", f"{CLIP_S}", "-b:a", "64k")
        false += _is_same(index.find("new", fingerprint(clip)).matches)

    title = f"sound, {FILES} talks, {hours:.1f} h"
    met = figure(f"{title}: clips of {CLIP_S:.0f} s found at their place", right, "clips",
                 at_least=CLIPS)  # fmt: skip
    met &= figure(f"{title}: clips found elsewhere, too", wrong, "clips", at_most=0)
    met &= figure(f"{title}: {2 * FOREIGN} foreign talks and clips found", false, "", at_most=0)
    figure(f"{title}: processor time an hour, index included", (made_s + entered_s) / hours, "s")
    one_s = _hour_in_one_file([path for path, _ in talks[:FILES]], folder / "hour.wav")
    met &= figure("sound, an hour in one file: processor time", one_s + entered_s / hours, "s",
                  at_most=FINGERPRINT_S)  # fmt: skip
    figure(f"{title}: a query, for a minute of sound", 60_000 * queried_s / asked_s, "ms")
    size = index.path.stat().st_size / hours
    figure(f"{title}: index, for an hour", size / 1e6, "MB")
    return met
