"""Text as each format takes it: what a program would take for markup is made text.

One function for each format that has markup; they get text that `kb.types.safe_text.clean` has
passed. A format without escapes gets an invisible word joiner (U+2060) that breaks the markup, and
full-width braces where the joiner does not help.
"""

from __future__ import annotations

import re
from html import escape

from kb.types.safe_text import web_address

JOINER = "\N{WORD JOINER}"

# SubRip has no specification. Players take for markup: what is between `<` and `>`, over lines
# too; what is between `{` and `}` (MicroDVD, SubStation); `\N`, `\n`, `\h` of SubStation. libass,
# which draws the subtitles of mpv and ffmpeg, hides what is in braces, with a word joiner too.
_TAG = re.compile(r"<(?=.*>)", re.DOTALL)
_BRACES = re.compile(r"\{(?:\\|.*\})", re.DOTALL)
_FULL_WIDTH = str.maketrans("{}", "｛｝")
_COMMAND = re.compile(r"\\(?=[Nnh])")
_CLOCK = re.compile(r"(\d:)(?=\d{1,2}:\d{1,2}[.,]\d)")
_ARROW = "-->"
_ODD_IN_SUBRIP = re.compile(r"[<>{}\\]|\d:")  # without any of these there is nothing to do

# Lyrics: `[1:05.20]` and `<1:05.20>` are times, `[ar:…]` at the start of a line is a tag.
_TIME_OF_LYRICS = re.compile(r"([\[<])(?=\s*[\d:.]+\s*[\]>])")
_TAG_OF_LYRICS = re.compile(r"^(\s*\[)(?=[^\[\]]*:)")

# Captions of YouTube: `0:00:01.000,0:00:02.000` on a line are the times of a cue.
_TIMES_OF_SBV = re.compile(r"^(\s*\d+:)(?=\d+:\d+\.\d+\s*,)", re.MULTILINE)

# Markdown
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$]|==)")
# The number or mark of a list item, or a rule, at the start of a line.
_LINE_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+:](?:[-+:\s]|$)))")
_ADDRESS = re.compile(r"\b(?:https?://|www\.)[^\s<>]+", re.IGNORECASE)
# An address that every program shows unchanged between `<` and `>`: programs decode `%41`, names
# of other scripts and entities, and write schemes and hosts in small letters.
_PLAIN_ADDRESS = re.compile(r"https?://(?!\S*xn--)[a-z0-9.-]+(?::\d+)?(?:[/?#][!-$&-;=?-\[\]-~]*)?")
_ENTITY = re.compile(r"&#?\w+;")
_SENTENCE_MARKS = "?!.,:;*_~'\"”’»…"
_OPENED_BY = {")": "(", "]": "[", "}": "{"}


def subrip(text: str, *, with_tags: bool = False) -> str:
    """Return the text of a SubRip cue in which no player finds markup; `-->` becomes `→`.

    `with_tags`: the text is a part of a cue, whose other parts have tags.
    """
    if not _ODD_IN_SUBRIP.search(text):
        return text
    text = text.replace(_ARROW, "→")
    text = text.replace("<", f"<{JOINER}") if with_tags else _TAG.sub(f"<{JOINER}", text)
    text = text.translate(_FULL_WIDTH) if with_tags or _BRACES.search(text) else text
    text = _COMMAND.sub(rf"\\{JOINER}", text)
    return "\n".join(map(_without_times, text.split("\n")))


_LINK_MARKS = re.compile(r"(?<!\\):(?=//)|(?<=www)\.|(?<!\\)@", re.IGNORECASE)


def webvtt(text: str) -> str:
    """Return the text of a WebVTT cue with the escapes of the format."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown(text: str) -> str:
    """Return text on one line that Markdown shows unchanged, its web addresses as links.

    An address is written as `<address>`: without the brackets, programs that look for addresses
    end a link at the first escaped character.
    """
    text = " ".join(text.split())
    parts: list[str] = []
    done = 0
    for found in _ADDRESS.finditer(text):
        address = _without_end(found[0])
        link = _link(address)
        if link:
            parts += [_escaped(text[done : found.start()]), link]
            done = found.start() + len(address)
    parts.append(_escaped(text[done:]))
    return _LINE_START.sub(r"\1\\", "".join(parts))


def markdown_text(text: str) -> str:
    """Return text on one line that Markdown shows unchanged, without links of its own.

    Programs that look for addresses find none behind the escapes.
    """
    escaped = _LINE_START.sub(r"\1\\", _escaped(" ".join(text.split())))
    return _LINK_MARKS.sub(r"\\\g<0>", escaped)


def substation(text: str) -> str:
    """Return the text of an ass event in which no player finds a command; line breaks are `\\N`."""
    safe = _COMMAND.sub(rf"\\{JOINER}", text.translate(_FULL_WIDTH))
    return safe.replace("\n", r"\N")


def lyrics(text: str) -> str:
    """Return the text of a line of lyrics in which no player finds a time or a tag."""
    return _TAG_OF_LYRICS.sub(rf"\1{JOINER}", _TIME_OF_LYRICS.sub(rf"\1{JOINER}", text))


def sbv(text: str) -> str:
    """Return the text of a cue of sbv, none of whose lines is like the times of a cue."""
    return _TIMES_OF_SBV.sub(rf"\1{JOINER}", text)


def xml(text: str) -> str:
    """Return text as the content of an XML element, with its line breaks as `<br/>`."""
    return escape(text, quote=False).replace("\n", "<br/>")


def _without_times(line: str) -> str:
    """Return a line in which no reader finds the two times of a cue; an arrow is not asked for."""
    return line if len(_CLOCK.findall(line)) < 2 else _CLOCK.sub(rf"\1{JOINER}", line)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _link(address: str) -> str:
    """Return an address as a link; empty if it must not be one."""
    target = address if "://" in address else f"http://{address}"
    if web_address(target) != target:
        return ""
    if target == address and _PLAIN_ADDRESS.fullmatch(address) and not _ENTITY.search(address):
        return f"<{address}>"
    if re.search(r"[()\\]", target):
        target = target.replace("\\", "%5C")
    return f"[{_escaped(address)}](<{_ENTITY.sub(_escaped_entity, target)}>)"


def _escaped_entity(found: re.Match[str]) -> str:
    return f"&amp;{found[0][1:]}"


def _without_end(address: str) -> str:
    """Return an address without the marks behind it that belong to the sentence.

    The rule is that of GitHub's autolinks: closing marks, and brackets that were not opened.
    """
    while address:
        last = address[-1]
        opened = _OPENED_BY.get(last)
        unopened = opened is not None and address.count(last) > address.count(opened)
        if last not in _SENTENCE_MARKS and not unopened:
            break
        address = address[:-1]
    return address
