"""Notes and answers over the sample talks: every citation that is followed lands on its words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from kb.service import Service
from kb.service.answer_views import answer_view, notes_view
from kb.settings import get_settings
from tests.support.library_pages import HARBOUR, add_item
from tests.support.page_library import home as home
from tests.support.stored_replies import QUESTION, REPLIES, make_notes, sample_model

SAMPLES = {path.stem: path for path in sorted(HARBOUR.parent.glob("*.mp4"))}
Said = list[tuple[float, str]]


@pytest.fixture
def service(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with sample_model() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        for path in SAMPLES.values():
            add_item(path)
        made = Service()
        yield made
        made.close()


def said_in(title: str) -> Said:
    """Return the words of a sample with their seconds, from its list of words."""
    truth = json.loads(SAMPLES[title].with_suffix(".truth.json").read_text("utf-8"))
    return [(word["start"], word["text"]) for word in truth["words"]]


def lands(url: str, text: str, said: Said) -> bool:
    """Return True if a link opens in the second in which these words begin."""
    second = int(parse_qs(urlsplit(url).query)["t"][0])
    wanted = re.findall(r"\w+", text.casefold())
    return any(
        [word.casefold() for _, word in said[n : n + len(wanted)]] == wanted
        for n, (start_s, _) in enumerate(said)
        if second <= start_s < second + 1
    )


@pytest.mark.slow
def test_every_citation_lands_on_its_words(service: Service) -> None:
    followed = 0
    for entry in service.items.listing().entries:
        title = entry.item.title
        make_notes(service, entry.item.id)
        found, said = notes_view(service, entry.item.id), said_in(title)
        assert found.summary_short and found.summary_medium and found.summary_long, title
        assert found.chapters and found.highlights and found.terms
        statements = (
            *found.summary_short, *found.summary_medium, *found.summary_long, *found.highlights,
            *found.questions,
        )  # fmt: skip
        for statement in statements:
            assert statement.quotes
            for quote in statement.quotes:
                assert lands(quote.url, quote.text, said), (title, quote)
                followed += 1
        for term in found.terms:
            assert lands(term.url, term.term, said), (title, term)
        for chapter in found.chapters:
            at = next(each["at"] for each in REPLIES[title]["topics"]
                      if each["title"] == chapter.title)  # fmt: skip
            assert lands(chapter.url, at, said), (title, chapter)
        # The invented statement of one talk is dropped, and nothing of the others.
        assert found.dropped == (1 if title == "The harbour in winter" else 0)
    assert followed >= 40

    answer = answer_view(service, QUESTION, service.answers.ask(QUESTION))
    assert answer.outcome == "answered" and answer.dropped == 1 and len(answer.sentences) == 2
    for sentence in answer.sentences:
        assert lands(sentence.source.url, sentence.source.text, said_in(sentence.source.title))
    other = answer_view(service, "Who?", service.answers.ask("Who repairs the bridge at noon?"))
    assert other.outcome == "not_in_library" and other.passages
