"""Fetches through a proxy and from a mirror that lacks a part of the hub's addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kb.errors import KBError
from kb.hub.fetch_state import FetchState
from tests.fakes.hub import FakeHub, Fault
from tests.fakes.proxy import FakeProxy
from tests.support.certificates import write_certificate
from tests.support.hub_cache import (
    NAME,
    QUICK,
    WEIGHTS,
    fetched,
    hub_at,
    outcome,
    same_bytes,
    small_files,
    use_hub,
)

pytestmark = pytest.mark.slow  # not one of them, but all of them together

HIDDEN = "hub.invalid"  # no name server knows it
PASSWORD = "Basic dXNlcjpwYXNz"  # user:pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy",
                 "HTTPS_PROXY", "https_proxy"):  # fmt: skip
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


@pytest.fixture
def tunnelled(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    """Return the hub with TLS under a name that only a proxy knows."""
    certificate = write_certificate(tmp_path / "certificate.pem", HIDDEN)
    hub.use_tls(certificate)
    use_hub(monkeypatch, tmp_path / "hub", f"https://{HIDDEN}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    return hub


@pytest.mark.parametrize("fault", [Fault(), Fault(cut=500), Fault(flip=500), Fault(stall=500)])
@pytest.mark.parametrize("user", ["", "user:pass@"])
def test_a_tunnel_through_a_proxy(
    tunnelled: FakeHub, monkeypatch: pytest.MonkeyPatch, user: str, fault: Fault
) -> None:
    tunnelled.faults[WEIGHTS] = [fault] if fault != Fault() else []
    with FakeProxy({HIDDEN: tunnelled.url}, PASSWORD if user else "") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{user}{proxy.address}")
        monkeypatch.setenv("https_proxy", f"http://{user}{proxy.address}")
        assert same_bytes(fetched(conduct=QUICK), tunnelled)
        assert set(proxy.requests) == {f"CONNECT {HIDDEN}:443"}


@pytest.mark.parametrize(
    ("proxy_at", "code"),
    [
        ("no password", "model.proxy_refused"),
        ("wrong password", "model.proxy_refused"),
        ("nothing there", "model.hub_unreachable"),
        ("unknown host", "model.hub_unreachable"),
        ("unknown authority", "model.certificate_unknown"),
    ],
)
def test_a_tunnel_that_cannot_be_made_is_named_without_its_password(
    tunnelled: FakeHub, monkeypatch: pytest.MonkeyPatch, proxy_at: str, code: str
) -> None:
    hosts = {} if proxy_at == "unknown host" else {HIDDEN: tunnelled.url}
    password = PASSWORD if "password" in proxy_at else ""
    with FakeProxy(hosts, password) as proxy:
        user = {"no password": "", "wrong password": "user:s3cretpass@"}.get(
            proxy_at, "user:s3cretpass@"
        )
        address = "127.0.0.1:9" if proxy_at == "nothing there" else proxy.address
        monkeypatch.setenv("HTTPS_PROXY", f"http://{user}{address}")
        monkeypatch.setenv("https_proxy", f"http://{user}{address}")
        if proxy_at == "unknown authority":
            monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(KBError) as caught:
            fetched(conduct=replace(QUICK, patience_s=0.1))
    error = caught.value
    assert error.code == code and error.hint and tunnelled.sent == []
    assert "s3cretpass" not in f"{error} {error.hint} {error.record()}"


@pytest.mark.parametrize("mount", ["/mirror", "/api/huggingface/hub-remote"])
@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("cdn", [True, False])
def test_a_mirror_below_a_path(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mount: str, tree: bool, cdn: bool
) -> None:
    hub.mount, hub.has_tree, hub.cdn = mount, tree, cdn
    hub.page_rows = 3
    use_hub(monkeypatch, tmp_path / "hub", f"http://user:s3cretpass@{hub.url[7:]}")
    states: list[FetchState] = []
    record = fetched(states=states)
    assert same_bytes(record, hub) and len(record.files) == 6
    assert all(path.startswith(f"{mount}/") for path in hub.requests)
    assert not any("s3cretpass" in f"{state}" for state in states)


@pytest.mark.parametrize(
    "link",
    ["https://huggingface.co/api/models/some/recognizer/tree/{commit}?recursive=true&cursor=3",
     "/api/models/some/recognizer/tree/{commit}?cursor=3"],
)  # fmt: skip
def test_a_mirror_that_passes_on_the_hubs_own_link_to_the_next_page(
    hub: FakeHub, link: str
) -> None:
    """No file of the later pages is lost, and no other host is asked."""
    hub.page_rows, hub.page_link = 3, link
    assert len(fetched().files) == 6
