"""An item of the library as a document for remote knowledge bases.

Its words and metadata, who speaks, and the text on the screen. The part without the results of
steps has a hash of its own: a step over published items changes their documents, and whether they
are sent again is for a person to decide, because it costs credits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from kb.errors import LibraryError
from kb.library import Library, LibraryEntry
from kb.pipeline import publish_record, stages, translations
from kb.pipeline.language_model import TRANSLATE
from kb.pipeline.recurring import STEP as RECURRING
from kb.pipeline.recurring import left_out
from kb.pipeline.screen_text import screen_text
from kb.pipeline.speakers import named, names_in
from kb.sinks import REMOTE
from kb.sinks.base import content_sha256
from kb.sinks.odin.documents import make_documents
from kb.sinks.odin.sync import SyncItem
from kb.transcript.passages import passages
from kb.transcript.screen_text import screen_passages
from kb.types import DocumentFacts, Passage, Transcript
from kb.types.screen import ScreenText

# Steps whose results are in a document; `recurring` where its stretches are left out, `translate`
# where translations are published.
IN_DOCUMENTS = ("speakers", "screen", RECURRING, TRANSLATE)
TITLES_LENGTH = 500  # characters of the pages' first lines in the metadata

log = logging.getLogger(__name__)


def build_sync_item(
    library: Library,
    entry: LibraryEntry,
    *,
    leave_out_recurring: bool = False,
    languages: Sequence[str] = (),
) -> SyncItem:
    """Return an item as a document for knowledge bases, all of it or without what recurs.

    `languages` are those whose translations it gets, where they are of its words. Raises
    LibraryError without a transcript.
    """
    transcript = stages.read_transcript(library, entry)
    words = _words(library, entry, transcript)
    shown = _screen_text(library, entry, transcript)
    pages = screen_passages(shown, entry.item, path=entry.medium_place) if shown else ()
    said = words.passages
    wanted = tuple(languages)
    translated = translations.indexed(library, entry, transcript, wanted) if wanted else ()
    if leave_out_recurring:
        said = left_out(library, entry, said)
        translated = left_out(library, entry, translated)
    spoken = _with_speakers(library, entry, said)
    facts = replace(words.facts or DocumentFacts(), on_screen=_titles(shown))
    return SyncItem(entry.item, (*spoken, *translated, *pages), facts)


def build_words(library: Library, entry: LibraryEntry) -> SyncItem:
    """As `build_sync_item`, without the results of steps."""
    return _words(library, entry, stages.read_transcript(library, entry))


def document_sha256(source: SyncItem, sink: str, extra: Mapping[str, str], limit: int) -> str:
    """Return the hash of what a remote knowledge base would have of an item.

    `limit` is the largest size of a document there, in bytes. Raises UsageError for a reserved
    name in `extra`.
    """
    if sink != REMOTE:
        return content_sha256(source.passages, source.facts.speakers if source.facts else "")
    return make_documents(source.item, source.passages, source.facts, extra, limit=limit).sha256


def _words(library: Library, entry: LibraryEntry, transcript: Transcript) -> SyncItem:
    found = passages(transcript, entry.item, path=entry.medium_place)
    return SyncItem(entry.item, found, publish_record.facts_of(transcript, named(library, entry)))


def _with_speakers(
    library: Library, entry: LibraryEntry, found: Sequence[Passage]
) -> list[Passage]:
    spans = [(passage.start_s, passage.end_s) for passage in found]
    return [
        replace(passage, speakers=names) if names else passage
        for passage, names in zip(found, names_in(library, entry, spans), strict=True)
    ]


def _screen_text(
    library: Library, entry: LibraryEntry, transcript: Transcript
) -> ScreenText | None:
    try:
        return screen_text(library, entry, transcript)
    except LibraryError as error:  # `kb verify` names it
        log.warning("%s: %s", entry.item.id, error.message)
        return None


def _titles(shown: ScreenText | None) -> str:
    """Return the first line of each page, as many as there is room for."""
    found, pages = "", shown.pages if shown else ()
    for title in dict.fromkeys(" ".join(page.rows()[0].split()) for page in pages):
        longer = f"{found} · {title}" if found else title
        if len(longer) > TITLES_LENGTH:
            break
        found = longer
    return found
