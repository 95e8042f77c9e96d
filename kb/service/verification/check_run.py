"""One run of the check: its findings, the files that it reads, what its parts share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kb.errors import KBError, StoredProblem, UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.fences import Fences
from kb.library import Library
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink

BLOCK_BYTES = 1 << 20

Progress = Callable[[int, int], None]
"""Called with the number of bytes that were checked, and of all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be; `kind` is a stable name, `hint` the next step.

    `mended` is True if it is right now. A `note` is no fault.
    """

    kind: str
    subject: str  # an item's id, or a file
    detail: str
    hint: str = ""
    mended: bool = False
    note: bool = False
    problem: StoredProblem | None = None  # code and values of detail and hint


@dataclass(slots=True)
class VerifyReport:
    """The result of a check: numbers of items, files and bytes that were read, and the findings.

    The items whose medium was deleted by retention are counted; they are no findings.
    """

    items: int = 0
    files: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    deleted_by_retention: int = 0  # media

    @property
    def faults(self) -> list[Finding]:
        """The findings that are still faults."""
        return [each for each in self.findings if not each.mended and not each.note]


@dataclass
class CheckRun:
    """The state of one run; `rebuild` is True once the index is known to be damaged as a whole."""

    settings: Settings
    library: Library
    queue: JobQueue
    mend: bool
    repair: bool
    progress: Progress
    found: Callable[[Finding], None]
    report: VerifyReport = field(default_factory=VerifyReport)
    total: int = 0  # bytes of all files
    rows_readable: bool = True
    rebuild: bool = False
    heads: dict[str, str] = field(default_factory=dict)  # content hash of each item in the index
    states: dict[str, str] = field(default_factory=dict)  # of each item in the queue's table

    @cached_property
    def sink(self) -> LocalSink:
        """The local index."""
        return LocalSink(self.settings)

    @property
    def can_rebuild(self) -> bool:
        """True if the index may be built again from the transcripts."""
        return self.mend and self.rows_readable

    def by_hand(self, item_id: str) -> Library | None:
        """Return the library for a change of one item's files; None for an item in the queue."""
        if not self.rows_readable:
            return self.library
        try:
            return self.library.fenced(Fences(self.queue.database).by_hand(item_id))
        except UsageError:
            return None

    def add(
        self, kind: str, subject: str, said: KBError, *, mended: bool = False, note: bool = False
    ) -> None:
        """Record a finding and report it; `said` has its detail and its next step."""
        finding = Finding(kind, subject, said.message, said.hint, mended, note, said.problem)
        self.report.findings.append(finding)
        self.found(finding)

    def hash(self, path: Path, *, count: bool = True) -> str:
        """Return the SHA-256 of a file; with `count` it is one of the files that were checked."""
        digest = hashlib.sha256()
        for block in _blocks(path):
            digest.update(block)
            if count:
                self.report.bytes += len(block)
                self.progress(min(self.report.bytes, self.total), self.total)
        self.report.files += count
        return digest.hexdigest()

    def count(self, path: Path) -> None:
        """Count a file that was read as checked."""
        self.report.files += 1
        self.report.bytes += file_size(path)
        self.progress(min(self.report.bytes, self.total), self.total)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def file_size(path: Path) -> int:
    """Return the size of a file in bytes; 0 if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
