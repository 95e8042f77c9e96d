"""Fonts for a text: that of the style, and others for characters that it lacks."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kb.errors import KBError, UsageError
from kb.video.glyphs import FontFile, read_font

FONT_FOLDER = Path(__file__).parent / "fonts"
_SUFFIXES = (".ttf", ".otf", ".ttc")
_SHOWN = 12  # characters in a message


@dataclass(frozen=True, slots=True)
class FontChoice:
    """The font of a text, others by character, and characters that no font has.

    `notes` say which characters are of another font, and which are left out.
    """

    main: FontFile
    others: Mapping[str, FontFile]
    left_out: frozenset[str]
    notes: tuple[KBError, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the renderer needs."""
        return tuple(dict.fromkeys([self.main.path, *(font.path for font in self.others.values())]))


def font_folders() -> tuple[Path, ...]:
    """Return the folders in which this system keeps fonts."""
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", str(home / "AppData" / "Local"))
        return (
            Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts",
            Path(local) / "Microsoft" / "Windows" / "Fonts",
        )
    return (
        home / ".local/share/fonts",
        home / ".fonts",
        Path("/usr/local/share/fonts"),
        Path("/usr/share/fonts"),
    )


def choose_fonts(
    text: str, family: str, *, bold: bool, folders: Iterable[Path] | None = None
) -> FontChoice:
    """Return the fonts with which a text can be drawn.

    `folders` replaces those of the system. Raises UsageError if no font has the letters of the
    text; other characters, such as emoji, are left out.
    """
    places = tuple(font_folders() if folders is None else folders)
    main, notes = _main(family, bold, places)
    needed = {char for char in text if _is_drawn(char)}
    lacking = main.lacks(needed)
    if not lacking:
        return FontChoice(main, {}, frozenset(), notes)
    others: dict[str, FontFile] = {}
    own = [font for font in _fonts((FONT_FOLDER,)) if font.path != main.path]
    for fonts in (own, list(_fonts(places))):
        while lacking and fonts:
            # Of two that have the letters, the one with more of all: small ones are for formulas.
            best = max(fonts, key=lambda f: (-len(f.lacks(lacking)), f.bold == bold, f.count))
            covered = lacking - best.lacks(lacking)
            if not covered:
                break
            others.update(dict.fromkeys(covered, best))
            lacking -= covered
    letters = {char for char in lacking if unicodedata.category(char)[0] in "LN"}
    if letters:
        raise UsageError(
            "video.no_font",
            "No font of this machine has the letters {characters}.",
            hint="Install one that has them, such as one of the Noto fonts (Debian: fonts-noto, "
            "fonts-noto-cjk), or take captions that the player draws: --soft",
            characters=_listed(letters),
        )
    for font in sorted(set(others.values()), key=lambda font: font.family):
        notes += (
            KBError(
                "note.video_other_font",
                "{family} has no letters for {characters}: these are drawn in {other}.",
                hint="A style may name another font.",
                family=main.family,
                characters=_listed({char for char, of in others.items() if of is font}),
                other=font.family,
            ),
        )
    if lacking:
        notes += (
            KBError(
                "note.video_left_out",
                "No font has the characters {characters}: they are left out of the picture.",
                hint="The transcript keeps them.",
                characters=_listed(lacking),
            ),
        )
    return FontChoice(main, others, frozenset(lacking), notes)


def _main(
    family: str, bold: bool, places: tuple[Path, ...]
) -> tuple[FontFile, tuple[KBError, ...]]:
    own = list(_fonts((FONT_FOLDER,)))
    for fonts in (own, _fonts(places)):
        named = [font for font in fonts if font.family.casefold() == family.casefold()]
        if named:
            return max(named, key=lambda font: font.bold == bold), ()
    shipped = max(own, key=lambda font: font.bold == bold)
    note = KBError(
        "note.video_font_absent",
        "This machine has no font {family!r}: {other} is taken.",
        hint="Install the font, or name another one in the style.",
        family=family,
        other=shipped.family,
    )
    return shipped, (note,)


def _fonts(folders: Iterable[Path]) -> Iterator[FontFile]:
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.suffix.lower() in _SUFFIXES and (font := read_font(path)) is not None:
                yield font


def _is_drawn(char: str) -> bool:
    """Return False for spaces, controls and invisible marks, for which no font needs a letter."""
    return not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf", "Mn", "Me", "Cs")


def _listed(characters: Iterable[str]) -> str:
    found = sorted(characters)
    more = " …" if len(found) > _SHOWN else ""
    return " ".join(found[:_SHOWN]) + more
