"""The cuts of speech into cues at the least total cost, and of a cue into lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import sub

from kb.transcript.chunks import Piece
from kb.transcript.formats.subtitle_atoms import MID_PHRASE_COST, Atom
from kb.types import SubtitleLayout

PAUSE_S = 1.0  # a pause of this length or more always ends a cue

# A cue that is too fast or too short costs more than any break that avoids it.
FAST_COST = 8.0
SHORT_COST = 2.0

# A line may be so much longer or shorter than the other to end after a mark, or before a word that
# belongs to the next one.
_MARK_COLUMNS = 5


class Stretch:
    """Atoms of one voice that follow each other without a pause, and the columns of their lines.

    `widths` has the columns before each atom and at the end, `line_ends` for each atom the place
    after the last one that fits on a line that begins with it. `speaker` is their name, if known.
    """

    __slots__ = ("atoms", "layout", "line_ends", "room", "speaker", "widths")

    def __init__(
        self,
        atoms: Sequence[Atom],
        room: int,
        layout: SubtitleLayout,
        speaker: str | None = None,
    ) -> None:
        self.atoms = atoms
        self.speaker = speaker
        self.room = room
        self.layout = layout
        self.widths = [0, *accumulate([atom.space + atom.width for atom in atoms])]
        self.line_ends = self._line_ends()

    def _line_ends(self) -> list[int]:
        widths, count = self.widths, len(self.atoms)
        most = min(self.layout.words_per_line or count, count)
        ends: list[int] = []
        end = 0
        for first, limit in enumerate(self._limits()):
            while end < count and widths[end + 1] <= limit:
                end += 1
            after = first + most
            if after > end:
                after = end
            ends.append(after if after > first else first + 1)
        return ends

    def _limits(self) -> list[int]:
        """Return for each atom the widths up to which text is on the line that begins with it."""
        room = self.room
        return [
            width + atom.space + room for width, atom in zip(self.widths, self.atoms, strict=False)
        ]

    def fits(self, first: int, after: int, lines: int) -> bool:
        """Return True if the atoms from `first` to before `after` fit on so many lines."""
        line_ends = self.line_ends
        for _ in range(lines):
            if first >= after:
                break
            first = line_ends[first]
        return first >= after

    def lines(self, first: int, after: int) -> tuple[tuple[Piece, ...], ...]:
        """Return the fewest lines for these atoms, of similar length and broken after a mark."""
        line_ends, widths, atoms = self.line_ends, self.widths, self.atoms
        before = widths[first]
        lines: list[tuple[Piece, ...]] = []
        while line_ends[first] < after:
            left, end = 0, first
            while end < after:
                left, end = left + 1, line_ends[end]
            # The rest must fit into the lines that are left after this one.
            aim = widths[first] - before + (widths[after] - widths[first]) / left
            best, chosen = float("inf"), first + 1
            for cut in range(first + 1, line_ends[first] + 1):
                uneven = abs(widths[cut] - before - aim)
                cost = atoms[cut - 1].cost
                if cost < MID_PHRASE_COST:
                    uneven -= _MARK_COLUMNS
                elif cost > MID_PHRASE_COST:
                    uneven += _MARK_COLUMNS
                if uneven < best and self.fits(cut, after, left - 1):
                    best, chosen = uneven, cut
            lines.append(_flat(atoms[first:chosen]))
            first = chosen
        lines.append(_flat(atoms[first:after]))
        return tuple(lines)

    def best_cuts(self) -> list[int]:
        """Return the places after each cue, at the least total cost (dynamic programming)."""
        atoms, layout, lengths = self.atoms, self.layout, self.widths
        count = len(atoms)
        starts = [atom.start_s for atom in atoms]
        # The end of a cue before an atom: its gap to the next cue is kept.
        limits = [start_s - layout.gap_s for start_s in starts]
        # The same for the end of the stretch, which has a pause behind it.
        limits.append(max(atom.end_s for atom in atoms) + PAUSE_S)
        starts.append(limits[count] + layout.close_gap_s)
        reading = [0.0, *accumulate([atom.reading_s for atom in atoms])]
        reach = self._reach(starts, limits)
        full, min_s = self.room * layout.lines, layout.min_s
        # By the columns of a cue: its share of the room, and the cost of what it leaves free.
        widest = max(map(sub, [lengths[until] for until in reach], lengths))
        shares = [columns / full for columns in range(widest + 1)]
        free = [0.5 * (1 - share) ** 2 for share in shares]
        # A beginning: its place, the least cost up to it, its columns, start, reading time before.
        begins = [(0, 0.0, 0, starts[0], 0.0)]
        came_from = [0]
        earliest = 0
        for after, atom in enumerate(atoms, 1):
            while reach[earliest] < after:
                earliest += 1
            length, limit_s, read_s, cut_cost = (
                lengths[after], limits[after], reading[after], 1.0 + atom.cost,
            )  # fmt: skip
            least, origin = float("inf"), earliest
            for first, before, begin, start_s, read_before_s in begins[earliest:]:
                columns = length - begin
                cost = before + cut_cost + free[columns]
                if cost >= least:
                    continue  # what follows only adds to the cost
                available_s = limit_s - start_s
                if available_s < min_s:
                    cost += SHORT_COST + 2.5 * (1 - available_s / min_s)
                    if available_s < 0.1:
                        available_s = 0.1
                needed_s = read_s - read_before_s
                if needed_s > available_s:
                    # Weighed by the length: fast speech has the same total in any number of cues.
                    cost += shares[columns] * (FAST_COST + 2.0 * (needed_s / available_s - 1))
                if cost < least:
                    least, origin = cost, first
            begins.append((after, least, length, starts[after], read_s))
            came_from.append(origin)
        cuts: list[int] = []
        end = count
        while end:
            cuts.append(end)
            end = came_from[end]
        return cuts[::-1]

    def _reach(self, starts: Sequence[float], limits: Sequence[float]) -> list[int]:
        """Return for each atom the last place at which a cue that begins with it may end.

        It is never above the place of a later atom.
        """
        max_s, close_s = self.layout.max_s, self.layout.close_gap_s
        ends = [atom.end_s for atom in self.atoms]
        latest = [0.0, *map(max, accumulate(ends, max), accumulate(limits[1:], max))]
        line_ends = [*self.line_ends, len(ends)]
        reach = self.line_ends
        for _ in range(self.layout.lines - 1):
            reach = [line_ends[until] for until in reach]
        late = [
            first
            for first, (until, start_s) in enumerate(zip(reach, starts, strict=False))
            if latest[until] - start_s > max_s
        ]
        if not late:
            return reach  # of every beginning all that fits on its lines is spoken in time
        reach = list(reach)
        for first in late:
            start_s, spoken_s, until = starts[first], ends[first], reach[first]
            for last in range(first + 1, until):
                spoken_s = max(spoken_s, ends[last])
                if spoken_s - start_s > max_s or (
                    limits[last + 1] - start_s > max_s and starts[last + 1] - spoken_s <= close_s
                ):
                    reach[first] = last
                    break
        return list(accumulate(reversed(reach), min))[::-1]


def _flat(atoms: Sequence[Atom]) -> tuple[Piece, ...]:
    return tuple([piece for atom in atoms for piece in atom.pieces])
