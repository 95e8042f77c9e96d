"""Passages for knowledge bases, search hits and publish receipts."""

from __future__ import annotations

from dataclasses import dataclass

from kb.types.quality import UnsurePassage

ON_SCREEN = "screen"
"""Origin of a passage that is the text on the screen."""
_TRANSLATED = "translation, "


def translated_origin(language: str) -> str:
    """Return the origin of a passage that is a translation: `translation, de`."""
    return f"{_TRANSLATED}{language}"


def translated_language(origin: str) -> str:
    """Return the language of a passage that is a translation, empty for any other."""
    return origin.removeprefix(_TRANSLATED) if origin.startswith(_TRANSLATED) else ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of transcript that a search can return.

    `word_starts_s` contains the second at which each word of `text` begins (words are separated by
    spaces); empty if unknown. `origin` is `screen` for text on the screen, `translation, de` for a
    translation, empty for words that are spoken. `tier` names the substitute for a transcript
    (`automatic captions`); empty for a transcript. `unsure` are the spans in which many words are
    likely wrong. `speakers` are the names of those who speak, set for documents alone.

    `id` is `<item_id>#<NNNN>`: stable for the same transcript, so that writing a passage twice
    replaces it.
    """

    id: str
    item_id: str
    start_s: float
    end_s: float
    text: str
    deep_link: str
    title: str = ""
    channel: str = ""
    published: str = ""
    language: str = ""
    path: str = ""
    word_starts_s: tuple[float, ...] = ()
    tier: str = ""
    unsure: tuple[UnsurePassage, ...] = ()
    origin: str = ""
    speakers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place of a passage with a word of the query: its second, the text there, the link."""

    at_s: float
    text: str
    deep_link: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a search; `snippet` marks the matching words with `**`.

    `start_s`..`end_s` is the passage; `at_s`, the target of `deep_link`, is the second at which the
    first word that `snippet` marks is spoken (of a quoted phrase, if there is one). `missing` are
    the words of the query that the passage lacks, `occurrences` all places of the others. `tier`
    as in `Passage`. `expected_errors` is the share of words that are likely wrong around the words
    found, 0..1; None if the text there is not unsure. `speaker` speaks at `at_s`: a name or label,
    empty if it is not known. `by_meaning`: none of the query's words was looked for in it.
    `recurring`: what was found recurs in the item's channel, as an intro does.
    """

    item_id: str
    title: str
    start_s: float
    end_s: float
    text: str
    snippet: str
    score: float
    deep_link: str
    path: str
    at_s: float = 0.0
    tier: str = ""
    missing: tuple[str, ...] = ()
    occurrences: tuple[Occurrence, ...] = ()
    expected_errors: float | None = None
    origin: str = ""
    speaker: str = ""
    by_meaning: bool = False
    recurring: bool = False


@dataclass(frozen=True, slots=True)
class UnknownWord:
    """A word of a query that no passage has; `similar` are words of the index, best first."""

    word: str
    similar: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """The state of an item in a sink; `status` is `synced`, `syncing`, `failed` or `missing`.

    `project` is the remote project; empty for a sink that has only one place.
    """

    sink: str
    remote_id: str
    content_sha256: str
    status: str
    project: str = ""


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """The origin of a transcript, for documents that are read outside the library.

    `coverage` is the covered share of the speech, 0..1, `grade` the transcript's mark for readers;
    `expected_errors` is the share of words that are likely wrong, 0..1, given where it lowers the
    grade; `speakers` are the names of those who speak, as a person gave them; `on_screen` are the
    first lines of the pages on the screen; `words_from` are the ids of the items whose words were
    taken over for the same sound. None and empty values are omitted from the document.
    """

    language: str = ""
    model: str = ""
    engine: str = ""
    preset: str = ""
    coverage: float | None = None
    grade: str = ""
    duration_s: float | None = None
    expected_errors: float | None = None
    speakers: str = ""
    on_screen: str = ""
    words_from: str = ""
