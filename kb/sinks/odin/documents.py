r"""Markdown documents of an item: passages under headings, each preceded by a time link.

    # Title                                     ## Chapter, or a time every five minutes

    - Channel: ...                              [02:03](https://youtu.be/ID?t=123) Words of the
    - Coverage: 99.1 % of the speech (A)        passage ...

A passage whose speakers are named begins with `**Anna Weber:** `. The pages on the screen follow
the words under a heading of their own.
`parse_passages` restores the passages exactly: `escape` escapes only the characters that Markdown
would interpret, each with one backslash.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kb.errors import UsageError
from kb.library.filenames import UNDATED, UNTITLED, file_id
from kb.types import DocumentFacts, MediaItem, Passage
from kb.types.passages import ON_SCREEN, translated_language
from kb.types.quality import likely_wrong
from kb.types.safe_text import printable, web_address

# The version of the documents' form. It is a part of the hash, so that a higher number sends all
# documents again.
FORMAT = 1
HEADING_EVERY_S = 300
ON_SCREEN_HEADING = "## On the screen\n\n"
# The names of the facts in a document's head (see `_header`).
HEAD_FIELDS = (
    *("Channel", "Date", "Link", "Length", "Speakers", "Words from"),
    *("Language", "Model", "Coverage", "Words"),
)
TITLE_LENGTH = 80  # characters of the title in a document's name
HASH_LENGTH = 8  # hexadecimal digits of the content's hash in a document's name

# The mark of our metadata, which distinguishes our documents from a colleague's own uploads.
PRODUCER = "kb-ingest"
RESERVED_KEYS = frozenset(
    (
        *("producer", "id", "url", "title", "channel", "published", "description"),
        *("duration_s", "language", "model", "engine", "preset", "coverage", "grade"),
        *("expected_errors", "speakers", "on_screen", "words_from"),
        *("content_sha256", "part", "parts", "words"),
        *("passages_sha256", "written_sha256"),  # used by the sink `folder`
    )
)

_NAME = re.compile(r"_([0-9a-f]{8})(?:_p(\d{2,}))?\.md")
_INLINE = re.compile(r"([\\`*<\[])")
_LINE_START = re.compile(r"^(\s*)([#>+\-=|~_]|\d+(?=[.)](?:\s|$)))", re.MULTILINE)
_ESCAPED = re.compile(r"\\([\\`*<\[#>+\-=|~_.)])")
_PASSAGE = re.compile(
    r"^\[(\d+(?::\d\d)+)\]\((<[^>\n]*>|[^)\s]*)\)(?: \*\*(?:\\.|[^\\*\n])+:\*\*)?(?: |$)",
    re.MULTILINE,
)
_PASSAGE_END = re.compile(r"\n\n(## [^\n]*\n\n)?\Z")
_TRANSLITERATED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}
)


@dataclass(frozen=True, slots=True)
class Document:
    """One file to be sent: its name, its bytes (UTF-8 Markdown) and its metadata."""

    name: str
    content: bytes
    metadata: Mapping[str, Any]
    words: int


@dataclass(frozen=True, slots=True)
class DocumentSet:
    """All documents of one item, in order; `sha256` changes with every visible change."""

    item_id: str
    sha256: str
    documents: tuple[Document, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(document.name for document in self.documents)

    @property
    def words(self) -> int:
        return sum(document.words for document in self.documents)


@dataclass(frozen=True, slots=True)
class ParsedPassage:
    """A passage as parsed from a document."""

    start_s: int
    deep_link: str
    text: str


def make_documents(
    item: MediaItem,
    passages: Sequence[Passage],
    facts: DocumentFacts | None = None,
    extra: Mapping[str, str] | None = None,
    *,
    limit: int = 400_000,
) -> DocumentSet:
    """Return the item as documents of at most `limit` bytes, cut between passages.

    A single passage above the limit is not cut. The same input gives the same bytes.
    Raises UsageError for a reserved name in `extra`.
    """
    facts = facts or DocumentFacts()
    extra = dict(extra or {})
    check_own_metadata(extra)
    header = _header(item, facts)
    cut = _split_into_parts(item, passages, limit - len(_bytes(header)) - 400)
    about = {**_metadata(item, facts), **extra}
    # Values of later kinds are added where there are any: other documents keep their hash.
    seen = [
        [p.start_s, p.end_s, p.text, p.deep_link, *filter(None, (p.speakers, p.origin))]
        for p in passages
    ]
    chapters = [[chapter.start_s, chapter.title] for chapter in item.chapters]
    exact = json.dumps(
        [FORMAT, about, chapters, [len(part) for part in cut], seen],
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
    )
    digest = hashlib.sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()
    stem = f"{_name_stem(item)}_{digest[:HASH_LENGTH]}"
    names = [f"{stem}.md"]
    if len(cut) > 1:
        names = [f"{stem}_p{number:02d}.md" for number in range(1, len(cut) + 1)]
    documents = []
    for number, part in enumerate(cut):
        blocks = [header, *_part_links(names, number), *part]
        words = sum(len(block.split()) for block in part)
        metadata = {
            **about,
            "content_sha256": digest,
            "part": number + 1,
            "parts": len(cut),
            "words": words,
        }
        documents.append(Document(names[number], _bytes("".join(blocks)), metadata, words))
    return DocumentSet(item.id, digest, tuple(documents))


def check_own_metadata(
    extra: Mapping[str, str], reserved_keys: frozenset[str] = RESERVED_KEYS
) -> None:
    """Raise UsageError when one of the user's own fields has a reserved name."""
    if reserved := sorted(reserved_keys & extra.keys()):
        raise UsageError(
            "odin.metadata_reserved",
            "The metadata field {field!r} is set by KB Ingest itself.",
            hint="Choose another name for your own field.",
            field=reserved[0],
        )


def parse_passages(content: bytes | str) -> list[ParsedPassage]:
    """Return the passages of a document, or of an excerpt that contains their first words."""
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    found = []
    starts = list(_PASSAGE.finditer(text))
    for number, start in enumerate(starts):
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        # Every heading is one of ours, because a passage's own `#` at a line's start is escaped.
        body = _PASSAGE_END.sub("", text[start.end() : end])
        start_s = 0
        for figure in start[1].split(":"):
            start_s = start_s * 60 + int(figure)
        link = start[2].removeprefix("<").removesuffix(">")
        found.append(ParsedPassage(start_s, link, unescape(body)))
    return found


def is_name_of(name: str, item: MediaItem | str) -> bool:
    """Return True if a document's name belongs to this item (or to this file id)."""
    own = item if isinstance(item, str) else file_id(item)
    found = _NAME.search(name)
    return bool(found and found.end() == len(name) and name[: found.start()].endswith(f"_{own}"))


def ascii_name(text: str) -> str:
    """Return text as a part of a name that no service changes: letters, digits, `-`, `_`, dots."""
    plain = unicodedata.normalize("NFKD", text.translate(_TRANSLITERATED))
    plain = plain.encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9_.]+", "-", plain).strip("-._")


def format_timestamp(seconds: float) -> str:
    """Return a time in seconds as `02:03`, from one hour on as `1:02:03`."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def escape(text: str) -> str:
    """Escape text so that Markdown makes no link, tag or heading of it."""
    text = printable(text)
    return _LINE_START.sub(_escaped_start, _INLINE.sub(r"\\\1", text))


def unescape(text: str) -> str:
    """Return text as it was before `escape`."""
    return _ESCAPED.sub(r"\1", text)


def _escaped_start(match: re.Match[str]) -> str:
    # The dot of `1.` starts a list, so the backslash precedes the dot.
    return f"{match[1]}{match[2]}\\" if match[2].isdecimal() else f"{match[1]}\\{match[2]}"


def _split_into_parts(item: MediaItem, passages: Sequence[Passage], room: int) -> list[list[str]]:
    """Return Markdown blocks, a list for each part of at most `room` bytes; at least one part."""
    parts: list[list[str]] = [[]]
    used = 0
    chapters = sorted(item.chapters, key=lambda chapter: chapter.start_s)
    heading = shown = ""
    for passage in passages:
        if passage.origin == ON_SCREEN:
            heading = ON_SCREEN_HEADING
        elif language := translated_language(passage.origin):
            heading = f"## Translation, {language}\n\n"
        elif item.chapters:
            # A chapter seldom begins exactly with a passage: a passage belongs to the chapter that
            # contains its larger part.
            while chapters and chapters[0].start_s <= (passage.start_s + passage.end_s) / 2:
                heading = f"## {escape(_one_line(chapters.pop(0).title))}\n\n"
        else:
            start = int(max(0.0, passage.start_s)) // HEADING_EVERY_S * HEADING_EVERY_S
            heading = f"## {format_timestamp(start)}\n\n"
        link = _target(web_address(passage.deep_link))
        said = f"{_who(passage)}{escape(passage.text)}"
        block = f"[{format_timestamp(passage.start_s)}]({link}) {said}\n\n"
        size = len(_bytes(block)) + (len(_bytes(heading)) if heading != shown else 0)
        if used + size > room and parts[-1]:
            parts.append([])
            used, shown = 0, ""
            size = len(_bytes(block)) + len(_bytes(heading))
        if heading != shown:
            parts[-1].append(heading)
            shown = heading
        parts[-1].append(block)
        used += size
    if not passages:
        parts[0].append("No words were found in this medium.\n")
    return parts


def _who(passage: Passage) -> str:
    """Return the names of a passage's speakers as they stand before its words."""
    names = ", ".join(_one_line(name) for name in passage.speakers)
    return f"**{escape(names)}:** " if names else ""


def _header(item: MediaItem, facts: DocumentFacts) -> str:
    length_s = facts.duration_s if facts.duration_s is not None else item.duration_s
    coverage = ""
    if facts.coverage is not None:
        coverage = f"{100 * facts.coverage:.1f} % of the speech"
    if facts.grade:
        coverage = f"{coverage} ({facts.grade})" if coverage else facts.grade
    lines = (
        ("Channel", item.channel),
        ("Date", item.published),
        ("Link", web_address(item.url)),
        ("Length", format_timestamp(length_s) if length_s else ""),
        ("Speakers", facts.speakers),
        ("Words from", facts.words_from),
        ("Language", facts.language or item.language or ""),
        ("Model", " · ".join(filter(None, (facts.model, facts.engine, facts.preset)))),
        ("Coverage", coverage),
        ("Words", "" if facts.expected_errors is None else likely_wrong(facts.expected_errors)),
    )
    listed = "".join(
        f"- {name}: {f'<{value}>' if _is_link(value) else escape(_one_line(value))}\n"
        for name, value in lines
        if value
    )
    return f"# {escape(_one_line(item.title)) or UNTITLED}\n\n{listed}\n"


def _part_links(names: Sequence[str], number: int) -> list[str]:
    """Return one line with the number of this part and links to the previous and next part."""
    if len(names) == 1:
        return []
    words = [f"Part {number + 1} of {len(names)}"]
    if number:
        words.append(f"[← part {number}]({names[number - 1]})")
    if number + 1 < len(names):
        words.append(f"[part {number + 2} →]({names[number + 1]})")
    return [" · ".join(words) + "\n\n"]


def _metadata(item: MediaItem, facts: DocumentFacts) -> dict[str, Any]:
    values = {
        "producer": PRODUCER,
        "id": item.id,
        # Paths of this machine are of no use to others, and name its user.
        "url": web_address(item.url),
        "title": item.title,
        "channel": item.channel,
        "published": item.published,
        "description": item.description,
        **asdict(facts),
        "language": facts.language or item.language or "",
        "duration_s": facts.duration_s if facts.duration_s is not None else item.duration_s,
    }
    return {key: value for key, value in values.items() if value not in ("", None)}


def _name_stem(item: MediaItem) -> str:
    date = item.published[:10]
    date = date if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", date) else UNDATED
    title = ascii_name(item.title)[:TITLE_LENGTH].strip("-._") or UNTITLED
    return f"{date}_{title}_{file_id(item)}"


def _target(link: str) -> str:
    """Return a link as a Markdown target, inside `<>` when it contains brackets or spaces."""
    link = link.replace("<", "%3C").replace(">", "%3E").replace("\n", "%0A").replace("\r", "%0D")
    return f"<{link}>" if re.search(r"[\s()]", link) else link


def _is_link(value: str) -> bool:
    return re.fullmatch(r"https?://[^\s<>]+", value) is not None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _bytes(text: str) -> bytes:
    # A lone surrogate (from a damaged file name) must not prevent the publishing of an item.
    return text.encode("utf-8", "replace")
