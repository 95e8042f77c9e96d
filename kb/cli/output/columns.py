"""Tables of lines: one line for each row, also where it is wider than the terminal.

A table of rich wraps cells and takes 4 ms for a row. Here a row is one line: at a terminal the
columns that may be shortened are cut with an ellipsis; into a pipe or file everything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import COLOR_SYSTEMS
from rich.style import Style
from rich.text import Text

from kb.cli.output.console import out
from kb.types.safe_text import shown

GAP = "  "
LEAST = 8  # characters of a shortened column

Cell = str | Text


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, its side, and if it may be shortened to fit a terminal."""

    title: str
    right: bool = False
    shrinks: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """A table whose rows are one line each."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def texts(self, width: int | None = None) -> Iterator[Text]:
        """Return the lines with their styles; `width` is that of a terminal."""
        head = [Text(each.title, style="bold") for each in self.columns]
        widths = self._widths(width)
        for row in (head, *self.rows):
            yield self._line(row, widths)

    def print(self) -> None:
        """Print the table on stdout, shortened for a terminal only."""
        if not out.is_terminal:
            widths = self._widths(None)
            head = [each.title for each in self.columns]
            for row in (head, *self.rows):
                out.file.write(shown(self._plain(row, widths)) + "\n")
            return
        color = None if out.no_color else COLOR_SYSTEMS.get(out.color_system or "")
        for line in self.texts(out.width):
            out.file.write(
                "".join(
                    Style.render(
                        segment.style or Style.null(), shown(segment.text), color_system=color
                    )
                    for segment in line.render(out)
                )
                + "\n"
            )

    def _widths(self, most: int | None) -> list[int]:
        """Return the width of each column, so that a line has at most `most` if it can be."""
        widths = [
            max((_length(row[i]) for row in self.rows), default=0) for i in range(len(self.columns))
        ]
        widths = [max(w, cell_len(c.title)) for w, c in zip(widths, self.columns, strict=True)]
        if most is None:
            return widths
        over = sum(widths) + len(GAP) * (len(widths) - 1) - most
        while over > 0:
            able = [i for i, c in enumerate(self.columns) if c.shrinks and widths[i] > LEAST]
            if not able:
                break
            widest = max(able, key=lambda i: widths[i])
            others = [widths[i] for i in able if i != widest]
            target = max(
                LEAST, widths[widest] - over, min(max(others, default=0), widths[widest] - 1)
            )
            over -= widths[widest] - target
            widths[widest] = target
        return widths

    def _line(self, row: Sequence[Cell], widths: Sequence[int]) -> Text:
        line = Text(end="")
        last = len(row) - 1
        for i, (cell, column, width) in enumerate(zip(row, self.columns, widths, strict=True)):
            text = cell.copy() if isinstance(cell, Text) else Text(_flat(cell))
            if _length(text) > width:
                text.truncate(width, overflow="ellipsis")
            space = " " * (width - _length(text))
            if column.right:
                line.append(space)
            line.append_text(text)
            if i < last:
                line.append(GAP if column.right else space + GAP)
        line.rstrip()
        return line

    def _plain(self, row: Sequence[Cell], widths: Sequence[int]) -> str:
        cells = []
        for cell, column, width in zip(row, self.columns, widths, strict=True):
            text = _flat(cell if isinstance(cell, str) else cell.plain)
            space = " " * (width - _length(text))
            cells.append(space + text if column.right else text + space)
        return GAP.join(cells).rstrip()


def _length(cell: Cell) -> int:
    text = cell if isinstance(cell, str) else cell.plain
    return len(text) if text.isascii() else cell_len(text)


def _flat(text: str) -> str:
    """Return a text without line feeds and tabs, which titles may have; its length stays."""
    return text.replace("\n", " ").replace("\t", " ")
