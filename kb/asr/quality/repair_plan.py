"""The steps of repair that settings allow, and the requests of one step with their costs.

The unit is the time of a first attempt at one window, not a second, so that a busy machine repairs
no less. A window decoded again costs one, a part of it its share of the length (a quarter at least;
packed places their length and a short silence), with beams `BEAM_COST`, and by another engine its
share of the time. `share` of the windows decoded so far may be spent, counted over all media of a
run (see `kb.asr.quality.repair_budget`). Windows that wait for the budget are ordered by their
flagged seconds for the cost of their next step, and at most `MOST_WAITING` wait, because their
sound is in memory.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult
from kb.asr.quality.place_packs import BETWEEN_S
from kb.asr.windows.windowing import Window
from kb.settings import Settings

SHIFT_S = 0.26  # 13 timestamp steps: not a multiple of the encoder positions' neighbourhood
LEAST_SHIFT_S = 0.1
KEPT_S = 0.15
BEAM_COST = 3.0  # five beams took 3.2 times as long as greedy decoding
LEAST_COST = 0.25


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """The steps allowed for suspect windows (settings `KB_REPAIR_...`)."""

    share: float
    temperatures: tuple[float, ...]
    beams: int

    @classmethod
    def of(cls, settings: Settings) -> RepairPlan:
        """Return the plan of the settings."""
        values = settings.repair_temperatures.split(",")
        return cls(
            share=settings.repair_share,
            temperatures=tuple(float(value) for value in values if value.strip()),
            beams=settings.repair_beams,
        )


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """A window, or a `part` of one, to decode again; `fallback`: with the other engine.

    `place`: the part is one of the places of `kb.asr.quality.word_places`; `later` are the windows
    of its further readings, which are decoded at once where there is room for them.
    """

    window: Window
    language: str
    options: DecodingOptions = GREEDY
    fallback: bool = False
    part: bool = False
    place: bool = False
    later: tuple[Window, ...] = ()

    def cost(self, limit_s: float) -> float:
        """Return the cost in units of a first attempt at one window of `limit_s` seconds."""
        if self.options.beams > 1:
            return BEAM_COST
        if self.place:
            return (self.window.duration_s + BETWEEN_S) / limit_s
        return max(LEAST_COST, self.window.duration_s / limit_s) if self.part else 1.0


RequestSteps = Generator[list[RepairRequest], list[DecodingResult], None]
"""Yields requests; takes their results in order, then those of all `later` windows or none."""


def shift_window(window: Window, limit_s: float) -> Window:
    """Return the same speech with shifted borders, at another place in the window.

    Silence is added before the window. If the window would become too long for the recognizer,
    silence at the end is removed; if there is too little of it, sound at the beginning is removed
    instead. Detection may be late: `KEPT_S` before and after the speech is kept.
    """
    lead_s = tail_s = 0.0
    if window.speech:
        lead_s = max(0.0, window.speech[0].start_s - KEPT_S - window.start_s)
        tail_s = max(0.0, window.end_s - window.speech[-1].end_s - KEPT_S)
    room_s = limit_s - window.duration_s
    by_s = min(SHIFT_S, room_s + tail_s)
    if by_s < LEAST_SHIFT_S:
        cut_s = min(SHIFT_S, max(LEAST_SHIFT_S / 2, lead_s))
        return window.part(window.start_s + cut_s, window.end_s)
    if by_s > room_s:
        window = window.part(window.start_s, window.end_s - (by_s - room_s))
    silence = np.zeros(round(by_s * SAMPLE_RATE), np.float32)
    audio = np.concatenate([silence, window.audio])
    return replace(window, start_s=window.start_s - silence.size / SAMPLE_RATE, audio=audio)
