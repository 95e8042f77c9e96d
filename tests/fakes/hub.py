"""A model hub on loopback: the HTTP calls that download a repository, and their faults."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.loopback import Loopback

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LISTING = "/api"  # in `faults`, the requests for the list of files

SIGN_IN_PAGE = b"<html><body>Welcome to the hotel. Please sign in.</body></html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one answer.

    `status` with `code` (`X-Error-Code`) and `retry_after`: an answer without a body; `page`: an
    HTML page instead; `cut`: the connection ends after this number of bytes; `stall`: nothing comes
    after this number of bytes; `flip`: the byte at this place of the file is another; `more`: bytes
    that follow the file; `length`: False leaves out the length; `silent`: no answer at all;
    `no_range`: the whole file although a part was asked for; `drip_s`: seconds between two bytes;
    `headers_s`: seconds between two bytes of headers without an end.
    """

    status: int = 0
    code: str = ""
    retry_after: str = ""
    page: bytes = b""
    cut: int = -1
    stall: int = -1
    flip: int = -1
    more: bytes = b""
    length: bool = True
    silent: bool = False
    no_range: bool = False
    drip_s: float = 0.0
    headers_s: float = 0.0


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about a client that was killed."""


class FakeHub(Loopback):
    """The hub. `repositories` maps names to files by name; those in `gated` require a login.

    `sent` has the names of the files whose bytes were sent; `bytes_sent` counts them. `faults` has
    lists of faults by the name of a file (or LISTING): each answer takes one; `always` has one
    fault for every answer. `cut` ends the connection once after this number of bytes of a file.
    `token`: the only token that is accepted; `tokens` collects those that came, by path. `cdn`:
    large files are sent by another host name, to which the hub redirects. `bytes_per_s`: speed of
    a connection, 0 for no limit.
    """

    def __init__(
        self, repositories: Mapping[str, Mapping[str, bytes | Path]], gated: tuple[str, ...] = ()
    ) -> None:
        self.repositories = dict(repositories)
        self.gated = gated
        self.commit = COMMIT
        self.sent: list[str] = []
        self.requests: list[str] = []
        self.bytes_sent = 0
        self.cut: dict[str, int] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.token = ""
        self.tokens: dict[str, str] = {}
        self.cdn = False
        self.bytes_per_s = 0
        self.entries: dict[str, object] = {}  # changes of the listed facts of a file
        self.mount = ""  # a path before all addresses: the hub of a mirror such as Artifactory
        self.page_rows = 0  # files of one page of the tree, 0 for all
        self.page_link = ""  # the address of the next page where it is not the hub's own
        self.has_tree = True  # False: a mirror without the address of the tree
        self._closed = threading.Event()
        self._lock = threading.Lock()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.handle(self, body=False)

            def do_GET(self) -> None:
                try:
                    hub.handle(self, body=True)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __exit__(self, *error: Any) -> None:
        self._closed.set()
        super().__exit__(*error)

    @property
    def url(self) -> str:
        return f"{self.origin}{self.mount}"

    def use_tls(self, certificate: Path) -> None:
        """Answer TLS alone, with a certificate and its key in one file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

    def bytes_of(self, repository: str, name: str) -> bytes | None:
        found = self.repositories.get(repository, {}).get(name)
        return found.read_bytes() if isinstance(found, Path) else found

    def heal(self) -> None:
        """End all faults."""
        with self._lock:
            self.faults.clear()
            self.always.clear()
            self.cut.clear()

    def handle(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append(path)
        if not path.startswith(f"{self.mount}/"):
            self._refuse(request, 404, "")
            return
        path = path.removeprefix(self.mount)
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.tokens[path] = token
        about = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/\w+|/tree/\w+)?", path)
        file = re.fullmatch(r"/(?:cdn/)?([^/]+/[^/]+)/resolve/(\w+)/(.+)", path)
        match = about or file
        repository = match[1] if match else ""
        fault = self._fault(file[3] if file else LISTING) if match else Fault()
        if fault.silent:
            self._closed.wait(60)
            request.close_connection = True
        elif fault.headers_s:
            self._drip(request, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 5000, fault.headers_s)
            request.close_connection = True
        elif fault.status:
            self._refuse(request, fault.status, fault.code, fault.retry_after)
        elif fault.page:
            self._send_page(request, fault.page)
        elif self.token and token and token != self.token:
            self._refuse(request, 401, "")
        elif self._is_closed(repository, path, token):
            self._refuse(request, 401, "GatedRepo")
        elif repository not in self.repositories:
            self._refuse(request, 401 if match else 404, "RepoNotFound")
        elif about and "/tree/" in path and not self.has_tree:
            self._refuse(request, 404, "")
        elif about:
            self._send_info(request, repository, tree="/tree/" in path, body=body, fault=fault)
        elif self.cdn and not path.startswith("/cdn/"):
            self._redirect(request, path)
        else:
            assert file is not None
            self._send_file(request, repository, file[3], fault, body=body)

    def _is_closed(self, repository: str, path: str, token: str) -> bool:
        """Return True for a gated repository without its token; a signed CDN address needs none."""
        if path.startswith("/cdn/") or repository not in self.gated:
            return False
        return not self.token or token != self.token

    def _fault(self, name: str) -> Fault:
        with self._lock:
            rest = self.faults.get(name)
            if rest:
                return rest.pop(0)
            return self.always.get(name, Fault())

    def _send_info(
        self,
        request: BaseHTTPRequestHandler,
        repository: str,
        *,
        tree: bool,
        body: bool,
        fault: Fault,
    ) -> None:
        names = [*self.repositories[repository]]
        link = ""
        if tree:
            if self.page_rows:
                first = int(parse_qs(urlsplit(request.path).query).get("cursor", ["0"])[0])
                rest, names = names[first + self.page_rows :], names[first:][: self.page_rows]
                if rest:
                    link = self.page_link or f"{self.origin}{urlsplit(request.path).path}?cursor=3"
                    link = re.sub(r"cursor=\d+", f"cursor={first + self.page_rows}", link)
            document: object = [self._entry(repository, name) for name in names]
        else:
            document = {
                "_id": "1", "id": repository, "modelId": repository, "sha": self.commit,
                "private": False, "tags": [], "downloads": 0, "likes": 0,
                "siblings": [self._sibling(repository, name) for name in names],
            }  # fmt: skip
        text = json.dumps(document).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        if link:
            request.send_header("Link", f'<{link.format(commit=self.commit)}>; rel="next"')
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        if body and fault.drip_s:
            self._drip(request, text, fault.drip_s)
        elif body:
            request.wfile.write(text)

    def _drip(self, request: BaseHTTPRequestHandler, data: bytes, pause_s: float) -> None:
        for place in range(len(data)):
            if self._closed.wait(pause_s):
                return
            request.wfile.write(data[place : place + 1])
            request.wfile.flush()

    def _sibling(self, repository: str, name: str) -> dict[str, object]:
        """Return a file in the form of `?blobs=true`."""
        data = self.bytes_of(repository, name) or b""
        found: dict[str, object] = {
            "rfilename": name, "size": len(data), "blobId": git_blob(data),
        }  # fmt: skip
        if is_large(name):
            found["lfs"] = {"sha256": self._etag(repository, name), "size": len(data)}
        return found

    def _entry(self, repository: str, name: str) -> object:
        if name in self.entries:
            return self.entries[name]
        data = self.bytes_of(repository, name) or b""
        entry: dict[str, object] = {"type": "file", "path": name, "size": len(data)}
        entry["oid"] = git_blob(data)
        if is_large(name):
            facts = {"oid": self._etag(repository, name), "size": len(data), "pointerSize": 134}
            entry["lfs"] = facts
        return entry

    def _send_page(self, request: BaseHTTPRequestHandler, page: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/html")
        request.send_header("Content-Length", str(len(page)))
        request.end_headers()
        request.wfile.write(page)

    def _redirect(self, request: BaseHTTPRequestHandler, path: str) -> None:
        request.send_response(302)
        request.send_header("Location", f"http://localhost:{self.port}{self.mount}/cdn{path}")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _send_file(
        self,
        request: BaseHTTPRequestHandler,
        repository: str,
        name: str,
        fault: Fault,
        *,
        body: bool,
    ) -> None:
        data = self.bytes_of(repository, name)
        if data is None:
            self._refuse(request, 404, "EntryNotFound")
            return
        etag = self._etag(repository, name) if is_large(name) else git_blob(data)
        if fault.flip >= 0:
            place = min(fault.flip, len(data) - 1)
            data = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        range_match = re.match(r"bytes=(\d+)-", request.headers.get("Range") or "")
        first = int(range_match[1]) if range_match and not fault.no_range else 0
        part = data[first:] + fault.more
        request.send_response(206 if first else 200)
        if fault.length:
            request.send_header("Content-Length", str(len(part)))
        else:
            request.send_header("Connection", "close")
            request.close_connection = True
        request.send_header("ETag", f'"{etag}"')
        request.send_header("X-Repo-Commit", self.commit)
        request.send_header("Accept-Ranges", "bytes")
        if first:
            request.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        if not body:
            return
        with self._lock:
            self.sent.append(name if not first else f"{name} from {first}")
            room = self.cut.pop(name, fault.cut if fault.cut >= 0 else len(part))
        if fault.stall >= 0:
            room = min(room, fault.stall)
        if fault.drip_s:
            self._drip(request, part[:room], fault.drip_s)
        else:
            self._write(request, part[:room])
        if fault.stall >= 0:
            self._closed.wait(60)
        if room < len(part):
            request.close_connection = True

    def _write(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        step = max(1, self.bytes_per_s // 20) if self.bytes_per_s else 1 << 16
        for first in range(0, len(data), step):
            block = data[first : first + step]
            request.wfile.write(block)
            with self._lock:
                self.bytes_sent += len(block)
            if self.bytes_per_s:
                time.sleep(0.05)

    def _etag(self, repository: str, name: str) -> str:
        return hashlib.sha256(self.bytes_of(repository, name) or b"").hexdigest()

    @staticmethod
    def _refuse(
        request: BaseHTTPRequestHandler, status: int, code: str, retry_after: str = ""
    ) -> None:
        request.send_response(status)
        if code:
            request.send_header("X-Error-Code", code)
            request.send_header("X-Error-Message", "no")
        if retry_after:
            request.send_header("Retry-After", retry_after)
        request.send_header("Content-Length", "0")
        request.end_headers()


def git_blob(data: bytes) -> str:
    """Return git's SHA-1 of a blob, under which the hub lists small files."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def is_large(name: str) -> bool:
    """Return True for a file that the hub lists with its SHA-256."""
    return name.endswith((".safetensors", ".bin"))
