"""What a mass action did can be taken back by one command."""

from __future__ import annotations

import pytest

from kb.cli import run
from kb.service import Service
from tests.support.items import item


def test_cancel_all_and_retry_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    service = Service()
    service.library.prepare()
    from kb.options import RunOptions

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


def test_cancelled_publications_come_back_too() -> None:
    service = Service()
    service.library.prepare()
    service.queue.send("youtube:aaaaaaaaaaa", ["odin"])
    service.queue.cancel_publications(["youtube:aaaaaaaaaaa"])
    assert service.queue.retry_cancelled() == ["youtube:aaaaaaaaaaa"]
    service.close()


def test_a_newer_copy_of_a_file_is_named() -> None:
    from dataclasses import replace

    from kb.options import RunOptions

    service = Service()
    service.library.prepare()
    old, other = item(1), item(2)
    service.queue.submit([old, other], RunOptions())
    newer = replace(old, id="file:00000000000f")
    assert service.queue.items.earlier_copies([newer, other]) == {newer.id: [old.id]}
    (note,) = service.ingest._newer_copies([newer, other])
    assert old.id in note and newer.id in note
    service.close()
