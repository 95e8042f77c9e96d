"""One hostile item: what strangers may write into its fields, and what must not come out."""

from __future__ import annotations

import io
import re
import zipfile

from markdown_it import MarkdownIt

from kb.types import (
    Chapter,
    Coverage,
    MediaItem,
    MediaRef,
    Segment,
    Timing,
    Transcript,
    Word,
)
from kb.types.notes import Answered, Cited, NotedChapter, Notes, QuotedWords, Term
from kb.types.screen import ScreenLine, ScreenPage

ESC, BEL, CSI = "\x1b", "\x07", "\x9b"
TITLE_SEQUENCE = f"{ESC}]0;PWNED{BEL}"
CLIPBOARD = f"{ESC}]52;c;cm0gLXJmIC8={BEL}"
CLEAR = f"{ESC}[2J"
OVERRIDE = "\u202egpj.exe"
FORMULAS = (
    "=1+1", " =1+1", "\u00a0=1+1", "\u200b=1+1", "\u202e=1+1", "\ufeff=1+1", "\u3164=1+1",
    "\u2800=1+1", "\u2066=1+1", "\x1b=1+1"[1:], "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1",
    "＝1+1", "﹢1", "=HYPERLINK(\"http://evil.example\")", "\u00ad=1+1", "\U000e0041=1+1",
)  # fmt: skip
ADDRESSES = (
    "javascript:alert(1)//", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)",
    "\x01javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "vbscript:x",
    "file:///etc/passwd", "file://host/share", "//evil.example/x", "/etc/passwd", "http://",
    "https:", "http:///x", "http://[::1", "httpx://evil.example", "ftp://evil.example/",
    "blob:http://evil.example/1", "http\u202e://evil.example", "",
)  # fmt: skip
PASSWORD = "s3cret-p4ss"
WITH_PASSWORD = f"https://ann:{PASSWORD}@media.example/talk"
MARKUP = "<script>alert(1)</script> [x](javascript:alert(1)) ![x](http://evil.example/p.png) **b**"
EVIL = f"=cmd|'/c calc'!A0 {TITLE_SEQUENCE}{CLIPBOARD}{CLEAR}{CSI}31m{OVERRIDE} {MARKUP}"

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def hostile_item(item_id: str = "web:evil:1", url: str = WITH_PASSWORD) -> MediaItem:
    """Return an item with hostile text in every field."""
    return MediaItem(
        id=item_id,
        source="web",
        url=url,
        title=f"harbour {EVIL}",
        published=f"2024-03-05{ESC}[2J",
        duration_s=10.0,
        channel=EVIL,
        description=EVIL,
        tags=(EVIL,),
        chapters=(Chapter(0.0, EVIL),),
        language=f"en{ESC}[2J",
        extra={"deep_link": "javascript:alert(1)//t={second}"},
    )


def hostile_transcript(timestamps: str = "segment") -> Transcript:
    """Return a transcript of three seconds with hostile words, language and warnings."""
    words = (Word(0.0, 1.0, "harbour", 0.9), Word(1.0, 3.0, f"={CLIPBOARD}{OVERRIDE}", 0.9))
    return Transcript(
        media=MediaRef(f"media/{ESC}[2J.mp4", "0" * 64, 10.0),
        segments=(
            Segment(0.0, 3.0, f"harbour ={CLIPBOARD}{OVERRIDE}", words, language="=1+1"),
            Segment(4.0, 6.0, EVIL, (), language='=HYPERLINK("http://evil.example")', speaker=EVIL),
        ),
        language=EVIL,
        engine="whisper",
        model=EVIL,
        preset="optimiert",
        coverage=Coverage(speech_s=5.0, covered_s=4.0),
        timing=Timing(),
        warnings=(EVIL,),
        timestamps=timestamps,  # type: ignore[arg-type]
        notes=Notes(
            {"short": (Cited(EVIL, (QuotedWords(EVIL, 0.0, 3.0),)),)},
            (NotedChapter(EVIL, 0.0),), terms=(Term(EVIL, EVIL, 0.0, 1),),
            questions=(Answered(EVIL, Cited(EVIL, (QuotedWords(EVIL, 0.0, 3.0),))),),
            model=EVIL, place=EVIL,
        ),
        on_screen=(
            ScreenPage((ScreenLine(EVIL, 0.0), ScreenLine(f"={CLIPBOARD}", 1.0)), ((0.0, 3.0),)),
        ),
    )  # fmt: skip


def unpacked(document: bytes) -> str:
    """Return the text of all parts of a packed document (docx, xlsx)."""
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        return "\n".join(
            archive.read(name).decode() for name in archive.namelist() if name.endswith("xml")
        )


def problems(text: str, *, markdown: bool = False) -> list[str]:
    """Return what is dangerous in an output: raw controls, passwords, links that run code."""
    found = [f"raw {match[0]!r} at {match.start()}" for match in _CONTROLS.finditer(text)]
    if PASSWORD in text:
        found.append("a password")
    if not markdown:
        return found
    parser = MarkdownIt("commonmark")
    parser.validateLink = lambda _link: True  # type: ignore[method-assign]
    for block in parser.parse(text):
        found += [f"HTML {block.content}"] if block.type == "html_block" else []
        for part in block.children or ():
            address = str(part.attrs.get("href") or part.attrs.get("src") or "")
            if part.type == "image" or (address and not address.startswith(("http:", "https:"))):
                found.append(f"{part.type} {address}")
            if part.type == "html_inline":
                found.append(f"HTML {part.content}")
    return found
