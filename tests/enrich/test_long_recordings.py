"""A recording of twelve hours: windows, progress, and a run that is killed and continued."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.support.quoted_talk import talk
from kb.database import Database
from kb.enrich import get_step
from kb.enrich.base import StepInput
from kb.transcript.notes import read_notes
from tests.enrich.test_llm_client import settings
from tests.enrich.test_notes import answer_to, given
from tests.fakes.chat import Asked, ChatServer
from tests.support.waiting import until

WORDS = 108_000  # twelve hours at 150 a minute
WINDOWS = 39  # of 3,000 words, 200 of them shared


def short_answer(asked: Asked) -> str:
    """Return an honest answer with the first statements of a part alone."""
    answer = json.loads(answer_to(asked))
    return json.dumps({name: each[:12] for name, each in answer.items()})


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(short_answer) as made:
        yield made


def summarize(data: StepInput) -> None:
    """Make the summary; called in a process that is killed."""
    get_step("summary").run(data, lambda _: None)


@pytest.mark.slow
def test_twelve_hours_are_continued_after_a_kill_and_nothing_is_paid_twice(
    server: ChatServer, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    Database.open(settings(tmp_path)).close()
    data = given(server, tmp_path, talk(WORDS), KB_LLM_TOKEN_CAPS="month=1e9")
    process = multiprocessing.get_context("spawn").Process(target=summarize, args=(data,))
    process.start()
    until(lambda: len(server.asked) >= 8 or not process.is_alive())
    process.kill()
    process.join()
    before = len(server.asked)
    assert 8 <= before < WINDOWS

    shares: list[float] = []
    found = get_step("summary").run(data, shares.append)
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] < 1
    assert len(shares) == found["parts"] == WINDOWS
    # The call that was under way may come twice, and no other one.
    repeated = Counter(json.dumps(each.body["messages"]) for each in server.asked)
    assert sum(count - 1 for count in repeated.values()) <= 1
    assert len(server.asked) <= WINDOWS + 2
    assert found["usage"]["kept"] >= before - 1
    # The last question is bounded, and has statements of the whole recording.
    assert found["statements_used"] <= 160 and len(server.asked[-1].text) < 60_000
    notes = read_notes({"summary": found})
    places = sorted({q.start_s for each in notes.summary["long"] for q in each.quotes})
    assert max(b - a for a, b in pairwise([0.0, *places])) < 4 * 3600
    calls = len(server.asked)
    get_step("highlights").run(data, lambda _: None)
    assert len(server.asked) == calls
