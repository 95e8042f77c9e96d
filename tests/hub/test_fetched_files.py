"""Files of a complete model that change on the disk, and models of other programs."""

from __future__ import annotations

import json
import os

import pytest

from kb.asr.engines.model_check import RECOGNIZER
from kb.errors import KBError
from kb.hub import cache, records
from kb.hub.models import known_ready, ready, verify
from tests.fakes.hub import LISTING, FakeHub, Fault
from tests.support.hub_cache import (
    IMPATIENT,
    NAME,
    NEEDED,
    QUICK,
    SMALL,
    WEIGHTS,
    fetched,
    hub,
    rubbish,
    same_bytes,
    small_files,
)
from tests.support.raising import raises

__all__ = ["hub"]

pytestmark = pytest.mark.slow  # not one of them, but all of them together


@pytest.mark.parametrize("name", sorted(NEEDED))
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "empty"])
def test_damage_on_the_disk_is_fetched_again_by_itself(
    hub: FakeHub, name: str, damage: str
) -> None:
    path = fetched().folder / name
    blob = path.resolve()
    data = blob.read_bytes()
    if damage == "gone":
        path.unlink()
        blob.unlink()
    else:
        half = len(data) // 2
        flipped = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
        blob.write_bytes({"cut": data[:half], "flip": flipped, "empty": b""}[damage])
        status = blob.stat()
        os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns + 5_000_000))
    hub.sent.clear()
    assert same_bytes(fetched(), hub) and rubbish() == []
    assert hub.sent == [name]


def test_damage_without_a_hub_is_named(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    record = fetched()
    (record.folder / SMALL).resolve().write_bytes(b"{}")
    hub.always[LISTING] = Fault(status=503)
    with raises(KBError, "model.files_damaged", name=NAME, files=SMALL) as caught:
        fetched(conduct=IMPATIENT)
    assert caught.value.retryable


def test_verification_reads_what_size_and_time_do_not_show(hub: FakeHub) -> None:
    record = fetched()
    blob = (record.folder / WEIGHTS).resolve()
    status = blob.stat()
    data = bytearray(blob.read_bytes())
    data[5000] ^= 1
    blob.write_bytes(data)
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))
    moved: list[tuple[int, int]] = []
    found, damaged = verify(NAME, lambda done, size: moved.append((done, size)))
    assert damaged == (WEIGHTS,) and found is not None and moved[-1] == (record.size, record.size)
    assert same_bytes(fetched(), hub)
    assert verify(NAME)[1] == ()


def test_a_touched_file_is_compared_and_kept(hub: FakeHub) -> None:
    record = fetched()
    os.utime((record.folder / WEIGHTS).resolve())
    hub.requests.clear()
    assert fetched().files[WEIGHTS].sha256 == record.files[WEIGHTS].sha256
    assert hub.requests == []


def forget_record() -> None:
    records.forget(cache.repository_folder(NAME))


def test_a_model_of_another_program_is_taken_as_it_is(hub: FakeHub) -> None:
    record = fetched()
    forget_record()
    hub.sent.clear()
    assert fetched().files == record.files
    assert hub.sent == []
    forget_record()
    hub.always[LISTING] = Fault(status=503)
    assert fetched().files.keys() >= record.files.keys()  # by the names of its blobs


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_file_that_the_other_program_lost_is_fetched(hub: FakeHub, name: str) -> None:
    path = fetched().folder / name
    path.resolve().unlink()
    path.unlink()
    forget_record()
    hub.sent.clear()
    assert same_bytes(fetched(), hub) and hub.sent == [name]


def test_a_newer_commit_does_not_mix_with_the_one_that_is_here(hub: FakeHub) -> None:
    record = fetched()
    hub.commit = "f" * 40
    hub.repositories[NAME] = {**small_files(), "config.json": b'{"model_type": "newer"}'}
    assert fetched() == record
    again = ready(NAME, RECOGNIZER, again=True, conduct=QUICK)
    assert again.commit == "f" * 40 and same_bytes(again, hub)
    assert known_ready(NAME) == again


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 99}', "\x00\xff"])
def test_a_damaged_record_is_no_record(hub: FakeHub, text: str) -> None:
    record = fetched()
    path = records.record_path(cache.repository_folder(NAME))
    path.write_text(text)
    assert known_ready(NAME) is None
    assert fetched().files == record.files
    assert json.loads(path.read_text())["version"] == 1
