"""Quotes are found where they were said, and refused where they say something else."""

from __future__ import annotations

import pytest

from kb.transcript.quotes import QuoteFinder
from kb.types import Segment, Word

ENGLISH = [
    "We met the minister in Hamburg on Tuesday morning.",
    "She said that the price of copper will not fall before March.",
    "In 2019 the harbour moved three million tonnes of grain, and Erik Olsen counted them.",
    "The old bridge is closed, because it is unsafe for heavy lorries.",
    "I do not believe that the council will pay for the new bridge this year.",
    "The ferry leaves at 7:30 and carries 1,200 people to the island.",
    "Fog is a problem. Everyone agrees that the lighthouse is useful for small boats.",
]
GERMAN = [
    "Wir haben den Minister in Hamburg am Dienstag getroffen.",
    "Sie sagte, dass der Preis für Kupfer vor März nicht fallen wird.",
    "Niemand weiß, ob die alte Brücke wieder geöffnet wird, aber Erik Olsen hofft es.",
    "Der Hafen hat dreiundzwanzig Millionen Tonnen Getreide umgeschlagen.",
    "Die Stadt will für die neue Brücke in diesem Jahr mehr bezahlen als früher.",
]


def segments(sentences: list[str]) -> tuple[Segment, ...]:
    """Return one segment for each sentence; a word takes half a second."""
    found, at = [], 0.0
    for sentence in sentences:
        words = []
        for text in sentence.split():
            words.append(Word(at, at + 0.4, text, 0.9))
            at += 0.5
        found.append(Segment(words[0].start_s, words[-1].end_s, sentence, tuple(words)))
    return tuple(found)


FINDERS = {"en": QuoteFinder(segments(ENGLISH)), "de": QuoteFinder(segments(GERMAN))}

# language, quote, cited segment, words that are shown
FOUND = [
    ("en", "the price of copper will not fall before March", 1,
     "the price of copper will not fall before March."),
    ("en", "The PRICE of copper, will NOT fall before march!", None,
     "the price of copper will not fall before March."),
    ("en", "the harbor moved three million tonnes of grain", 2,
     "the harbour moved three million tonnes of grain,"),
    ("en", "the harbour moved 3 million tonnes of grain", 2,
     "the harbour moved three million tonnes of grain,"),
    ("en", "carries 1200 people to the island", 5, "carries 1,200 people to the island."),
    ("en", "because it's unsafe for heavy lorries, the old bridge", 3, None),
    ("en", "the lighthouse is useful for the small boats", 6,
     "the lighthouse is useful for small boats."),
    # What stands right before a quote and turns its meaning is shown with it.
    ("en", "believe that the council will pay for the new bridge", 4,
     "not believe that the council will pay for the new bridge"),
    # Few words: exact, and near the place that is cited.
    ("en", "Erik Olsen", 2, "Erik Olsen"),
    ("en", "Erik Olsen", 4, "Erik Olsen"),
    ("en", "Erik Olsen", 6, None),
    ("en", "Erik Olsen", None, None),
    ("en", "Erik Olson", 2, None),
    ("de", "dass der Preis für Kupfer vor März nicht fallen wird", 1,
     "dass der Preis für Kupfer vor März nicht fallen wird."),
    ("de", "Niemand weiss, ob die alte Brücke wieder geöffnet wird", 2,
     "Niemand weiß, ob die alte Brücke wieder geöffnet wird,"),
    ("de", "ob die alte Brücke wieder eröffnet wird", 2,
     "Niemand weiß, ob die alte Brücke wieder geöffnet wird,"),
]  # fmt: skip

# language, quote: each differs from what was said in one thing
ALTERED = [
    ("en", "the price of copper will fall before March"),
    ("en", "the price of copper will not rise before March"),
    ("en", "the price of copper will not fall after March"),
    ("en", "the price of copper will not fall before April"),
    ("en", "that the price of silver will not fall before Easter"),
    ("en", "In 2018 the harbour moved three million tonnes of grain"),
    ("en", "the harbour moved four million tonnes of grain"),
    ("en", "the harbour moved three billion tonnes of grain"),
    ("en", "the harbour never moved three million tonnes of grain"),
    ("en", "tonnes of grain, and Erik Jensen counted them"),
    ("en", "the harbour moved tonnes of grain, and Erik Olsen"),
    ("en", "We met the minister in Homburg on Tuesday morning"),
    ("en", "We met the minister in Hamburg on Monday morning"),
    ("en", "The old bridge is open, because it is unsafe for heavy lorries"),
    ("en", "The old bridge is closed, because it is safe for heavy lorries"),
    ("en", "The new bridge is closed, because it is unsafe for heavy lorries"),
    ("en", "the council won't pay for the new bridge this year"),
    ("en", "The ferry leaves at 7:50 and carries 1,200 people to the island"),
    ("en", "Everyone agrees that the lighthouse is useless for small boats"),
    ("en", "Nobody agrees that the lighthouse is useful for small boats"),
    ("de", "dass der Preis für Kupfer vor März fallen wird"),
    ("de", "dass der Preis für Kupfer vor März nicht steigen wird"),
    ("de", "dass der Preis für Kupfer nach März nicht fallen wird"),
    ("de", "Wir haben den Minister in Homburg am Dienstag getroffen"),
    ("de", "Wir haben den Minister in Hamburg am Donnerstag getroffen"),
    ("de", "Der Hafen hat dreiundvierzig Millionen Tonnen Getreide umgeschlagen"),
    ("de", "Der Hafen hat dreiundzwanzig Milliarden Tonnen Getreide umgeschlagen"),
    ("de", "Die Stadt will für die neue Brücke in diesem Jahr weniger bezahlen als früher"),
    ("de", "Die Stadt will für die neue Brücke in diesem Jahr nicht mehr bezahlen als früher"),
    ("de", "Die Stadt will für die alte Brücke in diesem Jahr mehr bezahlen als früher"),
]

INVENTED = [
    ("en", "the council has already sold the bridge to a private company"),
    ("en", "ferries will be replaced by aeroplanes within a decade or so"),
    ("de", "der Hafen wird im nächsten Sommer vollständig geschlossen"),
    ("en", ""),
    ("en", "… — !?"),
    ("en", "http://example.org/ [click](x)"),
]


@pytest.mark.parametrize(("language", "quote", "near", "shown"), FOUND)
def test_a_quote_is_shown_in_the_words_of_its_place(
    language: str, quote: str, near: int | None, shown: str | None
) -> None:
    found = FINDERS[language].find(quote, near).quote
    assert (found.text if found else None) == shown


@pytest.mark.parametrize(("language", "quote"), ALTERED)
def test_a_quote_that_says_something_else_is_refused(language: str, quote: str) -> None:
    found = FINDERS[language].find(quote)
    assert found.quote is None and found.refusal in ("altered", "absent")


@pytest.mark.parametrize(("language", "quote"), INVENTED)
def test_a_quote_that_nobody_said_is_refused(language: str, quote: str) -> None:
    assert FINDERS[language].find(quote).refusal == "absent"


def test_most_alterations_are_known_as_such() -> None:
    """Else the test above would pass with a finder that finds nothing."""
    refusals = [FINDERS[language].find(quote).refusal for language, quote in ALTERED]
    assert refusals.count("altered") >= 0.8 * len(ALTERED)


def test_times_are_those_of_the_words() -> None:
    found = FINDERS["en"].find("harbour moved three million tonnes", 2).quote
    assert found is not None
    words = segments(ENGLISH)[2].words
    assert (found.start_s, found.end_s) == (words[3].start_s, words[7].end_s)
    assert found.segment == 2


def test_of_two_equal_places_the_cited_one_counts() -> None:
    finder = QuoteFinder(segments(["The tide comes in at noon.", "Rain.", "Wind.", "Snow.", "Fog.",
                                   "The tide comes in at noon."]))  # fmt: skip
    for near, segment in ((0, 0), (5, 5), (4, 5), (None, 0)):
        found = finder.find("the tide comes in at noon", near).quote
        assert found is not None and found.segment == segment


def test_segments_without_words_have_times_by_their_length() -> None:
    finder = QuoteFinder((Segment(10.0, 20.0, "aaaa bbbb cccc dddd eeee", ()),))
    found = finder.find("bbbb cccc dddd eeee", 0).quote
    assert found is not None and (found.start_s, found.end_s) == (12.0, 20.0)


def test_a_text_without_spaces_is_compared_by_characters() -> None:
    sentence = "今天天气很好我们去海边散步吧"
    finder = QuoteFinder((Segment(0.0, 7.0, sentence, ()),))
    assert finder.find("我们去海边散步", 0).quote is not None
    assert finder.find("我们去山上散步", 0).quote is None


def test_a_name_of_the_vocabulary_counts_where_all_is_written_small() -> None:
    said = segments(["yesterday the delegates arrived in hamburg by the evening train"])
    altered = "yesterday the delegates arrived in homburg by the evening train"
    assert QuoteFinder(said).find(altered).quote is not None
    assert QuoteFinder(said, ["Hamburg"]).find(altered).refusal == "altered"


def test_an_empty_transcript_has_no_quote() -> None:
    assert QuoteFinder(()).find("anything that was said here").refusal == "absent"
