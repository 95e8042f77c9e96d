"""Resumable uploads over HTTP (tus 1.0), by the protocol's own client and byte by byte."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tusclient.client import TusClient

from kb.service import resumable_uploads, uploads
from tests.support.api_server import Held, served
from tests.support.keys import fake_key
from tests.support.waiting import until

KEYS = (fake_key("one"), fake_key("two"))
BLOCK = b"0123456789abcdef" * 4096  # 64 KiB
SOUND = b"".join(BLOCK[n:] + BLOCK[:n] for n in range(48))
TUS = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {KEYS[0]}"}
PART = {**TUS, "Content-Type": "application/offset+octet-stream"}
VALUES = {"KB_API_KEYS": ",".join(KEYS), "KB_API_UPLOADS": 3, "KB_UPLOAD_MAX_GB": 0.01}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def url(home: Path) -> Iterator[str]:
    with served(home, Held(), **VALUES) as server:
        yield server.address


def create(url: str, size: int = len(SOUND), status: int = 201, **headers: str) -> httpx.Response:
    given = {**TUS, "Upload-Length": str(size), **headers}
    answer = httpx.post(f"{url}/v1/uploads", headers=given)
    assert answer.status_code == status, answer.text
    return answer


def place(url: str, **headers: str) -> str:
    return f"{url}{create(url, **headers).headers['location']}"


def patch(
    at: str, offset: int, part: bytes, status: int = 204, headers: dict[str, str] | None = None
) -> httpx.Response:
    given = {**PART, "Upload-Offset": str(offset), **(headers or {})}
    answer = httpx.patch(at, headers=given, content=part, timeout=30)
    assert answer.status_code == status, answer.text
    return answer


def offset(at: str) -> int:
    return int(httpx.head(at, headers=TUS).headers["upload-offset"])


def send_half(at: str, offset: int, part: bytes, sent: int) -> socket.socket:
    """Begin a part on a connection of its own, and send some bytes of it."""
    parts = urlsplit(at)
    line = socket.create_connection((parts.hostname or "", parts.port or 0))
    given = {**PART, "Host": parts.netloc, "Upload-Offset": str(offset)}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    line.sendall(
        f"PATCH {parts.path} HTTP/1.1\r\n{head}Content-Length: {len(part)}\r\n\r\n".encode()
    )
    line.sendall(part[:sent])
    return line


def job(url: str, upload: str, status: int, **more: Any) -> dict[str, Any]:
    headers = {"Authorization": TUS["Authorization"]}
    answer = httpx.post(f"{url}/v1/jobs", headers=headers, json={"upload": upload, **more})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.slow
def test_an_upload_cut_in_the_middle_goes_on_after_a_restart_of_the_server(home: Path) -> None:
    cut = 1_000_001  # no border of a part
    with served(home, Held(), **VALUES) as server:
        client = TusClient(f"{server.address}/v1/uploads", headers=TUS)
        path = home.parent / "talk one.wav"
        path.write_bytes(SOUND)
        uploader = client.uploader(
            str(path), chunk_size=len(BLOCK), metadata={"filename": path.name}
        )
        uploader.upload_chunk()
        at = uploader.url
        with send_half(at, len(BLOCK), SOUND[len(BLOCK) :], cut - len(BLOCK)):
            data = next(home.rglob("data"))
            until(lambda: data.stat().st_size == cut)
        until(lambda: offset(at) == cut)
    with served(home, Held(), **VALUES) as server:
        client = TusClient(f"{server.address}/v1/uploads", headers=TUS)
        again = f"{server.address}{urlsplit(at).path}"
        uploader = client.uploader(
            str(path), url=again, chunk_size=len(BLOCK), upload_checksum=True
        )
        assert uploader.offset == cut
        uploader.upload()
        upload = again.rsplit("/", 1)[1]
        made = job(server.address, upload, 202)
        assert made["reference"] == "talk one.wav"
        (stored,) = home.glob(f"{uploads.FOLDER}/*/talk one.wav")
        assert stored.read_bytes() == SOUND
        assert job(server.address, upload, 200)["job_id"] == made["job_id"]
        # The upload stands for its job, without its bytes.
        assert not list(home.rglob("data"))
        assert httpx.head(again, headers=TUS).status_code == 410
        # The same file in a form is the same request.
        files = {"file": ("other name.wav", SOUND)}
        headers = {"Authorization": TUS["Authorization"]}
        answer = httpx.post(f"{server.address}/v1/jobs", headers=headers, files=files)
        assert answer.json()["job_id"] == made["job_id"]


def test_a_part_with_a_checksum_is_kept_whole_or_not_at_all(url: str, home: Path) -> None:
    at = place(url)
    for name in ("sha1", "sha256", "md5"):
        right = base64.b64encode(hashlib.new(name, BLOCK).digest()).decode()
        before = offset(at)
        wrong = patch(at, before, BLOCK[::-1], 460, {"Upload-Checksum": f"{name} {right}"})
        assert wrong.json()["error"]["code"] == "checksum_mismatch"
        assert offset(at) == before
        patch(at, before, BLOCK, 204, {"Upload-Checksum": f"{name} {right}"})
    for bad in ("crc32 AAAA", "sha1", "sha1 %%"):
        patch(at, 3 * len(BLOCK), BLOCK, 400, {"Upload-Checksum": bad})
    assert offset(at) == 3 * len(BLOCK)
    # What was never recorded does not stay in the file.
    assert next(home.rglob("data")).read_bytes()[: 3 * len(BLOCK)] == 3 * BLOCK


def test_one_request_writes_an_upload(url: str, home: Path) -> None:
    at = place(url)
    with send_half(at, 0, SOUND, 10):
        data = next(home.rglob("data"))
        until(lambda: data.stat().st_size == 10)
        refused = patch(at, 0, SOUND, 423)
        assert refused.json()["error"]["code"] == "upload_locked"
        assert httpx.delete(at, headers=TUS).status_code == 423
    until(lambda: offset(at) == 10)
    assert patch(at, 0, SOUND, 409).headers["upload-offset"] == "10"
    assert patch(at, 10, SOUND[10:]).headers["upload-offset"] == str(len(SOUND))


def test_the_protocols_answers(url: str, home: Path) -> None:
    known = httpx.options(f"{url}/v1/uploads", headers={"Authorization": TUS["Authorization"]})
    assert known.status_code == 204
    assert known.headers["tus-version"] == "1.0.0"
    assert known.headers["tus-max-size"] == "10000000"
    assert {"creation", "checksum", "expiration", "termination"} < set(
        known.headers["tus-extension"].split(",")
    )
    metadata = f"filename {base64.b64encode('Tür.wav'.encode()).decode()},is_confidential"
    made = httpx.post(
        f"{url}/v1/uploads",
        headers={**PART, "Upload-Length": str(len(SOUND)), "Upload-Metadata": metadata},
        content=SOUND[:100],
    )
    assert (made.status_code, made.headers["upload-offset"]) == (201, "100")
    assert made.headers["upload-expires"].endswith("GMT")
    at = f"{url}{made.headers['location']}"
    state = httpx.head(at, headers=TUS)
    assert state.headers["upload-metadata"] == metadata
    assert state.headers["upload-length"] == str(len(SOUND))
    other = {**TUS, "Authorization": f"Bearer {KEYS[1]}"}
    assert httpx.head(at, headers=other).status_code == 404
    refused = job(url, at.rsplit("/", 1)[1], 400)
    assert refused["error"]["code"] == "upload_incomplete"
    override = {**PART, "Upload-Offset": "100", "X-HTTP-Method-Override": "PATCH"}
    assert httpx.post(at, headers=override, content=SOUND[100:]).status_code == 204
    assert job(url, at.rsplit("/", 1)[1], 202)["reference"] == "Tür.wav"
    thrown = place(url)
    assert httpx.delete(thrown, headers=TUS).status_code == 204
    assert httpx.head(thrown, headers=TUS).status_code == 404
    assert httpx.delete(thrown, headers=TUS).status_code == 404


def test_what_cannot_be_is_refused(url: str) -> None:
    for size, status in ((10_000_001, 413), (0, 400)):
        create(url, size, status)
    for headers in (
        {"Upload-Length": "-1"},
        {"Upload-Length": "1e3"},
        {"Upload-Length": "٣"},
        {"Upload-Length": "9" * 30},
        {"Upload-Metadata": "filename %%%"},
        {"Upload-Metadata": "filename " + "A" * 5000},
    ):
        given = {**TUS, "Upload-Length": "5", **headers}
        raw = [(name.encode(), value.encode()) for name, value in given.items()]
        assert httpx.post(f"{url}/v1/uploads", headers=raw).status_code == 400, headers
    assert httpx.post(f"{url}/v1/uploads", headers={"Upload-Length": "5"}).status_code == 401
    without = httpx.post(
        f"{url}/v1/uploads",
        headers={"Authorization": TUS["Authorization"], "Upload-Length": "5"},
    )
    assert (without.status_code, without.headers["tus-version"]) == (412, "1.0.0")
    at = place(url)
    assert httpx.patch(at, headers={**TUS, "Upload-Offset": "0"}, content=b"x").status_code == 415
    patch(at, 0, SOUND + b"more", 413)
    assert offset(at) == 0
    for name in ("0" * 32, "../../kb.sqlite", "x"):
        assert httpx.head(f"{url}/v1/uploads/{name}", headers=TUS).status_code == 404
    create(url)
    create(url)
    assert create(url, status=429).json()["error"]["code"] == "rate_limit_exceeded"
    create(url, Authorization=f"Bearer {KEYS[1]}")  # places are counted for each key


def test_a_body_without_a_length_ends_at_that_of_the_upload(url: str) -> None:
    at = place(url, **{"Upload-Length": "100"})

    def blocks() -> Iterator[bytes]:
        yield from (b"a" * 60, b"b" * 60, b"c" * 60)

    given = {**PART, "Upload-Offset": "0"}
    assert httpx.patch(at, headers=given, content=blocks()).status_code == 413
    assert offset(at) in (0, 60)


def test_uploads_are_swept_a_day_after_their_last_part(url: str, home: Path) -> None:
    old, new = place(url), place(url)
    day_ago = time.time() - resumable_uploads.KEPT_S - 60
    facts = home / uploads.FOLDER / resumable_uploads.FOLDER / old.rsplit("/", 1)[1]
    os.utime(facts / "upload.json", (day_ago, day_ago))
    (facts.parent / ("a" * 32)).mkdir()  # of a server that was killed while it made it
    os.utime(facts.parent / ("a" * 32), (day_ago, day_ago))
    assert resumable_uploads.sweep(home, lambda changed: time.time() - changed) == 2
    assert httpx.head(old, headers=TUS).status_code == 404
    assert offset(new) == 0


def test_bytes_behind_the_recorded_offset_are_written_again(home: Path) -> None:
    """As after a power failure, when the file may end with anything."""
    with served(home, Held(), **VALUES) as server:
        at = place(server.address)
        patch(at, 0, SOUND[:500])
        data = next(home.rglob("data"))
        with data.open("ab") as file:
            file.write(b"\0" * 700)
        assert offset(at) == 500
        patch(at, 500, SOUND[500:])
        assert data.read_bytes() == SOUND
