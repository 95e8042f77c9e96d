"""Language models: quotes that are found again, and calls that are booked.

    python benchmarks/llm.py

Quotes from an hour of composed talk are true, altered in one negation, number or name, and
invented. Calls go to a server on loopback that fails in one of five, while the process that asks is
killed; no model is asked.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure
from benchmarks.support.llm_calls import again, overhead, with_kills
from benchmarks.support.quoted_talk import cases, talk
from kb.transcript.quotes import QuoteFinder

EACH = 50
NEAR_S = 1.0
MOST_MS = 0.5
CALLS, KILLS = 1_000, 5


def quotes() -> bool:
    """Print how many quotes of each kind are placed, and the time of one; return if all is met."""
    segments = talk()
    began = time.perf_counter()
    finder = QuoteFinder(segments)
    index_ms = 1000 * (time.perf_counter() - began)
    right: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    taken_ms: dict[str, float] = {}
    asked = cases(segments, EACH)
    for case in asked:
        began = time.process_time()
        for _ in range(10):
            found = finder.find(case.quote, case.segment).quote
        took_ms = 100 * (time.process_time() - began)
        taken_ms[case.kind] = taken_ms.get(case.kind, 0.0) + took_ms
        if found is not None:
            shown[case.kind] += 1
            if case.start_s is not None and abs(found.start_s - case.start_s) <= NEAR_S:
                right[case.kind] += 1
    total = Counter(case.kind for case in asked)
    placed = right["exact"] + right["near"]
    met = [
        figure("index of an hour", index_ms, "ms"),
        figure("true quotes placed within 1 s", placed, f"of {EACH}", at_least=EACH),
        figure("invented quotes shown", shown["invented"], f"of {EACH}", at_most=0),
        figure("altered quotes shown", shown["altered"], f"of {EACH}", at_most=0),
    ]
    for kind in sorted(total):
        mean_ms = taken_ms[kind] / total[kind]
        met.append(figure(f"time of a quote, {kind}", mean_ms, "ms", at_most=MOST_MS))
    return all(met)


def calls() -> bool:
    """Print how the bookings of 1,000 questions with faults and kills compare with the server's."""
    found = with_kills(CALLS, KILLS)
    booked = found.booked
    return all(
        (
            figure("calls that reached the server", found.calls, "calls", at_least=CALLS),
            figure(
                "usable answers that were not booked",
                found.usable - booked.calls, "answers", at_least=0, at_most=KILLS,
            ),
            figure("calls that were repeated", found.repeated, "calls", at_most=KILLS),
            figure("tokens booked", booked.tokens, "tokens", at_most=found.tokens),
            figure(
                "tokens booked and unknown",
                booked.tokens + booked.unknown_tokens, "tokens", at_least=found.tokens,
            ),
            figure("calls of a second run", again(50), "calls", at_most=0),
            figure("own time beside 500 ms a call", 100 * overhead(20, 0.5), "%", at_most=5),
        )
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(0 if all([quotes(), calls()]) else 1)
