"""Two transcripts of one recording compared: rows, words of one alone, captions and versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.errors import UsageError
from kb.library.versions import Versions
from kb.pipeline import captions
from kb.service import Service
from kb.service.comparison import ComparedRow, compare
from kb.types import CaptionFile, Segment, Transcript, Word
from kb.ui.i18n import plural_text, text
from tests.support.library_pages import add_item, page, page_text, run_page


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


def said(start_s: float, words: str, step_s: float = 0.5) -> Segment:
    made = tuple(
        Word(start_s + n * step_s, start_s + (n + 0.9) * step_s, word, 0.9)
        for n, word in enumerate(words.split())
    )
    return Segment(start_s, made[-1].end_s, words, made)


def parts(row: ComparedRow) -> list[tuple[str, str]]:
    return [(part.kind, part.text) for part in row.parts]


def test_words_of_one_transcript_alone_are_found_row_by_row(service: Service) -> None:
    base = service.items.transcript(add_item())

    def of(*segments: Segment) -> Transcript:
        return replace(base, segments=segments)

    ours = of(said(0, "Call me Ishmael, now."), said(30, "some years ago"), said(60, "the end"))
    other = of(said(0.1, "call me ishmael"), said(30.1, "some ten years"), said(60, "the end"))
    rows = compare(ours, other)
    assert [parts(row) for row in rows] == [
        [("same", "Call me Ishmael,"), ("ours", "now.")],
        [("same", "some"), ("other", "ten"), ("same", "years"), ("ours", "ago")],
        [("same", "the end")],
    ]
    assert [row.differs for row in rows] == [True, True, False]
    assert rows[0].start_s == 0.0 and 29 < rows[1].start_s <= 30
    assert not any(row.differs for row in compare(ours, ours))
    # A transcript without words, and one that is longer than the other
    assert [part.kind for row in compare(ours, of()) for part in row.parts] == ["ours"] * 3
    assert [part.kind for row in compare(of(), ours) for part in row.parts] == ["other"]
    # A word over the pause of the other one is in one row.
    long = of(said(0, "one two"), Segment(1.0, 40.0, "three", (Word(1.0, 40.0, "three", 0.9),)))
    assert sum(len(row.parts) for row in compare(ours, long)) > 0


@pytest.mark.slow
def test_captions_and_earlier_versions_are_compared_on_the_page(
    service: Service, tmp_path: Path
) -> None:
    item_id = add_item()
    entry = service.items.entry(item_id)
    assert service.comparisons.others(entry) == []
    assert text("compare_title") not in [e.label for e in page(item=item_id).expander]
    lines = service.items.transcript(item_id).segments
    cues = [
        f"{_clock(s.start_s)} --> {_clock(s.end_s)}\n{s.text.replace('snowfall', 'rainfall')}\n"
        for s in lines
    ]
    file = tmp_path / "talk.vtt"
    file.write_text("WEBVTT\n\n" + "\n".join(cues))
    captions.keep(service.library, entry.item, [CaptionFile(file, "en", False)])
    Versions(service.library).keep(service.items.entry(item_id))
    entry = service.items.entry(item_id)
    people, version = service.comparisons.others(entry)
    assert (people.kind, people.name, version.kind) == ("people", "en", "version")
    transcript = service.items.transcript(item_id)
    same = service.comparisons.compare(entry, transcript, version.key)
    assert same and not any(row.differs for row in same)
    found = service.comparisons.compare(entry, transcript, people.key)
    differ = [row for row in found if row.differs]
    assert {part for row in differ for part in parts(row) if part[0] != "same"} == {
        ("other", "rainfall"), ("ours", "snowfall"),
    }  # fmt: skip
    for key in ("captions:../../secret", "version:7", "nonsense"):
        with pytest.raises(UsageError):
            service.comparisons.compare(entry, transcript, key)

    app = page(tab="Library", item=item_id)
    app.session_state["compare"] = True
    run_page(app)
    assert plural_text("compare_rows", len(differ)) in page_text(app)
    assert ":orange[~~rainfall~~] **snowfall**" in page_text(app)
    (button,) = (b for b in app.button if b.key == f"compare-{differ[0].start_s:.2f}")
    button.click()
    run_page(app)
    assert app.query_params["t"] in (str(int(differ[0].start_s)), [str(int(differ[0].start_s))])


def _clock(seconds: float) -> str:
    return f"00:{int(seconds) // 60:02}:{seconds % 60:06.3f}"
