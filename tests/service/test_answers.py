"""Answers over the local library: proven sentences, passages, or "not in the library"."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.cli import run
from kb.cli.output import console
from kb.cli.output.search import print_local_answer
from kb.enrich.llm.answering import AskedPassage, QuestionReply, proven
from kb.errors import UsageError
from kb.pipeline import stages
from kb.service import Service
from kb.service.answer_views import answer_view
from kb.settings import get_settings
from kb.types.passages import ON_SCREEN
from tests.enrich.test_notes import SENTENCES, spoken
from tests.fakes.chat import KEY, Asked, ChatServer
from tests.jobs.test_document_results import show
from tests.support.raising import raises
from tests.support.spoken_items import ITEM, panel, write

SEGMENTS = spoken(SENTENCES)
QUOTE = "The ferry to Kiruna leaves at noon on weekdays"


def reply(*sentences: tuple[str, str, int], found: bool = True) -> str:
    rows = [{"text": t, "quote": q, "passage": p} for t, q, p in sentences]
    return json.dumps({"found": found, "sentences": rows})


def numbered(asked: Asked, words: str) -> int:
    """Return the number of the passage that has these words; 1 if none has."""
    passages = re.split(r"^\[(\d+)\??\] ", asked.text, flags=re.MULTILINE)
    pairs = zip(passages[1::2], passages[2::2], strict=True)
    return next((int(number) for number, text in pairs if words in text), 1)


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer() as made:
        yield made


@pytest.fixture
def service(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    server.faults.clear()
    server.asked.clear()
    for name, value in {
        "KB_HOME": str(tmp_path / "library"), "KB_MODEL": "demo", "KB_LLM_URL": server.url,
        "KB_LLM_MODEL": "tiny", "KB_LLM_KEY": KEY,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    made = Service()
    said = panel(*SEGMENTS)
    write(made, said)
    made.queue.items.states()
    stages.publish(made.library, made.settings, made.items.entry(ITEM.id), said, "local")
    yield made
    made.close()


@pytest.mark.slow
def test_an_answer_leads_to_its_words(
    service: Service, server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda asked: reply(
        ("It leaves at noon.", QUOTE, numbered(asked, "Kiruna")),
        ("It leaves at one.", QUOTE.replace("noon", "one"), numbered(asked, "Kiruna")),
        ("Look at http://evil.example", QUOTE, numbered(asked, "Kiruna")),
        ("The ferry is red.", "the ferry is painted red and white", 1),
    )
    found = service.answers.ask("When does the ferry leave?")
    (sentence,) = found.sentences
    assert sentence.text == "It leaves at noon." and found.dropped == 3
    assert sentence.citation.text == f"{QUOTE}."
    # The second is that of the first word.
    assert sentence.citation.start_s == SEGMENTS[1].words[0].start_s
    assert sentence.citation.deep_link.endswith(f"t={int(sentence.citation.start_s)}")
    assert len(server.asked) == 1
    assert run(["ask", "When does the ferry leave?", "--to", "local"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "It leaves at noon." in said and "evil.example" not in said
    assert len(server.asked) == 1
    # Its files were deleted, and the index has its passages until a worker notices.
    entry = service.items.entry(ITEM.id)
    for path in service.library.media_folder.glob(f"{entry.stem}*"):
        path.unlink()
    with pytest.raises(UsageError):
        service.items.entry(ITEM.id)
    again = service.answers.ask("When does the ferry leave?")
    assert [each.text for each in again.sentences] == ["It leaves at noon."]
    assert again.sentences[0].citation.deep_link == again.found.hits[0].deep_link


@pytest.mark.slow
def test_words_that_were_on_the_screen_are_not_called_said(
    service: Service, server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    title = "Harbour dues rise in October"
    show(service, title)
    entry = service.items.entry(ITEM.id)
    stages.publish(service.library, service.settings, entry, panel(*SEGMENTS), "local")
    server.answer = lambda asked: reply(
        ("They rise in October.", title, numbered(asked, title)),
        ("It leaves at noon.", QUOTE, numbered(asked, "Kiruna")),
    )
    question = "When do harbour dues rise, and the ferry to Kiruna leave?"
    found = service.answers.ask(question)
    origins = [each.citation.origin for each in found.sentences]
    assert origins == [ON_SCREEN, ""]
    sources = [each.source for each in answer_view(service, question, found).sentences]
    assert [each.origin for each in sources] == origins
    print_local_answer(found)
    places = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert ["on screen" in line for line in places] == [False, True, False, False]


@pytest.mark.slow
def test_without_an_answer_the_passages_are_shown(
    service: Service, server: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    # The passages do not say it; then the model fails; then there is none, and nothing to read.
    server.answer = lambda _: reply(found=False)
    found = service.answers.ask("Which lighthouse is the tallest?")
    assert not found.sentences and found.model == "tiny" and found.found.hits
    server.faults = ["wrong_key"]
    found = service.answers.ask("Who repairs the lighthouse?")
    assert found.problem is not None and found.problem.code == "llm.key" and found.found.hits
    calls = len(server.asked)
    assert service.answers.ask("zebra crossing").found.hits == ()
    service.items.settings = service.settings.replace(llm_url="")
    found = service.answers.ask("Who repairs the lighthouse?")
    assert found.found.hits and not found.model and found.problem is None
    assert found.no_model is not None and found.no_model.code == "llm.no_address"
    print_local_answer(found)
    printed = capsys.readouterr()
    (first, *_) = (printed.err or printed.out).splitlines()
    assert first.startswith("No language model is configured. Set KB_LLM_URL")
    assert len(server.asked) == calls
    with raises(UsageError, "answers.question"):
        service.answers.ask("  ")
    assert len(service.answers.ask("Who repairs the lighthouse?", 1).found.hits) == 1
    assert (
        run(["ask", "Who repairs?", "--limit", "3"]) == 2
    )  # another knowledge base chooses itself
    capsys.readouterr()
    assert run(["ask", "Which lighthouse is the tallest?", "--to", "local", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sentences"] == [] and document["hits"] and document["model"] == "tiny"


PASSAGES = [AskedPassage("A", SEGMENTS[1]), AskedPassage("B", SEGMENTS[2])]

CASES: list[tuple[tuple[str, str, int], tuple[int, str] | None]] = [
    (("It leaves at noon.", QUOTE, 1), (0, f"{QUOTE}.")),
    # Found in another passage than the one it names.
    (("It leaves at noon.", QUOTE, 2), (0, f"{QUOTE}.")),
    (("It leaves at noon.", QUOTE, 99), (0, f"{QUOTE}.")),
    (("It leaves at noon.", QUOTE, -5), (0, f"{QUOTE}.")),
    # Two words count in the passage that is named, and in no other one.
    (("In Kiruna.", "to Kiruna", 1), (0, "to Kiruna")),
    (("In Kiruna.", "to Kiruna", 2), None),
    (("It falls.", "The price of copper will fall before March", 2), None),
    (("It stays.", "The price of copper will not fall before March", 2), (1, SENTENCES[2])),
    (("<b>It</b> leaves.", QUOTE, 1), None),
]


@pytest.mark.parametrize(("sentence", "kept"), CASES)
def test_a_sentence_is_kept_with_words_of_a_passage(
    sentence: tuple[str, str, int], kept: tuple[int, str] | None
) -> None:
    answer: Any = QuestionReply.model_validate(json.loads(reply(sentence)))
    found = proven(answer, PASSAGES)
    assert [(each.passage, each.quote) for each in found.sentences] == ([kept] if kept else [])
    assert found.dropped == (0 if kept else 1)


def test_sentences_of_an_answer_that_is_none_do_not_count() -> None:
    answer = QuestionReply.model_validate(json.loads(reply(CASES[0][0], found=False)))
    assert proven(answer, PASSAGES).sentences == ()
    assert proven(answer, [replace(PASSAGES[0], title="")]).dropped == 0


@pytest.mark.parametrize(
    ("command", "subject"),
    [
        (["enrich", ITEM.id, "--steps", "summary"], "Transcripts go to tiny"),
        (["translate", ITEM.id, "--into", "de"], "Transcripts go to tiny"),
        (["ask", "When does the ferry leave?", "--to", "local"], "Passages that fit go to tiny"),
    ],
    ids=["enrich", "translate", "ask"],
)
def test_what_is_sent_is_said_before_anything_is_asked_or_queued(
    command: list[str],
    subject: str,
    service: Service,
    server: ChatServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[tuple[str, int, int]] = []

    def note(message: str) -> None:
        steps = service.queue.steps.for_items([ITEM.id]).get(ITEM.id, [])
        said.append((message, len(steps), len(server.asked)))

    monkeypatch.setattr(console, "print_note", note)
    run(command)
    first = next(each for each in said if each[0].startswith(subject))
    assert "at most" in first[0] and "if no question has to be asked twice" in first[0]
    assert first[1:] == (0, 0)
    if command[0] != "ask":
        assert service.queue.steps.for_items([ITEM.id])[ITEM.id]
