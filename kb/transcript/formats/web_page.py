"""A web page in one file: title, facts, chapters and text, each paragraph with a link to its time.

The page loads nothing and runs nothing: its style is inside, and a policy forbids everything else,
because its text comes from strangers. Text of every direction is laid out by its own letters
(`dir="auto"`).
"""

from __future__ import annotations

import re
from html import escape

from kb.library import deep_link
from kb.transcript.chunks import collapse_whitespace, format_timestamp
from kb.transcript.formats.facts import LINK, UNTITLED, facts, quality_remark
from kb.transcript.formats.paragraphs import Paragraph, sections
from kb.types import MediaItem, Transcript

MIME_TYPE = "text/html"
GROUP = "reading"
TIMES_WORDS = False

_STYLE = """
:root { color-scheme: light dark; --soft: light-dark(#595959, #a6a6a6);
  --line: light-dark(#d9d9d9, #404040); --link: light-dark(#0550ae, #79b8ff); }
body { margin: 0; font: 1.05rem/1.6 system-ui, sans-serif;
  background: light-dark(#fff, #16181d); color: light-dark(#1b1b1b, #e8e8e8); }
main { max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { font-size: 1.25rem; margin-top: 2.2rem; }
a { color: var(--link); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; font-size: .95rem; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.remark { border-inline-start: 3px solid var(--line); padding-inline-start: .8rem;
  color: var(--soft); }
.part { display: grid; grid-template-columns: 4.5rem 1fr; gap: .5rem; margin: 0 0 .9rem; }
.part p { margin: 0; min-width: 0; }
.time { font-variant-numeric: tabular-nums; font-size: .9rem; line-height: 1.85;
  color: var(--soft); }
@media (max-width: 30rem) { .part { grid-template-columns: 1fr; gap: 0; } }
@media print { main { max-width: none; } .part { break-inside: avoid; } }
"""


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the page; without `item` it has no title, facts and links."""
    title = collapse_whitespace(item.title) if item else ""
    parts = [
        "<!DOCTYPE html>\n",
        f"<html{_language(transcript.language)}>\n<head>\n",
        '<meta charset="utf-8">\n',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f"<title>{escape(title) or UNTITLED}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n",
        "<main>\n",
    ]
    if item is not None:
        parts.append(f'<h1 dir="auto">{escape(title) or UNTITLED}</h1>\n')
        parts.append(_facts(transcript, item))
    for section in sections(transcript, item):
        if section.title:
            parts.append(f'<h2 dir="auto">{escape(collapse_whitespace(section.title))}</h2>\n')
        parts += [_paragraph(paragraph, item) for paragraph in section.paragraphs]
    parts.append("</main>\n</body>\n</html>\n")
    return "".join(parts)


def _language(code: str) -> str:
    """Return the attribute `lang`; nothing for text that is no language code."""
    return f' lang="{code}"' if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", code) else ""


def _facts(transcript: Transcript, item: MediaItem) -> str:
    rows = []
    for name, value in facts(transcript, item):
        shown = escape(collapse_whitespace(value))
        if name == LINK:
            shown = f'<a href="{shown}" rel="noreferrer">{shown}</a>'
        rows.append(f'<dt>{name}</dt><dd dir="auto">{shown}</dd>\n')
    remarks = [remark for remark in (quality_remark(transcript), *transcript.warnings) if remark]
    return f"<dl>\n{''.join(rows)}</dl>\n" + "".join(
        f'<p class="remark" dir="auto">{escape(collapse_whitespace(remark))}</p>\n'
        for remark in remarks
    )


def _paragraph(paragraph: Paragraph, item: MediaItem | None) -> str:
    time = format_timestamp(paragraph.start_s)
    link = deep_link(item, paragraph.start_s) if item else ""
    if link:
        time = f'<a href="{escape(link)}" rel="noreferrer">{time}</a>'
    speaker = ""
    if paragraph.speaker:
        speaker = f'<b class="speaker"><bdi>{escape(paragraph.speaker)}</bdi>:</b> '
    return (
        f'<div class="part"><div class="time">{time}</div>'
        f'<p dir="auto">{speaker}{escape(paragraph.text)}</p></div>\n'
    )
