"""The ledger of an item and of its windows: speech, words, and the doubt that is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kb.asr.audio.time_map import Clock
from kb.asr.coverage import clipped, coverage
from kb.asr.quality.checks import doubtful_s
from kb.asr.stitching import segments_on
from kb.types import Coverage, Reading, Segment, Sign, SpeechSpan, WindowLedger


@dataclass(frozen=True, slots=True)
class Settled:
    """A window that nothing more is done about.

    `signs` are those left against the reading that stands (place `chosen` in `readings`, which
    is empty where the window was read once).
    """

    index: int
    start_s: float
    end_s: float
    signs: tuple[Sign, ...] = ()
    readings: tuple[Reading, ...] = ()
    chosen: int = 0


def ledger(
    speech: Sequence[SpeechSpan],
    segments: Sequence[Segment],
    windows: Sequence[Settled],
    repaired: int,
    disorder: Sequence[Sign] = (),
) -> tuple[Coverage, tuple[WindowLedger, ...]]:
    """What the item and each window amount to, from the words as they stand after stitching.

    Gaps are counted anew over the whole item: what a window lacked at its edge, its neighbour
    may have. A gap belongs to the window in which it begins; one outside of all windows
    (speech that only the looser detection heard) to none. `disorder`: signs against the row of
    words as a whole (`kb.asr.stitching.in_order`), given to the window in which they begin.
    """
    whole = coverage(speech, (w for s in segments for w in s.words), repaired)
    rows = []
    placed = sorted(windows, key=lambda w: (w.index, w.start_s))
    for window in placed:
        own = clipped(speech, window.start_s, window.end_s)
        gaps = tuple(g for g in whole.gaps if window.start_s <= g.start_s < window.end_s)
        speech_s = sum(span.duration_s for span in own)
        untimely = tuple(s for s in disorder if window.start_s <= s.start_s < window.end_s)
        inside = clipped(gaps, window.start_s, window.end_s)
        rows.append(
            WindowLedger(
                round(window.start_s, 3),
                round(window.end_s, 3),
                round(speech_s, 3),
                round(max(0.0, speech_s - sum(g.duration_s for g in inside)), 3),
                gaps,
                (*(sign for sign in window.signs if sign.name != "uncovered"), *untimely),
                window.readings,
                window.chosen,
            )
        )
    left = [*(sign for row in rows for sign in row.signs), *disorder]
    suspect_s = round(doubtful_s(left, whole.gaps), 3)
    return replace(whole, suspect_s=suspect_s), tuple(rows)


def settled_on(clock: Clock, window: Settled) -> Settled:
    """A window with its signs and readings in the medium's times."""
    readings = tuple(
        replace(
            reading,
            segments=tuple(segments_on(clock, reading.segments)),
            signs=_signs(clock, reading.signs),
        )
        for reading in window.readings
    )
    return replace(
        window,
        start_s=clock.begin(window.start_s),
        end_s=clock.end(window.end_s),
        signs=_signs(clock, window.signs),
        readings=readings,
    )


def _signs(clock: Clock, signs: Iterable[Sign]) -> tuple[Sign, ...]:
    found = ((sign, *clock.span(sign.start_s, sign.end_s)) for sign in signs)
    return tuple(replace(sign, start_s=start_s, end_s=end_s) for sign, start_s, end_s in found)
