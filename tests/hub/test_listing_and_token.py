"""Lists of files that are refused, and the hosts to which the token is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.hub import cache, records
from kb.hub.models import known_ready, remove
from tests.fakes.hub import LISTING, FakeHub, Fault
from tests.support.hub_cache import (
    NAME,
    NEEDED,
    WEIGHTS,
    fetched,
    hub,
    outcome,
    small_files,
)

__all__ = ["hub"]

pytestmark = pytest.mark.slow  # not one of them, but all of them together


TOKEN = "hf_" + "x" * 30


def test_the_token_goes_to_the_hub_and_to_no_other_host(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.token, hub.gated, hub.cdn = TOKEN, (NAME,), True
    fetched()
    for path, token in hub.tokens.items():
        assert token == ("" if path.startswith("/cdn/") else TOKEN), path
    for file in records.state_folder().glob("*"):
        assert TOKEN not in file.read_text(errors="replace")


def test_a_revoked_token_does_not_stand_before_a_public_model(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_revoked")
    hub.token = TOKEN
    assert outcome() == "ready"


def test_a_revoked_token_is_named_for_a_private_model(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_revoked")
    hub.always[LISTING] = Fault(status=401)
    assert outcome() == "model.token_refused"


LISTED: dict[str, tuple[object, str]] = {
    "a size that is none": ({"size": "much"}, "model.file_refused"),
    "a negative size": ({"size": -1}, "model.file_refused"),
    "no digest": ({"oid": None}, "model.file_refused"),
    "a digest that is a path": ({"oid": "../../x"}, "model.file_refused"),
    "a config of 2 GB": ({"size": 2_000_000_000}, "model.file_refused"),
}


@pytest.mark.parametrize(("change", "code"), LISTED.values(), ids=LISTED)
def test_a_listing_that_no_model_has_is_refused(
    hub: FakeHub, change: dict[str, object], code: str
) -> None:
    entry = {"type": "file", "path": "config.json", "size": 9, "oid": "0" * 40}
    hub.entries["config.json"] = {**entry, **change}
    assert outcome() == code and hub.sent == []


@pytest.mark.parametrize(
    "name", ["../escape.json", "/etc/escape.json", "..\\escape.json", "a\x1b[2J.json", "..", "x./y"]
)
def test_a_name_that_leaves_the_folder_is_left_out(hub: FakeHub, name: str) -> None:
    hub.repositories[NAME] = {**small_files(), name: b"{}"}
    record = fetched()
    assert set(record.files) == NEEDED
    assert not list(cache.cache_folder().parent.rglob("*escape*"))


def test_without_safetensors_no_pickle_is_fetched(hub: FakeHub) -> None:
    files = {k: v for k, v in small_files().items() if not k.endswith(".safetensors")}
    hub.repositories[NAME] = files
    assert outcome() == "model.pickle_only"
    hub.repositories[NAME] = {k: v for k, v in files.items() if k != "pytorch_model.bin"}
    assert outcome() == "model.no_weights"
    hub.repositories[NAME] = {k: v for k, v in small_files().items() if k != WEIGHTS}
    assert outcome() == "model.parts_missing"
    hub.repositories[NAME] = {k: v for k, v in small_files().items() if k != "tokenizer.json"}
    assert outcome() == "model.incomplete_on_hub" and known_ready(NAME) is None


def test_a_removed_model_leaves_nothing(hub: FakeHub) -> None:
    record = fetched()
    assert remove(NAME).removed == record.size + 40  # and the name of the commit
    assert not cache.repository_folder(NAME).exists()
    assert known_ready(NAME) is None
