"""What a mass action did can be taken back by one command."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from kb.cli import run
from kb.jobs.queue.partial_files import with_parts
from kb.options import RunOptions
from kb.service import Service
from tests.support.items import item


def test_cancel_all_and_retry_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    service = Service()
    service.library.prepare()
    ids, _ = service.queue.submit([item(n) for n in range(5)], RunOptions())
    service.queue.pause(ids[:1])
    assert run(["cancel"]) == 2 and run(["retry"]) == 2
    capsys.readouterr()
    assert run(["cancel", "--all"]) == 0
    assert "kb retry --cancelled" in capsys.readouterr().err
    assert service.queue.counts()["cancelled"] == 5
    assert run(["retry", "--failed"]) == 0
    assert service.queue.counts()["cancelled"] == 5
    assert run(["retry", "--cancelled"]) == 0
    assert service.queue.counts()["queued"] == 5
    service.queue.cancel(ids)
    assert run(["retry", "--all"]) == 0
    assert service.queue.counts()["queued"] == 5
    service.close()


def test_no_ids_are_no_items_and_none_is_all_of_them() -> None:
    service = Service()
    service.library.prepare()
    ids, _ = service.queue.submit([item(n) for n in range(3)], RunOptions())
    assert len(service.items.statuses()) == len(service.queue.summaries()) == 3
    for few in ([], ids[:1], ids):
        assert {each.id for each in service.items.statuses(ids=few)} == set(few)
        assert sorted(service.queue.states_of(few)) == sorted(few)
    assert service.queue.pause([]) == service.queue.resume([]) == service.queue.cancel([]) == []
    assert service.queue.lanes() == [] and service.queue.counts()["queued"] == 3
    assert service.machines.speeds([]) == []
    service.queue.pause()
    service.queue.resume([])
    assert len(service.queue.lanes()) == 1
    service.queue.resume()
    assert service.queue.lanes() == []
    service.close()


def test_cancelled_publications_come_back_too() -> None:
    service = Service()
    service.library.prepare()
    service.queue.send("youtube:aaaaaaaaaaa", ["odin"])
    service.queue.cancel_publications(["youtube:aaaaaaaaaaa"])
    assert service.queue.retry_cancelled() == ["youtube:aaaaaaaaaaa"]
    service.close()


def test_a_newer_copy_of_a_file_is_named() -> None:
    service = Service()
    service.library.prepare()
    old, other = item(1), item(2)
    service.queue.submit([old, other], RunOptions())
    newer = replace(old, id="file:00000000000f")
    assert service.queue.items.earlier_copies([newer, other]) == {newer.id: [old.id]}
    (note,) = service.ingest._newer_copies([newer, other])
    assert old.id in note and newer.id in note
    service.close()


@pytest.mark.parametrize(
    ("earlier", "whole", "is_part"),
    [
        (b"first half", b"first half and the rest", True),
        (b"f", b"first half and the rest", True),
        (b"x" * 3_000_000, b"x" * 3_000_001, True),
        (b"first half", b"First half and the rest", False),  # tags changed in place
        (b"first half and the rest", b"first half", False),  # the newer one is shorter
        (b"first half", b"other sound", False),
        (b"first half", b"FIRST HALF", False),  # as long
        (b"", b"first half", False),
        (b"first half", None, False),  # gone meanwhile
    ],
)
def test_a_part_of_a_file_is_named_as_a_part(
    tmp_path: Path, earlier: bytes, whole: bytes | None, is_part: bool
) -> None:
    service = Service()
    service.library.prepare()
    path = tmp_path / "talk.ogg"
    address = path.as_uri()
    digest = hashlib.sha256(earlier).hexdigest()
    facts = {"path": str(path), "size": len(earlier), "sha256": digest}
    old = replace(item(1), source="file", url=address, extra=facts)
    service.queue.submit([old], RunOptions())
    if whole is not None:
        path.write_bytes(whole)
    newer = replace(old, id="file:00000000000f", extra={"path": str(path)})
    (note,) = service.ingest._newer_copies(with_parts(service.queue.items, [newer]))
    assert old.id in note and newer.id in note
    assert ("only the beginning" in note) == is_part
    service.close()
