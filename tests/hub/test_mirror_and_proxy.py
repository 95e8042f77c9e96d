"""Fetches through a proxy and from a mirror that lacks a part of the hub's addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.hub import FakeHub, Fault
from tests.fakes.proxy import FakeProxy
from tests.support.hub_cache import (
    NAME,
    QUICK,
    fetched,
    hub_at,
    outcome,
    same_bytes,
    small_files,
    use_hub,
)

pytestmark = pytest.mark.slow  # not one of them, but all of them together

WEIGHTS = "model-00001-of-00002.safetensors"
HIDDEN = "hub.invalid"  # no name server knows it
PASSWORD = "Basic dXNlcjpwYXNz"  # user:pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: small_files()})) as found:
        yield found


@pytest.mark.parametrize("fault", [Fault(), Fault(cut=500), Fault(flip=500), Fault(status=503)])
@pytest.mark.parametrize("user", ["", "user:pass@"])
def test_a_proxy_of_the_environment(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: str, fault: Fault
) -> None:
    hub.faults[WEIGHTS] = [fault] if fault.status or fault.flip >= 0 else []
    with FakeProxy({HIDDEN: hub.url}, PASSWORD if user else "") as proxy:
        use_hub(monkeypatch, tmp_path / "hub", f"http://{HIDDEN}")
        monkeypatch.setenv("HTTP_PROXY", f"http://{user}{proxy.address}")
        monkeypatch.setenv("http_proxy", f"http://{user}{proxy.address}")
        assert same_bytes(fetched(), hub)
        assert all(each.startswith(f"http://{HIDDEN}/") for each in proxy.requests)
        assert len(proxy.requests) >= 8


def test_a_proxy_without_its_password_is_no_wrong_model(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with FakeProxy({HIDDEN: hub.url}, PASSWORD) as proxy:
        use_hub(monkeypatch, tmp_path / "hub", f"http://{HIDDEN}")
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        impatient = replace(QUICK, patience_s=0.1)
        assert outcome(conduct=impatient) != "ready" and hub.requests == []


def test_a_host_without_a_proxy_is_asked_directly(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert same_bytes(fetched(), hub)


@pytest.mark.parametrize("fault", [Fault(), Fault(cut=500), Fault(flip=500)])
def test_a_mirror_without_a_tree(hub: FakeHub, fault: Fault) -> None:
    hub.has_tree = False
    hub.faults[WEIGHTS] = [fault] if fault != Fault() else []
    record = fetched()
    assert same_bytes(record, hub) and len(record.files) == 6


def test_a_mirror_without_the_model(hub: FakeHub) -> None:
    hub.has_tree = False
    assert outcome("some/other") == "model.not_on_hub"


def test_a_start_with_a_complete_model_asks_nothing(hub: FakeHub) -> None:
    """Neither the hub's list nor an address of the client's own, such as /api/agent-harnesses."""
    fetched()
    assert not any("harness" in path for path in hub.requests)
    hub.requests.clear()
    fetched()
    assert hub.requests == []
