"""Word times: the path through the attention, and the correction of edges by the audio."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from kb.asr import SAMPLE_RATE
from kb.asr.audio.word_edges import loudness_db, snap_to_sound, snap_to_speech
from kb.asr.engines.whisper.alignment import alignment, medians, monotonic_paths
from kb.types import SpeechSpan, Word
from tests.support.compose import add_noise, compose, random_plan, silence
from tests.support.speech import bank


def cheapest(cost: np.ndarray) -> float:
    """Return the cost of the best monotonic path, by the plain recursion."""
    rows, columns = cost.shape
    best = np.full((rows + 1, columns + 1), np.inf)
    best[0, 0] = 0
    for i, j in itertools.product(range(rows), range(columns)):
        best[i + 1, j + 1] = cost[i, j] + min(best[i, j], best[i, j + 1], best[i + 1, j])
    return float(best[rows, columns])


def cost_along(cost: np.ndarray, entries: list[int]) -> float:
    """Return the least cost of a path that enters each row at the given column."""
    total = 0.0
    for row, first in enumerate(entries):
        end = entries[row + 1] if row + 1 < len(entries) else cost.shape[1] - 1
        last = max(first, end - 1) if row + 1 < len(entries) else end
        straight = cost[row, first : last + 1].sum()
        down = cost[row, first : end + 1].sum()
        total += min(straight, down) if end > last else straight
    return total


def test_the_path_is_the_cheapest_one_whatever_else_is_warped_with_it() -> None:
    rng = np.random.default_rng(0)
    shapes = [(1, 9), (5, 5), (7, 40), (40, 90), (3, 200), (60, 61), (2, 2), (1, 1), (9, 30)]
    costs = [rng.standard_normal(shape) for shape in shapes]
    paths = monotonic_paths([torch.from_numpy(cost) for cost in costs])
    for cost, entries in zip(costs, paths, strict=True):
        assert len(entries) == cost.shape[0]
        assert entries[0] == 0
        assert entries == sorted(entries)
        assert cost_along(cost, entries) == pytest.approx(cheapest(cost), abs=1e-3)


def test_the_path_is_the_one_of_transformers() -> None:
    rng = np.random.default_rng(1)
    attention = np.zeros((30, 300))
    for row in range(30):  # a plausible diagonal
        attention[row, row * 10 : row * 10 + 10] = 3
    attention += rng.standard_normal(attention.shape)
    rows, columns = _dynamic_time_warping(-attention.astype(np.float64))
    entered = columns[np.flatnonzero(np.diff(rows, prepend=-1))]
    assert monotonic_paths([torch.from_numpy(-attention)]) == [entered.tolist()]


def test_a_clear_attention_gives_its_edges() -> None:
    attention = torch.full((2, 5, 150), 1e-4)
    for row, first in enumerate([0, 20, 55, 80, 120]):
        attention[:, row, first : [20, 55, 80, 120, 150][row]] = 1.0
    matrix = alignment(attention, 150)
    assert matrix.shape == (5, 150)
    assert monotonic_paths([-matrix])[0] == pytest.approx([0, 20, 55, 80, 120], abs=1)


@pytest.mark.parametrize("width", [3, 5, 7, 9])
def test_medians_are_those_of_transformers(width: int) -> None:
    for shape in [(6, 40, 300), (1, 1, 12), (2, 33, width // 2 + 1)]:
        weights = torch.randn(shape, generator=torch.Generator().manual_seed(width))
        assert torch.equal(medians(weights, width), _median_filter(weights, width))
    one = torch.rand(2, 3, 20)
    assert torch.equal(medians(one, 1), one)


def test_only_positions_that_carry_sound_count_and_few_are_enough() -> None:
    attention = torch.rand(3, 4, 1500)
    assert alignment(attention, 60).shape == (4, 60)
    assert torch.isfinite(alignment(attention, 2)).all()
    assert alignment(attention, 0).shape == (4, 1)


def test_level_is_in_decibels_every_ten_milliseconds() -> None:
    audio = np.concatenate([silence(0.5), np.full(SAMPLE_RATE // 2, 0.1, np.float32)])
    level = loudness_db(audio)
    assert level.shape == (100,)
    assert level[80] == pytest.approx(-20, abs=0.1)
    assert level[20] < -100
    assert loudness_db(np.zeros(3, np.float32)).size == 0


def rough(words: list[tuple[str, float, float]], lead_s: float) -> list[Word]:
    """Return times as attention gives them: each word starts at the end of the word before."""
    edges = [words[0][1] - lead_s, *(end for _, _, end in words)]
    return [Word(edges[i], edges[i + 1], text, 0.9) for i, (text, _, _) in enumerate(words)]


@pytest.mark.parametrize("db", [None, 30, 20, 12])
@pytest.mark.parametrize("voice", [None, "other"])
def test_edges_come_to_the_sound(db: float | None, voice: str | None) -> None:
    rng = np.random.default_rng(8)
    speaker = bank().voices("en", known=False)[0] if voice else None
    said = compose(bank(), random_plan(bank(), 60, rng), speaker, rng, gap=(0.03, 0.2))
    audio = said.audio if db is None else add_noise(said.audio, db, rng)
    moved = snap_to_sound(rough(said.words, 0.3), audio, 0.0)
    starts = [abs(w.start_s - truth[1]) for w, truth in zip(moved, said.words, strict=True)]
    ends = [abs(w.end_s - truth[2]) for w, truth in zip(moved, said.words, strict=True)]
    assert np.quantile(starts + ends, 0.95) <= 0.2
    assert np.median(starts + ends) <= 0.04
    assert all(a.end_s <= b.start_s + 1e-6 for a, b in itertools.pairwise(moved))


def test_words_keep_their_order_their_text_and_a_length() -> None:
    words = [Word(1.0, 1.02, "a", 0.5), Word(1.02, 1.9, "b", 0.6), Word(1.9, 2.5, "c", 0.7)]
    for audio in (silence(4), np.random.default_rng(0).standard_normal(64_000).astype("f4") / 9):
        moved = snap_to_sound(words, audio, 0.0)
        assert [word.text for word in moved] == ["a", "b", "c"]
        assert [word.probability for word in moved] == [0.5, 0.6, 0.7]
        assert all(word.end_s > word.start_s for word in moved)
        assert all(a.start_s <= b.start_s for a, b in itertools.pairwise(moved))
    assert snap_to_sound([], silence(1), 0.0) == ()
    assert snap_to_sound(words, silence(0), 0.0) == tuple(words)


def test_a_word_does_not_reach_back_over_a_pause_in_noise() -> None:
    speech = [SpeechSpan(0, 2), SpeechSpan(5, 6), SpeechSpan(6.1, 7)]
    words = [Word(1, 2, "a", 1), Word(2, 5.5, "b", 1), Word(5.5, 6.6, "c", 1)]
    moved = [(word.start_s, word.end_s) for word in snap_to_speech(words, speech)]
    assert moved == [(1, 2), (4.9, 5.5), (5.5, 6.6)]
    assert snap_to_speech(words, []) == words


def test_a_window_s_place_in_the_medium_is_kept() -> None:
    said = compose(bank(), "river | garden | castle")
    here = snap_to_sound(rough(said.words, 0.2), said.audio, 0.0)
    there = snap_to_sound(
        [Word(w.start_s + 100, w.end_s + 100, w.text, 0.9) for w in rough(said.words, 0.2)],
        said.audio,
        100.0,
    )
    assert [w.start_s + 100 for w in here] == pytest.approx([w.start_s for w in there])
