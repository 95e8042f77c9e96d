"""A shared dashboard connects to no private network, and reads the folders that a setting names."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.database import Database
from kb.errors import MediaUnavailable, UsageError
from kb.jobs.queue.source_factory import SourceFactory, marked
from kb.settings import Settings
from kb.sources.files import FileSource
from kb.sources.listing.filters import VideoFilters
from kb.sources.private_networks import is_public, private_networks_refused
from kb.types import MediaItem
from tests.support.raising import raises
from tests.support.waiting import WAIT_S


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1",
        "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd12:3456::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::",
        "2002:c0a8:101::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1", "fec0::1",
    ],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "::ffff:8.8.8.8",
     "64:ff9b::808:808", "2002:808:808::1"],
)  # fmt: skip
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


class Handler(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(302 if self.path == "/away" else 200)
        if self.path == "/away":
            port = self.server.server_address[1]
            self.send_header("Location", f"http://127.0.0.2:{port}/secret")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def listener() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def asked(listener: http.server.ThreadingHTTPServer) -> list[str]:
    listener.asked.clear()  # type: ignore[attr-defined]
    return listener.asked  # type: ignore[attr-defined, no-any-return]


def shared(tmp_path: Path, **more: Any) -> Settings:
    return Settings(
        KB_HOME=str(tmp_path / "library"), KB_SHARED=True, KB_DOWNLOAD_PAUSE_S=0,
        KB_DOWNLOAD_PAUSE_MAX_S=0, KB_DOWNLOAD_RETRIES=0, KB_DOWNLOAD_ATTEMPTS=1, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0.0.0.0", "localhost",
     "[::ffff:127.0.0.1]", "127.0.0.2"],
)  # fmt: skip
def test_no_spelling_of_a_private_address_is_connected_to(
    host: str, tmp_path: Path, listener: http.server.ThreadingHTTPServer, asked: list[str]
) -> None:
    url = f"http://{host}:{listener.server_address[1]}/secret"
    with raises(MediaUnavailable, "address.private"), private_networks_refused(
        shared(tmp_path), url
    ):  # fmt: skip
        urllib.request.urlopen(url, timeout=WAIT_S)
    assert asked == []


def test_names_redirects_threads_and_programs_are_covered(
    tmp_path: Path,
    listener: http.server.ThreadingHTTPServer,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import requests

    port = listener.server_address[1]
    resolve = socket.getaddrinfo

    def rebound(host: Any, *more: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == "innocent.example" else host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    name = f"http://innocent.example:{port}/secret"
    with pytest.raises(MediaUnavailable), private_networks_refused(shared(tmp_path), name):
        requests.get(name, timeout=WAIT_S)
    assert asked == []

    # The first address is allowed by the setting, the one that it redirects to is not.
    away = f"http://127.0.0.1:{port}/away"
    allowing = shared(tmp_path, KB_PRIVATE_HOSTS="127.0.0.1")
    with pytest.raises(MediaUnavailable), private_networks_refused(allowing, away):
        urllib.request.urlopen(away, timeout=WAIT_S)
    assert asked == ["/away"]

    failures: list[BaseException] = []

    def connect() -> None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=WAIT_S).close()
        except BaseException as error:
            failures.append(error)

    with pytest.raises(MediaUnavailable), private_networks_refused(shared(tmp_path), name):
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        raise OSError("the library gives up")
    assert len(failures) == 1

    with pytest.raises(MediaUnavailable), private_networks_refused(shared(tmp_path), name):
        subprocess.run([sys.executable, "-c", "pass", "rtsp://127.0.0.1/x"], check=False)


def test_the_block_ends_the_refusal_and_a_user_s_own_addresses_stay_allowed(
    tmp_path: Path, listener: http.server.ThreadingHTTPServer, asked: list[str]
) -> None:
    url = f"http://127.0.0.1:{listener.server_address[1]}/mine"
    with pytest.raises(MediaUnavailable), private_networks_refused(shared(tmp_path), url):
        urllib.request.urlopen(url, timeout=WAIT_S)
    urllib.request.urlopen(url, timeout=WAIT_S)
    with private_networks_refused(Settings(KB_HOME=str(tmp_path)), url):
        urllib.request.urlopen(url, timeout=WAIT_S)
        subprocess.run([sys.executable, "-c", "pass", url], check=True)
    for hosts in ("localhost", "127.0.0.0/8", "10.0.0.1, 127.0.0.1"):
        with private_networks_refused(shared(tmp_path, KB_PRIVATE_HOSTS=hosts), url):
            urllib.request.urlopen(url, timeout=WAIT_S)
    assert asked == ["/mine"] * 5


def test_a_proxy_of_the_settings_is_allowed_and_names_are_checked_beside_it(
    tmp_path: Path, listener: http.server.ThreadingHTTPServer, asked: list[str]
) -> None:
    port = listener.server_address[1]
    settings = shared(tmp_path, KB_PROXY=f"http://ann:secret@127.0.0.1:{port}")
    with private_networks_refused(settings, "http://8.8.8.8/x"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/by-proxy", timeout=WAIT_S)
    with pytest.raises(MediaUnavailable), private_networks_refused(settings, "http://127.0.0.9/x"):
        pass
    assert asked == ["/by-proxy"]


def test_listing_and_download_by_ytdlp_are_refused(
    tmp_path: Path, listener: http.server.ThreadingHTTPServer, asked: list[str]
) -> None:
    settings = Settings(**{"KB_HOME": str(tmp_path / "library"), "KB_DOWNLOAD_PAUSE_S": 0,
                           "KB_DOWNLOAD_PAUSE_MAX_S": 0, "KB_DOWNLOAD_RETRIES": 0})  # fmt: skip
    database = Database.open(settings)
    factory = SourceFactory(settings, database)
    url = f"http://ann:secret@127.0.0.1:{listener.server_address[1]}/talk.mp4"
    with raises(MediaUnavailable, "address.private") as caught:
        list(factory.open(url, VideoFilters(), shared=True))
    assert "secret" not in caught.value.message
    item = MediaItem("web:generic:talk", "web", url, "Talk", "")
    source = factory.source_of(item, shared=True)
    with pytest.raises(MediaUnavailable):
        source.fetch(item, tmp_path / "downloads")
    with pytest.raises(MediaUnavailable):
        source.captions(item, tmp_path / "downloads")  # type: ignore[attr-defined]
    assert asked == []
    database.close()


# Folders


@pytest.fixture
def media(tmp_path: Path) -> Path:
    for name in ("open/talk.mp4", "closed/talk.mp4", "library/uploads/a/talk.mp4", "open2/a.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode())
    return tmp_path


@pytest.mark.parametrize(
    "reference",
    ["closed/talk.mp4", "closed", "open/../closed/talk.mp4", "open2/a.mp4", "library", "missing",
     "library/kb.sqlite", ""],
)  # fmt: skip
@pytest.mark.parametrize("form", ["path", "uri", "FILE"])
def test_a_shared_dashboard_reads_no_other_folder(media: Path, reference: str, form: str) -> None:
    source = FileSource(settings=shared(media, KB_INGEST_FOLDERS=str(media / "open")))
    path = media / reference
    text = str(path) if form == "path" else path.absolute().as_uri()
    text = text.replace("file://", "FILE://localhost") if form == "FILE" else text
    with raises(UsageError, "file.folder_refused"):
        list(source.items(text))


def test_it_reads_the_named_folders_and_the_uploads(media: Path) -> None:
    source = FileSource(
        settings=shared(media, KB_INGEST_FOLDERS=f"{media / 'open'}, {media / 'open2'}")
    )
    for reference in ("open", "open/talk.mp4", "open2", "library/uploads/a/talk.mp4"):
        (item,) = source.items(str(media / reference))
        assert source.fetch(item, media).path.is_file()
    with pytest.raises(UsageError):
        list(FileSource(settings=shared(media)).items(str(media / "open")))
    (item,) = FileSource(settings=Settings(KB_HOME=str(media))).items(str(media / "closed"))
    with raises(UsageError, "file.folder_refused"):
        source.fetch(item, media)  # queued before the limit, or its link was changed


def test_a_link_leads_out_of_the_folder_by_no_way(media: Path) -> None:
    source = FileSource(settings=shared(media, KB_INGEST_FOLDERS=str(media / "open")))
    try:
        (media / "open" / "away.mp4").symlink_to(media / "closed" / "talk.mp4")
        (media / "open" / "folder").symlink_to(media / "closed")
    except OSError:
        pytest.skip("no symbolic links here")
    assert [item.title for item in source.items(str(media / "open"))] == ["talk"]
    with pytest.raises(UsageError):
        list(source.items(str(media / "open" / "away.mp4")))
    with pytest.raises(UsageError):
        list(source.items(str(media / "open" / "folder")))


def test_a_request_of_a_shared_dashboard_keeps_its_mark(tmp_path: Path) -> None:
    assert marked({"keep": "mp3"}, shared(tmp_path)) == {"keep": "mp3", "shared": True}
    assert marked({"keep": "mp3"}, Settings(KB_HOME=str(tmp_path))) == {"keep": "mp3"}
