"""Questions to a knowledge base that answers in sentences, with bounded answers."""

from __future__ import annotations

from dataclasses import dataclass

from kb.library import LibraryEntry
from kb.service.publisher import Publisher
from kb.service.reading import MOST_CHARACTERS, doubt
from kb.settings import Settings
from kb.types.safe_text import clean, web_address

MOST_SOURCES = 20  # of one answer
_MOST_EXCERPT = 2_000  # characters of one source


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """A source of an answer; `id` is as in search results, empty for text that is not ours.

    `start_s` and `end_s` are None where no passage of the item matches the source's text.
    """

    id: str
    title: str
    url: str
    start_s: float | None
    end_s: float | None
    text: str
    doubtful: str


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class SourcedAnswer:
    """An answer and the sources that the knowledge base names for it."""

    answer: str
    sources: tuple[AnswerSource, ...]


def answers_questions(settings: Settings) -> bool:
    """Return True if a knowledge base that answers has its credentials."""
    return bool(
        settings.odin_api_key.get_secret_value() and settings.odin_api_secret.get_secret_value()
    )


@dataclass
class Asking:
    """The questions of one library's readers."""

    publisher: Publisher

    def ask(self, question: str) -> SourcedAnswer:
        """Return the answer of the ODIN project, cleaned of controls and hidden characters.

        At most 20,000 characters, and 20 sources of at most 2,000. Raises UsageError for an empty
        question, CredentialsMissing, CredentialsRefused, KnowledgeBaseError and LibraryError.
        """
        found = self.publisher.ask(question)
        sources = found.sources[:MOST_SOURCES]
        ids = {each.item_id for each in sources if each.item_id}
        entries = {each.item.id: each for each in self.publisher.library.find_all(ids)}
        return SourcedAnswer(
            clean(found.text)[:MOST_CHARACTERS],
            tuple(
                AnswerSource(
                    _place(each.item_id, each.start_s),
                    clean(each.title or each.document),
                    web_address(each.deep_link),
                    each.start_s,
                    each.end_s,
                    clean(each.text)[:_MOST_EXCERPT],
                    _doubt(entries.get(each.item_id)),
                )
                for each in sources
            ),
        )


def _place(item_id: str, start_s: float | None) -> str:
    return f"{item_id}#{max(0, int(start_s))}" if item_id and start_s is not None else item_id


def _doubt(entry: LibraryEntry | None) -> str:
    return doubt(entry) if entry is not None else ""
