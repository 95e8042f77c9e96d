"""New versions of items whose source has replaced the medium, and the earlier transcripts."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kb.database import items as table
from kb.errors import KBError
from kb.jobs.queue import renewals, request_settings
from kb.jobs.queue.item_states import ItemRow
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.renewals import Verdict, judge
from kb.jobs.queue.source_facts import refresh_known
from kb.library import Library, LibraryEntry
from kb.library.trash import Trash
from kb.library.versions import Version, Versions
from kb.pipeline import stages
from kb.pipeline.hold import ASKED, is_asked, waits_for_review
from kb.service import Service
from kb.sources.base import FetchResult, Progress, no_progress
from kb.types import MediaItem, MediaRef, Segment
from tests.support.kept_transcripts import transcript
from tests.support.queue_store import Queue

ITEM = MediaItem(
    "youtube:abcdefghijk", "youtube", "https://www.youtube.com/watch?v=abcdefghijk", "Rivers",
    "2026-03-01", 600.0, "Talks", extra={"published_at": "2026-03-01T09:00:00Z"},
)  # fmt: skip
REVISED = {"transcribed": {"run": 1, "revised": {"times": 2}}}
IN_ODIN = {"published": {"odin": {"status": "synced", "content_sha256": "1f"}}}
OWN_HOLD = {"code": "hold.truncated", "values": {}}


def sound(path: Path, seconds: float) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\1\0" * int(8000 * seconds))
    return path


class Site:
    """A source that sends one file."""

    name = "youtube"

    def __init__(self, path: Path) -> None:
        self.path = path

    def fetch(self, item: MediaItem, folder: Path, progress: Progress = no_progress) -> FetchResult:
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"fetched{self.path.suffix}"
        shutil.copyfile(self.path, copy)
        from kb.media import sha256_of

        return FetchResult(item, copy, sha256_of(copy), temporary=True)


def in_this_look(options: Mapping[str, Any]) -> dict[str, Any]:
    return {**options, request_settings.ASKED: "the look"}


class Place:
    """A library with one item that is done."""

    def __init__(self, store: ItemStore, library: Library, folder: Path) -> None:
        self.store = store
        self.library = library
        self.folder = folder
        self.queue = Queue()
        library.prepare()
        store.submit([ITEM], {"preset": "max"}, self.queue)
        self.fetch(sound(folder / "first.wav", 6.0), ITEM)
        self.write("First words", 1)
        self.set_state("done")

    def set_state(self, state: str, changes: Mapping[str, Any] | None = None) -> None:
        with self.store.database.begin() as connection:
            connection.execute(sa.update(table).values(state=state))
        if changes:
            entry = self.entry
            merged = {**entry.transcribed, **changes.get("transcribed", {})}
            self.library.amend(ITEM.id, {**changes, "transcribed": merged})

    def fetch(self, path: Path, item: MediaItem) -> None:
        stages.ensure_media(self.library, item, lambda *_: None, Site(path))

    def write(self, words: str, run: int) -> None:
        made = transcript(Segment(0.0, 1.0, words, ()))
        made = replace(made, media=MediaRef("media/a.wav", self.entry.sha256, 6.0))
        stages.write(self.library, self.entry.item, made, 0.0, run=run)

    @property
    def entry(self) -> LibraryEntry:
        entry = self.library.find(ITEM.id)
        assert entry is not None
        return entry

    @property
    def row(self) -> ItemRow:
        row = self.store.read(ITEM.id)
        assert row is not None
        return row

    @property
    def text(self) -> str:
        return stages.read_transcript(self.library, self.entry).text.strip()

    @property
    def versions(self) -> list[Version]:
        return Versions(self.library).of(ITEM.id)

    def look(self, duration_s: float | None = 480.0, **facts: Any) -> None:
        """Let a look find the item with this length."""
        found = replace(ITEM, duration_s=duration_s, **facts)
        refresh_known(self.store, self.library, [found], self.queue, ask=in_this_look)


@pytest.fixture
def place(store: ItemStore, tmp_path: Path) -> Place:
    return Place(store, Library(tmp_path / "home"), tmp_path)


@pytest.mark.parametrize(
    ("state", "changes", "found_s", "expected"),
    [
        ("done", {}, 600.0, Verdict.SAME),
        ("done", {}, 601.0, Verdict.SAME),
        ("done", {}, 598.0, Verdict.SAME),
        ("done", {}, None, Verdict.SAME),
        ("done", {}, 0.0, Verdict.SAME),
        ("done", {}, 597.0, Verdict.RENEW),
        ("done", {}, 480.0, Verdict.RENEW),
        ("done", {}, 720.0, Verdict.RENEW),
        ("held", {}, 480.0, Verdict.RENEW),
        ("done", REVISED, 480.0, Verdict.ASK),
        ("done", IN_ODIN, 480.0, Verdict.ASK),
        ("done", {"published": {"local": {"content_sha256": "1f"}}}, 480.0, Verdict.RENEW),
        ("done", {"published": {"odin": {"status": "failed"}}}, 480.0, Verdict.RENEW),
        ("done", REVISED, 601.0, Verdict.SAME),
        ("running", {}, 480.0, Verdict.LATER),
        ("queued", {}, 480.0, Verdict.LATER),
        ("failed", {}, 480.0, Verdict.LATER),
        ("cancelled", {}, 480.0, Verdict.LATER),
    ],
)  # fmt: skip
def test_what_another_length_means(
    state: str, changes: Mapping[str, Any], found_s: float | None, expected: Verdict, place: Place
) -> None:
    place.set_state(state, changes)
    found = replace(ITEM, duration_s=found_s)
    assert judge(place.entry, place.row, found) is expected
    assert judge(None, place.row, found) is Verdict.SAME


@pytest.mark.parametrize("state", ["queued", "waiting", "failed", "cancelled"])
def test_a_medium_without_a_transcript_is_fetched_again_when_its_turn_comes(
    state: str, place: Place
) -> None:
    for path in (place.entry.transcript_path, place.entry.text_path):
        assert path is not None
        path.unlink()
    place.set_state(state)
    place.look(480.0)
    assert (place.row.state, place.row.run) == (state, 1)
    assert place.row.item.duration_s == 480.0 and place.entry.renewal
    place.fetch(sound(place.folder / "second.wav", 4.0), place.row.item)
    assert not place.entry.renewal and place.versions == []


@pytest.mark.parametrize("form", [".wav", ".m4a"])
def test_a_replaced_medium_makes_a_new_version(form: str, place: Place) -> None:
    first = place.entry.media_path
    assert first is not None
    content = first.read_bytes()
    place.look(480.0, title="Rivers, shorter")
    assert (place.row.state, place.row.run, place.row.options["preset"]) == ("queued", 2, "max")
    assert (
        place.row.options[request_settings.ASKED] == "the look"
    )  # the item had none of a request of its own
    assert (place.row.title, place.row.item.duration_s) == ("Rivers, shorter", 480.0)
    assert place.text == "First words" and place.versions == []
    place.look(480.0, title="Rivers, shorter")  # a second look changes nothing
    assert place.row.run == 2
    second = sound(place.folder / "second.wav", 4.0).rename(place.folder / f"second{form}")
    for _ in range(2):  # a step may run again at any time
        place.fetch(second, place.row.item)
        (kept,) = place.versions
        assert (kept.number, kept.state, kept.title) == (1, "replaced", "Rivers, shorter")
    assert place.entry.media_path is not None and place.entry.media_path.suffix == form
    assert place.entry.media_path.read_bytes() == second.read_bytes()
    assert first.exists() is (form == ".wav")
    assert place.text == "First words"  # searchable until the new one is there
    place.write("Second words", 2)
    assert place.text == "Second words"
    assert kept.media_path is not None and kept.media_path.read_bytes() == content
    assert kept.text_path is not None and "First words" in kept.text_path.read_text()
    assert kept.transcribed["run"] == 1
    assert not place.entry.renewal and place.entry.item.duration_s == 480.0


def test_further_versions_are_counted_and_outlive_a_reindex(place: Place) -> None:
    for run, seconds in ((2, 5.0), (3, 4.0)):
        place.look(600.0 - 60.0 * run)
        place.fetch(sound(place.folder / f"{run}.wav", seconds), place.row.item)
        place.write(f"Words {run}", run)
        place.set_state("done")
    assert [each.number for each in place.versions] == [1, 2]
    assert place.library.adopt().entries == ()
    assert len(place.library.scan().entries) == 1 and place.library.scan().problems == ()
    assert [each.number for each in place.versions] == [1, 2]


@pytest.mark.parametrize(
    ("found_s", "runs"), [(610.0, 1), (611.0, 1), (600.0, 1), (480.0, 2), (620.0, 2)]
)
def test_a_listing_with_another_length_than_the_page_makes_no_version_at_each_look(
    found_s: float, runs: int, place: Place
) -> None:
    place.library.write_metadata(replace(ITEM, extra={**ITEM.extra, "listed_s": 610.0}))
    for _ in range(3):
        place.look(found_s)
    assert place.row.run == runs


def test_a_version_that_is_kept_already_is_not_kept_again(place: Place) -> None:
    first = Versions(place.library).keep(place.entry)
    assert first is not None and Versions(place.library).keep(place.entry) == first
    # Killed before its facts were written: it is no version, and its place is used again.
    (first.transcript_path or Path()).with_name("version.json").unlink()
    assert place.versions == []
    again = Versions(place.library).keep(place.entry)
    assert again is not None and replace(again, replaced_at=first.replaced_at) == first


def test_the_same_medium_once_more_is_no_version(place: Place) -> None:
    place.look(480.0)
    place.fetch(place.folder / "first.wav", place.row.item)
    assert place.versions == [] and place.text == "First words"
    assert place.entry.transcribed["run"] == place.row.run == 2  # nothing is transcribed again


@pytest.mark.parametrize("changes", [REVISED, IN_ODIN, {**REVISED, **IN_ODIN}])
def test_a_person_is_asked_about_what_was_corrected_or_published(
    changes: Mapping[str, Any], place: Place
) -> None:
    place.set_state("done", changes)
    for _ in range(3):
        place.look(480.0, title="Rivers, shorter")
        assert (place.row.state, place.row.run, place.row.title) == ("held", 1, "Rivers, shorter")
        assert place.row.problem is not None and place.row.problem["code"] == ASKED
        assert is_asked(place.entry) and waits_for_review(place.entry)
        assert renewals.wanted_length_s(place.entry) == 480.0
    assert place.queue.put[-1][1] == 1  # nothing was queued
    place.look(420.0)
    assert renewals.wanted_length_s(place.entry) == 420.0


@pytest.mark.parametrize(
    ("before", "state"),
    [
        ({}, "done"),
        ({"state": "held", "error": "Cut.", "hint": "Look.", "problem": OWN_HOLD}, "held"),
    ],
)
def test_the_present_version_is_kept(before: Mapping[str, Any], state: str, place: Place) -> None:
    place.set_state(state, {**REVISED, **before})
    place.look(480.0)
    entry = renewals.keep(place.store, place.library, place.entry)
    assert (entry.state, entry.error) == (state, before.get("error", ""))
    assert (place.row.state, place.row.error) == (state, before.get("error", ""))
    assert not is_asked(entry) and place.text == "First words"
    place.look(480.0)  # it is not asked again about the same medium
    assert (place.row.state, is_asked(place.entry)) == (state, False)
    place.look(300.0)
    assert is_asked(place.entry)


def test_the_new_version_is_taken(place: Place) -> None:
    place.set_state("done", REVISED)
    place.look(480.0)
    renewals.take(place.store, place.library, place.entry, place.queue)
    assert (place.row.state, place.row.run, place.row.item.duration_s) == ("queued", 2, 480.0)
    assert not is_asked(place.entry) and place.entry.renewal["run"] == 2
    place.fetch(sound(place.folder / "second.wav", 4.0), place.row.item)
    place.write("Second words", 2)
    assert [each.transcribed["run"] for each in place.versions] == [1]


def test_a_removed_item_takes_its_versions_along_in_the_end(place: Place) -> None:
    place.look(480.0)
    place.fetch(sound(place.folder / "second.wav", 4.0), place.row.item)
    trash = Trash(place.library)
    from kb.jobs.removal import Removal
    from kb.settings import Settings

    place.set_state("done")
    removal = Removal(
        Settings(home=place.library.home), place.library, place.store.database, lambda *_: None
    )
    removed = removal.remove(ITEM.id, title="Rivers")
    assert len(place.versions) == 1
    removal.undo(removed)
    assert len(place.versions) == 1
    removed = removal.remove(ITEM.id, title="Rivers")
    trash.delete(removed)
    assert place.versions == []


@pytest.mark.slow
def test_the_answers_of_a_person(home: Path, tmp_path: Path) -> None:
    service = Service()
    place = Place(service.queue.items, service.library, tmp_path)
    with pytest.raises(KBError) as caught:
        service.review.renew(ITEM.id)
    assert caught.value.code == "review.not_asked"
    place.set_state("done", REVISED)
    place.look(480.0)
    assert [each.item.id for each in service.review.waiting()] == [ITEM.id]
    service.review.accept(ITEM.id)
    assert (place.row.state, list(service.review.waiting())) == ("done", [])
    place.look(420.0)
    service.review.renew(ITEM.id)
    assert (place.row.state, place.row.run) == ("queued", 2)
    place.fetch(sound(place.folder / "second.wav", 4.0), place.row.item)
    ((version, earlier),) = [service.items.version(ITEM.id, 1)]
    assert (version.state, earlier.text.strip()) == ("replaced", "First words")
    with pytest.raises(KBError) as caught:
        service.items.version(ITEM.id, 2)
    assert caught.value.code == "item.no_version"
    service.close()
