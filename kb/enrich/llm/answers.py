"""The forms of answers, and what of a model's text may be shown: plain text, without links."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from kb.types.safe_text import clean, printable

# A link, a picture, HTML, a fence: none of it is asked for, so a text with it is dropped.
MARKUP_SIGNS = re.compile(
    r"\w+://|\bwww\.|\bmailto:|\bjavascript:|\bdata:|\]\s*\(|\]\s*\[|!\[|<\s*[a-zA-Z/!?]|&#?\w+;|```"
    r"|\{\{|\$\(",
    re.IGNORECASE,
)

Text = Annotated[str, Field(max_length=2_000)]
_Entries = Annotated[int, Field(ge=0, le=10**7)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PointAnswer(_Form):
    claim: Text
    quote: Text
    segment: _Entries
    weight: Annotated[int, Field(ge=1, le=5)]


class TopicAnswer(_Form):
    title: Text
    segment: _Entries


class TermAnswer(_Form):
    term: Text
    kind: Literal["person", "organisation", "place", "product", "term"]
    segment: _Entries


class QuestionAnswer(_Form):
    question: Text
    answer: Text
    quote: Text
    segment: _Entries


class WindowAnswer(_Form):
    """The answer about one window."""

    points: Annotated[list[PointAnswer], Field(max_length=100)]
    topics: Annotated[list[TopicAnswer], Field(max_length=100)]
    terms: Annotated[list[TermAnswer], Field(max_length=300)]
    questions: Annotated[list[QuestionAnswer], Field(max_length=100)]


class SentenceAnswer(_Form):
    text: Text
    points: Annotated[list[int], Field(max_length=50)]


class SummaryAnswer(_Form):
    """The answer about the statements of a recording."""

    short: Annotated[list[SentenceAnswer], Field(max_length=5)]
    medium: Annotated[list[SentenceAnswer], Field(max_length=20)]
    long: Annotated[list[SentenceAnswer], Field(max_length=60)]


def plain(text: str) -> str | None:
    """Return a model's text as one line of plain text; None if it has a link or markup, or none."""
    shown = shown_text(text)
    return None if MARKUP_SIGNS.search(shown) else shown or None


def shown_text(text: str) -> str:
    """Return a text as one line without invisible marks, which could hide a link."""
    return " ".join(printable(clean(text)).split())
