"""Retention: media of a source are deleted by its terms, and only where nothing else is lost."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import items
from kb.errors import KBError
from kb.jobs import retention
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.order import SOURCE
from kb.library import Library, LibraryEntry
from kb.library.audit import AuditLog
from kb.library.identity import make_identity
from kb.library.metadata import TRANSCRIPT_SUFFIX
from kb.library.versions import Versions
from kb.options import SourceOptions
from kb.service import Service
from kb.sources.subscriptions import Subscriptions
from kb.transcript.formats import json_document
from kb.types import Segment
from tests.support.items import item
from tests.support.kept_transcripts import transcript
from tests.support.queue_store import Queue

NOW = time.time()
DAY_S = 86_400.0
MB = 1_000_000
SEGMENT = Segment(0.0, 1.0, "Hello there", ())
OTHER = {TRANSCRIPT_SUFFIX: "0" * 64}


class Kept:
    """A library and its table, with items of followed sources."""

    def __init__(self, store: ItemStore, home: Path) -> None:
        self.store = store
        self.library = Library(home)
        self.library.prepare()
        self.subscriptions = Subscriptions(store.database, self.library)

    def follow(self, reference: str, **terms: Any) -> str:
        options = SourceOptions(**terms).checked().as_dict()
        return self.subscriptions.follow(reference, options=options).key

    def add(
        self,
        number: int,
        source: str,
        *,
        days: float = 0.0,
        state: str = "done",
        size: int = 10,
        changes: Mapping[str, Any] | None = None,
        transcribed: Mapping[str, Any] | None = None,
    ) -> str:
        """Add an item with a medium of `size` bytes, transcribed `days` ago."""
        made = replace(
            item(number), id=f"youtube:video{number:06}", published=f"2026-03-{number % 28 + 1:02}"
        )
        self.store.submit([made], {SOURCE: source}, Queue())
        with self.store.database.begin() as connection:
            change = sa.update(items).where(items.c.id == made.id)
            connection.execute(change.values(state=state))
        medium = self.library.home / "medium.webm"
        medium.write_bytes(b"\0")
        with medium.open("r+b") as file:
            file.truncate(size)
        self.library.add_media(made, medium, link=False)
        medium.unlink()
        exact = json.dumps(json_document.to_document(transcript(SEGMENT)))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - days * DAY_S))
        record = {"state": state, "transcribed": {"at": at, "run": 1}, SOURCE: source or None}
        entry = self.library.write_transcript(made, "text", exact, record)
        merged = {**entry.transcribed, **(transcribed or {})}
        self.library.amend(made.id, {**(changes or {}), "transcribed": merged})
        return made.id

    def entry(self, item_id: str) -> LibraryEntry:
        entry = self.library.find(item_id)
        assert entry is not None
        return entry

    def apply(self, now: float = NOW) -> dict[str, str]:
        """Return the rule of each deleted medium by the number of its item."""
        found = retention.apply(self.library, self.store, self.subscriptions.list(), now)
        return {each.item_id.removeprefix("youtube:video").lstrip("0"): each.rule for each in found}


@pytest.fixture
def kept(store: ItemStore, tmp_path: Path) -> Kept:
    return Kept(store, tmp_path / "home")


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({}, {}),
        ({"per_hour": 1}, {}),
        ({"keep_days": 30}, {"1": "keep_days", "2": "keep_days"}),
        ({"keep_days": 100}, {}),
        ({"keep_newest": 2}, {"1": "keep_newest", "2": "keep_newest"}),
        ({"keep_newest": 4}, {}),
        ({"keep_gb": 0.1}, {"1": "keep_gb"}),
        ({"keep_gb": 0.2}, {}),
        ({"keep_newest": 3, "keep_gb": 0.1}, {"1": "keep_newest"}),
        ({"keep_days": 30, "keep_newest": 3}, {"1": "keep_days", "2": "keep_days"}),
    ],
)
def test_the_media_over_the_limits_go(
    terms: dict[str, Any], expected: dict[str, str], kept: Kept
) -> None:
    key = kept.follow("@talks", **terms)
    for number, days in ((1, 90.0), (2, 31.0), (3, 29.0), (4, 1.0)):
        kept.add(number, key, days=days, size=30 * MB)
    kept.add(5, "", days=500.0, size=30 * MB)  # taken in by hand
    assert kept.apply() == expected
    assert kept.apply() == {}
    for number in range(1, 6):
        entry = kept.entry(f"youtube:video{number:06}")
        gone = str(number) in expected
        assert (entry.media_path is None) == gone == bool(entry.retention)
        assert entry.transcript_path is not None and entry.text_path is not None
        assert entry.state == "done" and entry.medium_place  # its passages stay the same
        if gone:
            assert entry.retention["rule"] == expected[str(number)]
            assert entry.retention["bytes"] == 30 * MB
    recorded = AuditLog(kept.library.home, "").read()
    assert [each["what"] for each in recorded] == ["delete media"] * bool(expected)


@pytest.mark.parametrize(
    ("how", "goes"),
    [
        ({}, True),
        ({"state": "held"}, False),
        ({"state": "failed"}, False),
        ({"state": "cancelled"}, False),
        ({"state": "queued"}, False),
        ({"state": "running"}, False),
        ({"state": "waiting"}, False),
        ({"changes": {"state": "held"}}, False),
        # Doubtful places wait for a person, who may listen to them.
        ({"transcribed": {"coverage": {"grade": "C", "suspect_s": 4.0}}}, False),
        ({"transcribed": {"coverage": {"grade": "B", "suspect_s": 4.0}}}, False),
        ({"transcribed": {"coverage": {"grade": "B", "suspect_s": 4.0}},
          "changes": {"review": {"accepted": True, "run": 1}}}, True),
        ({"transcribed": {"coverage": {"grade": "A", "suspect_s": 0.4}}}, True),
        ({"transcribed": {"expected_errors": 0.5, "coverage": {"grade": "C"}}}, False),
        # Changes by hand that the transcript has.
        ({"transcribed": {"revised": {"times": 2}}}, True),
        ({"transcribed": {"revised": {"times": 2}, "sha256": OTHER}}, False),
        ({"transcribed": {"revised": {"times": 2}, "sha256": None}}, False),
        ({"transcribed": {"sha256": None}}, True),
        ({"transcribed": {"at": "never"}}, False),
        ({"days": -400.0}, False),  # written by a clock that was wrong
    ],
)  # fmt: skip
def test_only_a_medium_whose_words_are_safe_goes(
    how: dict[str, Any], goes: bool, kept: Kept
) -> None:
    item_id = kept.add(1, kept.follow("@talks", keep_days=30), **{"days": 40.0, **how})
    assert bool(kept.apply()) is goes
    assert (kept.entry(item_id).media_path is None) is goes


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "other words"])
def test_a_damaged_transcript_keeps_its_medium(damage: str, kept: Kept) -> None:
    item_id = kept.add(1, kept.follow("@talks", keep_days=30), days=40.0)
    path = kept.entry(item_id).transcript_path
    assert path is not None
    exact = path.read_text()
    damaged = {"empty": "", "cut": exact[:50], "other words": exact.replace("Hello", "Other")}
    if damage == "gone":
        path.unlink()
    else:
        path.write_text(damaged[damage] + (" " if damage == "other words" else ""))
    assert kept.apply() == {}
    assert kept.entry(item_id).media_path is not None


def test_each_source_has_its_own_terms(kept: Kept) -> None:
    strict, all_kept = kept.follow("@a", keep_newest=1), kept.follow("@b")
    for number in range(1, 4):
        kept.add(number, strict)
        kept.add(number + 10, all_kept)
    assert set(kept.apply()) == {"1", "2"}
    kept.subscriptions.unfollow("@a")
    kept.follow("@b", keep_newest=2)
    assert set(kept.apply()) == {"11"}


def test_a_deletion_that_a_kill_interrupted_is_completed(kept: Kept) -> None:
    item_id = kept.add(1, kept.follow("@talks", keep_days=30), days=40.0)
    # The record is written before the medium is deleted.
    kept.library.amend(item_id, {"retention": {"at": "2026-01-01T00:00:00Z"}})
    assert kept.entry(item_id).retention == {}
    assert kept.apply() == {"1": "keep_days"}
    assert kept.entry(item_id).retention["rule"] == "keep_days"


def test_the_media_of_earlier_versions_go_with_it(kept: Kept) -> None:
    item_id = kept.add(1, kept.follow("@talks", keep_days=30), days=40.0)
    versions = Versions(kept.library)
    versions.keep(kept.entry(item_id))
    assert versions.of(item_id)[0].media_path is not None
    assert kept.apply()
    (version,) = versions.of(item_id)
    assert version.media_path is None and version.transcript_path is not None


def test_a_medium_that_comes_back_has_no_such_record(kept: Kept, tmp_path: Path) -> None:
    item_id = kept.add(1, kept.follow("@talks", keep_days=30), days=40.0)
    assert kept.apply()
    medium = tmp_path / "again.webm"
    medium.write_bytes(b"sound")
    entry = kept.library.add_media(kept.entry(item_id).item, medium, link=False)
    assert entry.media_path is not None and "retention" not in entry.record
    assert hashlib.sha256(entry.media_path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_verify_counts_the_deleted_media_and_the_review_names_the_cause(home: Path) -> None:
    service = Service()
    kept = Kept(service.queue.items, home)
    item_id = kept.add(1, kept.follow("@talks", keep_days=30), days=40.0)
    assert kept.apply()
    report = service.verification.run(mend=False)
    assert report.deleted_by_retention == 1
    assert "medium_missing" not in {each.kind for each in report.findings}
    with pytest.raises(KBError) as caught:
        service.review.clip(item_id, 0.0, 1.0, home.parent / "clip.wav")
    assert caught.value.code == "review.medium_deleted"
    kept.library.amend(item_id, {"retention": None})
    kinds = {each.kind for each in service.verification.run(mend=False).findings}
    assert "medium_missing" in kinds
    service.close()


@pytest.mark.skipif(sys.platform != "linux", reason="paths through descriptors")
def test_record_and_medium_agree_if_the_share_goes_away_between_them(
    kept: Kept, tmp_path: Path
) -> None:
    """It is unmounted while the deletion is recorded; the next run makes both agree."""
    home, away = kept.library.home, tmp_path / "away"
    item_id = kept.add(1, kept.follow("@talks", keep_days=30), days=90.0)
    kept.library.belong_to(make_identity(home))

    @contextmanager
    def row_lock(item_id: str) -> Iterator[None]:
        home.rename(away)
        home.mkdir()
        yield

    free, kept.library.row_lock = kept.library.row_lock, row_lock
    assert kept.apply() == {}
    assert list(home.iterdir()) == []
    home.rmdir()
    away.rename(home)
    kept.library.row_lock = free
    assert kept.apply() == {"1": "keep_days"}
    entry = kept.entry(item_id)
    assert entry.media_path is None and entry.retention
    kept.library.belong_to("")
