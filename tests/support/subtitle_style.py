"""Check of an SRT file against its transcript and its layout: every fault that a viewer sees.

It reads the file with the srt library and knows nothing of how cues are made.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import srt
from wcwidth import wcswidth

from kb.types import SubtitleLayout, Transcript

SPEEDS = {"ja": 4.0, "ko": 12.0, "zh": 9.0, "": 17.0}
LAG_S = 0.2
_INVISIBLE = "\u2060"
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uff00-\uffef]"
)


@dataclass(frozen=True)
class Shown:
    start_s: float
    end_s: float
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")


def shown_cues(document: str) -> list[Shown]:
    return [
        Shown(
            cue.start.total_seconds(),
            cue.end.total_seconds(),
            cue.content.replace(_INVISIBLE, "").translate(str.maketrans("｛｝", "{}")),
        )
        for cue in srt.parse(document)
    ]


def script(text: str) -> str:
    wide = re.findall(r"[\u3041-\u3096\u30a1-\u30fa\uac00-\ud7a3\u4e00-\u9fff]", text)
    if 4 * len(wide) < wcswidth(text.replace("\n", "")):
        return ""
    if re.search(r"[\u3041-\u3096\u30a1-\u30fa]", text):
        return "ja"
    if re.search(r"[\uac00-\ud7a3]", text):
        return "ko"
    return "zh" if re.search(r"[\u4e00-\u9fff]", text) else ""


def faults(document: str, transcript: Transcript, layout: SubtitleLayout) -> list[str]:
    """Return a sentence for each fault of the file."""
    cues = shown_cues(document)
    found = [fault for cue in cues for fault in _line_faults(cue, layout)]
    found += _text_faults(cues, transcript)
    found += _lag_faults(cues, transcript)
    spans = sorted(
        (min([s.start_s, *(w.start_s for w in s.words)]),
         max([s.end_s, *(w.end_s for w in s.words)]))
        for s in transcript.segments if s.text.strip()
    )  # fmt: skip
    together = [
        (b[0], min(a[1], b[1])) for n, a in enumerate(spans) for b in spans[n + 1 :] if b[0] < a[1]
    ]

    if not together:
        found += _avoidable(cues, transcript, layout)

    def several_speak(at_s: float) -> bool:
        return any(start - LAG_S <= at_s <= end + LAG_S for start, end in together)

    for number, cue in enumerate(cues):
        if cue.end_s <= cue.start_s:
            found.append(f"no duration: {cue}")
        for other in cues[number + 1 :]:
            if other.start_s < cue.end_s and not several_speak(other.start_s):
                found.append(f"overlap: {cue} / {other}")
    starts = [word.start_s for segment in transcript.segments for word in segment.words]
    for cue, following in pairwise(cues):
        gap_s = following.start_s - cue.end_s
        if gap_s < 0 or several_speak(following.start_s):
            continue
        duration_s, room_s = cue.end_s - cue.start_s, following.start_s - cue.start_s
        # A cue stays until its last word begins.
        at_end = any(cue.end_s - 0.2 < start_s <= following.start_s for start_s in starts)
        if gap_s < min(layout.gap_s, 0.09 if at_end else 2.0) - 0.002 and room_s > 3 * layout.gap_s:
            found.append(f"gap of {gap_s:.3f}: {cue} / {following}")
        longest = duration_s >= layout.max_s - 0.002
        if layout.gap_s + 0.002 < gap_s <= layout.close_gap_s and not longest:
            found.append(f"open gap of {gap_s:.3f}: {cue} / {following}")
    for cue in cues:
        later = [other.start_s for other in cues if other.start_s > cue.start_s]
        limit_s = min(later, default=float("inf"))
        could_s = min(limit_s - layout.gap_s, cue.start_s + layout.max_s)
        if several_speak(cue.start_s) or cue.end_s >= could_s - 0.002:
            continue
        duration_s = cue.end_s - cue.start_s
        if duration_s < layout.min_s - 0.001:
            found.append(f"short: {cue}")
        needed_s = sum(_reading_s(word, layout) for word in cue.text.split())
        if needed_s > duration_s + 0.1:
            found.append(f"read in {needed_s:.2f} s: {cue}")
    return found


def _avoidable(cues: list[Shown], transcript: Transcript, layout: SubtitleLayout) -> list[str]:
    """Return the cues that are too fast, but would not be in one cue with the next.

    A pause of a second may separate them.
    """
    words = [word for segment in transcript.segments for word in segment.words]
    found: list[str] = []
    for number, (cue, following) in enumerate(pairwise(cues)):
        together = f"{cue.text} {following.text}".split()
        silent_s = max((w.end_s for w in words if w.start_s < following.start_s - 0.01), default=0)
        if following.start_s - silent_s >= 1.0 or any(_UNSPACED.search(word) for word in together):
            continue
        needed_s = sum(_reading_s(word, layout) for word in cue.text.split())
        after = cues[number + 2].start_s if number + 2 < len(cues) else following.end_s
        shown_s = min(after - layout.gap_s, following.end_s) - cue.start_s
        lines = 1
        width = -1
        for word in together:
            width += 1 + wcswidth(word)
            if width > layout.line_columns:
                lines, width = lines + 1, wcswidth(word)
        if (
            needed_s > cue.end_s - cue.start_s + 0.1
            and lines <= layout.lines
            and (not layout.words_per_line or len(together) <= layout.words_per_line)
            and sum(_reading_s(word, layout) for word in together) <= shown_s <= layout.max_s
        ):
            found.append(f"too fast, but not together with the next: {cue} / {following}")
    return found


def _line_faults(cue: Shown, layout: SubtitleLayout) -> list[str]:
    found: list[str] = []
    if len(cue.lines) > layout.lines:
        found.append(f"{len(cue.lines)} lines: {cue}")
    if cue.end_s - cue.start_s > layout.max_s + 0.002:
        found.append(f"long: {cue}")
    room = {
        "ja": layout.japanese_columns,
        "zh": layout.chinese_columns,
        "ko": layout.chinese_columns,
    }.get(script(cue.text), layout.line_columns)
    for line in cue.lines:
        one_word = " " not in line and not _UNSPACED.search(line)
        if wcswidth(line) > room and not one_word:
            found.append(f"{wcswidth(line)} columns of {room}: {line!r}")
        if layout.words_per_line and len(line.split()) > layout.words_per_line:
            found.append(f"{len(line.split())} words: {line!r}")
        if line[:1] in "、。，！？」）" or line[-1:] in "「（":
            found.append(f"broken at a mark: {line!r}")
    return found


def _reading_s(word: str, layout: SubtitleLayout) -> float:
    speed = layout.chars_per_s or SPEEDS[script(word)] * layout.reading_pace
    space = 0 if script(word) in ("ja", "zh") else 1
    seen = sum(unicodedata.category(letter) not in ("Mn", "Me", "Cf") for letter in word)
    return (seen + space) / speed


def _plain(text: str) -> str:
    # SubRip has no escape for its own arrow.
    return "".join(text.replace(_INVISIBLE, "").split()).replace("-->", "→")


def _text_faults(cues: list[Shown], transcript: Transcript) -> list[str]:
    shown = sorted(_plain("".join(cue.text for cue in cues)))
    said = sorted(_plain("".join(segment.text for segment in transcript.segments)))
    return [] if shown == said else ["the text differs"]


def _lag_faults(cues: list[Shown], transcript: Transcript) -> list[str]:
    """Return the words that no cue near their time shows."""
    texts = [_plain(cue.text) for cue in cues]
    found: list[str] = []
    for segment in transcript.segments:
        for word in segment.words:
            if not word.text.strip():
                continue
            near = [
                number
                for number, cue in enumerate(cues)
                if cue.start_s - LAG_S - 0.001 <= word.start_s <= cue.end_s + LAG_S + 0.001
            ]
            if not any(_shows(texts, number, _plain(word.text)) for number in near):
                found.append(f"not in time: {word}")
    return found


def _shows(texts: list[str], number: int, word: str) -> bool:
    """Return True if a cue shows the word, or its beginning and a later one goes on with it."""
    if word in texts[number]:
        return True
    return any(
        texts[number].endswith(word[:size]) and later.startswith(word[size:][: len(later)])
        for size in range(1, len(word))
        for later in texts[number + 1 :]
    )
