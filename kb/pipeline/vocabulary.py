"""Vocabulary of a channel for the recognizer's prompt: the analyst's list and detected names.

The list is `vocabulary.json` in the library folder, for people and programs. Names are words that
the channel's titles, chapters and descriptions always write with a capital letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kb import storage
from kb.database import Database, items
from kb.database.repeating import repeated
from kb.errors import LibraryError, UsageError
from kb.library import Library
from kb.library.metadata import item_from_document
from kb.pipeline.screen_names import names_on_screens
from kb.pipeline.sentences import split_sentences
from kb.transcript.chunks import collapse_whitespace
from kb.types import MediaItem

FILE_NAME = "vocabulary.json"
ALL_CHANNELS = "*"  # the entry for all channels, those without a name included
MOST_NAMES = 60  # detected names; a prompt holds fewer
LONGEST = 80  # characters of one entry
_MAX_ITEMS = 1000  # items of a channel
_DESCRIPTION = 2000  # characters: the rest is mostly links and thanks


@dataclass(frozen=True, slots=True)
class ChannelWords:
    """A channel's own list, and the names that were detected in addition.

    `on_screen` are those that stand on its slides and are not among the others. `has_items` is
    False for a channel that no item is of.
    """

    channel: str
    words: tuple[str, ...]
    names: tuple[str, ...]
    on_screen: tuple[str, ...] = ()
    has_items: bool = True


class Vocabulary:
    """The lists of one library. Methods raise LibraryError for a damaged or unwritable file."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._path = library.home / FILE_NAME

    def channels(self) -> dict[str, tuple[str, ...]]:
        """Return every list, by channel."""
        if not self._path.exists():
            return {}
        found = storage.read_json(self._path).get("channels", {})
        if not isinstance(found, dict) or not all(isinstance(v, list) for v in found.values()):
            raise LibraryError(
                "vocabulary.damaged",
                "{path}, field 'channels': lists of words by channel expected.",
                hint="Repair or remove the file.",
                path=self._path,
            )
        return {name: tuple(str(word) for word in words) for name, words in found.items()}

    def words(self, channel: str) -> tuple[str, ...]:
        """Return a channel's own list, then the one for all channels."""
        lists = {name.casefold(): words for name, words in self.channels().items()}
        own = lists.get(channel.casefold(), ())
        return tuple(dict.fromkeys((*own, *lists.get(ALL_CHANNELS, ()))))

    def change(
        self, channel: str, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Add words to a channel's list and remove others; return the list.

        Raises UsageError for an empty or overlong word, and for a removed word that is not in the
        list.
        """
        lists = self.channels()
        name = next((each for each in lists if each.casefold() == channel.casefold()), channel)
        words = list(lists.get(name, ()))
        for word in map(collapse_whitespace, remove):
            if word not in words:
                raise UsageError(
                    "vocabulary.word_missing",
                    "{word!r} is not in the vocabulary of {name!r}.",
                    hint="See it with: kb vocabulary {name!r}",
                    word=word,
                    name=name,
                )
            words.remove(word)
        for word in map(collapse_whitespace, add):
            if not word or len(word) > LONGEST:
                raise UsageError(
                    "vocabulary.word",
                    "{word!r} is no word for a vocabulary.",
                    hint="Give names and terms of 1 to {longest} characters.",
                    word=word[:LONGEST],
                    longest=LONGEST,
                )
            if word not in words:
                words.append(word)
        lists[name] = tuple(words)
        kept = {each: list(own) for each, own in lists.items() if own}
        storage.write_json(self._path, {"version": 1, "channels": kept})
        return tuple(words)

    def hotwords_for(
        self, item: MediaItem, database: Database, *, with_screens: bool = True
    ) -> tuple[str, ...]:
        """Return the words for the recognizer's prompt of an item, the most important first.

        The result is empty for a channel that has no list (and without a list for all channels): a
        prompt costs time, and a list shows that it is wanted. Else: the list, names of the item,
        names of the channel, and `with_screens` those on its slides. A channel that has an id keeps
        its list under a new name, and another channel of the same name does not get it.
        """
        lists = self.channels()
        if not lists:
            return ()
        channel_id = _channel_id(item.extra)
        names = list_names(database, item.channel, channel_id)
        by_key = {name.casefold(): words for name, words in lists.items()}
        own = [word for name in names for word in by_key.get(name.casefold(), ())]
        words = tuple(dict.fromkeys((*own, *by_key.get(ALL_CHANNELS, ()))))
        if not words:
            return ()
        others = channel_items(database, item.channel, channel_id) if item.channel else []
        shown = self._on_screens(others) if with_screens else ()
        return tuple(dict.fromkeys((*words, *names_of([item], others), *names_of(others), *shown)))

    def for_channel(self, channel: str, database: Database) -> ChannelWords:
        """Return a channel's list and the names detected in its items."""
        own, words = channel_items(database, channel), self.words(channel)
        found = names_of(own)
        shown = (name for name in self._on_screens(own) if name not in {*words, *found})
        return ChannelWords(channel, words, found, tuple(shown), bool(own))

    def _on_screens(self, media_items: Sequence[MediaItem]) -> tuple[str, ...]:
        entries = (self._library.find(item.id) for item in media_items)
        return names_on_screens(self._library, (entry for entry in entries if entry))


def list_names(database: Database, channel: str, channel_id: str) -> tuple[str, ...]:
    """Return the names under which a channel's list may be: its id, and its names so far.

    A name that another channel had first is left out. Without an id the name alone counts.
    """
    if not channel_id:
        return (channel,)
    owners: dict[str, str] = {}
    names = {channel.casefold(): channel}
    query = sa.select(items.c.item).order_by(items.c.enqueued_at)
    with database.begin() as connection:
        for document in connection.scalars(query):
            name = str(document.get("channel") or "")
            found_id = _channel_id(document.get("extra"))
            if found_id and name:
                owners.setdefault(name.casefold(), found_id)
                if found_id == channel_id:
                    names.setdefault(name.casefold(), name)
    own = (name for key, name in names.items() if owners.get(key, channel_id) == channel_id)
    return (channel_id, *own)


def _channel_id(extra: object) -> str:
    return str(extra.get("channel_id") or "") if isinstance(extra, dict) else ""


@repeated
def channel_items(database: Database, channel: str, channel_id: str = "") -> list[MediaItem]:
    """Return the newest items of a channel, queued ones included.

    With `channel_id` those of another channel of the same name are left out.
    """
    channel_key = channel.casefold()
    newest = sa.select(items.c.item).order_by(items.c.published.desc())
    found: list[MediaItem] = []
    with database.begin() as connection:
        for document in connection.scalars(newest):
            found_id = _channel_id(document.get("extra"))
            named = channel_key in (
                str(document.get("channel", "")).casefold(),
                found_id.casefold() or None,
            )
            is_other = channel_id and found_id and found_id != channel_id
            if (named and not is_other) or channel == ALL_CHANNELS:
                found.append(item_from_document(document))
                if len(found) == _MAX_ITEMS:
                    break
    return found


def names_of(
    media_items: Sequence[MediaItem], context: Sequence[MediaItem] = ()
) -> tuple[str, ...]:
    """Return names in titles, chapters and descriptions of items, the most frequent first.

    A name begins with a capital letter within a sentence, or is all capitals, and is never written
    in lower case, in the items or in `context`: so words of a Title Like This are dropped if a
    description contains them in lower case. Adjacent names are joined. (German capitalizes every
    noun.)
    """
    sentences = [
        words for item in media_items for text in _texts(item) for words in split_sentences(text)
    ]
    about = [words for item in context for text in _texts(item) for words in split_sentences(text)]
    small = {w for words in (*sentences, *about) for w in words if w[0].islower()}
    inside = {w for words in (*sentences, *about) for w in words[1:] if w[0].isupper()}
    counted: Counter[str] = Counter()
    for words in sentences:
        run: list[str] = []
        for word in (*words, ""):
            if word and _is_name(word, small, inside) and len(run) < 3:
                run.append(word)
                continue
            if run:
                counted[" ".join(run)] += 1
            run = [word] if word and _is_name(word, small, inside) else []
    ranked = sorted(counted, key=lambda name: (-counted[name], name))
    return tuple(name for name in ranked if len(name) <= LONGEST)[:MOST_NAMES]


def _is_name(word: str, small: set[str], inside: set[str]) -> bool:
    if not word[0].isupper() or len(word) < 2 or word.lower() in small:
        return False
    # A word that occurs only at the start of sentences may be any word.
    return word in inside or (word.isupper() and word.isalpha())


def _texts(item: MediaItem) -> Iterable[str]:
    yield item.title
    yield item.description[:_DESCRIPTION]
    for chapter in item.chapters:
        yield chapter.title


@repeated
def known_channels(database: Database) -> list[str]:
    """Return every channel in the library or its queue, sorted."""
    with database.begin() as connection:
        documents: Iterable[Any] = connection.scalars(sa.select(items.c.item))
        return sorted({str(d.get("channel") or "") for d in documents} - {""})
