"""Expected errors of items read before, after an edit, and wherever an item is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.asr.quality.expected_errors import with_expected_errors
from kb.cli import run
from kb.service import Service
from kb.settings import get_settings
from kb.types import Coverage, SoundFacts, Transcript
from tests.support.library_pages import add_item


def unsure(transcript: Transcript, probability: float = 0.4) -> Transcript:
    """Return the transcript with all words of one probability."""
    segments = tuple(
        replace(s, words=tuple(replace(w, probability=probability) for w in s.words))
        for s in transcript.segments
    )
    return replace(transcript, segments=segments, coverage=Coverage(50.0, 50.0))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set a separate empty library; yield its folder."""
    for name, value in {"KB_HOME": str(tmp_path / "library"), "KB_SINKS": "local"}.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = run(list(arguments))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out + printed.err


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found = json.loads(output(capsys, *arguments, "--json"))
    assert isinstance(found, dict)
    return found


def forget(service: Service, item_id: str) -> None:
    """Make the item's files those of a version that did not know expected errors."""
    entry = service.library.find(item_id)
    assert entry is not None
    assert entry.transcript_path is not None
    path = entry.transcript_path
    exact = json.loads(path.read_text("utf-8"))
    for name in ("expected_errors", "unsure", "sound"):
        exact.pop(name, None)
    exact["coverage"]["grade"] = "A"
    path.write_text(json.dumps(exact), "utf-8")
    known = {k: v for k, v in entry.transcribed.items() if k not in ("expected_errors", "sha256")}
    known["coverage"] = {**known["coverage"], "grade": "A"}
    service.library.amend(item_id, {"transcribed": known})
    service.queue.items.record_review(item_id, "A")


def test_an_item_read_before_gets_them_on_the_next_reindex(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    item_id = add_item(change=unsure)
    forget(service, item_id)
    assert document(capsys, "status")["items"][0]["expected_errors"] is None
    entry = service.items.entry(item_id)
    text = (entry.text_path or Path()).read_bytes()

    assert service.search.reindex().judged == 1

    entry = service.items.entry(item_id)
    assert entry.transcript_path is not None
    exact = json.loads(entry.transcript_path.read_text("utf-8"))
    assert exact["coverage"]["grade"] == entry.grade == "C"
    assert exact["expected_errors"] == entry.expected_errors
    assert entry.expected_errors is not None
    assert entry.expected_errors >= 0.2
    assert exact["unsure"]
    (shown,) = document(capsys, "status")["items"]
    assert (shown["grade"], shown["expected_errors"]) == ("C", entry.expected_errors)
    # A state that a person knows does not change by it; the item is listed for review.
    assert shown["state"] == "done"
    assert [found.item.id for found in service.review.waiting()] == [item_id]
    assert (entry.text_path or Path()).read_bytes() == text
    assert all(hit.expected_errors for hit in service.search.run("harbour").hits)

    written = entry.transcript_path.stat().st_mtime_ns
    assert service.search.reindex().judged == 0
    assert entry.transcript_path.stat().st_mtime_ns == written


def test_a_file_changed_by_hand_still_differs_from_its_hash_after_a_reindex(
    service: Service,
) -> None:
    item_id = add_item(change=unsure)
    entry = service.items.entry(item_id)
    assert entry.transcript_path is not None
    recorded = entry.transcribed["sha256"]
    service.search.reindex()
    assert service.items.entry(item_id).transcribed["sha256"] != recorded  # ours, written again
    recorded = service.items.entry(item_id).transcribed["sha256"]
    entry.transcript_path.write_text(
        entry.transcript_path.read_text("utf-8").replace("0.4", "0.5"), "utf-8"
    )
    assert service.search.reindex().judged == 1
    assert service.items.entry(item_id).transcribed["sha256"] == recorded


@pytest.mark.parametrize("engine", ["parakeet", "imported"])
def test_an_engine_that_is_not_calibrated_stays_as_it_is(
    service: Service, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    item_id = add_item(change=lambda found: replace(unsure(found), engine=engine))
    assert service.search.reindex().judged == 0
    shown = document(capsys, "show", item_id)
    assert (shown["grade"], shown["expected_errors"]) == ("A", None)
    assert shown["transcript"]["expected_errors"] is None
    assert "not measured" in output(capsys, "show", item_id)


@pytest.mark.slow
def test_words_written_by_hand_are_sure(service: Service) -> None:
    item_id = add_item(change=lambda found: with_expected_errors(unsure(found)))
    before = service.items.entry(item_id)
    assert before.grade == "C"
    for number in range(len(service.items.transcript(item_id).segments)):
        service.revisions.edit(item_id, number, f"other words in line {number}")
    after = service.items.entry(item_id)
    assert after.grade == "A"
    assert after.expected_errors is not None
    assert after.expected_errors < 0.01
    assert service.items.status(item_id).expected_errors == after.expected_errors
    assert service.items.transcript(item_id).expected_errors is not None


def test_every_way_of_showing_an_item_has_them(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    causes = ("narrow_band", "clipped", "very_quiet", "reverberant", "fast")
    item_id = add_item(
        change=lambda found: with_expected_errors(
            replace(unsure(found, 0.6), sound=SoundFacts(-60.0, -70.0, 3500.0, causes=causes))
        )
    )
    entry = service.items.entry(item_id)
    share = entry.expected_errors
    assert share is not None
    assert (entry.grade, entry.state) == ("C", "held")
    assert entry.problem is not None
    assert entry.problem["code"] == "hold.wrong_words"
    shown = document(capsys, "show", item_id)
    assert shown["expected_errors"] == shown["transcript"]["expected_errors"] == share
    assert shown["transcript"]["sound"]["causes"] == list(causes)
    printed = output(capsys, "show", item_id)
    for part in ("about 1 word in", "telephone", "clipped", "quietly", "echoes", "fast",
                 "KB_NORMALIZE_LOUDNESS", "larger model"):  # fmt: skip
        assert part in printed, part
    assert document(capsys, "review", item_id)["expected_errors"] == share
    assert "1 word in" in output(capsys, "review", item_id)
    assert "1 word in" in output(capsys, "export", item_id, "--format", "md")
    exported = json.loads(output(capsys, "export", item_id, "--format", "json"))
    assert exported["expected_errors"] == share
    hits = document(capsys, "search", "harbour")["hits"]
    assert all(hit["expected_errors"] > 0.2 for hit in hits)
    assert "1 word in" in output(capsys, "search", "harbour")
    # Accepted by a person, it is done, and its grade stays what it is.
    service.review.accept(item_id)
    assert (service.items.status(item_id).state, service.items.status(item_id).grade) == (
        "done",
        "C",
    )
    assert service.items.status(item_id).expected_errors == share
