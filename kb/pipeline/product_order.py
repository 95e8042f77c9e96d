"""Orders of products: what a user asks for, as JSON values that go through the queue.

An order may be carried out by another machine: a style or a still that is a file must be there,
too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from kb.errors import UsageError
from kb.pipeline.dubbing import FILM_SUFFIXES, Dub
from kb.pipeline.video import Kind, Wish, Words
from kb.video.reel import Stretch

EVIDENCE, DUB = "evidence", "dub"
FILMS: tuple[Kind, ...] = ("captions", "karaoke", "soft", "reel")
KINDS = (*FILMS, EVIDENCE, DUB)
DUB_SOUND = ".m4a"


@dataclass(frozen=True, slots=True)
class Order:
    """A product that a user asks for.

    `stretches` are those of a reel (none: the highlights that were found), or the one of an
    evidence pack. `fetch`: the picture of an item that is kept as sound is fetched for it;
    `sign`: a pack is signed with the key of the library. `language` and the voices (for all, and by
    speaker) are those of a dub, whose `suffix` is that of a film or of sound.
    """

    kind: str
    style: str = ""
    picture: str = ""
    size: str = ""
    threads: int = 0
    stretches: tuple[Stretch, ...] = ()
    length_s: float | None = None
    words: Words | None = None
    suffix: str = ".mp4"
    fetch: bool = False
    sign: bool = False
    language: str = ""
    voice: str = ""
    voices: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_dub(cls, dub: Dub, suffix: str, *, fetch: bool = False) -> Order:
        """Return the order of a dub: a copy of the video, or its sound (`DUB_SOUND`)."""
        return cls(
            DUB, threads=dub.threads, suffix=suffix, fetch=fetch, language=dub.language,
            voice=dub.voice, voices=tuple(sorted(dub.voices.items())),
        )  # fmt: skip

    @classmethod
    def of_film(cls, wish: Wish, suffix: str, *, fetch: bool = False) -> Order:
        """Return the order of a film."""
        # A machine that takes the order has another working directory.
        style = str(Path(wish.style).absolute()) if Path(wish.style).suffix else wish.style
        still = str(wish.picture.absolute()) if wish.picture else ""
        return cls(
            wish.kind, style, still, wish.size, wish.threads, wish.stretches, wish.length_s,
            wish.words, suffix, fetch,
        )  # fmt: skip

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Order:
        """Return the order of JSON values. Raises UsageError for other ones."""
        try:
            stretches = tuple(
                Stretch(float(start), float(end), str(title))
                for start, end, title in values.get("stretches", ())
            )
            length_s = values.get("length_s")
            words = values.get("words")
            order = cls(
                str(values["kind"]), str(values.get("style", "")), str(values.get("picture", "")),
                str(values.get("size", "")), int(values.get("threads", 0)), stretches,
                None if length_s is None else float(length_s),
                "karaoke" if words == "karaoke" else "captions" if words else None,
                str(values.get("suffix", ".mp4")), bool(values.get("fetch")),
                bool(values.get("sign")), str(values.get("language", "")),
                str(values.get("voice", "")),
                tuple((str(name), str(voice)) for name, voice in values.get("voices", ())),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise _unknown(values) from error
        if order.kind not in KINDS:
            raise _unknown(values)
        return order

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values from which `from_dict` makes the same order."""
        return {
            "kind": self.kind, "style": self.style, "picture": self.picture, "size": self.size,
            "threads": self.threads,
            "stretches": [[s.start_s, s.end_s, s.title] for s in self.stretches],
            "length_s": self.length_s, "words": self.words, "suffix": self.suffix,
            "fetch": self.fetch, "sign": self.sign, "language": self.language,
            "voice": self.voice, "voices": [list(each) for each in self.voices],
        }  # fmt: skip

    @property
    def digest(self) -> str:
        """Equal for equal orders, whatever their number of threads."""
        values = {**self.as_dict(), "threads": 0}
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    def dub(self) -> Dub:
        """Return the dub that is wanted."""
        return Dub(self.language, self.voice, dict(self.voices), self.threads)

    def wish(self) -> Wish:
        """Return the film that is wanted. Raises UsageError for another product."""
        kind = next((each for each in FILMS if each == self.kind), None)
        if kind is None:
            raise _unknown(self.as_dict())
        still = Path(self.picture) if self.picture else None
        return Wish(
            kind, self.style, still, self.size, self.threads, self.stretches, self.length_s,
            self.words,
        )  # fmt: skip

    def check(self) -> None:
        """Raise UsageError for values that cannot be, before any work is done."""
        if self.kind == DUB:
            if not self.language or self.suffix not in (*FILM_SUFFIXES, DUB_SOUND):
                raise _unknown(self.as_dict())
        elif self.kind != EVIDENCE:
            self.wish().check(Path(f"film{self.suffix}"))
        elif len(self.stretches) != 1 or self.suffix != ".zip":
            raise _unknown(self.as_dict())


def _unknown(values: Mapping[str, Any]) -> UsageError:
    return UsageError(
        "video.unknown_order",
        "This product is not known here: {kind!r}.",
        hint="Known: {known}. A newer version of this program may have queued it.",
        kind=str(values.get("kind", "")),
        known=", ".join(KINDS),
    )
