"""Models that other programs have fetched into the same cache: used, and not removed unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.cli.main import run
from kb.errors import ModelUnavailable
from kb.hub import cache, records
from kb.hub.models import known_ready, remove
from tests.fakes.hub import FakeHub, git_blob
from tests.support.hub_cache import NAME, fetched, hub_at, same_bytes, small_files
from tests.support.raising import raises

pytestmark = pytest.mark.slow  # not one of them, but all of them together


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("KB_DEVICE", "cpu")
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: small_files()})) as found:
        yield found


def by_another_program(hub: FakeHub) -> None:
    """Leave a model as the hub's own client does: complete, and without a record."""
    fetched()
    records.forget(cache.repository_folder(NAME))
    hub.sent.clear()


def add_foreign(name: str, commit: str, data: bytes) -> Path:
    """Add a file of another program to the model's folder; return its path in the snapshot."""
    place = cache.repository_folder(NAME)
    blob = place / "blobs" / git_blob(data)
    blob.write_bytes(data)
    path = place / "snapshots" / commit / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(blob)
    return path


def test_a_model_of_another_program_is_removed_only_if_that_is_said(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    by_another_program(hub)
    assert known_ready(NAME) is None and not fetched().fetched and hub.sent == []
    assert run(["models", "remove", NAME]) == 2
    assert "--shared" in capsys.readouterr().err and same_bytes(fetched(), hub)
    assert run(["models", "remove", NAME, "--shared", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_bytes"] == 0
    assert not cache.repository_folder(NAME).exists()


def test_a_damaged_file_that_is_fetched_again_does_not_make_the_model_ours(hub: FakeHub) -> None:
    by_another_program(hub)
    (fetched().folder / "tokenizer.json").resolve().write_bytes(b"{}")
    assert not fetched().fetched and hub.sent == ["tokenizer.json"]
    with raises(ModelUnavailable, "model.shared", name=NAME):
        remove(NAME)


def test_files_that_another_program_has_added_to_our_model_stay(hub: FakeHub) -> None:
    record = fetched()
    assert record.fetched
    extra = add_foreign("onnx/model.onnx", record.commit, b"another form" * 99)
    found = remove(NAME)
    assert found.removed >= record.size and found.left >= 99 * 12
    assert extra.read_bytes() == b"another form" * 99
    assert [path.name for path in extra.parent.parent.iterdir()] == ["onnx"]
    assert known_ready(NAME) is None
    assert same_bytes(fetched(), hub) and extra.is_file()


def test_bytes_that_another_commit_shares_stay(hub: FakeHub) -> None:
    record = fetched()
    blob = (record.folder / "config.json").resolve()
    other = cache.repository_folder(NAME) / "snapshots" / ("d" * 40) / "config.json"
    other.parent.mkdir()
    other.symlink_to(blob)
    remove(NAME)
    assert other.read_bytes() == hub.bytes_of(NAME, "config.json")
    assert not record.folder.exists()
    assert cache.current_snapshot(NAME) == other.parent  # what other programs find is not lost


def test_a_newer_commit_leaves_the_earlier_one_to_other_programs(hub: FakeHub) -> None:
    """`kb models pull --again` adds the hub's present files and deletes none."""
    record = fetched()
    by_another_program(hub)
    hub.commit = "f" * 40
    hub.repositories[NAME] = {**small_files(), "config.json": b'{"model_type": "newer"}'}
    assert run(["models", "pull", NAME, "--again"]) == 0
    newer = known_ready(NAME)
    assert newer is not None and newer.commit == "f" * 40 and same_bytes(newer, hub)
    assert all((record.folder / name).is_file() for name in record.files)
    with raises(ModelUnavailable, "model.shared"):
        remove(NAME)


def test_verification_changes_no_file(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    by_another_program(hub)
    place = cache.repository_folder(NAME)
    before = {*place.rglob("*")}
    assert run(["models", "verify", NAME]) == 0
    blob = (place / "snapshots" / hub.commit / "tokenizer.json").resolve()
    blob.write_bytes(b"{}")
    assert run(["models", "verify", NAME]) == 1
    assert blob.read_bytes() == b"{}" and before == {*place.rglob("*")}
    assert "pull" in capsys.readouterr().err


def test_the_parts_of_a_stopped_fetch_are_ours(hub: FakeHub) -> None:
    place = cache.repository_folder(NAME)
    (place / "blobs").mkdir(parents=True)
    (place / "blobs" / f"{'a' * 64}{cache.PART_SUFFIX}").write_bytes(b"part")
    assert remove(NAME).removed == 4 and not place.exists()
