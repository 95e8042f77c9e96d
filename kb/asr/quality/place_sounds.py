"""The sounds that are decoded again for a place of single words: each reading has other ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.quality.word_places import BEFORE_S, EDGE_S, Place
from kb.asr.windows.windowing import Window
from kb.types import SpeechSpan, Word

BEFORE_WORD_S, BEHIND_WORD_S = 0.15, 0.5  # with more before it, a model guesses from the others


def alone(window: Window, place: Place) -> Window:
    """Return the sound of a place with a little silence around it."""
    return _silent_ends(window.part(place.start_s, place.end_s), 0.3, 0.2)


def after_words(window: Window, place: Place, words: Sequence[Word], *, end_s: float = 0) -> Window:
    """Return a place with 1 to 2.5 s of sound before it, from the start of a word if one is there.

    It ends behind the next word, if one follows at once, so that the border is another one than
    that of the place alone. `end_s`: up to this time instead.
    """
    follows = words[place.end : place.end + 1]
    if not end_s and follows and follows[0].start_s - place.end_s < EDGE_S:
        end_s = min(follows[0].end_s, place.end_s + BEFORE_S[0])
    least, most = place.start_s - BEFORE_S[1], place.start_s - BEFORE_S[0]
    starts = [word.start_s for word in words[: place.first] if least <= word.start_s <= most]
    start_s = starts[-1] - 0.05 if starts else (least + most) / 2
    return _silent_ends(window.part(max(start_s, window.start_s), end_s or place.end_s), 0.0, 0.5)


def _silent_ends(part: Window, before_s: float, after_s: float) -> Window:
    first, last = (np.zeros(round(s * SAMPLE_RATE), np.float32) for s in (before_s, after_s))
    audio = np.concatenate([first, part.audio, last])
    return replace(part, start_s=part.start_s - first.size / SAMPLE_RATE, audio=audio)


def with_other_ends(window: Window, limit_s: float) -> tuple[Window, Window]:
    """Return a whole window twice, with other amounts of silence at its ends."""
    room_s = max(0.0, limit_s - window.duration_s)
    before_s, after_s = min(1.0, room_s * 0.6), min(0.5, room_s * 0.3)
    return window, _silent_ends(window, before_s, after_s)


def at_speed(window: Window, word: Word, factor: float) -> Window:
    """Return the sound of a word with a little around it, `factor` times as fast and as high.

    The times in it are not those of the medium; only the words that are read in it count.
    """
    part = window.part(
        max(window.start_s, word.start_s - BEFORE_WORD_S),
        min(window.end_s, word.end_s + BEHIND_WORD_S),
    )
    at = np.arange(0, max(1, part.audio.size - 1), factor)
    audio = np.interp(at, np.arange(part.audio.size), part.audio).astype(np.float32)
    speech = tuple(
        SpeechSpan(*(part.start_s + (at_s - part.start_s) / factor for at_s in own))
        for own in ((span.start_s, span.end_s) for span in part.speech)
    )
    return replace(part, audio=audio, speech=speech)
