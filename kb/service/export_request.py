"""A wish for documents: which formats, and how. Light, so that the commands load fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kb.errors import KBError, UsageError
from kb.export_options import LAYOUT_OPTIONS
from kb.library.languages import language_code
from kb.options import OPTIONS
from kb.transcript import FORMATS, Format, file_content, format_named
from kb.types import STANDARD, CsvForm, SubtitleLayout, Timestamps

ALL = "all"
"""In the place of a format's name: every format that the item has something for."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The wanted documents of each item: names of `FORMATS`, or `all` alone.

    `timestamps` (segment, word) and `layout` (of subtitles) override the transcript's own.
    `frame_rate` is that of an EDL, in frames per second; `csv` is the form of CSV tables.
    `language_in_name`: `STEM.en.srt` instead of `STEM.srt`. `language` is the code of a translation
    that is wanted instead of the words; its name has it.
    """

    formats: tuple[str, ...]
    timestamps: Timestamps | None = None
    layout: SubtitleLayout | None = None
    language_in_name: bool = False
    frame_rate: float | None = None
    csv: CsvForm = "plain"
    language: str = ""

    @property
    def wants_all(self) -> bool:
        return self.formats == (ALL,)

    def check(self) -> None:
        """Raise UsageError for an option that none of the wanted formats has a use for."""
        if self.language and language_code(self.language) != self.language:
            raise UsageError(
                "translation.language",
                "{name!r} is no language that is known.",
                hint="Give a code of two letters, such as de, fr or es.",
                name=self.language,
            )
        if self.wants_all:
            return
        formats = [format_named(name) for name in self.formats]
        if self.timestamps == "word" and not any(each.times_words for each in formats):
            known = [name for name in FORMATS if format_named(name).times_words]
            raise UsageError(
                "export.no_word_times",
                "{formats} has no time for each word: {option} word changes nothing.",
                hint="Formats with the times of words: {known}.",
                formats=", ".join(self.formats),
                option=OPTIONS["timestamps"].flag,
                known=", ".join(known),
            )
        self._check_layout(formats)
        if self.csv != "plain" and "csv" not in self.formats:
            raise UsageError(
                "export.no_csv",
                "--csv {form} is a form of the format csv, which is not wanted.",
                hint="Add it: --format csv",
                form=self.csv,
            )

    def _check_layout(self, formats: Sequence[Format]) -> None:
        layout = self.layout
        if layout is None or layout == STANDARD:
            return
        if layout.highlight_words and not any(each.marks_words for each in formats):
            known = [name for name in FORMATS if format_named(name).marks_words]
            raise UsageError(
                "export.no_marked_words",
                "{formats} cannot mark the spoken word: {option} changes nothing.",
                hint="Formats that can: {known}.",
                formats=", ".join(self.formats),
                option=LAYOUT_OPTIONS["highlight_words"].flag,
                known=", ".join(known),
            )
        if not any(each.group == "subtitles" for each in formats):
            known = [name for name in FORMATS if format_named(name).group == "subtitles"]
            raise UsageError(
                "export.no_subtitles",
                "{formats} has no subtitles: their layout changes nothing.",
                hint="Formats of subtitles: {known}.",
                formats=", ".join(self.formats),
                known=", ".join(known),
            )


@dataclass(frozen=True, slots=True)
class ExportedDocument:
    """A document of one item, as text or as bytes, with the name of its file.

    `changed_at` is the time of its transcript's file (epoch seconds); 0 where none is known.
    """

    format: str
    file_name: str
    document: str | bytes
    has_words: bool = True
    changed_at: float = 0.0

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return file_content(self.document, self.file_name)


@dataclass(frozen=True, slots=True)
class ExportProblem:
    """Documents of an item (with an empty `format` all of them) that could not be exported.

    `format` has the names of their formats, with commas between them.
    """

    item_id: str
    format: str
    error: KBError


def parse_formats(text: str) -> tuple[str, ...]:
    """Return the names of formats in a text like `srt,vtt`, each once; `all` stands alone.

    Raises UsageError for an unknown name, or for none.
    """
    names = list(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = next((name for name in names if name not in FORMATS and name != ALL), None)
    if unknown is not None or not names:
        raise UsageError(
            "export.unknown_format",
            "Unknown format {name!r}.",
            hint="Known formats: {known}.",
            name=text if unknown is None else unknown,
            known=", ".join((*FORMATS, ALL)),
        )
    return (ALL,) if ALL in names else tuple(names)
