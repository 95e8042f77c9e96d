"""A model hub on loopback: the HTTP calls that download a repository."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """The hub. `repositories` maps names to files by name; those in `gated` require a login.

    `sent` has the names of the files whose bytes were sent; `cut` ends the connection once after
    this number of bytes of a file.
    """

    def __init__(
        self, repositories: Mapping[str, Mapping[str, bytes | Path]], gated: tuple[str, ...] = ()
    ) -> None:
        self.repositories = repositories
        self.gated = gated
        self.sent: list[str] = []
        self.cut: dict[str, int] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.handle(self, body=False)

            def do_GET(self) -> None:
                hub.handle(self, body=True)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def bytes_of(self, repository: str, name: str) -> bytes | None:
        found = self.repositories.get(repository, {}).get(name)
        return found.read_bytes() if isinstance(found, Path) else found

    def handle(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        about = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/\w+|/tree/\w+)?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/\w+/(.+)", path)
        match = about or file
        repository = match[1] if match else ""
        if repository in self.gated:
            self._refuse(request, 401, "GatedRepo")
        elif repository not in self.repositories:
            self._refuse(request, 401 if match else 404, "RepoNotFound")
        elif about:
            self._send_info(request, repository, tree="/tree/" in path, body=body)
        else:
            assert file is not None
            self._send_file(request, repository, file[2], body=body)

    def _send_info(
        self, request: BaseHTTPRequestHandler, repository: str, *, tree: bool, body: bool
    ) -> None:
        names = self.repositories[repository]
        if tree:
            document: object = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(self.bytes_of(repository, name) or b""),
                    "oid": self._etag(repository, name)[:40],
                }
                for name in names
            ]
        else:
            document = {
                "_id": "1", "id": repository, "modelId": repository, "sha": COMMIT,
                "private": False, "tags": [], "downloads": 0, "likes": 0,
                "siblings": [{"rfilename": name} for name in names],
            }  # fmt: skip
        text = json.dumps(document).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        if body:
            request.wfile.write(text)

    def _send_file(
        self, request: BaseHTTPRequestHandler, repository: str, name: str, *, body: bool
    ) -> None:
        data = self.bytes_of(repository, name)
        if data is None:
            self._refuse(request, 404, "EntryNotFound")
            return
        range_match = re.match(r"bytes=(\d+)-", request.headers.get("Range") or "")
        first = int(range_match[1]) if range_match else 0
        part = data[first:]
        request.send_response(206 if range_match else 200)
        request.send_header("Content-Length", str(len(part)))
        request.send_header("ETag", f'"{self._etag(repository, name)[:40]}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("Accept-Ranges", "bytes")
        if range_match:
            request.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        if not body:
            return
        self.sent.append(name if not first else f"{name} from {first}")
        room = self.cut.pop(name, len(part))
        request.wfile.write(part[:room])
        if room < len(part):
            request.close_connection = True

    def _etag(self, repository: str, name: str) -> str:
        return hashlib.sha256(self.bytes_of(repository, name) or b"").hexdigest()

    @staticmethod
    def _refuse(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("X-Error-Message", "no")
        request.send_header("Content-Length", "0")
        request.end_headers()
