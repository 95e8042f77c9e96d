"""Timed Text Markup Language (W3C TTML 1), in the form of IMSC 1 text that players accept.

Written here because pysubs2 writes TTML without `xml:lang`, which the standard demands, and its
styles with an `id` of no namespace. With a time for each word, each is a `span` that appears at its
time, which counts from the start of its paragraph. Speakers that the transcript names are agents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kb.transcript.chunks import collapse_whitespace
from kb.transcript.formats.markup import xml
from kb.transcript.formats.subtitle_cues import Cue, clock_time, phrase_cues
from kb.types import MediaItem, Transcript

MIME_TYPE = "application/ttml+xml"
GROUP = "subtitles"

_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttm="http://www.w3.org/ns/ttml#metadata" \
xmlns:ttp="http://www.w3.org/ns/ttml#parameter" xmlns:tts="http://www.w3.org/ns/ttml#styling" \
ttp:timeBase="media" ttp:profile="http://www.w3.org/ns/ttml/profile/imsc1/text" \
xml:space="preserve" xml:lang="{language}">
<head>{metadata}
<styling><style xml:id="s1" tts:color="white" tts:fontFamily="sansSerif" tts:fontSize="100%" \
tts:textAlign="center"/></styling>
<layout><region xml:id="r1" tts:origin="10% 10%" tts:extent="80% 80%" \
tts:displayAlign="after"/></layout>
</head>
<body style="s1" region="r1"><div>
"""


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the subtitles; a document without paragraphs if there are no words."""
    title = collapse_whitespace(item.title) if item else ""
    by_word = transcript.times_each_word or transcript.layout.highlight_words
    code = transcript.language
    cues = phrase_cues(transcript)
    agents = {name: f"a{n}" for n, name in enumerate(dict.fromkeys(_names(cues)), 1)}
    metadata = [f"<ttm:title>{xml(title)}</ttm:title>"] if title else []
    metadata += [
        f'<ttm:agent type="person" xml:id="{number}"><ttm:name type="full">{xml(name)}</ttm:name>'
        "</ttm:agent>"
        for name, number in agents.items()
    ]
    head = _HEAD.format(
        language=code if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", code) else "",
        metadata=f"<metadata>{''.join(metadata)}</metadata>" if metadata else "",
    )
    lines = [
        f'<p begin="{clock_time(cue.start_ms)}" end="{clock_time(cue.end_ms)}"'
        f"{_agent(agents.get(cue.speaker or ''))}>"
        f"{_spans(cue) if by_word else xml(cue.text)}</p>\n"
        for cue in cues
    ]
    return head + "".join(lines) + "</div></body>\n</tt>\n"


def _names(cues: Iterable[Cue]) -> Iterator[str]:
    return (cue.speaker for cue in cues if cue.speaker)


def _agent(number: str | None) -> str:
    """Return the attribute that names the speaker of a paragraph."""
    return f' ttm:agent="{number}"' if number else ""


def _spans(cue: Cue) -> str:
    """Return the text with a span for each word; it is shown from its time to the cue's end."""
    length_ms = cue.end_ms - cue.start_ms
    text, latest = "", 0
    for number, line in enumerate(cue.lines):
        text += "<br/>" if number else ""
        for index, piece in enumerate(line):
            latest = min(max(latest, round(piece.start_s * 1000) - cue.start_ms), length_ms)
            text += " " if index and not piece.glued else ""
            text += f'<span begin="{clock_time(latest)}">{xml(piece.text)}</span>'
    return text
