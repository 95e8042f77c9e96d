"""Passages: the parts of a transcript that a search returns."""

from __future__ import annotations

from kb.library import deep_link
from kb.transcript.chunks import chunks
from kb.types import MediaItem, Passage, Transcript, UnsurePassage
from kb.types.transcript import CAPTIONS

# Words before and after a long silence seldom have the same topic, and the link of a hit whose
# passage starts half a minute early would have the wrong time.
MAX_PAUSE_S = 10.0


def passages(
    transcript: Transcript,
    item: MediaItem,
    *,
    target_s: float = 30.0,
    path: str = "",
) -> tuple[Passage, ...]:
    """Cut the transcript into passages by time; every word is in exactly one passage.

    A passage has consecutive segments that span at most `target_s` seconds; longer segments
    are cut at words. Ids count from `#0000` and are the same for the same transcript.
    `path` is the path of the medium, by default that of the transcribed file.
    """
    return tuple(
        Passage(
            id=f"{item.id}#{number:04d}",
            item_id=item.id,
            start_s=chunk.start_s,
            end_s=chunk.end_s,
            text=chunk.text,
            deep_link=deep_link(item, chunk.start_s),
            title=item.title,
            channel=item.channel,
            published=item.published,
            language=chunk.language or transcript.language,
            path=path or transcript.media.path,
            word_starts_s=chunk.starts_s,
            tier=transcript.model if transcript.engine == CAPTIONS else "",
            unsure=_unsure(transcript, chunk.start_s, chunk.end_s),
        )
        for number, chunk in enumerate(chunks(transcript, target_s, max_pause_s=MAX_PAUSE_S))
    )


def _unsure(transcript: Transcript, start_s: float, end_s: float) -> tuple[UnsurePassage, ...]:
    """Return the parts of the unsure passages between two times."""
    found = transcript.expected_errors.passages if transcript.expected_errors else ()
    return tuple(
        UnsurePassage(max(each.start_s, start_s), min(each.end_s, end_s), each.share)
        for each in found
        if min(each.end_s, end_s) > max(each.start_s, start_s)
    )
