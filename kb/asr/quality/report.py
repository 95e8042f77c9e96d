"""Quality report of an item and its windows: speech, words, and the remaining flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kb.asr.audio.time_map import TimestampMap
from kb.asr.coverage import clip_spans, coverage
from kb.asr.quality.checks import flagged_seconds
from kb.asr.stitching import restore_segment_times
from kb.types import Coverage, DecodingAttempt, QualityFlag, Segment, SpeechSpan, WindowReport


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The final result of a window.

    `flags` are the remaining flags of the chosen attempt; `chosen` is its index in `attempts`,
    which is empty if the window was decoded once. In the spans of `answered` second readings found
    that no word is missing.
    """

    index: int
    start_s: float
    end_s: float
    flags: tuple[QualityFlag, ...] = ()
    attempts: tuple[DecodingAttempt, ...] = ()
    chosen: int = 0
    answered: tuple[SpeechSpan, ...] = ()


def quality_report(
    speech: Sequence[SpeechSpan],
    segments: Sequence[Segment],
    windows: Sequence[WindowResult],
    repaired: int,
    order_flags: Sequence[QualityFlag] = (),
) -> tuple[Coverage, tuple[WindowReport, ...]]:
    """Return the item's coverage and each window's report, from the words after stitching.

    Gaps are computed again over the whole item: words missing at a window's edge may be in its
    neighbour. A gap belongs to the window in which it begins; one outside of all windows
    (speech that only the looser detection found) belongs to none. `order_flags`: flags on the order
    of words as a whole (`kb.asr.stitching.enforce_order`), given to the window in which they begin.
    """
    answered = [span for window in windows for span in window.answered]
    whole = coverage(speech, (w for s in segments for w in s.words), repaired, answered)
    rows = []
    placed = sorted(windows, key=lambda w: (w.index, w.start_s))
    for window in placed:
        own = clip_spans(speech, window.start_s, window.end_s)
        gaps = tuple(g for g in whole.gaps if window.start_s <= g.start_s < window.end_s)
        speech_s = sum(span.duration_s for span in own)
        own_order_flags = tuple(
            s for s in order_flags if window.start_s <= s.start_s < window.end_s
        )
        inside = clip_spans(gaps, window.start_s, window.end_s)
        rows.append(
            WindowReport(
                round(window.start_s, 3),
                round(window.end_s, 3),
                round(speech_s, 3),
                round(max(0.0, speech_s - sum(g.duration_s for g in inside)), 3),
                gaps,
                (*(flag for flag in window.flags if flag.name != "uncovered"), *own_order_flags),
                window.attempts,
                window.chosen,
            )
        )
    left = [*(flag for row in rows for flag in row.flags), *order_flags]
    suspect_s = round(flagged_seconds(left, whole.gaps), 3)
    return replace(whole, suspect_s=suspect_s), tuple(rows)


def restore_result_times(time_map: TimestampMap, window: WindowResult) -> WindowResult:
    """Return a window with its flags and attempts in the medium's times."""
    attempts = tuple(
        replace(
            attempt,
            segments=tuple(restore_segment_times(time_map, attempt.segments)),
            flags=_restore_flag_times(time_map, attempt.flags),
        )
        for attempt in window.attempts
    )
    return replace(
        window,
        start_s=time_map.start(window.start_s),
        end_s=time_map.end(window.end_s),
        flags=_restore_flag_times(time_map, window.flags),
        attempts=attempts,
        answered=tuple(
            SpeechSpan(*time_map.span(span.start_s, span.end_s)) for span in window.answered
        ),
    )


def _restore_flag_times(
    time_map: TimestampMap, flags: Iterable[QualityFlag]
) -> tuple[QualityFlag, ...]:
    found = ((flag, *time_map.span(flag.start_s, flag.end_s)) for flag in flags)
    return tuple(replace(flag, start_s=start_s, end_s=end_s) for flag, start_s, end_s in found)
