"""Changes of one item's metadata at the same time: none is lost, in threads and processes."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import pytest

from kb.errors import LibraryError
from kb.library import Library
from kb.pipeline import publish_record
from kb.types import MediaItem, Published
from tests.support.waiting import WAIT_S

ITEM = MediaItem("youtube:aaaaaaaaaaa", "youtube", "", "Talk", "2026-03-04")
TURNS = 15
THREADS = 3


def publish_often(home: Path, name: str, ready: threading.Event) -> None:
    """Notes that a knowledge base holds the item, as many threads of one process."""
    library = Library(home)

    def turn(thread: int) -> None:
        assert ready.wait(WAIT_S)
        for number in range(TURNS):
            sink = f"{name}-{thread}-{number}"
            publish_record.record_published(library, ITEM, Published(sink, "key", "00", "synced"))

    threads = [threading.Thread(target=turn, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.slow
def test_no_knowledge_base_writes_over_another(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.write_metadata(ITEM)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writers = [
        context.Process(target=publish_often, args=(tmp_path, f"sink{n}", ready)) for n in range(2)
    ]
    for writer in writers:
        writer.start()
    ready.set()
    for number in range(TURNS):  # and the worker goes on with the item meanwhile
        library.amend(ITEM.id, {"attempts": number, f"own{number}": True})
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    entry = library.find(ITEM.id)
    assert entry is not None
    assert len(entry.published) == 2 * THREADS * TURNS
    assert sum(name.startswith("own") for name in entry.record) == TURNS


def test_facts_of_the_library_are_not_lost_either(tmp_path: Path) -> None:
    def note(name: int) -> None:
        library = Library(tmp_path)
        for number in range(TURNS):
            library.write_facts({f"fact-{name}-{number}": number})

    threads = [threading.Thread(target=note, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(name.startswith("fact-") for name in Library(tmp_path).read_facts()) == 4 * TURNS


def test_amending_keeps_the_present_description_of_the_item(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.write_metadata(MediaItem(ITEM.id, "youtube", "", "A newer title", "2026-03-04"))
    publish_record.record_published(library, ITEM, Published("odin", "key", "00", "synced"))
    entry = library.find(ITEM.id)
    assert entry is not None and entry.item.title == "A newer title"
    assert library.amend("youtube:unknown0000", {"attempts": 1}) is None
    assert len(library.entries()) == 1


def test_one_thread_may_enter_twice_and_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kb.storage.locks.LOCK_TIMEOUT_S", 0.05)
    library, raised = Library(tmp_path), []

    def other() -> None:
        try:
            library.amend(ITEM.id, {"attempts": 1})
        except LibraryError as error:
            raised.append(error)

    with library.metadata_lock(ITEM.id), library.metadata_lock(ITEM.id):
        library.write_metadata(ITEM)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        (error,) = raised
        assert error.retryable and error.hint
    other()
    assert len(raised) == 1
    entry = library.find(ITEM.id)
    assert entry is not None and entry.attempts == 1
