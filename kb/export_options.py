"""The options of an export, each declared once as in `kb.options`: the layout of its subtitles.

The flags of `kb export` and `kb transcribe` and the fields of the page's download menu are made
from `LAYOUT_OPTIONS`; the texts of the fields are in `kb/ui/i18n/export_options.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gpu.preset_figures import Range
from kb.errors import UsageError
from kb.options import Option, declared_options, option
from kb.types import LAYOUTS, LayoutName, SubtitleLayout


@dataclass(frozen=True, slots=True)
class LayoutOptions:
    """The options of a subtitle layout; None takes the figure of the layout named in `layout`.

    The names that openai-whisper has are kept: `max_line_width` (in columns), `max_line_count`,
    `max_words_per_line` and `highlight_words`. Times are in seconds.
    """

    layout: LayoutName = option("standard", help="Subtitle layout whose figures hold.")
    max_line_width: int | None = option(
        None,
        help="Columns of a subtitle line; a full-width character has two.",
        range=Range(int, 4, 250, "--max_line_width"),
    )
    max_line_count: int | None = option(
        None, help="Lines of a subtitle.", range=Range(int, 1, 10, "--max_line_count")
    )
    max_words_per_line: int | None = option(
        None, help="Words of a subtitle line.", range=Range(int, 1, 100, "--max_words_per_line")
    )
    highlight_words: bool = option(
        False, help="Mark the word that is being spoken.", flag="--highlight_words"
    )
    max_chars_per_second: float | None = option(
        None,
        help="Reading speed in characters a second, for every script.",
        range=Range(float, 1, 100, "--max_chars_per_second"),
    )
    cue_gap: float | None = option(
        None,
        help="Seconds between two touching subtitles.",
        range=Range(float, 0, 2, "--cue_gap"),
        step=0.01,
    )
    min_cue_duration: float | None = option(
        None,
        help="Seconds that a subtitle is shown at least.",
        range=Range(float, 0.04, 20, "--min_cue_duration"),
        step=0.1,
    )
    max_cue_duration: float | None = option(
        None,
        help="Seconds that a subtitle is shown at most.",
        range=Range(float, 0.2, 60, "--max_cue_duration"),
        step=0.5,
    )

    def resolve(self) -> SubtitleLayout:
        """Return the figures of the layout with these options put in.

        Raises UsageError for an unknown layout, a figure out of range, and a shortest duration
        above the longest.
        """
        self._check()
        figures: dict[str, Any] = {
            "lines": self.max_line_count,
            "words_per_line": self.max_words_per_line,
            "chars_per_s": self.max_chars_per_second,
            "gap_s": self.cue_gap,
            "min_s": self.min_cue_duration,
            "max_s": self.max_cue_duration,
        }
        for name in ("line_columns", "chinese_columns", "japanese_columns"):
            figures[name] = self.max_line_width
        layout = replace(
            LAYOUTS[self.layout],
            highlight_words=self.highlight_words,
            **{name: value for name, value in figures.items() if value is not None},
        )
        if layout.min_s <= layout.max_s:
            return layout
        if self.min_cue_duration is None:
            return replace(layout, min_s=layout.max_s)
        if self.max_cue_duration is None:
            return replace(layout, max_s=layout.min_s)
        raise UsageError(
            "layout.durations",
            "{shortest} {min_s:g} is above {longest} {max_s:g}.",
            hint="Give a shortest duration that is not above the longest.",
            shortest=LAYOUT_OPTIONS["min_cue_duration"].flag,
            longest=LAYOUT_OPTIONS["max_cue_duration"].flag,
            min_s=layout.min_s,
            max_s=layout.max_s,
        )

    def _check(self) -> None:
        if self.layout not in LAYOUTS:
            raise UsageError(
                "layout.unknown",
                "Unknown subtitle layout {name!r}.",
                hint="Known: {known}.",
                name=self.layout,
                known=", ".join(LAYOUTS),
            )
        for name, declared in LAYOUT_OPTIONS.items():
            value = getattr(self, name)
            limits = declared.range
            if value is None or limits is None:
                continue
            problem = limits.problem(value)
            if problem:
                raise UsageError(
                    "layout.option",
                    "{option} {problem}.",
                    hint="Without {option} the figure of the layout holds.",
                    option=declared.flag,
                    problem=problem,
                )


LAYOUT_OPTIONS: Mapping[str, Option] = declared_options(LayoutOptions)
