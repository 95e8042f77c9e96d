"""The words of an excerpt of one of our documents, without the document's head.

A document begins with its title and a list of facts (see `documents`), and a service quotes any
piece of it: lines may be joined, and the end may be cut in the middle of a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.sinks.odin.documents import HEAD_FIELDS, unescape
from kb.types import Passage

SHORTEST_RUN = 3  # consecutive words that an excerpt must share with its passage

# A bracket of the transcript itself is escaped.
TIME_LINK = re.compile(r"(?<!\\)\[(\d+(?::\d\d)+)\]\((<[^>\n]*>|[^)\s]*)\)")
_CUT_LINK = re.compile(r"(?<!\\)\[(?:(\d+(?::\d\d)+)\](?:\([^)]*)?|[\d:]*)\Z")
_SPEAKERS = re.compile(r"\*\*((?:\\.|[^\\*\n])+:)\*\*")
_FIELD = rf"- (?:{'|'.join(HEAD_FIELDS)}):"
_HEAD = re.compile(rf"\s*(?:#{{1,2}} |{_FIELD} |Part \d+ of \d+ · )")
_HEAD_LINE = re.compile(rf"\s*(?:(?:#{{1,2}} |{_FIELD}|Part \d+ of \d+ · )[^\n]*(?:\n|\Z)|\n)")
_LAST_FIELD = re.compile(rf".*{_FIELD} ", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TimeLink:
    """A link to a second of a recording."""

    start_s: int
    deep_link: str


def time_links(text: str) -> list[TimeLink]:
    """Return the links before the passages of an excerpt, also of one whose lines are joined."""
    return [
        TimeLink(_seconds(found[1]), found[2].removeprefix("<").removesuffix(">"))
        for found in TIME_LINK.finditer(text)
    ]


def begins_with_head(text: str) -> bool:
    """Return True if the excerpt begins within the head of a document, or with a heading."""
    return _HEAD.match(text) is not None


def without_head(text: str) -> str:
    """Return an excerpt from its first passage on; empty if it is the head alone."""
    if not begins_with_head(text):
        return text
    if first := TIME_LINK.search(text):
        return text[first.start() :].strip()
    while found := _HEAD_LINE.match(text):
        text = text[found.end() :]
    text = text.strip()
    return "" if any(f"- {name}:".startswith(text) for name in HEAD_FIELDS) else text


def named_passage(text: str, known: Sequence[Passage]) -> Passage | None:
    """Return the passage that an excerpt quotes; None if that is not known.

    It is one of those whose second the excerpt names. Among these, and without a named second, it
    is the one that shares the most runs of words with the excerpt, the first of equals.
    """
    body = without_head(text)
    seconds = {link.start_s for link in time_links(body)}
    if not seconds and (cut := _CUT_LINK.search(body)) and cut[1]:
        seconds.add(_seconds(cut[1]))
    if named := [passage for passage in known if int(max(0.0, passage.start_s)) in seconds]:
        return _most_shared(body, named) or named[0]
    if not body and (last := _LAST_FIELD.match(text)):
        body = text[last.end() :]  # the lines were joined: the words follow a value of the head
    return _most_shared(body, known)


def words_of(text: str) -> str:
    """Return the words of an excerpt as plain text, without links, also without a cut one."""
    said = _SPEAKERS.sub(r"\1", _CUT_LINK.sub("", TIME_LINK.sub(" ", text)))
    return unescape(" ".join(said.split()))


def _most_shared(text: str, known: Sequence[Passage]) -> Passage | None:
    excerpt_runs = Counter(_runs(words_of(text)))
    best, best_count = None, 0
    for passage in known:
        common = sum((excerpt_runs & Counter(_runs(passage.text))).values())
        if common > best_count:
            best, best_count = passage, common
    return best


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    size = min(SHORTEST_RUN, max(1, len(words)))
    for start in range(len(words) - size + 1):
        yield tuple(words[start : start + size])


def _seconds(time: str) -> int:
    seconds = 0
    for figure in time.split(":"):
        seconds = seconds * 60 + int(figure)
    return seconds
