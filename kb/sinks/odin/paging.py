"""The whole list of a project's documents, read page by page while others change the project.

An upload between two pages moves documents to later pages, which shows some of them twice. A
deletion moves documents to earlier pages, which hides some of them from a reader that goes
forward. So the pages are read to their true end, the number of documents is compared with the
service's own count, and after a deletion the pages are read again from the last to the first.
"""

from __future__ import annotations

from collections.abc import Callable

from kb.errors import KnowledgeBaseError
from kb.sinks.odin.answers import DocumentPage, RemoteDocument
from kb.sinks.odin.errors import OdinRefused

# Returns a page; the first has the number 1.
ReadPage = Callable[[int], DocumentPage]

READINGS = 3
# Pages without a new document, beyond the counted ones: uploads of others can fill a page.
BARREN_PAGES = 3
MOST_DOCUMENTS = 1_000_000  # in a list that tells no count


def read_all(read_page: ReadPage, size: int) -> list[RemoteDocument]:
    """Return all documents of the project; `size` is the requested number on a page.

    Raises KnowledgeBaseError (retryable) when fewer documents are listed than the service
    counts, and OdinRefused when the service repeats its first page, so that the rest cannot be
    read, and when the list does not end.
    """
    for _ in range(READINGS):
        reading = _Reading(read_page, size)
        if reading.is_whole():
            return list(reading.found.values())
    raise KnowledgeBaseError(
        "odin.listing_incomplete",
        "ODIN's list of documents is incomplete: {listed} of {counted} were listed.",
        hint="Nothing was sent. Run it again later, or set ODIN_LISTING to plain.",
        retryable=True,
        listed=len(reading.found),
        counted=reading.counted(),
    )


class _Reading:
    """One reading of all pages."""

    def __init__(self, read_page: ReadPage, size: int) -> None:
        self.found: dict[tuple[str, str], RemoteDocument] = {}
        self._read_page = read_page
        self._size = size
        self._totals: list[int] = []
        self._pages = self._forward()
        if self._shrank():
            for number in range(self._pages, 0, -1):
                self._take(number)

    def counted(self) -> int:
        """Return the service's count that this reading must reach."""
        if not self._totals:
            return 0
        # After deletions the larger counts include documents that are gone.
        return self._totals[-1] if self._shrank() else max(self._totals)

    def is_whole(self) -> bool:
        return len(self.found) >= self.counted()

    def _shrank(self) -> bool:
        pairs = zip(self._totals, self._totals[1:], strict=False)
        return any(later < earlier for earlier, later in pairs)

    def _take(self, number: int) -> tuple[DocumentPage, int]:
        """Read a page; return it and the number of its documents that are new."""
        page = self._read_page(number)
        if page.total is not None:
            self._totals.append(page.total)
        before = len(self.found)
        self.found.update(zip(page.keys, page.documents, strict=True))
        return page, len(self.found) - before

    def _forward(self) -> int:
        """Read the pages to their end; return the number of pages that had documents."""
        number, barren = 1, 0
        first: DocumentPage | None = None
        while True:
            page, new = self._take(number)
            if not page.documents:
                return number - 1
            first = first or page
            barren = 0 if new else barren + 1
            if not new and self._ends_here(page):
                return number
            if barren >= BARREN_PAGES:
                if self._totals or page.keys != first.keys:
                    return number
                raise OdinRefused(
                    "odin.listing_repeats",
                    "ODIN's list of documents repeats its first page; the rest cannot be read.",
                    hint="Nothing was sent. Set ODIN_LISTING to plain.",
                )
            if len(self.found) > self._most():
                raise OdinRefused(
                    "odin.listing_endless",
                    "ODIN's list of documents does not end: {listed} were listed.",
                    hint="Nothing was sent. Set ODIN_LISTING to plain.",
                    listed=len(self.found),
                )
            number += 1

    def _most(self) -> int:
        """Return a number of documents that a list which comes to an end does not exceed."""
        if not self._totals:
            return MOST_DOCUMENTS
        return 2 * self.counted() + BARREN_PAGES * self._size

    def _ends_here(self, page: DocumentPage) -> bool:
        """Return True if a page without a new document is the end of the list.

        The service ignores the page number, or repeats its last page, and all has been seen.
        """
        if self._totals:
            return len(self.found) >= self.counted()
        return len(page.documents) != self._size
