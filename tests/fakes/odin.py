"""A fake of the ODIN service: real HTTP on 127.0.0.1, state on disk, faults on request.

It has the difficult properties of the real service: a second upload of a name creates a second
document, deleting takes time, an accepted document is not yet indexed, and names lose `%` and
`~`.

    with FakeOdin(tmp_path / "odin") as odin:
        settings = Settings(**odin.settings())
        odin.queue_faults("cut after")   # the next upload is accepted, but its answer is lost
"""

from __future__ import annotations

import json
import random
import re
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.loopback import Loopback
from tests.fakes.odin_store import OdinStore
from tests.support.waiting import WAIT_S

KEY = "key-0f3a-PROBE"
SECRET = "secret-77e1-PROBE"
PROJECT = "TestProject01"

# Faults of an upload, and of any other request; those of the last line need a second run.
UPLOAD_FAULTS = (
    *("429", "429 soon", "429 date", "500", "502", "503 soon", "cut before", "cut after"),
    *("500 after", "slow", "not json", "index failed", "index timeout"),
    *("401", "403", "413", "422"),
)
OTHER_FAULTS = ("429", "429 soon", "500", "503 soon", "cut before", "not json")
CHAT_EXCERPTS = 3


class FakeOdin(Loopback, OdinStore):
    """The service. Indexing takes `index_s` seconds, deleting `delete_s`."""

    def __init__(
        self,
        folder: Path,
        *,
        index_s: float = 0.0,
        delete_s: float = 0.0,
        fault_rate: float = 0.0,
        seed: int = 0,
        limit_bytes: int = 200_000_000,
    ) -> None:
        super().__init__(folder, index_s=index_s, delete_s=delete_s)
        self.fault_rate = fault_rate
        self.limit_bytes = limit_bytes
        self.retry_after_s = 1.0
        self.metadata_as = "object"  # the form in listings; or "string", or "nothing"
        self.listing_key = "knowledge_base"
        self.chat_sources = True
        self.project_status = 404  # the status for a wrong project
        self.random = random.Random(seed)
        self.queued_faults: deque[str] = deque()
        self._bags: dict[bool, list[str]] = {}
        self.faults: Counter[str] = Counter()
        self.requests: list[tuple[str, str, int]] = []
        # Changes the body of a successful answer; called with path, request and body.
        self.rewrite: Callable[[str, dict[str, Any], Any], Any] = lambda path, request, body: body
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.odin = self
        self.url = self.origin

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.close()

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the settings of a client, with pauses for tests."""
        return {
            "odin_api_key": KEY,
            "odin_api_secret": SECRET,
            "odin_project_id": PROJECT,
            "odin_base_url": self.url,
            "odin_poll_s": 0.01,
            "odin_poll_wait_s": WAIT_S,
            "odin_rate": 0.0,
            "odin_timeout_s": WAIT_S,
            "odin_backoff_s": 0.01,
            "odin_settle_s": 0.02,
            **more,
        }

    def queue_faults(self, *faults: str) -> None:
        """Queue faults for the next uploads, one each; "ok" is no fault."""
        self.queued_faults.extend(faults)

    def next_fault(self, upload: bool) -> str:
        """Return the fault of this request, empty for none."""
        with self.lock:
            if upload and self.queued_faults:
                name = self.queued_faults.popleft()
                name = "" if name == "ok" else name
            elif self.random.random() < self.fault_rate:
                # The shuffled list has every fault once, so no fault repeats before all occurred.
                bag = self._bags.setdefault(upload, [])
                if not bag:
                    bag.extend(UPLOAD_FAULTS if upload else OTHER_FAULTS)
                    self.random.shuffle(bag)
                name = bag.pop()
            else:
                name = ""
            if name:
                self.faults[name] += 1
            return name

    def count(self, method: str, ending: str) -> int:
        """Return the number of requests with this method and end of the path."""
        return sum(1 for m, path, _ in self.requests if m == method and path.endswith(ending))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    odin: FakeOdin

    def handle_error(self, request: Any, address: Any) -> None:
        """Ignore the error: clients that disconnect are part of the tests."""


class _ConnectionCut(Exception):
    """Signal the end of the connection without an answer."""


class Response(Exception):
    """An answer other than 200 with the requested content."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    payload: Any = None  # the JSON of the request

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_DELETE = do_GET  # noqa: N815

    def _handle(self) -> None:
        odin = self.server.odin
        url = urlsplit(self.path)
        try:
            try:
                body = self._serve(odin, unquote(url.path), parse_qs(url.query))
                answer = Response(200, odin.rewrite(url.path, self.payload or {}, body))
            except Response as refusal:
                answer = refusal
            with odin.lock:
                odin.requests.append((self.command, url.path, answer.status))
            self._send(answer)
        except _ConnectionCut:
            with odin.lock:
                odin.requests.append((self.command, url.path, 0))
            self.close_connection = True
            with suppress(OSError):
                # A reset instead of an orderly end, as after the loss of the network.
                linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()

    def _serve(self, odin: FakeOdin, path: str, query: dict[str, list[str]]) -> Any:
        upload = bool(re.fullmatch(r"/v[23]/project/knowledge/add/file", path))
        fault = odin.next_fault(upload)
        if fault == "cut before":
            raise _ConnectionCut
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._check_credentials()
        self._refuse(odin, fault)
        if upload:
            return self._add_file(odin, raw, fault)
        if fault == "not json":
            raise Response(200, "<html>a proxy speaks</html>")
        if path == "/v2/project/knowledge/create/file":
            return self._add_text(odin, {k: v[0] for k, v in parse_qs(raw.decode()).items()})
        payload = self.payload = json.loads(raw) if raw else {}
        if path == "/project/knowledge/status":
            _check_project(odin, query.get("project_id", [""])[0])
            found = odin.documents().get(query["file_name"][0])
            if found is None:
                raise Response(404, {"detail": "Document not found"})
            extra = {"message": found["message"]} if found["message"] else {}
            return {"status": found["status"], **extra}
        if match := re.fullmatch(r"/project/([^/]+)/knowledge", path):
            _check_project(odin, match[1])
            rows = odin.documents().items()
            return {odin.listing_key: {key: _list_row(odin, key, row) for key, row in rows}}
        if match := re.fullmatch(r"/v3/project/([^/]+)/knowledgebase", path):
            _check_project(odin, match[1])
            wanted = str(payload.get("name_search") or "").lower()
            found = [(k, row) for k, row in odin.documents().items() if wanted in k.lower()]
            start = (int(payload["page"]) - 1) * int(payload["items_per_page"])
            page = found[start : start + int(payload["items_per_page"])]
            docs = [{"id": k, "content_key": k, **_list_row(odin, k, row)} for k, row in page]
            return {"docs": docs, "folders": [], "kb_info": {"count": len(found)}}
        if path == "/project/knowledge/delete" and self.command == "DELETE":
            _check_project(odin, payload["project_id"])
            deleted = [odin.delete(str(row["name"])) for row in payload["resources"]]
            if not any(deleted):
                raise Response(404, {"detail": "No such document"})
            return {"message": "deleted"}
        if path == "/projects":
            return {"projects": [{"id": PROJECT, "name": "Test project"}]}
        if match := re.fullmatch(r"/project/([^/]+)", path):
            _check_project(odin, match[1])
            return {"project_data": {"id": PROJECT, "name": "Test project"}}
        if path == "/v2/project/search":
            _check_project(odin, payload["project_id"])
            return {"results": _search(odin, payload["query"], int(payload["max_results"]))}
        if path == "/chat/create":
            return {"chat_id": "chat-1"}
        if path == "/v3/chat/message":
            return _chat(odin, payload)
        raise Response(404, {"detail": "Not Found"})

    def _check_credentials(self) -> None:
        key, secret = self.headers.get("X-API-KEY"), self.headers.get("X-API-SECRET")
        if key != KEY:
            # Some services quote the request; the quote must not occur in a message.
            raise Response(401, {"detail": f"Invalid API key {key}"})
        if secret != SECRET:
            raise Response(403, {"detail": {"message": f"Forbidden for {secret}"}})

    def _refuse(self, odin: FakeOdin, fault: str) -> None:
        if fault == "429":
            raise Response(429, {"detail": "Too many requests"})
        if fault in ("429 soon", "503 soon"):
            after = {"Retry-After": str(odin.retry_after_s)}
            raise Response(int(fault[:3]), {"detail": "Busy"}, after)
        if fault == "429 date":
            date = self.date_time_string(int(time.time() + odin.retry_after_s))
            raise Response(429, {"detail": "Busy"}, {"Retry-After": date})
        if fault in ("500", "502"):
            raise Response(int(fault), "<html><b>Bad</b> gateway</html>")
        if fault in ("401", "403", "413"):
            raise Response(int(fault), {"detail": f"Injected {fault}"})
        if fault == "422":
            raise Response(422, _missing("project_id"))

    def _add_file(self, odin: FakeOdin, raw: bytes, fault: str) -> Any:
        fields, name, content = _form(self.headers["Content-Type"], raw)
        for field in ("project_id", "metadata"):
            if field not in fields:
                raise Response(422, _missing(field))
        _check_project(odin, fields["project_id"])
        if len(content) > odin.limit_bytes:
            raise Response(413, {"detail": "File too large"})
        _check_metadata(fields["metadata"])
        outcome = {"index failed": "failed", "index timeout": "timeout"}.get(fault, "synced")
        key = odin.put(
            name,
            content,
            fields["metadata"],
            outcome,
            force=fields.get("force") == "true",
            index_s=odin.index_s + 0.2 if fault == "slow" else None,
        )
        if fault == "cut after":
            raise _ConnectionCut
        if fault == "500 after":
            raise Response(500, {"detail": "Worker died"})
        if fault == "not json":
            raise Response(200, "<html>a proxy speaks</html>")
        return _upload_response(odin, key)

    def _add_text(self, odin: FakeOdin, fields: dict[str, str]) -> Any:
        for field in ("project_id", "file_name", "content", "file_extension"):
            if field not in fields:
                raise Response(422, _missing(field))
        _check_project(odin, fields["project_id"])
        _check_metadata(fields.get("metadata", "{}"))
        name = fields["file_name"]
        return _upload_response(
            odin, odin.put(name, fields["content"].encode(), fields["metadata"])
        )

    def _send(self, answer: Response) -> None:
        body = answer.body
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _list_row(odin: FakeOdin, key: str, row: dict[str, Any]) -> dict[str, Any]:
    as_sent = row["metadata"]
    metadata = {"object": json.loads(as_sent), "string": as_sent, "nothing": {}}[odin.metadata_as]
    return {
        "status": row["status"],
        "doc_type": key.rpartition(".")[2],
        "url": f"{odin.url}/files/{key}",
        "upload_date": row["upload_date"],
        "metadata": metadata,
    }


def _upload_response(odin: FakeOdin, key: str) -> dict[str, Any]:
    row = odin.documents()[key]
    return {
        "message": "Document added",
        "document_data": {},
        "document_key": key,
        "content": "",
        "status": row["status"],
        "size": len(row["content"]),
        "url": f"{odin.url}/files/{key}",
    }


def _form(content_type: str, raw: bytes) -> tuple[dict[str, str], str, bytes]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + raw)
    fields: dict[str, str] = {}
    name, content = "", b""
    for part in message.iter_parts():  # type: ignore[attr-defined]
        payload = part.get_payload(decode=True)
        if part.get_filename() is not None:
            name, content = part.get_filename(), payload
        else:
            fields[part.get_param("name", header="content-disposition")] = payload.decode()
    # The parser changes line ends; the bytes between the boundaries count.
    boundary = content_type.partition("boundary=")[2].encode()
    start = raw.index(b"\r\n\r\n", raw.index(b'filename="')) + 4
    content = raw[start : raw.rindex(b"\r\n--" + boundary)]
    return fields, name, content


def _missing(field: str) -> dict[str, Any]:
    return {
        "detail": [{"loc": ["body", field], "msg": "field required", "type": "value_error.missing"}]
    }


def _check_project(odin: FakeOdin, project: str) -> None:
    if project != PROJECT:
        raise Response(odin.project_status, {"detail": "Project not found"})


def _check_metadata(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        detail = [{"loc": ["body", "metadata"], "msg": str(error), "type": "value_error.json"}]
        raise Response(422, {"detail": detail}) from None


def _search(odin: FakeOdin, query: str, limit: int) -> list[dict[str, Any]]:
    rows = odin.excerpts(query)[:limit]
    return [{"document_key": key, "content": text, "score": n / 10} for n, key, text in rows]


def _chat(odin: FakeOdin, payload: dict[str, Any]) -> dict[str, Any]:
    _check_project(odin, payload["project_id"])
    rows = odin.excerpts(payload["message"])[:CHAT_EXCERPTS] if payload["use_knowledgebase"] else []
    answer: dict[str, Any] = {"chat_id": payload["chat_id"], "message_id": "message-1"}
    if odin.chat_sources:
        # Without the times, as in a service that returns only the text it used.
        bare = [(key, re.sub(r"^\[[\d:]+\]\([^)]*\) ", "", text)) for _, key, text in rows]
        answer["message"] = "They say so."
        answer["sources"] = [{"name": key, "text": text[:120]} for key, text in bare]
    else:
        answer["message"] = "They say so: " + " ".join(text for _, _, text in rows)
    return answer
