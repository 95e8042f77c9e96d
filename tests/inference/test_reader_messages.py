"""What a reader and the model's process tell each other."""

from __future__ import annotations

import io
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from kb.asr.audio.time_map import TimestampMap
from kb.asr.batching.language_vote import LanguageVote
from kb.asr.batching.window_queue import BatchedWindow, wait
from kb.asr.engines.base import GREEDY, DecodingResult
from kb.asr.engines.whisper.token_words import TokenizedText, UnreadTokens
from kb.asr.quality.repair_budget import ADVANCE, RepairBudget
from kb.asr.windows.windowing import Window
from kb.errors import Cancelled, TranscriptionError
from kb.inference.readers.channel import PIPE_BYTES, Channel
from kb.inference.readers.messages import ReadWindow
from kb.inference.readers.pool import BudgetSums, reader_count
from kb.inference.readers.reading import NotedVote
from kb.inference.readers.remote import Line
from kb.settings import Settings
from tests.support.raising import raises

SILENCE = np.zeros(16_000, np.float32)
EMPTY = DecodingResult((), "en", -0.5, 0.1, 0.0)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Two ends of a channel."""
    there, back = os.pipe(), os.pipe()
    files = [io.FileIO(there[0], "r"), io.FileIO(there[1], "w"),
             io.FileIO(back[0], "r"), io.FileIO(back[1], "w")]  # fmt: skip
    yield Channel(files[2], files[1]), Channel(files[0], files[3])
    for each in files:
        each.close()


@pytest.mark.parametrize("samples", [0, 1, 480_000, 3 * PIPE_BYTES])
def test_sound_arrives_as_it_was(ends: tuple[Channel, Channel], samples: int) -> None:
    """Also a strided one, and one that is larger than the pipe."""
    sound = np.random.default_rng(samples).random(2 * samples, np.float32)[::2]
    one, other = ends
    sender = threading.Thread(target=lambda: [one.send(("a", n), sound) for n in range(2)])
    sender.start()
    for number in range(2):
        message, received = other.receive()
        assert message == ("a", number)
        assert received.dtype == np.float32 and np.array_equal(received, sound)
    sender.join()
    other.send("without sound")
    message, received = one.receive()
    assert message == "without sound" and received.size == 0


def test_a_closed_channel_is_an_end(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one._sink.write(b"half a head"[:5])
    one._sink.close()
    with pytest.raises(EOFError):
        other.receive()
    other._source.close()
    with pytest.raises(EOFError):
        other.receive()


@pytest.mark.parametrize(
    ("setting", "cores", "on_gpu", "count"),
    [
        ("auto", 16, False, 0), ("auto", 16, True, 8), ("auto", 64, True, 8),
        ("auto", 6, True, 3), ("auto", 3, True, 1), ("auto", 2, True, 0), ("auto", 1, True, 0),
        ("0", 16, True, 0), ("3", 1, False, 3), ("12", 64, True, 12),
    ],
)  # fmt: skip
def test_the_number_of_readers(setting: str, cores: int, on_gpu: bool, count: int) -> None:
    assert reader_count(setting, cores, lambda: on_gpu) == count


def test_the_setting_is_auto_or_a_number() -> None:
    for good in ("auto", "0", " 4 ", "AUTO", "64"):
        assert Settings(KB_READERS=good).readers == good.strip().lower()
    for bad in ("", "-1", "65", "some", "1.5", "\u0663"):
        with pytest.raises(ValidationError):
            Settings(KB_READERS=bad)


def test_the_budget_counts_all_readers() -> None:
    """A reader knows the sums of the others; those of an ended one still count."""
    sums, budgets = BudgetSums(), [RepairBudget() for _ in range(3)]
    keys = [object() for _ in budgets]
    assert budgets[0].try_spend(ADVANCE - 1, 0.3)
    for _ in range(10):
        budgets[1].add_window()
    for key, budget in zip(keys, budgets, strict=True):
        sums.set(key, budget.figures())
    for key, budget in zip(keys, budgets, strict=True):
        budget.set_others(sums.others(key))
    assert sums.others(keys[0]) == (10, 0.0) and sums.others(keys[2]) == (10, ADVANCE - 1)
    assert not any(budget.can_spend(1.5, 0.3) for budget in budgets)
    assert all(budget.can_spend(1.0, 0.3) for budget in budgets)
    assert all(budget.can_spend(2.0, 0.3, places=True) for budget in budgets)
    assert not any(budget.can_spend(2.1, 0.3, places=True) for budget in budgets)
    assert all(budget.can_spend(4.0, 1.0, places=True) for budget in budgets)


def test_a_window_has_the_part_of_the_map_that_it_needs() -> None:
    rng = np.random.default_rng(3)
    whole = TimestampMap()
    cuts = np.sort(rng.choice(400, 40, replace=False)) / 4
    for at_s in cuts:
        whole.cut(float(at_s), float(rng.integers(1, 9)) / 8)
    for _ in range(500):
        start_s, end_s = sorted(rng.integers(0, 420, 2) / 4)
        part = whole.between(start_s, end_s)
        assert len(part._cuts) <= sum(start_s <= at_s <= end_s for at_s in cuts)
        assert part.start(start_s) == whole.start(start_s)
        if end_s > start_s:
            assert part.end(end_s) == whole.end(end_s)
            window = Window(0, start_s, np.zeros(round((end_s - start_s) * 16_000), np.float32))
            one, other = (Window(0, start_s, window.audio, time_map=m) for m in (whole, part))
            assert one.medium_s == other.medium_s


@pytest.mark.parametrize(("fixed", "allowed"), [(None, ()), ("de", ()), (None, ("en", "fr"))])
def test_a_vote_in_two_processes_is_one_vote(fixed: str | None, allowed: tuple[str, ...]) -> None:
    """The languages are chosen at the model; the reader's vote has the same answers later."""
    rng = np.random.default_rng(5)
    whole, there, here = (LanguageVote(fixed, allowed) for _ in range(3))
    windows = [Window(n, 10.0 * n, SILENCE) for n in range(40)]
    heard = []
    for _ in windows:
        chances = rng.dirichlet((0.3, 0.3, 0.3))
        logs = np.log(np.maximum(chances, 1e-9)).tolist()
        heard.append(dict(zip(("en", "de", "fr"), logs, strict=True)))
    order = rng.permutation(len(windows)).tolist()
    for at in range(0, len(order), 4):  # batches in another order than the windows
        batch = order[at : at + 4]
        noted = {n: NotedVote(there) for n in batch}
        for n in batch:
            whole.add(windows[n], heard[n])
            noted[n].add(windows[n], heard[n])
        for n in batch:
            assert noted[n].choose(windows[n], heard[n]) == whole.choose(windows[n], heard[n])
            assert noted[n].expected == whole.expected
            languages = noted[n].languages
            assert languages is not None
            here.record(windows[n], languages, noted[n].chosen)
    for window in windows:
        for vote in (whole, here):
            vote.settle([window])
        assert here.settled_choice(window) == whole.settled_choice(window)
        assert here.best_guess(window) == whole.best_guess(window)
        assert here.languages == whole.languages
    assert here.probability == whole.probability
    if not fixed:
        found = {whole.best_guess(window)[0] for window in windows}
        assert len(found) == len(allowed or ("en", "de", "fr"))
    assert not there._waiting  # no probabilities are kept at the model


class Converter:
    """Makes words of tokens: here it notes what it gets."""

    def align(self, *given: Any) -> Any:
        return given


def test_a_text_travels_without_window_and_converter() -> None:
    window, converter = Window(3, 12.5, SILENCE), Converter()
    tokens = TokenizedText([1, 2], [0.0, 0.5, 1.0], [-0.1, -0.2])
    text = UnreadTokens(converter, window, tokens, "de", 0.25, 0.4)  # type: ignore[arg-type]
    packed, found = text.packed()
    sent = pickle.loads(pickle.dumps(packed))
    assert found is converter and len(pickle.dumps(packed)) < 1000
    assert sent.unpacked(window, converter).read() == (window, tokens, "de", 0.25, 0.4)
    known, none = EMPTY.packed()
    assert none is None and known.unpacked(window, None).read() is EMPTY


def test_a_line_gives_each_window_its_text_or_error() -> None:
    sent: list[tuple[str, Any]] = []

    def send(kind: str, value: Any, _sound: Any) -> None:
        sent.append((kind, value))
        if kind == "submit":
            line.replies.put(None)

    line = Line(send)
    vote = LanguageVote("en")

    def submit() -> Future[BatchedWindow]:
        window = Window(0, 0.0, SILENCE)
        return line.submit(window, vote, GREEDY, urgent=False, other=False)

    def check() -> None:
        raise AssertionError("the text is there")

    first, second, third = submit(), submit(), submit()
    numbers = [value.number for _, value in sent]
    assert len(set(numbers)) == 3 and all(not value.window.audio.size for _, value in sent)
    line.receive(ReadWindow(numbers[1], EMPTY, 0, 1.0, 0.5), None)
    failure = TranscriptionError("recognizer.failed", "It failed.")
    line.receive(ReadWindow(numbers[0], error=failure), None)
    assert wait(second, check).decoded is EMPTY and second.result().asr_s == 1.0
    with raises(TranscriptionError, "recognizer.failed"):
        wait(first, check)
    line.drop()
    assert third.cancelled() and sent[-1] == ("drop", None)
    line.receive(ReadWindow(numbers[2], EMPTY), None)  # too late: nobody waits
    line.replies.put(failure)
    with raises(TranscriptionError, "recognizer.failed"):
        line.reply()
    line.stopped.set()
    with raises(Cancelled, "recognizer.stopped"):
        line.call("slot")
