"""Films of words, joined with the rest of the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import imageio_ffmpeg

from kb import __version__
from kb.errors import KBError, UsageError
from kb.library.products import product_name
from kb.media import sha256_of
from kb.transcript.formats import json_document
from kb.types import Transcript
from kb.video.caption_style import KARAOKE, PLAIN, load_style, style_names
from kb.video.captioned import USUAL_SIZE, FilmRequest, Words, check_film_name, make_film
from kb.video.font_choice import FONT_FOLDER
from kb.video.picture import MAX_SIDE, MIN_SIDE, fitting
from kb.video.reel import MOST_STRETCHES, SHORTEST_S, Stretch, make_reel
from kb.video.soft_tracks import add_track

Kind = Literal["captions", "karaoke", "soft", "reel"]

FILM_VERSION = 1  # goes up when a film of the same inputs looks different
STYLES = style_names()
__all__ = ["MOST_STRETCHES", "STYLES", "Kind", "Stretch", "Wish", "Words", "made_from", "make"]


@dataclass(frozen=True, slots=True)
class Wish:
    """A film that a user asks for.

    `style` is a name or a file, empty for the usual one; `picture` a still; `size` such as
    `1280x720`, empty for the usual one; `threads` 0 for as many as there are cores. `stretches`,
    `length_s` (the reel lasts no longer) and `words` are those of a reel.
    """

    kind: Kind
    style: str = ""
    picture: Path | None = None
    size: str = ""
    threads: int = 0
    stretches: tuple[Stretch, ...] = ()
    length_s: float | None = None
    words: Words | None = None

    def check(self, target: Path) -> None:
        """Raise UsageError for values that cannot be, before any work is done."""
        check_film_name(target)
        self.request()
        if self.kind == "reel" and self.picture:
            raise UsageError(
                "reel.picture",
                "A reel has the picture of its medium.",
                hint="Leave --picture out.",
            )
        if self.length_s is not None and self.length_s < SHORTEST_S:
            raise UsageError(
                "reel.length",
                "A reel of {seconds:g} s is too short.",
                hint="Give --length in seconds, such as 60.",
                seconds=self.length_s,
            )
        if self.kind == "soft" and (self.style or self.picture or self.size):
            raise UsageError(
                "video.soft_looks",
                "The player draws a soft track: style, picture and size have no part in it.",
                hint="Leave them out, or leave --soft out.",
            )

    def request(self) -> FilmRequest:
        """Return the wish with its style read. Raises UsageError."""
        words: Words | None = "karaoke" if self.kind == "karaoke" else "captions"
        if self.kind == "reel":
            words = self.words
        style = load_style(self.style or (KARAOKE if words == "karaoke" else PLAIN))
        size = USUAL_SIZE
        if self.size:
            wide, cross, high = self.size.lower().partition("x")
            sides = [int(side) if side.isdecimal() else 0 for side in (wide, high)]
            if not cross or not all(MIN_SIDE <= side <= MAX_SIDE for side in sides):
                raise UsageError(
                    "video.size",
                    "{size!r} is no size of a picture.",
                    hint="Write width and height in pixels: 1280x720",
                    size=self.size,
                )
            size = fitting(*sides)
        return FilmRequest(words, style, self.picture, size, self.threads)


def made_from(wish: Wish, transcript: Transcript, medium_sha256: str, suffix: str) -> str:
    """Return the name of the film that a wish gives: the hash of inputs, options and versions.

    The number of threads has no part in it. Raises UsageError as `Wish.request` does.
    """
    request = wish.request()
    return product_name(
        {
            "medium": medium_sha256,
            "words": json_document.to_document(transcript),
            "kind": wish.kind,
            "drawn": request.words,
            "style": request.style.model_dump(),
            "still": sha256_of(request.still) if request.still else "",
            "size": [request.size.width, request.size.height],
            "stretches": [[s.start_s, s.end_s, s.title] for s in wish.stretches],
            "length_s": wish.length_s,
            "suffix": suffix,
            "fonts": sorted(sha256_of(path) for path in FONT_FOLDER.glob("*.ttf")),
            "versions": [FILM_VERSION, __version__, imageio_ffmpeg.get_ffmpeg_version()],
        }
    )


def make(
    medium: Path,
    transcript: Transcript,
    wish: Wish,
    draft: Path,
    *,
    target: Path,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[KBError, ...]:
    """Make the film at `draft`; return remarks for the user. Raises as the makers do."""
    if wish.kind == "soft":
        return add_track(medium, transcript, draft, target=target, progress=progress).notes
    request = wish.request()
    if wish.kind == "reel":
        return make_reel(
            medium, transcript, wish.stretches, request, draft, target=target,
            length_s=wish.length_s, progress=progress,
        ).notes  # fmt: skip
    return make_film(medium, transcript, request, draft, target=target, progress=progress).notes
