"""The step that tags what recurs in a channel: intros and sponsor reads, by sound and by words.

An item is compared with the others of its channel. The result keeps the hashes of its words, so
that the next item reads these and no transcript; of the items without one, the nearest by date are
read. Nothing of the item is changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kb.enrich.base import Channel, Peer, Progress, Step, StepInput
from kb.enrich.recurring import phrases
from kb.enrich.recurring.phrases import Hashes, TimedWord
from kb.enrich.recurring.stretches import LEAST_S, Span, is_copy, joined, recurring, sound_spans
from kb.enrich.sound.fingerprint import from_document
from kb.enrich.sound.index import STEP as SOUND
from kb.enrich.sound.index import Match, SoundIndex
from kb.errors import KBError
from kb.settings import get_settings
from kb.storage import read_json
from kb.transcript.chunks import pieces
from kb.transcript.formats import json_document
from kb.transcript.recurring import read_recurring
from kb.types import Transcript

NAME = "recurring"
MOST_PEERS = 1000  # whose words are compared
MOST_READ = 40  # of them without a result, whose transcripts are read

log = logging.getLogger(__name__)


class Recurring(Step):
    """Stretches of an item that at least three items of its channel have."""

    name = NAME
    needs_medium = False
    compares = True

    @property
    def is_default(self) -> bool:  # type: ignore[override]
        return get_settings().leave_out_recurring

    @property
    def model(self) -> str:
        return "recurring 1"

    def missing(self) -> KBError | None:
        return None

    def run(self, given: StepInput, progress: Progress) -> dict[str, Any]:
        assert given.channel is not None and given.text is not None
        channel = given.channel
        words = timed_words(given.text.transcript)
        own = phrases.hashes_of([word.text for word in words])
        matches, own_s = _matches(given, channel)
        progress(0.3)
        peers, hashes, known = _words_of(channel.peers)
        progress(0.6)
        sequences, copied = phrases.shared(own, hashes)
        copies = {match.item_id for match in matches if is_copy(match, own_s)}
        copies |= {peers[number].item_id for number in copied}
        same = phrases.groups(known)
        by_sound = sound_spans(match for match in matches if match.item_id not in copies)
        in_words = [  # numbers of words instead of seconds
            Span(each.first, each.last, peers[each.text].item_id)
            for each in sequences
            if peers[each.text].item_id not in copies
        ]
        by_text = [
            (words[int(first)].start_s, words[int(last) - 1].end_s, items)
            for first, last, items in recurring(in_words, same, phrases.LEAST_WORDS)
        ]
        found = joined(recurring(by_sound, same, LEAST_S), by_text)
        return {
            "channel": given.text.item.channel,
            "compared": len(channel.peers),
            "stretches": [each.as_dict() for each in found],
            "copies": sorted(copies),
            "words": phrases.to_text(own),
        }

    def apply(self, document: Mapping[str, Any], transcript: Transcript) -> Transcript:
        """Return the transcript as it is: the stretches are tags beside it."""
        read_recurring(document)
        return transcript


def timed_words(transcript: Transcript) -> list[TimedWord]:
    """Return the words of a transcript as they are compared."""
    return [
        TimedWord(text, piece.start_s, piece.end_s)
        for segment in transcript.segments
        for piece in pieces(segment)
        if (text := phrases.plain(piece.text))
    ]


def _matches(given: StepInput, channel: Channel) -> tuple[list[Match], float]:
    """Return the items of the channel with sound of this one, and the length of its own."""
    assert given.text is not None
    path = channel.results / f"{SOUND}.json"
    if not path.exists():
        return [], 0.0
    document = read_json(path)
    basis = document.get("basis")
    if not isinstance(basis, dict) or basis.get("sha256") != given.sha256:
        return [], 0.0  # of another version of the medium
    own = from_document(document)
    hashes = {peer.item_id: peer.sha256 for peer in channel.peers}
    index = SoundIndex(channel.home, channel.results.parent)
    found = [
        match
        for match in index.find(given.text.item.id, own).matches
        if match.item_id in hashes and match.sha256 == hashes[match.item_id]
    ]
    return found, own.duration_s


def _words_of(peers: Sequence[Peer]) -> tuple[list[Peer], list[Hashes], dict[str, list[str]]]:
    """Return peers whose words are known, their hashes, and the copies of each."""
    found: list[Peer] = []
    hashes: list[Hashes] = []
    copies: dict[str, list[str]] = {}
    read = 0
    for peer in peers[:MOST_PEERS]:
        try:
            stored = _stored(peer)
            if stored is not None:
                words, copies[peer.item_id] = stored
            elif read < MOST_READ:
                read += 1
                said = timed_words(json_document.read(peer.transcript))
                words = phrases.hashes_of([word.text for word in said])
            else:
                continue
        except (KBError, ValueError) as error:  # `kb verify` names it
            log.warning("%s: %s", peer.item_id, error)
            continue
        found.append(peer)
        hashes.append(words)
    return found, hashes, copies


def _stored(peer: Peer) -> tuple[Hashes, list[str]] | None:
    """Return the hashes of a peer's words and the ids of its copies from its result."""
    path = Path(peer.results, f"{NAME}.json")
    if not path.exists():
        return None
    document = read_json(path)
    basis, words, copies = (document.get(key) for key in ("basis", "words", "copies"))
    if not isinstance(basis, dict) or basis.get("sha256") != peer.sha256:
        return None
    if not isinstance(words, str) or not isinstance(copies, list):
        return None
    return phrases.from_text(words), [str(each) for each in copies]
