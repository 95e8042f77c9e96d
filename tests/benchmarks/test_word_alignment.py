"""The counts of `trust.py` for single words: lost, invented, doubled and too short."""

from __future__ import annotations

import pytest

from kb.types import Word
from tests.support.word_alignment import align, invented, too_short

TRUTH = [("river", 1.0, 1.4), ("garden", 1.5, 2.0), ("winter", 2.1, 2.5), ("island", 4.0, 4.5)]


def words(*rows: tuple[str, float, float]) -> list[Word]:
    return [Word(start_s, end_s, text, 0.9) for text, start_s, end_s in rows]


@pytest.mark.parametrize(
    ("read", "lost", "inserted", "made_up"),
    [
        (TRUTH, (), (), []),
        ([("River,", 1.1, 1.3), *TRUTH[1:]], (), (), []),
        (TRUTH[:3], (3,), (), []),
        (TRUTH[1:], (0,), (), []),
        ([TRUTH[0], ("winter", 1.5, 2.5), TRUTH[3]], (1,), (), []),  # stretched over the lost word
        ([TRUTH[0], ("garten", 1.5, 2.0), *TRUTH[2:]], (), (), []),  # misheard
        # Read as two words: an insertion, but no invention.
        ([TRUTH[0], ("gar", 1.5, 1.7), ("den", 1.7, 2.0), *TRUTH[2:]], (), (1,), []),
        ([*TRUTH[:3], ("yes", 3.0, 3.3), TRUTH[3]], (), (3,), [3]),  # in the pause
        ([*TRUTH[:3], ("yes", 2.45, 2.9), TRUTH[3]], (), (3,), [3]),  # mostly in the pause
        ([*TRUTH, ("island", 4.48, 4.5)], (), (4,), [4]),  # doubled over its own sound
        # A word lost at one place and the same one invented elsewhere are two errors.
        ([TRUTH[0], *TRUTH[2:], ("garden", 6.0, 6.4)], (1,), (3,), [3]),
        ([], (0, 1, 2, 3), (), []),
    ],
)
def test_words_are_counted_by_text_and_time(
    read: list[tuple[str, float, float]],
    lost: tuple[int, ...],
    inserted: tuple[int, ...],
    made_up: list[int],
) -> None:
    found = align(TRUTH, words(*read))
    assert (found.lost, found.inserted) == (lost, inserted)
    assert invented(TRUTH, words(*read), found) == made_up
    assert len(found.pairs) == len(TRUTH) - len(lost) == len(read) - len(inserted)


def test_a_doubled_word_in_a_row_of_equal_ones_is_counted_once() -> None:
    truth = [("river", 0.5 * n, 0.5 * n + 0.4) for n in range(3)]
    read = words(*truth, ("river", 1.4, 1.42))
    found = align(truth, read)
    assert len(found.inserted) == 1
    assert invented(truth, read, found) == list(found.inserted)
    assert align(truth, read[:2]).lost == (2,)


def test_short_words_count_from_four_letters_on() -> None:
    read = words(("river", 1.0, 1.06), ("a", 1.1, 1.14), ("garden", 1.2, 1.28), ("null", 2.0, 2.0))
    assert too_short(read) == [0, 3]
