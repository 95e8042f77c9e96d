"""Reading of one video: samples, changes, text, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from kb.enrich.screen.changes import Account, ChangeDetector, Sample, Still
from kb.enrich.screen.frames import picture, samples, thumbnail
from kb.enrich.screen.pages import Page, Pages
from kb.enrich.screen.reader import RapidReader, Reader
from kb.media.probe import MediaProbe

Progress = Callable[[float], None]
"""Called with the finished share, 0..1."""


@dataclass(frozen=True, slots=True)
class ScreenText:
    """The pages of a video, and how they were found."""

    pages: list[Page]
    account: Account
    frames_read: int
    lines_unread: int
    engine: str


def read_pages(
    found: MediaProbe,
    *,
    every: int | None = None,
    reader: Reader | None = None,
    progress: Progress = lambda _: None,
) -> ScreenText:
    """Return the text on the screen of a video; with `every`, every Nth frame is read.

    Raises MediaUnavailable for a picture that cannot be opened.
    """
    reader = reader or RapidReader()
    detector, pages = ChangeDetector(), Pages()
    length_s = found.duration_s or 0.0

    def watched() -> Iterator[Sample]:
        for sample in samples(found, every=every):
            progress(min(1.0, sample.at_s / length_s) if length_s else 0.0)
            yield sample

    stills = detector.stills(watched()) if every is None else _all(watched(), detector.account)
    shown: dict[int, Page | None] = {}
    frames_read = unread = 0
    for still in stills:
        if still.known is not None and still.known in shown:
            page = pages.again(shown[still.known], still.start_s, still.before_end_s)
        else:
            image = picture(still.sample.frame)
            reading = reader.read(image)
            frames_read, unread = frames_read + 1, unread + reading.unread
            small = partial(thumbnail, image)
            page = pages.show(reading.lines, still.start_s, still.before_end_s, small)
        shown[still.number] = page
    pages.close(max(detector.account.end_s, length_s))
    return ScreenText(pages.pages, detector.account, frames_read, unread, reader.name)


def _all(samples: Iterator[Sample], account: Account) -> Iterator[Still]:
    """Yield every sample as a still of its own."""
    for number, sample in enumerate(samples):
        account.samples += 1
        account.end_s = sample.at_s
        yield Still(number, sample.at_s, sample.at_s, sample)
